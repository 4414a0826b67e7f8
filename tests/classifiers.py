"""Data, small classifiers and arithmetic that the tests of `TextCNNClassifier` share."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from corpora import FIRST_FILLER, keyword_ids, read_only
from scipy.special import expit, log_softmax

from sklearn_textcnn import TextCNNClassifier

IDS, CLASSES = keyword_ids()
NEW_IDS, NEW_CLASSES = keyword_ids(60, seed=1)
TWO_IDS, TWO_CLASSES = keyword_ids(n_classes=2)
NAMES = np.array(["cooking", "space", "sport"])
# One column per keyword group, several of them in a document.
SEVERAL_IDS = read_only(np.concatenate([IDS, np.roll(IDS, 1, axis=0)], axis=1))
SEVERAL = read_only(np.eye(3, dtype=int)[CLASSES] | np.eye(3, dtype=int)[np.roll(CLASSES, 1)])

DATA = {"two": (TWO_IDS, TWO_CLASSES), "three": (IDS, CLASSES), "several": (SEVERAL_IDS, SEVERAL)}
WEIGHTS = read_only(np.random.default_rng(3).uniform(0.2, 2, len(IDS)))
VECTORS = read_only(np.random.default_rng(0).normal(0, 0.4, (50, 6)).astype(np.float32))

SMALL = {
    "embedding_dim": 8,
    "kernel_sizes": (1, 2),
    "filters": 8,
    "dropout": 0.2,
    "epochs": 8,
    "batch_size": 16,
    "learning_rate": 0.03,
    "random_state": 0,
}
# The network of Kim (2014) and nothing else. Where a test asks whether the network learns, the
# linear part would answer for it.
PLAIN = {"linear_ngrams": 0, "token_dropout": 0.0, "average": 0.0}
# So small a step that no weight changes: what is reported belongs to the weights that are kept.
STANDSTILL = {"learning_rate": 1e-30, "dropout": 0.0, "token_dropout": 0.0, "epochs": 1}
# Ordinary steps first, so that the logits differ; then a step that changes nothing. Going on is
# for the network alone.
WARM = {"epochs": 3, "warm_start": True, "linear_ngrams": 0}

# Documents to judge the parts by: none are held out, and nothing is cross-fitted.
JUDGED = {"X_val": NEW_IDS, "y_val": NEW_CLASSES}

# Keras 3.15 asks NumPy 2.4 for arrays in an old way where it reads learning rates and saves.
keras_makes_arrays = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def small(**parameters):
    return TextCNNClassifier(**SMALL | parameters)


def standing_still(**parameters):
    return small(**STANDSTILL | parameters)


def flat(weights):
    """All arrays of a fitted network, in one list."""
    arrays = [*weights["tables"], *weights["dense_kernels"], *weights["dense_biases"]]
    return arrays + [array for name in ("kernels", "biases") for s in weights[name] for array in s]


def all_arrays(model):
    """Those of the network, of the linear part, and what the two count for."""
    if model.linear_ is None:
        return flat(model._weights)
    return [*flat(model._weights), *model.linear_._tables.values(), np.array(model._factors)]


def both_count(model):
    """Let both parts count for something, whatever documents say about them."""
    if model.linear_ is not None:
        model._factors = 0.9, 0.4, 1.7
    return model


def same_weights(a, b):
    pairs = zip(all_arrays(a), all_arrays(b), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


def padded(ids, n_columns):
    return np.pad(ids, ((0, 0), (0, n_columns)))


def run_python(code, *flags, hidden=(), **environment):
    """Run code in a process of its own in which the `hidden` packages cannot be imported."""
    preamble = f"""
        import sys
        class Hidden:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {hidden!r}:
                    raise ModuleNotFoundError(f"{{name}} is hidden")
        sys.meta_path.insert(0, Hidden())
        """
    root = str(Path(__file__).parents[1])
    return subprocess.run(
        [sys.executable, *flags, "-c", textwrap.dedent(preamble) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": root} | environment,
        timeout=300,
    )


def strange_ids():
    # 19 is below the largest id but in no training document, 999 beyond the table
    assert 19 not in IDS
    ids = np.where(NEW_IDS == FIRST_FILLER, 999, NEW_IDS)
    return np.where(NEW_IDS == FIRST_FILLER + 1, 19, ids)


def loss_by_hand(model, ids, y, sample_weight=None, smoothing=0.0):
    """Cross-entropy of the fitted weights with smoothed targets, averaged by weight."""
    logits = model.decision_function(ids).astype(float)
    return loss_of_logits(logits, y, sample_weight, smoothing)


def loss_of_logits(logits, y, sample_weight=None, smoothing=0.0):
    logits = logits[:, 0] if logits.shape[1:] == (1,) else logits
    if logits.ndim == 1:
        targets = y * (1 - smoothing) + smoothing / 2
        losses = -(targets * np.log(expit(logits)) + (1 - targets) * np.log(expit(-logits)))
    elif y.ndim == 2:
        targets = y * (1 - smoothing) + smoothing / 2
        losses = -(targets * np.log(expit(logits)) + (1 - targets) * np.log(expit(-logits)))
        losses = losses.mean(axis=1)
    else:
        n_classes = logits.shape[1]
        targets = np.eye(n_classes)[y] * (1 - smoothing) + smoothing / n_classes
        losses = -(targets * log_softmax(logits, axis=1)).sum(axis=1)
    return np.average(losses, weights=sample_weight)


def batches(n=6):
    return [(IDS[rows], CLASSES[rows]) for rows in np.array_split(np.arange(len(IDS)), n)]


def streamed(n_passes=1, classes=(0, 1, 2), **parameters):
    model = small(**parameters)
    for X, y in batches() * n_passes:
        model.partial_fit(X, y, classes=classes)
    return model
