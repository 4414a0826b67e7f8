"""The common network with its whole training step in NumPy and SciPy.

TensorFlow spreads each of the hundred short operations of a step over all cores and waits for them
in between; on two cores half of the time is waiting. Here a thread owns a share of the filters of
all kernel sizes, from the embedding to the update of the kernels, and the way back leaves out the
zeros that dropout, relu and pooling put into the gradient.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from threading import Lock
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from threadpoolctl import ThreadpoolController

from sklearn_textcnn.training._quiet import thread_limit
from sklearn_textcnn.training.missed import MissedSteps
from sklearn_textcnn.training.rules import BY_NAME

# The same on every machine and in every worker of a search, whatever its threads: other shares
# round differently, and training makes more of such a difference with every step. More than two
# would wait for the interpreter most of the time.
N_SHARES = 2
# Window sums of a block of documents stay in the cache of a core.
BLOCK_VALUES = 2**17


def serves(architecture, options):
    """Whether `FusedNetwork` trains this: the network of Kim (2014) and optimizers by name.

    Callbacks and optimizers of Keras need a Keras network.
    """
    return (
        architecture["conv_layers"] == 1
        and architecture["pooling"] == "max"
        and architecture["static_dim"] + architecture["trained_dim"] > 0
        and isinstance(options.optimizer, str)
        and not options.callbacks
    )


class _Part(NamedTuple):
    """Filters of one kernel size that belong to one thread."""

    size: int  # which of the kernel sizes
    kernel_size: int
    filters: slice  # of the kernel size's filters
    features: slice  # the same ones among all filters
    rows: slice  # of the kernel; a row per offset and filter


def _shares(kernel_sizes, filters):
    """Parts of each share; equal work for all.

    The second share has its parts the other way round. Otherwise both threads would multiply at the
    same time and then want Python, which only one can have, at the same time.
    """
    ends = np.cumsum(filters).tolist()
    sizes = list(enumerate(zip(kernel_sizes, filters, ends, strict=True)))
    shares, row = [], 0
    for share in range(N_SHARES):
        parts = []
        for i, (k, n, end) in reversed(sizes) if share % 2 else sizes:
            low, high = n * share // N_SHARES, n * (share + 1) // N_SHARES
            rows = slice(row, row + k * (high - low))
            if low < high:
                features = slice(end - n + low, end - n + high)
                parts.append(_Part(i, k, slice(low, high), features, rows))
            row = rows.stop
        if parts:
            shares.append(parts)
    return shares


class FusedNetwork:
    """Embedding, convolutions, max pooling, dense layers; forward, backward and update.

    Equal to `TextCNN` with a row-sparse optimizer, but for rounding.

    Parameters
    ----------
    architecture : dict
    head : {"softmax", "sigmoid"}
    options : Options
    """

    stop_training = False
    missed = None

    def __init__(self, architecture, head, options):
        self.architecture, self.head, self.options = architecture, head, options
        self.rule, self.slot_starts, self.catch_up = BY_NAME[options.optimizer]
        self.shares = _shares(architecture["kernel_sizes"], architecture["filters"])
        self.each = lambda work, items: [work(item) for item in items]

    @contextmanager
    def running(self):
        """Threads of ours for the time of a fit; a product stays on the thread that asks for it."""
        n_threads = min(len(self.shares), _n_threads())
        with (
            _quiet(),
            _one_thread_for_products() as limit,
            ThreadPoolExecutor(n_threads, initializer=limit.of_this_thread) as pool,
        ):
            alone, self.each = self.each, _Team(pool) if n_threads > 1 else self.each
            try:
                yield
            finally:
                self.each = alone

    def load(self, weights, optimizer_state=None):
        """Take weights in the shapes of plain Keras layers; the tables are trained in place."""
        tables = list(weights["embeddings"])
        self.static = tables.pop(0) if self.architecture["static_dim"] else None
        self.trained = tables.pop(0) if self.architecture["trained_dim"] else None
        firsts = [stack[0] for stack in weights["kernels"]]  # (kernel_size, dim, filters)
        parts = [firsts[p.size][:, :, p.filters].transpose(0, 2, 1) for p in self._parts()]
        dim = firsts[0].shape[1]
        self.kernel = np.concatenate([part.reshape(-1, dim) for part in parts])  # (columns, dim)
        self.conv_bias = np.concatenate([stack[0] for stack in weights["biases"]])
        self.dense_kernels = [kernel.copy() for kernel in weights["dense_kernels"]]
        self.dense_biases = [bias.copy() for bias in weights["dense_biases"]]
        self.step_number = 0
        self.slots = {
            name: [
                [np.full(array.shape, start, dtype=np.float32) for start in self.slot_starts]
                for array in arrays
            ]
            for name, arrays in self._trainable().items()
        }
        # a list is the state of a Keras optimizer, which another callback list may have asked for
        if isinstance(optimizer_state, tuple):
            self.step_number, earlier = optimizer_state
            for name, arrays in self.slots.items():
                for slots, old in zip(arrays, earlier[name], strict=True):
                    for slot, values in zip(slots, old, strict=True):
                        # the table may have more rows now than when the state was taken
                        slot[: len(values)] = values

    def optimizer_state(self):
        """What an optimizer needs to go on."""
        return self.step_number, self.slots

    def export(self, n_ids):
        """The weights as arrays in the shapes of plain Keras layers; tables are not copied."""
        a = self.architecture
        dim = self.kernel.shape[1]
        kernels = [
            [np.empty((k, dim, n), dtype=np.float32)]
            for k, n in zip(a["kernel_sizes"], a["filters"], strict=True)
        ]
        for part in self._parts():
            rows = self.kernel[part.rows].reshape(part.kernel_size, -1, dim)
            kernels[part.size][0][:, :, part.filters] = rows.transpose(0, 2, 1)
        ends = np.cumsum(a["filters"])[:-1]
        return {
            "embeddings": [t for t in (self.static, self.trained) if t is not None],
            "kernels": kernels,
            "biases": [[bias] for bias in np.split(self.conv_bias, ends)],
            "dense_kernels": self.dense_kernels,
            "dense_biases": self.dense_biases,
        }

    def logits(self, tokens, index):
        """Logits of a batch, (n, n_outputs)."""
        features, _ = self._features(self._rows(tokens), index)
        return self._dense(features)[1]

    def scores(self, targets, logits):
        """Cross-entropy of each document and 1 for each that is right, both (n,)."""
        return self._losses(targets, logits)[0], self._hits(targets, logits)

    def begin_epoch(self, n_steps):
        """Prepare for so many steps."""
        if self.trained is not None and self.catch_up is not None:
            self.missed = MissedSteps(len(self.trained), n_steps, self.step_number)

    def end_epoch(self):
        """Bring the rows up to date that were not in the last batches."""
        if self.missed is None:
            return
        for tokens, missed, owed in self.missed.all_rows():
            values, slots = self._trained_rows(tokens)
            self.catch_up(values, slots, missed, owed, self.options.learning_rate)
            self._put_back(tokens, values, slots)

    def step(self, tokens, index, targets, weights, dropout):
        """Train on one batch.

        Parameters
        ----------
        tokens : int32 ndarray of shape (n_tokens,)
            Distinct ids; the first is padding.
        index : int32 ndarray of shape (n, T + max(kernel_sizes) - 1)
            Place of each position's id in `tokens`.
        targets : ndarray of shape (n, n_outputs)
        weights : ndarray of shape (n,)
        dropout : list of ndarray
            What the inputs of each dense layer are multiplied by.

        Returns
        -------
        list of float
            Weighted losses, weighted hits and weights, summed over the batch, the l2 penalty, 1.
        """
        trained = None
        if self.trained is not None:
            trained = self._trained_rows(tokens)
            if self.missed is not None:
                missed, owed = self.missed.begin_step(tokens)
                self.catch_up(*trained, missed, owed, self.options.learning_rate)
        rows = self._rows(tokens, trained and trained[0])
        features, windows = self._features(rows, index)
        inputs, logits = self._dense(features, dropout)
        losses, by_logit = self._losses(targets, logits)
        by_logit *= (weights / np.float32(len(weights)))[:, None]
        penalty = self._penalty()
        self.step_number += 1
        by_feature = self._dense_backward(by_logit, inputs)
        by_feature *= ACTIVATIONS[self.architecture["activation"]][1](features)
        by_feature[~(index != 0).any(axis=1)] = 0  # documents without tokens: features are constant
        self._apply(self.conv_bias, by_feature.sum(axis=0), self.slots["conv_bias"][0])
        self._first_layer_backward(by_feature, windows, tokens, index, rows, trained)
        if self.options.max_norm is not None:
            _limit_norms(self.dense_kernels[-1], self.options.max_norm)
        hits = self._hits(targets, logits)
        return [np.dot(losses, weights), np.dot(hits, weights), weights.sum(), penalty, 1.0]

    def _parts(self):
        return [part for share in self.shares for part in share]

    def _rows(self, tokens, trained=None):
        """Embedding of each distinct token, (n_tokens, dim)."""
        if trained is None and self.trained is not None:
            trained = self.trained[tokens]
        if self.static is None:
            return trained
        static = self.static[tokens]
        return static if trained is None else np.concatenate([static, trained], axis=1)

    def _trained_rows(self, tokens):
        """Copies of trained rows and of their slots."""
        slots = self.slots["trained"][0]
        return self.trained.take(tokens, axis=0), [slot.take(tokens, axis=0) for slot in slots]

    def _put_back(self, tokens, values, slots):
        self.trained[tokens] = values
        for slot, new in zip(self.slots["trained"][0], slots, strict=True):
            slot[tokens] = new

    def _features(self, rows, index):
        """What the first dense layer reads, (n, features), and which windows won.

        The latter are where each window starts, (n, n_windows), and the number of the winning one,
        (n, features).
        """
        kernel_sizes = self.architecture["kernel_sizes"]
        n_positions = index.shape[1] - max(kernel_sizes) + 1
        counts = index[:, :n_positions] != 0
        # A window that starts on padding is replaced by the first that counts: a window that is
        # looked at twice changes no maximum.
        positions = np.where(counts, np.arange(n_positions), counts.argmax(axis=1)[:, None])
        documents = np.arange(len(index))[:, None]
        windows = [index[documents, positions + j] for j in range(max(kernel_sizes))]
        look_ups = {k: [windows[j] * k + j for j in range(k)] for k in set(kernel_sizes)}
        features = np.empty((len(index), len(self.conv_bias)), dtype=np.float32)
        winners = np.empty(features.shape, dtype=np.intp)

        def work(share):
            for part in share:
                table = rows @ self.kernel[part.rows].T  # (n_tokens, kernel_size * filters)
                table = table.reshape(len(rows) * part.kernel_size, -1)
                step = max(BLOCK_VALUES // (n_positions * table.shape[1]), 1)
                for start in range(0, len(index), step):
                    block = slice(start, start + step)
                    sums = _window_sums(table, [rows[block] for rows in look_ups[part.kernel_size]])
                    maxima = _maxima(sums)
                    features[block, part.features], winners[block, part.features] = maxima

        self.each(work, self.shares)
        features += self.conv_bias
        features = ACTIVATIONS[self.architecture["activation"]][0](features)
        features[~counts.any(axis=1)] = 0
        return features, (positions, winners)

    def _dense(self, x, dropout=None):
        """Inputs of the dense layers, each with its dropout factors, and logits."""
        inputs, last = [], len(self.dense_kernels) - 1
        for i, (kernel, bias) in enumerate(zip(self.dense_kernels, self.dense_biases, strict=True)):
            factors = np.float32(1) if dropout is None else dropout[i]
            inputs.append((x, factors))
            x = (x * factors) @ kernel + bias  # (n, units)
            if i < last:
                x = ACTIVATIONS[self.architecture["activation"]][0](x)
        return inputs, x

    def _losses(self, targets, logits):
        """Cross-entropy of each document, (n,), and its gradient, (n, n_outputs)."""
        if self.head == "softmax":
            shifted = logits - logits.max(axis=1, keepdims=True)
            log_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
            log_probabilities = shifted - log_sum
            losses = -(targets * log_probabilities).sum(axis=1)
            return losses, np.exp(log_probabilities) * targets.sum(axis=1, keepdims=True) - targets
        small = np.exp(-np.abs(logits))
        losses = np.maximum(logits, 0) - logits * targets + np.log1p(small)
        probabilities = np.where(logits >= 0, 1, small) / (1 + small)
        return losses.mean(axis=1), (probabilities - targets) / targets.shape[1]

    def _hits(self, targets, logits):
        if self.head == "softmax":
            return (logits.argmax(axis=1) == targets.argmax(axis=1)).astype(np.float32)
        return ((logits > 0) == (targets > 0.5)).all(axis=1).astype(np.float32)

    def _dense_backward(self, upstream, inputs):
        """Update the dense layers; return the gradient of what the first one reads."""
        slope = ACTIVATIONS[self.architecture["activation"]][1]
        for i in reversed(range(len(inputs))):
            x, factors = inputs[i]
            kernel, bias = self.dense_kernels[i], self.dense_biases[i]
            by_kernel = (x * factors).T @ upstream
            by_kernel += 2 * self.options.l2 * kernel
            by_bias = upstream.sum(axis=0)
            # dot, since @ does not ask BLAS where there is one output
            upstream = np.dot(upstream, kernel.T) * factors
            if i:
                upstream *= slope(x)
            self._apply(kernel, by_kernel, self.slots["dense_kernels"][i])
            self._apply(bias, by_bias, self.slots["dense_biases"][i])
        return upstream

    def _first_layer_backward(self, upstream, windows, tokens, index, rows, trained):
        static_dim = self.architecture["static_dim"]
        kernel_slots = self.slots["kernel"][0]

        def work(share_and_table):
            share, table = share_and_table
            part = slice(share[0].rows.start, share[-1].rows.stop)
            kernel = self.kernel[part]
            by_row = None
            if self.trained is not None:
                by_row = table.T @ np.ascontiguousarray(kernel[:, static_dim:])
            by_kernel = table @ rows
            if self.options.l2:
                by_kernel += 2 * self.options.l2 * kernel
            self._apply(kernel, by_kernel, [slot[part] for slot in kernel_slots])
            return by_row

        tables = _table_gradients(self.shares, upstream, windows, index, len(rows))
        by_row = self.each(work, list(zip(self.shares, tables, strict=True)))
        if trained is None:
            return
        values, slots = trained

        def update(part):
            gradient = sum(by_share[part] for by_share in by_row)
            now = values[part], [slot[part] for slot in slots]
            self._apply(now[0], gradient, now[1])
            self._put_back(tokens[part], *now)

        # row 0 is padding: it stays zero
        cuts = np.linspace(1, len(tokens), len(self.shares) + 1).astype(int)
        self.each(update, [slice(*cut) for cut in pairwise(cuts)])

    def _apply(self, value, gradient, slots):
        self.rule(gradient, value, slots, self.options.learning_rate, self.step_number)

    def _penalty(self):
        l2 = self.options.l2
        return l2 and l2 * sum(float((k * k).sum()) for k in [self.kernel, *self.dense_kernels])

    def _trainable(self):
        """Name -> arrays that are trained."""
        return {
            "trained": [] if self.trained is None else [self.trained],
            "kernel": [self.kernel],
            "conv_bias": [self.conv_bias],
            "dense_kernels": self.dense_kernels,
            "dense_biases": self.dense_biases,
        }


ACTIVATIONS = {
    "relu": (lambda x: np.maximum(x, 0), lambda y: y > 0),
    "tanh": (np.tanh, lambda y: 1 - y * y),
    "linear": (lambda x: x, np.ones_like),
}  # function, and its slope given its value


def _window_sums(table, look_ups):
    """Convolution before bias, (n, T, filters), as a sum of look-ups; one array (n, T) each."""
    total = table.take(look_ups[0], axis=0)
    part = np.empty_like(total)
    for rows in look_ups[1:]:
        # mode="clip" writes into `out` without a copy; no index is out of range
        table.take(rows, axis=0, out=part, mode="clip")
        total += part
    return total


def _maxima(sums):
    """Largest sum of each document and filter, (n, filters), and the first position that has it.

    NumPy's argmax along an axis that is not the last is slow; a maximum is not.
    """
    n_positions = sums.shape[1]
    maxima = sums.max(axis=1)
    kind = np.uint8 if n_positions < 2**8 else np.uint16 if n_positions < 2**16 else np.uint32
    from_the_end = np.arange(n_positions, 0, -1, dtype=kind)[:, None]  # largest at the first
    first = ((sums == maxima[:, None]) * from_the_end).max(axis=1)
    # none equals a maximum that is not a number, of training that diverges
    return maxima, np.minimum(n_positions - first.astype(np.intp), n_positions - 1)


def _table_gradients(shares, upstream, windows, index, n_tokens):
    """Gradient of the table ``kernel @ rows.T`` of each share: nearly empty, so sparse matrices."""
    by_filter = np.ascontiguousarray(upstream.T)  # (features, n)
    places = np.flatnonzero(by_filter != 0)
    filters = places // len(index)
    documents = places - filters * len(index)
    values = by_filter.take(places)
    positions, winners = windows
    won = np.ascontiguousarray(winners.T).take(places)
    first = documents * index.shape[1] + positions.take(documents * positions.shape[1] + won)
    counts = np.bincount(filters, minlength=len(by_filter))
    ends = np.concatenate([[0], counts.cumsum()])
    tokens = index.ravel()
    gradients = []
    for share in shares:
        data, columns, lengths = [], [], []
        for part in share:
            of_part = slice(ends[part.features.start], ends[part.features.stop])
            offsets = np.arange(part.kernel_size)[:, None]
            columns.append(tokens.take(first[of_part] + offsets).ravel())
            data.append(np.tile(values[of_part], part.kernel_size))
            lengths.append(np.tile(counts[part.features], part.kernel_size))
        lengths = np.concatenate(lengths)
        row_ends = np.concatenate([[0], lengths.cumsum()])
        matrix = np.concatenate(data), np.concatenate(columns), row_ends
        gradients.append(csr_array(matrix, shape=(len(lengths), n_tokens)))
    return gradients


def _limit_norms(kernel, most):
    """Scale each class's weight vector down to at most a norm."""
    norms = np.linalg.norm(kernel, axis=0)
    kernel *= np.minimum(1, most / np.maximum(norms, 1e-30)).astype(np.float32)


_fits_running, _limit, _limit_lock = 0, None, Lock()


class _Limit:
    """A limit of BLAS that any thread may lift.

    threadpoolctl 3.8 lets only the thread that has set a limit change it, and the fit that ends
    last need not be the one that began first. So a thread of its own sets this one and lifts it.
    """

    def __init__(self):
        self._controller = ThreadpoolController()
        self._keeper = ThreadPoolExecutor(1)
        self._limits = self._keeper.submit(self.of_this_thread).result()
        self._keeper.submit(self._limits.__enter__).result()

    def of_this_thread(self):
        """The same limit once more: where BLAS runs on OpenMP, each thread has its own."""
        return self._controller.limit(limits=1, user_api="blas")

    def lift(self):
        self._keeper.submit(self._limits.__exit__, None, None, None).result()
        self._keeper.shutdown()


@contextmanager
def _one_thread_for_products():
    """Limit BLAS to one thread while any fit runs: its setting is the process's, not the fit's."""
    global _fits_running, _limit
    with _limit_lock:
        if not _fits_running:
            _limit = _Limit()
        limit = _limit
        _fits_running += 1
    try:
        with limit.of_this_thread():
            yield limit
    finally:
        with _limit_lock:
            _fits_running -= 1
            if not _fits_running:
                limit.lift()


# NumPy's warnings are switched for each thread. That training diverges is said once, by the loop.
_quiet = partial(np.errstate, over="ignore", invalid="ignore", divide="ignore")


class _Team:
    """Calls a function for each item: one on this thread, the others on a pool's."""

    def __init__(self, pool):
        self.pool = pool

    def __call__(self, work, items):
        others = [self.pool.submit(_quiet()(work), item) for item in items[1:]]
        return [work(items[0]), *(other.result() for other in others)]


def _n_threads():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores, thread_limit() or cores)
