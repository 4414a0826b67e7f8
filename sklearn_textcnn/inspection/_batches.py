"""What the n-grams of documents add to the logits of a classifier, a few documents at a time."""

from functools import partial
from typing import NamedTuple

import numpy as np

from sklearn_textcnn._stacking import PartFactors
from sklearn_textcnn.inspection._linear import LinearReading
from sklearn_textcnn.inspection._network import NetworkReading
from sklearn_textcnn.network.forward import BLOCK_VALUES, blocks_by_length
from sklearn_textcnn.network.operations import document_lengths

SOURCES = NetworkReading.source, LinearReading.source
NETWORK_ALONE = PartFactors(0.0, 1.0, 1.0)


class Reader:
    """A fitted classifier and its documents, whatever a fit in another thread makes of it later.

    Parameters
    ----------
    estimator : TextCNNClassifier or NgramLinearClassifier
    X : TokenIds or array-like of int, shape (n_samples, n_tokens)

    Attributes
    ----------
    ids : ndarray of shape (n_samples, n_tokens)
    name : callable
        Id -> text.
    classes : ndarray
    is_binary : bool
        Whether there are two classes and one logit.
    multilabel : bool
    parts : list of (float, callable)
        What each part counts for, and what makes a reading of ids. Parts that count for nothing
        are left out.
    width : int
        Numbers that are looked up for each token.
    """

    def __init__(self, estimator, X):
        now = estimator._now()
        self.ids = estimator._checked(X, now)
        self.classes, self.multilabel = now.classes_, now._multilabel
        self.is_binary = len(now.classes_) == 2 and not now._multilabel
        self.name = _names(now.vocabulary_ or getattr(X, "vocabulary", None) or ())
        self.parts, self._most, self.width = [], BLOCK_VALUES, 0
        if not hasattr(now, "linear_"):
            self._add_linear(1.0, now._tables)
            return
        factors = NETWORK_ALONE if now.linear_ is None else PartFactors(*now._factors)
        if factors.linear:
            self._add_linear(factors.linear, now.linear_._tables)
        if factors.network:
            forward = estimator._forward(now)
            self.parts.append((factors.network * factors.scale, partial(NetworkReading, forward)))
            self._most = min(self._most, BLOCK_VALUES // max(forward.architecture.filters))
            self.width += forward.products.width

    def _add_linear(self, factor, tables):
        width = 2 * tables["rows"].shape[1]
        self.parts.append((factor, partial(LinearReading, tables)))
        self._most = min(self._most, BLOCK_VALUES // width)
        self.width += width

    def batches(self):
        """Yield documents of similar length, as rows and `Batch` of them, made when it is called.

        Yields
        ------
        rows : ndarray of shape (n,)
        batch : callable
        """
        lengths = document_lengths(self.ids)
        for rows in blocks_by_length(lengths, max(self._most, 1)):
            yield rows, partial(Batch, self.parts, self.ids[rows, : lengths[rows[-1]]])


def _names(vocabulary):
    """The function from an id to its text."""

    def name(token):
        if token == 1:
            return "[UNK]"
        return vocabulary[token - 2] if token - 2 < len(vocabulary) else f"#{token}"

    return name


class Spans(NamedTuple):
    """N-grams of a document, each once: where they start and stop, in tokens, and what they add.

    ``sources`` are places in `SOURCES`.
    """

    sources: np.ndarray
    starts: np.ndarray
    stops: np.ndarray
    values: np.ndarray


class Windows:
    """Which tokens the windows of a few documents hold.

    Parameters
    ----------
    is_token : ndarray of shape (n, T), dtype bool
    readings : list of NetworkReading or LinearReading
    """

    def __init__(self, is_token, readings):
        n, n_positions = is_token.shape
        # windows count positions; padding in the middle of a document is none of its tokens
        self._before = np.zeros((n, n_positions + 1), dtype=np.int32)
        np.cumsum(is_token, axis=1, out=self._before[:, 1:])
        self._starts = np.concatenate([reading.starts for reading in readings])  # (windows,)
        stops = np.concatenate([reading.stops for reading in readings])
        self._stops = np.minimum(stops, n_positions)
        sources = [SOURCES.index(reading.source) for reading in readings]
        self._sources = np.repeat(sources, [len(reading.starts) for reading in readings])

    def places(self, rows, columns):
        """Where windows start and stop, in tokens."""
        before = self._before
        return before[rows, self._starts[columns]], before[rows, self._stops[columns]]

    def spans(self, row, values):
        """Windows of a document that add something; those of a part with the same tokens are one.

        Parameters
        ----------
        row : int
        values : ndarray of shape (windows,)
        """
        columns = np.flatnonzero(values)
        sources = self._sources[columns]
        starts, stops = self.places(row, columns)
        n_places = self._before.shape[1]
        keys = (sources * n_places + starts) * n_places + stops
        _, first, which = np.unique(keys, return_index=True, return_inverse=True)
        sums = np.bincount(which, values[columns], len(first))
        return Spans(sources[first], starts[first], stops[first], sums)


class Batch:
    """A few documents that a classifier has read.

    Attributes
    ----------
    logits : ndarray of shape (n, n_outputs), dtype float64
    ids : ndarray of shape (n, T)
    windows : Windows
    """

    def __init__(self, parts, ids):
        self.ids = ids
        self._parts = [(factor, read(ids)) for factor, read in parts]
        self.logits = sum(factor * part.logits for factor, part in self._parts)
        self.windows = Windows(ids != 0, [part for _, part in self._parts])

    def contributions(self, outputs):
        """What each window adds to a logit of each document, (n, windows), and the rest, (n,)."""
        values, rest = [], 0
        for factor, part in self._parts:
            of_part, left = part.contributions(outputs)
            values.append(factor * of_part)
            rest = rest + factor * left
        return np.concatenate(values, axis=1), rest
