"""What a network consists of: its sizes, the shapes of its weights, and the first ones.

Weights are a dict of lists of arrays, which prediction, both engines and `to_keras` read:

``tables`` : (n_ids, dim) each, side by side on the embedding axis: the pretrained one that is not
    trained, then the trained one. For one-hot tokens a single one: a row holds what the token
    adds to a window, by kernel size, offset in the window and filter.
``kernels``, ``biases`` : for each kernel size the arrays (kernel_size, channels, filters) and
    (filters,) of its convolutions. One-hot tokens have no kernel of the first: it is the table.
``dense_kernels``, ``dense_biases`` : hidden layers, then the output layer.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

# Keras' Embedding draws from the same interval.
EMBEDDING_LIMIT = 0.05


@dataclass(frozen=True)
class Architecture:
    """Sizes and kinds of everything in a network.

    ``static_dim`` and ``trained_dim`` are the widths of the two tables, 0 for none; both 0: one-hot
    tokens. ``output`` is "softmax", or "sigmoid" for two classes and for independent labels. The
    others are the parameters of `TextCNNClassifier` of these names, as tuples and integers.
    """

    static_dim: int
    trained_dim: int
    kernel_sizes: tuple
    filters: tuple
    conv_layers: int
    pool_size: int
    pooling: str
    activation: str
    hidden_units: tuple
    n_outputs: int
    output: str

    @property
    def one_hot(self):
        return not self.static_dim + self.trained_dim

    @property
    def pools_sums(self):
        """Whether pooling may come before bias and activation: both are monotone, as maxima are."""
        return self.conv_layers == 1 and self.pooling == "max"

    @property
    def columns(self):
        """For each kernel size the columns of what a token adds to its windows, as slices."""
        widths = [k * n for k, n in zip(self.kernel_sizes, self.filters, strict=True)]
        ends = np.cumsum(widths).tolist()
        return [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]

    def table_widths(self):
        """Widths of the tables."""
        if self.one_hot:
            return [self.columns[-1].stop]
        return [dim for dim in (self.static_dim, self.trained_dim) if dim]

    def kernel_shapes(self):
        """Shapes of the kernels of each kernel size."""
        shapes = []
        for k, n in zip(self.kernel_sizes, self.filters, strict=True):
            first = [] if self.one_hot else [(k, self.static_dim + self.trained_dim, n)]
            shapes.append(first + [(k, n, n)] * (self.conv_layers - 1))
        return shapes

    def dense_shapes(self):
        """Shapes of the kernels of the dense layers."""
        n_pooled = (self.pooling.count("+") + 1) * sum(self.filters)
        return list(pairwise([n_pooled, *self.hidden_units, self.n_outputs]))

    def initial_weights(self, n_ids, seen, vectors, found, rng):
        """Weights of an untrained network.

        Kernels are Glorot-uniform (Glorot & Bengio 2010), biases zero, table rows uniform as in
        Keras or, beside pretrained vectors, normal with their mean and deviation. The rows of
        padding and of the unknown token are zero. `seen` are the distinct ids that need a row, and
        `vectors` (n_ids, dim), or None, has pretrained rows for the ids that are `found` (n_ids,).
        """
        like, tables = None if vectors is None else vectors[found], []
        for width in self.table_widths():
            table = np.zeros((n_ids, width), dtype=np.float32)
            if vectors is not None:
                table[found] = like
            draw_rows(table, seen[~found[seen]], like, rng)
            tables.append(table)
        dense = self.dense_shapes()
        biases = [[np.zeros(n, np.float32) for _ in range(self.conv_layers)] for n in self.filters]
        return {
            "tables": tables,
            "kernels": [[_glorot(s, rng) for s in stack] for stack in self.kernel_shapes()],
            "biases": biases,
            "dense_kernels": [_glorot(shape, rng) for shape in dense],
            "dense_biases": [np.zeros(n, dtype=np.float32) for _, n in dense],
        }


def with_new_rows(weights, n_ids, new, known, pretrained, rng):
    """Weights whose tables have `n_ids` rows, those of the `new` ids drawn afresh.

    Tables that are long enough are changed in place. Beside `pretrained` rows new ones are drawn
    like those of the `known` ids, not as for an untrained table.
    """
    tables = []
    for table in weights["tables"]:
        if len(table) < n_ids:
            longer = np.zeros((n_ids, table.shape[1]), dtype=np.float32)
            longer[: len(table)] = table
            table = longer
        draw_rows(table, new, table[known[: len(table)]] if pretrained and len(new) else None, rng)
        tables.append(table)
    return weights | {"tables": tables}


def with_unknown_rows(weights, known):
    """Weights in which ids without a row of their own have that of the unknown token."""
    tables = [np.where(known[:, None], table, table[1]) for table in weights["tables"]]
    return weights | {"tables": tables}


def draw_rows(table, ids, like, rng):
    """Draw rows of a table, in place: as Keras does, or with the mean and deviation of others.

    The rows of padding and of the unknown token stay as they are.
    """
    ids = ids[ids > 1]
    shape = (len(ids), table.shape[1])
    if like is None:
        table[ids] = _uniform(EMBEDDING_LIMIT, shape, rng)
    elif len(like):
        numbers = rng.standard_normal(shape, dtype=np.float32)
        table[ids] = numbers * like.std(axis=0) + like.mean(axis=0)


def map_arrays(function, weights):
    """A dict of lists, nested or not, with the result of a function for each array."""
    if isinstance(weights, dict):
        return {name: map_arrays(function, arrays) for name, arrays in weights.items()}
    if isinstance(weights, list):
        return [map_arrays(function, arrays) for arrays in weights]
    return function(weights)


def arrays_of(weights):
    """All arrays of a dict of lists, in order."""
    found = []
    map_arrays(found.append, weights)
    return found


def distinct_ids(ids, n_ids):
    """The ids in an array, each once, in rising order; `n_ids` is the size of the id space."""
    if ids.size * 16 < n_ids:
        return np.unique(ids)
    is_there = np.zeros(n_ids, dtype=bool)
    is_there[ids] = True
    return np.flatnonzero(is_there)


def _glorot(shape, rng):
    """Uniform with the variance of Glorot & Bengio (2010); of a convolution, counts all inputs."""
    window = int(np.prod(shape[:-2]))
    return _uniform(np.sqrt(6.0 / (window * (shape[-2] + shape[-1]))), shape, rng)


def _uniform(limit, shape, rng):
    """Numbers in [-limit, limit), drawn in float32: tables are large."""
    numbers = rng.random(shape, dtype=np.float32)
    numbers *= np.float32(2 * limit)
    numbers -= np.float32(limit)
    return numbers
