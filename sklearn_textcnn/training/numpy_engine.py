"""The engine of the common network: its whole training step in NumPy and SciPy.

Keras spreads each of the hundred short operations of a step over all cores and waits for them in
between; on two cores half of the time is waiting. Here a thread owns a share of the filters of all
kernel sizes, from the embedding to the update of the kernels, and the way back leaves out the zeros
that dropout, relu and pooling put into the gradient. Convolutions are look-ups, as in `forward`.
"""

from _thread import allocate_lock, start_new_thread
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from sklearn_textcnn.network.architecture import distinct_ids
from sklearn_textcnn.network.operations import ACTIVATIONS, document_lengths, window_sums
from sklearn_textcnn.network.threads import n_threads
from sklearn_textcnn.training.batches import BatchTokens, Epoch
from sklearn_textcnn.training.blas import one_thread_for_products
from sklearn_textcnn.training.losses import hits, mean_cross_entropy, smoothed
from sklearn_textcnn.training.missed_steps import MissedSteps
from sklearn_textcnn.training.update_rules import BY_NAME

# The same on every machine and in every worker of a search, whatever its threads: other shares
# round differently, and training makes more of such a difference with every step. More than two
# would wait for the interpreter most of the time.
N_SHARES = 2
# Window sums of a block of documents stay in the cache of a core.
BLOCK_VALUES = 2**17


class _Part(NamedTuple):
    """Filters of one kernel size that belong to one thread."""

    kernel_size: int
    features: slice  # among all filters
    rows: slice  # of the kernel; a row per offset and filter
    columns: list  # the same in the order of `Architecture.columns`, a slice for each offset


def _shares(architecture):
    """Parts of each share; equal work for all.

    The second share has its parts the other way round. Otherwise both threads would multiply at the
    same time and then want Python, which only one can have, at the same time.
    """
    filters = architecture.filters
    ends = np.cumsum(filters).tolist()
    sizes = list(enumerate(zip(architecture.kernel_sizes, filters, ends, strict=True)))
    shares, row = [], 0
    for share in range(N_SHARES):
        parts = []
        for i, (k, n, end) in reversed(sizes) if share % 2 else sizes:
            low, high = n * share // N_SHARES, n * (share + 1) // N_SHARES
            rows = slice(row, row + k * (high - low))
            if low < high:
                features = slice(end - n + low, end - n + high)
                starts = range(architecture.columns[i].start, architecture.columns[i].stop, n)
                columns = [slice(start + low, start + high) for start in starts]
                parts.append(_Part(k, features, rows, columns))
            row = rows.stop
        if parts:
            shares.append(parts)
    return shares


class NumpyEngine:
    """Embedding, convolutions, max pooling, dense layers; forward, backward and update."""

    def __init__(self, architecture, options):
        self.architecture, self.options = architecture, options
        self.rule, self.slot_starts, self.catch_up = BY_NAME[options.optimizer]
        self.shares = _shares(architecture)
        # the column behind each row of the kernel, and the other way round
        parts = [part for share in self.shares for part in share]
        self.columns = np.r_[*(columns for part in parts for columns in part.columns)]
        self.rows = np.argsort(self.columns)
        self.activation, self.slope = ACTIVATIONS[architecture.activation]
        self.each = _one_by_one
        self.step_number, self.slots, self.missed = 0, {}, None

    def train(self, weights, known, documents, course, rng, undo=None):
        """Train in a thread of its own, where an interrupt leaves no step half done.

        The tables of `weights` are trained in place; `undo`, a list, gets a function that puts them
        back, and what the optimizer knew. Returns the weights to keep.
        """
        interrupted, outcome, began, done = [], [], [], allocate_lock()
        self.interrupted = interrupted
        done.acquire()

        def fit():
            began.append(True)
            try:
                if interrupted:  # `self.interrupted` may be that of a later call by now
                    raise KeyboardInterrupt
                outcome.append(self._train(known, documents, course, rng))
            except BaseException as error:
                outcome.append(error)
            done.release()

        self._load(weights)
        if undo is not None:
            rows = np.flatnonzero(known)
            if not self.catch_up:
                rows = np.union1d(distinct_ids(documents.ids, len(known)), 1)
            undo.append(self._put_back(rows))
        # not by `threading`, which an interrupt may leave with a lock that is not what it was
        try:
            start_new_thread(copy_context().run, (fit,))
            while not outcome:
                done.acquire(timeout=0.1)  # a signal may wait until this thread does something
        finally:
            # a thread that has not begun yet will find this, and end
            interrupted.append(True)
            while began and not outcome:
                done.acquire(timeout=0.1)
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def _train(self, known, documents, course, rng):
        share = self.options.label_smoothing
        targets = smoothed(documents.targets, self.architecture.output, share)
        documents = replace(documents, targets=targets)
        batch_tokens = BatchTokens(len(known), max(self.architecture.kernel_sizes))
        lengths = document_lengths(documents.ids)
        with self._threads():
            while course.goes_on():
                totals = np.zeros(5)
                if self.trained is not None and self.catch_up:
                    n_steps = -(-len(lengths) // self.options.batch_size)
                    self.missed = MissedSteps(len(known), n_steps, self.step_number)
                for ids, *batch in Epoch(documents, lengths, self.options, rng):
                    self._stop_if_interrupted()
                    totals += self.step(*batch_tokens(ids), *batch, rng)
                    course.step()
                self._catch_up(known)
                loss, right, weight, penalty, n_documents = totals.tolist()
                scores = {"loss": loss / weight + penalty / n_documents, "accuracy": right / weight}
                course.end_epoch(scores, self._weights)
            return course.weights_to_keep() or self._weights()

    def _stop_if_interrupted(self):
        if self.interrupted:
            raise KeyboardInterrupt

    def _load(self, weights):
        """Take weights; those of an earlier call leave the state of the optimizer behind."""
        a, tables = self.architecture, list(weights["tables"])
        self.static = tables.pop(0) if a.static_dim else None
        self.trained = tables.pop(0) if tables else None
        self.kernel = None
        if not a.one_hot:
            rows = [k.transpose(0, 2, 1).reshape(-1, k.shape[1]) for (k,) in weights["kernels"]]
            self.kernel = np.concatenate(rows)[self.columns]  # (columns, dim)
        self.conv_bias = np.concatenate([stack[0] for stack in weights["biases"]])
        self.dense_kernels = [kernel.copy() for kernel in weights["dense_kernels"]]
        self.dense_biases = [bias.copy() for bias in weights["dense_biases"]]
        trainable = {"kernel": self.kernel, "conv_bias": self.conv_bias, "trained": self.trained}
        for i, arrays in enumerate(zip(self.dense_kernels, self.dense_biases, strict=True)):
            trainable |= {("kernel", i): arrays[0], ("bias", i): arrays[1]}
        for name, array in trainable.items():
            if array is not None:
                self.slots[name] = self._slots(array, self.slots.get(name))

    def _slots(self, array, earlier):
        """Numbers that the optimizer keeps for an array; a table may have grown since."""
        if earlier is not None and (not earlier or len(earlier[0]) == len(array)):
            return earlier
        # memory for zeros is not there before something else is written to it
        starts = [np.float32(start) for start in self.slot_starts]
        slots = [
            np.full(array.shape, s) if s else np.zeros(array.shape, np.float32) for s in starts
        ]
        for slot, old in zip(slots, earlier or [], strict=False):
            n = min(len(slot), len(old))
            slot[:n] = old[:n]
        return slots

    def _weights(self):
        """The weights as they are described in `architecture`; tables are not copied."""
        a, kernels = self.architecture, [[] for _ in self.architecture.filters]
        if self.kernel is not None:
            by_size = zip(a.kernel_sizes, a.filters, a.columns, strict=True)
            parts = [self.kernel[self.rows[columns]].reshape(k, n, -1) for k, n, columns in by_size]
            kernels = [[np.ascontiguousarray(part.transpose(0, 2, 1))] for part in parts]
        ends = np.cumsum(a.filters)[:-1]
        return {
            "tables": [table for table in (self.static, self.trained) if table is not None],
            "kernels": kernels,
            "biases": [[bias] for bias in np.split(self.conv_bias, ends)],
            "dense_kernels": self.dense_kernels,
            "dense_biases": self.dense_biases,
        }

    def _put_back(self, rows):
        """A function that puts back these rows of the tables and what the optimizer knows now."""
        trained = [] if self.trained is None else [self.trained, *self.slots["trained"]]
        others = [slot for name in self.slots if name != "trained" for slot in self.slots[name]]
        places = [(array, rows) for array in trained] + [(slot, ...) for slot in others]
        saved = [(array, where, array[where].copy()) for array, where in places]
        step_number = self.step_number

        def put_back():
            self.step_number = step_number
            for array, where, values in saved:
                array[where] = values

        return put_back

    @contextmanager
    def _threads(self):
        """Threads of ours for the time of a fit; a product stays on the thread that asks for it."""
        n = min(len(self.shares), n_threads())
        with (
            _quiet(),
            one_thread_for_products() as limit,
            ThreadPoolExecutor(n, initializer=limit.of_this_thread) as pool,
        ):
            self.each = _Team(pool) if n > 1 else _one_by_one
            try:
                yield
            finally:
                self.each = _one_by_one

    def _catch_up(self, known):
        """Bring rows up to date that were not in the last batches of an epoch."""
        if self.missed is None:
            return
        for some, missed, owed in self.missed.of_rows(np.flatnonzero(known)):
            self._catch_up_rows(some, missed, owed)
        self.missed = None

    def step(self, tokens, index, targets, weights, rng):
        """Train on one batch; `tokens` and `index` are those of `BatchTokens`.

        Returns weighted losses, weighted hits and weights, summed over the batch, the l2 penalty
        times the number of documents, and that number.
        """
        if self.missed is not None:
            self._catch_up_rows(tokens, *self.missed.begin_step(tokens))
        tables = [table for table in (self.static, self.trained) if table is not None]
        rows = [table.take(tokens, axis=0) for table in tables]
        rows = rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)  # (n_tokens, dim)
        features, windows = self._features(rows, index)
        inputs, logits = self._dense(features, rng)
        losses, by_logit = mean_cross_entropy(targets, logits, self.architecture.output)
        by_logit *= (weights / np.float32(len(weights)))[:, None]
        penalty = self._penalty()
        self.step_number += 1
        by_feature = self._dense_backward(by_logit, inputs)
        by_feature *= self.slope(features)
        by_feature[~(index != 0).any(axis=1)] = 0  # documents without tokens: features are constant
        self._apply(self.conv_bias, by_feature.sum(axis=0), self.slots["conv_bias"])
        self._first_layer_backward(by_feature, windows, tokens, index, rows)
        if self.options.max_norm is not None:
            _limit_norms(self.dense_kernels[-1], self.options.max_norm)
        right = hits(targets, logits, self.architecture.output)
        n = len(weights)
        return [np.dot(losses, weights), np.dot(right, weights), weights.sum(), penalty * n, n]

    def _catch_up_rows(self, tokens, missed, owed):
        rate = self.options.learning_rate
        self._change_rows(
            tokens, lambda rows, slots: self.catch_up(rows, slots, missed, owed, rate)
        )

    def _change_rows(self, tokens, change):
        """Change rows of the trained table, and what the optimizer keeps for them, in place."""
        arrays = self.trained, *self.slots["trained"]
        rows, *slots = (array.take(tokens, axis=0) for array in arrays)
        change(rows, slots)
        for array, values in zip(arrays, (rows, *slots), strict=True):
            array[tokens] = values

    def _features(self, rows, index):
        """What the first dense layer reads, (n, features), and which windows won.

        The latter are where each window starts, (n, n_windows), and the number of the winning one,
        (n, features).
        """
        kernel_sizes = self.architecture.kernel_sizes
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
                if self.kernel is None:
                    table = [rows[:, columns] for columns in part.columns]
                    table = np.concatenate(table, axis=1)  # (n_tokens, kernel_size * filters)
                else:
                    table = rows @ self.kernel[part.rows].T  # (n_tokens, kernel_size * filters)
                table = table.reshape(len(rows) * part.kernel_size, -1)
                step = max(BLOCK_VALUES // (n_positions * table.shape[1]), 1)
                for start in range(0, len(index), step):
                    block = slice(start, start + step)
                    sums = window_sums(table, [rows[block] for rows in look_ups[part.kernel_size]])
                    maxima = _maxima(sums)
                    features[block, part.features], winners[block, part.features] = maxima

        self.each(work, self.shares)
        features += self.conv_bias
        features = self.activation(features)
        features[~counts.any(axis=1)] = 0
        return features, (positions, winners)

    def _dense(self, x, rng):
        """Inputs of the dense layers, each with its dropout factors, and logits."""
        inputs, last, rate = [], len(self.dense_kernels) - 1, self.options.dropout
        for i, (kernel, bias) in enumerate(zip(self.dense_kernels, self.dense_biases, strict=True)):
            factors = np.float32(1)
            if rate:
                kept = rng.random(x.shape, dtype=np.float32) >= rate
                factors = kept * np.float32(1 / (1 - rate))
            inputs.append((x, factors))
            x = (x * factors) @ kernel + bias  # (n, units)
            if i < last:
                x = self.activation(x)
        return inputs, x

    def _dense_backward(self, upstream, inputs):
        """Update the dense layers; return the gradient of what the first one reads."""
        for i in reversed(range(len(inputs))):
            x, factors = inputs[i]
            kernel, bias = self.dense_kernels[i], self.dense_biases[i]
            by_kernel = (x * factors).T @ upstream
            by_kernel += 2 * self.options.l2 * kernel
            by_bias = upstream.sum(axis=0)
            # dot, since @ does not ask BLAS where there is one output
            upstream = np.dot(upstream, kernel.T) * factors
            if i:
                upstream *= self.slope(x)
            self._apply(kernel, by_kernel, self.slots["kernel", i])
            self._apply(bias, by_bias, self.slots["bias", i])
        return upstream

    def _first_layer_backward(self, upstream, windows, tokens, index, rows):
        static_dim = self.architecture.static_dim

        def work(share_and_table):
            share, table = share_and_table
            if self.kernel is None:
                return table.T.toarray()  # (n_tokens, rows of the share)
            part = slice(share[0].rows.start, share[-1].rows.stop)
            kernel = self.kernel[part]
            by_row = None
            if self.trained is not None:
                by_row = table.T @ np.ascontiguousarray(kernel[:, static_dim:])
            by_kernel = table @ rows
            if self.options.l2:
                by_kernel += 2 * self.options.l2 * kernel
            self._apply(kernel, by_kernel, [slot[part] for slot in self.slots["kernel"]])
            return by_row

        tables = _table_gradients(self.shares, upstream, windows, index, len(rows))
        by_row = self.each(work, list(zip(self.shares, tables, strict=True)))
        if self.trained is None:
            return

        def update(part):
            gradient = self._gradient_of_rows([of_share[part] for of_share in by_row])
            self._change_rows(tokens[part], lambda rows, slots: self._apply(rows, gradient, slots))

        # row 0 is padding: it stays zero; the pieces of the others stay in the cache of a core
        n_pieces = max(len(self.shares), len(tokens) * self.trained.shape[1] // BLOCK_VALUES)
        cuts = np.linspace(1, len(tokens), n_pieces + 1).astype(int)
        self.each(update, [slice(*cut) for cut in pairwise(cuts)])

    def _gradient_of_rows(self, by_share):
        """Gradient of rows of the trained table from what each share says, (n, width)."""
        if self.kernel is not None:
            return sum(by_share)
        gradient = np.empty((len(by_share[0]), self.trained.shape[1]), dtype=np.float32)
        for share, of_share in zip(self.shares, by_share, strict=True):
            start = 0
            for columns in (columns for part in share for columns in part.columns):
                stop = start + columns.stop - columns.start
                gradient[:, columns] = of_share[:, start:stop]
                start = stop
        return gradient

    def _apply(self, value, gradient, slots):
        self.rule(gradient, value, slots, self.options.learning_rate, self.step_number)

    def _penalty(self):
        l2 = self.options.l2
        kernels = self.dense_kernels if self.kernel is None else [self.kernel, *self.dense_kernels]
        return l2 and l2 * sum(float((k * k).sum()) for k in kernels)


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


# NumPy's warnings are switched for each thread. That training diverges is said once, by the course.
_quiet = partial(np.errstate, all="ignore")


def _one_by_one(work, items):
    return [work(item) for item in items]


class _Team:
    """Calls a function for each item: one on this thread, the others on a pool's."""

    def __init__(self, pool):
        self.pool = pool

    def __call__(self, work, items):
        others = [self.pool.submit(_quiet()(work), item) for item in items[1:]]
        return [work(items[0]), *(other.result() for other in others)]
