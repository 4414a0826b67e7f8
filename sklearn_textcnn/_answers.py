"""The answers of a classifier of token ids, all of them from its logits."""

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from sklearn_textcnn._checks import check_ids, refuse_other_vocabulary
from sklearn_textcnn.token_ids import TokenIds


class LogitClassifier(ClassifierMixin):
    """Classes and probabilities from logits.

    A subclass has, once fitted, `classes_`, `vocabulary_`, `_multilabel`, `_id_space`, and
    `_decisions`: plain ids -> logits, (n, n_outputs). One output is that of ``classes_[1]``.
    """

    def predict(self, X):
        """Most probable class of each document; at multi-label every label with probability > 0.5.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_samples, n_tokens)
            Token ids.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            Class labels, or an indicator matrix.
        """
        logits = self._logits(X)
        if self._multilabel:
            return (logits > 0).astype(np.int64)
        if len(self.classes_) == 2:
            return self.classes_[(logits[:, 0] > 0).astype(np.intp)]
        return self.classes_[logits.argmax(axis=1)]

    def predict_proba(self, X):
        """Probability of each class, or of each label.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_samples, n_tokens)
            Token ids.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), dtype float32
            Columns as in `classes_`. Rows sum to 1, unless at multi-label, where each column is
            the probability of a label of its own.
        """
        return self._answers(X, expit, softmax)

    def predict_log_proba(self, X):
        """Logarithm of the probabilities, computed from the logits: never the logarithm of 0.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_samples, n_tokens)
            Token ids.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), dtype float32
            Columns as in `predict_proba`.
        """
        return self._answers(X, log_expit, log_softmax)

    def decision_function(self, X):
        """Logits: what goes into the softmax, or the sigmoid.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_samples, n_tokens)
            Token ids.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes), dtype float32
            With two classes one number per document, positive for ``classes_[1]``.
        """
        logits = self._logits(X)
        return logits[:, 0] if len(self.classes_) == 2 and not self._multilabel else logits

    def _answers(self, X, of_one, of_several):
        logits = self._logits(X)
        with np.errstate(under="ignore"):  # the caller may have asked for errors
            if self._multilabel:
                return of_one(logits)
            if len(self.classes_) == 2:
                return np.concatenate([of_one(-logits), of_one(logits)], axis=1)
            return of_several(logits, axis=1)

    def _logits(self, X):
        if not hasattr(self, "_multilabel"):  # which costs less than the next line
            check_is_fitted(self)
        if not (
            type(X) is TokenIds
            and X.vocabulary is self.vocabulary_ is not None
            and X.ndim == 2
            and X.shape[1] == self.n_features_in_
            and len(X)
            and X.min() >= 0
        ):
            # first, as another vocabulary is the reason for another width, too
            refuse_other_vocabulary(X, self._id_space, "X")
            X = check_ids(self, X, reset=False)
        with np.errstate(under="ignore"):
            return self._decisions(np.asarray(X)).astype(np.float32, copy=False)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.positive_only = True
        tags.input_tags.sparse = False
        tags.classifier_tags.multi_class = True
        tags.classifier_tags.multi_label = True
        return tags
