"""fastText with fit and predict."""

import tempfile
from pathlib import Path

import fasttext
import numpy as np


class FastText:
    """fastText as a classifier. It reads its training documents from a file.

    Parameters
    ----------
    prepare : callable
        Document -> tokens on one line, with spaces between them.
    **params
        Of ``fasttext.train_supervised``.
    """

    def __init__(self, prepare, **params):
        self.prepare, self.params = prepare, params

    def fit(self, X, y):
        self.classes, targets = np.unique(y, return_inverse=True)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "train.txt"
            lines = (
                f"__label__{target} {self.prepare(text)}\n"
                for text, target in zip(X, targets, strict=True)
            )
            path.write_text("".join(lines), encoding="utf-8")
            self.model = fasttext.train_supervised(str(path), verbose=0, **self.params)

    def predict(self, X):
        # a list, because predicting a single string breaks on NumPy 2
        labels, _ = self.model.predict([self.prepare(text) for text in X])
        # a document without tokens gets no label
        targets = [int(label[0].removeprefix("__label__")) if label else 0 for label in labels]
        return self.classes[targets]
