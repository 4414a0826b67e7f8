"""Both engines against a model written by hand, and what every engine has to do."""

import itertools
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
from networks import (
    N_IDS,
    OPTIMIZERS,
    architecture,
    assert_close_results,
    assert_equal_weights,
    documents,
    options,
    random_weights,
    train,
    with_weights,
)
from sampling import some

from sklearn_textcnn.network.architecture import arrays_of, map_arrays, with_new_rows
from sklearn_textcnn.network.operations import document_lengths
from sklearn_textcnn.training.batches import Epoch
from sklearn_textcnn.training.course import Course
from sklearn_textcnn.training.fit import engine_for
from sklearn_textcnn.training.numpy_engine import NumpyEngine

ENGINES = ["numpy", "keras"]
SIDES = {
    "trained": {},
    "multichannel": {"static_dim": 6},
    "one-hot": {"trained_dim": 0},
}


class ByHand:
    """A network with relu in plain Keras as a tutorial would write it, with a convolution over
    one-hot vectors for one-hot tokens; trained by ``train_on_batch``.

    What the package promises about padding is done by hand after each step.
    """

    def __init__(self, keras, a, weights, settings):
        ops, layers = keras.ops, keras.layers
        self.keras, self.a, self.settings = keras, a, settings
        l2 = keras.regularizers.L2(settings["l2"])
        ids = keras.Input((None,), dtype="int32")
        is_token = ops.cast(ops.expand_dims(ids != 0, 2), "float32")
        if a.trained_dim + a.static_dim:
            self.tables = [layers.Embedding(N_IDS, w) for w in a.table_widths()]
            embedded = ops.concatenate([table(ids) for table in self.tables], axis=2)
        else:
            self.tables, embedded = [], ops.one_hot(ids, N_IDS)
        self.stacks, pooled = [], []
        for k, n in zip(a.kernel_sizes, a.filters, strict=True):
            x, counts, stack = embedded, is_token, []
            for layer in range(a.conv_layers):
                if layer:
                    pool = layers.MaxPooling1D(a.pool_size, padding="same")
                    x, counts = pool(x), pool(counts)
                # one-hot kernels are tables, which are not penalised
                penalty = l2 if layer or self.tables else None
                stack.append(layers.Conv1D(n, k, activation="relu", kernel_regularizer=penalty))
                x = stack[-1](layers.ZeroPadding1D((0, k - 1))(x)) * counts
            self.stacks.append(stack)
            if "max" in a.pooling:  # nothing is below 0, so what does not count changes nothing
                pooled.append(ops.max(x, axis=1))
            if "average" in a.pooling:
                n_counts = ops.maximum(ops.sum(counts, axis=1), 1)
                pooled.append(ops.sum(x, axis=1) / n_counts)
        x = ops.concatenate(pooled, axis=1)
        units = [*a.hidden_units, a.n_outputs]
        activations = ["relu"] * len(a.hidden_units) + [a.output]
        self.dense = [
            layers.Dense(n, activation=activation, kernel_regularizer=l2)
            for n, activation in zip(units, activations, strict=True)
        ]
        for layer in self.dense:
            x = layer(x)
        self.model = keras.Model(ids, x)
        self._set_weights(weights)
        loss = keras.losses.CategoricalCrossentropy
        if a.output == "sigmoid":
            loss = keras.losses.BinaryCrossentropy
        if a.static_dim:
            self.tables[0].trainable = False
        self.model.compile(
            keras.optimizers.SGD(settings["learning_rate"]),
            loss(label_smoothing=settings["label_smoothing"]),
        )

    def _set_weights(self, weights):
        for table, rows in zip(self.tables, weights["tables"], strict=False):
            table.set_weights([rows])
        kernels = weights["kernels"]
        if not self.tables:
            kernels, (table,), column = [], weights["tables"], 0
            for k, n, later in zip(
                self.a.kernel_sizes, self.a.filters, weights["kernels"], strict=True
            ):
                part = table[:, column : column + k * n].reshape(N_IDS, k, n)
                kernels.append([part.transpose(1, 0, 2), *later])
                column += k * n
        for stack, *arrays in zip(self.stacks, kernels, weights["biases"], strict=True):
            for layer, *pair in zip(stack, *arrays, strict=True):
                layer.set_weights(pair)
        for layer, *pair in zip(
            self.dense, weights["dense_kernels"], weights["dense_biases"], strict=True
        ):
            layer.set_weights(pair)

    def train(self, docs):
        """Train on the batches that the engines get; the mean loss of each epoch."""
        lengths, rng, history = document_lengths(docs.ids), np.random.default_rng(0), []
        settings = options(**self.settings)
        for _ in range(settings.epochs):
            total = 0
            for ids, targets, weights in Epoch(docs, lengths, settings, rng):
                total += len(ids) * self.model.train_on_batch(ids, targets, sample_weight=weights)
                self.model.reset_metrics()
                self._forget_padding()
                self._limit_norms()
            history.append(total / len(docs.ids))
        return history

    def _forget_padding(self):
        for layer in self.tables or [stack[0] for stack in self.stacks]:
            arrays = layer.get_weights()
            (arrays[0] if self.tables else arrays[0].swapaxes(0, 1))[0] = 0
            layer.set_weights(arrays)

    def _limit_norms(self):
        kernel, bias = self.dense[-1].get_weights()
        for vector in kernel.T:
            vector *= min(1, self.settings["max_norm"] / np.linalg.norm(vector))
        self.dense[-1].set_weights([kernel, bias])

    def weights(self):
        kernels = [[layer.get_weights()[0] for layer in stack] for stack in self.stacks]
        tables = [table.get_weights()[0] for table in self.tables]
        if not tables:
            parts = [stack.pop(0).transpose(1, 0, 2).reshape(N_IDS, -1) for stack in kernels]
            tables = [np.concatenate(parts, axis=1)]
        return {
            "tables": tables,
            "kernels": kernels,
            "biases": [[layer.get_weights()[1] for layer in stack] for stack in self.stacks],
            "dense_kernels": [layer.get_weights()[0] for layer in self.dense],
            "dense_biases": [layer.get_weights()[1] for layer in self.dense],
        }


@pytest.mark.parametrize(
    ("side", "changes"),
    some(
        itertools.product(
            SIDES,
            [
                {},
                {"hidden_units": (7,)},
                {"n_outputs": 1},
                {"n_outputs": 4, "output": "sigmoid"},
                {"conv_layers": 2},
                {"conv_layers": 2, "pooling": "max+average"},
                {"pooling": "average"},
            ],
        ),
        every=12,
    ),
)
def test_training_is_that_of_a_model_written_by_hand(keras, side, changes):
    a = architecture(**SIDES[side] | changes)
    docs = with_weights(documents(a))
    # weights of mean 1, since Keras divides the loss by the number of documents
    docs = replace(docs, weights=docs.weights / docs.weights.mean())
    ids = docs.ids.copy()
    ids[np.random.default_rng(2).random(ids.shape) < 0.2] = 0  # padding in front and inside
    docs = replace(docs, ids=ids)
    settings = {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "token_dropout": 0.2,
        "l2": 0.01,
        "max_norm": 1.0,
        "label_smoothing": 0.2,
    }
    by_hand = ByHand(keras, a, random_weights(a), settings)
    losses = by_hand.train(docs)
    served = ENGINES if engine_for(a, options(engine="auto")) == "numpy" else ["keras"]
    for engine in served:
        result = train(a, docs, engine=engine, **settings)
        np.testing.assert_allclose(result.history["loss"], losses, rtol=1e-4)
        for ours, theirs in zip(
            arrays_of(result.weights), arrays_of(by_hand.weights()), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("side", "optimizer"),
    some(
        [
            *itertools.product(["trained"], OPTIMIZERS),
            ("multichannel", "adamw"),
            ("one-hot", "adamw"),
        ],
        every=4,
    ),
)
def test_padding_row_stays_zero(engine, optimizer, side):
    a = architecture(**SIDES[side])
    docs = documents(a)
    docs = replace(docs, ids=np.where(np.arange(12) == 3, 0, docs.ids))
    settings = {"learning_rate": 0.1, "dropout": 0.2, "epochs": 1}
    result = train(a, docs, engine=engine, optimizer=optimizer, **settings)
    tables = result.weights["tables"]
    assert not any(table[0].any() for table in tables)
    assert (tables[-1][2:] != random_weights(a)["tables"][-1][2:]).any()


@pytest.mark.parametrize("engine", some(ENGINES, every=2))
def test_dropout_is_drawn_from_the_random_stream(engine):
    a, settings = architecture(hidden_units=(7,)), {"engine": engine, "dropout": 0.5}
    one, again, other = (train(a, rng=rng, **settings) for rng in (0, 0, 1))
    assert_equal_weights(one.weights, again.weights)
    assert one.history == again.history
    assert one.history["loss"] != other.history["loss"]
    # one document ninety times in one batch: nothing but the units to drop makes a difference
    docs = documents(a)
    same = replace(docs, ids=docs.ids[[0] * 90], targets=docs.targets[[0] * 90])
    one, other = (
        train(a, same, rng=rng, batch_size=90, epochs=1, **settings).history["loss"]
        for rng in (0, 1)
    )
    assert one != pytest.approx(other, rel=1e-4)


@pytest.mark.parametrize("engine", some(ENGINES, every=2))
@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": 0.1, "average": 0.7},
        {"dropout": 0.3, "l2": 0.1, "label_smoothing": 0.2},
        {"max_norm": 0.5, "batch_size": 7, "epochs": 1},
    ],
    ids=lambda changes: ",".join(changes),
)
def test_training_goes_on_with_other_options(engine, changes):
    """An engine of an earlier call does what one that is new and has the same state would do."""
    a = architecture()
    first = {"engine": engine, "optimizer": "sgd"}  # has no state
    engines = [train(a, **first).engine, None]
    results = [train(a, earlier=earlier, **first | changes) for earlier in engines]
    assert_equal_weights(results[0].weights, results[1].weights)
    assert results[0].history == results[1].history
    assert results[0].engine is engines[0]


@pytest.mark.parametrize(
    ("engine", "optimizer"),
    [
        *itertools.product(["numpy"], OPTIMIZERS),
        *some(itertools.product(["keras"], ["lazyadam", "adam", "adadelta"]), every=3),
        ("keras", lambda keras: keras.optimizers.Adam(0.01)),
        pytest.param("keras", lambda keras: keras.optimizers.Adam, marks=pytest.mark.slow),
    ],
)
def test_training_goes_on_from_the_state_of_the_optimizer(keras, engine, optimizer):
    optimizer = optimizer(keras) if callable(optimizer) else optimizer
    a, rng = architecture(static_dim=6), np.random.default_rng(0)
    settings = {"engine": engine, "optimizer": optimizer}
    first = train(a, rng=rng, epochs=1, **settings)
    losses, weights = list(first.history["loss"]), map_arrays(np.copy, first.weights)
    second = train(a, weights=weights, rng=rng, epochs=1, earlier=first.engine, **settings)
    whole = train(a, epochs=2, **settings)
    assert_equal_weights(second.weights, whole.weights)
    assert losses + second.history["loss"] == whole.history["loss"]


@pytest.mark.parametrize("side", some(SIDES, every=3))
def test_engines_agree_when_tables_grow(side):
    """The state of rows that are there stays, that of new ones begins."""
    a, results = architecture(**SIDES[side]), []
    docs = documents(a, seed=3)
    docs = replace(docs, ids=np.where(docs.ids % 5 == 2, docs.ids + N_IDS, docs.ids))
    for engine in ENGINES:
        settings = {"engine": engine, "optimizer": "lazyadam"}
        first = train(a, **settings)
        known, new = np.ones(2 * N_IDS, dtype=bool), np.arange(N_IDS, 2 * N_IDS)
        weights = with_new_rows(
            first.weights, 2 * N_IDS, new, known, False, np.random.default_rng(1)
        )
        second = train(a, docs, weights=weights, known=known, earlier=first.engine, **settings)
        assert len(second.weights["tables"][-1]) == 2 * N_IDS
        results.append(second)
    assert_close_results(*results)


def state_of(engine):
    """Everything that the optimizer of an engine knows, copied."""
    if isinstance(engine, NumpyEngine):
        slots = {name: list(slots) for name, slots in engine.slots.items()}
        return [np.array(engine.step_number), *map_arrays(np.copy, arrays_of(slots))]
    return [variable.numpy() for variable in engine.network.model.optimizer.variables]


@pytest.mark.parametrize(
    ("engine", "side", "optimizer"),
    [
        ("numpy", "trained", "adam"),
        ("numpy", "trained", "lazyadam"),
        ("numpy", "multichannel", "sgd"),
        ("numpy", "one-hot", "adadelta"),
        *some([("keras", "trained", "adam"), ("keras", "one-hot", "lazyadam")], every=2),
    ],
)
def test_a_failure_in_the_middle_leaves_no_trace(monkeypatch, engine, side, optimizer):
    a = architecture(**SIDES[side])
    settings = {"engine": engine, "optimizer": optimizer, "learning_rate": 0.1, "dropout": 0.2}
    earlier = train(a, **settings).engine
    weights, state = random_weights(a), state_of(earlier)
    before, steps = map_arrays(np.copy, weights), []

    def fails(self):
        steps.append(1)
        if len(steps) == 9:  # in the second epoch
            raise RuntimeError("in the middle")

    go_on = {"earlier": earlier, "undo": [], **settings}
    with monkeypatch.context() as patch:
        patch.setattr(Course, "step", fails)
        with pytest.raises(RuntimeError, match="in the middle"):
            train(a, weights=weights, **go_on)
    assert len(steps) == 9
    assert_equal_weights(weights, before)
    assert_equal_weights(state_of(earlier), state)
    # and what comes next is what would have come
    again = train(a, weights=weights, **go_on)
    fresh = train(a, **settings).engine
    expected = train(a, weights=before, **go_on | {"earlier": fresh})
    assert_equal_weights(again.weights, expected.weights)


def interrupted(monkeypatch, name, interrupt, engine):
    """Train, with an interrupt in a method of the course; what it left, and what was before."""
    a, settings = architecture(), {"engine": engine, "optimizer": "lazyadam", "epochs": 2}
    earlier = train(a, **settings).engine
    weights, state = random_weights(a), state_of(earlier)
    before, calls = map_arrays(np.copy, weights), []
    original = getattr(Course, name)

    def interrupting(self, *args):
        calls.append(args)
        interrupt(earlier, len(calls))
        return original(self, *args)

    monkeypatch.setattr(Course, name, interrupting)
    with pytest.raises(KeyboardInterrupt):
        train(a, weights=weights, earlier=earlier, undo=[], **settings)
    assert_equal_weights(weights, before)
    assert_equal_weights(state_of(earlier), state)
    return calls


@pytest.fixture
def ctrl_c():
    """Python's own handler, which a process in the background starts without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("engine", ENGINES)
def test_an_interrupt_stops_training_and_leaves_no_trace(monkeypatch, engine):
    def interrupt(engine, n_calls):
        if n_calls == 2:
            os.kill(os.getpid(), signal.SIGINT)
        # the main thread hears of it, on a busy machine some time later; then no step must begin
        began = time.monotonic()
        while n_calls == 2 and time.monotonic() < began + 30:
            if getattr(engine, "interrupted", True):
                break
            os.sched_yield()

    assert len(interrupted(monkeypatch, "step", interrupt, engine)) == 2


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("engine", ENGINES)
def test_an_interrupt_that_comes_when_all_is_done_leaves_no_trace_either(monkeypatch, engine):
    def interrupt(_, n_calls):
        if n_calls == 2:
            # sent to this thread: one that waits for it finds out when it has its answer
            signal.raise_signal(signal.SIGINT)

    assert len(interrupted(monkeypatch, "end_epoch", interrupt, engine)) == 2


@pytest.mark.parametrize("engine", ENGINES)
def test_training_that_diverges_is_refused(engine):
    with pytest.raises(ValueError, match="Training diverged: the loss is not finite in epoch 1"):
        train(architecture(), engine=engine, optimizer="sgd", learning_rate=1e30)


@pytest.mark.parametrize("engine", some(ENGINES, every=2))
def test_a_fit_within_a_fit_has_a_network_of_its_own(monkeypatch, engine):
    """As in two threads."""
    a, inner, end_epoch = architecture(), [], Course.end_epoch
    alone = train(a, engine=engine)

    def fits_too(self, *args):
        if not inner:
            inner.append(None)
            inner[0] = train(a, engine=engine)
        return end_epoch(self, *args)

    monkeypatch.setattr(Course, "end_epoch", fits_too)
    outer = train(a, engine=engine)
    assert_equal_weights(inner[0].weights, alone.weights)
    assert_equal_weights(outer.weights, alone.weights)


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_that_is_passed_in_is_changed(engine):
    """But the tables, by NumPy."""
    a = architecture(hidden_units=(7,))
    docs, weights = with_weights(documents(a)), random_weights(a)
    others = weights | {"tables": []} if engine == "numpy" else weights
    passed = [docs.ids, docs.targets, docs.weights, *arrays_of(others)]
    before = map_arrays(np.copy, passed)
    train(a, docs, docs, weights=weights, engine=engine, label_smoothing=0.3, token_dropout=0.5)
    assert_equal_weights(passed, before)


@pytest.mark.parametrize(
    ("changes", "settings", "named"),
    [
        ({}, {}, None),
        ({"trained_dim": 0}, {"optimizer": "adadelta"}, None),
        ({"hidden_units": (3, 2), "static_dim": 6, "n_outputs": 1}, {"early_stopping": True}, None),
        ({"conv_layers": 2}, {}, "got conv_layers=2. Use"),
        ({"pooling": "max+average"}, {}, r"got pooling='max\+average'. Use"),
        ({}, {"optimizer": object}, "got optimizer=<class 'object'>. Use"),
        ({}, {"callbacks": ["one"]}, "got callbacks. Use"),
        ({"conv_layers": 3}, {"callbacks": [1, 2]}, "got conv_layers=3, callbacks. Use"),
    ],
)
def test_parameters_decide_about_the_engine(changes, settings, named):
    a = architecture(**changes)

    def engine(name):
        return engine_for(a, options(engine=name, **settings))

    assert engine("auto") == ("keras" if named else "numpy")
    assert engine("keras") == "keras"
    if named is None:
        assert engine("numpy") == "numpy"
    else:
        with pytest.raises(ValueError, match=named):
            engine("numpy")


def test_engines_of_another_kind_are_not_gone_on_with():
    a = architecture()
    first = train(a, epochs=1).engine
    second = train(a, epochs=1, engine="keras", earlier=first).engine
    assert type(second).__name__ == "KerasEngine"
    assert type(train(a, epochs=1, earlier=second).engine) is NumpyEngine
