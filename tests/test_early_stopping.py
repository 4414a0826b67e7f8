"""How long `TextCNNClassifier` trains: epochs, validation documents, early stopping."""

import numpy as np
import pytest
from classifiers import (
    CLASSES,
    DATA,
    IDS,
    NAMES,
    NEW_CLASSES,
    NEW_IDS,
    PLAIN,
    SEVERAL,
    SEVERAL_IDS,
    WEIGHTS,
    loss_by_hand,
    same_weights,
    small,
    standing_still,
)
from corpora import word_order
from sklearn.metrics import log_loss

from sklearn_textcnn import classifier as classifier_module
from sklearn_textcnn._validation import check_training_data, rows_to_hold_out


@pytest.mark.parametrize(("n_samples", "epochs"), [(10, 25), (500, 25), (9600, 10), (10**6, 3)])
def test_epochs_by_themselves(n_samples, epochs):
    assert classifier_module._enough_epochs(n_samples) == epochs


def test_epochs_by_default():
    model = small(epochs="auto", linear_ngrams=0).fit(IDS, CLASSES)
    assert model.n_iter_ == 25


@pytest.mark.parametrize(("linear_ngrams", "suffix"), [(0, ""), (1, "_with_linear")])
def test_early_stopping_keeps_the_best_weights(linear_ngrams, suffix):
    """What validation documents have the lowest loss by, of both parts if there are two."""
    ids, y = word_order(400)
    X_val, y_val = word_order(200, seed=1)
    y_val = np.where(np.arange(200) % 5, y_val, 0)  # too sure of itself before long
    model = small(epochs=40, early_stopping=True, patience=2, linear_ngrams=linear_ngrams)
    model.fit(ids, y, X_val=X_val, y_val=y_val)
    assert model.part_weights_["network"] > 0.2
    losses = model.history_["val_loss" + suffix]
    assert model.best_epoch_ == np.argmin(losses) + 1
    assert model.n_iter_ == len(losses) == model.best_epoch_ + 2 < 40
    assert {len(values) for values in model.history_.values()} == {model.n_iter_}
    kept = loss_by_hand(model, X_val, y_val)
    assert kept == pytest.approx(min(losses), rel=1e-4)
    accuracy = model.history_["val_accuracy" + suffix][model.best_epoch_ - 1]
    assert model.score(X_val, y_val) == pytest.approx(accuracy)


def test_early_stopping_waits_for_a_network_that_counts_nothing_yet():
    """Both parts are as good as the linear one then, epoch after epoch: that is no standstill."""
    ids, y = word_order(300)
    X_val, y_val = word_order(200, seed=1)
    parameters = {"epochs": 40, "early_stopping": True, "linear_ngrams": 1, "patience": 2}
    model = small(**parameters, learning_rate=0.002).fit(ids, y, X_val=X_val, y_val=y_val)
    both = model.history_["val_loss_with_linear"]
    assert len(set(both[:3])) == 1  # else it does not test what it says
    assert model.score(X_val, y_val) > 0.95


def test_epochs_may_end_before_patience_does(noisy_validation):
    model = small(epochs=3, early_stopping=True, patience=50, learning_rate=0.3, linear_ngrams=0)
    model.fit(IDS, CLASSES, X_val=NEW_IDS, y_val=noisy_validation)
    assert model.n_iter_ == 3
    best = min(model.history_["val_loss"])
    assert loss_by_hand(model, NEW_IDS, noisy_validation) == pytest.approx(best, rel=1e-4)


def test_validation_without_early_stopping_is_only_recorded(noisy_validation):
    # the scores of an epoch are those of its own weights, not of a mean
    alone = {"average": 0, "linear_ngrams": 0}
    plain = small(**alone).fit(IDS, CLASSES)
    watched = small(**alone).fit(IDS, CLASSES, X_val=NEW_IDS, y_val=noisy_validation)
    assert same_weights(plain, watched)
    assert plain.history_ == {name: watched.history_[name] for name in ("loss", "accuracy")}
    assert sorted(watched.history_) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert loss_by_hand(watched, NEW_IDS, noisy_validation) == pytest.approx(
        watched.history_["val_loss"][-1], rel=1e-4
    )
    assert watched.best_epoch_ is plain.best_epoch_ is None
    assert watched.n_iter_ == 8


@pytest.mark.parametrize("name", DATA)
def test_validation_of_every_head(name):
    ids, y = DATA[name]
    model = standing_still(
        **PLAIN | {"label_smoothing": 0.2, "l2": 0.1, "early_stopping": True}
    ).fit(ids, y, X_val=ids[:50], y_val=y[:50])
    # cross-entropy alone: neither smoothing nor penalty
    assert model.history_["val_loss"] == [
        pytest.approx(loss_by_hand(model, ids[:50], y[:50]), rel=1e-4)
    ]


def test_validation_labels_may_lack_classes_and_come_in_any_form():
    some = NEW_CLASSES != 1
    model = small(epochs=1, linear_ngrams=0).fit(
        IDS, NAMES[CLASSES], X_val=NEW_IDS[some].tolist(), y_val=NAMES[NEW_CLASSES[some]].tolist()
    )
    expected = log_loss(NAMES[NEW_CLASSES[some]], model.predict_proba(NEW_IDS[some]), labels=NAMES)
    assert model.history_["val_loss"][0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.filterwarnings("error")
def test_few_validation_labels_of_many_classes_are_no_regression():
    y = np.arange(len(IDS)) // 2
    small(epochs=1).fit(IDS, y, X_val=IDS[::2], y_val=y[::2])
    small().partial_fit(IDS[::2], y[::2], classes=np.unique(y))


def test_split_is_stratified_shuffled_seeded_and_weighted(train_calls):
    uneven = np.flatnonzero((CLASSES != 2) | (np.arange(len(CLASSES)) % 4 == 0))
    ids, y, weights = IDS[uneven], CLASSES[uneven], WEIGHTS[uneven]
    parameters = {"epochs": 1, "early_stopping": True, "validation_fraction": 0.25}
    class_weight = {0: 1.0, 1: 2.0, 2: 5.0}
    for seed in (0, 0, 1):
        small(**parameters | {"random_state": seed}, class_weight=class_weight).fit(
            ids, y, sample_weight=weights
        )
    (documents, validation, _), (_, again, _), (_, other, _) = train_calls
    n_held_out = -(-len(y) // 4)
    assert (len(validation.ids), len(documents.ids)) == (n_held_out, len(y) - n_held_out)
    counts = validation.targets.sum(axis=0)
    np.testing.assert_allclose(counts, np.bincount(y) * n_held_out / len(y), atol=1)
    np.testing.assert_array_equal(validation.ids, again.ids)
    assert not np.array_equal(validation.ids, other.ids)
    assert not np.array_equal(validation.ids, ids[-n_held_out:])
    # together they are all documents, each with its own label and weight
    by_weight = np.argsort(np.concatenate([documents.weights, validation.weights]))
    expected = weights * np.array([class_weight[label] for label in y])
    order = np.argsort(expected)
    for name, rows in (
        ("ids", ids),
        ("targets", np.eye(3)[y]),
        ("weights", expected.astype(np.float32)),
    ):
        both = np.concatenate([getattr(documents, name), getattr(validation, name)])
        np.testing.assert_array_equal(both[by_weight], rows[order])


def test_validation_documents_replace_the_split(train_calls):
    small(epochs=1, early_stopping=True, class_weight={0: 9.0}).fit(
        IDS, CLASSES, X_val=NEW_IDS, y_val=NEW_CLASSES
    )
    ((documents, validation, _),) = train_calls
    assert len(documents.ids) == len(IDS)
    np.testing.assert_array_equal(validation.ids, NEW_IDS)
    np.testing.assert_array_equal(validation.weights, 1)  # neither sample nor class weights


def test_documents_alone_in_their_class_stay_in_training():
    y = np.array([0] * 20 + [1] * 20 + [2, 3])
    rows = np.arange(len(y))
    data = check_training_data(small(), rows[:, None], y, None, None, None, going_on=False)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        held_out = rows_to_hold_out(data.documents, data.labels, 0.2, rng)
        assert not {40, 41} & set(held_out)
        assert len(set(held_out)) == len(held_out) == 9
        assert set(y[held_out]) == {0, 1}
    alone = np.concatenate([CLASSES, [7]])
    ids = np.concatenate([IDS, IDS[:1]])
    assert small(early_stopping=True, epochs=1).fit(ids, alone).classes_.tolist() == [0, 1, 2, 7]


def test_split_of_several_labels_has_no_strata(train_calls):
    y = SEVERAL.copy()
    y[:, 2] = 0
    y[0, 2] = 1  # could not be stratified
    small(epochs=1, early_stopping=True).fit(SEVERAL_IDS, y)
    ((documents, validation, _),) = train_calls
    assert (len(validation.ids), len(documents.ids)) == (10, 86)
    assert not np.array_equal(validation.ids, SEVERAL_IDS[-10:])
