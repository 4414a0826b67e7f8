"""Word vectors in `TextCNNClassifier`."""

import warnings

import numpy as np
import pytest
from classifiers import (
    CLASSES,
    IDS,
    NEW_CLASSES,
    NEW_IDS,
    PLAIN,
    VECTORS,
    both_count,
    same_weights,
    small,
    standing_still,
)
from corpora import read_only
from sklearn.base import clone

from sklearn_textcnn import TokenIds, WordVectors

WORDS = tuple(f"w{i}" for i in range(48))
WORD_IDS = TokenIds(IDS, vocabulary=WORDS)
BY_TOKEN = {word: VECTORS[i + 2] for i, word in enumerate(WORDS) if i != 20}
SOURCES = {
    "matrix": (VECTORS, IDS),
    "mapping": (BY_TOKEN, WORD_IDS),
    "WordVectors": (WordVectors(BY_TOKEN), WORD_IDS),
}


@pytest.mark.parametrize("mode", ["static", "non-static", "multichannel"])
@pytest.mark.parametrize("source", SOURCES)
def test_word_vectors(source, mode):
    vectors, ids = SOURCES[source]
    model = small(**PLAIN, word_vectors=vectors, embedding_mode=mode, filters=32, epochs=30)
    model.fit(ids, CLASSES)
    tables = model._weights["tables"]
    assert [table.shape for table in tables] == [(50, 6)] * (2 if mode == "multichannel" else 1)
    rows = np.setdiff1d(np.unique(IDS), [0, 22])  # token w20 has no vector in the mapping
    if mode != "non-static":
        np.testing.assert_array_equal(tables[0][rows], VECTORS[rows])
    if mode != "static":
        assert (tables[-1][rows] != VECTORS[rows]).any(axis=1).all()
        assert np.abs(tables[-1][rows] - VECTORS[rows]).max() < 1.5
    # six random numbers for each word are not much to go by when they may not change
    assert model.score(NEW_IDS, NEW_CLASSES) > (0.5 if mode == "static" else 0.8)
    assert same_weights(model, clone(model).fit(ids, CLASSES))
    model.set_params(word_vectors=None)
    assert model.predict_proba(ids).shape == (96, 3)


def test_words_outside_training_keep_their_vectors():
    vectors = np.concatenate([VECTORS, np.full((3, 6), 2.0, dtype=np.float32)])
    model = both_count(small(word_vectors=vectors, epochs=1).fit(IDS, CLASSES))
    unseen = np.setdiff1d(np.arange(2, 53), IDS)
    assert {50, 51, 52} < set(unseen)
    np.testing.assert_array_equal(model._weights["tables"][0][unseen], vectors[unseen])
    with_vector, unknown = np.full((1, 10), 51), np.full((1, 10), 53)
    assert not np.allclose(model.decision_function(with_vector), model.decision_function(unknown))


def test_words_without_a_vector_are_drawn_like_the_others():
    few = {word: vector + 5 for word, vector in list(BY_TOKEN.items())[10:]}
    model = standing_still(word_vectors=few, embedding_mode="static").fit(WORD_IDS, CLASSES)
    drawn = np.intersect1d(np.unique(IDS), np.arange(2, 12))
    assert 4 < model._weights["tables"][0][drawn].mean() < 6
    assert model._weights["tables"][0][drawn].std() > 0.1


# Of ids 2, 3 and 4: twice, twice and once; the unknown token once.
FEW_IDS = read_only(np.array([[2, 3, 3, 1], [4, 2, 0, 0]]))


@pytest.mark.parametrize(
    ("tokens", "of_tokens", "of_words"),
    [("abc", 1, 5 / 6), ("ab", 2 / 3, 4 / 6), ("ac", 2 / 3, 3 / 6), ("abx", 2 / 3, 4 / 6)],
)
def test_coverage(tokens, of_tokens, of_words):
    vectors = {token: VECTORS[i] for i, token in enumerate(tokens)}
    model = small(word_vectors=vectors, epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # half of the running words are enough
        model.fit(TokenIds(FEW_IDS, vocabulary=("a", "b", "c")), [0, 1])
    assert model.coverage_ == pytest.approx({"tokens": of_tokens, "running words": of_words})
    assert {type(share) for share in model.coverage_.values()} == {float}
    assert not hasattr(model.set_params(word_vectors=None).fit(FEW_IDS, [0, 1]), "coverage_")


def test_coverage_of_a_matrix():
    # it has a row for the unknown token, which still stands for no word in particular
    model = small(word_vectors=VECTORS[:5], epochs=1).fit(FEW_IDS, [0, 1])
    assert model.coverage_ == pytest.approx({"tokens": 1, "running words": 5 / 6})
    with pytest.warns(UserWarning, match=r"a vector for 0% of the running words"):
        model.fit(np.full((2, 3), 1), [0, 1])
    assert model.coverage_ == {"tokens": 0, "running words": 0}


def test_coverage_counts_what_is_trained_on():
    ids = TokenIds(np.concatenate([FEW_IDS, [[4, 4, 4, 4]]]), vocabulary=("a", "b", "c"))
    model = small(word_vectors=dict(zip("ab", VECTORS, strict=False)), epochs=1)
    model.fit(ids, [0, 1, 0], sample_weight=[1, 1, 0], X_val=ids, y_val=[0, 1, 0])
    assert model.coverage_ == pytest.approx({"tokens": 2 / 3, "running words": 4 / 6})


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_vectors_of_other_words_are_mentioned(method):
    model = small(word_vectors={"b": [1.0, 2.0], "x": [2.0, 1.0]}, epochs=1)
    more = {"classes": [0, 1]} if method == "partial_fit" else {}
    message = (
        r"word_vectors has a vector for 33% of the running words in the training documents; the "
        r"others start at random\. Check that the vectors are of the language of the texts and "
        r"tokenised alike \(case, word pieces, punctuation\)\."
    )
    with pytest.warns(UserWarning, match=message) as caught:
        getattr(model, method)(TokenIds(FEW_IDS, vocabulary=("a", "b", "c")), [0, 1], **more)
    assert [warning.filename for warning in caught] == [__file__]
    assert model.coverage_ == pytest.approx({"tokens": 1 / 3, "running words": 2 / 6})
