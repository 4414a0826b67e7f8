"""What `TextCNNClassifier` makes of ids: answers by hand, padding, forms, unknown tokens."""

import copy
import itertools
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from classifiers import (
    CLASSES,
    IDS,
    JUDGED,
    NAMES,
    NEW_CLASSES,
    NEW_IDS,
    PLAIN,
    both_count,
    loss_by_hand,
    padded,
    same_weights,
    small,
    strange_ids,
)
from corpora import FIRST_FILLER, LAST_FILLER

from sklearn_textcnn import TokenIds


def windows_by_hand(model, ids):
    """Logits of one document, written out: every window, one after the other."""
    weights, a = model._weights, model._architecture
    table = weights["tables"][0]
    pooled = []
    for kernels, biases in zip(weights["kernels"], weights["biases"], strict=True):
        kernel, bias = kernels[0], biases[0]
        values = []
        for start in range(len(ids)):
            if ids[start] == 0:
                continue
            total = bias.astype(float)
            for offset in range(len(kernel)):
                if start + offset < len(ids) and ids[start + offset] != 0:
                    total = total + table[ids[start + offset]].astype(float) @ kernel[offset]
            values.append(np.maximum(total, 0))
        pooled.append(np.max(values, axis=0) if values else np.zeros(len(bias)))
    assert a["pooling"] == "max"
    return np.concatenate(pooled) @ weights["dense_kernels"][0] + weights["dense_biases"][0]


def linear_by_hand(linear, ids):
    """Logits of the linear part for one document, n-gram by n-gram."""
    table, pairs = linear["rows"].astype(float), linear["pairs"].tolist()
    n_ids = len(table) - len(pairs)
    ids = [token if token < n_ids else 0 for token in ids.tolist()]
    features = [token for token in ids if token > 1]
    for left, right in itertools.pairwise(ids):
        if left > 1 and right > 1 and left * n_ids + right in pairs:
            features.append(n_ids + pairs.index(left * n_ids + right))
    total, squares = np.zeros(table.shape[1] - 1), 0.0
    for feature, count in Counter(features).items():
        *weights, square = table[feature]
        total += (1 + np.log(count)) * np.array(weights)
        squares += (1 + np.log(count)) ** 2 * square
    return total / np.sqrt(squares or 1) + linear["intercept"]


@pytest.mark.parametrize("linear_ngrams", [0, 1, 2])
def test_decisions_by_hand(linear_ngrams):
    model = both_count(small(linear_ngrams=linear_ngrams).fit(IDS, NAMES[CLASSES]))
    ids = np.array(NEW_IDS[:20])
    ids[0] = 0
    ids[1, 0] = 0
    ids[2, 2:4] = 0
    by_hand = np.array([windows_by_hand(model, row) for row in ids])
    if linear_ngrams:
        linear, network, scale = model._factors
        beside = np.array([linear_by_hand(model.linear_._tables, row) for row in ids])
        by_hand = linear * beside + network * scale * by_hand
    np.testing.assert_allclose(model.decision_function(ids), by_hand, atol=1e-5)


def test_a_document_without_tokens_has_no_features(three):
    empty = np.zeros((1, IDS.shape[1]), dtype=int)
    model = both_count(copy.deepcopy(three))
    linear, network, scale = model._factors
    biases = network * scale * model._weights["dense_biases"][-1]
    biases += linear * model.linear_.intercept_
    np.testing.assert_allclose(model.decision_function(empty)[0], biases, atol=1e-6)
    plain = small(**PLAIN, epochs=2).fit(IDS, CLASSES)
    biases = plain._weights["dense_biases"][-1]
    np.testing.assert_allclose(plain.decision_function(empty)[0], biases, atol=1e-7)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        pytest.param({"conv_layers": 2, "kernel_sizes": 3}, marks=pytest.mark.slow),
        pytest.param({"pooling": "max+average", "hidden_units": 5}, marks=pytest.mark.slow),
        pytest.param({"embedding_dim": None, "pooling": "average"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_an_answer_depends_on_the_document_alone(parameters):
    validation = {"X_val": padded(NEW_IDS, 5), "y_val": NEW_CLASSES}
    model = small(**parameters, epochs=2).fit(padded(IDS, 5), CLASSES, **validation)
    both_count(model)
    ids = padded(NEW_IDS, 5)
    together = model.predict_proba(ids)
    alone = np.concatenate([model.predict_proba(row[None]) for row in ids])
    np.testing.assert_array_equal(together, alone)
    many = model.predict_proba(np.tile(ids, (20, 1)))
    np.testing.assert_array_equal(many, np.tile(together, (20, 1)))
    np.testing.assert_array_equal(model.predict_proba(ids[::-1])[::-1], together)
    # the same documents without the padding on their right
    narrow = both_count(small(**parameters, epochs=2).fit(IDS, CLASSES, **JUDGED))
    assert same_weights(narrow, model)
    np.testing.assert_array_equal(narrow.predict_proba(NEW_IDS), together)


@pytest.mark.parametrize(
    "form",
    [
        np.int64,
        np.uint8,
        np.float64,
        lambda ids: ids.tolist(),
        np.asfortranarray,
        pd.DataFrame,
        lambda ids: TokenIds(ids, n_ids=LAST_FILLER + 1),
        pytest.param(np.int16, marks=pytest.mark.slow),
        pytest.param(lambda ids: ids.astype(object), marks=pytest.mark.slow),
    ],
)
def test_forms_of_ids(form, three):
    form = (
        form
        if callable(form) and not isinstance(form, type)
        else (form if form is pd.DataFrame else lambda ids, dtype=form: ids.astype(dtype))
    )
    model = small().fit(form(IDS), NAMES[CLASSES])
    assert same_weights(model, three)
    np.testing.assert_array_equal(model.predict_proba(form(NEW_IDS)), three.predict_proba(NEW_IDS))


def test_booleans_are_ids():
    model = small(epochs=1).fit(IDS > 25, CLASSES)
    assert same_weights(model, small(epochs=1).fit((IDS > 25).astype(int), CLASSES))


def test_names_of_columns():
    names = [f"token_{i}" for i in range(IDS.shape[1])]
    frame = pd.DataFrame(IDS, columns=names)
    model = small(epochs=1).fit(frame, CLASSES)
    assert model.feature_names_in_.tolist() == names
    assert model.n_features_in_ == 10
    model.predict(frame)
    assert not hasattr(model.fit(IDS, CLASSES), "feature_names_in_")


@pytest.fixture(scope="module")
def with_unknown():
    """A network whose row of the unknown token was trained."""
    return small(token_dropout=0.3, average=0, epochs=5, linear_ngrams=0).fit(
        IDS, CLASSES, X_val=strange_ids(), y_val=NEW_CLASSES
    )


def test_strange_ids_are_read_as_unknown(with_unknown):
    def answer(token):
        return with_unknown.decision_function(np.full((1, IDS.shape[1]), token))

    for stranger in (19, 999, 2**31 - 2):
        np.testing.assert_array_equal(answer(stranger), answer(1))
    assert not np.allclose(answer(FIRST_FILLER), answer(1))
    assert not np.allclose(answer(1), with_unknown._weights["dense_biases"][-1])


def test_strange_ids_in_validation_count_as_in_prediction(with_unknown):
    expected = loss_by_hand(with_unknown, strange_ids(), NEW_CLASSES)
    assert with_unknown.history_["val_loss"][-1] == pytest.approx(expected, rel=1e-4)


def test_size_of_the_table():
    n_ids = {
        "plain": len(small(epochs=1).fit(IDS, CLASSES)._weights["tables"][0]),
        "hashed": len(small(epochs=1).fit(TokenIds(IDS, n_ids=77), CLASSES)._weights["tables"][0]),
        "words": len(
            small(epochs=1)
            .fit(TokenIds(IDS, vocabulary=list(map(str, range(70)))), CLASSES)
            ._weights["tables"][0]
        ),
        "cast": len(
            small(epochs=1).fit(np.array(IDS).view(TokenIds), CLASSES)._weights["tables"][0]
        ),
    }
    assert n_ids == {"plain": IDS.max() + 1, "hashed": 77, "words": 72, "cast": IDS.max() + 1}


def test_vocabulary_is_remembered():
    words = [f"w{i}" for i in range(48)]
    assert small(epochs=1).fit(TokenIds(IDS, vocabulary=words), CLASSES).vocabulary_ == tuple(words)
    assert small(epochs=1).fit(IDS, CLASSES).vocabulary_ is None
    assert small(epochs=1).fit(TokenIds(IDS, n_ids=60), CLASSES).vocabulary_ is None


def test_unknown_row_is_zero_until_something_trains_it():
    def unknown_row(ids=IDS, **parameters):
        model = small(epochs=1, **{"token_dropout": 0.0} | parameters).fit(ids, CLASSES)
        return model._weights["tables"][0][1]

    assert not unknown_row().any()
    assert unknown_row(token_dropout=0.3).any()
    with_unknown = np.where(IDS == FIRST_FILLER, 1, IDS)
    assert unknown_row(with_unknown).any()


def test_padding_row_is_zero(three):
    assert not three._weights["tables"][0][0].any()
    one_hot = small(embedding_dim=None, epochs=1).fit(IDS, CLASSES)
    assert not one_hot._weights["tables"][0][0].any()
