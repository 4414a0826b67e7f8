"""The training step in NumPy against plain Keras with the same optimizer, and its threads."""

import itertools
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from networks import (
    KNOWN,
    N_IDS,
    OPTIMIZERS,
    architecture,
    assert_close_results,
    assert_equal_weights,
    documents,
    random_weights,
    train,
    with_weights,
)
from sampling import some
from threadpoolctl import threadpool_info

from sklearn_textcnn import TextCNNClassifier
from sklearn_textcnn.network.architecture import arrays_of, map_arrays
from sklearn_textcnn.training import numpy_engine
from sklearn_textcnn.training.blas import one_thread_for_products

# Everything that does not draw: the engines draw different units to drop.
ALL = {
    "token_dropout": 0.1,
    "average": 0.7,
    "max_norm": 1.0,
    "l2": 0.01,
    "label_smoothing": 0.1,
}
# Steps of some hundredths. Adadelta begins with tiny ones.
RATES = {"sgd": 0.1, "adagrad": 0.1, "adadelta": 3.0}
SIDES = {
    "trained": {},
    "static": {"static_dim": 6, "trained_dim": 0},
    "multichannel": {"static_dim": 6},
    "one-hot": {"trained_dim": 0},
}
HEADS = {
    "softmax": {},
    "hidden": {"hidden_units": (7,), "activation": "tanh"},
    "two-hidden": {"hidden_units": (6, 5), "activation": "linear"},
    "one": {"n_outputs": 1},
    "several": {"n_outputs": 4, "output": "sigmoid"},
    # kernel sizes that occur twice, fewer filters than threads
    "uneven": {"kernel_sizes": (1, 5, 5), "filters": (3, 1, 4)},
    "one-filter": {"kernel_sizes": (4,), "filters": (1,), "hidden_units": (1,)},
}


def train_both(a, docs=None, validation=None, **settings):
    """Results after a few epochs by NumPy and by Keras, from the same random stream."""
    return [train(a, docs, validation, engine=name, **settings) for name in ("numpy", "keras")]


@pytest.mark.parametrize(
    ("optimizer", "side", "settings"),
    some(
        [
            (optimizer, side, settings)
            for optimizer in OPTIMIZERS
            for side, settings in [("trained", ALL), ("one-hot", {})]
        ],
        every=5,
    ),
)
def test_every_optimizer(optimizer, side, settings):
    a = architecture(**SIDES[side])
    rate = RATES.get(optimizer, 0.01)
    results = train_both(a, optimizer=optimizer, learning_rate=rate, **settings)
    assert_close_results(*results)
    moved = [
        np.abs(after - before).max()
        for after, before in zip(
            arrays_of(results[0].weights), arrays_of(random_weights(a)), strict=True
        )
    ]
    assert min(moved) > 1e-3


@pytest.mark.parametrize(
    ("side", "head"),
    some(
        [
            *itertools.product(["trained", "one-hot"], HEADS),
            *itertools.product(["static", "multichannel"], ["softmax", "uneven"]),
        ],
        every=5,
    ),
)
def test_every_architecture(side, head):
    a = architecture(**SIDES[side] | HEADS[head])
    assert_close_results(*train_both(a, with_weights(documents(a)), documents(a, seed=2), **ALL))


@pytest.mark.parametrize("engine", ["numpy", "keras"])
def test_the_output_layer_alone_is_limited(engine):
    """Not the first dense layer, where there is a hidden one."""
    a = architecture(hidden_units=(7,))
    weights = random_weights(a)
    weights["dense_kernels"][0] *= 10
    settings = {"learning_rate": 1e-3, "engine": engine, "max_norm": 0.5}
    hidden, output = train(a, weights=weights, **settings).weights["dense_kernels"]
    np.testing.assert_allclose(np.linalg.norm(output, axis=0), 0.5, rtol=0.05)
    assert np.linalg.norm(hidden, axis=0).min() > 5


@pytest.mark.parametrize("optimizer", some(["adamw", "adam", "rmsprop", "adadelta"], every=4))
@pytest.mark.parametrize("side", some(["trained", "one-hot"], every=2))
def test_rows_of_rare_tokens_move_as_in_keras(optimizer, side):
    """Also in the steps that have no gradient for them: by momentum and by decay."""
    a = architecture(**SIDES[side])
    docs = documents(a, n=400)
    ids = docs.ids.copy()
    for rare, n_documents in [(25, 1), (26, 2), (27, 5), (28, 0)]:
        ids[ids == rare] = 2
        ids[np.linspace(0, 399, n_documents, dtype=int), 0] = rare
    weights = random_weights(a)
    for table in weights["tables"]:
        table[2:] *= 0.5 / table[2:].std()  # so that decay is more than rounding
    rate = {"adadelta": 20.0, "rmsprop": 0.01}.get(optimizer, 0.05)
    settings = {"batch_size": 20, "epochs": 4, "optimizer": optimizer, "learning_rate": rate}
    results = [
        train(a, replace(docs, ids=ids), weights=map_arrays(np.copy, weights), engine=e, **settings)
        for e in ("numpy", "keras")
    ]
    (start,), (ours,), (theirs,) = (w["tables"] for w in (weights, *(r.weights for r in results)))
    for row in (25, 26, 27, 28):
        moved = np.abs(theirs[row] - start[row]).max()
        np.testing.assert_allclose(ours[row], theirs[row], atol=0.02 * moved)
    if optimizer == "adamw":  # nothing but decay, also of the row of a token without documents
        np.testing.assert_allclose(ours[28], start[28] * (1 - 0.05 * 0.004) ** 80, rtol=1e-4)
    else:
        np.testing.assert_array_equal(ours[28], start[28])


def test_steps_are_counted_for_one_epoch(monkeypatch):
    """Those of one are all that a row can have missed, and memory is taken for no more."""
    made = []

    class Recorded(numpy_engine.MissedSteps):
        def __init__(self, n_rows, n_steps, before):
            made.append((n_rows, n_steps, before))
            super().__init__(n_rows, n_steps, before)

    monkeypatch.setattr(numpy_engine, "MissedSteps", Recorded)
    train(architecture(), documents(architecture(), n=90), batch_size=16, epochs=3)
    assert made == [(N_IDS, 6, 0), (N_IDS, 6, 6), (N_IDS, 6, 12)]


def test_threads_begin_at_opposite_ends():
    """Both have the same work, and Python is wanted by one while the other multiplies."""
    one, other = numpy_engine._shares(architecture(kernel_sizes=(3, 4, 5), filters=(6, 6, 6)))
    assert [part.kernel_size for part in one] == [3, 4, 5]
    assert [part.kernel_size for part in other] == [5, 4, 3]


def test_documents_without_tokens_train_the_output_alone():
    """Their features are constant, whatever the weights of the convolutions."""
    a = architecture(activation="tanh")
    docs = documents(a)
    docs = replace(docs, ids=np.zeros_like(docs.ids))
    before, after = random_weights(a), train(a, docs, optimizer="sgd", learning_rate=1.0).weights
    for name in ("tables", "kernels", "biases"):
        for was, is_now in zip(arrays_of([before[name]]), arrays_of([after[name]]), strict=True):
            np.testing.assert_array_equal(is_now, was)
    assert (after["dense_biases"][-1] != before["dense_biases"][-1]).all()


def test_rows_that_no_token_has_are_left_alone():
    a, known = architecture(), KNOWN.copy()
    known[20:] = False
    docs = documents(a)
    docs = replace(docs, ids=docs.ids % 20)
    before = random_weights(a)["tables"][0]
    after = train(a, docs, known=known, optimizer="adamw").weights["tables"][0]
    np.testing.assert_array_equal(after[20:], before[20:])


@pytest.mark.parametrize(
    ("side", "early_stopping"),
    some(itertools.product(["trained", "one-hot"], [True, False]), every=4),
)
def test_validation(side, early_stopping):
    a = architecture(**SIDES[side])
    rng = np.random.default_rng(0)
    validation = with_weights(documents(a, n=40, seed=9), seed=2)
    validation = replace(validation, beside=rng.normal(size=(40, 3)))
    settings = {"epochs": 12, "learning_rate": 0.05, "early_stopping": early_stopping}
    ours, theirs = train_both(a, documents(a, n=60), validation, patience=2, **settings)
    assert_close_results(ours, theirs, atol=1e-3)
    both = "val_loss_with_linear", "val_accuracy_with_linear"
    assert list(ours.history) == ["loss", "accuracy", "val_loss", "val_accuracy", *both]
    n_epochs, best = len(ours.history["loss"]), np.argmin(ours.history["val_loss_with_linear"]) + 1
    assert ours.best_epoch == (best if early_stopping else None)
    assert n_epochs == (best + 2 if early_stopping else 12)
    assert best < 10  # else nothing would be stopped


@pytest.mark.parametrize("activation", some(["relu", "tanh", "linear"], every=3))
@pytest.mark.parametrize("side", ["trained", "one-hot"])
def test_padding_inside_and_in_front(side, activation):
    a = architecture(activation=activation, **SIDES[side])
    docs = documents(a)
    ids = docs.ids.copy()
    ids[np.random.default_rng(2).random(ids.shape) < 0.3] = 0
    ids[::7] = 0  # documents without tokens
    assert_close_results(*train_both(a, replace(docs, ids=ids), replace(docs, ids=ids), **ALL))


@pytest.mark.parametrize("side", ["trained", "one-hot"])
@pytest.mark.parametrize("n_shares", [1, 3, 8])
def test_any_number_of_shares(monkeypatch, n_shares, side):
    a = architecture(**SIDES[side])
    expected = train(a, **ALL)
    monkeypatch.setattr(numpy_engine, "n_threads", lambda: n_shares)
    monkeypatch.setattr(numpy_engine, "N_SHARES", n_shares)
    monkeypatch.setattr(numpy_engine, "BLOCK_VALUES", 100)
    assert_close_results(train(a, **ALL), expected)


@pytest.mark.parametrize("settings", [{"dropout": 0.5, **ALL}, {"optimizer": "adagrad"}])
@pytest.mark.parametrize("side", SIDES)
def test_threads_and_blocks_change_no_bit(monkeypatch, side, settings):
    a = architecture(**SIDES[side])
    results = []
    for n_threads, block_values in [(1, 2**17), (2, 2**17), (8, 100)]:
        monkeypatch.setattr(numpy_engine, "n_threads", lambda n=n_threads: n)
        monkeypatch.setattr(numpy_engine, "BLOCK_VALUES", block_values)
        results.append(train(a, validation=documents(a, seed=1), **settings))
    for result in results[1:]:
        assert_equal_weights(result.weights, results[0].weights)
        assert result.history == results[0].history


def test_threads_change_no_bit_even_between_calls(monkeypatch):
    docs = documents(architecture())

    def fitted(n_threads):
        classifier = TextCNNClassifier(linear_ngrams=0, filters=7, optimizer="adam", random_state=0)
        for n in n_threads:
            monkeypatch.setattr(numpy_engine, "n_threads", lambda n=n: n)
            classifier.partial_fit(docs.ids, docs.targets.argmax(axis=1), classes=[0, 1, 2])
        return classifier.decision_function(docs.ids)

    alone = fitted([1] * 4)
    np.testing.assert_array_equal(fitted([2] * 4), alone)
    np.testing.assert_array_equal(fitted([1, 2, 8, 1]), alone)


@pytest.mark.parametrize("changes", [{}, {"trained_dim": 0}, {"hidden_units": (7,)}])
@pytest.mark.parametrize(
    "settings", [{}, {"dropout": 0.5, "l2": 0.01, "label_smoothing": 0.2, "token_dropout": 0.3}]
)
def test_steps_follow_the_slope_of_the_loss(changes, settings):
    """Finite differences, dropout included: the same random stream drops the same units.

    A step of gradient descent at a rate of 1 is the gradient; the loss that is reported for an
    epoch of one batch is that before the step.
    """
    a = architecture(activation="tanh", **changes)
    settings = {"epochs": 1, "batch_size": 90, "optimizer": "sgd", **settings}
    docs = with_weights(documents(a))
    # weights of mean 1: steps are divided by the number of documents, as Keras does
    docs = replace(docs, weights=docs.weights / docs.weights.mean())

    def loss(weights):
        weights = map_arrays(np.copy, weights)
        return train(a, docs, weights=weights, learning_rate=0.0, **settings).history["loss"][0]

    start = random_weights(a)
    after = train(
        a, docs, weights=map_arrays(np.copy, start), learning_rate=1.0, **settings
    ).weights
    rng, size = np.random.default_rng(5), 1e-3
    for i, (one, other) in enumerate(zip(arrays_of(start), arrays_of(after), strict=True)):
        gradient = one - other
        # along the gradient, where the change is largest, and a little aside
        way = gradient + 0.3 * gradient.std() * rng.normal(size=gradient.shape)
        way[np.broadcast_to(gradient == 0, way.shape)] = 0
        way *= size / np.abs(way).max()
        ends = []
        for sign in (1, -1):
            moved = map_arrays(np.copy, start)
            arrays_of(moved)[i] += (sign * way).astype(np.float32)
            ends.append(loss(moved))
        expected = (gradient.astype(float) * way).sum()
        assert (ends[0] - ends[1]) / 2 == pytest.approx(expected, rel=0.02)


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_threads_of_blas_are_as_before():
    before = blas_threads()
    a, seen = architecture(), []

    class Watching(numpy_engine.MissedSteps):
        def begin_step(self, rows):
            seen.append(blas_threads())
            return super().begin_step(rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_engine, "MissedSteps", Watching)
        train(a)
    assert set(np.ravel(seen)) == {1}
    assert blas_threads() == before
    with pytest.raises(ValueError, match="diverged"):
        train(a, optimizer="sgd", learning_rate=1e30)
    assert blas_threads() == before


@pytest.mark.parametrize("last", [0, 1])
def test_threads_of_blas_while_fits_overlap(last):
    """Fits in two threads: the one that ends last is the one that began first, or the other."""
    before = blas_threads()
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        fits = [(thread, one_thread_for_products()) for thread in (one, other)]
        for thread, limit in fits:
            thread.submit(limit.__enter__).result()
        assert set(one.submit(blas_threads).result()) == {1}
        thread, limit = fits.pop(1 - last)
        thread.submit(limit.__exit__, None, None, None).result()
        ((thread, limit),) = fits
        assert set(thread.submit(blas_threads).result()) == {1}
        thread.submit(limit.__exit__, None, None, None).result()
        # looked at while both threads are alive: a dead one does not hold on to its setting
        assert [t.submit(blas_threads).result() for t in (one, other)] == [before] * 2
        assert blas_threads() == before
        # and the limit can be set and lifted again, by a thread that came second
        with one_thread_for_products():
            assert set(blas_threads()) == {1}
        assert blas_threads() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_threads_of_blas_in_a_process_that_was_forked_in_the_middle_of_a_fit():
    before = blas_threads()
    with ThreadPoolExecutor(1) as thread:
        limit = one_thread_for_products()
        thread.submit(limit.__enter__).result()
        child = os.fork()
        if not child:  # no assertion: its traceback would go on in the parent's test run
            as_before = blas_threads() == before
            with one_thread_for_products():
                limited = set(blas_threads()) == {1}
            os._exit(0 if as_before and limited and blas_threads() == before else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert set(blas_threads()) == {1}
        thread.submit(limit.__exit__, None, None, None).result()
    assert blas_threads() == before


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("side", ["trained", "one-hot"])
def test_divergence_is_said_once(monkeypatch, n_threads, side):
    monkeypatch.setattr(numpy_engine, "n_threads", lambda: n_threads)
    a = architecture(**SIDES[side])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="Training diverged: the loss is not finite in epoch"):
            train(a, validation=documents(a), optimizer="sgd", learning_rate=1e30)


def test_the_table_is_trained_in_place_and_never_copied():
    """A batch of a stream must not cost as much as a table of a million rows."""
    a, weights = architecture(static_dim=6), random_weights(architecture(static_dim=6))
    tables, others = weights["tables"], arrays_of({**weights, "tables": []})
    before = map_arrays(np.copy, weights)
    after = train(a, weights=weights).weights
    assert all(one is other for one, other in zip(after["tables"], tables, strict=True))
    np.testing.assert_array_equal(tables[0], before["tables"][0])
    # a fit that fails goes back to the other weights, which have to be as they were
    assert_equal_weights(others, arrays_of({**before, "tables": []}))
    assert len(tables[0]) == N_IDS


@pytest.mark.parametrize("hidden_units", [(), (7,)])
def test_what_dropout_keeps_makes_up_for_what_it_drops(hidden_units):
    a = architecture(hidden_units=hidden_units)
    engine = train(a, dropout=0.3, epochs=1).engine
    features = np.ones((4000, a.dense_shapes()[0][0]), dtype=np.float32)
    inputs, _ = engine._dense(features, np.random.default_rng(0))
    assert len(inputs) == len(hidden_units) + 1  # one in front of every dense layer
    for _, factors in inputs:
        assert set(np.unique(factors)) == {0, np.float32(1 / 0.7)}
        np.testing.assert_allclose(factors.mean(axis=0), 1, atol=0.05)
