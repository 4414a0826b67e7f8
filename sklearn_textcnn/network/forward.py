"""The forward pass of a fitted network in NumPy.

A convolution over embedded tokens is a sum of table look-ups: with ``P_j = embedding @ kernel[j]``
the value of a window that starts at position ``t`` is ``sum_j P_j[ids[t + j]]``. The product is
made once per distinct token, not once per occurrence, and kept for the next documents.
"""

from threading import Lock

import numpy as np

from sklearn_textcnn.network.architecture import distinct_ids
from sklearn_textcnn.network.operations import (
    ACTIVATIONS,
    convolve,
    document_lengths,
    pool_positions,
    product_by_row,
    side_by_side,
    window_sums,
)
from sklearn_textcnn.network.threads import for_each

# Most memory for products of tokens that are kept.
KEPT_BYTES = 256 * 2**20
# Window values worked on at a time: they have to stay in a core's second-level cache.
BLOCK_VALUES = 160_000
# Features of more documents take memory, and going through it time.
DOCUMENTS_AT_A_TIME = 2**14


class Forward:
    """Logits of a network.

    Ids that are not `known`, (n_ids,), have no row of their own in the tables: they are read as
    unknown.
    """

    def __init__(self, architecture, weights, known):
        self.architecture, self.weights, self.known = architecture, weights, known
        self.activation = ACTIVATIONS[architecture.activation][0]
        self.dense = [
            (kernel.astype(np.float64), bias.astype(np.float64))
            for kernel, bias in zip(weights["dense_kernels"], weights["dense_biases"], strict=True)
        ]
        self.products = TokenProducts(architecture, weights)

    def logits(self, ids):
        """Logits of documents (n_samples, n_tokens): (n_samples, n_outputs), float32."""
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
        lengths = document_lengths(ids)
        longest, n_tokens = int(lengths.max()), int(lengths.sum())
        ids = self.as_read(ids[:, :longest])
        most = max(BLOCK_VALUES // max(self.architecture.filters), 1)  # windows
        if len(ids) * longest <= most:
            return self._pooled(ids)
        self.products.keep(distinct_ids(ids, len(self.known)))
        features = np.empty((len(ids), self.architecture.dense_shapes()[0][0]), dtype=np.float32)

        def work(block):
            features[block] = self._pooled(ids[block, : lengths[block[-1]]])

        blocks = blocks_by_length(lengths, most)
        for_each(work, blocks, n_tokens * self.products.width)
        return features

    def as_read(self, ids):
        """The same documents with what the network reads as unknown as the unknown id."""
        ids = np.where(self.known.take(ids, mode="clip"), ids, 1)
        if ids.max() >= len(self.known):
            ids[ids >= len(self.known)] = 1
        return ids

    def sums_by_size(self, ids):
        """For each kernel size the sums over its windows, (n, T, filters): before the bias.

        `ids` are as they are read. With `pools_sums` windows that start on padding sum up to
        minus infinity.
        """
        tables, places = self.products.look_up(ids)
        n, n_positions = places.shape
        kernel_sizes = self.architecture.kernel_sizes
        padded = np.zeros((n, n_positions + max(kernel_sizes) - 1), dtype=np.intp)
        padded[:, :n_positions] = places  # (n, T + k - 1); padding is at place 0
        for k, table in zip(kernel_sizes, tables, strict=True):
            rows = padded * k
            yield window_sums(table, [rows[:, j : j + n_positions] + j for j in range(k)])

    def activations(self, i, sums, counts):
        """What a kernel size pools over the document: (n, positions, filters), and what counts."""
        a, biases = self.architecture, self.weights["biases"][i]
        x = self._activated(sums, biases[0], counts)
        later = self.weights["kernels"][i][1 - a.conv_layers :] if a.conv_layers > 1 else []
        for kernel, bias in zip(later, biases[1:], strict=True):
            x, counts = pool_positions(x, counts, a.pool_size)
            x = self._activated(convolve(x, kernel), bias, counts)
        return x, counts

    def _pooled(self, ids):
        """Features of a few documents, (n, features)."""
        pooled = []
        for i, sums in enumerate(self.sums_by_size(ids)):
            if self.architecture.pools_sums:
                pooled.append(self.activation(sums.max(axis=1) + self.weights["biases"][i][0]))
            else:
                pooled += self._pooled_activations(i, sums, ids != 0)
        features = np.concatenate(pooled, axis=1)  # (n, features)
        if not ids[:, 0].all():
            features[~ids.any(axis=1)] = 0
        return features

    def _pooled_activations(self, i, sums, counts):
        """Features of a kernel size, from the sums over the windows of its first convolution."""
        x, counts = self.activations(i, sums, counts)
        pooling, pooled = self.architecture.pooling, []
        if "max" in pooling:
            pooled.append(np.where(counts[:, :, None], x, -np.inf).max(axis=1))
        if "average" in pooling:
            # added up in order, so that neither padding nor the shape changes how it is rounded
            total = np.cumsum(x, axis=1)[:, -1]  # (n, filters)
            pooled.append(total / np.maximum(counts.sum(axis=1, dtype=np.float32), 1)[:, None])
        return pooled

    def _activated(self, sums, bias, counts):
        x = self.activation(sums + bias)
        x[~counts] = 0
        return x  # (n, T, filters)


class TokenProducts:
    """What tokens add to windows: rows of the tables times the kernels of the first convolutions.

    Those of a token are made when it is met first and kept, so that no prediction pays for the
    whole vocabulary; once the memory for them is full, those of further tokens are made each time.
    """

    def __init__(self, architecture, weights):
        self.architecture, self.weights = architecture, weights
        self.kernels = (
            [] if architecture.one_hot else [side_by_side(k[0]) for k in weights["kernels"]]
        )
        self.width = architecture.columns[-1].stop
        n_ids = len(weights["tables"][0])
        self.n_places = min(n_ids, max(KEPT_BYTES // (4 * self.width), 1))
        # memory that nobody has written to is not there yet
        self.tables = self._empty(self.n_places)
        self.places = np.full(n_ids, -1, dtype=np.intp)
        self.n_kept, self._lock = 0, Lock()
        self.keep(np.zeros(1, dtype=np.intp))  # padding is at place 0

    def look_up(self, ids):
        """For each kernel size a table, (n_places * kernel_size, filters), and places of ids."""
        places = self.places.take(ids)
        if places.min() < 0:
            if not self.keep(ids[places < 0]):
                return self._without_keeping(ids)
            places = self.places.take(ids)
        return self._by_row(self.tables), places

    def keep(self, ids):
        """Make the products of tokens that have none yet; False if there is no room for them."""
        with self._lock:
            ids = np.unique(ids[self.places[ids] < 0])
            start, stop = self.n_kept, self.n_kept + len(ids)
            if stop > self.n_places:
                return False
            self.n_kept = stop  # first: an interrupt must not leave places that others get as well
            for table, products in zip(self.tables, self._products(ids), strict=True):
                table[start:stop] = products
            # last, since other threads read it without waiting
            self.places[ids] = np.arange(start, stop)
        return True

    def _without_keeping(self, ids):
        tokens, places = np.unique(np.append(ids, 0), return_inverse=True)  # padding comes first
        kept = self.places[tokens]
        new = kept < 0
        tables = self._empty(len(tokens))
        for table, source, products in zip(
            tables, self.tables, self._products(tokens[new]), strict=True
        ):
            table[~new] = source[kept[~new]]
            table[new] = products
        return self._by_row(tables), places[:-1].reshape(ids.shape)

    def _products(self, ids):
        """For each kernel size what each token adds, (len(ids), kernel_size * filters)."""
        rows = np.concatenate([table[ids] for table in self.weights["tables"]], axis=1)
        for i, columns in enumerate(self.architecture.columns):
            products = product_by_row(rows, self.kernels[i]) if self.kernels else rows[:, columns]
            if self.architecture.pools_sums and 0 in ids[:1]:
                # no window that starts on padding counts: it loses against every other
                products = products.copy()
                products[0, : self.architecture.filters[i]] = -np.inf
            yield products

    def _empty(self, n_places):
        widths = [columns.stop - columns.start for columns in self.architecture.columns]
        return [np.empty((n_places, width), dtype=np.float32) for width in widths]

    def _by_row(self, tables):
        return [
            table.reshape(-1, n) for table, n in zip(tables, self.architecture.filters, strict=True)
        ]


def blocks_by_length(lengths, most):
    """Cut documents, sorted by length, into runs of so many windows at most, or single ones."""
    order, start = np.argsort(lengths, kind="stable"), 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * lengths[order[stop]] <= most:
            stop += 1
        yield order[start:stop]
        start = stop
