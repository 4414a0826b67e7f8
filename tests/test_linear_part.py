"""The linear part inside `TextCNNClassifier`."""

import copy
import itertools
import pickle

import numpy as np
import pytest
from classifiers import (
    CLASSES,
    DATA,
    IDS,
    NEW_IDS,
    PLAIN,
    VECTORS,
    both_count,
    loss_by_hand,
    loss_of_logits,
    padded,
    same_weights,
    small,
    standing_still,
    strange_ids,
    streamed,
)
from corpora import word_order
from sampling import some
from sklearn.base import clone


@pytest.fixture(scope="module")
def awkward():
    """New documents with all that a document may be, 10 columns wide."""
    ids = strange_ids().copy()
    ids[0] = 0
    ids[1, 1:] = 0
    ids[2, 3:5] = 0
    ids[3, 0] = 0
    ids[4, ::2] = 0
    ids[5, 2:4] = 19, 999
    ids[6] = 2**31 - 2
    ids[7] = 1
    ids[8] = ids[8, 0]
    ids[9, :4] = ids[9, 0], ids[9, 1], ids[9, 0], ids[9, 1]  # a pair counts once
    return ids


@pytest.mark.parametrize(("linear_ngrams", "name"), some(itertools.product([2, 1], DATA), every=2))
def test_linear_part_of_the_keras_model(name, linear_ngrams, awkward):
    ids, y = DATA[name]
    model = both_count(small(linear_ngrams=linear_ngrams, epochs=3).fit(ids, y))
    tables = model.linear_._tables
    assert len(tables["rows"]) - len(tables["pairs"]) == 50
    assert (len(tables["pairs"]) > 20) == (linear_ngrams == 2)
    awkward = padded(awkward, ids.shape[1] - awkward.shape[1])

    def expected(ids):
        return model.predict_proba(ids)[:, 1:] if name == "two" else model.predict_proba(ids)

    keras_model = model.to_keras()
    for given in (awkward, padded(awkward, 3), awkward[:1], ids):
        found = keras_model(given).numpy()
        np.testing.assert_allclose(found, expected(given[:, : ids.shape[1]]), atol=1e-5)
    for width in (1, 2):
        narrow = np.zeros_like(awkward)
        narrow[:, :width] = awkward[:, :width]
        found = keras_model(awkward[:, :width]).numpy()
        np.testing.assert_allclose(found, expected(narrow), atol=1e-5)
    # it is there, and no small part of the answer
    without = copy.deepcopy(model)
    without.linear_ = None
    assert np.abs(without.decision_function(awkward) - model.decision_function(awkward)).max() > 0.5


@pytest.mark.parametrize("linear_ngrams", [0, 1, 2])
def test_documents_of_one_token(linear_ngrams):
    ids, y = np.repeat(np.arange(2, 11), 6)[:, None], np.repeat([0, 1, 2], 18)
    model = both_count(small(linear_ngrams=linear_ngrams).fit(ids, y))
    assert model.score(ids, y) == 1
    awkward = np.array([[0], [1], [2], [5], [11], [999]])
    expected = model.predict_proba(awkward)
    np.testing.assert_allclose(model.to_keras()(awkward).numpy(), expected, atol=1e-5)
    np.testing.assert_array_equal(expected[4:], expected[[1, 1]])


@pytest.mark.parametrize("linear_ngrams", [1, 2])
def test_documents_of_unknown_tokens(linear_ngrams):
    """Nothing for the linear part to learn from."""
    ids = np.array(IDS > 0, dtype=int)
    model = small(linear_ngrams=linear_ngrams, epochs=1).fit(ids, CLASSES)
    assert not model.linear_._tables["rows"].any()
    assert model.predict_proba(ids).shape == (96, 3)


def test_what_only_pairs_decide():
    """Windows of one token and weights of tokens see the same in both orders."""
    train, test = word_order(200), word_order(200, seed=1)
    scores = [
        small(kernel_sizes=1, linear_ngrams=n, filters=4).fit(*train).score(*test) for n in (1, 2)
    ]
    assert scores[0] < 0.65
    assert scores[1] > 0.95


def test_network_adds_to_the_linear_part():
    """Pairs are beyond a linear part of tokens, and beyond a network of windows of one token."""
    train, test = word_order(200), word_order(200, seed=1)
    scores = [
        small(kernel_sizes=k, linear_ngrams=1, epochs=20).fit(*train).score(*test) for k in (1, 2)
    ]
    assert scores[0] < 0.65
    assert scores[1] > 0.9


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("name", DATA)
def test_loss_beside_the_linear_part(name, smoothing):
    """That of the network alone, and on validation documents that of the answers, too."""
    ids, y = DATA[name]
    y = y.copy()
    y[::4] = np.roll(y, 1, axis=0)[::4]  # what is easy has losses of nearly nothing
    # vectors so large that the logits of an untrained network differ
    model = standing_still(word_vectors=10 * VECTORS, label_smoothing=smoothing)
    model.fit(ids, y, X_val=ids[:50], y_val=y[:50])
    assert model._forward().logits(ids).std() > 1
    expected = loss_of_logits(model._forward().logits(ids), y, smoothing=smoothing)
    assert model.history_["loss"] == [pytest.approx(expected, rel=1e-4)]
    expected = loss_of_logits(model._forward().logits(ids[:50]), y[:50])
    assert model.history_["val_loss"] == [pytest.approx(expected, rel=1e-4)]
    expected = loss_by_hand(model, ids[:50], y[:50])
    assert model.history_["val_loss_with_linear"] == [pytest.approx(expected, rel=1e-4)]


@pytest.mark.parametrize(
    ("method", "then", "now"),
    [
        ("partial_fit", 2, 2),  # the linear part would answer as before, whatever comes
        ("partial_fit", 1, 0),  # setting it to 0 takes no linear part away
        ("fit", 2, 2),  # under warm_start: one of the new documents alone would replace it
        ("fit", 2, 0),
        ("fit", 0, 2),  # one beside a network that has seen more
    ],
)
def test_going_on_beside_a_linear_part_is_refused(method, then, now):
    model = small(warm_start=True, epochs=1, linear_ngrams=then).fit(IDS, CLASSES)
    before, expected = vars(model).copy(), model.decision_function(NEW_IDS)
    model.set_params(linear_ngrams=now)
    name = "fit with warm_start=True" if method == "fit" else "partial_fit"
    message = rf"{name} goes on .* not with a linear part.*; got linear_ngrams={now}\. Set linear_n"
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(IDS, CLASSES)
    assert vars(model) == before | {"linear_ngrams": now}
    np.testing.assert_array_equal(model.decision_function(NEW_IDS), expected)
    # the remedies
    model.set_params(warm_start=False).fit(IDS, CLASSES)
    again = model.set_params(linear_ngrams=0, warm_start=True).set_params(warm_start=False)
    again.fit(IDS, CLASSES).set_params(warm_start=True).fit(IDS, CLASSES).partial_fit(IDS, CLASSES)


def test_a_network_alone_follows_what_changes():
    """Labels turned round: a linear part that stayed would keep the answers where they were."""
    turned = (CLASSES + 1) % 3
    model = small(linear_ngrams=0).fit(IDS, CLASSES)
    assert model.score(IDS, CLASSES) > 0.9
    for _ in range(15):
        model.partial_fit(IDS, turned)
    assert model.score(IDS, turned) > 0.9


def test_stream_has_no_linear_part():
    model = streamed(2)
    assert model.linear_ is None
    assert same_weights(model, streamed(2, linear_ngrams=0))
    np.testing.assert_array_equal(
        model.decision_function(NEW_IDS), model._forward().logits(np.array(NEW_IDS))
    )


def test_copies_with_the_linear_part(awkward):
    model = small(warm_start=True).fit(IDS, CLASSES)
    twin = pickle.loads(pickle.dumps(model))
    assert same_weights(model, twin)
    np.testing.assert_array_equal(twin.predict_proba(awkward), model.predict_proba(awkward))
    assert clone(model).get_params() == model.get_params()
    assert same_weights(clone(model).fit(IDS, CLASSES), model)


def test_plain_network_has_no_linear_part():
    model = small(**PLAIN, epochs=1).fit(IDS, CLASSES)
    assert model.linear_ is None
    again = small(epochs=1).fit(IDS, CLASSES).set_params(**PLAIN).fit(IDS, CLASSES)
    assert again.linear_ is None
    assert same_weights(again, model)
