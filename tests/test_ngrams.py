"""N-grams as features: which there are, and what they add to the logits."""

import tracemalloc

import numpy as np
import pytest
from ngram_corpora import N_IDS, ByHand, strange_corpus

from sklearn_textcnn import _ngrams
from sklearn_textcnn._ngrams import (
    inverse_document_frequencies,
    linear_logits,
    ngrams_of,
    tf_idf,
)


def tables(ids, n_outputs=2, longest=2, seed=0):
    ngrams = ngrams_of(ids, longest)
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(n_outputs, len(ngrams.numbers)))
    return ngrams.tables(kernel, rng.normal(size=n_outputs))


@pytest.mark.parametrize("longest", [1, 2])
def test_features_are_those_of_scikit_learn(longest, monkeypatch):
    monkeypatch.setattr(_ngrams, "TRAINING_BLOCK", 50)  # fewer than there are
    ids, _ = strange_corpus()
    ngrams = ngrams_of(ids, longest)
    found = tf_idf(ngrams.frequencies, inverse_document_frequencies(ngrams.frequencies))
    by_hand = ByHand(longest).fit(ids)
    names = [f"#{number}" for number in ngrams.numbers if number < ngrams.n_ids]
    names += [f"#{pair // ngrams.n_ids} #{pair % ngrams.n_ids}" for pair in ngrams.pairs]
    places = {}
    for part in by_hand.parts:
        places |= {name: len(places) + i for i, name in enumerate(part.get_feature_names_out())}
    assert sorted(places) == sorted(names)
    expected = by_hand.transform(ids).toarray()[:, [places[name] for name in names]]
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-12)


@pytest.mark.parametrize("longest", [1, 2])
def test_logits_are_products_with_the_features(longest):
    ids, _ = strange_corpus()
    ngrams = ngrams_of(ids, longest)
    rng = np.random.default_rng(0)
    kernel, intercept = rng.normal(size=(3, len(ngrams.numbers))), rng.normal(size=3)
    features = tf_idf(ngrams.frequencies, inverse_document_frequencies(ngrams.frequencies))
    logits = linear_logits(ngrams.tables(kernel, intercept), ids)
    np.testing.assert_allclose(logits, features @ kernel.T + intercept, atol=1e-5)


def test_tables(monkeypatch):
    ids = np.array([[5, 6, 5, 6], [5, 6, 0, 7], [7, 1, 5, 8], [9, 0, 0, 0]], dtype=np.int32)
    found = tables(ids, n_outputs=1)
    n_ids = 10  # no more than documents hold
    assert found["pairs"].tolist() == [5 * n_ids + 6, 5 * n_ids + 8, 6 * n_ids + 5]
    assert found["rows"].shape == (n_ids + 3, 2)
    squares = found["rows"][:, -1]
    np.testing.assert_array_equal(squares.nonzero()[0], [5, 6, 7, 8, 9, 10, 11, 12])
    in_documents = {5: 3, 6: 2, 7: 2, 8: 1, 9: 1}
    for token, count in in_documents.items():
        assert squares[token] == pytest.approx((np.log(5 / (1 + count)) + 1) ** 2)
    of_pair = _ngrams.PAIR_WEIGHT * (np.log(5 / 3) + 1)
    assert squares[10] == pytest.approx(of_pair**2)
    assert len(tables(ids, longest=1)["pairs"]) == 0
    # with too many of them, those that most documents hold
    monkeypatch.setattr(_ngrams, "MOST_PAIRS", 1)
    few = tables(ids, n_outputs=1)
    assert few["pairs"].tolist() == [5 * n_ids + 6]
    np.testing.assert_allclose(few["rows"][:, -1], squares[:11])


@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_logits_of_a_document_depend_on_it_alone(n_outputs):
    ids, _ = strange_corpus(700)  # more than are looked up at a time
    found = tables(ids, n_outputs)
    logits = linear_logits(found, ids)
    for i in (0, 1, 255, 256, 699):
        np.testing.assert_array_equal(linear_logits(found, ids[i : i + 1])[0], logits[i])
    wider = np.pad(ids, ((0, 0), (0, 5)))
    np.testing.assert_array_equal(linear_logits(found, wider), logits)
    np.testing.assert_array_equal(linear_logits(found, ids[::-1]), logits[::-1])


def test_what_is_no_feature_changes_nothing():
    ids, _ = strange_corpus()
    ids[1, :2] = N_IDS, 0
    strange = N_IDS - 1  # has a row, but no document holds it
    assert strange not in ids
    found = tables(ids)
    assert not found["rows"][strange].any()
    expected = linear_logits(found, np.array([[4, 3, 0, 0, 0, 0]]))
    for tail in ([0, 1], [0, strange], [0, N_IDS + 1], [0, 2**31 - 2], [1, 1], [1, 0, 1]):
        document = np.array([[4, 3, *tail, *[0] * (4 - len(tail))]])
        np.testing.assert_array_equal(linear_logits(found, document), expected)
    nothing = linear_logits(found, np.zeros((1, 3), dtype=int))
    np.testing.assert_array_equal(nothing[0], found["intercept"])


def test_documents_without_features():
    ids = np.array([[0, 0], [1, 0], [1, 1]])
    ngrams = ngrams_of(ids, 2)
    assert ngrams.frequencies.shape == (3, 1)
    assert not inverse_document_frequencies(ngrams.frequencies).any()
    found = ngrams.tables(np.ones((1, 1)), np.array([0.5]))
    assert not found["rows"].any()
    np.testing.assert_array_equal(linear_logits(found, np.array([[0, 1, 2, 3]])), [[0.5]])


def test_a_long_document_costs_no_more_than_its_own_length():
    ids, _ = strange_corpus()
    wide = np.zeros((2000, 6000), dtype=np.int32)
    wide[:, : ids.shape[1]] = ids[np.arange(2000) % len(ids)]
    wide[7] = 2
    tracemalloc.start()
    try:
        ngrams_of(wide, 2)
        assert tracemalloc.get_traced_memory()[1] < 2 * wide.nbytes
    finally:
        tracemalloc.stop()


def test_few_documents_at_a_time_with_many_outputs(monkeypatch):
    ids, _ = strange_corpus(300)
    found = tables(ids)
    logits = linear_logits(found, ids)
    monkeypatch.setattr(_ngrams, "VALUES_AT_A_TIME", 50)  # not one document
    np.testing.assert_array_equal(linear_logits(found, ids), logits)


def test_large_ids_make_pairs_of_their_own():
    """A pair is kept as one number, which must not overflow."""
    n_ids = 2**31 - 1
    ids = np.array([[n_ids - 1, n_ids - 2], [n_ids - 2, n_ids - 1]], dtype=np.int32)
    keys = _ngrams._pair_keys(ids, n_ids)[:, 0].tolist()
    assert keys == [(n_ids - 1) * n_ids + n_ids - 2, (n_ids - 2) * n_ids + n_ids - 1]
