"""What decided: the logit of a document as a sum over its n-grams."""

from sklearn_textcnn.inspection._explanation import Explanation, NGram
from sklearn_textcnn.inspection._pipeline import explain_pipeline

__all__ = ["Explanation", "NGram", "explain_pipeline"]
