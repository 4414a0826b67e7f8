"""The architecture: the network that is trained, and its plain-Keras twin."""

from itertools import pairwise

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from sklearn_textcnn.training import layers
from sklearn_textcnn.training.layers import LOWEST

ACTIVATIONS = {"relu": tf.nn.relu, "tanh": tf.math.tanh, "linear": tf.identity}


@keras.saving.register_keras_serializable("sklearn_textcnn")
class TextCNN(keras.Model):
    """ids -> logits, the first convolution read from a table of the batch's distinct tokens.

    Parameters
    ----------
    architecture : dict
        ``kernel_sizes``, ``filters`` (tuples of equal length), ``conv_layers``, ``pool_size``,
        ``pooling``, ``activation``, ``hidden_units`` (tuple), ``n_outputs``, and on the input
        side ``trained_dim`` and ``static_dim`` (0: no such table; both 0: one-hot tokens).
    n_rows : int
        Rows of the tables; at least the size of the id space.
    """

    def __init__(self, architecture, n_rows, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.architecture = a = dict(architecture)
        self.n_rows = n_rows
        a["kernel_sizes"], a["filters"] = tuple(a["kernel_sizes"]), tuple(a["filters"])
        sizes = list(zip(a["kernel_sizes"], a["filters"], strict=True))
        n_columns = sum(k * f for k, f in sizes)
        self.one_hot = not a["trained_dim"] + a["static_dim"]
        self.static = self.trained = self.kernel = None
        if a["static_dim"]:
            self.static = self._zeros(
                "static_embedding", (n_rows, a["static_dim"]), trainable=False
            )
        if a["trained_dim"] or self.one_hot:
            width = n_columns if self.one_hot else a["trained_dim"]
            self.trained = self._zeros("embedding", (n_rows, width))
        if not self.one_hot:
            # All kernels below each other, a row per offset and filter: one product per step
            self.kernel = self._zeros("kernel", (n_columns, a["trained_dim"] + a["static_dim"]))
        self.conv_biases = [[self._zeros("bias", (f,))] for _, f in sizes]
        self.conv_kernels = [[] for _ in sizes]
        for i, (k, f) in enumerate(sizes):
            for _ in range(a["conv_layers"] - 1):
                self.conv_kernels[i].append(self._zeros("kernel", (k, f, f)))
                self.conv_biases[i].append(self._zeros("bias", (f,)))
        widths = [
            (a["pooling"].count("+") + 1) * sum(a["filters"]),
            *a["hidden_units"],
            a["n_outputs"],
        ]
        self.dense_kernels = [self._zeros("kernel", shape) for shape in pairwise(widths)]
        self.dense_biases = [self._zeros("bias", (units,)) for units in widths[1:]]
        # Values of a fit, fed in so that another fit needs no new trace. Plain tf.Variables: they
        # are not weights of the network.
        self.settings = {name: tf.Variable(0.0, trainable=False) for name in ("l2", "max_norm")}
        self.built = True

    def _zeros(self, name, shape, trainable=True):
        # zeros: every random number is drawn by NumPy, none by Keras' initializers
        return self.add_weight(shape=shape, initializer="zeros", name=name, trainable=trainable)

    def get_config(self):
        return {"name": self.name, "architecture": self.architecture, "n_rows": self.n_rows}

    def call(self, ids):
        tokens, index = tf.unique(
            tf.reshape(tf.pad(tf.cast(ids, tf.int32), [[0, 0], [1, 0]]), [-1])
        )
        index = tf.reshape(index, [tf.shape(ids)[0], -1])[:, 1:]
        index = tf.pad(index, [[0, 0], [0, max(self.architecture["kernel_sizes"]) - 1]])
        return self.logits(self.trained_rows(tokens), tokens, index)

    def trained_rows(self, tokens):
        """Rows of the trained table, (n_tokens, width), or None without one."""
        return None if self.trained is None else tf.gather(self.trained.value, tokens)

    def logits(self, trained_rows, tokens, index, dropout=None):
        """Logits of a batch, (n, n_outputs); `dropout` holds factors for each dense layer."""
        a = self.architecture
        act = ACTIVATIONS[a["activation"]]
        if a["conv_layers"] == 1 and a["pooling"] == "max":
            x = layers.window_maxima(
                self._table(trained_rows, tokens), index, a["kernel_sizes"], a["filters"]
            )  # (n, features)
            x = act(x + tf.concat([biases[0] for biases in self.conv_biases], 0))
            has_tokens = tf.reduce_any(index != 0, axis=1)[:, None]
            x = tf.where(has_tokens, x, 0.0)  # (n, features)
        else:
            x = self._pooled_activations(self._table(trained_rows, tokens), index, act)
        last = len(self.dense_kernels) - 1
        for i, (kernel, bias) in enumerate(zip(self.dense_kernels, self.dense_biases, strict=True)):
            if dropout is not None:
                x = x * dropout[i]
            x = tf.matmul(x, kernel) + bias  # (n, units)
            x = x if i == last else act(x)
        return x  # (n, outputs)

    def penalty(self):
        """l2 times the sum of squares of all kernels; embeddings and one-hot kernels stay out."""
        kernels = [self.kernel] if self.kernel is not None else []
        for stack in self.conv_kernels:
            kernels += stack
        total = tf.add_n([tf.reduce_sum(tf.square(k.value)) for k in kernels + self.dense_kernels])
        return self.settings["l2"] * total

    def limit_norms(self):
        """Scale each class's weight vector of the output layer down to at most ``max_norm``."""
        kernel = self.dense_kernels[-1].value
        norms = tf.norm(kernel, axis=0, keepdims=True)  # (1, outputs)
        kernel.assign(
            kernel
            * tf.minimum(
                1.0,
                tf.math.divide_no_nan(self.settings["max_norm"], norms)
                + tf.cast(norms == 0.0, tf.float32),
            )
        )

    def _table(self, trained_rows, tokens):
        """Row per distinct token, column per offset and filter, (n_tokens, columns)."""
        if self.one_hot:
            return trained_rows
        return tf.matmul(self._rows(trained_rows, tokens), self.kernel.value, transpose_b=True)

    def _rows(self, trained_rows, tokens):
        """Embedding of each distinct token, (n_tokens, dim)."""
        if self.static is None:
            return trained_rows
        static_rows = tf.gather(self.static.value, tokens)
        return static_rows if trained_rows is None else tf.concat([static_rows, trained_rows], 1)

    def _pooled_activations(self, table, index, act):
        a = self.architecture
        widest, column, pooled = max(a["kernel_sizes"]), 0, []
        for i, (k, f) in enumerate(zip(a["kernel_sizes"], a["filters"], strict=True)):
            counts = index[:, : tf.shape(index)[1] - widest + 1] != 0  # (n, T)
            in_reach = index[:, : tf.shape(index)[1] - widest + k]
            x = layers.window_sums(table, in_reach, k, column, f)  # (n, T, filters)
            column += k * f
            x = act(x + self.conv_biases[i][0])
            for kernel, bias in zip(self.conv_kernels[i], self.conv_biases[i][1:], strict=True):
                x = tf.where(counts[:, :, None], x, 0.0)
                x, counts = layers.pool_positions(
                    x, counts, a["pool_size"]
                )  # (n, T / pool, filters)
                x = act(layers.convolve(x, kernel.value) + bias)
            if "max" in a["pooling"]:
                pooled.append(layers.masked_max(x, counts))
            if "average" in a["pooling"]:
                pooled.append(layers.masked_mean(x, counts))
        return tf.concat(pooled, axis=1)  # (n, features)

    def load(self, weights):
        """Set the weights from arrays in the shapes of plain Keras layers."""
        embeddings = list(weights["embeddings"])
        if self.static is not None:
            self._set_rows(self.static, embeddings.pop(0))
        firsts = [stack[0] for stack in weights["kernels"]]
        flat = np.concatenate(
            [k.transpose(1, 0, 2).reshape(k.shape[1], -1) for k in firsts], axis=1
        )
        if self.one_hot:
            self._set_rows(self.trained, flat)
        else:
            self.kernel.assign(flat.T)
            if self.trained is not None:
                self._set_rows(self.trained, embeddings.pop(0))
        for variables, arrays in [
            *zip(self.conv_kernels, [stack[1:] for stack in weights["kernels"]], strict=True),
            *zip(self.conv_biases, weights["biases"], strict=True),
            (self.dense_kernels, weights["dense_kernels"]),
            (self.dense_biases, weights["dense_biases"]),
        ]:
            for variable, array in zip(variables, arrays, strict=True):
                variable.assign(array)

    def _set_rows(self, variable, array):
        rows = np.zeros(variable.shape, dtype=np.float32)
        rows[: len(array)] = array
        variable.assign(rows)

    def export(self, n_ids):
        """The weights as arrays in the shapes of plain Keras layers, tables cut to ``n_ids``."""
        a = self.architecture
        tables = [v for v in (self.static, self.trained) if v is not None and not self.one_hot]
        flat = self.trained.numpy()[:n_ids] if self.one_hot else self.kernel.numpy().T
        kernels, column = [], 0
        for stack, k, f in zip(self.conv_kernels, a["kernel_sizes"], a["filters"], strict=True):
            first = flat[:, column : column + k * f].reshape(-1, k, f).transpose(1, 0, 2)
            kernels.append([first.copy(), *(kernel.numpy() for kernel in stack)])
            column += k * f
        return {
            "embeddings": [table.numpy()[:n_ids] for table in tables],
            "kernels": kernels,
            "biases": [[b.numpy() for b in stack] for stack in self.conv_biases],
            "dense_kernels": [kernel.numpy() for kernel in self.dense_kernels],
            "dense_biases": [bias.numpy() for bias in self.dense_biases],
        }


def plain_keras_model(
    architecture, weights, n_ids, multilabel, dropout, linear=None, network_share=1.0
):
    """Build the same network from Keras' own layers and ``keras.ops`` only.

    Parameters
    ----------
    architecture, weights : dict
        Of the fitted classifier.
    n_ids : int
        Rows of the tables; ids beyond count as unknown.
    multilabel : bool
        Whether the outputs are independent of each other.
    dropout : float
        Rate of the dropout layers, which matter if the model is trained further.
    linear : dict of str to ndarray, default=None
        The linear part.
    network_share : float, default=1.0
        Factor of the network's logits beside a linear part.

    Returns
    -------
    keras.Model
        int32 ids of shape (n, T) -> probabilities of shape (n, n_outputs).
    """
    a = architecture
    inputs = keras.Input((None,), dtype="int32", name="ids")
    ids = ops.where(ops.less(inputs, n_ids), inputs, 1)  # (n, T)
    counts = ops.not_equal(ids, 0)  # (n, T)
    tables = [
        _apply(
            keras.layers.Embedding(
                *table.shape,
                embeddings_initializer="zeros",
                trainable=not (a["static_dim"] and i == 0),
                dtype="float32",
            ),
            ids,
            [table],
        )
        for i, table in enumerate(weights["embeddings"])
    ]  # (n, T, dim) each
    embedded = keras.layers.Concatenate(dtype="float32")(tables) if len(tables) > 1 else None
    pooled = []
    for kernels, biases in zip(weights["kernels"], weights["biases"], strict=True):
        if tables:
            x = _convolution(
                tables[0] if embedded is None else embedded, kernels[0], biases[0], a["activation"]
            )
        else:
            x = _one_hot_convolution(ids, kernels[0], biases[0], a["activation"])
        pooled += _pooled(x, counts, kernels[1:], biases[1:], a)
    x = keras.layers.Concatenate(dtype="float32")(pooled) if len(pooled) > 1 else pooled[0]
    activations = [a["activation"]] * len(a["hidden_units"]) + ["linear"]
    for kernel, bias, activation in zip(
        weights["dense_kernels"], weights["dense_biases"], activations, strict=True
    ):
        if dropout:
            x = keras.layers.Dropout(dropout, seed=0, dtype="float32")(x)
        dense = keras.layers.Dense(
            len(bias), activation=activation, kernel_initializer="zeros", dtype="float32"
        )
        x = _apply(dense, x, [kernel, bias])  # (n, units)
    if linear is not None:
        x = ops.add(ops.multiply(x, network_share), _linear_part(inputs, linear))
    last = "sigmoid" if multilabel or a["n_outputs"] == 1 else "softmax"
    x = keras.layers.Activation(last, dtype="float32")(x)  # (n, n_outputs)
    return keras.Model(inputs, x, name="text_cnn")


def _linear_part(ids, linear):
    """What `_linear.linear_logits` computes, with look-ups of integers for the pairs."""
    rows, pairs = linear["rows"], linear["pairs"]
    n_ids = len(rows) - len(pairs)
    is_feature = ops.logical_and(ops.greater(ids, 1), ops.less(ids, n_ids))
    features = ops.where(is_feature, ids, 0)  # (n, T)
    if len(pairs):
        left, right = (ops.cast(part, "int64") for part in (features[:, :-1], features[:, 1:]))
        both = ops.logical_and(ops.greater(left, 1), ops.greater(right, 1))
        keys = ops.where(both, left * n_ids + right, 0)
        places = keras.layers.IntegerLookup(vocabulary=pairs)(keys)  # 0 for all others
        places = ops.where(ops.greater(places, 0), places + (n_ids - 1), 0)
        features = ops.concatenate([features, ops.cast(places, features.dtype)], axis=1)
    features, frequencies = _term_frequencies(features)  # (n, 2 * T - 1)
    table = keras.layers.Embedding(
        *rows.shape, embeddings_initializer="zeros", trainable=False, dtype="float32"
    )
    found = _apply(table, features, [rows])  # (n, 2 * T - 1, n_outputs + 1)
    frequencies = ops.expand_dims(frequencies, 2)
    sums = ops.sum(found[:, :, :-1] * frequencies, axis=1)
    norms = ops.sqrt(ops.maximum(ops.sum(found[:, :, -1:] * frequencies**2, axis=1), 1e-12))
    return ops.add(ops.divide(sums, norms), linear["intercept"].astype(np.float32))


def _term_frequencies(numbers):
    """The numbers of each row (n, T) sorted, and ``1 + log(count)`` at the first of equal ones."""
    numbers = ops.sort(numbers, axis=1)
    is_new = ops.not_equal(numbers[:, 1:], numbers[:, :-1])
    is_new = ops.concatenate([ops.ones_like(numbers[:, :1], dtype="bool"), is_new], axis=1)
    within = ops.cumsum(ops.cast(is_new, "int32"), axis=1)  # (n, T)
    which = within + (ops.cumsum(within[:, -1:], axis=0) - within[:, -1:]) - 1  # (n, T)
    flat = ops.reshape(which, [-1])
    counts = ops.take(ops.segment_sum(ops.ones_like(flat), flat, sorted=True), which)  # (n, T)
    counts = ops.cast(counts, "float32")
    return numbers, ops.where(is_new, 1 + ops.log(counts), 0.0)


def _apply(layer, x, arrays):
    result = layer(x)
    layer.set_weights(arrays)
    return result


def _convolution(x, kernel, bias, activation):
    k, _, n_filters = kernel.shape
    x = keras.layers.ZeroPadding1D((0, k - 1), dtype="float32")(x)  # (n, T + k - 1, channels)
    layer = keras.layers.Conv1D(
        n_filters, k, activation=activation, kernel_initializer="zeros", dtype="float32"
    )
    return _apply(layer, x, [kernel, bias])  # (n, T, filters)


def _one_hot_convolution(ids, kernel, bias, activation):
    """Convolution over one-hot tokens without a one-hot tensor: an embedding per offset, summed."""
    k, n_ids, n_filters = kernel.shape
    kernel = kernel.copy()
    kernel[0, 1:] += bias  # of every window that counts; Keras has no layer that only adds a bias
    padded = ops.pad(ids, [[0, 0], [0, k - 1]])  # (n, T + k - 1)
    parts = []
    for j in range(k):
        layer = keras.layers.Embedding(
            n_ids, n_filters, embeddings_initializer="zeros", dtype="float32"
        )
        rows = _apply(layer, padded, [kernel[j]])
        parts.append(keras.layers.Cropping1D((j, k - 1 - j), dtype="float32")(rows))
    total = keras.layers.Add(dtype="float32")(parts) if k > 1 else parts[0]
    return keras.layers.Activation(activation, dtype="float32")(total)  # (n, T, filters)


def _pooled(x, counts, kernels, biases, a):
    p = a["pool_size"]
    right = [[0, 0], [0, p - 1], [0, 0]]
    for kernel, bias in zip(kernels, biases, strict=True):
        shown = ops.expand_dims(counts, 2)  # (n, T, 1)
        # valid pooling drops what does not fill a pool, so this pads to a multiple and no further
        x = ops.pad(ops.where(shown, x, LOWEST), right, constant_values=LOWEST)
        x = keras.layers.MaxPooling1D(p, dtype="float32")(x)  # (n, ceil(T / p), filters)
        in_pool = ops.pad(ops.cast(shown, "float32"), right)
        in_pool = keras.layers.MaxPooling1D(p, dtype="float32")(in_pool)  # (n, ceil(T / p), 1)
        counts = ops.greater(ops.squeeze(in_pool, 2), 0.5)
        x = ops.where(ops.greater(in_pool, 0.5), x, 0.0)
        x = _convolution(x, kernel, bias, a["activation"])
    shown = ops.expand_dims(counts, 2)
    results = []
    if "max" in a["pooling"]:
        largest = keras.layers.GlobalMaxPooling1D(dtype="float32")(ops.where(shown, x, LOWEST))
        results.append(ops.where(ops.any(counts, axis=1, keepdims=True), largest, 0.0))
    if "average" in a["pooling"]:
        weight = ops.cast(shown, "float32")
        n_counts = ops.maximum(ops.sum(weight, axis=1), 1.0)  # (n, 1)
        results.append(ops.divide(ops.sum(ops.multiply(x, weight), axis=1), n_counts))
    return results
