"""Networks with random weights, shared by the tests of training and prediction."""

import itertools

import numpy as np

from sklearn_textcnn.training.initialization import initial_weights

N_IDS = 30


def architecture(**changes):
    settings = {
        "static_dim": 0,
        "trained_dim": 6,
        "kernel_sizes": (2, 3),
        "filters": (4, 5),
        "conv_layers": 1,
        "pool_size": 2,
        "pooling": "max",
        "activation": "relu",
        "hidden_units": (),
        "n_outputs": 3,
    }
    return settings | changes


INPUT_SIDES = {
    "trained": {"trained_dim": 6},
    "static": {"static_dim": 6, "trained_dim": 0},
    "multichannel": {"static_dim": 5, "trained_dim": 5},
    "one-hot": {"trained_dim": 0},
}
BODIES = [
    {"conv_layers": n, "pool_size": p, "pooling": pooling, "activation": activation}
    for (n, p), pooling, activation in itertools.product(
        [(1, 2), (2, 1), (2, 2), (3, 3)],
        ["max", "average", "max+average"],
        ["relu", "tanh", "linear"],
    )
]
HEADS = [
    {"n_outputs": 1},
    {"n_outputs": 3, "hidden_units": (7,)},
    {"kernel_sizes": (1, 5, 5), "filters": (3, 2, 4), "hidden_units": (6, 5)},
]


def all_architectures():
    """Every input side with every body; the heads take turns."""
    heads = itertools.cycle(HEADS)
    for (name, side), body in itertools.product(INPUT_SIDES.items(), BODIES):
        head = next(heads)
        label = "-".join(
            [
                name,
                *map(str, body.values()),
                str(head["n_outputs"] if "n_outputs" in head else "wide"),
            ]
        )
        yield label, architecture(**side, **body, **head)


def random_weights(a, seed=0):
    rng = np.random.default_rng(seed)
    vectors, found = None, np.zeros(N_IDS, dtype=bool)
    if a["static_dim"]:
        vectors = rng.normal(size=(N_IDS, a["static_dim"])).astype(np.float32)
        found[2:20] = True
    weights = initial_weights(a, N_IDS, np.ones(N_IDS, dtype=bool), vectors, found, rng)
    for stack in weights["biases"]:
        for bias in stack:
            bias[:] = rng.normal(size=bias.shape)
    for bias in weights["dense_biases"]:
        bias[:] = rng.normal(size=bias.shape)
    if not weights["embeddings"]:
        for stack in weights["kernels"]:
            stack[0] *= 10
    return weights


def awkward_ids(n_ids=N_IDS):
    """Documents empty, shorter than a kernel, with zeros in the middle and at the start."""
    rng = np.random.default_rng(1)
    ids = rng.integers(1, n_ids, (12, 9)).astype(np.int32)
    ids[0] = 0
    ids[1, 1:] = 0
    ids[2, 2:] = 0
    ids[3, 5:] = 0
    ids[4, 3:5] = 0
    ids[5, :3] = 0
    ids[6, ::2] = 0
    return ids
