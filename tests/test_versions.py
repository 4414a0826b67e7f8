"""Saved estimators and the version of the package that they come from.

States of earlier versions are made here, from those of today.
"""

import pickle
import warnings

import joblib
import numpy as np
import pytest
import skops.io
from classifiers import CLASSES, IDS, NAMES, NEW_IDS, small
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError

from sklearn_textcnn import (
    NgramLinearClassifier,
    TextCNNClassifier,
    TextVectorizerTransformer,
    __version__,
)
from sklearn_textcnn._saving import STATE_VERSION

TEXTS = ["a fine film", "what a fine day", "a dull film"]
VERSIONS = {"_package_version": __version__, "_state_version": STATE_VERSION}
FITTED = {
    "vectorizer": TextVectorizerTransformer().fit(TEXTS),
    "linear": NgramLinearClassifier(random_state=0).fit(IDS, NAMES[CLASSES]),
    "network": small(linear_ngrams=0, epochs=1).fit(IDS, NAMES[CLASSES]),
    "both parts": small(linear_ngrams=1, epochs=1).fit(IDS, NAMES[CLASSES]),
}


def answers(estimator):
    if isinstance(estimator, TextVectorizerTransformer):
        return np.asarray(estimator.transform(TEXTS))
    return estimator.predict_proba(NEW_IDS)


def loaded(estimator, state):
    """What loading makes of a state."""
    other = type(estimator).__new__(type(estimator))
    other.__setstate__(state)
    return other


@pytest.fixture(params=FITTED)
def estimator(request):
    return FITTED[request.param]


def test_what_is_saved_has_a_version(estimator):
    state = estimator.__getstate__()
    assert {name: state[name] for name in VERSIONS} == VERSIONS
    assert __version__.encode() in pickle.dumps(estimator)
    assert not VERSIONS.keys() & vars(pickle.loads(pickle.dumps(estimator))).keys()


@pytest.mark.parametrize("kind", ["pickle", "joblib", "skops"])
def test_a_file_of_this_version_loads_without_a_word(estimator, kind, tmp_path):
    path = tmp_path / "model"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if kind == "pickle":
            other = pickle.loads(pickle.dumps(estimator))
        elif kind == "joblib":
            joblib.dump(estimator, path)
            other = joblib.load(path)
        else:
            skops.io.dump(estimator, path)
            other = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    np.testing.assert_array_equal(answers(other), answers(estimator))


@pytest.mark.parametrize(
    "changes",
    [
        {"_package_version": "99.1.0"},
        {"_package_version": "99.1.0.dev0", "_state_version": STATE_VERSION + 1},
    ],
)
def test_a_newer_version_warns_as_scikit_learn_does(estimator, changes):
    with pytest.warns(InconsistentVersionWarning, match=r"saved by sklearn_textcnn 99\.1\.0"):
        other = loaded(estimator, estimator.__getstate__() | changes)
    np.testing.assert_array_equal(answers(other), answers(estimator))


def test_an_older_version_loads_without_a_word(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = loaded(estimator, estimator.__getstate__() | {"_package_version": "0.0.9"})
    np.testing.assert_array_equal(answers(other), answers(estimator))


def test_files_without_a_version_load_if_they_hold_what_is_needed(estimator):
    other = loaded(estimator, dict(vars(estimator)))
    np.testing.assert_array_equal(answers(other), answers(estimator))


def test_a_parameter_that_is_newer_than_the_file_has_its_default():
    state = dict(vars(FITTED["network"]))
    del state["label_smoothing"]
    other = loaded(FITTED["network"], state)
    assert other.label_smoothing == TextCNNClassifier().label_smoothing
    clone(other).fit(IDS, NAMES[CLASSES])


def before_the_share_was_learned(classifier, share=0.4):
    """State as it was when the linear part was made of tables alone."""
    state = dict(vars(classifier))
    linear = state.pop("linear_")
    for name in ("_factors", "part_weights_"):
        del state[name]
    return state | {"_linear": linear and linear._tables, "_network_share": share}


def test_files_of_before_the_share_of_the_network_was_learned():
    """As they answered then: the linear part, and so much of the network."""
    state = before_the_share_was_learned(FITTED["both parts"])
    other = loaded(FITTED["both parts"], state)
    network = loaded(FITTED["both parts"], state | {"_linear": None})
    expected = other.linear_.decision_function(NEW_IDS) + 0.4 * network.decision_function(NEW_IDS)
    np.testing.assert_allclose(other.decision_function(NEW_IDS), expected, rtol=1e-5)
    assert other.part_weights_ == {"linear": 1.0, "network": 0.4}
    assert network.part_weights_ == {"network": 1.0}
    again = pickle.loads(pickle.dumps(other))
    np.testing.assert_array_equal(answers(again), answers(other))


@pytest.mark.parametrize(
    ("name", "attribute"),
    [("network", "_architecture"), ("both parts", "linear_"), ("linear", "_tables")],
)
def test_files_of_no_use_say_so(name, attribute):
    state = {key: value for key, value in vars(FITTED[name]).items() if key != attribute}
    with pytest.raises(ValueError, match=rf"early development version.*lacks {attribute}.*fit"):
        loaded(FITTED[name], state)
    with pytest.raises(ValueError, match=r"saved by sklearn_textcnn 0\.0\.9"):
        loaded(FITTED[name], state | {"_package_version": "0.0.9", "_state_version": 1})


def test_what_is_not_fitted_loads_from_its_parameters_alone(estimator):
    other = loaded(estimator, estimator.get_params())
    assert other.get_params() == estimator.get_params()
    with pytest.raises(NotFittedError):
        answers(other)
