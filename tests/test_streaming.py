"""Training that goes on: `partial_fit` and `warm_start`."""

import copy
import pickle
import tracemalloc

import joblib
import numpy as np
import pytest
from classifiers import (
    CLASSES,
    IDS,
    NAMES,
    NEW_CLASSES,
    NEW_IDS,
    PLAIN,
    SEVERAL,
    SEVERAL_IDS,
    STANDSTILL,
    TWO_CLASSES,
    TWO_IDS,
    WARM,
    same_weights,
    small,
    streamed,
)
from corpora import topic_texts
from sklearn.base import clone

from sklearn_textcnn import TextVectorizerTransformer, TokenIds
from sklearn_textcnn import classifier as classifier_module


def test_stream_learns():
    model = streamed(n_passes=6, **PLAIN)
    assert model.score(NEW_IDS, NEW_CLASSES) > 0.95
    assert model.n_iter_ == 36
    assert len(model.history_["loss"]) == len(model.history_["accuracy"]) == 36
    assert np.mean(model.history_["loss"][-6:]) < 0.5 * np.mean(model.history_["loss"][:6])
    assert model.best_epoch_ is None


def test_streams_are_equal_between_runs():
    assert same_weights(streamed(2), streamed(2))
    assert not same_weights(streamed(2), streamed(2, random_state=1))


def test_stream_has_one_pass_whatever_epochs_says(capsys):
    assert same_weights(streamed(epochs=50, verbose=1), streamed())
    assert capsys.readouterr().out == ""


def test_random_stream_goes_on_over_calls():
    # without dropout the batches alone would be drawn; a generator made anew repeats itself
    once, twice = small(**STANDSTILL), small(**STANDSTILL)
    once.partial_fit(IDS, CLASSES, classes=[0, 1, 2])
    twice.partial_fit(IDS, CLASSES, classes=[0, 1, 2]).partial_fit(IDS, CLASSES)
    assert once._random_stream_state != twice._random_stream_state
    fitted = small(**WARM).fit(IDS, CLASSES)
    state = fitted._random_stream_state
    assert fitted.fit(IDS, CLASSES)._random_stream_state != state


def test_state_of_the_optimizer_goes_on_over_calls():
    model = small().partial_fit(IDS, CLASSES, classes=[0, 1, 2])
    without_state = pickle.loads(pickle.dumps(model))
    assert same_weights(model, without_state)
    model.partial_fit(IDS, CLASSES)
    without_state.partial_fit(IDS, CLASSES)
    assert not same_weights(model, without_state)
    assert model in classifier_module._engines
    # a fit from scratch forgets it
    assert model.fit(IDS, CLASSES) not in classifier_module._engines
    assert same_weights(model, small().fit(IDS, CLASSES))


def test_stream_may_change_its_rate_and_its_optimizer(keras):
    for optimizer in ("adam", keras.optimizers.Adam):
        model = small(optimizer=optimizer, token_dropout=0)
        model.partial_fit(IDS, CLASSES, classes=[0, 1, 2])
        before = copy.deepcopy(model)
        assert same_weights(model.set_params(learning_rate=1e-30).partial_fit(IDS, CLASSES), before)
    model.set_params(optimizer="sgd", learning_rate=0.5)
    assert not same_weights(model.partial_fit(IDS, CLASSES), before)


# With 32 filters of two sizes there are as many features as rows in a table of 50 ids.
@pytest.mark.parametrize("filters", [8, 32])
@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.5), ("adam", 0.03)])
def test_four_calls_equal_four_epochs(optimizer, rate, filters):
    """Batches that hold everything: the order of the documents, all that differs, cannot matter."""
    parameters = {"dropout": 0.0, "learning_rate": rate, "batch_size": 96, "filters": filters}
    parameters |= PLAIN
    stream = small(**parameters, optimizer=optimizer)
    for _ in range(4):
        stream.partial_fit(IDS, CLASSES, classes=[0, 1, 2])
    fit = small(**parameters, optimizer=optimizer, epochs=4).fit(IDS, CLASSES)
    np.testing.assert_allclose(fit.predict_proba(IDS), stream.predict_proba(IDS), atol=1e-4)
    np.testing.assert_allclose(fit.history_["loss"], stream.history_["loss"], rtol=1e-4)


@pytest.mark.parametrize("embedding_dim", [8, None])
def test_table_grows_with_plain_ids(embedding_dim):
    low = IDS.max(axis=1) < 48
    model = small(embedding_dim=embedding_dim).partial_fit(
        IDS[low], CLASSES[low], classes=[0, 1, 2]
    )
    assert len(model._known) == 48
    answer = model.predict_proba(NEW_IDS)
    assert model.predict_proba(IDS).shape == (96, 3)  # the others are unknown as yet
    model.set_params(learning_rate=1e-30).partial_fit(IDS, CLASSES)
    assert len(model._known) == 50
    (table,) = model._weights["tables"]
    assert len(table) == 50
    assert table[[48, 49]].any(axis=1).all()
    # old ids have kept their rows
    old = NEW_IDS.max(axis=1) < 48
    np.testing.assert_allclose(model.predict_proba(NEW_IDS)[old], answer[old], atol=1e-6)


def test_hashed_stream_of_texts():
    texts, labels = topic_texts(120)
    new_texts, new_labels = topic_texts(60, seed=1)
    vectorizer = TextVectorizerTransformer(hash_buckets=500, max_length=12)
    model = small(**PLAIN)
    for start in range(0, 360, 20):
        part = slice(start % 120, start % 120 + 20)
        ids = vectorizer.transform(texts[part])
        model.partial_fit(ids, labels[part], classes=np.unique(labels))
    assert model.score(vectorizer.transform(new_texts), new_labels) > 0.9
    assert len(model._known) == vectorizer.transform(texts[:1]).n_ids


@pytest.mark.parametrize("optimizer", ["lazyadam", "adam", "adagrad"])
def test_a_batch_costs_what_is_in_it(optimizer):
    """Arrays as large as a table of 2**18 rows are made once, not for every batch."""
    n_ids = 2**18 + 2
    rng = np.random.default_rng(0)

    def batch():
        ids = TokenIds(rng.integers(2, n_ids, (16, 10), dtype=np.int32), n_ids=n_ids)
        return ids, np.arange(16) % 2

    model = small(optimizer=optimizer, linear_ngrams=0)
    for _ in range(2):
        model.partial_fit(*batch(), classes=[0, 1])
    (table,) = model._weights["tables"]
    tracemalloc.start()
    try:
        for _ in range(3):
            model.partial_fit(*batch())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert model._weights["tables"][0] is table  # trained where it is
    assert table.nbytes == 32 * n_ids
    # which ids are known, their steps and their places: bytes, not rows, for each id
    assert peak < table.nbytes


def test_stream_goes_on_after_fit():
    model = small(epochs=3, linear_ngrams=0).fit(IDS, CLASSES, X_val=NEW_IDS, y_val=NEW_CLASSES)
    before = model.history_
    best_epoch = model.best_epoch_
    model.partial_fit(IDS, CLASSES)
    assert model.n_iter_ == 4
    assert model.history_["loss"][:3] == before["loss"]
    assert model.history_["val_loss"] == before["val_loss"]
    assert model.best_epoch_ == best_epoch
    assert len(before["loss"]) == 3


def test_stream_of_several_labels():
    model = small(**PLAIN)
    for start in list(range(0, 96, 16)) * 12:
        part = slice(start, start + 16)
        model.partial_fit(SEVERAL_IDS[part], SEVERAL[part])
    assert model.score(SEVERAL_IDS, SEVERAL) > 0.9


def test_stream_takes_weights_and_batches_of_one_class():
    model = small(class_weight={0: 2.0, 1: 1.0, 2: 1.0})
    weights = np.ones(len(IDS))
    weights[::2] = 0
    one = CLASSES == 0
    model.partial_fit(IDS[one], CLASSES[one], classes=[0, 1, 2], sample_weight=weights[one])
    kept = one & (weights > 0)
    twin = small().partial_fit(
        IDS[kept], CLASSES[kept], classes=[0, 1, 2], sample_weight=np.full(kept.sum(), 2.0)
    )
    np.testing.assert_array_equal(model.predict_proba(NEW_IDS), twin.predict_proba(NEW_IDS))


def test_a_stream_goes_on_from_a_file_that_is_mapped_into_memory(tmp_path):
    model = small(linear_ngrams=0).fit(IDS, CLASSES)
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    mapped.partial_fit(IDS, CLASSES)
    assert same_weights(mapped, pickle.loads(pickle.dumps(model)).partial_fit(IDS, CLASSES))
    assert same_weights(joblib.load(tmp_path / "model.joblib"), model)


@pytest.mark.parametrize("engine", ["numpy", pytest.param("keras", marks=pytest.mark.slow)])
def test_copies_go_their_own_ways(engine):
    model = small(linear_ngrams=0, engine=engine, epochs=1).fit(IDS, CLASSES)
    expected, weights = model.decision_function(NEW_IDS), copy.deepcopy(model)
    for twin in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        twin.partial_fit(IDS, CLASSES)
        assert not np.array_equal(twin.decision_function(NEW_IDS), expected)
        assert same_weights(model, weights)


def test_warm_start_goes_on():
    model = small(**WARM).fit(IDS, CLASSES)
    first = model.history_["loss"]
    model.fit(IDS, CLASSES)
    assert model.n_iter_ == len(model.history_["loss"]) == 3
    assert model.history_["loss"][0] < first[-1] * 1.05 < first[0]
    again = small(**WARM).fit(IDS, CLASSES).fit(IDS, CLASSES)
    assert same_weights(model, again)
    assert not same_weights(
        small(epochs=3, linear_ngrams=0).fit(IDS, CLASSES).fit(IDS, CLASSES), model
    )


def test_warm_start_goes_on_from_the_state_of_the_optimizer():
    model = small(**WARM).fit(IDS, CLASSES)
    without_state = pickle.loads(pickle.dumps(model))
    assert same_weights(model, without_state)
    assert not same_weights(model.fit(IDS, CLASSES), without_state.fit(IDS, CLASSES))


def test_warm_start_refuses_word_vectors_that_it_would_not_read():
    model = small(**WARM).fit(IDS, CLASSES)
    before = model.predict_proba(IDS)
    model.set_params(word_vectors=np.ones((50, 8)))
    with pytest.raises(ValueError, match="word_vectors 'ndarray' now, None before"):
        model.fit(IDS, CLASSES)
    np.testing.assert_array_equal(model.predict_proba(IDS), before)


def test_warm_start_from_the_weights_at_hand():
    model = small(**WARM).fit(IDS, CLASSES)
    before = copy.deepcopy(model)
    model.set_params(**STANDSTILL).fit(IDS, CLASSES)
    assert same_weights(model, before)


def test_cold_start_repeats_itself(three):
    again = small().fit(IDS, NAMES[CLASSES]).fit(IDS, NAMES[CLASSES])
    assert same_weights(again, three)
    assert again.predict(NEW_IDS).tolist() == three.predict(NEW_IDS).tolist()
    other = again.fit(TWO_IDS[:, :8], TWO_CLASSES)
    np.testing.assert_array_equal(
        other.predict_proba(TWO_IDS[:, :8]),
        clone(other).fit(TWO_IDS[:, :8], TWO_CLASSES).predict_proba(TWO_IDS[:, :8]),
    )
    assert other.classes_.tolist() == [0, 1]
    assert other.n_features_in_ == 8
