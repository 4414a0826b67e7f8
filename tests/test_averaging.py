"""The mean of the weights of the last epochs."""

import copy

import numpy as np
import pytest
from classifiers import CLASSES, IDS, NEW_IDS, STANDSTILL, flat, same_weights, small, streamed


def mean_of(models):
    return [
        np.mean(arrays, axis=0) for arrays in zip(*(flat(m._weights) for m in models), strict=True)
    ]


def assert_weights(model, arrays):
    for found, expected in zip(flat(model._weights), arrays, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


SHARES = {0.5: 3, 0.41: 3, 0.4: 2, 0.2: 1, 1: 5, 1e-9: 1, 0: 1}


@pytest.mark.parametrize(
    ("engine", "share"),
    [
        *(("numpy", s) for s in SHARES),
        pytest.param("keras", 0.4, marks=pytest.mark.slow),
        pytest.param("keras", 0.2, marks=pytest.mark.slow),
    ],
)
def test_average_is_the_mean_of_the_last_epochs(engine, share, after_epochs):
    n_averaged, parameters = SHARES[share], {"engine": engine}
    model = small(**parameters, average=share, epochs=5, linear_ngrams=0).fit(IDS, CLASSES)
    each = after_epochs(**parameters)
    assert_weights(model, mean_of(each[-n_averaged:]))
    # the scores are those of the epochs, each with its own weights
    assert model.history_ == each[-1].history_
    if n_averaged > 1:
        last = each[-1].decision_function(IDS)
        assert not np.allclose(model.decision_function(IDS), last, atol=1e-2)
    else:
        assert same_weights(model, each[-1])


@pytest.fixture(scope="module")
def after_epochs():
    """Networks after 1, 2, ... 5 epochs of one and the same training."""
    kept = {}

    def fit(**parameters):
        key = tuple(parameters.values())
        if key not in kept:
            settings = parameters | {"average": 0, "linear_ngrams": 0}
            kept[key] = [small(**settings, epochs=n).fit(IDS, CLASSES) for n in range(1, 6)]
        return kept[key]

    return fit


def test_a_callback_that_stops_training_decides_about_the_weights(keras):
    class Stop(keras.callbacks.Callback):
        def __init__(self, after):
            super().__init__()
            self.after = after

        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch + 1 == self.after

    alone = {"linear_ngrams": 0}
    stopped = small(**alone, average=1, epochs=5, callbacks=[Stop(4)]).fit(IDS, CLASSES)
    assert stopped.n_iter_ == 4
    last = small(**alone, average=0, epochs=4, callbacks=[Stop(9)]).fit(IDS, CLASSES)
    assert same_weights(stopped, last)


def test_early_stopping_and_streams_have_no_average(noisy_validation):
    validation = {"X_val": NEW_IDS, "y_val": noisy_validation}
    stopped = [
        small(average=share, early_stopping=True).fit(IDS, CLASSES, **validation)
        for share in (0, 1)
    ]
    assert same_weights(*stopped)
    assert same_weights(streamed(2, average=1), streamed(2, average=0))


def test_warm_start_goes_on_from_the_mean():
    model = small(epochs=4, warm_start=True, linear_ngrams=0).fit(IDS, CLASSES)
    before = copy.deepcopy(model)
    model.set_params(**STANDSTILL).fit(IDS, CLASSES)
    assert_weights(model, flat(before._weights))
