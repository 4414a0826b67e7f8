"""Text classification with convolutional networks, as scikit-learn estimators."""

from sklearn_textcnn.classifier import TextCNNClassifier
from sklearn_textcnn.linear import NgramLinearClassifier
from sklearn_textcnn.token_ids import TokenIds
from sklearn_textcnn.vectorizer import TextVectorizerTransformer
from sklearn_textcnn.word_vectors import WordVectors

__version__ = "0.1.0"

__all__ = [
    "NgramLinearClassifier",
    "TextCNNClassifier",
    "TextVectorizerTransformer",
    "TokenIds",
    "WordVectors",
]
