"""Seeds, and what fits leave alone: global state, the caller's arrays, themselves if they fail."""

import copy
import itertools
import random

import numpy as np
import pytest
from classifiers import (
    CLASSES,
    IDS,
    NAMES,
    NEW_CLASSES,
    NEW_IDS,
    SEVERAL,
    SEVERAL_IDS,
    TWO_CLASSES,
    TWO_IDS,
    both_count,
    same_weights,
    small,
)
from corpora import read_only
from sampling import some

from sklearn_textcnn.training.course import Course

# Randomness


@pytest.mark.parametrize(
    "parameters",
    [
        {"token_dropout": 0.2, "early_stopping": True},
        pytest.param(
            {"pooling": "max+average", "conv_layers": 2, "hidden_units": (6,), "linear_ngrams": 0},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"embedding_dim": None, "kernel_sizes": (3, 4, 5), "filters": 100},
            marks=pytest.mark.slow,
        ),
        {"embedding_dim": 64, "kernel_sizes": (3, 4, 5), "filters": 100},
        {
            "word_vectors": read_only(np.random.default_rng(0).normal(size=(50, 5))),
            "embedding_mode": "multichannel",
        },
    ],
    ids=["token dropout", "stacked", "one-hot", "wide", "multichannel"],
)
def test_equal_seeds_give_equal_bits(parameters):
    ids, y = np.tile(IDS, (6, 1)), np.tile(CLASSES, 6)
    first, second = (small(**parameters, epochs=2).fit(ids, y) for _ in range(2))
    assert same_weights(first, second)
    assert first.history_ == second.history_
    other = small(**parameters | {"random_state": 1}, epochs=2).fit(ids, y)
    assert not same_weights(first, other)


def test_kinds_of_random_state():
    def fit(random_state):
        return small(epochs=1, random_state=random_state).fit(IDS, CLASSES)

    assert same_weights(fit(np.random.RandomState(3)), fit(np.random.RandomState(3)))
    assert not same_weights(fit(np.random.RandomState(3)), fit(np.random.RandomState(4)))
    one = np.random.RandomState(3)
    assert not same_weights(fit(one), fit(one))  # its state moves on, as everywhere
    assert not same_weights(fit(None), fit(None))
    assert same_weights(fit(np.int64(5)), fit(5))


def test_global_random_states_are_left_alone(keras):
    import tensorflow as tf

    def draws():
        return [
            random.random(),
            np.random.random(),  # noqa: NPY002
            tf.random.uniform(()).numpy().item(),
        ]

    def fit():
        model = small(epochs=2, linear_ngrams=0, token_dropout=0.1, filters=7, early_stopping=True)
        model.fit(IDS, CLASSES).predict(NEW_IDS)
        model.to_keras()
        model.set_params(early_stopping=False).partial_fit(IDS, CLASSES)
        small(epochs=1, optimizer=keras.optimizers.Adam).fit(IDS, CLASSES)

    from tensorflow.python.framework import config

    deterministic = config.is_op_determinism_enabled()
    keras.utils.set_random_seed(7)
    expected = draws() + draws()
    keras.utils.set_random_seed(7)
    found = draws()
    fit()
    assert found + draws() == expected
    assert config.is_op_determinism_enabled() == deterministic


def test_results_do_not_depend_on_the_global_random_state():
    np.random.seed(1)  # noqa: NPY002
    first = small(epochs=1).fit(IDS, CLASSES)
    np.random.seed(2)  # noqa: NPY002
    assert same_weights(first, small(epochs=1).fit(IDS, CLASSES))


@pytest.mark.parametrize("setting", ["mixed_bfloat16", "float16"])
def test_global_settings_of_keras_change_nothing_in_numpy(three, keras, setting):
    """What Keras builds under a policy follows it, as its user has asked for."""
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    try:
        if setting == "float16":
            keras.config.set_floatx(setting)
        else:
            keras.config.set_dtype_policy(setting)
        model = small(filters=(8, 9)).fit(IDS, NAMES[CLASSES])
        both = both_count(copy.deepcopy(model))
        outputs = both.to_keras()(NEW_IDS).numpy()
    finally:
        keras.config.set_dtype_policy(policy)
        keras.config.set_floatx(floatx)
    assert same_weights(model, small(filters=(8, 9)).fit(IDS, NAMES[CLASSES]))
    assert outputs.dtype == np.float32
    # eight bits of a number are left for the network, all of them for the linear part
    np.testing.assert_allclose(outputs, both.predict_proba(NEW_IDS), atol=2e-3)


# The caller's arrays, and what happens when a fit goes wrong


def test_inputs_are_never_written_to():
    arrays = {
        "X": read_only(IDS),
        "y": read_only(CLASSES),
        "sample_weight": read_only(np.ones(len(IDS))),
        "X_val": read_only(NEW_IDS),
        "y_val": read_only(NEW_CLASSES),
    }
    before = {name: array.copy() for name, array in arrays.items()}
    vectors = read_only(np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32))
    vectors_before = vectors.copy()
    model = small(
        linear_ngrams=0,
        epochs=1,
        token_dropout=0.5,
        class_weight="balanced",
        word_vectors=vectors,
        embedding_mode="multichannel",
    )
    model.fit(**arrays)
    model.set_params(class_weight=None).partial_fit(arrays["X"], arrays["y"])
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        getattr(model, method)(arrays["X_val"])
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name])
    np.testing.assert_array_equal(vectors, vectors_before)
    small(epochs=1).fit(SEVERAL_IDS, SEVERAL)


ENGINES = {
    "NumPy": {},
    "one-hot": {"embedding_dim": None},
    "every row": {"optimizer": "adam"},
    "Keras": {"engine": "keras"},
}


@pytest.fixture
def interrupt(monkeypatch):
    """Makes the next training fail after a number of batches."""
    choose = Course.weights_to_keep

    def end(self, *args, **kwargs):
        monkeypatch.setattr(Course, "weights_to_keep", choose)
        choose(self, *args, **kwargs)
        raise KeyboardInterrupt

    def after(n_batches, error):
        if n_batches == "all":  # and before what comes of them is stored
            monkeypatch.setattr(Course, "weights_to_keep", end)
            return
        left = iter(range(n_batches))
        step = Course.step

        def failing(self):
            if next(left, None) is None:
                monkeypatch.setattr(Course, "step", step)
                raise error("in the middle")
            step(self)

        monkeypatch.setattr(Course, "step", failing)

    return after


@pytest.mark.parametrize("method", ["fit", "warm fit", "partial_fit"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_fit_changes_nothing(interrupt, error, method):
    alone = {"linear_ngrams": 0} if method != "fit" else {}
    model = small(epochs=2, **alone, warm_start=method == "warm fit").fit(IDS, NAMES[CLASSES])
    expected, history = model.predict_proba(NEW_IDS), model.history_
    twin, before = copy.deepcopy(model), vars(model).copy()
    arguments = {
        "fit": (TWO_IDS[:, :7], TWO_CLASSES),
        "warm fit": (IDS, NAMES[CLASSES]),
        "partial_fit": (IDS, NAMES[CLASSES]),
    }[method]
    interrupt(2, error)
    with pytest.raises(error, match="in the middle"):
        getattr(model, method.removeprefix("warm "))(*arguments)
    np.testing.assert_array_equal(model.predict_proba(NEW_IDS), expected)
    assert model.history_ is history
    assert vars(model).items() >= before.items()
    assert model.classes_.tolist() == NAMES.tolist()
    assert same_weights(model, twin)
    # and it can go on
    assert model.fit(IDS, NAMES[CLASSES]).score(NEW_IDS, NAMES[NEW_CLASSES]) > 0.3


@pytest.mark.parametrize("error", some([KeyboardInterrupt, RuntimeError], every=2))
def test_a_callback_that_fails_changes_nothing(keras, error):
    class Bomb(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                raise error("in the middle")

    model = small(epochs=2).fit(IDS, NAMES[CLASSES])
    twin = copy.deepcopy(model)
    with pytest.raises(error, match="in the middle"):
        model.set_params(callbacks=[Bomb()]).fit(TWO_IDS[:, :7], TWO_CLASSES)
    np.testing.assert_array_equal(model.predict_proba(NEW_IDS), twin.predict_proba(NEW_IDS))
    assert same_weights(model, twin)
    assert model.history_ == twin.history_


@pytest.mark.parametrize(
    ("engine", "n_batches"), some(itertools.product(ENGINES, ["all", 0, 3]), every=6)
)
def test_a_stream_goes_on_as_if_nothing_had_failed(engine, n_batches, interrupt):
    """Same bits as without the failure: weights, random numbers, what the optimizer knows."""
    new = np.where(IDS == IDS.max(), 60, IDS)  # the table has to grow, and a row to be drawn

    def stream(failing):
        model = small(**ENGINES[engine]).partial_fit(IDS, CLASSES, classes=[0, 1, 2])
        if failing:
            answers, state = model.decision_function(new), copy.deepcopy(vars(model))
            for X in (IDS, new):
                interrupt(n_batches, KeyboardInterrupt)
                with pytest.raises(KeyboardInterrupt):
                    model.partial_fit(X, CLASSES)
                np.testing.assert_array_equal(model.decision_function(new), answers)
            assert model._random_stream_state == state["_random_stream_state"]
            assert model.history_ == state["history_"]
            assert model.n_iter_ == 1
        return model.partial_fit(new, CLASSES).partial_fit(IDS, CLASSES)

    failed, smooth = stream(True), stream(False)
    assert same_weights(failed, smooth)
    assert failed.history_ == smooth.history_
    np.testing.assert_array_equal(failed.decision_function(new), smooth.decision_function(new))


def test_a_stream_that_fails_in_its_first_call_leaves_nothing(interrupt):
    model = small()
    before = vars(model).copy()
    interrupt(2, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(IDS, CLASSES, classes=[0, 1, 2])
    assert vars(model) == before


def test_a_first_fit_that_fails_leaves_nothing():
    model = small()
    before = vars(model).copy()
    with pytest.raises(ValueError, match="Negative values"):
        model.fit(np.where(IDS == IDS.max(), -1, IDS), CLASSES)
    assert vars(model) == before
