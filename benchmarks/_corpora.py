"""The corpora of `accuracy.py` and how each is split: whole, and with few training documents."""

from dataclasses import dataclass
from itertools import islice

import numpy as np
from _common import load_corpus
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from sklearn_textcnn.datasets import load_docstrings

FEW = 500  # training documents of the small part
DRAWS = 10
MOST_TESTED = 2000  # documents a draw is tested on


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents and their splits, the same in every run and for every method.

    Parameters
    ----------
    texts : object ndarray of shape (n_documents,)
    labels : ndarray of shape (n_documents,)
    n_train : int or None
        With an official split: the first `n_train` documents are for training. None:
        cross-validation.
    repeats : int
        Folds; with an official split, seeds of a method that has a random start.
    grouped : bool
        Whether equal texts stay on one side of a split, because there are many.
    quick : bool
        Two splits of each kind, and few documents.
    """

    texts: np.ndarray
    labels: np.ndarray
    n_train: int | None
    repeats: int
    grouped: bool = False
    quick: bool = False

    def splitter(self, n_splits):
        kind = StratifiedGroupKFold if self.grouped else StratifiedKFold
        return kind(n_splits, shuffle=True, random_state=0)

    def groups(self, rows=slice(None)):
        return np.unique(self.texts[rows], return_inverse=True)[1] if self.grouped else None

    def splits(self, deterministic):
        """Rows to train on and rows to test on, once per fold or seed."""
        if self.n_train is None:
            splitter = self.splitter(self.repeats)
            splits = splitter.split(self.texts, self.labels, self.groups())
        else:
            # the same model as often as one likes tells nothing about spread
            rows = np.split(np.arange(len(self.texts)), [self.n_train])
            splits = [rows] * (1 if deterministic else self.repeats)
        return islice(splits, 2) if self.quick else splits

    def small_splits(self):
        """The same for draws of few training documents."""
        few, tested = (100, 100) if self.quick else (FEW, MOST_TESTED)
        pool = np.arange(len(self.texts) if self.n_train is None else self.n_train)
        for draw in range(2 if self.quick else DRAWS):
            train, rest = train_test_split(
                pool, train_size=few, stratify=self.labels[pool], random_state=draw
            )
            if self.n_train is None:
                seen = set(self.texts[train])
                test = np.array([row for row in rest if self.texts[row] not in seen])
            else:
                test = np.arange(self.n_train, len(self.texts))
                test = np.random.default_rng(draw).permutation(test)
            yield train, test[:tested]


def _from_files(names, repeats, grouped=False):
    def load(data, quick):
        parts = [load_corpus(data, name, 300 if quick else None) for name in names]
        texts, labels = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        n_train = len(parts[0][0]) if len(parts) == 2 else None
        return Corpus(texts, labels, n_train, repeats, grouped, quick)

    return load


def _docstrings(data, quick):
    texts, labels = load_docstrings(return_X_y=True)
    n = 300 if quick else None
    return Corpus(np.array(texts, dtype=object)[:n], labels[:n], None, repeats=5, quick=quick)


# name -> how to load it
CORPORA = {
    "MR": _from_files(["mr/all"], 10),
    "TREC": _from_files(["trec/train", "trec/test"], 3),
    "20ng": _from_files(["20ng/train", "20ng/test"], 1),
    "SMS": _from_files(["sms_spam/all"], 5, grouped=True),
    "docstrings": _docstrings,
}
