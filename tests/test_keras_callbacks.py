"""Callbacks, optimizers, progress and history."""

import pickle

import numpy as np
import pytest
from classifiers import (
    CLASSES,
    IDS,
    NEW_CLASSES,
    NEW_IDS,
    PLAIN,
    flat,
    keras_makes_arrays,
    loss_by_hand,
    run_python,
    same_weights,
    small,
)
from sampling import some
from sklearn.base import clone


def test_callbacks_are_copied_and_never_trained_with(keras):
    class Witness(keras.callbacks.Callback):
        calls = []

        def __init__(self):
            super().__init__()
            self.here = []

        def on_epoch_end(self, epoch, logs=None):
            self.here.append(epoch)
            Witness.calls.append((epoch, sorted(logs), self.model.count_params()))

        def on_train_batch_end(self, batch, logs=None):
            Witness.calls.append("batch")

    witness = Witness()
    for callbacks in (witness, [witness]):
        Witness.calls.clear()
        model = small(epochs=2, dropout=0.0, linear_ngrams=0, callbacks=callbacks).fit(
            IDS, CLASSES, X_val=NEW_IDS, y_val=NEW_CLASSES
        )
        assert Witness.calls.count("batch") == 12
        epochs = [call for call in Witness.calls if call != "batch"]
        assert [epoch for epoch, _, _ in epochs] == [0, 1]
        assert epochs[0][1] == ["accuracy", "loss", "val_accuracy", "val_loss"]
        assert epochs[0][2] == sum(array.size for array in flat(model._weights))
        assert witness.here == []
        assert witness.model is None
    # callbacks bring in Keras, which rounds differently
    alone = small(epochs=2, dropout=0.0, linear_ngrams=0).fit(IDS, CLASSES)
    np.testing.assert_allclose(model.predict_proba(IDS), alone.predict_proba(IDS), atol=1e-4)
    assert clone(model).callbacks[0].here == []


@keras_makes_arrays
def test_callbacks_steer(keras):
    stopping = keras.callbacks.EarlyStopping(monitor="loss", min_delta=1e6, patience=2)
    alone = {"linear_ngrams": 0}
    assert small(**alone, epochs=9, callbacks=stopping).fit(IDS, CLASSES).n_iter_ == 3
    standstill = keras.callbacks.LearningRateScheduler(lambda epoch: 0.0 if epoch else 0.03)
    scheduled = small(**alone, epochs=4, callbacks=[standstill]).fit(IDS, CLASSES)
    once = small(**alone, epochs=1, callbacks=[keras.callbacks.Callback()]).fit(IDS, CLASSES)
    assert same_weights(scheduled, once)


def test_scores_that_callbacks_add_are_in_the_history(keras):
    class Scorer(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["f1"] = epoch / 2

    model = small(epochs=3, linear_ngrams=0, callbacks=[Scorer()]).fit(IDS, CLASSES)
    assert list(model.history_) == ["loss", "accuracy", "f1"]
    assert model.history_["f1"] == [0.0, 0.5, 1.0]
    model.partial_fit(IDS, CLASSES)
    assert model.history_["f1"] == [0.0, 0.5, 1.0, 0.0]


def test_a_pickle_holds_no_network_after_callbacks(keras):
    model = small(epochs=1, callbacks=[keras.callbacks.EarlyStopping(monitor="loss")])
    model.fit(IDS, CLASSES)
    assert len(pickle.dumps(model)) < 30_000
    assert "model" not in {name for name, value in vars(model.callbacks[0]).items() if value}


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [
        ("adam", 0.03),
        ("adamw", 0.03),
        ("sgd", 0.5),
        ("adagrad", 0.2),
        ("rmsprop", 0.02),
        ("adadelta", 5.0),
    ],
)
def test_every_optimizer_learns(optimizer, rate):
    model = small(**PLAIN, optimizer=optimizer, learning_rate=rate, epochs=15).fit(IDS, CLASSES)
    assert model.score(NEW_IDS, NEW_CLASSES) > 0.9


@pytest.mark.parametrize("engine", ["numpy", "keras"])
def test_progress_is_one_line(capsys, engine, at_once, monkeypatch):
    for name in ("COLUMNS", "LINES"):  # tqdm cuts the line to what these say
        monkeypatch.setenv(name, "200")
    parameters = {"epochs": 3, "engine": engine, "linear_ngrams": 0}
    small(**parameters, verbose=1).fit(IDS, CLASSES, X_val=NEW_IDS, y_val=NEW_CLASSES)
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()[-1:]
    assert printed.err.count("\n") == 1
    last = line.rpartition("\r")[-1]
    assert last.startswith("network, epoch 3 of 3: 100%|██████████| 00:")
    for score in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert f" {score}=" in last
    assert printed.out == ""
    small(**parameters).fit(IDS, CLASSES)
    assert capsys.readouterr() == ("", "")


def test_history_is_built_in_types(three):
    assert list(three.history_) == ["loss", "accuracy"]
    for values in three.history_.values():
        assert [type(value) for value in values] == [float] * three.n_iter_
    assert type(three.n_iter_) is int
    assert three.history_["loss"][-1] < three.history_["loss"][0]


@pytest.mark.parametrize(
    "monitor", some(["val_loss_with_linear", "accuracy", "val_loss", "val_accuracy"], every=4)
)
def test_callbacks_monitor_what_the_history_names(monitor, keras):
    """Those of `early_stopping` as well: a callback finds the scores of the validation split."""
    stop = keras.callbacks.EarlyStopping(monitor=monitor, mode="min", min_delta=1e6, patience=2)
    model = small(callbacks=stop, early_stopping=True, patience=8).fit(IDS, CLASSES)
    assert model.n_iter_ == 3
    assert len(model.history_[monitor]) == 3


@pytest.mark.slow
def test_what_a_callback_restores_is_kept(noisy_validation, keras):
    """It never stops the training, and at its end puts back the weights of the best epoch."""
    best = keras.callbacks.EarlyStopping(patience=50, restore_best_weights=True)
    parameters = {"average": 0.5, "epochs": 12, "linear_ngrams": 0, "dropout": 0.0}
    model = small(callbacks=[best], **parameters)
    model.fit(IDS, CLASSES, X_val=NEW_IDS, y_val=noisy_validation)
    losses = model.history_["val_loss"]
    assert len(losses) == 12
    assert np.argmin(losses) < 11
    assert model.best_epoch_ is None  # which is about `early_stopping`
    kept = loss_by_hand(model, NEW_IDS, noisy_validation)
    assert kept == pytest.approx(min(losses), rel=1e-4)
    # without it there is a mean of weights
    watching = small(callbacks=[keras.callbacks.Callback()], **parameters)
    watching.fit(IDS, CLASSES, X_val=NEW_IDS, y_val=noisy_validation)
    assert watching.history_["val_loss"] == pytest.approx(losses, rel=1e-4)
    assert loss_by_hand(watching, NEW_IDS, noisy_validation) > 1.001 * kept


@keras_makes_arrays
@pytest.mark.slow
def test_the_learning_rate_is_reduced_on_a_plateau(keras):
    class Rates(keras.callbacks.Callback):
        rates = []

        def on_epoch_end(self, epoch, logs=None):
            Rates.rates.append(float(self.model.optimizer.learning_rate.numpy()))

    reduce = keras.callbacks.ReduceLROnPlateau(
        monitor="loss", factor=0.1, patience=1, min_delta=1e6, min_lr=0
    )
    model = small(callbacks=[reduce, Rates()], epochs=4, linear_ngrams=0).fit(IDS, CLASSES)
    assert Rates.rates == pytest.approx([0.03, 0.003, 0.0003, 0.00003])
    # noted beside the scores, as Keras does
    assert model.history_["learning_rate"] == pytest.approx([0.03, 0.03, 0.003, 0.0003])


@pytest.mark.slow
@keras_makes_arrays
def test_callbacks_that_write_files(keras, tmp_path):
    """The model that is saved in training loads in a process that does not have this package."""
    for_loading = tmp_path / "best.keras"
    callbacks = [
        keras.callbacks.ModelCheckpoint(for_loading, monitor="val_loss", save_best_only=True),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    model = small(**PLAIN, epochs=3, callbacks=callbacks, max_norm=3, l2=1e-4)
    model.fit(IDS, CLASSES, X_val=NEW_IDS, y_val=NEW_CLASSES)
    # so it is the last model that was saved
    assert model.history_["val_loss"][2] == min(model.history_["val_loss"])
    header, *rows = (tmp_path / "log.csv").read_text().splitlines()
    assert header == "epoch,accuracy,loss,val_accuracy,val_loss"
    assert len(rows) == 3
    np.savez(tmp_path / "data.npz", ids=NEW_IDS, expected=model.predict_proba(NEW_IDS))
    code = f"""
        import keras, numpy as np
        data = np.load({str(tmp_path / "data.npz")!r})
        model = keras.models.load_model({str(for_loading)!r})
        found = model.predict(data["ids"], verbose=0)
        print(np.abs(found - data["expected"]).max() < 1e-5)
        model.fit(data["ids"], np.eye(3)[data["expected"].argmax(axis=1)], verbose=0)
        print("sklearn_textcnn" in sys.modules)
        """
    run = run_python(code, hidden=("sklearn_textcnn",))
    assert run.stdout.split() == ["True", "False"], run.stderr


@keras_makes_arrays
def test_tensorboard(keras, tmp_path):
    pytest.importorskip("tensorboard")
    board = keras.callbacks.TensorBoard(tmp_path, histogram_freq=1)
    small(epochs=2, callbacks=board).fit(IDS, CLASSES, X_val=NEW_IDS, y_val=NEW_CLASSES)
    assert list(tmp_path.rglob("events.out.tfevents*"))


def test_a_callback_sees_the_model_that_is_trained(keras):
    class Reader(keras.callbacks.Callback):
        seen = []

        def on_epoch_end(self, epoch, logs=None):
            layers = {type(layer).__name__: layer for layer in self.model.layers}
            Reader.seen.append((layers, layers["Embedding"].get_weights()[0]))

    model = small(**PLAIN, epochs=2, callbacks=[Reader()]).fit(IDS, CLASSES)
    (layers, first), (_, last) = Reader.seen
    assert {"Embedding", "Conv1D", "GlobalMaxPooling1D", "Dense", "Dropout"} <= set(layers)
    assert not np.array_equal(first, last)
    np.testing.assert_array_equal(last, model._weights["tables"][0])
    assert not last[0].any()  # padding
