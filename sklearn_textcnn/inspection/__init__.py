"""What decided: the logit of a document as a sum over its n-grams, and pictures of it."""

from sklearn_textcnn.inspection._displays import TopNgramsDisplay, TrainingHistoryDisplay
from sklearn_textcnn.inspection._explanation import Explanation, NGram
from sklearn_textcnn.inspection._explanation_display import ExplanationDisplay
from sklearn_textcnn.inspection._pipeline import explain_pipeline

__all__ = [
    "Explanation",
    "ExplanationDisplay",
    "NGram",
    "TopNgramsDisplay",
    "TrainingHistoryDisplay",
    "explain_pipeline",
]
