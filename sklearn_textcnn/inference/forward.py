"""The forward pass of a fitted network in NumPy.

A convolution over embedded tokens is a sum of table look-ups: with ``P_j = embedding @ kernel[j]``
the value of a window that starts at position ``t`` is ``sum_j P_j[ids[t + j]]``. The product is
made once per distinct token, not once per occurrence, and for the whole vocabulary as soon as
that has become the cheaper way.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

# A matrix product of fixed height gives each row the same bits wherever it stands and whatever
# stands around it, which BLAS does not promise for products of different heights. OpenBLAS takes
# rows of a higher one in groups of several sizes, which round differently.
ROWS_PER_PRODUCT = 8
# OpenBLAS computes a product of this many multiplications where it was called. A larger one it
# divides among threads, which at these sizes spend their time waiting for each other.
MOST_MULTIPLICATIONS = 2**18
# Largest tables of the whole vocabulary that are kept in memory.
TABLE_LIMIT_BYTES = 256 * 2**20
# Window values worked on at a time: they have to stay in a core's second-level cache.
BLOCK_VALUES = 160_000
# Features of more documents take memory, and going through it time.
DOCUMENTS_AT_A_TIME = 2**14
# Fewer look-ups than this are done sooner than a thread has started.
VALUES_PER_THREAD = 20_000_000

ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0, out=x),
    "tanh": lambda x: np.tanh(x, out=x),
    "linear": lambda x: x,
}


def product_by_row(left, right):
    """Matrix product whose rows do not depend on how many rows there are.

    Parameters
    ----------
    left : ndarray of shape (n, d)
    right : ndarray of shape (d, m)

    Returns
    -------
    ndarray of shape (n, m)
    """
    n, d = left.shape
    n_blocks = -(-n // ROWS_PER_PRODUCT)
    if n_blocks * ROWS_PER_PRODUCT != n:
        padded = np.zeros((n_blocks * ROWS_PER_PRODUCT, d), dtype=left.dtype)
        padded[:n] = left
        left = padded
    blocks = left.reshape(n_blocks, ROWS_PER_PRODUCT, d)
    n_columns = right.shape[1]
    product = np.empty((n_blocks, ROWS_PER_PRODUCT, n_columns), dtype=left.dtype)
    width = max(MOST_MULTIPLICATIONS // (ROWS_PER_PRODUCT * d), 1)
    for start in range(0, n_columns, width):
        part = slice(start, start + width)
        np.matmul(blocks, right[:, part], out=product[:, :, part])
    return product.reshape(-1, n_columns)[:n]


class Forward:
    """Logits of a fitted network.

    Parameters
    ----------
    architecture : dict
        ``kernel_sizes``, ``filters``, ``conv_layers``, ``pool_size``, ``pooling`` and
        ``activation`` of the network, the first two as tuples of equal length.
    weights : dict
        ``embeddings``: list of arrays of shape (n_ids, dim), side by side on the embedding axis,
        empty for one-hot tokens. ``kernels`` and ``biases``: for each kernel size a list with
        an array of shape (kernel_size, channels, filters), respectively (filters,), per layer.
        ``dense_kernels`` and ``dense_biases``: hidden layers, then the output layer.
    """

    def __init__(self, architecture, weights):
        self.kernel_sizes = architecture["kernel_sizes"]
        self.filters = architecture["filters"]
        self.conv_layers = architecture["conv_layers"]
        self.pool_size = architecture["pool_size"]
        self.pooling = architecture["pooling"]
        self.activation = ACTIVATIONS[architecture["activation"]]
        self.weights = weights
        self.one_hot = not weights["embeddings"]
        self.n_ids = (
            weights["kernels"][0][0].shape[1] if self.one_hot else len(weights["embeddings"][0])
        )
        # max pooling, bias and a monotone activation commute: pool first, on the bare sums
        self.pools_sums = self.conv_layers == 1 and self.pooling == "max"
        self.first_kernels = (
            [] if self.one_hot else [_side_by_side(k[0]) for k in weights["kernels"]]
        )
        self.dense = [
            (kernel.astype(np.float64), bias.astype(np.float64))
            for kernel, bias in zip(weights["dense_kernels"], weights["dense_biases"], strict=True)
        ]
        self.width = sum(k * f for k, f in zip(self.kernel_sizes, self.filters, strict=True))
        self.tables = None
        self.rows_multiplied = 0

    def logits(self, ids):
        """Logits of documents.

        Parameters
        ----------
        ids : ndarray of shape (n_samples, n_tokens)
            Token ids, not negative. Ids beyond the table count as unknown.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs), dtype float32
        """
        logits = np.empty((len(ids), len(self.dense[-1][1])), dtype=np.float32)
        for start in range(0, len(ids), DOCUMENTS_AT_A_TIME):
            part = slice(start, start + DOCUMENTS_AT_A_TIME)
            hidden = self.features(ids[part]).astype(np.float64)  # (n, features)
            for kernel, bias in self.dense[:-1]:
                hidden = self.activation(hidden @ kernel + bias)  # (n, units)
            kernel, bias = self.dense[-1]
            logits[part] = hidden @ kernel + bias  # (n, outputs)
        return logits

    def features(self, ids):
        """Pooled features, what the first dense layer reads, shape (n_samples, n_features)."""
        known = ids < self.n_ids
        if not known.all():
            ids = np.where(known, ids, 1)
        lengths = document_lengths(ids)
        longest, n_tokens = int(lengths.max()), int(lengths.sum())
        tables = self._tables_for(n_tokens)
        if len(ids) * longest * max(self.filters) <= BLOCK_VALUES:
            return self._pooled(ids[:, :longest], tables)
        n_channels = self.pooling.count("+") + 1
        features = np.empty((len(ids), n_channels * sum(self.filters)), dtype=np.float32)

        def work(block):
            features[block] = self._pooled(ids[block, : lengths[block[-1]]], tables)

        blocks = self._blocks(np.argsort(lengths, kind="stable"), lengths)
        for_each(work, blocks, n_tokens * self.width)
        return features

    def _blocks(self, order, lengths):
        """Cut documents, sorted by length, into runs whose windows fit the cache."""
        most = max(BLOCK_VALUES // max(self.filters), 1)  # windows
        start = 0
        while start < len(order):
            stop = start + 1
            while stop < len(order) and (stop + 1 - start) * lengths[order[stop]] <= most:
                stop += 1
            yield order[start:stop]
            start = stop

    def _tables_for(self, n_tokens):
        """Tables of the whole vocabulary if they pay, else None: products by distinct token."""
        if self.tables is None and self.n_ids * self.width * 4 <= TABLE_LIMIT_BYTES:
            # the tokens in hand stand for the products they would need, at most one per id
            self.rows_multiplied += min(n_tokens, self.n_ids)
            if self.rows_multiplied >= self.n_ids:
                self.tables = self._products(np.arange(self.n_ids))
        return self.tables

    def _products(self, tokens):
        """For each kernel size an array of shape (len(tokens) * kernel_size, filters).

        ``tokens[0]`` is the padding id.
        """
        tables = []
        if not self.one_hot:
            rows = np.concatenate([table[tokens] for table in self.weights["embeddings"]], axis=1)
        for i, (k, n_filters) in enumerate(zip(self.kernel_sizes, self.filters, strict=True)):
            if self.one_hot:
                table = self.weights["kernels"][i][0][:, tokens].transpose(1, 0, 2).copy()
            else:
                table = product_by_row(rows, self.first_kernels[i])
            table = table.reshape(len(tokens), k, n_filters)
            if self.pools_sums:
                # no window that starts on padding counts: it loses against every other
                table[0, 0] = -np.inf
            tables.append(table.reshape(-1, n_filters))
        return tables

    def _sums(self, ids, tables):
        """For each kernel size the sums over all windows, shape (n, T, filters)."""
        if tables is None:
            tokens = np.unique(ids)
            if tokens[0] != 0:
                tokens = np.concatenate([np.zeros(1, dtype=tokens.dtype), tokens])
            ids = np.searchsorted(tokens, ids)
            tables = self._products(tokens)
        n, n_positions = ids.shape
        padded = np.zeros((n, n_positions + max(self.kernel_sizes) - 1), dtype=np.intp)
        padded[:, :n_positions] = ids  # (n, T + k - 1)
        for k, table in zip(self.kernel_sizes, tables, strict=True):
            rows = padded * k
            total = table.take(rows[:, :n_positions], axis=0)  # (n, T, filters)
            part = np.empty_like(total)
            for j in range(1, k):
                # mode="clip" writes into `out` without a copy; no index is out of range
                table.take(rows[:, j : j + n_positions] + j, axis=0, out=part, mode="clip")
                total += part
            yield total

    def _pooled(self, ids, tables):
        if self.pools_sums:
            pooled = self._pooled_sums(ids, tables)
        else:
            pooled = self._pooled_activations(ids, tables)
        features = np.concatenate(pooled, axis=1)  # (n, features)
        if not ids[:, 0].all():
            features[~ids.any(axis=1)] = 0
        return features

    def _pooled_sums(self, ids, tables):
        return [
            self.activation(total.max(axis=1) + biases[0])
            for total, biases in zip(self._sums(ids, tables), self.weights["biases"], strict=True)
        ]

    def _pooled_activations(self, ids, tables):
        pooled = []
        for i, x in enumerate(self._sums(ids, tables)):
            counts = ids != 0  # (n, T)
            x = self._activated(x, self.weights["biases"][i][0], counts)
            for kernel, bias in zip(
                self.weights["kernels"][i][1:], self.weights["biases"][i][1:], strict=True
            ):
                x, counts = pool_positions(x, counts, self.pool_size)
                x = self._activated(convolve(x, kernel), bias, counts)
            if "max" in self.pooling:
                pooled.append(np.where(counts[:, :, None], x, -np.inf).max(axis=1))
            if "average" in self.pooling:
                n_counts = np.maximum(counts.sum(axis=1, dtype=np.float32), 1)  # (n,)
                pooled.append(x.sum(axis=1) / n_counts[:, None])
        return pooled

    def _activated(self, sums, bias, counts):
        x = self.activation(sums + bias)
        x[~counts] = 0
        return x  # (n, T, filters)


def convolve(x, kernel):
    """Convolution that reads zeros past the right edge.

    Parameters
    ----------
    x : ndarray of shape (n, T, channels)
    kernel : ndarray of shape (kernel_size, channels, filters)

    Returns
    -------
    ndarray of shape (n, T, filters)
    """
    n, n_positions, n_channels = x.shape
    k, _, n_filters = kernel.shape
    padded = np.zeros((n, n_positions + k - 1, n_channels), dtype=x.dtype)
    padded[:, :n_positions] = x
    parts = product_by_row(padded.reshape(-1, n_channels), _side_by_side(kernel))
    parts = parts.reshape(n, n_positions + k - 1, k, n_filters)
    total = parts[:, :n_positions, 0].copy()
    for j in range(1, k):
        total += parts[:, j : j + n_positions, j]
    return total


def pool_positions(x, counts, pool_size):
    """Max pooling between layers, over the positions that count.

    Parameters
    ----------
    x : ndarray of shape (n, T, filters)
    counts : boolean ndarray of shape (n, T)
    pool_size : int

    Returns
    -------
    x : ndarray of shape (n, ceil(T / pool_size), filters)
        Zero where no position of the pool counts.
    counts : boolean ndarray of shape (n, ceil(T / pool_size))
    """
    n, n_positions, n_filters = x.shape
    n_pools = -(-n_positions // pool_size)
    lowest = np.full((n, n_pools * pool_size, n_filters), -np.inf, dtype=x.dtype)
    lowest[:, :n_positions][counts] = x[counts]
    pooled = lowest.reshape(n, n_pools, pool_size, n_filters).max(axis=2)
    in_pool = np.zeros((n, n_pools * pool_size), dtype=bool)
    in_pool[:, :n_positions] = counts
    pool_counts = in_pool.reshape(n, n_pools, pool_size).any(axis=2)
    pooled[~pool_counts] = 0
    return pooled, pool_counts


def _side_by_side(kernel):
    """(kernel_size, channels, filters) -> (channels, kernel_size * filters), contiguous."""
    k, n_channels, n_filters = kernel.shape
    return np.ascontiguousarray(kernel.transpose(1, 0, 2)).reshape(n_channels, k * n_filters)


def document_lengths(ids):
    """Position after the last token of each row, at least 1, shape (n_samples,)."""
    is_token = ids != 0
    lengths = ids.shape[1] - is_token[:, ::-1].argmax(axis=1)
    lengths[~is_token.any(axis=1)] = 1
    return lengths


def for_each(work, blocks, n_values):
    """Call a function for each block of documents, on all cores where that pays.

    Parameters
    ----------
    work : callable
    blocks : iterable
    n_values : int
        Look-ups in all blocks, or as many as take as long.
    """
    n_threads = _n_threads(n_values)
    if n_threads > 1:
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(work, blocks))
    else:
        for block in blocks:
            work(block)


def _n_threads(n_values):
    if n_values < 2 * VALUES_PER_THREAD:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # joblib's workers and batch systems say through this variable how many threads are ours
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdigit() and int(limit) else cores
