"""Networks with random weights, documents and short fits, shared by the tests of both engines."""

import itertools
from dataclasses import replace

import numpy as np

from sklearn_textcnn.network.architecture import Architecture, arrays_of
from sklearn_textcnn.training import fit
from sklearn_textcnn.training.fit import Documents, Options

N_IDS = 30
KNOWN = np.ones(N_IDS, dtype=bool)
OPTIMIZERS = ["adam", "lazyadam", "adamw", "sgd", "adagrad", "rmsprop", "adadelta"]


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
    settings |= changes
    head = {"output": "sigmoid" if settings["n_outputs"] == 1 else "softmax"}
    return Architecture(**head | settings)


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
# as many as have no divisor in common with the bodies: each body meets several
HEADS = {
    "plain": {},
    "one": {"n_outputs": 1},
    "hidden": {"n_outputs": 3, "hidden_units": (7,)},
    "wide": {"kernel_sizes": (1, 5, 5), "filters": (3, 2, 4), "hidden_units": (6, 5)},
    "several": {"n_outputs": 4, "output": "sigmoid"},
}


def all_architectures():
    """Every input side with every body, by name; the heads take turns."""
    heads, named = itertools.cycle(HEADS.items()), {}
    for (side, sizes), body in itertools.product(INPUT_SIDES.items(), BODIES):
        head, changes = next(heads)
        name = "-".join([side, *map(str, body.values()), head])
        named[name] = architecture(**sizes, **body, **changes)
    return named


def random_weights(a, seed=0):
    """Weights none of which is zero but the rows of padding."""
    rng = np.random.default_rng(seed)
    vectors, found = None, np.zeros(N_IDS, dtype=bool)
    if a.static_dim:
        vectors = rng.normal(size=(N_IDS, a.static_dim)).astype(np.float32)
        found[2:20] = True
    weights = a.initial_weights(N_IDS, np.arange(1, N_IDS), vectors, found, rng)
    for table in weights["tables"]:
        table[1] = rng.normal(size=table.shape[1])
        if a.one_hot:
            table[2:] *= 10
    for bias in arrays_of([weights["biases"], weights["dense_biases"]]):
        bias[:] = rng.normal(size=bias.shape)
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


def documents(a, n=90, seed=0):
    """Documents of up to twelve tokens whose targets follow from their largest id."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(2, N_IDS, (n, 12)).astype(np.int32)
    ids[np.arange(12) >= rng.integers(1, 13, n)[:, None]] = 0
    n_classes = max(a.n_outputs, 2)
    targets = np.eye(n_classes, dtype=np.float32)[ids.max(axis=1) % n_classes]
    if a.output == "sigmoid":
        targets = np.maximum(targets, np.roll(targets, ids[:, 0] % 2, axis=1))
    targets = np.ascontiguousarray(targets[:, : a.n_outputs])
    return Documents(ids, targets, np.ones(n, dtype=np.float32))


def options(**changes):
    settings = {
        "engine": "numpy",
        "optimizer": "adam",
        "learning_rate": 0.01,
        "batch_size": 16,
        "epochs": 3,
        "dropout": 0.0,
        "token_dropout": 0.0,
        "average": 0.0,
        "max_norm": None,
        "l2": 0.0,
        "label_smoothing": 0.0,
        "early_stopping": False,
        "patience": 3,
        "callbacks": [],
    }
    return Options(**settings | changes)


def train(a, docs=None, validation=None, weights=None, known=KNOWN, rng=0, **settings):
    """Train for a few epochs. What is not an option is an argument of `fit.train`."""
    more = {name: settings.pop(name) for name in ("earlier", "undo") if name in settings}
    weights = random_weights(a) if weights is None else weights
    docs = documents(a) if docs is None else docs
    rng = np.random.default_rng(rng)
    return fit.train(a, lambda: weights, known, docs, validation, options(**settings), rng, **more)


def with_weights(docs, seed=1):
    """The same documents with random weights."""
    weights = np.random.default_rng(seed).random(len(docs.ids), dtype=np.float32) * 3
    return replace(docs, weights=weights)


def assert_equal_weights(first, second):
    for a, b in zip(arrays_of(first), arrays_of(second), strict=True):
        np.testing.assert_array_equal(a, b)


def assert_close_results(ours, theirs, atol=2e-4):
    """Equal within rounding: every weight and everything in the history."""
    for a, b in zip(arrays_of(ours.weights), arrays_of(theirs.weights), strict=True):
        np.testing.assert_allclose(a, b, atol=atol)
    assert list(ours.history) == list(theirs.history)
    for name, values in ours.history.items():
        np.testing.assert_allclose(values, theirs.history[name], rtol=1e-3, atol=1e-4)
    assert ours.best_epoch == theirs.best_epoch
