"""Properties that hold for all that is legal: a small part of `campaign.py`, always the same."""

import os
import random
import re
import shlex
import warnings

import campaign
import numpy as np
import pytest
import sklearn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from invariants import PROPERTIES, attempt, keras_itself, process_stays
from sklearn.utils._param_validation import make_constraint
from strategies import SMALL_NETWORK, STRATEGIES, with_keras
from threadpoolctl import threadpool_limits

from sklearn_textcnn import NgramLinearClassifier, TextCNNClassifier

# so many cases each; those of Keras are slow
N_CASES = {
    "vectorizer": 20,
    "predictions": 3,
    "fits of the linear classifier": 3,
    "fits of networks": 5,
    "refused documents": 30,
    "refused ids": 20,
    "refused parameters": 30,
}
N_SLOW_CASES = {"predictions by Keras": 3, "fits by Keras": 4}
REPEATABLE = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],  # the campaign makes a case small
    suppress_health_check=list(HealthCheck),
)


def check_property(name, n_cases):
    strategy, check = PROPERTIES[name]

    @settings(REPEATABLE, max_examples=n_cases)
    @given(strategy)
    def test(case):
        with process_stays():
            check(case)

    test()


@pytest.mark.parametrize("name", N_CASES)
def test_property(name):
    check_property(name, N_CASES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", N_SLOW_CASES)
def test_property_with_keras(name):
    check_property(name, N_SLOW_CASES[name])


def test_every_property_is_tested_and_part_of_the_campaign():
    assert PROPERTIES.keys() == N_CASES.keys() | N_SLOW_CASES.keys() == campaign.PLAN.keys()


@pytest.mark.parametrize("kind", STRATEGIES)
def test_every_parameter_has_a_strategy(kind):
    assert STRATEGIES[kind].keys() == kind._parameter_constraints.keys()
    assert STRATEGIES[kind].keys() == kind().get_params().keys()


def unreached(strategies, kind):
    """Options, and kinds of values, that a parameter may have and the strategy does not draw."""
    drawn = []

    @settings(REPEATABLE, max_examples=90)
    @given(st.fixed_dictionaries(strategies))
    def draw(parameters):
        drawn.append(parameters)

    draw()
    for name in strategies:
        values = [parameters[name] for parameters in drawn]
        for constraint in map(make_constraint, kind._parameter_constraints[name]):
            left = [option for option in getattr(constraint, "options", ()) if option not in values]
            if left or not any(map(constraint.is_satisfied_by, values)):
                yield name, str(constraint), left


@pytest.mark.parametrize("kind", STRATEGIES)
def test_strategies_draw_every_option(kind):
    others = "optimizer", "callbacks", "word_vectors"  # of Keras, or no_validation
    strategies = {name: s for name, s in STRATEGIES[kind].items() if name not in others}
    assert list(unreached(strategies, kind)) == []


@pytest.mark.slow
def test_strategies_draw_every_option_of_keras():
    strategies = with_keras(keras_itself())
    strategies = {name: strategies[name] for name in ("optimizer", "callbacks")}
    assert list(unreached(strategies, TextCNNClassifier)) == []


def raises(error):
    raise error


def warns(category, message):
    warnings.warn(message, category, stacklevel=1)


def disturb(array):
    array[0] = 7


ARRAY = np.arange(3)
UNDOCUMENTED = {
    "no documented kind": (lambda _: raises(IndexError("index 3 is out of bounds")), IndexError),
    "a subclass": (lambda _: b"\xff".decode(), UnicodeDecodeError),
    "another message": (lambda _: np.zeros(3) + np.zeros(2), ValueError),
    "a message that may not come here": (
        lambda _: raises(ValueError("sample_weight must hold a weight above 0; got zeros only")),
        ValueError,
    ),
    "warning": (lambda _: warns(UserWarning, "strange"), AssertionError),
    "another category": (
        lambda _: warns(RuntimeWarning, "The parameter 'tokenizer' is not used because"),
        AssertionError,
    ),
    "argument": (disturb, AssertionError),
    "np.random": (lambda _: np.random.random(), AssertionError),  # noqa: NPY002
    "random": (lambda _: random.random(), AssertionError),
    "errors": (lambda _: np.seterr(all="raise"), AssertionError),
    "filters": (lambda _: warnings.simplefilter("ignore"), AssertionError),
    "environment": (lambda _: os.environ.update(LEFT_BEHIND="1"), AssertionError),
    "configuration": (lambda _: sklearn.set_config(assume_finite=True), AssertionError),
    "threads": (lambda _: threadpool_limits(1), AssertionError),
}


@pytest.mark.parametrize("name", UNDOCUMENTED)
def test_what_is_not_documented_is_a_failure(name, monkeypatch):
    monkeypatch.setenv("LEFT_BEHIND", "")  # and put back
    function, error = UNDOCUMENTED[name]
    with np.errstate(), sklearn.config_context(), threadpool_limits(2):
        with pytest.raises(error), process_stays():
            attempt(function, ARRAY.copy(), may_fail=["one class"])


def test_what_is_documented_is_none():
    message = "sample_weight must hold a weight above 0; got zeros only"
    assert attempt(lambda: raises(ValueError(message)), may_fail=["one class", "zeros"]) == "zeros"
    assert attempt(sum, (1, 2)) == 3


@pytest.fixture
def odd_property(monkeypatch):
    """A property of integers that does not hold for those from 1,000 on."""

    def check(number):
        assert number < 1000
        return "held"

    monkeypatch.setitem(campaign.PROPERTIES, "odd", (st.integers(), check))
    monkeypatch.setitem(campaign.PLAN, "odd", (100, 1))


@pytest.mark.usefixtures("odd_property")
def test_a_campaign_that_fails_says_so(capsys):
    assert campaign.main(["--only", "odd", "--hours", "1"]) == 1
    printed = capsys.readouterr().out
    assert printed.count("FAILED: odd, seed ") == campaign.MOST_FAILURES
    assert "case=1000" in printed  # made small
    (blob,) = set(re.findall(r"--replay odd (.*)", printed))
    with pytest.raises(AssertionError):
        campaign.main(["--replay", "odd", *shlex.split(blob)])


def test_a_campaign_that_holds_ends_when_it_has_its_cases(capsys):
    assert campaign.main(["--only", "refused parameters", "--cases", "250", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert re.search(
        r"refused parameters: \d{3} cases, 0 of them documented errors, 0 fail", printed
    )


def test_a_campaign_ends_in_time(capsys):
    assert campaign.main(["--only", "refused parameters", "--hours", "0"]) == 0
    assert "refused parameters: 0 cases" in capsys.readouterr().out


# ---- what the campaign has found ----


@pytest.mark.parametrize("class_weight", [{"0": 3.0, "10": 0.5}, {"10": 3.0}])
def test_class_weights_of_labels_that_look_like_numbers(class_weight):
    """`compute_class_weight` looks the label "10" up as 10."""
    ids, y = np.arange(40).reshape(20, 2) % 11, np.resize(["0", "10"], 20)
    weights = [class_weight.get(label, 1) for label in y]
    expected = NgramLinearClassifier(random_state=0).fit(ids, y, weights)
    found = NgramLinearClassifier(random_state=0, class_weight=class_weight).fit(ids, y)
    np.testing.assert_array_equal(found.predict_proba(ids), expected.predict_proba(ids))


@pytest.mark.slow
def test_the_unknown_row_is_where_engines_differ_in_a_tie():
    """It starts at 0: a window of a token and an unknown one ties with one that ends in padding."""
    ids, y = np.array([[2, 1, 2, 0], [3, 1, 3, 0]] * 8), np.resize([0, 1], 16)
    parameters = SMALL_NETWORK | {"linear_ngrams": 0, "dropout": 0, "token_dropout": 0, "epochs": 1}
    parameters |= {"optimizer": "sgd", "learning_rate": 0.1, "random_state": 0}
    ours, theirs = (
        TextCNNClassifier(engine=engine, **parameters).fit(ids, y)._weights
        for engine in ("numpy", "keras")
    )
    table, other = ours["tables"][0], theirs["tables"][0]
    assert np.abs(table[1] - other[1]).max() > 1e-5
    np.testing.assert_allclose(np.delete(table, 1, axis=0), np.delete(other, 1, axis=0), atol=1e-6)
