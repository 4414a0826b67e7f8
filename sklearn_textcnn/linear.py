"""NgramLinearClassifier: linear machines on tokens and pairs of neighbours, stacked."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import _param_validation
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_textcnn._answers import LogitClassifier, Refit
from sklearn_textcnn._checks import (
    check_answers,
    check_ids,
    classes_and_weights,
    id_space,
    random_generator,
    targets_of,
)
from sklearn_textcnn._machines import MACHINES, N_FOLDS, fit_machines
from sklearn_textcnn._ngrams import FIRST_TOKEN, linear_logits, ngrams_of
from sklearn_textcnn._progress import shown
from sklearn_textcnn._saving import Saved


class NgramLinearClassifier(Saved, LogitClassifier, BaseEstimator):
    """Linear classifier of tokens and pairs of neighbouring tokens.

    Three machines on TF-IDF, added up: a support vector machine, naive Bayes, and a support vector
    machine on features that are multiplied by naive Bayes log-count ratios [1]_. How much each
    counts is learned from documents that it has not seen. It is what stands beside the network in
    `TextCNNClassifier`, and by itself the yardstick for one: a good classifier within a second.

    Parameters
    ----------
    ngrams : {1, 2}, default=2
        Longest n-grams that are features: tokens (1), or these and pairs of neighbours (2).
    C : float, default=3.0
        Inverse regularisation of the support vector machines, as in `sklearn.svm.LinearSVC`.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, by label, multiplied with `sample_weight`. "balanced":
        ``n_samples / (n_classes * count of the class)``. Must be None for multi-label targets.
    store_cv_decisions : bool, default=False
        Whether to keep `cv_decisions_`.
    random_state : int, RandomState instance or None, default=None
        Source of the folds and of the order in which the support vector machines see documents.
        With an int and the same data, weights are equal bit for bit.
    verbose : int, default=0
        Above 0: a progress bar over the machines, on standard error, if they take longer than half
        a second.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; ``arange(n_labels)`` for multi-label targets.
    coef_ : ndarray of shape (n_outputs, n_features), dtype float32
        Weight of each feature, inverse document frequency included: see Notes. `n_outputs` is 1
        for two classes. `get_feature_names_out` says which feature is which.
    intercept_ : ndarray of shape (n_outputs,)
        Intercepts.
    idf_ : ndarray of shape (n_features,), dtype float32
        Inverse document frequency of each feature, that of pairs with their lower weight.
    factors_ : dict of str to float
        How much each machine counts: the factor of "support vectors", of "support vectors on
        ratios" and of "naive Bayes" in the logits.
    cv_decisions_ : ndarray of shape (n_samples, n_outputs)
        With `store_cv_decisions`, logits of each training document by machines that have not seen
        it, nor a copy of it. NaN for documents of weight 0, and for those whose class these
        machines do not know, as it is that of no other document.
    n_features_in_ : int
        Number of token columns seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, only if `X` had names that are all strings.
    vocabulary_ : tuple of str or None
        Tokens of ids 2 and up, if `X` was `TokenIds` of a learned or fixed vocabulary.

    See Also
    --------
    TextVectorizerTransformer : Turns text into the ids that this classifier reads.
    TextCNNClassifier : A network beside such a classifier.

    Notes
    -----
    A feature that stands ``count`` times in a document has the term frequency
    ``tf = 1 + log(count)``, and the logits are ::

        tf @ coef_.T / norm(idf_ * tf) + intercept_

    with the Euclidean norm. Padding (id 0), unknown tokens (id 1), pairs with one, and what no
    training document held are no features. If there are more than 262,144 pairs, those are features
    that most documents hold. A document without features has the intercepts for logits.

    References
    ----------
    .. [1] S. Wang, C. D. Manning (2012). "Baselines and Bigrams: Simple, Good Sentiment and Topic
       Classification". ACL.
    .. [2] D. Wolpert (1992). "Stacked Generalization". Neural Networks 5(2).

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer
    >>> texts = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
    >>> labels = ["good", "good", "bad", "bad"] * 10
    >>> pipe = make_pipeline(TextVectorizerTransformer(), NgramLinearClassifier(random_state=0))
    >>> pipe.fit(texts, labels).predict(["a fine plot", "a dull plot"])
    array(['good', 'bad'], dtype='<U4')
    """

    _parameter_constraints = {
        "ngrams": [_param_validation.Options(Integral, {1, 2})],
        "C": [Interval(Real, 0, None, closed="neither")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "store_cv_decisions": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        ngrams=2,
        C=3.0,
        class_weight=None,
        store_cv_decisions=False,
        random_state=None,
        verbose=0,
    ):
        self.ngrams = ngrams
        self.C = C
        self.class_weight = class_weight
        self.store_cv_decisions = store_cv_decisions
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit the machines and learn how much each counts.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_samples, n_tokens)
            Token ids: 0 padding, 1 unknown, 2 and up tokens.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels (strings, integers, booleans), or a multi-label indicator matrix.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the documents, of which only ratios count. Documents of weight 0 are left
            out.

        Returns
        -------
        self : NgramLinearClassifier
            The fitted classifier.

        Raises
        ------
        ValueError
            If ids, labels or weights cannot be used; the message says why. An earlier fit stays as
            it was.
        """
        with Refit(self) as (other, _), shown(self.verbose) as progress:
            other._fit(X, y, sample_weight, progress)
            self.__dict__ = vars(other)
        return self

    def get_feature_names_out(self, input_features=None):
        """Names of the features, in the order of `coef_`.

        Parameters
        ----------
        input_features : None
            Not used, here for `Pipeline`.

        Returns
        -------
        ndarray of str of shape (n_features,)
            Tokens, and pairs with a space in between: "not good". Ids without a vocabulary are
            written "#17".
        """
        check_is_fitted(self)
        now = self._now()
        pairs = now._tables["pairs"]
        n_ids = len(now._tables["rows"]) - len(pairs)
        tokens = _features(now._tables["rows"])
        tokens = tokens[tokens < n_ids]
        names = {token: now._name(token) for token in tokens.tolist()}
        both = zip((pairs // n_ids).tolist(), (pairs % n_ids).tolist(), strict=True)
        named = [*names.values(), *(f"{names[left]} {names[right]}" for left, right in both)]
        return np.array(named, dtype=object)

    @property
    def coef_(self):
        """Weight of each feature for each output."""
        rows = self._tables["rows"]
        return rows[_features(rows), :-1].T

    @property
    def intercept_(self):
        """Intercept of each output."""
        return self._tables["intercept"]

    @property
    def idf_(self):
        """Inverse document frequency of each feature."""
        rows = self._tables["rows"]
        return np.sqrt(rows[_features(rows), -1])

    def _fit(self, X, y, sample_weight, progress):
        """Check documents and fit to them, in place."""
        y, multilabel = check_answers(self, X, y)
        classes, weights = classes_and_weights(self, y, multilabel, sample_weight)
        counts = weights > 0
        ids = check_ids(self, X, reset=True)
        targets = targets_of(y, classes, multilabel)
        self.classes_ = classes
        self.vocabulary_ = getattr(X, "vocabulary", None)
        self._id_space = id_space(X)
        rng = random_generator(self.random_state)
        self._fit_checked(ids[counts], targets[counts], weights[counts], multilabel, rng, progress)
        if self.store_cv_decisions and not counts.all():
            of_those, self.cv_decisions_ = self.cv_decisions_, np.full(targets.shape, np.nan)
            self.cv_decisions_[counts] = of_those

    def _fit_checked(self, ids, targets, weights, multilabel, rng, progress):
        """Fit to checked documents of weights above zero: see `targets_of`.

        There may be outputs that no target is 1 of.
        """
        n_outputs = targets.shape[1]
        progress.begin((N_FOLDS + 1) * n_outputs, "linear part")
        with np.errstate(under="ignore"):
            ngrams = ngrams_of(ids, self.ngrams)
            kernel, intercept, factors, held_out = fit_machines(
                ngrams.frequencies,
                targets,
                weights,
                self.C,
                one_of=n_outputs > 1 and not multilabel,
                rng=rng,
                step=progress.step,
            )
            self._tables = ngrams.tables(kernel, intercept)
        self._multilabel = multilabel
        self.factors_ = dict(zip(MACHINES, factors.tolist(), strict=True))
        vars(self).pop("cv_decisions_", None)
        if self.store_cv_decisions:
            self.cv_decisions_ = held_out

    def _decisions(self, ids, now=None):
        """Logits of plain ids, (n, n_outputs), by this classifier as it is, or as it was: `now`."""
        return linear_logits((now or self)._tables, ids)

    def _needed(self, state):
        attributes = "_tables", "_multilabel", "_id_space", "classes_", "vocabulary_"
        return attributes if "classes_" in state else ()

    def _name(self, token):
        return f"#{token}" if self.vocabulary_ is None else self.vocabulary_[token - FIRST_TOKEN]


def _features(rows):
    """Which rows of the table are those of features."""
    return np.flatnonzero(rows[:, -1])
