"""The network in Keras' own layers and operations, for training and for export."""

import keras
import numpy as np
from keras import ops

from sklearn_textcnn.network.architecture import arrays_of, map_arrays

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "TextCNNClassifier needs Keras on TensorFlow for this, but Keras runs on "
        f"{keras.backend.backend()!r} here. Set the environment variable KERAS_BACKEND=tensorflow "
        "before Keras is imported, or change 'backend' in keras.json. The NumPy engine and "
        "predicting with a fitted classifier work on any backend."
    )

# What cannot win a maximum; float16 has no such small numbers.
LOWEST = {"float16": -6e4}
LAST = 2**31 - 1


class KerasNetwork:
    """The plain `model`, ids (n, T) -> probabilities (n, n_outputs), and its `variables`.

    These are keras.Variables in the places of the weights: see `architecture`. Ids from `n_ids` on
    count as unknown. `linear`, the tables of a linear part, goes with `factors`, what its logits
    and those of the network are multiplied by in their sum.
    """

    def __init__(self, architecture, n_ids, dropout, l2, max_norm, linear=None, factors=None):
        self.architecture = a = architecture
        self.regularizer = keras.regularizers.L2(l2) if l2 else None
        self.variables = {
            "tables": [],
            "kernels": [[] for _ in a.filters],
            "biases": [[] for _ in a.filters],
            "dense_kernels": [],
            "dense_biases": [],
        }
        inputs = keras.Input((None,), dtype="int32", name="ids")
        ids = ops.where(ops.less(inputs, n_ids), inputs, 1)  # (n, T)
        pooled = self._features(ids, n_ids)
        x = keras.layers.Concatenate()(pooled) if len(pooled) > 1 else pooled[0]  # (n, features)
        for units in a.hidden_units:
            x = self._dense(x, units, dropout, activation=a.activation)  # (n, units)
        output = {"dtype": "float32"}  # also where the policy of the process is mixed precision
        if max_norm is not None:
            output["kernel_constraint"] = keras.constraints.MaxNorm(max_norm, axis=0)
        if linear is None:
            x = self._dense(x, a.n_outputs, dropout, activation=a.output, **output)
        else:
            x = self._dense(x, a.n_outputs, dropout, **output)
            parts = _linear_part(inputs, linear), x
            x = ops.add(*(ops.multiply(*pair) for pair in zip(parts, factors, strict=True)))
            x = keras.layers.Activation(a.output, dtype="float32")(x)
        self.model = keras.Model(inputs, x, name="text_cnn")

    def write(self, weights):
        """Set the weights."""
        arrays = arrays_of({name: weights[name] for name in self.variables})
        for variable, array in zip(arrays_of(self.variables), arrays, strict=True):
            variable.assign(array.reshape(variable.shape))

    def read(self):
        """The weights, copied."""
        weights = map_arrays(lambda v: v.value.numpy().astype(np.float32), self.variables)
        if self.architecture.one_hot:
            for stack in weights["biases"]:
                stack[0] = stack[0][0]
        return weights

    def _features(self, ids, n_ids):
        """Pooled features, a tensor (n, filters) for each kernel size and kind of pooling."""
        a = self.architecture
        # windows read zeros past the right edge: P = T + max(k) - 1 positions
        ids = ops.pad(ids, [[0, 0], [0, max(a.kernel_sizes) - 1]])  # (n, P)
        counts = ops.expand_dims(ops.not_equal(ids, 0), 2)  # (n, P, 1)
        tables = [self._table(n_ids, width, i) for i, width in enumerate(a.table_widths())]
        embedded = [table(ids) for table in tables]  # (n, P, dim) each
        x = keras.layers.Concatenate()(embedded) if len(tables) > 1 else embedded[0]
        x = _masked(x, counts, 0.0)  # (n, P, dim); else the row of padding would be trained
        pooled = []
        for i, (k, columns) in enumerate(zip(a.kernel_sizes, a.columns, strict=True)):
            sums = self._one_hot_windows(x[:, :, columns], i) if a.one_hot else self._windows(x, i)
            pooled += self._pooled(sums, counts[:, : 1 - k or None], i)  # P - k + 1 windows
        return pooled

    def _table(self, n_ids, width, i):
        table = keras.layers.Embedding(
            n_ids,
            width,
            embeddings_initializer="zeros",
            trainable=not (self.architecture.static_dim and i == 0),
        )
        table.build()
        self.variables["tables"].append(table.embeddings)
        return table

    def _windows(self, x, i):
        """Convolution: (n, P, channels) -> (n, P - k + 1, filters)."""
        layer = keras.layers.Conv1D(
            self.architecture.filters[i],
            self.architecture.kernel_sizes[i],
            activation=self.architecture.activation,
            kernel_initializer="zeros",
            kernel_regularizer=self.regularizer,
            data_format="channels_last",
        )
        x = layer(x)
        self.variables["kernels"][i].append(layer.kernel)
        self.variables["biases"][i].append(layer.bias)
        return x

    def _one_hot_windows(self, rows, i):
        """Convolution of one-hot tokens, from what each adds: (n, P, k * filters)."""
        k, n = self.architecture.kernel_sizes[i], self.architecture.filters[i]
        parts = [rows[:, j : (j + 1 - k) or None, j * n : (j + 1) * n] for j in range(k)]
        # Keras has no layer that only adds a bias
        bias = keras.layers.Embedding(1, n, embeddings_initializer="zeros")
        parts.append(bias(ops.zeros_like(rows[:, : 1 - k or None, 0], dtype="int32")))
        self.variables["biases"][i].append(bias.embeddings)
        total = keras.layers.Add()(parts)
        return keras.layers.Activation(self.architecture.activation)(total)

    def _pooled(self, x, counts, i):
        """The later convolutions, and what pooling over the document makes of them."""
        a = self.architecture
        pool = {"pool_size": a.pool_size, "data_format": "channels_last"}
        # valid pooling drops what does not fill a pool, so this pads to a multiple and no further
        right = [[0, 0], [0, a.pool_size - 1], [0, 0]]
        lowest = LOWEST.get(x.dtype, -1e30)
        between = 0.0 if a.activation == "relu" else lowest  # relu has nothing below 0
        edge = [[0, 0], [0, a.kernel_sizes[i] - 1], [0, 0]]
        for _ in range(a.conv_layers - 1):
            x = ops.pad(_masked(x, counts, between), right, constant_values=between)
            x = keras.layers.MaxPooling1D(**pool)(x)  # (n, ceil(T / pool), filters)
            counts = ops.pad(ops.cast(counts, "float32"), right)
            counts = ops.greater(keras.layers.MaxPooling1D(**pool)(counts), 0.5)
            x = self._windows(ops.pad(x if between == 0 else _masked(x, counts, 0.0), edge), i)
        results = []
        if "max" in a.pooling:
            maximum = keras.layers.GlobalMaxPooling1D(data_format="channels_last")
            # costs nothing on the way back; addition would take it for a bias at some shapes
            hidden = ops.multiply(ops.cast(ops.logical_not(counts), x.dtype), -lowest)
            largest = maximum(ops.subtract(x, hidden))  # (n, filters)
            is_there = ops.cast(ops.any(counts, axis=1), x.dtype)  # (n, 1)
            results.append(keras.layers.Multiply()([largest, is_there]))
        if "average" in a.pooling:
            total = ops.sum(_masked(x, counts, 0.0), axis=1)  # (n, filters)
            n_counts = ops.sum(ops.cast(counts, x.dtype), axis=1)  # (n, 1)
            results.append(ops.divide(total, ops.maximum(n_counts, 1.0)))
        return results

    def _dense(self, x, units, dropout, **settings):
        if dropout:
            x = keras.layers.Dropout(dropout, seed=0)(x)
        layer = keras.layers.Dense(
            units, kernel_initializer="zeros", kernel_regularizer=self.regularizer, **settings
        )
        x = layer(x)
        self.variables["dense_kernels"].append(layer.kernel)
        self.variables["dense_biases"].append(layer.bias)
        return x


def _masked(x, counts, value):
    """`x` with another value where nothing counts."""
    if value == 0:
        return keras.layers.Multiply()([x, ops.cast(counts, x.dtype)])
    return ops.where(counts, x, value)


def _linear_part(ids, linear):
    """What `_ngrams.linear_logits` computes, in operations that every format of export has."""
    rows, pairs = linear["rows"], linear["pairs"]
    n_ids = len(rows) - len(pairs)
    is_feature = ops.logical_and(ops.greater(ids, 1), ops.less(ids, n_ids))
    features = ops.where(is_feature, ids, 0)  # (n, T)
    if len(pairs):
        numbers, order = _pair_numbers(features, pairs, n_ids)  # (n, T - 1)
        features = ops.concatenate([features, numbers], axis=1)
        rows = np.concatenate([rows[:n_ids], rows[n_ids:][order]])
    features, frequencies = _term_frequencies(features)  # (n, 2 * T - 1)
    found = _frozen_table(rows, "ngram_weights")(features)  # (n, 2 * T - 1, n_outputs + 1)
    frequencies = ops.expand_dims(frequencies, 2)
    sums = ops.sum(found[:, :, :-1] * frequencies, axis=1)
    norms = ops.sqrt(ops.maximum(ops.sum(found[:, :, -1:] * frequencies**2, axis=1), 1e-12))
    return ops.add(ops.divide(sums, norms), linear["intercept"].astype(np.float32))


def _pair_numbers(features, pairs, n_ids):
    """Rows of the pairs of neighbors, (n, T - 1), 0 for none, and the order of these rows."""
    codes, firsts, lefts, order = _hashed(pairs, n_ids)
    code = _frozen_table(codes, "pair_codes")(features)  # (n, T, 2)
    places = ops.add(code[:, :-1, 0], code[:, 1:, 1])  # (n, T - 1)
    first = _frozen_table(firsts[:, None], "first_pairs")(places)  # (n, T - 1, 1)
    in_bucket = _frozen_table(lefts, "pair_lefts")(places)  # (n, T - 1, size)
    left = ops.cast(ops.expand_dims(features[:, :-1], 2), in_bucket.dtype)
    is_it = ops.equal(in_bucket, left)  # once at most
    # in this order: Keras takes a vector that is added to something for a bias of any of its axes
    numbers = ops.add(np.arange(lefts.shape[1]), first)
    return ops.cast(ops.sum(ops.where(is_it, numbers, 0), axis=2), features.dtype), order


def _hashed(pairs, n_ids):
    """A hash table of pairs, which is read with a sum and three look-ups.

    The bucket of a pair is the sum of a random number of the left id and the rank of the right one.
    So no two pairs of a bucket have the same left id, and that alone tells which of them it is.

    Returns
    -------
    codes : ndarray of shape (n_ids, 2)
        The number of each id on the left, and its rank on the right.
    firsts : ndarray of shape (n_buckets,)
        The row of the first pair in each bucket.
    lefts : ndarray of shape (n_buckets, size)
        The left ids of all pairs in it, -1 where there are no more.
    order : ndarray of shape (n_pairs,)
        The order of the pairs in the buckets, in which their rows follow those of the ids.
    """
    left, right = np.divmod(pairs, n_ids)
    rights, ranks = np.unique(right, return_inverse=True)
    n_numbers = -(-len(pairs) // 4)  # few enough to be small, many enough for small buckets
    codes = np.full((n_ids, 2), len(rights))  # a rank that no pair has
    codes[:, 0] = np.random.default_rng(0).integers(n_numbers, size=n_ids)
    codes[rights, 1] = np.arange(len(rights))
    places = codes[left, 0] + ranks
    order = np.argsort(places, kind="stable")
    counts = np.bincount(places, minlength=n_numbers + len(rights))
    starts = np.cumsum(counts) - counts
    lefts = np.full((len(counts), counts.max()), -1)
    places = places[order]
    lefts[places, np.arange(len(pairs)) - starts[places]] = left[order]
    return codes, n_ids + starts, lefts, order


def _frozen_table(rows, name):
    """A layer that looks up rows of numbers.

    Whole numbers are kept as int64: float32 is not exact beyond 2**24 and would be rounded by a
    converter that quantizes, and GPUs do not look up int32.
    """
    dtype = "float32" if rows.dtype.kind == "f" else "int64"
    table = keras.layers.Embedding(
        *rows.shape, embeddings_initializer="zeros", trainable=False, dtype=dtype, name=name
    )
    table.build()
    table.set_weights([rows])
    return table


def _term_frequencies(numbers):
    """The distinct numbers of each row (n, T), and ``1 + log(count)``, 0 where there are no more.

    With sorting alone: formats of export have neither sums of segments nor anything like them that
    would not take the square of T.
    """
    numbers = ops.sort(numbers, axis=1)
    ones = ops.ones_like(numbers)
    places, n_places = ops.cumsum(ones, axis=1), ops.sum(ones, axis=1, keepdims=True)
    is_new = ops.not_equal(numbers[:, 1:], numbers[:, :-1])
    is_new = ops.concatenate([ops.ones_like(numbers[:, :1], dtype="bool"), is_new], axis=1)
    # both rise, so that they stay side by side
    starts = ops.sort(ops.where(is_new, places, n_places + 1), axis=1)  # (n, T)
    numbers = ops.sort(ops.where(is_new, numbers, LAST), axis=1)
    counts = ops.concatenate([starts[:, 1:], n_places + 1], axis=1) - starts  # (n, T)
    is_there = ops.greater(counts, 0)
    frequencies = 1 + ops.log(ops.cast(ops.maximum(counts, 1), "float32"))
    return ops.where(is_there, numbers, 0), ops.where(is_there, frequencies, 0.0)
