"""Initial weights, drawn by NumPy so that one random stream is behind everything."""

from itertools import pairwise

import numpy as np

# Keras' Embedding draws from the same interval.
EMBEDDING_LIMIT = 0.05


def initial_weights(architecture, n_ids, seen, vectors, found, rng):
    """Weights of an untrained network, in the shapes of plain Keras layers.

    Kernels are Glorot-uniform (Glorot & Bengio 2010), biases zero, embedding rows uniform as in
    Keras or, beside pretrained vectors, normal with their mean and deviation. The rows of padding
    and of the unknown token are zero.

    Parameters
    ----------
    architecture : dict
    n_ids : int
    seen : boolean ndarray of shape (n_ids,)
        Ids that need a row.
    vectors : ndarray of shape (n_ids, dim) or None
        Pretrained rows.
    found : boolean ndarray of shape (n_ids,)
        Which ids have a pretrained row.
    rng : numpy.random.Generator

    Returns
    -------
    dict
    """
    a = architecture
    embeddings = []
    for dim in filter(None, (a["static_dim"], a["trained_dim"])):
        table = np.zeros((n_ids, dim), dtype=np.float32)
        if vectors is not None:
            table[found] = vectors[found]
        like = None if vectors is None else vectors[found]
        embeddings.append(draw_rows(table, seen & ~found, like, rng))
    dim = a["static_dim"] + a["trained_dim"]
    kernels, biases = [], []
    for k, n_filters in zip(a["kernel_sizes"], a["filters"], strict=True):
        if dim:
            first = _glorot((k, dim, n_filters), k * dim, k * n_filters, rng)
        else:
            rows = np.zeros((n_ids, k * n_filters), dtype=np.float32)
            first = _from_rows(draw_rows(rows, seen, None, rng), k)
        later = [
            _glorot((k, n_filters, n_filters), k * n_filters, k * n_filters, rng)
            for _ in range(a["conv_layers"] - 1)
        ]
        kernels.append([first, *later])
        biases.append([np.zeros(n_filters, dtype=np.float32) for _ in range(a["conv_layers"])])
    n_pooled = (a["pooling"].count("+") + 1) * sum(a["filters"])
    widths = [n_pooled, *a["hidden_units"], a["n_outputs"]]
    return {
        "embeddings": embeddings,
        "kernels": kernels,
        "biases": biases,
        "dense_kernels": [_glorot((m, n), m, n, rng) for m, n in pairwise(widths)],
        "dense_biases": [np.zeros(n, dtype=np.float32) for n in widths[1:]],
    }


def with_new_rows(weights, n_ids, new, known, pretrained, rng):
    """Weights whose tables have `n_ids` rows, those of the `new` ids drawn afresh.

    Parameters
    ----------
    weights : dict
    n_ids : int
    new, known : boolean ndarray of shape (n_ids,)
        Ids to draw a row for, and ids that have one.
    pretrained : bool
        Whether to draw like the known rows, not like an untrained table.
    rng : numpy.random.Generator

    Returns
    -------
    dict
    """
    weights = {**weights}
    embeddings = []
    for table in weights["embeddings"]:
        table = _grown(table, n_ids)
        embeddings.append(draw_rows(table, new, table[known] if pretrained else None, rng))
    weights["embeddings"] = embeddings
    if not embeddings:
        kernels = []
        for first, *later in weights["kernels"]:
            k, old_n_ids, n_filters = first.shape
            rows = _grown(first.transpose(1, 0, 2).reshape(old_n_ids, k * n_filters), n_ids)
            kernels.append([_from_rows(draw_rows(rows, new, None, rng), k), *later])
        weights["kernels"] = kernels
    return weights


def draw_rows(table, which, like, rng):
    """Draw rows of a table, in place: as Keras does, or with the mean and deviation of others.

    The rows of padding and of the unknown token stay as they are.
    """
    which = which.copy()
    which[:2] = False
    shape = (int(which.sum()), table.shape[1])
    if like is None:
        table[which] = _uniform(EMBEDDING_LIMIT, shape, rng)
    elif len(like):
        numbers = rng.standard_normal(shape, dtype=np.float32)
        table[which] = numbers * like.std(axis=0) + like.mean(axis=0)
    return table


def share_unknown_row(weights, known):
    """Give ids that training never met the row of the unknown token."""
    strangers = ~known
    strangers[:2] = False
    for table in weights["embeddings"]:
        table[strangers] = table[1]
    if not weights["embeddings"]:
        for stack in weights["kernels"]:
            stack[0][:, strangers] = stack[0][:, 1:2]
    return weights


def arrays_of(weights):
    """All arrays of a dict of weights, in order."""
    for value in weights.values():
        for item in value:
            yield from item if isinstance(item, list) else [item]


def _grown(table, n_ids):
    rows = np.zeros((n_ids, table.shape[1]), dtype=np.float32)
    rows[: len(table)] = table
    return rows


def _from_rows(rows, k):
    """(n_ids, kernel_size * filters) -> (kernel_size, n_ids, filters), contiguous."""
    return np.ascontiguousarray(rows.reshape(len(rows), k, -1).transpose(1, 0, 2))


def _glorot(shape, fan_in, fan_out, rng):
    return _uniform(np.sqrt(6.0 / (fan_in + fan_out)), shape, rng)


def _uniform(limit, shape, rng):
    """Numbers in [-limit, limit), drawn in float32: tables are large."""
    numbers = rng.random(shape, dtype=np.float32)
    numbers *= np.float32(2 * limit)
    numbers -= np.float32(limit)
    return numbers
