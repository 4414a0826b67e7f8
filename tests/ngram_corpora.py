"""A corpus of ids with all that a document may hold, and its TF-IDF by scikit-learn."""

import itertools

import numpy as np
from scipy.sparse import hstack
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.preprocessing import normalize

from sklearn_textcnn import _ngrams

N_IDS = 40


def strange_corpus(n_documents=120, n_classes=3, seed=0, noise=0.1):
    """Ids with padding inside, unknown tokens and an empty document, and class numbers."""
    rng = np.random.default_rng(seed)
    classes = np.resize(np.arange(n_classes), n_documents)
    ids = rng.integers(1, N_IDS - 5, (n_documents, 12)).astype(np.int32)
    ids[np.arange(12) >= rng.integers(1, 13, n_documents)[:, None]] = 0
    ids[np.arange(n_documents), rng.integers(12, size=n_documents)] = 2 + classes
    ids[rng.random(ids.shape) < 0.1] = 0
    ids[0] = 0
    wrong = rng.random(n_documents) < noise
    classes[wrong] = rng.integers(n_classes, size=wrong.sum())
    return ids, classes


def pairs_of(row):
    ids = [int(token) for token in row]
    return [f"#{a} #{b}" for a, b in itertools.pairwise(ids) if a > 1 and b > 1]


class ByHand(TransformerMixin, BaseEstimator):
    """Sublinear TF-IDF of tokens and of pairs, pairs with less weight."""

    def __init__(self, longest=2):
        self.longest = longest

    def fit(self, ids, y=None):
        words = CountVectorizer(analyzer=lambda row: [f"#{t}" for t in row if t > 1])
        pairs = CountVectorizer(analyzer=pairs_of)
        self.parts = [part.fit(ids) for part in (words, pairs)[: self.longest]]
        self.inverse = [
            TfidfTransformer(sublinear_tf=True, norm=None).fit(part.transform(ids))
            for part in self.parts
        ]
        return self

    def transform(self, ids):
        blocks = [
            weight * tfidf.transform(part.transform(ids))
            for weight, part, tfidf in zip(
                (1, _ngrams.PAIR_WEIGHT), self.parts, self.inverse, strict=False
            )
        ]
        return normalize(hstack(blocks, format="csr"))
