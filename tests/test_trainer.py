"""The trainer: networks are reused without a trace in the results."""

import numpy as np
import pytest
from networks import N_IDS, architecture, random_weights


@pytest.fixture(scope="module")
def trainer():
    from sklearn_textcnn.training import trainer

    return trainer


@pytest.fixture(autouse=True)
def no_idle_networks(trainer):
    trainer._idle_networks.clear()


@pytest.fixture
def keras_step(trainer, monkeypatch):
    monkeypatch.setattr(trainer.fused, "serves", lambda *_: False)


@pytest.fixture(params=["fused", "keras"])
def any_step(trainer, monkeypatch, request):
    if request.param == "keras":
        monkeypatch.setattr(trainer.fused, "serves", lambda *_: False)


def documents(trainer, n=90, n_outputs=3, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(2, N_IDS, (n, 12)).astype(np.int32)
    ids[np.arange(12) >= rng.integers(1, 13, n)[:, None]] = 0
    targets = np.eye(n_outputs, dtype=np.float32)[ids.max(axis=1) % n_outputs]
    return trainer.Documents(ids, targets, np.ones(n, dtype=np.float32))


def options(trainer, **changes):
    settings = {
        "optimizer": "adam",
        "learning_rate": 0.01,
        "batch_size": 16,
        "epochs": 3,
        "dropout": 0.3,
        "token_dropout": 0.1,
        "average": 0.7,
        "network_share": 0.5,
        "max_norm": 3.0,
        "l2": 0.001,
        "label_smoothing": 0.1,
        "early_stopping": False,
        "patience": 3,
        "callbacks": None,
        "verbose": 0,
    }
    return trainer.Options(**(settings | changes))


def train(trainer, a, changes=(), n=90, seed=0, n_ids=N_IDS, **more):
    weights = random_weights(a)
    if n_ids > N_IDS:
        weights["embeddings"] = [
            np.pad(t, ((0, n_ids - N_IDS), (0, 0))) for t in weights["embeddings"]
        ]
    return trainer.train(
        a,
        lambda: weights,
        n_ids,
        False,
        documents(trainer, n),
        None,
        options(trainer, **dict(changes)),
        np.random.default_rng(seed),
        **more,
    )


def flat(weights):
    arrays = []
    for value in weights.values():
        for item in value:
            arrays += item if isinstance(item, list) else [item]
    return arrays


def assert_equal_weights(first, second):
    for a, b in zip(flat(first), flat(second), strict=True):
        np.testing.assert_array_equal(a, b)


OTHERS = [
    {"changes": {"learning_rate": 0.1}},
    {"changes": {"dropout": 0.0, "token_dropout": 0.0, "l2": 0.1, "label_smoothing": 0.0}},
    {"changes": {"max_norm": None, "batch_size": 7, "epochs": 1}},
    {"n": 31, "seed": 5},
    {"n_ids": N_IDS + 20},
]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
@pytest.mark.usefixtures("keras_step")
def test_a_reused_network_gives_the_weights_of_a_fresh_one(trainer, optimizer, other):
    a = architecture()
    fresh = train(trainer, a, {"optimizer": optimizer})
    trainer._idle_networks.clear()
    changes = {"optimizer": optimizer, **other.get("changes", {})}
    train(trainer, a, **(other | {"changes": changes}))
    (runner,) = trainer._idle_networks.values()
    reused = train(trainer, a, {"optimizer": optimizer})
    assert list(trainer._idle_networks.values()) == [runner]
    assert runner._train_step.experimental_get_tracing_count() == 1
    assert_equal_weights(fresh.weights, reused.weights)
    assert fresh.history == reused.history


@pytest.mark.usefixtures("keras_step")
def test_at_most_four_networks_are_kept(trainer):
    for n_filters in range(1, 7):
        train(trainer, architecture(filters=(n_filters, 2)), {"epochs": 1}, n=20)
    assert len(trainer._idle_networks) == 4


@pytest.mark.usefixtures("keras_step")
def test_a_fit_that_fails_or_has_callbacks_keeps_no_network(trainer, monkeypatch):
    import keras

    a = architecture()
    with pytest.raises(ValueError, match="Training diverged: the loss is not finite in epoch 1"):
        train(trainer, a, {"learning_rate": 1e30, "optimizer": "sgd"})
    train(trainer, a, {"callbacks": [keras.callbacks.Callback()]})
    train(trainer, a, {"optimizer": keras.optimizers.Adam(0.01)})
    train(trainer, a, {"optimizer": keras.optimizers.Adam})
    assert not trainer._idle_networks


@pytest.mark.usefixtures("keras_step")
def test_an_interrupted_fit_keeps_no_network(trainer, monkeypatch):
    a = architecture()
    expected = train(trainer, a)
    (runner,) = trainer._idle_networks.values()

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner, "end_epoch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(trainer, a)
    assert not trainer._idle_networks
    assert_equal_weights(train(trainer, a).weights, expected.weights)


@pytest.mark.usefixtures("keras_step")
def test_a_result_is_complete_before_another_fit_may_take_the_network(trainer, monkeypatch):
    a = architecture()
    expected = train(trainer, a, keep_optimizer_state=True)
    put_idle, users = trainer._put_idle, []

    def put_idle_and_train(key, network):
        """What a thread does that has waited for the network."""
        put_idle(key, network)
        users.append(network)
        if len(users) == 1:
            train(trainer, a, {"learning_rate": 0.1}, seed=5)

    monkeypatch.setattr(trainer, "_put_idle", put_idle_and_train)
    result = train(trainer, a, keep_optimizer_state=True)
    assert len(users) == 2
    assert users[0] is users[1]
    assert_equal_weights(result.weights, expected.weights)
    for ours, theirs in zip(result.optimizer_state, expected.optimizer_state, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.usefixtures("any_step")
def test_a_network_in_use_is_not_shared(trainer):
    """A fit within a fit, as in two threads, gets a network of its own."""
    from sklearn_textcnn.training import loop

    a = architecture()
    alone = train(trainer, a)
    inner = []

    class FitsToo(loop.ProgressBar):
        def epoch(self, scores):
            if not inner:
                inner.append(train(trainer, a))

    loop.ProgressBar, original = FitsToo, loop.ProgressBar
    try:
        outer = train(trainer, a, {"verbose": 1})
    finally:
        loop.ProgressBar = original
    assert_equal_weights(inner[0].weights, alone.weights)
    assert_equal_weights(outer.weights, alone.weights)


@pytest.mark.parametrize("optimizer", ["adam", "keras"])
@pytest.mark.usefixtures("any_step")
def test_training_goes_on_from_the_state_of_the_optimizer(trainer, optimizer):
    import keras

    optimizer = keras.optimizers.Adam(0.01) if optimizer == "keras" else optimizer
    a, rng = architecture(), np.random.default_rng(0)
    changes = {"optimizer": optimizer, "average": 0}
    docs, once = documents(trainer), options(trainer, epochs=1, **changes)
    first = trainer.train(
        a, lambda: random_weights(a), N_IDS, False, docs, None, once, rng, keep_optimizer_state=True
    )
    trainer._idle_networks.clear()
    second = trainer.train(
        a,
        lambda: first.weights,
        N_IDS,
        False,
        docs,
        None,
        once,
        rng,
        optimizer_state=first.optimizer_state,
    )
    whole = train(trainer, a, {"epochs": 2, **changes})
    assert_equal_weights(second.weights, whole.weights)
    assert first.history["loss"] + second.history["loss"] == whole.history["loss"]


def test_penalty_counts_kernels_only(trainer):
    a = architecture()
    weights = random_weights(a)
    network = trainer.TextCNN(a, N_IDS)
    network.load(weights)
    network.settings["l2"].assign(0.5)
    kernels = [k for stack in weights["kernels"] for k in stack] + weights["dense_kernels"]
    expected = 0.5 * sum((k.astype(float) ** 2).sum() for k in kernels)
    assert float(network.penalty()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("any_step")
def test_padding_row_stays_zero(trainer):
    result = train(trainer, architecture(), {"optimizer": "adamw"})
    assert not result.weights["embeddings"][0][0].any()


def test_size_classes_waste_at_most_a_quarter(trainer):
    sizes = np.arange(2, 100_000, 37)
    rounded = np.array([trainer._rounded_up(int(n)) for n in sizes])
    assert (rounded >= sizes).all()
    assert (rounded <= np.maximum(1.25 * sizes, sizes + 63)).all()
    assert len(set(rounded.tolist())) < 60
