"""`to_keras`: a Keras model that gives the same answers."""

import copy
import itertools

import numpy as np
import pytest
from classifiers import (
    CLASSES,
    IDS,
    JUDGED,
    NEW_IDS,
    PLAIN,
    SEVERAL_IDS,
    TWO_IDS,
    VECTORS,
    both_count,
    keras_makes_arrays,
    padded,
    run_python,
    small,
)
from sampling import some
from scipy.special import softmax

from sklearn_textcnn import TextCNNClassifier

ARCHITECTURES = [
    {},
    {"pooling": "average", "linear_ngrams": 1},
    {"linear_ngrams": 0},
    {"pooling": "max+average", "activation": "tanh", "hidden_units": (6, 4)},
    {"conv_layers": 2, "kernel_sizes": (2, 3), "filters": (5, 7)},
    {"conv_layers": 3, "pool_size": 3, "pooling": "max+average", "activation": "linear"},
    {"embedding_dim": None, "kernel_sizes": (1, 4)},
    {"embedding_dim": None, "conv_layers": 2, "pooling": "average"},
    {"word_vectors": VECTORS, "embedding_mode": "static"},
    {"word_vectors": VECTORS, "embedding_mode": "multichannel", "conv_layers": 2},
]


@pytest.mark.parametrize(
    "parameters", some(ARCHITECTURES, every=2), ids=lambda p: "-".join(map(str, p)) or "plain"
)
def test_keras_model_gives_the_same_answers(parameters, keras):
    model = both_count(small(**parameters, epochs=2).fit(IDS, CLASSES, **JUDGED))
    ids = np.array(NEW_IDS)
    ids[0] = 0  # nothing
    ids[1, 1:] = 0  # shorter than a kernel
    ids[2, 3:5] = 0  # padding in the middle
    ids[3, 0] = 0
    ids[4, 2] = 19  # in no training document
    ids[5, 2] = 77  # beyond the table
    keras_model = model.to_keras()
    assert isinstance(keras_model, keras.Model)
    expected = model.predict_proba(ids)
    np.testing.assert_allclose(keras_model(ids).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(keras_model(padded(ids, 7)).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(keras_model(ids[:1]).numpy(), expected[:1], atol=1e-5)


@pytest.mark.slow
def test_combinations_of_parameters_fit():
    """A fifth of all."""
    sides = [{}, {"embedding_dim": None}] + [
        {"word_vectors": VECTORS, "embedding_mode": mode}
        for mode in ("static", "non-static", "multichannel")
    ]
    bodies = itertools.product(
        sides, (1, 2), ("max", "average", "max+average"), ("relu", "tanh"), ((), 5)
    )
    for side, conv_layers, pooling, activation, hidden_units in itertools.islice(
        bodies, 0, None, 5
    ):
        model = small(
            **side,
            conv_layers=conv_layers,
            pooling=pooling,
            activation=activation,
            hidden_units=hidden_units,
            epochs=2,
            token_dropout=0.1,
            max_norm=3,
            l2=1e-4,
            label_smoothing=0.1,
        ).fit(IDS, CLASSES, **JUDGED)
        both_count(model)
        found = model.to_keras()(NEW_IDS).numpy()
        np.testing.assert_allclose(found, model.predict_proba(NEW_IDS), atol=1e-5)


def test_keras_model_of_every_head(two, several):
    two = both_count(copy.deepcopy(two))
    np.testing.assert_allclose(
        two.to_keras()(TWO_IDS).numpy(), two.predict_proba(TWO_IDS)[:, 1:], atol=1e-5
    )
    np.testing.assert_allclose(
        several.to_keras()(SEVERAL_IDS).numpy(), several.predict_proba(SEVERAL_IDS), atol=1e-5
    )


@keras_makes_arrays
def test_keras_model_is_a_new_one_that_can_be_trained(three, keras):
    three = both_count(copy.deepcopy(three))
    model = three.to_keras()
    assert model is not three.to_keras()
    model.compile(keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
    before = three.predict_proba(NEW_IDS)
    model.fit(np.array(IDS), CLASSES[::-1].copy(), epochs=3, verbose=0)
    np.testing.assert_array_equal(three.predict_proba(NEW_IDS), before)
    assert not np.allclose(model(NEW_IDS).numpy(), before, atol=1e-3)


@pytest.mark.parametrize("linear_ngrams", some([2, 1], every=2))
def test_any_number_of_documents_beside_a_linear_part(linear_ngrams):
    """Also as many as there are tokens or features in a row, which look like another axis."""
    ids = np.array(NEW_IDS[:, :4])
    model = both_count(small(linear_ngrams=linear_ngrams, epochs=1).fit(IDS[:, :4], CLASSES))
    keras_model = model.to_keras()
    expected = model.predict_proba(ids)
    for n_tokens in (4, 3, 1):
        narrow = np.where(np.arange(4) < n_tokens, ids, 0)
        expected = model.predict_proba(narrow)
        for n in range(1, 9):
            found = keras_model.predict_on_batch(narrow[:n, :n_tokens])
            np.testing.assert_allclose(found, expected[:n], atol=1e-5)


@keras_makes_arrays
@pytest.mark.parametrize(
    "parameters",
    some(
        [
            {},
            {"linear_ngrams": 0, "activation": "tanh", "pooling": "max+average"},
            {"embedding_dim": None, "linear_ngrams": 1},
            {"word_vectors": VECTORS, "embedding_mode": "multichannel", "conv_layers": 2},
        ],
        every=4,
    ),
    ids=lambda p: "-".join(p) or "plain",
)
def test_padding_stays_zero_in_further_training(parameters, keras):
    model = both_count(small(**parameters, epochs=2).fit(IDS, CLASSES, **JUDGED))
    network = model.to_keras()
    tables = [layer for layer in network.layers if isinstance(layer, keras.layers.Embedding)]
    trained = [t for t in tables if t.trainable and t.input_dim == len(model._known)]
    before = [table.get_weights()[0] for table in trained]
    # a decay would move whatever is not zero, without any gradient
    network.compile(keras.optimizers.AdamW(0.03), "sparse_categorical_crossentropy")
    network.fit(padded(IDS, 3), np.roll(CLASSES, 1), epochs=4, verbose=0)
    assert len(trained) == 1
    for table, old in zip(trained, before, strict=True):
        now = table.get_weights()[0]
        assert not now[0].any()
        assert (now[np.unique(IDS[IDS > 0])] != old[np.unique(IDS[IDS > 0])]).any(axis=1).all()
    ids = np.array(NEW_IDS)
    ids[0], ids[1, 3:5] = 0, 0
    expected = network(ids).numpy()
    assert not np.allclose(expected, model.predict_proba(ids), atol=1e-3)
    for n_columns in (1, 7, 40):
        np.testing.assert_allclose(network(padded(ids, n_columns)).numpy(), expected, atol=1e-5)


@pytest.mark.slow
@keras_makes_arrays
def test_saved_keras_model_loads_without_this_package(tmp_path):
    stacked = small(
        epochs=1, conv_layers=2, pooling="max+average", hidden_units=4, kernel_sizes=(2, 3)
    ).fit(IDS, CLASSES, **JUDGED)
    one_hot = small(epochs=1, embedding_dim=None).fit(IDS, CLASSES)
    ids = np.array(NEW_IDS)
    ids[0] = 0
    for name, model in (("stacked", stacked), ("one_hot", one_hot)):
        both_count(model).to_keras().save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.npy", model.predict_proba(ids))
    np.save(tmp_path / "ids.npy", ids)
    code = f"""
        import os, keras, numpy as np
        os.chdir({str(tmp_path)!r})
        for name in ("stacked", "one_hot"):
            model = keras.models.load_model(name + ".keras")
            found = model.predict(np.load("ids.npy"), verbose=0)
            print(np.abs(found - np.load(name + ".npy")).max() < 1e-5)
        try:
            import sklearn_textcnn
        except ModuleNotFoundError:
            print("hidden")
        """
    run = run_python(code, hidden=("sklearn_textcnn",))
    assert run.stdout.split() == ["True", "True", "hidden"], run.stderr


def test_the_network_of_the_tutorials(keras):
    """Embedding, Conv1D, GlobalMaxPooling1D, Dense, Dense: the same weights, the same answers."""
    classifier = TextCNNClassifier(
        kernel_sizes=5, filters=128, hidden_units=64, dropout=0.0, **PLAIN, epochs=2, random_state=0
    )
    rng = np.random.default_rng(0)
    ids = rng.integers(2, 60, (80, 20))
    y = np.resize([0, 1, 2], 80)
    classifier.fit(ids, y)
    weights = classifier._weights
    layers = keras.layers
    written_out = keras.Sequential(
        [
            keras.Input((24,), dtype="int32"),
            layers.Embedding(60, 128),
            layers.Conv1D(128, 5, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(64, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    arrays = [
        weights["tables"][0],
        weights["kernels"][0][0],
        weights["biases"][0][0],
        weights["dense_kernels"][0],
        weights["dense_biases"][0],
        weights["dense_kernels"][1],
        weights["dense_biases"][1],
    ]
    assert [tuple(v.shape) for v in written_out.weights] == [array.shape for array in arrays]
    written_out.set_weights(arrays)
    assert not arrays[0][0].any()
    ours = classifier.to_keras()
    assert ours.count_params() == written_out.count_params() == sum(a.size for a in arrays)
    kinds = (layers.Embedding, layers.Conv1D, layers.GlobalMaxPooling1D, layers.Dense)

    def kinds_of(model):
        return [type(layer) for layer in model.layers if isinstance(layer, kinds)]

    assert kinds_of(ours) == kinds_of(written_out)
    for got, array in zip(ours.get_weights(), arrays, strict=True):
        np.testing.assert_array_equal(got, array)
    # windows of five reach four positions past the last token: exactly four padding zeros
    expected = written_out.predict(padded(ids, 4), verbose=0)
    np.testing.assert_allclose(classifier.predict_proba(ids), expected, atol=1e-5)
    np.testing.assert_allclose(ours(padded(ids, 4)).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(
        expected, softmax(classifier.decision_function(ids), axis=1), atol=1e-5
    )
