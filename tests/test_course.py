"""What the epochs of a fit come to, fed with made-up scores and weights."""

from dataclasses import replace

import numpy as np
import pytest
from networks import (
    KNOWN,
    architecture,
    assert_equal_weights,
    documents,
    options,
    random_weights,
)
from scipy.special import log_expit, log_softmax

from sklearn_textcnn._stacking import part_factors
from sklearn_textcnn.network.architecture import arrays_of, map_arrays
from sklearn_textcnn.network.forward import Forward
from sklearn_textcnn.training.course import Course

SCORES = {"loss": 1.0, "accuracy": 0.5}


def weights_after(epoch):
    return {"kernels": [[np.full(3, epoch**2, dtype=np.float32)]], "biases": []}


def course_of(validation=None, a=None, known=KNOWN, **settings):
    return Course(a or architecture(), known, validation, options(**settings), 90)


def validated(val_losses, **settings):
    """A course whose validation comes out as given, and the number of epochs it took."""
    course = course_of(validation=documents(architecture()), **settings)
    losses = iter(val_losses)
    course._validation_scores = lambda _: {"val_loss": next(losses), "val_accuracy": 0.1}
    epoch = 0
    while course.goes_on():
        epoch += 1
        course.end_epoch(SCORES, lambda epoch=epoch: weights_after(epoch))
    return course, epoch


@pytest.mark.parametrize(
    ("average", "epochs", "first"),
    # 0.07 * 100 is above 7 in floating point
    [(1.0, 4, 1), (0.5, 10, 6), (0.5, 5, 3), (0.07, 100, 94), (0.3, 9, 7)],
)
def test_weights_of_the_last_epochs_are_averaged(average, epochs, first):
    course, current = course_of(average=average, epochs=epochs), weights_after(0)
    for epoch in range(1, epochs + 1):
        # in place, as an engine may: what is averaged has to be a copy
        current["kernels"][0][0][:] = epoch**2
        course.end_epoch(SCORES, lambda: current)
    assert not course.goes_on()
    (mean,) = arrays_of(course.weights_to_keep())
    expected = np.mean(np.arange(first, epochs + 1.0) ** 2)
    np.testing.assert_allclose(mean, expected, rtol=1e-5)
    assert course.weights_to_keep(last_ones_count=True) is None


@pytest.mark.parametrize(("average", "epochs"), [(0.0, 10), (0.1, 10), (0.5, 1)])
def test_of_one_epoch_nothing_is_averaged(average, epochs):
    course = course_of(average=average, epochs=epochs)
    for _ in range(epochs):
        course.end_epoch(SCORES, lambda: weights_after(1))
    assert course.weights_to_keep() is None


@pytest.mark.parametrize(
    ("val_losses", "patience", "best", "n_epochs"),
    [
        ([5, 4, 3, 2, 1], 2, 5, 5),
        ([3, 2, 4, 4, 4, 1], 3, 2, 5),
        ([3, 2, 4, 4, 1, 2, 2, 2], 3, 5, 8),
        ([3, 3, 3, 3], 2, 1, 3),  # no better than the best
        ([3, 4, 1], 1, 1, 2),
    ],
)
def test_early_stopping_keeps_the_best_weights(val_losses, patience, best, n_epochs):
    settings = {"epochs": len(val_losses), "patience": patience, "average": 1.0}
    course, epochs = validated(val_losses, early_stopping=True, **settings)
    assert (course.best_epoch, epochs) == (best, n_epochs)
    assert course.ended == (n_epochs < best + patience + 1 and n_epochs - best == patience)
    for last_ones_count in (False, True):
        kept = course.weights_to_keep(last_ones_count)
        np.testing.assert_array_equal(kept["kernels"][0][0], best**2)
    assert course.history["val_loss"] == val_losses[:n_epochs]


def test_best_weights_are_a_copy():
    course = course_of(documents(architecture()), early_stopping=True, epochs=2, patience=9)
    weights = random_weights(architecture())
    before = map_arrays(np.copy, weights)
    course.end_epoch(SCORES, lambda: weights)
    map_arrays(lambda array: array.fill(3), weights)
    assert_equal_weights(course.weights_to_keep(), before)


def test_without_early_stopping_validation_only_looks_on():
    course, epochs = validated([2, 1, 3, 4, 5], epochs=5, patience=1, average=0.4)
    assert (course.best_epoch, epochs, course.ended) == (None, 5, False)
    np.testing.assert_allclose(course.weights_to_keep()["kernels"][0][0], (16 + 25) / 2)
    assert course.history["loss"] == [1.0] * 5
    assert list(course.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]


def test_of_equal_losses_of_both_parts_the_better_network_is_the_best():
    """While the network counts nothing, both parts together are the linear one in every epoch."""
    course = course_of(documents(architecture()), early_stopping=True, epochs=9, patience=2)
    both, alone = [3, 3, 3, 3, 2, 2, 2], [5, 4, 3, 2, 4, 3, 4]
    for epoch in range(1, 8):
        assert course.goes_on()
        scores = {"val_loss": alone[epoch - 1], "val_loss_with_linear": both[epoch - 1]}
        course._validation_scores = lambda _, scores=scores: scores
        course.end_epoch(SCORES, lambda epoch=epoch: weights_after(epoch))
    assert (course.best_epoch, course.ended) == (6, False)
    np.testing.assert_array_equal(course.weights_to_keep()["kernels"][0][0], 36)


def right_sometimes(logits, output, heavy, rng):
    """Targets that most heavy documents get from their logits and few light ones, and which do."""
    right = rng.random(len(logits)) < np.where(heavy, 0.9, 0.2)
    if output == "softmax":
        return np.eye(3)[(logits.argmax(axis=1) + ~right) % 3], right
    y = (logits > 0).astype(float)
    y[:, -1] = np.where(right, y[:, -1], 1 - y[:, -1])
    return y, right


def losses_by_hand(logits, y, output):
    if output == "softmax":
        return -(y * log_softmax(logits, axis=1)).sum(axis=1)
    return -(y * log_expit(logits) + (1 - y) * log_expit(-logits)).mean(axis=1)


@pytest.mark.parametrize("head", [{}, {"n_outputs": 1}, {"n_outputs": 4, "output": "sigmoid"}])
def test_validation_scores_of_the_network(head):
    """Weighted, unknown ids read as such, and the same beside a linear part."""
    a, rng = architecture(**head), np.random.default_rng(0)
    known = np.arange(len(KNOWN)) < 20
    data, weights = documents(a, n=200), random_weights(a)
    ids = np.where(data.ids < 20, data.ids, np.minimum(data.ids, 1))
    logits = Forward(a, weights, KNOWN).logits(ids).astype(float)
    heavy = rng.random(200) < 0.5
    y, right = right_sometimes(logits, a.output, heavy, rng)
    losses = losses_by_hand(logits, y, a.output)
    data = replace(
        data,
        targets=y.astype(np.float32),
        weights=np.where(heavy, 3, 0.5).astype(np.float32),
    )
    # smoothing and the rest belong to training
    course = course_of(data, a, known, label_smoothing=0.3, l2=0.5)
    scores = course.end_epoch(SCORES, lambda: weights)
    assert scores["val_loss"] == pytest.approx(np.average(losses, weights=data.weights), rel=1e-5)
    expected = np.average(right, weights=data.weights)
    assert scores["val_accuracy"] == pytest.approx(expected, rel=1e-5)
    assert course.history == {name: [value] for name, value in scores.items()}
    assert SCORES.items() <= scores.items()
    assert list(scores) == [*SCORES, "val_loss", "val_accuracy"]
    beside = course_of(replace(data, beside=np.zeros(logits.shape)), a, known)
    with_linear = beside.end_epoch(SCORES, lambda: weights)
    both = ["val_loss_with_linear", "val_accuracy_with_linear"]
    assert list(with_linear) == [*scores, *both]
    assert {name: with_linear[name] for name in scores} == scores


@pytest.mark.parametrize("unjudged", [0, 50])
@pytest.mark.parametrize("head", [{}, {"n_outputs": 1}, {"n_outputs": 4, "output": "sigmoid"}])
def test_validation_scores_of_both_parts(head, unjudged):
    """Of the documents that the linear part knows something about."""
    a, rng = architecture(**head), np.random.default_rng(0)
    data, weights = documents(a, n=300), random_weights(a)
    logits = Forward(a, weights, KNOWN).logits(data.ids).astype(float)
    beside = rng.normal(0, logits.std(), logits.shape)
    heavy = rng.random(300) < 0.5
    y, _ = right_sometimes(beside + logits, a.output, heavy, rng)
    document_weights = np.where(heavy, 3, 0.5).astype(np.float32)
    beside[:unjudged] = np.nan
    data = replace(data, targets=y.astype(np.float32), weights=document_weights, beside=beside)
    scores = course_of(data, a).end_epoch(SCORES, lambda: weights)
    some = np.arange(300) >= unjudged
    arrays = beside[some], logits[some], y[some], document_weights[some]
    factors = part_factors(*arrays, a.output == "softmax")
    assert min(factors) > 0.05
    both = factors.linear * arrays[0] + factors.network * factors.scale * arrays[1]
    losses = losses_by_hand(both, y[some], a.output)
    expected = np.average(losses, weights=document_weights[some])
    assert scores["val_loss_with_linear"] == pytest.approx(expected, rel=1e-4)
    if a.output == "softmax":
        right = both.argmax(axis=1) == y[some].argmax(axis=1)
    else:
        right = ((both > 0) == y[some]).all(axis=1)
    expected = np.average(right, weights=document_weights[some])
    assert scores["val_accuracy_with_linear"] == pytest.approx(expected, rel=1e-4)


def beside_a_linear_part(is_useful, epochs, **settings):
    """A course of one and the same network, which helps the linear part or does not."""
    a = architecture(n_outputs=1)
    data, weights = documents(a, n=300), random_weights(a)
    logits = Forward(a, weights, KNOWN).logits(data.ids).astype(float)
    beside = 4 * np.random.default_rng(0).normal(size=logits.shape)
    y = ((logits if is_useful else beside) > 0).astype(np.float32)
    data = replace(data, targets=y, beside=beside)
    course = course_of(data, a, epochs=epochs, **settings)
    n_epochs = 0
    while course.goes_on():
        n_epochs += 1
        course.end_epoch(SCORES, lambda: weights)
    return course, n_epochs


@pytest.mark.parametrize(("epochs", "half"), [(1, 1), (2, 1), (5, 3), (6, 3)])
def test_a_network_that_adds_nothing_is_trained_for_half_of_the_epochs(epochs, half):
    course, n_epochs = beside_a_linear_part(is_useful=False, epochs=epochs)
    assert (course.ended, n_epochs) == (True, half)
    assert {len(values) for values in course.history.values()} == {half}
    course, n_epochs = beside_a_linear_part(is_useful=True, epochs=epochs)
    assert (course.ended, n_epochs) == (False, epochs)


def test_early_stopping_alone_ends_a_training():
    course, n_epochs = beside_a_linear_part(
        is_useful=False, epochs=20, early_stopping=True, patience=14
    )
    assert (course.best_epoch, n_epochs) == (1, 15)


def test_documents_none_of_which_can_be_judged():
    """Nothing is known about both parts; the network is known to add nothing that shows."""
    a = architecture()
    data = replace(documents(a), beside=np.full((90, 3), np.nan))
    course = course_of(data, a, epochs=4)
    while course.goes_on():
        course.end_epoch(SCORES, lambda: random_weights(a))
    assert list(course.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert course.ended
    assert len(course.history["val_loss"]) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_losses_that_are_not_finite_are_refused(value):
    course = course_of(epochs=5)
    course.end_epoch(SCORES, lambda: None)
    with pytest.raises(ValueError, match=r"not finite in epoch 2\. Lower learning_rate"):
        course.end_epoch({"loss": value, "accuracy": 0.5}, lambda: None)
