"""The fused training step against the Keras network with the same optimizer."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from networks import N_IDS, architecture, random_weights
from test_trainer import documents, flat, options

from sklearn_textcnn import TextCNNClassifier


@pytest.fixture(scope="module")
def trainer():
    from sklearn_textcnn.training import trainer

    return trainer


def train_both(trainer, monkeypatch, a, changes, n_outputs=3, weights=None, multilabel=False):
    """Weights and history after a few epochs, fused and by Keras, from the same random stream."""
    docs = documents(trainer, n_outputs=max(n_outputs, 2))
    docs = replace(docs, targets=np.ascontiguousarray(docs.targets[:, :n_outputs]))
    if weights is not None:
        docs = replace(docs, weights=weights)
    results = []
    for serves in (trainer.fused.serves, lambda *_: False):
        with monkeypatch.context() as patch:
            patch.setattr(trainer.fused, "serves", serves)
            start = partial(random_weights, a)
            settings, rng = options(trainer, **changes), np.random.default_rng(0)
            results.append(trainer.train(a, start, N_IDS, multilabel, docs, docs, settings, rng))
    return results


def assert_close(fused, keras, atol=2e-4):
    for ours, theirs in zip(flat(fused.weights), flat(keras.weights), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=atol)
    assert list(fused.history) == list(keras.history)
    for name, values in fused.history.items():
        np.testing.assert_allclose(values, keras.history[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["adam", "lazyadam", "adamw", "sgd", "adagrad", "rmsprop"])
@pytest.mark.parametrize(
    "changes", [{}, {"dropout": 0.0, "l2": 0.0, "max_norm": None}], ids=["all", "bare"]
)
def test_every_optimizer(trainer, monkeypatch, optimizer, changes):
    assert_close(
        *train_both(trainer, monkeypatch, architecture(), {"optimizer": optimizer, **changes})
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"static_dim": 6, "trained_dim": 0},
        {"static_dim": 5, "trained_dim": 5},
        {"activation": "tanh", "hidden_units": (7,)},
        {"activation": "linear", "hidden_units": (6, 5)},
        {"kernel_sizes": (1, 5, 5), "filters": (3, 1, 4)},
        {"kernel_sizes": (4,), "filters": (1,)},
    ],
    ids=lambda changes: ",".join(f"{k}={v}" for k, v in changes.items()),
)
def test_every_architecture(trainer, monkeypatch, changes):
    a = architecture(**changes)
    assert trainer.fused.serves(a, options(trainer))
    assert_close(*train_both(trainer, monkeypatch, a, {}))


@pytest.mark.parametrize(("n_outputs", "multilabel"), [(1, False), (3, True)])
def test_sigmoid(trainer, monkeypatch, n_outputs, multilabel):
    a = architecture(n_outputs=n_outputs)
    assert_close(
        *train_both(trainer, monkeypatch, a, {}, n_outputs=n_outputs, multilabel=multilabel)
    )


def test_weights_of_documents(trainer, monkeypatch):
    weights = np.random.default_rng(1).random(90, dtype=np.float32) * 3
    assert_close(*train_both(trainer, monkeypatch, architecture(), {}, weights=weights))


@pytest.mark.parametrize("n_shares", [1, 3, 8])
def test_any_number_of_shares(trainer, monkeypatch, n_shares):
    monkeypatch.setattr(trainer.fused, "_n_threads", lambda: n_shares)
    monkeypatch.setattr(trainer.fused, "N_SHARES", n_shares)
    monkeypatch.setattr(trainer.fused, "BLOCK_VALUES", 100)
    assert_close(*train_both(trainer, monkeypatch, architecture(), {}))


def test_threads_change_no_bit_even_between_calls(trainer, monkeypatch):
    def fitted(n_threads):
        classifier = TextCNNClassifier(linear_ngrams=0, filters=7, optimizer="adam", random_state=0)
        docs = documents(trainer)
        for n in n_threads:
            monkeypatch.setattr(trainer.fused, "_n_threads", lambda n=n: n)
            classifier.partial_fit(docs.ids, docs.targets.argmax(axis=1), classes=[0, 1, 2])
        return classifier.decision_function(docs.ids)

    alone = fitted([1] * 4)
    np.testing.assert_array_equal(fitted([2] * 4), alone)
    np.testing.assert_array_equal(fitted([1, 2, 8, 1]), alone)


@pytest.mark.parametrize("activation", ["relu", "tanh", "linear"])
def test_padding_inside_and_in_front(trainer, monkeypatch, activation):
    original = documents(trainer)
    ids = original.ids.copy()
    ids[np.random.default_rng(2).random(ids.shape) < 0.3] = 0
    ids[::7] = 0  # documents without tokens
    monkeypatch.setitem(
        train_both.__globals__, "documents", lambda *_, **__: replace(original, ids=ids)
    )
    assert_close(*train_both(trainer, monkeypatch, architecture(activation=activation), {}))


def test_what_is_left_to_keras(trainer):
    import keras

    for a, changes in [
        (architecture(conv_layers=2), {}),
        (architecture(pooling="max+average"), {}),
        (architecture(trained_dim=0), {}),
        (architecture(), {"optimizer": keras.optimizers.Adam}),
        (architecture(), {"callbacks": [keras.callbacks.Callback()]}),
    ]:
        assert not trainer.fused.serves(a, options(trainer, **changes))


def test_threads_of_blas_are_as_before(trainer):
    from threadpoolctl import threadpool_info

    before = [pool["num_threads"] for pool in threadpool_info()]
    trainer.train(
        architecture(),
        lambda: random_weights(architecture()),
        N_IDS,
        False,
        documents(trainer),
        None,
        options(trainer),
        np.random.default_rng(0),
    )
    assert [pool["num_threads"] for pool in threadpool_info()] == before


@pytest.mark.parametrize("last", [0, 1])
def test_threads_of_blas_while_fits_overlap(trainer, last):
    """Fits in two threads: the one that ends last is the one that began first, or the other."""
    from threadpoolctl import threadpool_info

    def n_threads():
        pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
        return [pool["num_threads"] for pool in pools]

    before = n_threads()
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        fits = [(thread, trainer.fused._one_thread_for_products()) for thread in (one, other)]
        for thread, limit in fits:
            thread.submit(limit.__enter__).result()
        for thread, _ in fits:
            assert set(thread.submit(n_threads).result()) == {1}
        ends = fits.pop(1 - last)
        ends[0].submit(ends[1].__exit__, None, None, None).result()
        ((thread, limit),) = fits
        assert set(thread.submit(n_threads).result()) == {1}
        thread.submit(limit.__exit__, None, None, None).result()
        # looked at while both threads are alive: a dead one does not hold on to its setting
        assert [t.submit(n_threads).result() for t in (one, other)] == [before] * 2
        assert n_threads() == before
        # and the limit can be set and lifted again, by a thread that came second
        with trainer.fused._one_thread_for_products():
            assert set(n_threads()) == {1}
        assert n_threads() == before


@pytest.mark.parametrize("n_threads", [1, 2])
def test_divergence_is_said_once(trainer, monkeypatch, n_threads):
    monkeypatch.setattr(trainer.fused, "_n_threads", lambda: n_threads)
    a, docs = architecture(), documents(trainer)
    settings = options(trainer, optimizer="sgd", learning_rate=1e30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="Training diverged: the loss is not finite in epoch"):
            trainer.train(
                a,
                lambda: random_weights(a),
                N_IDS,
                False,
                docs,
                docs,
                settings,
                np.random.default_rng(0),
            )
