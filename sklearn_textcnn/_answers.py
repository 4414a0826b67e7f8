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

    Other threads may ask while it is fitted again. So a fit puts a new ``__dict__`` into place when
    it is done (`Refit`), and what needs several attributes takes them from one (`_now`).
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
        logits, now = self._logits(X)
        if now._multilabel:
            return (logits > 0).astype(np.int64)
        if len(now.classes_) == 2:
            return now.classes_[(logits[:, 0] > 0).astype(np.intp)]
        return now.classes_[logits.argmax(axis=1)]

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
        logits, now = self._logits(X)
        return logits[:, 0] if len(now.classes_) == 2 and not now._multilabel else logits

    def explain(self, X, target=None):
        """Divide a logit of each document among the n-grams that it is the sum of.

        What the n-grams add, and a bias, make up the logit of `decision_function`. With
        `hidden_units` the network's share is divided by integrated gradients [1]_.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_samples, n_tokens)
            Token ids.
        target : object, default=None
            The class whose logit it is, one for all documents; at multi-label the number of the
            label. None: for each document the most probable one. With two classes the logit of
            ``classes_[0]`` is the negative of that of ``classes_[1]``.

        Returns
        -------
        list of Explanation
            See `sklearn_textcnn.inspection.Explanation`.

        See Also
        --------
        sklearn_textcnn.inspection.explain_pipeline : Explains texts as they are written.

        References
        ----------
        .. [1] M. Sundararajan, A. Taly, Q. Yan (2017). "Axiomatic Attribution for Deep Networks".
           ICML.

        Examples
        --------
        >>> from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer
        >>> texts = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
        >>> labels = ["good", "good", "bad", "bad"] * 10
        >>> ids = TextVectorizerTransformer().fit_transform(texts)
        >>> classifier = NgramLinearClassifier(random_state=0).fit(ids, labels)
        >>> explanation = classifier.explain(ids[:1])[0]
        >>> explanation.target, explanation.ngrams[0].text
        ('good', 'fine')
        """
        # here, not above: inspection reads the rooms that are built on this one
        from sklearn_textcnn.inspection._explain import explain

        return explain(self, X, target)

    def top_ngrams(self, X, n=10):
        """Find the n-grams of documents that add most to the logit of each class.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_samples, n_tokens)
            Token ids.
        n : int, default=10
            Most n-grams for each class.

        Returns
        -------
        dict of object to list of (str, float)
            For each class, or number of a label, n-grams and what they add to its logit, summed
            over all documents and both parts of the model, the largest first. Those that add
            nothing or less are left out.

        Examples
        --------
        >>> from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer
        >>> texts = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
        >>> labels = ["good", "good", "bad", "bad"] * 10
        >>> ids = TextVectorizerTransformer().fit_transform(texts)
        >>> classifier = NgramLinearClassifier(random_state=0).fit(ids, labels)
        >>> {label: ngrams[0][0] for label, ngrams in classifier.top_ngrams(ids).items()}
        {'bad': 'dull', 'good': 'fine'}
        """
        from sklearn_textcnn.inspection._explain import top_ngrams

        return top_ngrams(self, X, n)

    def _answers(self, X, of_one, of_several):
        logits, now = self._logits(X)
        with np.errstate(under="ignore"):  # the caller may have asked for errors
            if now._multilabel:
                return of_one(logits)
            if len(now.classes_) == 2:
                return np.concatenate([of_one(-logits), of_one(logits)], axis=1)
            return of_several(logits, axis=1)

    def _logits(self, X):
        """Logits, and this classifier as it was when it gave them."""
        now = self._now()
        ids = self._checked(X, now)
        with np.errstate(under="ignore"):
            return self._decisions(ids, now).astype(np.float32, copy=False), now

    def _checked(self, X, now):
        """Plain ids of documents that the classifier as it was, `now`, can answer for."""
        if not hasattr(now, "_multilabel"):  # which costs less than the next line
            check_is_fitted(now)
        if not (
            type(X) is TokenIds
            and X.vocabulary is now.vocabulary_ is not None
            and X.ndim == 2
            and X.size
            and X.min() >= 0
        ):
            # first, as another vocabulary is the reason for another width, too
            refuse_other_vocabulary(X, now._id_space, "X")
            X = check_ids(now, X, reset=False, space=now._id_space)
        return np.asarray(X)

    def _now(self):
        """This classifier as it is now, whatever a fit in another thread makes of it later."""
        now = type(self).__new__(type(self))
        now.__dict__ = vars(self)  # which a fit replaces and does not change
        return now

    def __sklearn_is_fitted__(self):
        # scikit-learn would go through all attributes, and its pipelines add one meanwhile
        return hasattr(self, "classes_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.positive_only = True
        tags.input_tags.sparse = False
        tags.classifier_tags.multi_class = True
        tags.classifier_tags.multi_label = True
        return tags


class Refit:
    """What to fit in the place of a classifier, which stays as it is if that goes wrong.

    Yields a classifier like the one given, and a list for functions that put back what both share.
    Once it is fitted, ``self.__dict__ = vars(other)`` makes its state that of the one given: whole,
    and in one step. This belongs into the body: after it an interrupt may come before the end.
    """

    def __init__(self, classifier):
        self.classifier, self.before, self.undo = classifier, vars(classifier), []

    def __enter__(self):
        other = type(self.classifier).__new__(type(self.classifier))
        vars(other).update(self.before)
        return other, self.undo

    def __exit__(self, error, *_):
        if error is not None:  # Ctrl-C included
            self.classifier.__dict__ = self.before
            for put_back in self.undo:
                put_back()
