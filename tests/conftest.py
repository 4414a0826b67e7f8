"""Settings that have to be made before scikit-learn is imported, and shared fixtures."""

import os
import time

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

from sklearn_textcnn import _progress, classifier


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
def at_once(monkeypatch):
    """Bars that are shown however short a step is."""
    enter = _progress._Bar.__enter__

    def enter_and_show(bar):
        enter(bar)
        while bar._tqdm is None and bar._thread.is_alive():
            time.sleep(0.001)
        return bar

    monkeypatch.setattr(_progress, "DELAY", 0.0)
    monkeypatch.setattr(_progress._Bar, "__enter__", enter_and_show)


@pytest.fixture
def bars(monkeypatch):
    """The progress bars of what is done: `texts` and `shares`, each once and in their order."""
    made = []

    class Recorded(_progress._Bar):
        def __init__(self):
            self.seen = {"text": [], "done": []}
            super().__init__()
            self.seen["text"].clear()
            made.append(self)

        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if name in self.seen and value not in self.seen[name][-1:]:
                self.seen[name].append(value)

        texts = property(lambda self: self.seen["text"])
        shares = property(lambda self: self.seen["done"])

    monkeypatch.setattr(_progress, "_Bar", Recorded)
    return made


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
