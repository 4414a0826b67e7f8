"""Text classification with convolutional networks, as scikit-learn estimators."""

from sklearn_textcnn import _sharing
from sklearn_textcnn._saving import __version__ as __version__
from sklearn_textcnn.classifier import TextCNNClassifier
from sklearn_textcnn.linear import NgramLinearClassifier
from sklearn_textcnn.token_ids import TokenIds
from sklearn_textcnn.vectorizer import TextVectorizerTransformer
from sklearn_textcnn.word_vectors import WordVectors

_sharing.tell_joblib_and_dask()

__all__ = [
    "NgramLinearClassifier",
    "TextCNNClassifier",
    "TextVectorizerTransformer",
    "TokenIds",
    "WordVectors",
]
