"""What the network and the linear part count for, from the documents to the answers."""

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from classifiers import (
    CLASSES,
    DATA,
    IDS,
    JUDGED,
    NAMES,
    NEW_CLASSES,
    NEW_IDS,
    SEVERAL,
    SEVERAL_IDS,
    TWO_IDS,
    VECTORS,
    WEIGHTS,
    flat,
    same_weights,
    small,
    streamed,
)
from corpora import FIRST_FILLER, LAST_FILLER, word_order
from sampling import some
from sklearn.metrics import log_loss

from sklearn_textcnn import NgramLinearClassifier, _parts
from sklearn_textcnn import classifier as classifier_module
from sklearn_textcnn._parts import divided, logits_of_folds
from sklearn_textcnn._stacking import LINEAR_ALONE
from sklearn_textcnn.network.architecture import Architecture
from sklearn_textcnn.network.forward import Forward
from sklearn_textcnn.training.fit import Documents

USELESS = {"linear": 1.0, "network": 0.0}
# Pairs are beyond a linear part of tokens.
ORDER = {"linear_ngrams": 1, "kernel_sizes": (1, 2), "epochs": 20}
HELD_OUT = {"FEWEST_TO_HOLD_OUT_OF": 10, "FEWEST_HELD_OUT": 30, "MOST_HELD_OUT": 60}
# Kernels of the output layer are zero in single precision, and stay so: the network says nothing.
MUTE = {"learning_rate": 1e-60, "max_norm": 1e-60}
CASES = ["X_val", "early_stopping", "held out", "cross-fit"]


@pytest.fixture
def fits(monkeypatch):
    """What happens inside of `fit`: networks that are trained, and documents that are judged."""
    found = SimpleNamespace(networks=[], judged=[])
    train, factors_of = classifier_module.train, classifier_module.factors_of

    def train_and_note(architecture, start, known, documents, validation, options, *rest, **kw):
        result = train(architecture, start, known, documents, validation, options, *rest, **kw)
        network = SimpleNamespace(
            known=known,
            documents=documents,
            validation=validation,
            options=options,
            logits=Forward(architecture, result.weights, known).logits,
        )
        found.networks.append(network)
        return result

    def judge_and_note(documents, logits, architecture):
        factors = factors_of(documents, logits, architecture)
        counts = np.isfinite(documents.beside).all(axis=1) & np.isfinite(logits).all(axis=1)
        judged = SimpleNamespace(documents=documents, logits=logits, counts=counts, factors=factors)
        found.judged.append(judged)
        return factors

    monkeypatch.setattr(classifier_module, "train", train_and_note)
    monkeypatch.setattr(_parts, "train", train_and_note)
    monkeypatch.setattr(classifier_module, "factors_of", judge_and_note)
    return found


@pytest.fixture
def fit_in(monkeypatch):
    """Fits in one of the `CASES`, of which one holds documents out of many: here of few."""

    def fit(case, model, ids, y, validation=None, **arguments):
        if case == "X_val":
            X_val, y_val = (ids[:60], y[:60]) if validation is None else validation
            arguments |= {"X_val": X_val, "y_val": y_val}
        elif case == "early_stopping":
            model.set_params(early_stopping=True, validation_fraction=0.3, patience=50)
        elif case == "held out":
            for name, value in HELD_OUT.items():
                monkeypatch.setattr(_parts, name, value)
        return model.fit(ids, y, **arguments)

    return fit


def has_copies(documents, others):
    """Which of the documents there are copies of among the others."""
    seen = contents(others.ids)
    return np.array([row.tobytes() in seen for row in documents.ids])


def contents(ids):
    return {row.tobytes() for row in np.ascontiguousarray(ids, dtype=np.int32)}


def logits_of_networks_that_have_not_seen_them(fits):
    """For each document that is judged, by the networks that were trained meanwhile."""
    (judged,) = fits.judged
    logits = np.full(judged.logits.shape, np.nan)
    for row in np.flatnonzero(judged.counts):
        ids = judged.documents.ids[row : row + 1]
        those = [n for n in fits.networks if not contents(ids) & contents(n.documents.ids)]
        (network,) = those
        logits[row] = network.logits(ids)[0]
    return logits


# Which documents


def test_validation_documents_are_judged_in_place_of_a_split(fits):
    model = small(epochs=2, class_weight={0: 9.0}).fit(IDS, CLASSES, **JUDGED)
    ((network,), (judged,)) = fits.networks, fits.judged
    np.testing.assert_array_equal(network.documents.ids, IDS)
    assert network.validation is judged.documents
    np.testing.assert_array_equal(judged.documents.ids, NEW_IDS)
    np.testing.assert_array_equal(judged.documents.weights, 1)  # neither sample nor class weights
    np.testing.assert_array_equal(judged.documents.targets.argmax(axis=1), NEW_CLASSES)
    assert judged.counts.all()
    beside = model.linear_.decision_function(NEW_IDS)
    np.testing.assert_allclose(judged.documents.beside, beside, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(judged.logits, model._forward().logits(NEW_IDS))


@pytest.mark.parametrize("case", CASES[1:])
@pytest.mark.parametrize("name", DATA)
def test_no_network_has_seen_what_it_judges(name, case, fits, fit_in):
    """Nor a copy of it, and nor has the linear part."""
    ids, y = (np.tile(array, (2, 1) if array.ndim == 2 else 2) for array in DATA[name])
    y = y.copy()
    y[96:100] = y[:4][::-1]  # some copies disagree
    fit_in(case, small(epochs=2), ids, y)
    expected = logits_of_networks_that_have_not_seen_them(fits)
    (judged,) = fits.judged
    np.testing.assert_allclose(judged.logits[judged.counts], expected[judged.counts], atol=1e-6)
    assert len(fits.networks) == (4 if case == "cross-fit" else 1)
    if case == "cross-fit":
        assert len(judged.counts) == judged.counts.sum() == 192
        assert len(fits.networks[-1].documents.ids) == 192
        for network in fits.networks:
            assert network.validation is None
    else:
        (network,) = fits.networks
        assert network.validation is judged.documents
        assert len(network.documents.ids) + len(judged.counts) == 192
        # with a split by rows, copies of most documents are on the other side
        assert judged.counts.sum() >= (32 if case == "held out" else 3)


@pytest.mark.parametrize("case", CASES[1:])
def test_logits_beside_are_of_a_linear_part_that_has_not_seen_the_document(case, fits, fit_in):
    model = fit_in(case, small(epochs=1), IDS, CLASSES)
    (judged,) = fits.judged
    seed = model.linear_.random_state
    linear = NgramLinearClassifier(store_cv_decisions=True, random_state=seed).fit(IDS, CLASSES)
    by_content = {row.tobytes(): i for i, row in enumerate(np.array(IDS))}
    rows = [by_content[row.tobytes()] for row in judged.documents.ids]
    expected = linear.cv_decisions_[rows][judged.counts]
    np.testing.assert_array_equal(judged.documents.beside[judged.counts], expected)
    assert judged.counts.mean() > 0.9
    assert np.abs(linear.cv_decisions_ - linear.decision_function(IDS)).max() > 0.5


@pytest.mark.parametrize(
    ("n", "n_held_out"),
    [(1000, 200), (1999, 200), (3000, 300), (9990, 999), (30_000, 1000)],
)
def test_numbers_of_documents_held_out(n, n_held_out):
    rng = np.random.default_rng(0)
    classes = rng.choice(3, n, p=(0.6, 0.3, 0.1))
    targets = np.eye(3, dtype=np.float32)[classes]
    ids = np.arange(n, dtype=np.int32)[:, None]
    documents = Documents(ids, targets, np.ones(n), np.zeros((n, 3)))
    data = SimpleNamespace(documents=documents, validation=None, labels=classes)
    train, held_out, folds = divided(data, small(), np.random.default_rng(0))
    assert folds is None
    assert len(held_out.ids) == pytest.approx(n_held_out, abs=0.02 * n_held_out + 1)
    both = np.concatenate([train.ids, held_out.ids])
    np.testing.assert_array_equal(np.sort(both, axis=0), ids)
    shares = held_out.targets.mean(axis=0)
    np.testing.assert_allclose(shares, targets.mean(axis=0), atol=2 / n_held_out)
    other = divided(data, small(), np.random.default_rng(1))[1]
    assert not np.array_equal(other.ids, held_out.ids)


@pytest.mark.parametrize(("n", "n_held_out"), [(20, 4), (300, 60), (999, 200), (5000, 500)])
def test_with_callbacks_no_more_than_a_fifth_is_held_out(n, n_held_out):
    targets = (np.arange(n) % 2)[:, None].astype(np.float32)
    ids = np.arange(n, dtype=np.int32)[:, None]
    documents = Documents(ids, targets, np.ones(n), np.zeros((n, 1)))
    data = SimpleNamespace(documents=documents, validation=None, labels=targets[:, 0])
    train, held_out, folds = divided(data, small(callbacks=[object()]), np.random.default_rng(0))
    assert folds is None
    assert len(held_out.ids) == pytest.approx(n_held_out, abs=1)
    assert len(train.ids) == n - len(held_out.ids)


@pytest.mark.parametrize("linear_ngrams", [0, 2])
def test_from_a_thousand_documents_on_some_are_held_out(fits, linear_ngrams):
    rng = np.random.default_rng(0)
    ids, y = rng.integers(2, 50, (1000, 6)), np.arange(1000) % 2
    parameters = {"epochs": 1, "linear_ngrams": linear_ngrams, "filters": 2}
    for n, n_networks in ((999, 4 if linear_ngrams else 1), (1000, 1)):
        fits.networks.clear()
        model = small(**parameters).fit(ids[:n], y[:n])
        sizes = [len(network.documents.ids) for network in fits.networks]
        assert len(sizes) == n_networks
        assert sizes[0] == (n if not linear_ngrams else 666 if n < 1000 else 800)
        assert ("val_loss_with_linear" in model.history_) == (n == 1000 and linear_ngrams > 0)
    assert model.best_epoch_ is None


@pytest.mark.parametrize("pretrained", [False, True])
def test_ids_that_others_alone_hold_are_unknown_to_the_network_that_judges(pretrained, fits):
    """Unless word vectors know them."""
    ids = np.array(IDS)
    ids[:30, 0] = np.arange(100, 130)  # each in one document
    vectors = {"word_vectors": np.ones((130, 6)) + np.arange(130)[:, None]} if pretrained else {}
    small(epochs=1, **vectors).fit(ids, CLASSES)
    for network in fits.networks:
        seen = np.isin(np.arange(130), [0, 1, *network.documents.ids.ravel()])
        np.testing.assert_array_equal(network.known[2:], (seen | pretrained)[2:])
    rare = np.array([network.known[100:].sum() for network in fits.networks])
    assert rare[-1] == 30
    assert (rare[:-1] == 30).all() if pretrained else (rare[:-1] < 26).all()
    if not pretrained:
        assert rare[:-1].sum() == 60


@pytest.mark.parametrize("case", CASES[1:])
def test_a_document_alone_in_its_class_is_not_judged(case, fits, fit_in):
    ids = np.concatenate([IDS, NEW_IDS[:1]])
    fit_in(case, small(epochs=1), ids, [*NAMES[CLASSES], "weather"])
    (judged,) = fits.judged
    alone = (judged.documents.ids == NEW_IDS[0]).all(axis=1)
    (*_, network) = fits.networks
    is_seen = case != "cross-fit" and has_copies(judged.documents, network.documents)
    np.testing.assert_array_equal(judged.counts, ~(alone | is_seen))
    assert contents(NEW_IDS[:1]) <= contents(network.documents.ids)


@pytest.mark.parametrize("case", CASES[1:])
def test_a_class_of_copies_is_not_judged(case, fits, fit_in):
    """Whoever has not seen them does not know their class."""
    copies = np.tile(NEW_IDS[:1], (40, 1))
    ids = np.concatenate([copies, IDS])
    model = fit_in(case, small(epochs=2), ids, [*["weather"] * 40, *NAMES[CLASSES]])
    (judged,) = fits.judged
    are_copies = (judged.documents.ids == NEW_IDS[0]).all(axis=1)
    (*_, network) = fits.networks
    is_seen = case != "cross-fit" and has_copies(judged.documents, network.documents)
    np.testing.assert_array_equal(judged.counts, ~(are_copies | is_seen))
    assert np.isfinite(model.decision_function(ids)).all()
    assert model.predict(copies).tolist() == ["weather"] * 40


@pytest.mark.parametrize("value", [0, 1])
def test_a_label_that_nobody_else_has_or_lacks_is_not_judged(value, fits):
    y = np.array(SEVERAL)
    y[:, 2] = 1 - value
    y[0, 2] = value
    for seed in range(3):
        fits.judged.clear()
        small(epochs=1, early_stopping=True, validation_fraction=0.5, random_state=seed).fit(
            SEVERAL_IDS, y
        )
        (judged,) = fits.judged
        one = judged.documents.targets[:, 2] == value
        assert one.sum() <= 1
        np.testing.assert_array_equal(judged.counts, ~one)


def of_two_documents(value):
    """Documents of which the first two alone have, or lack, the last of three labels."""
    targets = np.array(SEVERAL, dtype=np.float32)
    targets[:, 2] = 1 - value
    targets[:2, 2] = value
    return Documents(np.array(IDS), targets, np.ones(96), np.zeros((96, 3)))


@pytest.mark.parametrize("value", [0, 1])
def test_labels_all_of_whose_documents_are_held_out_are_not_judged(value):
    """The linear part may know them, by other folds."""
    documents = of_two_documents(value)
    data = SimpleNamespace(documents=documents, validation=None, labels=None)
    counts = set()
    for seed in range(12):
        model = small(early_stopping=True, validation_fraction=0.6)
        train, held_out, _ = divided(data, model, np.random.default_rng(seed))
        judged = np.isfinite(held_out.beside).all(axis=1)
        ones = held_out.targets[:, 2] == value
        is_seen = has_copies(held_out, train)
        np.testing.assert_array_equal(judged, ~is_seen & ~(ones & (ones.sum() == 2)))
        counts.add(ones.sum())
    assert counts == {0, 1, 2}
    assert np.isfinite(documents.beside).all()  # what was handed in is not written to


@pytest.mark.parametrize("value", [0, 1])
def test_labels_all_of_whose_documents_are_in_a_fold_are_not_judged(value):
    documents, folds = of_two_documents(value), np.arange(96) // 3 % 3
    model = small(epochs=1).fit(IDS, documents.targets)
    architecture = Architecture(**model._architecture)
    options = model._options(96, partial=False)

    def start(ids):
        known = np.isin(np.arange(50), [0, 1, *ids.ravel()])
        rng, found = np.random.default_rng(0), np.zeros(50, dtype=bool)
        arguments = 50, np.flatnonzero(known[2:]) + 2, None, found, rng
        return lambda: architecture.initial_weights(*arguments), known

    for of_second, judged in ((0, False), (1, True)):
        folds[:2] = 0, of_second
        rng = np.random.default_rng(0)
        logits = logits_of_folds(architecture, start, documents, folds, options, rng)
        expected = np.ones(96, dtype=bool)
        expected[:2] = judged
        np.testing.assert_array_equal(np.isfinite(logits).all(axis=1), expected)


def test_weights_of_documents_and_classes_count(fits, fit_in):
    weights = np.where(np.arange(96) % 8, WEIGHTS, 0)
    class_weight = {0: 1.0, 1: 2.0, 2: 5.0}
    expected = weights * np.array([1, 2, 5])[CLASSES]
    by_content = dict(zip(map(bytes, np.array(IDS)), expected.astype(np.float32), strict=True))
    for case in CASES[1:]:
        fits.judged.clear()
        model = small(epochs=1, class_weight=class_weight)
        fit_in(case, model, IDS, CLASSES, sample_weight=weights)
        (judged,) = fits.judged
        assert judged.counts.mean() > 0.9
        assert (judged.documents.weights > 0).all()
        found = [by_content[bytes(row)] for row in judged.documents.ids]
        np.testing.assert_array_equal(judged.documents.weights, found)
        # and the linear part was fitted by them
        linear = NgramLinearClassifier(random_state=model.linear_.random_state)
        linear.fit(IDS, CLASSES, sample_weight=expected)
        np.testing.assert_array_equal(
            linear.decision_function(NEW_IDS), model.linear_.decision_function(NEW_IDS)
        )


# Documents that say next to nothing


@pytest.mark.filterwarnings("ignore:The number of unique classes is greater:UserWarning")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("ids", "y"),
    [
        (IDS[:2], [0, 1]),
        (IDS[:4], [0, 1, 0, 1]),
        (IDS[:3], [0, 1, 2]),
        (IDS, np.arange(96)),
        (np.tile(IDS[:1], (40, 1)), np.arange(40) % 2),
        (np.tile(IDS[:1], (40, 1)), np.arange(40) % 3),
        (np.zeros((20, 3), dtype=int), np.arange(20) % 2),
        (np.ones((20, 3), dtype=int), np.arange(20) % 2),
        (np.tile(SEVERAL_IDS[:1], (30, 1)), SEVERAL[:30]),
    ],
    ids=["2", "4", "3 of 3", "one a class", "equal", "equal, 3", "empty", "unknown", "several"],
)
def test_where_nothing_can_be_judged_the_linear_part_stands_alone(case, ids, y, fit_in):
    y = np.asarray(y)
    if case == "early_stopping" and len(y) / len(np.unique(y, axis=0)) < 2:
        with pytest.raises(ValueError, match=r"validation_fraction=0\.3 of .* holds out"):
            fit_in(case, small(epochs=2), ids, y)
        return
    model = fit_in(case, small(epochs=2), ids, y)
    assert model.part_weights_["linear"] == pytest.approx(1, abs=0.1)
    assert model.part_weights_["network"] < 0.1
    assert np.isfinite(model.predict_log_proba(ids)).all()
    assert {len(values) for values in model.history_.values()} == {model.n_iter_}


def test_more_than_a_thousand_equal_documents():
    ids, y = np.tile(IDS[:1], (1200, 1)), np.arange(1200) % 2
    model = small(epochs=4).fit(ids, y)
    assert model.part_weights_ == USELESS
    np.testing.assert_allclose(model.predict_proba(ids), 0.5, atol=0.01)


# A network that is no help


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", DATA)
def test_a_network_that_is_no_help(name, case, fit_in, monkeypatch):
    """Of whatever kind the answers are."""
    ids, y = DATA[name]
    model = small(**MUTE, epochs=5)
    fit_in(case, model, ids[:70], y[:70], validation=(ids[70:], y[70:]))
    assert model.part_weights_ == USELESS
    # `early_stopping` has its own end: the loss of the network is the same after every epoch
    assert model.n_iter_ == (5 if case == "early_stopping" else 3)
    assert {len(values) for values in model.history_.values()} == {model.n_iter_}

    def ask(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(Forward, "logits", ask)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        found, expected = (getattr(m, method)(ids) for m in (model, model.linear_))
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    assert model.score(ids, y) == model.linear_.score(ids, y)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_half_of_the_epochs_is_rounded_up(epochs):
    parameters = MUTE | {"epochs": epochs}
    for arguments in ({}, JUDGED):
        model = small(**parameters).fit(IDS, CLASSES, **arguments)
        assert model.part_weights_ == USELESS
        assert model.n_iter_ == (epochs + 1) // 2
    assert small(**parameters, linear_ngrams=0).fit(IDS, CLASSES, **JUDGED).n_iter_ == epochs


# A network that is


@pytest.mark.parametrize("case", CASES)
def test_what_only_the_network_can_tell(case, fit_in):
    ids, y = word_order(300)
    new_ids, new_y = word_order(300, seed=1)
    validation = word_order(200, seed=2)
    model = fit_in(case, small(**ORDER), ids, y, validation=validation)
    assert model.linear_.score(new_ids, new_y) < 0.65
    assert model.score(new_ids, new_y) > 0.9
    # the less, the fewer documents there are to tell by
    assert 0.2 < model.part_weights_["network"] < 1
    assert 0.8 < model.part_weights_["linear"] < 1.2
    if case == "early_stopping":
        assert model.best_epoch_ <= model.n_iter_ <= 20
    else:
        assert (model.n_iter_, model.best_epoch_) == (20, None)


def test_what_is_longer_than_a_pair():
    """Two tokens with any other in between: pairs of neighbours say nothing."""

    def documents(n, seed):
        rng = np.random.default_rng(seed)
        y = rng.integers(2, size=n)
        ids = rng.integers(FIRST_FILLER, LAST_FILLER + 1, (n, 8))
        for row, label in zip(ids, y, strict=True):
            place = rng.integers(6)
            row[[place, place + 2]] = (2, 3) if label else (3, 2)
        return ids, y

    (ids, y), (new_ids, new_y) = documents(400, 0), documents(300, 1)
    model = small(linear_ngrams=2, kernel_sizes=3, epochs=12).fit(ids, y)
    assert model.linear_.score(new_ids, new_y) < 0.65
    assert model.score(new_ids, new_y) > 0.9
    assert model.part_weights_["network"] > 0.3


def test_both_together_are_as_good_as_the_linear_part_or_better():
    """Keywords, which both can read, and the order of two tokens; none is always right."""

    def documents(n, seed, of_words, of_order):
        rng = np.random.default_rng(seed)
        ids, order = (array.copy() for array in word_order(n, seed))
        y = np.where(rng.random(n) < of_order, order, 1 - order)
        words = np.where(rng.random(n) < of_words, y, 1 - y)
        keywords = 8 + 4 * words + rng.integers(4, size=n)
        return np.concatenate([ids, keywords[:, None]], axis=1), y

    for of_order in (0.5, 0.8):
        new_ids, new_y = documents(1000, 11, 0.8, of_order)
        ids, y = documents(600, 0, 0.8, of_order)
        model = small(**ORDER | {"epochs": 6}).fit(ids, y)
        linear, both = (
            log_loss(new_y, part.predict_proba(new_ids)) for part in (model.linear_, model)
        )
        if of_order == 0.5:  # the order says nothing
            alone = small(**ORDER | {"epochs": 6, "linear_ngrams": 0}).fit(ids, y)
            network = log_loss(new_y, alone.predict_proba(new_ids))
            assert both < 1.01 * min(linear, network)
        else:
            assert both < 0.95 * linear


def test_several_labels():
    model = small(**ORDER)
    (ids, y), (other_ids, other_y) = word_order(300), word_order(300, seed=5)
    # a label for each half of the document
    both, labels = np.concatenate([ids, other_ids + 50], axis=1), np.stack([y, other_y], axis=1)
    model.fit(both[:250], labels[:250])
    assert model.part_weights_["network"] > 0.2
    assert model.linear_.score(both[250:], labels[250:]) < 0.5
    assert model.score(both[250:], labels[250:]) > 0.8


# What it leaves behind


@pytest.fixture(scope="module")
def order():
    """A classifier both parts of which count."""
    model = small(**ORDER).fit(*word_order(300))
    assert min(model._factors) > 0.2
    return model


def test_answers_are_the_sum_of_both_parts(order):
    ids, _ = word_order(50, seed=1)
    linear, network, scale = order._factors
    assert order.part_weights_ == {"linear": linear, "network": network}
    assert {type(value) for value in order.part_weights_.values()} == {float}
    logits = order._forward().logits(ids)[:, 0]
    expected = linear * order.linear_.decision_function(ids) + network * scale * logits
    found = order.decision_function(ids)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert found.dtype == np.float32


def test_copies_and_pickles(order):
    ids, _ = word_order(50, seed=1)
    for twin in (pickle.loads(pickle.dumps(order)), copy.copy(order), copy.deepcopy(order)):
        assert twin.part_weights_ == order.part_weights_
        assert same_weights(twin, order)
        np.testing.assert_array_equal(twin.predict_proba(ids), order.predict_proba(ids))


def test_keras_model_of_both_parts(order, keras):
    ids = np.array(word_order(50, seed=1)[0])
    ids[0], ids[1, 3:], ids[2, 2] = 0, 0, 999
    found = order.to_keras()(ids).numpy()
    np.testing.assert_allclose(found, order.predict_proba(ids)[:, 1:], atol=1e-5)
    useless = small(**MUTE, epochs=2).fit(IDS, CLASSES)
    assert useless.part_weights_ == USELESS
    found = useless.to_keras()(NEW_IDS).numpy()
    np.testing.assert_allclose(found, useless.linear_.predict_proba(NEW_IDS), atol=1e-5)


@pytest.mark.parametrize("ngrams", [1, 2])
def test_the_linear_part_is_a_classifier_of_its_own(ngrams):
    model = small(linear_ngrams=ngrams, epochs=1, random_state=7).fit(IDS, NAMES[CLASSES])
    linear = model.linear_
    assert type(linear) is NgramLinearClassifier
    assert (
        linear.get_params()
        == NgramLinearClassifier(ngrams=ngrams, random_state=linear.random_state).get_params()
    )
    assert not hasattr(linear, "cv_decisions_")  # of which there are as many as documents
    alone = NgramLinearClassifier(ngrams=ngrams, random_state=linear.random_state)
    alone.fit(IDS, NAMES[CLASSES])
    np.testing.assert_array_equal(alone.predict(NEW_IDS), linear.predict(NEW_IDS))
    np.testing.assert_array_equal(alone.coef_, linear.coef_)


def test_a_network_alone_counts_alone():
    for model in (
        small(linear_ngrams=0, epochs=1).fit(IDS, CLASSES),
        small(linear_ngrams=0, epochs=1).fit(IDS, CLASSES, **JUDGED),
        small(epochs=1).fit(IDS, CLASSES).set_params(linear_ngrams=0).fit(IDS, CLASSES),
        streamed(),
    ):
        assert model.part_weights_ == {"network": 1.0}
        assert model.linear_ is model._factors is None
        assert not any("with_linear" in name for name in model.history_)
        logits = model._forward().logits(np.array(NEW_IDS))
        np.testing.assert_array_equal(model.decision_function(NEW_IDS), logits)


@pytest.mark.parametrize("case", CASES)
def test_history(case, fit_in):
    model = fit_in(case, small(epochs=3), IDS, CLASSES)
    names = ["loss", "accuracy"]
    if case != "cross-fit":
        names += ["val_loss", "val_accuracy", "val_loss_with_linear", "val_accuracy_with_linear"]
    assert list(model.history_) == names
    assert (model.best_epoch_ is not None) == (case == "early_stopping")


@pytest.mark.parametrize("case", CASES)
def test_progress_of_both_parts(case, fit_in, bars):
    """One bar for all that is trained; none without `verbose`."""
    fit_in(case, small(epochs=3), IDS, CLASSES)
    assert bars == []
    last = fit_in(case, small(epochs=3, verbose=1), IDS, CLASSES).n_iter_
    (bar,) = bars
    if case == "cross-fit":
        expected = [f"network {i} of 4, epoch {j} of 3" for i in (1, 2, 3) for j in (1, 2, 3)]
        expected += [f"network 4 of 4, epoch {j} of {last}" for j in range(1, last + 1)]
    else:
        expected = [f"network, epoch {j} of 3" for j in range(1, last + 1)]
    assert bar.texts == ["linear part", *expected]
    assert bar.shares[0] == 0
    assert bar.shares[-1] == 1
    assert bar.shares == sorted(bar.shares)
    assert len(bar.shares) > 12 + len(expected)  # machines, and batches


# Callbacks, seeds and engines


def test_callbacks_see_one_fit(fits, keras):
    """Of the network that answers: nothing is trained on top of it to be judged."""

    class Witness(keras.callbacks.Callback):
        begun, logged = [], []

        def on_train_begin(self, logs=None):
            Witness.begun.append(self.model.count_params())

        def on_epoch_end(self, epoch, logs=None):
            Witness.logged.append(sorted(logs))

    ids, y = word_order(120)
    model = small(**ORDER | {"epochs": 2}, callbacks=[Witness()]).fit(ids, y)
    (network,) = fits.networks
    (judged,) = fits.judged
    assert Witness.begun == [sum(array.size for array in flat(model._weights))]
    assert Witness.logged == model.n_iter_ * [sorted(model.history_)]
    assert "val_loss_with_linear" in model.history_
    assert len(network.documents.ids) + len(judged.documents.ids) == 120
    assert not contents(network.documents.ids) & contents(judged.documents.ids)


@pytest.mark.parametrize("case", CASES)
def test_equal_seeds_give_equal_bits(case, fit_in):
    ids, y = word_order(200)
    first, again, other = (
        fit_in(case, small(**ORDER | {"epochs": 6, "random_state": seed}), ids, y)
        for seed in (0, 0, 1)
    )
    assert first._factors == again._factors != LINEAR_ALONE
    assert same_weights(first, again)
    assert first.history_ == again.history_
    assert first._factors != other._factors


@pytest.mark.parametrize("case", some(["held out", "cross-fit"], every=2))
def test_both_engines_agree(case, fit_in, keras):
    """Where nothing is dropped they train the same networks but for rounding."""
    ids, y = word_order(120)
    parameters = ORDER | {"dropout": 0.0, "token_dropout": 0.0, "epochs": 5, "kernel_sizes": 2}
    ours, theirs = (
        fit_in(case, small(**parameters, engine=engine), ids, y) for engine in ("numpy", "keras")
    )
    assert ours.part_weights_["network"] > 0.1
    np.testing.assert_allclose(ours._factors, theirs._factors, rtol=1e-2)
    np.testing.assert_allclose(
        ours.predict_proba(ids), theirs.predict_proba(ids), rtol=0, atol=2e-3
    )


def test_word_vectors_are_used_by_every_network(fits):
    small(epochs=1, word_vectors=VECTORS, embedding_mode="static").fit(IDS, CLASSES)
    assert len(fits.networks) == 4
    assert all(network.known[2:50].all() for network in fits.networks)


def test_a_width_of_one_token(fits):
    ids = np.array(TWO_IDS[:, :1])
    model = small(epochs=1).fit(ids, np.arange(96) % 2)
    assert np.isfinite(model.predict_proba(ids)).all()
    # as few contents as there are, and all of a content in one fold
    for network in fits.networks[:-1]:
        rest = contents(ids) - contents(network.documents.ids)
        assert len(network.documents.ids) == 96 - sum(bytes(row) in rest for row in np.int32(ids))
