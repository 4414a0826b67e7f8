"""Batches of documents of similar length, ready for the network."""

import numpy as np

# Documents are sorted by length within pools of this many batches: nearly all of the padding is
# gone, and batches still differ from epoch to epoch.
BATCHES_PER_POOL = 50


def document_lengths(ids):
    """Position after the last token of each row, 1 for an empty one, shape (n_samples,)."""
    is_token = ids != 0
    lengths = ids.shape[1] - is_token[:, ::-1].argmax(axis=1)
    lengths[~is_token.any(axis=1)] = 1
    return lengths


def shuffled_batches(lengths, batch_size, rng):
    """Rows of each batch of one epoch.

    Parameters
    ----------
    lengths : ndarray of shape (n_samples,)
    batch_size : int
    rng : numpy.random.Generator

    Returns
    -------
    list of ndarray
        Every row once. All batches but one have ``batch_size`` rows.
    """
    order = rng.permutation(len(lengths))
    pool_size = batch_size * BATCHES_PER_POOL
    pools = [order[start : start + pool_size] for start in range(0, len(order), pool_size)]
    order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    rng.shuffle(batches)
    return batches


def sorted_batches(lengths, batch_size):
    """Rows of each batch, by length: the least padding, for passes whose order does not matter."""
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


class BatchMaker:
    """Turns rows of ids into the distinct tokens of a batch and each position's place among them.

    Parameters
    ----------
    n_ids : int
        Size of the id space.
    widest : int
        Largest kernel size: so many positions less one are added on the right.
    """

    def __init__(self, n_ids, widest):
        self._place = np.zeros(n_ids, dtype=np.int32)
        self._is_there = np.zeros(n_ids, dtype=bool)
        self._is_there[0] = True
        self._widest = widest

    def __call__(self, ids):
        """Prepare one batch.

        Parameters
        ----------
        ids : ndarray of shape (n, T)

        Returns
        -------
        tokens : int32 ndarray of shape (n_tokens,)
            Distinct ids in rising order; the first is 0, padding.
        index : int32 ndarray of shape (n, T + widest - 1)
            Place of each position's id in `tokens`.
        """
        self._is_there[ids] = True
        tokens = np.flatnonzero(self._is_there).astype(np.int32)
        self._is_there[tokens[1:]] = False
        self._place[tokens] = np.arange(len(tokens), dtype=np.int32)
        index = np.zeros((len(ids), ids.shape[1] + self._widest - 1), dtype=np.int32)
        index[:, : ids.shape[1]] = self._place[ids]
        return tokens, index
