"""Text classification with convolutional networks, as scikit-learn estimators.

Examples
--------
>>> import sklearn_textcnn
>>> for name in sklearn_textcnn.TRUSTED_TYPES:  # for skops.io.load(file, trusted=TRUSTED_TYPES)
...     print(name)
sklearn_textcnn.classifier.TextCNNClassifier
sklearn_textcnn.linear.NgramLinearClassifier
sklearn_textcnn.vectorizer.TextVectorizerTransformer
sklearn_textcnn.word_vectors.WordVectors
"""

from sklearn_textcnn import _sharing
from sklearn_textcnn._saving import TRUSTED_TYPES
from sklearn_textcnn._saving import __version__ as __version__
from sklearn_textcnn.classifier import TextCNNClassifier
from sklearn_textcnn.linear import NgramLinearClassifier
from sklearn_textcnn.token_ids import TokenIds
from sklearn_textcnn.vectorizer import TextVectorizerTransformer
from sklearn_textcnn.word_vectors import WordVectors

_sharing.tell_joblib_and_dask()

__all__ = [
    "TRUSTED_TYPES",
    "NgramLinearClassifier",
    "TextCNNClassifier",
    "TextVectorizerTransformer",
    "TokenIds",
    "WordVectors",
]
