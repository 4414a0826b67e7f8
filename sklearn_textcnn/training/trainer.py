"""The scikeras adapter: network + ids + targets -> weights + history."""

import copy
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf
from scikeras.wrappers import BaseWrapper

from sklearn_textcnn.training.batches import (
    BatchMaker,
    document_lengths,
    shuffled_batches,
    sorted_batches,
)
from sklearn_textcnn.training.network import TextCNN
from sklearn_textcnn.training.optimizers import BY_NAME
from sklearn_textcnn.training.progress import ProgressBar

EVALUATION_BATCH_SIZE = 256
MOST_IDLE_RUNNERS = 4

_idle_runners = OrderedDict()
_idle_lock = threading.Lock()


@dataclass(frozen=True)
class Documents:
    """Ids (n, T), targets (n, n_outputs) and weights (n,)."""

    ids: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Options:
    """The parameters of `TextCNNClassifier` that are about training, under their names."""

    optimizer: object
    learning_rate: float
    batch_size: int
    epochs: int
    dropout: float
    token_dropout: float
    max_norm: float | None
    l2: float
    label_smoothing: float
    early_stopping: bool
    patience: int
    callbacks: object
    verbose: int


@dataclass(frozen=True)
class TrainingResult:
    """What training leaves behind: NumPy arrays and built-in types only."""

    weights: dict
    history: dict
    best_epoch: int | None
    optimizer_state: list | None


def train(
    architecture,
    start,
    n_ids,
    multilabel,
    documents,
    validation,
    options,
    rng,
    optimizer_state=None,
    keep_optimizer_state=False,
):
    """Train a network from given weights.

    Parameters
    ----------
    architecture : dict
    start : callable
        Returns the weights to start from, plain arrays in the shapes of Keras layers. Called
        once, so that nobody holds on to a second copy of the tables.
    n_ids : int
        Size of the id space.
    multilabel : bool
    documents, validation : Documents
        `validation` may be None.
    options : Options
    rng : numpy.random.Generator
    optimizer_state : list of ndarray, default=None
        Of an earlier result, to go on from.
    keep_optimizer_state : bool, default=False

    Returns
    -------
    TrainingResult
    """
    head = "softmax" if architecture["n_outputs"] > 1 and not multilabel else "sigmoid"
    reusable = isinstance(options.optimizer, str) and not options.callbacks
    key = (
        tuple(sorted((name, value) for name, value in architecture.items())),
        head,
        options.optimizer if reusable else None,
        _rounded_up(n_ids) if reusable else n_ids,
    )
    runner = (_take_idle(key) if reusable else None) or _new_runner(
        architecture, key[3], head, options
    )
    runner.prepare(start, options, optimizer_state)
    documents = _smoothed(documents, head, options.label_smoothing)
    history, best_epoch, best_weights = runner.run(documents, validation, n_ids, options, rng)
    result = TrainingResult(
        weights=best_weights or runner.model_.export(n_ids),
        history=history,
        best_epoch=best_epoch,
        optimizer_state=runner.optimizer_state() if keep_optimizer_state else None,
    )
    if reusable:
        _put_idle(key, runner)
    return result


def _smoothed(documents, head, smoothing):
    """Targets with a share spread evenly over the classes (Szegedy et al. 2016)."""
    if not smoothing:
        return documents
    n_choices = documents.targets.shape[1] if head == "softmax" else 2
    targets = documents.targets * (1 - smoothing) + smoothing / n_choices
    return replace(documents, targets=targets.astype(np.float32))


def _rounded_up(n_ids):
    """Next of a few size classes, at most a quarter above `n_ids`."""
    step = max(2 ** (n_ids.bit_length() - 3), 64)
    return -(-n_ids // step) * step


def _take_idle(key):
    with _idle_lock:
        return _idle_runners.pop(key, None)


def _put_idle(key, runner):
    with _idle_lock:
        _idle_runners[key] = runner
        while len(_idle_runners) > MOST_IDLE_RUNNERS:
            _idle_runners.popitem(last=False)


def _new_runner(architecture, n_rows, head, options):
    loss = (
        keras.losses.CategoricalCrossentropy(from_logits=True)
        if head == "softmax"
        else keras.losses.BinaryCrossentropy(from_logits=True)
    )
    optimizer = options.optimizer
    routed = {}
    if isinstance(optimizer, str):
        optimizer = BY_NAME[optimizer]
    if isinstance(optimizer, type):
        routed["optimizer__learning_rate"] = options.learning_rate
    else:
        optimizer = type(optimizer).from_config(optimizer.get_config())
    runner = _Runner(
        model=TextCNN(architecture, n_rows),
        optimizer=optimizer,
        loss=loss,
        callbacks=copy.deepcopy(options.callbacks) or [],
        **routed,
    )
    runner.start(head)
    return runner


class _Runner(BaseWrapper):
    """A compiled network with its training step. scikeras compiles it and readies the callbacks.

    scikeras' own `fit`, label handling and seeding are not used: they would change the caller's
    sample weights in place, squeeze one-row results and switch process-wide determinism.
    """

    def start(self, head):
        self._random_state = None
        self.model_ = self._build_keras_model()
        self._initialize_callbacks()
        self._ensure_compiled_model()
        network, optimizer = self.model_, self.model_.optimizer
        optimizer.build(network.trainable_variables)
        self._hits = _softmax_hits if head == "softmax" else _sigmoid_hits
        self._train_step, self._logits = _compiled_steps(network, self._hits)

    def prepare(self, start, options, optimizer_state):
        """Set everything that an earlier fit may have left."""
        network, optimizer = self.model_, self.model_.optimizer
        network.load(start())
        network.settings["dropout"].assign(options.dropout)
        network.settings["l2"].assign(options.l2)
        network.settings["max_norm"].assign(
            np.inf if options.max_norm is None else options.max_norm
        )
        network.stop_training = False
        if isinstance(options.optimizer, str):
            optimizer.reset()
        if optimizer_state is not None:
            for variable, value in zip(optimizer.variables, optimizer_state, strict=True):
                whole = np.array(variable.numpy())
                # a table may have more rows now than when the state was taken, or fewer that
                # belong to no id
                rows = (slice(min(len(value), len(whole))),) if value.ndim else ()
                whole[rows] = value[rows]
                variable.assign(whole)
        if isinstance(options.optimizer, (str, type)):
            optimizer.learning_rate = options.learning_rate

    def optimizer_state(self):
        """Variables of the optimizer, as arrays."""
        return [variable.numpy().copy() for variable in self.model_.optimizer.variables]

    def run(self, documents, validation, n_ids, options, rng):
        """Train for the epochs asked for; return history, best epoch and its weights."""
        steps = -(-len(documents.ids) // options.batch_size)
        callbacks = keras.callbacks.CallbackList(
            self._fit_callbacks,
            add_history=True,
            model=self.model_,
            epochs=options.epochs,
            steps=steps,
            verbose=0,
        )
        maker = BatchMaker(n_ids, max(self.model_.architecture["kernel_sizes"]))
        bar = ProgressBar(options.epochs, steps) if options.verbose else None
        best_loss, best_epoch, best_weights = np.inf, None, None
        lengths = document_lengths(documents.ids)
        callbacks.on_train_begin()
        try:
            for epoch in range(options.epochs):
                callbacks.on_epoch_begin(epoch)
                logs = self._epoch(documents, lengths, maker, options, rng, callbacks, bar)
                if validation is not None:
                    callbacks.on_test_begin()
                    scores = self._scores(validation, maker)
                    callbacks.on_test_end(scores)
                    logs |= {f"val_{name}": value for name, value in scores.items()}
                callbacks.on_epoch_end(epoch, logs)
                if bar:
                    bar.epoch(logs)
                _refuse_divergence(logs, epoch)
                if validation is not None and logs["val_loss"] < best_loss:
                    best_loss, best_epoch = logs["val_loss"], epoch + 1
                    if options.early_stopping:
                        best_weights = self.model_.export(n_ids)
                stale = best_epoch is not None and epoch + 1 - best_epoch >= options.patience
                if self.model_.stop_training or (options.early_stopping and stale):
                    break
        finally:
            if bar:
                bar.close()
        callbacks.on_train_end(logs)
        history = {
            name: [float(value) for value in values]
            for name, values in self.model_.history.history.items()
        }
        return history, best_epoch, best_weights

    def _epoch(self, documents, lengths, maker, options, rng, callbacks, bar):
        totals = np.zeros(5)
        batches = shuffled_batches(lengths, options.batch_size, rng)
        seeds = rng.integers(2**31 - 1, size=(len(batches), 2), dtype=np.int32)
        for i, rows in enumerate(batches):
            callbacks.on_train_batch_begin(i)
            ids = documents.ids[rows, : lengths[rows].max()]  # (b, t)
            if options.token_dropout:
                dropped = rng.random(ids.shape, dtype=np.float32) < options.token_dropout
                ids = np.where(dropped & (ids != 0), 1, ids)
            tokens, index = maker(ids)
            sums = self._train_step(
                tokens, index, documents.targets[rows], documents.weights[rows], seeds[i]
            )
            totals += sums.numpy()
            if self._fit_callbacks:
                callbacks.on_train_batch_end(i, _averages(totals))
            if bar:
                bar.step()
            if self.model_.stop_training:
                break
        return _averages(totals)

    def _scores(self, validation, maker):
        """Loss (without penalty) and accuracy on held-out documents."""
        logits = np.empty(validation.targets.shape, dtype=np.float32)
        lengths = document_lengths(validation.ids)
        for rows in sorted_batches(lengths, EVALUATION_BATCH_SIZE):
            logits[rows] = self._logits(*maker(validation.ids[rows, : lengths[rows].max()]))
        losses = self.model_.loss.call(validation.targets, logits).numpy()
        weights = validation.weights / validation.weights.sum()
        return {
            "loss": float(np.dot(losses, weights)),
            "accuracy": float(np.dot(self._hits(validation.targets, logits).numpy(), weights)),
        }


def _softmax_hits(targets, logits):
    hits = tf.argmax(logits, axis=1) == tf.argmax(targets, axis=1)
    return tf.cast(hits, tf.float32)  # (n,)


def _sigmoid_hits(targets, logits):
    hits = tf.reduce_all((logits > 0) == (targets > 0.5), axis=1)
    return tf.cast(hits, tf.float32)  # (n,)


def _compiled_steps(network, hits):
    """The training step and the forward pass as graphs that take batches of any size."""
    ids = [tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None, None), tf.int32)]
    n_outputs = network.architecture["n_outputs"]
    answers = [tf.TensorSpec((None, n_outputs), tf.float32), tf.TensorSpec((None,), tf.float32)]
    trained = network.trained
    others = [v for v in network.trainable_variables if v is not trained]

    @tf.function(input_signature=[*ids, *answers, tf.TensorSpec((2,), tf.int32)], autograph=False)
    def train_step(tokens, index, targets, weights, seed):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            rows = network.trained_rows(tokens)
            tape.watch([v.value for v in others] + ([] if rows is None else [rows]))
            logits = network.logits(rows, tokens, index, seed)
            losses = network.loss.call(targets, logits) * weights  # (n,)
            penalty = network.penalty()
            objective = tf.reduce_sum(losses) / tf.cast(tf.size(weights), tf.float32) + penalty
        gradients = tape.gradient(
            objective, [v.value for v in others] + ([] if rows is None else [rows])
        )
        variables = list(others)
        if rows is not None:
            # row 0 is padding: it stays zero
            shown = tf.concat([tf.zeros((1, 1)), tf.ones((tf.size(tokens) - 1, 1))], 0)
            by_row = tf.IndexedSlices(gradients.pop() * shown, tokens, trained.shape)
            gradients.append(by_row)
            variables.append(trained)
        network.optimizer.apply(gradients, variables)
        network.limit_norms()
        correct = tf.reduce_sum(hits(targets, logits) * weights)
        return tf.stack([tf.reduce_sum(losses), correct, tf.reduce_sum(weights), penalty, 1.0])

    @tf.function(input_signature=ids, autograph=False)
    def logits(tokens, index):
        return network.logits(network.trained_rows(tokens), tokens, index)

    return train_step, logits


def _averages(totals):
    loss, correct, weight, penalty, n_batches = totals
    return {"loss": loss / weight + penalty / n_batches, "accuracy": correct / weight}


def _refuse_divergence(logs, epoch):
    if not np.isfinite(list(logs.values())).all():
        raise ValueError(
            f"Training diverged: the loss is not finite in epoch {epoch + 1}. "
            "Lower learning_rate, or look for extreme values in sample_weight or word_vectors."
        )
