"""scikit-learn's own checks on all estimators, and which of them fail for what reason."""

import re

import numpy as np
import pytest
import sklearn
from corpora import keyword_ids
from sklearn.base import is_classifier
from sklearn.exceptions import SkipTestWarning
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator, check_fit_score_takes_y

from sklearn_textcnn import NgramLinearClassifier, TextCNNClassifier, TextVectorizerTransformer

SKLEARN = tuple(int(part) for part in sklearn.__version__.split(".")[:2])

# Every check that may fail: name -> (why, what it fails with). One that passes fails the test.
CLASSIFIER_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": (
        "Feeds fractions whatever the tags say. On ids it would fail too: mini-batches of repeated "
        "documents are other batches than those of weighted ones.",
        "token ids, which are whole numbers; got 0.37",
    ),
    "check_class_weight_classifiers": (
        "Feeds negative numbers whatever the tags say.",
        "Negative values in data passed to TextCNNClassifier",
    ),
    "check_decision_proba_consistency": (
        "Feeds negative numbers whatever the tags say.",
        "Negative values in data passed to TextCNNClassifier",
    ),
    "check_fit_score_takes_y": (
        "Calls partial_fit after a fit with all defaults, which is refused: it cannot go on with "
        "the linear part. Without one the check passes: see below.",
        "partial_fit goes on with the network, but not with a linear part",
    ),
}
LINEAR_FAILURES = {
    name: (why, message.replace("TextCNNClassifier", "NgramLinearClassifier"))
    for name, (why, message) in CLASSIFIER_FAILURES.items()
    if name not in ("check_fit_score_takes_y", "check_sample_weight_equivalence_on_dense_data")
} | {
    "check_sample_weight_equivalence_on_dense_data": (
        "Feeds fractions whatever the tags say. On ids it would fail too: more documents are "
        "other folds.",
        "token ids, which are whole numbers; got 0.37",
    ),
    "check_classifiers_train": (
        "Rounds clouds of points to the ids 0 to 4. Padding and unknown tokens (0 and 1) are no "
        "features, so that most points look alike.",
        "",
    ),
}
if SKLEARN < (1, 7):
    CLASSIFIER_FAILURES["check_positive_only_tag_during_fit"] = (
        "scikit-learn 1.6 subtracts a fractional mean from integers in place.",
        "Cannot cast ufunc 'subtract' output",
    )
    LINEAR_FAILURES["check_positive_only_tag_during_fit"] = CLASSIFIER_FAILURES[
        "check_positive_only_tag_during_fit"
    ]

# Learns what `check_classifiers_train` asks for in half the time of the defaults.
SMALL = {"filters": 20, "epochs": 6, "learning_rate": 0.01}

# How many checks there are where it was counted. In other versions there must be at least as many
# as in the oldest: what is left out silently would go unnoticed.
N_CLASSIFIER_CHECKS = {(1, 6): 68, (1, 9): 68}
N_TRANSFORMER_CHECKS = {(1, 6): 1, (1, 9): 1}


def assert_checks_as_expected(results, n_checks, failures):
    n_expected = n_checks.get(SKLEARN, min(n_checks.values()))
    assert len(results) == n_expected if SKLEARN in n_checks else len(results) >= n_expected
    failed = {result["check_name"]: result for result in results if result["status"] == "failed"}
    others = [result for result in results if result["status"] not in ("passed", "failed")]
    assert [result["check_name"] for result in others] == []
    assert {name: str(result["exception"]) for name, result in failed.items()}.keys() == (
        failures.keys()
    )
    for name, (_, message) in failures.items():
        assert re.search(re.escape(message), str(failed[name]["exception"])), name


@pytest.mark.parametrize(
    "parameters",
    [SMALL, pytest.param({}, marks=pytest.mark.slow)],
    ids=["small", "default"],
)
def test_checks_of_the_classifier(parameters):
    results = check_estimator(TextCNNClassifier(**parameters), on_fail=None, on_skip=None)
    assert_checks_as_expected(results, N_CLASSIFIER_CHECKS, CLASSIFIER_FAILURES)
    names = {result["check_name"] for result in results}
    # these leave themselves out without pandas or SCIPY_ARRAY_API=1
    assert {"check_sample_weights_pandas_series", "check_classifiers_train"} <= names


def test_checks_of_the_linear_classifier():
    results = check_estimator(NgramLinearClassifier(), on_fail=None, on_skip=None)
    assert_checks_as_expected(results, N_CLASSIFIER_CHECKS, LINEAR_FAILURES)


def test_checks_of_the_transformer():
    with pytest.warns(SkipTestWarning, match="Can't test estimator TextVectorizerTransformer"):
        results = check_estimator(TextVectorizerTransformer(), on_fail=None, on_skip=None)
    assert_checks_as_expected(results, N_TRANSFORMER_CHECKS, {})


@pytest.mark.parametrize(
    ("results", "failures"),
    [
        ([("a", "failed")], {}),
        ([("a", "passed")], {"a": ("passes by now", "")}),
        ([("a", "failed")], {"a": ("fails with something else", "other message")}),
        ([("a", "skipped")], {}),
        ([("a", "passed"), ("b", "passed")], {}),
    ],
)
def test_expectations_are_strict(results, failures):
    results = [
        {"check_name": name, "status": status, "exception": ValueError("message")}
        for name, status in results
    ]
    with pytest.raises(AssertionError):
        assert_checks_as_expected(results, {SKLEARN: 1}, failures)


def test_tags_of_the_classifier():
    tags = get_tags(TextCNNClassifier())
    assert is_classifier(TextCNNClassifier())
    assert tags.input_tags.categorical
    assert tags.input_tags.positive_only
    assert not tags.input_tags.sparse
    assert not tags.input_tags.allow_nan
    assert tags.classifier_tags.multi_class
    assert tags.classifier_tags.multi_label
    assert not tags.classifier_tags.poor_score
    assert not tags.non_deterministic
    assert not tags.no_validation
    assert tags.target_tags.required


def test_a_network_alone_passes_the_check_that_calls_partial_fit():
    check_fit_score_takes_y("TextCNNClassifier", TextCNNClassifier(linear_ngrams=0, epochs=1))


# What the two checks that feed negative numbers look at, on ids.


def test_class_weights_decide_what_is_predicted():
    rng = np.random.default_rng(0)
    ids, classes = rng.integers(2, 12, (60, 4)), np.resize([0, 1, 2], 60)  # labels of pure chance
    for heavy in range(3):
        weights = {0: 0.0001, 1: 0.0001, 2: 0.0001} | {heavy: 100}
        classifier = TextCNNClassifier(
            embedding_dim=4, filters=4, epochs=15, class_weight=weights, random_state=0
        )
        assert (classifier.fit(ids, classes).predict(ids) == heavy).mean() > 0.9


@pytest.mark.parametrize("n_classes", [2, 3])
def test_decisions_and_probabilities_have_one_order(n_classes):
    ids, classes = keyword_ids(n_classes=n_classes)
    classifier = TextCNNClassifier(embedding_dim=4, filters=4, epochs=1, random_state=0)
    decisions = classifier.fit(ids, classes).decision_function(ids).reshape(len(ids), -1)
    probabilities = classifier.predict_proba(ids)
    if n_classes == 2:
        order = np.argsort(decisions[:, 0], kind="stable")
        assert (np.diff(probabilities[order, 1]) >= 0).all()
        assert (np.diff(probabilities[order, 0]) <= 0).all()
    else:
        np.testing.assert_array_equal(decisions.argsort(axis=1), probabilities.argsort(axis=1))
