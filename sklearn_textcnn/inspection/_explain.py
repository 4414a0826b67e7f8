"""`explain` and `top_ngrams` of the classifiers."""

from numbers import Integral

import numpy as np
from scipy.special import expit, softmax

from sklearn_textcnn._checks import encode_labels
from sklearn_textcnn._encoding import provisional_ids
from sklearn_textcnn.inspection._batches import Reader
from sklearn_textcnn.inspection._explanation import Explanation, Later
from sklearn_textcnn.network.threads import for_each


def explain(estimator, X, target=None):
    """Divide a logit of each document among its n-grams.

    Parameters
    ----------
    estimator : TextCNNClassifier or NgramLinearClassifier
    X, target
        See `TextCNNClassifier.explain`.

    Returns
    -------
    list of Explanation
    """
    reader = Reader(estimator, X)
    place = None if target is None else _place_of(target, reader.classes)
    labels = reader.classes.tolist()
    explanations = [None] * len(reader.ids)

    def work(block):
        rows, make = block
        with np.errstate(under="ignore"):
            batch = make()
            places = _most_probable(reader, batch.logits)
            if place is not None:
                places[:] = place
            outputs = np.zeros_like(places) if reader.is_binary else places
            signs = np.where(places == 1, 1.0, -1.0) if reader.is_binary else np.ones(len(places))
            values, rest = batch.contributions(outputs)
            probabilities = _probabilities(reader, batch.logits)
        logits = (signs * batch.logits[np.arange(len(rows)), outputs]).tolist()
        biases = (signs * rest).tolist()
        values *= signs[:, None]
        later = Later(batch.ids, reader.name, batch.windows, values, labels, probabilities)
        places = places.tolist()
        for i, row in enumerate(rows.tolist()):
            known = {"target": labels[places[i]], "logit": logits[i], "bias": biases[i]}
            explanations[row] = Explanation._of(known, later, i)

    for_each(work, reader.batches(), np.count_nonzero(reader.ids) * reader.width)
    return explanations


def top_ngrams(estimator, X, n=10):
    """Find the n-grams that add most to the logit of each class.

    Parameters
    ----------
    estimator : TextCNNClassifier or NgramLinearClassifier
    X, n
        See `TextCNNClassifier.top_ngrams`.

    Returns
    -------
    dict of class to list of (str, float)
    """
    if not isinstance(n, Integral) or n < 1:
        raise ValueError(f"n must be an integer from 1 on, the n-grams of each class; got {n!r}.")
    reader = Reader(estimator, X)
    sums = _Sums(1 if reader.is_binary else len(reader.classes))
    with np.errstate(under="ignore"):
        for _, make in reader.batches():
            sums.add(make())
    ngrams, totals = sums.totals()
    if reader.is_binary:
        totals = np.concatenate([-totals, totals])

    def text(place):
        return " ".join(map(reader.name, ngrams[place]))

    found = {}
    for label, of_class in zip(reader.classes.tolist(), totals, strict=True):
        best = np.argsort(-of_class, kind="stable")[:n]
        found[label] = [(text(i), float(of_class[i])) for i in best if of_class[i] > 0]
    return found


class _Sums:
    """What n-grams add to each logit, over documents that come batch by batch."""

    def __init__(self, n_outputs):
        self._sums = np.zeros((n_outputs, 0))
        self._numbers = provisional_ids()  # of n-grams, by the bytes of their ids

    def add(self, batch):
        n_outputs, size = len(self._sums), batch.ids.itemsize
        values = [batch.contributions(np.full(len(batch.ids), o))[0] for o in range(n_outputs)]
        rows, columns = np.nonzero(np.any(values, axis=0))
        starts, stops = (size * places for places in batch.windows.places(rows, columns))
        tokens = [row[row != 0].tobytes() for row in batch.ids]
        spans = zip(rows.tolist(), starts.tolist(), stops.tolist(), strict=True)
        ngrams = [self._numbers[tokens[row][start:stop]] for row, start, stop in spans]
        self._make_room()
        for sums, of_windows in zip(self._sums, values, strict=True):
            np.add.at(sums, ngrams, of_windows[rows, columns])

    def totals(self):
        """N-grams as lists of ids, and their sums, (n_outputs, n_ngrams)."""
        ngrams = [np.frombuffer(key, np.int32).tolist() for key in self._numbers]
        return ngrams, self._sums[:, : len(ngrams)]

    def _make_room(self):
        if len(self._numbers) > self._sums.shape[1]:
            longer = np.zeros((len(self._sums), 2 * len(self._numbers)))
            longer[:, : self._sums.shape[1]] = self._sums
            self._sums = longer


def _place_of(target, classes):
    """Place of the target among the classes."""
    if np.ndim(target):
        raise ValueError(
            f"target must be one class for all documents, got {target!r}. Call explain for the "
            "documents of each class."
        )
    return encode_labels([target], classes, "target")[0]


def _most_probable(reader, logits):
    if reader.is_binary:
        return (logits[:, 0] > 0).astype(np.intp)
    return logits.argmax(axis=1)


def _probabilities(reader, logits):
    """A column per class, or per label."""
    if reader.is_binary:
        return np.concatenate([expit(-logits), expit(logits)], axis=1)
    return expit(logits) if reader.multilabel else softmax(logits, axis=1)
