"""The plain Keras model against the forward pass in NumPy."""

import numpy as np
import pytest
from classifiers import keras_makes_arrays
from networks import (
    KNOWN,
    N_IDS,
    all_architectures,
    architecture,
    assert_equal_weights,
    awkward_ids,
    random_weights,
)
from sampling import some
from scipy.special import expit, softmax

from sklearn_textcnn.network.architecture import arrays_of, map_arrays
from sklearn_textcnn.network.forward import Forward
from sklearn_textcnn.training.quiet_import import import_with_keras

ARCHITECTURES = all_architectures()


@pytest.fixture(scope="module")
def keras_network():
    """Makes a `KerasNetwork` with random weights."""
    keras_model = import_with_keras("sklearn_textcnn.training.keras_model")

    def make(a, n_ids=N_IDS, dropout=0.0, l2=0.0, max_norm=None, **more):
        network = keras_model.KerasNetwork(a, n_ids, dropout, l2, max_norm, **more)
        if n_ids == N_IDS:
            network.write(random_weights(a))
        return network

    return make


def probabilities_of(a, ids):
    logits = Forward(a, random_weights(a), KNOWN).logits(ids)
    return expit(logits) if a.output == "sigmoid" else softmax(logits, axis=1)


@pytest.mark.parametrize("name", some(ARCHITECTURES, every=7))
def test_probabilities_are_those_of_numpy_and_weights_are_kept(keras_network, name):
    a, ids = ARCHITECTURES[name], awkward_ids()
    network = keras_network(a, dropout=0.5, max_norm=3.0)
    np.testing.assert_allclose(network.model(ids).numpy(), probabilities_of(a, ids), atol=1e-5)
    assert_equal_weights(network.read(), random_weights(a))
    # what is read is a copy
    map_arrays(lambda array: array.fill(7), network.read())
    assert_equal_weights(network.read(), random_weights(a))


@pytest.mark.parametrize("changes", [{}, {"pooling": "average", "trained_dim": 0}])
def test_ids_beyond_the_tables_are_unknown(keras_network, changes):
    a, ids = architecture(**changes), awkward_ids()
    unknown = ids.copy()
    ids[7, 3], ids[8, 0] = N_IDS, 10**6
    unknown[7, 3] = unknown[8, 0] = 1
    model = keras_network(a).model
    np.testing.assert_array_equal(model(ids).numpy(), model(unknown).numpy())


@pytest.mark.parametrize("hidden_units", [(), (7, 5)])
def test_dropout_stands_in_front_of_every_dense_layer(keras, keras_network, hidden_units):
    layers = keras_network(architecture(hidden_units=hidden_units), dropout=0.3).model.layers
    places = [i for i, layer in enumerate(layers) if isinstance(layer, keras.layers.Dense)]
    assert len(places) == len(hidden_units) + 1
    for i in places:
        assert isinstance(layers[i - 1], keras.layers.Dropout)
        assert layers[i - 1].rate == 0.3
    n_dropout = sum(isinstance(layer, keras.layers.Dropout) for layer in layers)
    assert n_dropout == len(places)
    layers = keras_network(architecture(hidden_units=hidden_units)).model.layers
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in layers)


@pytest.mark.parametrize(
    "changes",
    [{}, {"conv_layers": 2, "hidden_units": (7,)}, {"trained_dim": 0, "conv_layers": 2}],
)
def test_penalty_counts_kernels_only(keras_network, changes):
    """Neither tables, those of one-hot tokens included, nor biases."""
    a = architecture(**changes)
    weights = random_weights(a)
    kernels = arrays_of([weights["kernels"], weights["dense_kernels"]])
    expected = 0.5 * sum((kernel.astype(float) ** 2).sum() for kernel in kernels)
    assert float(sum(keras_network(a, l2=0.5).model.losses)) == pytest.approx(expected, rel=1e-5)
    assert not keras_network(a).model.losses


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_norms_of_the_output_layer_alone_are_limited(keras_network, n_outputs):
    """Of each class's weights, and not of the first dense layer where there is a hidden one."""
    a = architecture(hidden_units=(7,), n_outputs=n_outputs)
    model = keras_network(a, max_norm=2.0).model
    for variable in model.trainable_variables:
        large = 10 * np.ones(variable.shape, dtype=np.float32)
        constraint = variable.constraint
        limited = variable.shape == (7, n_outputs)
        assert (constraint is not None) == limited
        if limited:
            large[0, 0] = 0
            norms = np.linalg.norm(constraint(large), axis=0)
            np.testing.assert_allclose(norms, 2, rtol=1e-5)
            small = np.full_like(large, 0.1)
            np.testing.assert_allclose(constraint(small), small, rtol=1e-5)


def test_only_trained_tables_are_trained(keras_network):
    a = architecture(static_dim=6)
    network = keras_network(a)
    static, trained = network.variables["tables"]
    names = {variable.path for variable in network.model.trainable_variables}
    assert trained.path in names
    assert static.path not in names
    assert len(names) == len(arrays_of(network.variables)) - 1


@pytest.mark.parametrize("optimizer", some(["AdamW", "Adam", "Lion", "SGD"], every=4))
@pytest.mark.parametrize(
    "changes",
    some(
        [
            {},
            {"static_dim": 6, "activation": "tanh"},
            {"trained_dim": 0, "activation": "linear"},
            {"conv_layers": 2, "pooling": "max+average"},
        ],
        every=2,
    ),
    ids=lambda changes: ",".join(f"{k}={v}" for k, v in changes.items()) or "plain",
)
def test_padding_stays_zero_when_plain_keras_goes_on(keras, keras_network, optimizer, changes):
    """Padding in front, inside and behind is part of windows, and would be trained by them."""
    network = keras_network(architecture(**changes))
    network.model.compile(getattr(keras.optimizers, optimizer)(0.1), "categorical_crossentropy")
    ids = awkward_ids()
    for _ in range(3):
        network.model.train_on_batch(ids, np.eye(3, dtype=np.float32)[ids.max(axis=1) % 3])
    before, after = random_weights(network.architecture)["tables"], network.read()["tables"]
    assert not any(table[0].any() for table in after)
    assert (after[-1][1:] != before[-1][1:]).any()


@keras_makes_arrays
def test_a_saved_model_answers_without_the_package(keras, keras_network, tmp_path):
    """A user's ModelCheckpoint callback saves the model that is trained."""
    a, ids = architecture(hidden_units=(4,), pooling="max+average", conv_layers=2), awkward_ids()
    model = keras_network(a, dropout=0.2, l2=0.1, max_norm=3.0).model
    model.save(tmp_path / "model.keras")
    assert "sklearn_textcnn" not in str(model.get_config())
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(ids).numpy(), model(ids).numpy())
