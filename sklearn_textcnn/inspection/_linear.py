"""What tokens and pairs of neighbours add to the logits of a linear machine."""

import numpy as np

from sklearn_textcnn._ngrams import feature_numbers


class LinearReading:
    """A few documents that a linear machine has read; otherwise as `NetworkReading`.

    A feature that stands at several places of a document is shared among them equally.

    Parameters
    ----------
    tables : dict of str to ndarray
        See `_ngrams`.
    ids : ndarray of shape (n, T)
    """

    source = "linear"

    def __init__(self, tables, ids):
        rows, pairs = tables["rows"], tables["pairs"]
        self._rows, self._intercept = rows, tables["intercept"]
        self._numbers = feature_numbers(ids, pairs, len(rows) - len(pairs))  # (n, windows)
        counts = _counts(self._numbers)
        frequencies = 1 + np.log(counts)
        found = rows.take(self._numbers, axis=0)  # (n, windows, n_outputs + 1)
        shares = frequencies / counts
        squares = np.einsum("nw,nw->n", found[:, :, -1], frequencies * shares)
        # a document without features has sums of zero
        self._weights = shares / np.sqrt(np.maximum(squares, 1e-12))[:, None]
        self.logits = self._intercept + np.einsum("nwo,nw->no", found[:, :, :-1], self._weights)
        n_positions, n_windows = ids.shape[1], self._numbers.shape[1]
        positions = np.arange(n_windows)
        self.starts = positions % n_positions
        self.stops = self.starts + 1 + positions // n_positions

    def contributions(self, outputs):
        """As those of `NetworkReading`."""
        values = self._rows[self._numbers, outputs[:, None]] * self._weights
        return values, self._intercept[outputs]


def _counts(numbers):
    """How often the number at each place is in its row, in the shape of `numbers`."""
    n, n_windows = numbers.shape
    # sorting numbers together with their places is faster than argsort
    keys = numbers.astype(np.int64) * n_windows + np.arange(n_windows)
    keys.sort(axis=1)
    in_order = keys // n_windows
    is_new = np.ones(numbers.shape, dtype=bool)
    is_new[:, 1:] = in_order[:, 1:] != in_order[:, :-1]
    starts = np.flatnonzero(is_new)
    runs = np.diff(np.append(starts, numbers.size))
    counts = np.empty(numbers.shape)
    places = keys - in_order * n_windows
    counts[np.arange(n)[:, None], places] = np.repeat(runs, runs).reshape(numbers.shape)
    return counts
