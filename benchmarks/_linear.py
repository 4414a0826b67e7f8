"""Linear models of n-gram counts, tuned by cross-validation inside the training documents.

The processes of the search import this module, so it imports nothing that they would not need.
"""

import tempfile

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

TOKEN_PATTERNS = {
    "words of two letters and more": r"(?u)\b\w\w+\b",  # the vectorizers' own
    "words and punctuation": r"(?u)\w+|[^\w\s]",  # what our vectorizer reads
}


class NBSVM(ClassifierMixin, BaseEstimator):
    """Support vector machine on naive Bayes log-count ratios (Wang & Manning 2012).

    One class against the rest. `X` holds zeros and ones.

    Parameters
    ----------
    C : float
        Of `LinearSVC`.
    alpha : float
        Added to the counts.
    beta : float
        How much of the machine's weights is kept; the rest is their mean magnitude, which is
        naive Bayes.
    """

    def __init__(self, C=1.0, alpha=1.0, beta=0.25):
        self.C, self.alpha, self.beta = C, alpha, beta

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        positive = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        fits = [self._weights(X, y == label) for label in positive]
        self.coef_ = np.array([weights for weights, _ in fits])  # (n_classes or 1, n_features)
        self.intercept_ = np.array([intercept for _, intercept in fits])
        return self

    def _weights(self, X, inside):
        shares = []
        for rows in (inside, ~inside):
            counts = self.alpha + np.asarray(X[rows].sum(axis=0)).ravel()
            shares.append(counts / counts.sum())
        ratios = np.log(shares[0] / shares[1])  # (n_features,)
        svm = LinearSVC(C=self.C, random_state=0).fit(X.multiply(ratios).tocsr(), inside)
        weights = svm.coef_[0]
        weights = (1 - self.beta) * np.abs(weights).mean() + self.beta * weights
        return ratios * weights, svm.intercept_[0]

    def predict(self, X):
        scores = X @ self.coef_.T + self.intercept_
        if len(self.classes_) == 2:
            return self.classes_[(scores[:, 0] > 0).astype(int)]
        return self.classes_[scores.argmax(axis=1)]


# name -> vectorizer, classifier, values of its parameters to try
LINEAR = {
    "TF-IDF(1) + LogisticRegression": (
        TfidfVectorizer(sublinear_tf=True),
        LogisticRegression(max_iter=1000),
        {"C": [0.3, 1, 3, 10, 30, 100]},
    ),
    "TF-IDF(1,2) + LinearSVC": (
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)),
        LinearSVC(random_state=0),
        {"C": [0.1, 0.3, 1, 3, 10]},
    ),
    "NBSVM (Wang & Manning 2012)": (
        CountVectorizer(binary=True, ngram_range=(1, 2), dtype=np.float64),
        NBSVM(),
        # on classes of unequal size, and on many, the paper's beta of 0.25 can cost ten points
        {"C": [0.01, 0.1, 1, 10], "beta": [0.25, 1]},
    ),
}


def tuned(name, texts, labels, splitter, groups):
    """The pipeline with the values that do best in an inner cross-validation, not fitted yet.

    Returns
    -------
    pipeline : Pipeline
    chosen : str
        Those values.
    """
    vectorizer, classifier, values = LINEAR[name]
    steps = [("vectorizer", vectorizer), ("classifier", classifier)]
    grid = {
        **{f"classifier__{parameter}": tried for parameter, tried in values.items()},
        "vectorizer__token_pattern": list(TOKEN_PATTERNS.values()),
    }
    with tempfile.TemporaryDirectory() as folder:
        # all are tried on the same counts, which are made once
        search = GridSearchCV(
            Pipeline(steps, memory=folder), grid, cv=splitter, n_jobs=-1, refit=False
        )
        best = search.fit(texts, labels, groups=groups).best_params_
    kept = {pattern: kind for kind, pattern in TOKEN_PATTERNS.items()}
    chosen = [f"{parameter}={best[f'classifier__{parameter}']:g}" for parameter in values]
    chosen = ", ".join([*chosen, kept[best["vectorizer__token_pattern"]]])
    return clone(Pipeline(steps)).set_params(**best), chosen
