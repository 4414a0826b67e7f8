"""What each of several answers counts for, against plain minimisation."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit, log_softmax
from sklearn.linear_model import LogisticRegression

from sklearn_textcnn._stacking import (
    LINEAR_ALONE,
    PRIOR_STRENGTH,
    folds_of,
    part_factors,
    stacked,
)
from sklearn_textcnn.network.losses import cross_entropy

HEADS = {"one": (1, False), "softmax": (3, True), "several": (4, False)}


def drawn(logits, one_of, rng):
    """Targets with the probabilities that belong to logits."""
    if one_of:
        # the largest of logits with Gumbel noise is drawn from their softmax
        return np.eye(logits.shape[1])[(logits + rng.gumbel(size=logits.shape)).argmax(axis=1)]
    return (rng.random(logits.shape) < expit(logits)).astype(float)


def two_parts(head, n, seed=0, factors=(1.5, 0.5)):
    """Decisions of two parts that know different things, and targets that both decide about."""
    n_outputs, one_of = HEADS[head]
    rng = np.random.default_rng(seed)
    decisions = rng.normal(size=(2, n, n_outputs))
    return decisions, drawn(np.tensordot(factors, decisions, 1), one_of, rng), one_of


def loss_by_hand(factors, decisions, targets, one_of, expected, strength):
    """Mean over documents, with targets that one more document of each class would leave open."""
    n = targets.shape[0]
    n_choices = targets.shape[1] if one_of else 2
    targets = (targets * n + 1) / (n + n_choices)
    logits = sum(factor * part for factor, part in zip(factors, decisions, strict=True))
    if one_of:
        total = -(targets * log_softmax(logits, axis=1)).sum()
    else:
        total = -(targets * log_expit(logits) + (1 - targets) * log_expit(-logits)).sum()
    squares = sum((f - e) ** 2 for f, e in zip(factors, expected, strict=True))
    return (total + strength / 2 * squares) / n


@pytest.mark.parametrize("strength", [0.0, 50.0])
@pytest.mark.parametrize("head", HEADS)
def test_factors_have_the_lowest_cross_entropy(head, strength):
    decisions, targets, one_of = two_parts(head, 150)
    expected = (1.0, 0.2)
    arguments = decisions, targets, one_of, expected, strength
    best = minimize(loss_by_hand, (0.7, 0.7), args=arguments, method="Nelder-Mead", tol=1e-8).x
    assert best.min() > 0.1
    found = stacked(decisions, targets, np.ones(150), one_of, expected, strength)
    np.testing.assert_allclose(found, best, rtol=5e-3)
    if strength:
        without = stacked(decisions, targets, np.ones(150), one_of)
        assert (np.abs(found - expected) < 0.9 * np.abs(without - expected)).all()


def test_factors_are_those_of_a_logistic_regression():
    decisions, targets, one_of = two_parts("one", 300)
    # a document that is one thing for the most part and another for a little
    X, y = np.tile(decisions[:, :, 0].T, (2, 1)), np.repeat([1, 0], 300)
    shares = (targets[:, 0] * 300 + 1) / 302
    regression = LogisticRegression(C=1e10, fit_intercept=False, tol=1e-8, solver="newton-cholesky")
    regression.fit(X, y, sample_weight=np.concatenate([shares, 1 - shares]))
    found = stacked(decisions, targets, np.ones(300), one_of)
    np.testing.assert_allclose(found, regression.coef_[0], rtol=5e-3)


@pytest.mark.parametrize("head", HEADS)
def test_weights_are_numbers_of_copies(head):
    """But for the prior and for what is left open, which go by the number of documents given."""
    decisions, targets, one_of = two_parts(head, 120)
    copies = np.random.default_rng(1).integers(0, 4, 120)
    n, n_choices = 120, targets.shape[1] if one_of else 2
    soft = (targets * n + 1) / (n + n_choices)

    def loss(factors):
        logits = np.repeat(np.tensordot(factors, decisions, 1), copies, axis=0)
        y = np.repeat(soft, copies, axis=0)
        if one_of:
            losses = -(y * log_softmax(logits, axis=1)).sum(axis=1)
        else:
            losses = -(y * log_expit(logits) + (1 - y) * log_expit(-logits)).sum(axis=1)
        return losses.mean() * n + 20 / 2 * ((factors - np.array([1, 0])) ** 2).sum()

    best = minimize(loss, (0.7, 0.7), method="Nelder-Mead", tol=1e-8).x
    found = stacked(decisions, targets, copies, one_of, (1.0, 0.0), 20.0)
    np.testing.assert_allclose(found, best, rtol=5e-3)
    alike = stacked(decisions, targets, np.ones(n), one_of, (1.0, 0.0), 20.0)
    assert np.abs(found - alike).max() > 0.02
    again = stacked(decisions, targets, copies * 1e-3, one_of, (1.0, 0.0), 20.0)
    np.testing.assert_allclose(again, found, rtol=1e-6)


@pytest.mark.parametrize("head", HEADS)
def test_what_is_always_right_is_as_sure_as_one_more_document_of_each_class_allows(head):
    n_outputs, one_of = HEADS[head]
    n = 48
    targets = np.eye(n_outputs)[np.arange(n) % n_outputs]
    if n_outputs == 1:
        targets = (np.arange(n) % 2)[:, None].astype(float)
    decisions = targets[None] if one_of else 2 * targets[None] - 1
    (factor,) = stacked(decisions, targets, np.ones(n), one_of)
    # n + 1 times as likely as each of the others
    assert factor == pytest.approx(math.log(n + 1), rel=1e-2)


@pytest.mark.parametrize("head", HEADS)
def test_what_is_wrong_counts_nothing(head):
    decisions, targets, one_of = two_parts(head, 200)
    wrong = np.stack([decisions[0], -decisions[1]])
    first, second = stacked(wrong, targets, np.ones(200), one_of)
    assert second == 0
    alone = stacked(wrong[:1], targets, np.ones(200), one_of)
    assert first == pytest.approx(alone[0], rel=5e-3)


@pytest.mark.parametrize("head", HEADS)
def test_cross_entropy_and_its_slopes(head):
    decisions, targets, one_of = two_parts(head, 40)
    logits = 3 * decisions[0]
    losses, slopes = cross_entropy(logits, targets, one_of)
    if one_of:
        expected = -(targets * log_softmax(logits, axis=1)).sum(axis=1)
    else:
        expected = -(targets * log_expit(logits) + (1 - targets) * log_expit(-logits)).sum(axis=1)
    np.testing.assert_allclose(losses, expected, rtol=1e-10)
    for output in range(targets.shape[1]):
        step = np.zeros(targets.shape)
        step[:, output] = 1e-5
        ends = [cross_entropy(logits + s * step, targets, one_of)[0] for s in (1, -1)]
        np.testing.assert_allclose(slopes[:, output], (ends[0] - ends[1]) / 2e-5, atol=1e-6)
    losses, slopes = cross_entropy(1e5 * logits, targets, one_of)
    assert np.isfinite(losses).all()
    assert np.isfinite(slopes).all()


# Of a linear part and a network


def judged(head, n, network_counts, seed=0):
    """Logits of both parts, and targets that the network's have something to do with or not."""
    n_outputs, one_of = HEADS[head]
    rng = np.random.default_rng(seed)
    linear, network = rng.normal(0, 2, (2, n, n_outputs))
    targets = drawn(linear + network_counts * network, one_of, rng)
    return linear, network, targets, np.ones(n), one_of


@pytest.mark.parametrize("head", HEADS)
def test_a_network_that_knows_nothing_counts_exactly_nothing(head):
    linear, _, targets, weights, one_of = judged(head, 400, network_counts=0)
    for network in (np.zeros(linear.shape), np.full(linear.shape, -3.0), -linear, 1e-30 * linear):
        found = part_factors(linear, network, targets, weights, one_of)
        assert found == LINEAR_ALONE == (1.0, 0.0, 1.0)


@pytest.mark.parametrize("sureness", [0.3, 3.0])
def test_it_counts_nothing_beside_a_linear_part_that_is_not_as_sure_as_it_should_be(
    sureness,
):
    """What the linear part would gain from another factor is not the network's doing."""
    linear, _, targets, weights, one_of = judged("one", 2000, network_counts=0)
    for network in (np.zeros(linear.shape), -linear):
        found = part_factors(sureness * linear, network, targets, weights, one_of)
        assert found == LINEAR_ALONE


@pytest.mark.parametrize("head", HEADS)
def test_a_network_that_helps_by_chance_counts_nothing_for_the_most_part(head):
    """In half of the cases noise helps a little on the documents at hand, within the error."""
    found = [part_factors(*judged(head, 400, 0.0, seed)) for seed in range(40)]
    assert sum(factors == LINEAR_ALONE for factors in found) >= 34
    assert max(factors.network for factors in found) < 0.2
    # it would count something in many more of them
    helps = []
    for seed in range(40):
        linear, network, targets, weights, one_of = judged(head, 400, 0.0, seed)
        parts = np.stack([linear, network])
        helps.append(stacked(parts, targets, weights, one_of, (1, 0), PRIOR_STRENGTH)[1] > 0)
    assert sum(helps) > 12


@pytest.mark.parametrize("head", HEADS)
def test_a_network_that_knows_what_the_linear_part_does_not_counts(head):
    linear, network, targets, weights, one_of = judged(head, 20_000, network_counts=1)
    factors = part_factors(linear, network, targets, weights, one_of)
    assert factors.linear == pytest.approx(1, abs=0.1)
    assert factors.network * factors.scale == pytest.approx(1, abs=0.1)
    # the scale alone makes the network as sure as it may be by itself
    (scale,) = stacked(network[None], targets, weights, one_of)
    assert factors.scale == pytest.approx(scale, rel=1e-3)
    assert {type(value) for value in factors} == {float}
    assert factors.by_part() == {"linear": factors.linear, "network": factors.network}
    expected = factors.linear * linear + factors.network * factors.scale * network
    np.testing.assert_allclose(factors.sum(linear, network), expected)


@pytest.mark.parametrize("head", HEADS)
def test_few_documents_say_little(head):
    found = [part_factors(*judged(head, n, network_counts=2)) for n in (16, 60, 2000)]
    away = [math.hypot(factors.linear - 1, factors.network) for factors in found]
    assert away[0] < 0.35
    assert away[0] < 0.6 * away[1] < 0.6 * 0.8 * away[2]


def test_the_prior_is_that_of_a_hundred_documents():
    linear, network, targets, weights, one_of = judged("one", 500, network_counts=1)
    factors = part_factors(linear, network, targets, weights, one_of)
    parts = linear, factors.scale * network
    arguments = parts, targets, one_of, (1, 0), 100
    best = minimize(loss_by_hand, (0.7, 0.7), args=arguments, method="Nelder-Mead", tol=1e-8).x
    np.testing.assert_allclose(factors[:2], best, rtol=5e-3)


@pytest.mark.parametrize("times", [0.1, 10])
@pytest.mark.parametrize("head", HEADS)
def test_how_sure_the_network_is_of_itself_does_not_matter(head, times):
    linear, network, targets, weights, one_of = judged(head, 300, network_counts=1)
    factors = part_factors(linear, network, targets, weights, one_of)
    other = part_factors(linear, times * network, targets, weights, one_of)
    assert factors.network > 0.2
    np.testing.assert_allclose(other[:2], factors[:2], rtol=1e-2)
    assert other.scale == pytest.approx(factors.scale / times, rel=1e-2)


def test_documents_that_weigh_more_say_more():
    """The network is right about the heavy ones."""
    linear, network, targets, _, one_of = judged("one", 400, network_counts=0)
    targets[:200] = network[:200] > 0
    found = [
        part_factors(linear, network, targets, np.repeat(weights, 200), one_of).network
        for weights in ((0.1, 1), (1, 1), (1, 0.1), (100, 10))
    ]
    assert found[0] < 0.7 * found[1] < 0.7 * found[2]
    assert found[3] == pytest.approx(found[2], rel=1e-3)


def test_what_is_gained_on_documents_that_weigh_little_does_not_matter():
    """The network is right about the hundred heavy ones, and wrong about the others."""
    linear, network, targets, _, one_of = judged("one", 400, network_counts=0)
    targets[:100], targets[100:] = network[:100] > 0, network[100:] < 0
    factors = part_factors(linear, network, targets, np.repeat([30, 1], [100, 300]), one_of)
    assert factors.network > 0.2
    factors = part_factors(linear, network, targets, np.ones(400), one_of)
    assert factors == LINEAR_ALONE


def test_without_documents_the_linear_part_stands_alone():
    nothing = np.zeros((0, 3))
    assert part_factors(nothing, nothing, nothing, np.zeros(0), True) == LINEAR_ALONE


# Folds


def counts_of(folds, kinds, n_folds):
    """Documents of each kind, a row, in each fold, a column."""
    table = np.zeros((kinds.max() + 1, n_folds), dtype=int)
    np.add.at(table, (kinds, folds), 1)
    return table


@pytest.mark.parametrize("n_folds", [2, 3, 7])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_folds_have_equal_shares_of_each_combination_of_targets(n_outputs, n_folds):
    rng = np.random.default_rng(0)
    targets = (rng.random((100, n_outputs)) < 0.3).astype(np.float32)
    folds = folds_of(list(range(100)), targets, n_folds, np.random.default_rng(1))
    assert sorted(set(folds)) == list(range(n_folds))
    assert np.ptp(np.bincount(folds)) <= 1
    kinds = (targets @ 2 ** np.arange(n_outputs)).astype(int)
    assert np.ptp(counts_of(folds, kinds, n_folds), axis=1).max() <= 1


def test_folds_are_shuffled_and_seeded():
    targets = np.eye(2)[np.arange(60) % 2]
    first, again, other = (
        folds_of(list(range(60)), targets, 3, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(set(first[:6].tolist())) > 1
    assert not np.array_equal(first, np.sort(first))


def test_copies_are_in_one_fold():
    rng = np.random.default_rng(0)
    contents = [f"document {i}" for i in rng.integers(0, 30, 200)]
    targets = np.eye(3)[rng.integers(0, 3, 200)]  # copies need not agree
    folds = folds_of(contents, targets, 3, rng)
    by_content = {}
    for content, fold in zip(contents, folds, strict=True):
        by_content.setdefault(content, set()).add(int(fold))
    assert {len(found) for found in by_content.values()} == {1}
    distinct = np.array([found.pop() for found in by_content.values()])
    assert np.bincount(distinct).tolist() == [10, 10, 10]


@pytest.mark.parametrize(
    ("contents", "n_folds", "expected"),
    [
        (["a"], 3, [0]),
        (["a", "a", "a"], 2, [0, 0, 0]),
        (["a", "b"], 3, [0, 1]),
        (["a", "b", "c"], 2, [0, 0, 1]),
        (list("abcd"), 10, [0, 1, 2, 3]),
    ],
)
def test_folds_of_next_to_nothing(contents, n_folds, expected):
    folds = folds_of(contents, np.ones((len(contents), 1)), n_folds, np.random.default_rng(0))
    assert sorted(folds.tolist()) == expected
