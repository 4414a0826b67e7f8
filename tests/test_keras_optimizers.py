"""Optimizers of Keras: each class and each instance trains as Keras wrote it."""

import numpy as np
import pytest
from classifiers import (
    CLASSES,
    IDS,
    NEW_CLASSES,
    NEW_IDS,
    PLAIN,
    keras_makes_arrays,
    same_weights,
    small,
)
from sampling import some
from sklearn.base import clone

RATES = {
    "Adadelta": 5.0,
    "Adafactor": 0.3,
    "Adagrad": 0.5,
    "Ftrl": 0.5,
    "Lion": 0.01,
    "Nadam": 0.02,
    "RMSprop": 0.02,
}


def plain(**parameters):
    return small(**PLAIN | {"dropout": 0.0, "epochs": 6} | parameters).fit(IDS, CLASSES)


@pytest.mark.parametrize("name", some(RATES, every=7))
def test_every_class_and_instance_trains(name, keras):
    optimizer = getattr(keras.optimizers, name)
    by_class = plain(optimizer=optimizer, learning_rate=RATES[name])
    # a limit that no weight reaches; an instance does not look at learning_rate
    instance = plain(optimizer=optimizer(RATES[name]), max_norm=50, learning_rate=1e-9)
    np.testing.assert_allclose(
        by_class.decision_function(IDS), instance.decision_function(IDS), atol=1e-3
    )
    losses = by_class.history_["loss"]
    if name == "Ftrl":
        # it forgets the first weights, and with all of them at zero only the bias learns
        assert len(set(losses)) == 6
    else:
        assert losses[-1] < 0.5 * losses[0]


def test_max_norm_with_an_optimizer_of_keras(keras):
    limited = plain(optimizer=keras.optimizers.RMSprop, learning_rate=0.02, max_norm=0.7)
    norms = np.linalg.norm(limited._weights["dense_kernels"][-1], axis=0)
    assert 0.69 < norms.max() < 0.7 + 1e-5


@pytest.mark.slow
def test_an_instance_is_copied_and_has_its_own_rate(keras):
    optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
    config = optimizer.get_config()
    model = small(**PLAIN, optimizer=optimizer, learning_rate=1e-9).fit(IDS, CLASSES)
    assert not optimizer.built
    assert optimizer.get_config() == config
    assert model.score(NEW_IDS, NEW_CLASSES) > 0.7
    assert same_weights(model, clone(model).fit(IDS, CLASSES))


def test_class_and_name_are_the_same_optimizer(keras):
    """By name NumPy trains, by class Keras does."""
    rate = {"learning_rate": 0.5, "epochs": 8}
    by_class, by_name = (
        plain(optimizer=keras.optimizers.SGD, **rate),
        plain(optimizer="sgd", **rate),
    )
    np.testing.assert_allclose(by_class.predict_proba(IDS), by_name.predict_proba(IDS), atol=1e-4)
    still = plain(optimizer=keras.optimizers.SGD, learning_rate=1e-30)
    assert not same_weights(still, by_class)


@pytest.fixture(scope="module")
def descent(keras):
    return plain(optimizer=keras.optimizers.SGD(0.5))


@pytest.mark.slow
def test_scaled_losses_change_little(descent, keras):
    # half precision asks for both; in full precision they must cancel out
    wrapped = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5))
    for optimizer in (wrapped, keras.optimizers.SGD(0.5, loss_scale_factor=1000)):
        scaled = plain(optimizer=optimizer)
        assert scaled.history_["loss"][-1] < 0.5 * scaled.history_["loss"][0]
        np.testing.assert_allclose(
            scaled.decision_function(IDS), descent.decision_function(IDS), atol=1e-3
        )


@pytest.mark.slow
def test_moving_average_of_an_optimizer_counts(keras):
    """Its mean of the weights is kept, and not averaged again."""
    Adam = keras.optimizers.Adam
    each = plain(optimizer=Adam(0.02))
    mean = plain(optimizer=Adam(0.02, use_ema=True, ema_momentum=0.9))
    assert mean.history_ == each.history_  # the steps are those of the weights themselves
    assert not np.allclose(mean.decision_function(IDS), each.decision_function(IDS), atol=0.1)
    assert mean.score(IDS, CLASSES) > 0.9
    averaged = plain(optimizer=Adam(0.02, use_ema=True, ema_momentum=0.9), average=1.0)
    assert same_weights(averaged, mean)
    inner = keras.optimizers.LossScaleOptimizer(Adam(0.02, use_ema=True, ema_momentum=0.9))
    wrapped = plain(optimizer=inner, average=1.0)
    assert not np.allclose(wrapped.decision_function(IDS), each.decision_function(IDS), atol=0.1)


@pytest.mark.slow
def test_settings_of_an_optimizer_have_their_effect(descent, keras):
    SGD, schedules = keras.optimizers.SGD, keras.optimizers.schedules
    losses = {
        name: plain(optimizer=optimizer).history_["loss"][-1]
        for name, optimizer in (
            ("clipnorm", SGD(0.5, clipnorm=0.02)),
            ("global_clipnorm", SGD(0.5, global_clipnorm=0.02)),
            ("accumulation", SGD(0.5, gradient_accumulation_steps=3)),
            # 6 steps an epoch, counted from 0: nothing moves after the first
            ("schedule", SGD(schedules.PiecewiseConstantDecay([5], [0.5, 0.0]))),
            ("constant schedule", SGD(schedules.PiecewiseConstantDecay([600], [0.5, 0.0]))),
        )
    }
    full = descent.history_["loss"][-1]
    assert losses.pop("constant schedule") == pytest.approx(full, rel=1e-4)
    assert min(losses.values()) > 1.5 * full
    assert losses["accumulation"] < 0.9 * losses["schedule"]  # it learns, a third as often


@keras_makes_arrays
def test_a_schedule_goes_on_over_calls(keras):
    decay = keras.optimizers.schedules.PiecewiseConstantDecay([5], [0.5, 0.0])
    model = small(**PLAIN, optimizer=keras.optimizers.SGD(decay))
    first = model.partial_fit(IDS, CLASSES, classes=[0, 1, 2]).decision_function(IDS)
    assert np.ptp(first) > 0
    np.testing.assert_array_equal(model.partial_fit(IDS, CLASSES).decision_function(IDS), first)
