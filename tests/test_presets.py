"""Parameters of well-known networks."""

import re
from pathlib import Path

import numpy as np
import pytest
from classifiers import CLASSES, IDS, NAMES

from sklearn_textcnn import TextCNNClassifier, presets

ROOT = Path(__file__).parents[1]
SMALLER = {"embedding_dim": 8, "filters": 8, "kernel_sizes": (1, 2), "epochs": 20}


@pytest.mark.parametrize("name", presets.__all__)
def test_presets_are_parameters_and_train(name):
    preset = getattr(presets, name)
    assert type(preset) is dict
    before = preset.copy()
    assert set(preset) <= set(TextCNNClassifier().get_params())
    model = TextCNNClassifier(**preset | {"random_state": 0}).fit(IDS, NAMES[CLASSES])
    assert preset == before
    assert model.linear_ is None
    assert model.score(IDS, NAMES[CLASSES]) > 0.8


def test_presets_differ_from_the_defaults_where_they_say_so():
    """What is left to the defaults must be what the papers and tutorials have."""
    left = {
        "activation": "relu",
        "conv_layers": 1,
        "engine": "auto",
        "l2": 0.0,
        "label_smoothing": 0.0,
        "pooling": "max",
        "word_vectors": None,
    }
    for name in presets.__all__:
        parameters = TextCNNClassifier(**getattr(presets, name)).get_params()
        assert {key: parameters[key] for key in left} == left
        assert (parameters["linear_ngrams"], parameters["token_dropout"]) == (0, 0.0)
        assert parameters["average"] == 0.0


def test_kim_2014():
    """Section 3.1 of the paper, and Adadelta as it stands there: its own rate is 1."""
    kim = presets.KIM_2014
    assert (kim["kernel_sizes"], kim["filters"], kim["dropout"]) == ((3, 4, 5), 100, 0.5)
    assert (kim["max_norm"], kim["batch_size"], kim["embedding_dim"]) == (3, 50, 300)
    assert (kim["optimizer"], kim["learning_rate"]) == ("adadelta", 1.0)
    assert (kim["early_stopping"], kim["validation_fraction"]) == (True, 0.1)


def test_the_summary_is_that_of_the_tutorials(keras):
    model = TextCNNClassifier(**presets.KERAS_TUTORIAL | {"epochs": 1, "random_state": 0})
    network = model.fit(IDS, CLASSES).to_keras()
    layers = keras.layers
    kinds = (layers.Embedding, layers.Conv1D, layers.GlobalMaxPooling1D, layers.Dense)
    shown = [layer for layer in network.layers if isinstance(layer, kinds)]
    described = [(type(layer).__name__, layer.count_params()) for layer in shown]
    n_ids = IDS.max() + 1
    assert described == [
        ("Embedding", 128 * n_ids),
        ("Conv1D", 5 * 128 * 128 + 128),
        ("GlobalMaxPooling1D", 0),
        ("Dense", 128 * 64 + 64),
        ("Dense", 64 * 3 + 3),
    ]
    lines = []
    network.summary(line_length=150, print_fn=lines.append)
    assert re.findall(r"\((Embedding|Conv1D|Global\w+|Dense)\)", "\n".join(lines)) == [
        kind for kind, _ in described
    ]


@pytest.mark.parametrize("name", presets.__all__)
def test_the_guide_uses_the_presets(name):
    """One definition: it names them and does not write the numbers down once more."""
    text = (ROOT / "docs/user_guide/classifier.rst").read_text(encoding="utf-8")
    assert f"presets.{name}" in text


def test_presets_in_a_smaller_size_learn_as_any_other():
    for name in presets.__all__:
        model = TextCNNClassifier(**getattr(presets, name) | SMALLER, random_state=0)
        losses = model.fit(IDS, CLASSES).history_["loss"]
        assert np.mean(losses[-3:]) < losses[0]
