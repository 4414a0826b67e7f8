"""What the loss of `TextCNNClassifier` is made of, and what documents and classes weigh."""

import itertools

import numpy as np
import pytest
from classifiers import (
    CLASSES,
    DATA,
    IDS,
    NAMES,
    NEW_IDS,
    PLAIN,
    STANDSTILL,
    WARM,
    WEIGHTS,
    loss_by_hand,
    same_weights,
    small,
)
from corpora import FIRST_FILLER, LAST_FILLER
from sampling import some
from sklearn.utils.class_weight import compute_class_weight

# What the loss is made of


def measured(data, sample_weight=None, **parameters):
    """A trained model, and the scores that another fit reports of the weights it starts from."""
    model = small(**PLAIN | WARM).fit(*data)
    model.set_params(**STANDSTILL, **parameters).fit(*data, sample_weight=sample_weight)
    return model, model.history_


@pytest.mark.parametrize(
    ("name", "engine", "smoothing"),
    [
        *itertools.product(DATA, ["numpy"], [0.0, 0.3]),
        *some(itertools.product(DATA, ["keras"], [0.3]), every=2),
    ],
)
def test_loss_and_accuracy(name, smoothing, engine):
    ids, y = DATA[name]
    weights = np.random.default_rng(0).uniform(0.1, 3, len(y))
    model, history = measured(DATA[name], weights, label_smoothing=smoothing, engine=engine)
    expected = loss_by_hand(model, ids, y, weights, smoothing)
    assert history["loss"] == [pytest.approx(expected, rel=1e-4)]
    hits = (model.predict(ids) == y).reshape(len(y), -1).all(axis=1)
    assert history["accuracy"] == [pytest.approx(np.average(hits, weights=weights), rel=1e-5)]


@pytest.mark.parametrize("engine", ["numpy", "keras"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
def test_penalty_is_in_the_loss(weights, engine):
    """Weights are of the documents: the penalty counts once, whatever they are."""
    model, history = measured(DATA["three"], weights, l2=0.01, engine=engine)
    kernels = [array for stack in model._weights["kernels"] for array in stack]
    squares = sum((kernel.astype(float) ** 2).sum() for kernel in kernels)
    squares += sum((k.astype(float) ** 2).sum() for k in model._weights["dense_kernels"])
    expected = loss_by_hand(model, IDS, CLASSES, weights) + 0.01 * squares
    assert history["loss"][0] == pytest.approx(expected, rel=1e-4)


def test_penalty_shrinks_the_kernels():
    sizes = [
        sum((k**2).sum() for k in small(l2=l2).fit(IDS, CLASSES)._weights["dense_kernels"])
        for l2 in (0.0, 0.01)
    ]
    assert sizes[1] < 0.7 * sizes[0]


@pytest.mark.parametrize("engine", ["numpy", "keras"])
@pytest.mark.parametrize("hidden_units", [pytest.param((), marks=pytest.mark.slow), (6, 5)])
def test_norms_of_the_output_are_limited(hidden_units, engine):
    """Those of each class's weights in the output layer; hidden layers are free."""

    def norms(**parameters):
        # a mean of weights at the limit lies below it
        parameters |= {"hidden_units": hidden_units, "engine": engine, "linear_ngrams": 0}
        model = small(average=0, **parameters)
        kernels = model.fit(IDS, NAMES[CLASSES])._weights["dense_kernels"]
        return [np.linalg.norm(kernel, axis=0) for kernel in kernels]

    assert norms()[-1].max() > 0.8
    *hidden, output = norms(max_norm=0.7)
    assert (output < 0.7 + 1e-5).all()
    assert output.max() > 0.69
    for layer in hidden:
        assert layer.max() > 0.8


@pytest.mark.parametrize("engine", ["numpy", "keras"])
def test_scores_of_validation_documents_are_weighted(engine, train_calls):
    """Those that are held out of weighted ones: the accuracy as well as the loss."""
    # heavy ones have any label
    anything = np.random.default_rng(0).integers(0, 3, len(CLASSES))
    y = np.where(WEIGHTS > np.quantile(WEIGHTS, 0.6), anything, CLASSES)
    model = small(epochs=4, linear_ngrams=0, early_stopping=True, validation_fraction=0.4)
    model.set_params(engine=engine).fit(IDS, y, sample_weight=WEIGHTS**3)
    ((_, held_out, _),) = train_calls
    assert np.ptp(held_out.weights) > 1
    found = model.predict(held_out.ids), held_out.targets.argmax(axis=1)
    hits = found[0] == found[1]
    best = model.best_epoch_ - 1
    weighted = np.average(hits, weights=held_out.weights)
    assert abs(weighted - hits.mean()) > 0.01
    assert model.history_["val_accuracy"][best] == pytest.approx(weighted, rel=1e-5)
    loss = loss_by_hand(model, held_out.ids, found[1], held_out.weights)
    assert model.history_["val_loss"][best] == pytest.approx(loss, rel=1e-4)


def test_dropout_only_happens_in_training():
    weights = [small(dropout=rate, epochs=1).fit(IDS, CLASSES) for rate in (0.0, 0.6)]
    assert not same_weights(*weights)
    np.testing.assert_array_equal(
        weights[1].predict_proba(NEW_IDS), weights[1].predict_proba(NEW_IDS)
    )


# Weights of documents and classes


CLASS_WEIGHT = {"cooking": 3.0, "space": 0.5, "sport": 1.0}


def test_class_weight_multiplies_sample_weight_in_a_copy():
    labels = NAMES[CLASSES]
    both = small(class_weight=CLASS_WEIGHT).fit(IDS, labels, sample_weight=WEIGHTS)
    product = WEIGHTS * np.array([CLASS_WEIGHT[label] for label in labels])
    assert same_weights(both, small().fit(IDS, labels, sample_weight=product))
    assert not same_weights(both, small().fit(IDS, labels, sample_weight=WEIGHTS))
    writable = WEIGHTS.copy()
    small(class_weight=CLASS_WEIGHT, epochs=1).fit(IDS, labels, sample_weight=writable)
    np.testing.assert_array_equal(writable, WEIGHTS)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("weight", [1e-50, 1e-42, 1e38, 1e60])
def test_weights_that_are_no_numbers_of_the_network(method, weight):
    model, weights = small(epochs=1), np.full(len(IDS), weight)
    classes = {"classes": [0, 1, 2]} if method == "partial_fit" else {}
    with pytest.raises(ValueError, match="Divide sample_weight by its mean"):
        getattr(model, method)(IDS, CLASSES, sample_weight=weights, **classes)
    getattr(model, method)(IDS, CLASSES, sample_weight=weights / weights.mean(), **classes)


def test_balanced_class_weight():
    uneven = np.flatnonzero((CLASSES != 2) | (np.arange(len(CLASSES)) % 4 == 0))
    ids, y = IDS[uneven], CLASSES[uneven]
    by_formula = len(y) / (3 * np.bincount(y))
    balanced = small(class_weight="balanced").fit(ids, y)
    assert same_weights(balanced, small().fit(ids, y, sample_weight=by_formula[y]))
    np.testing.assert_allclose(
        by_formula, compute_class_weight("balanced", classes=np.unique(y), y=y)
    )


def test_classes_that_are_not_named_weigh_one():
    some = small(class_weight={1: 4.0}, epochs=1).fit(IDS, CLASSES)
    every = small(class_weight={0: 1, 1: 4, 2: 1}, epochs=1).fit(IDS, CLASSES)
    assert same_weights(some, every)


@pytest.mark.parametrize("parameters", [{}, {"class_weight": "balanced", "early_stopping": True}])
def test_documents_of_weight_zero_are_left_out(parameters):
    rng = np.random.default_rng(0)
    noise = rng.integers(FIRST_FILLER, LAST_FILLER + 1, IDS.shape)
    ids = np.concatenate([noise, IDS])[rng.permutation(2 * len(IDS))]
    shuffled = np.random.default_rng(0)
    shuffled.integers(FIRST_FILLER, LAST_FILLER + 1, IDS.shape)
    order = shuffled.permutation(2 * len(IDS))
    y = np.concatenate([CLASSES[::-1], CLASSES])[order]
    weights = np.concatenate([np.zeros(len(IDS)), WEIGHTS])[order]
    kept = weights > 0
    with_zeros = small(**parameters).fit(ids, y, sample_weight=weights)
    without = small(**parameters).fit(ids[kept], y[kept], sample_weight=weights[kept])
    assert same_weights(with_zeros, without)
    assert with_zeros.history_ == without.history_


def test_a_class_whose_documents_weigh_nothing_stays_a_class():
    model = small().fit(IDS, CLASSES, sample_weight=(CLASSES != 1).astype(float))
    assert model.classes_.tolist() == [0, 1, 2]
    assert 1 not in model.predict(NEW_IDS)
    model.set_params(class_weight="balanced", epochs=1)
    model.fit(IDS, CLASSES, sample_weight=(CLASSES != 1).astype(float))
    assert model.classes_.tolist() == [0, 1, 2]


def test_a_number_weighs_all_documents():
    assert same_weights(
        small(epochs=1).fit(IDS, CLASSES, sample_weight=2.0),
        small(epochs=1).fit(IDS, CLASSES, sample_weight=np.full(len(IDS), 2.0)),
    )
