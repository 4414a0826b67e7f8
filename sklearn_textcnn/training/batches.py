"""Batches of documents of similar length, the same for both engines."""

import numpy as np

# Documents are sorted by length within pools of so many batches: nearly all of the padding is gone.
# A pool holds other documents in every epoch, so there have to be a few pools: with one, the
# batches would be the same ones in each epoch, and of one class if the length tells the class.
MOST_BATCHES_PER_POOL = 50
FEWEST_POOLS = 2


def shuffled_batches(lengths, batch_size, rng):
    """Rows of each batch of one epoch: every row once, ``batch_size`` in all batches but one."""
    order = rng.permutation(len(lengths))
    n_batches = -(-len(lengths) // batch_size)
    pool_size = batch_size * min(max(n_batches // FEWEST_POOLS, 1), MOST_BATCHES_PER_POOL)
    pools = [order[start : start + pool_size] for start in range(0, len(order), pool_size)]
    order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    rng.shuffle(batches)
    return batches


class Epoch:
    """The batches of one epoch, a sequence: ids (n, T), targets (n, n_outputs) and weights (n,).

    Some tokens are replaced by the unknown one. A batch is the same whenever it is asked for:
    TensorFlow does so ahead of time, and more than once. `lengths` are those of the documents.
    """

    def __init__(self, documents, lengths, options, rng):
        self._documents, self._lengths, self._rate = documents, lengths, options.token_dropout
        self._rows = shuffled_batches(lengths, options.batch_size, rng)
        self._seeds = rng.integers(2**63, size=len(self._rows)) if self._rate else None

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, i):
        rows = self._rows[i]
        ids = self._documents.ids[rows, : self._lengths[rows].max()]
        if self._rate:
            rng = np.random.default_rng(self._seeds[i])
            dropped = rng.random(ids.shape, dtype=np.float32) < self._rate
            ids = np.where(dropped & (ids != 0), np.int32(1), ids)
        return ids, self._documents.targets[rows], self._documents.weights[rows]


class BatchTokens:
    """Turns rows of ids into the distinct tokens of a batch and each position's place among them.

    Windows of up to `widest` tokens reach beyond the last position: so many less one are added.
    """

    def __init__(self, n_ids, widest):
        self._place = np.zeros(n_ids, dtype=np.int32)
        self._is_there = np.zeros(n_ids, dtype=bool)
        self._is_there[0] = True
        self._widest = widest

    def __call__(self, ids):
        """Distinct ids in rising order, padding first, and places in them, (n, T + widest - 1)."""
        self._is_there[ids] = True
        tokens = np.flatnonzero(self._is_there).astype(np.int32)
        self._is_there[tokens[1:]] = False
        self._place[tokens] = np.arange(len(tokens), dtype=np.int32)
        index = np.zeros((len(ids), ids.shape[1] + self._widest - 1), dtype=np.int32)
        index[:, : ids.shape[1]] = self._place[ids]
        return tokens, index
