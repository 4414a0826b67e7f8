"""Settings that have to be made before scikit-learn is imported, and shared fixtures."""

import os

# Without it scikit-learn's array API checks skip themselves silently. SciPy reads it on import.
os.environ["SCIPY_ARRAY_API"] = "1"

import numpy as np
import pytest
from classifiers import (
    CLASSES,
    IDS,
    NAMES,
    NEW_CLASSES,
    PLAIN,
    SEVERAL,
    SEVERAL_IDS,
    TWO_CLASSES,
    TWO_IDS,
    small,
)

from sklearn_textcnn import classifier


@pytest.fixture(scope="module")
def two():
    return small().fit(TWO_IDS, TWO_CLASSES)


@pytest.fixture(scope="module")
def three():
    return small().fit(IDS, NAMES[CLASSES])


@pytest.fixture(scope="module")
def several():
    return small(**PLAIN, epochs=20).fit(SEVERAL_IDS, SEVERAL)


@pytest.fixture(scope="module")
def keras():
    import keras

    from sklearn_textcnn import training  # noqa: F401  keeps TensorFlow's first words back

    return keras


@pytest.fixture
def train_calls(monkeypatch):
    """What the classifier hands on to be trained: (documents, validation, options) of each fit."""
    calls = []
    train = classifier.train

    def recording(architecture, start, known, documents, validation, options, *rest, **kw):
        calls.append((documents, validation, options))
        return train(architecture, start, known, documents, validation, options, *rest, **kw)

    monkeypatch.setattr(classifier, "train", recording)
    return calls


@pytest.fixture(scope="module")
def noisy_validation():
    return np.where(np.arange(len(NEW_CLASSES)) % 5, NEW_CLASSES, 0)
