"""The scikeras adapter: network + ids + targets -> weights + history."""

import copy
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf
from scikeras.wrappers import BaseWrapper

from sklearn_textcnn.training import fused
from sklearn_textcnn.training.loop import run
from sklearn_textcnn.training.missed import MissedSteps
from sklearn_textcnn.training.network import TextCNN
from sklearn_textcnn.training.optimizers import BY_NAME

MOST_IDLE_NETWORKS = 4

_idle_networks = OrderedDict()
_idle_lock = threading.Lock()


@dataclass(frozen=True)
class Documents:
    """Ids (n, T), targets (n, n_outputs) and weights (n,).

    `added` (n, n_outputs) is what an answer adds to the network's share of the logits.
    """

    ids: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    added: np.ndarray | None = None


@dataclass(frozen=True)
class Options:
    """The parameters of `TextCNNClassifier` that are about training, under their names.

    `network_share` is what the network's logits are multiplied by where something is added.
    """

    optimizer: object
    learning_rate: float
    batch_size: int
    epochs: int
    dropout: float
    token_dropout: float
    average: float
    network_share: float
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
    documents = _smoothed(documents, head, options.label_smoothing)
    fit = documents, validation, n_ids, options, rng
    if fused.serves(architecture, options) and not tf.config.list_physical_devices("GPU"):
        network = fused.FusedNetwork(architecture, head, options)
        network.load(start(), optimizer_state)
        with network.running():
            result = run(network, keras.callbacks.CallbackList(), *fit)
        state = network.optimizer_state() if keep_optimizer_state else None
    else:
        reusable = isinstance(options.optimizer, str) and not options.callbacks
        key = (
            tuple(sorted((name, value) for name, value in architecture.items())),
            head,
            options.optimizer if reusable else None,
            _rounded_up(n_ids) if reusable else n_ids,
        )
        network = (_take_idle(key) if reusable else None) or _new_network(
            architecture, key[3], head, options
        )
        network.prepare(start, options, optimizer_state)
        result = run(network, network.callback_list(options, len(documents.ids)), *fit)
        _, history, _ = result
        # Keras hands its callbacks a copy of the scores: what they add is only in its own history
        for name, values in network.model_.history.history.items():
            history.setdefault(name, [float(value) for value in values])
        # before another thread may take the network
        state = network.optimizer_state() if keep_optimizer_state else None
        if reusable:
            _put_idle(key, network)
    return TrainingResult(*result, optimizer_state=state)


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
        return _idle_networks.pop(key, None)


def _put_idle(key, network):
    with _idle_lock:
        _idle_networks[key] = network
        while len(_idle_networks) > MOST_IDLE_NETWORKS:
            _idle_networks.popitem(last=False)


def _new_network(architecture, n_rows, head, options):
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
    network = KerasNetwork(
        model=TextCNN(architecture, n_rows),
        optimizer=optimizer,
        loss=loss,
        callbacks=copy.deepcopy(options.callbacks) or [],
        **routed,
    )
    network.start(head)
    return network


class KerasNetwork(BaseWrapper):
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
        self._catch_up = None
        if network.trained is not None and getattr(optimizer, "catches_up", False):
            self._catch_up = _compiled_catch_up(network.trained, optimizer)

    def prepare(self, start, options, optimizer_state):
        """Set everything that an earlier fit may have left."""
        network, optimizer = self.model_, self.model_.optimizer
        network.load(start())
        network.settings["l2"].assign(options.l2)
        network.settings["max_norm"].assign(
            np.inf if options.max_norm is None else options.max_norm
        )
        network.stop_training = False
        if isinstance(options.optimizer, str):
            optimizer.reset()
        # a tuple is the state of a fused network, before there were callbacks
        if isinstance(optimizer_state, list):
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

    def callback_list(self, options, n_documents):
        """The callbacks of this fit, and Keras' own history."""
        return keras.callbacks.CallbackList(
            self._fit_callbacks,
            add_history=True,
            model=self.model_,
            epochs=options.epochs,
            steps=-(-n_documents // options.batch_size),
            verbose=0,
        )

    @property
    def architecture(self):
        return self.model_.architecture

    @property
    def dense_kernels(self):
        return self.model_.dense_kernels

    @property
    def stop_training(self):
        """Set by callbacks."""
        return self.model_.stop_training

    def begin_epoch(self, n_steps):
        """Prepare for so many steps."""
        if self._catch_up is not None:
            before = int(self.model_.optimizer.iterations.numpy())
            self._missed = MissedSteps(self.model_.trained.shape[0], n_steps, before)

    def end_epoch(self):
        """Bring the rows up to date that were not in the last batches."""
        if self._catch_up is not None:
            for rows, missed, owed in self._missed.all_rows():
                self._catch_up(rows.astype(np.int32), missed, owed)

    def step(self, tokens, *batch):
        """Train on one batch; parameters and result are those of `FusedNetwork.step`."""
        if self._catch_up is not None:
            self._catch_up(tokens, *self._missed.begin_step(tokens))
        return self._train_step(tokens, *batch).numpy()

    def logits(self, tokens, index):
        """Logits of a batch, (n, n_outputs)."""
        return self._logits(tokens, index)

    def scores(self, targets, logits):
        """Cross-entropy of each document and 1 for each that is right, both (n,)."""
        return self.model_.loss.call(targets, logits).numpy(), self._hits(targets, logits).numpy()

    def export(self, n_ids):
        """The weights as arrays in the shapes of plain Keras layers, tables cut to ``n_ids``."""
        return self.model_.export(n_ids)


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

    dropout = [tf.TensorSpec((None, None), tf.float32)] * len(network.dense_kernels)

    @tf.function(input_signature=[*ids, *answers, dropout], autograph=False)
    def train_step(tokens, index, targets, weights, dropout):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            rows = network.trained_rows(tokens)
            tape.watch([v.value for v in others] + ([] if rows is None else [rows]))
            logits = network.logits(rows, tokens, index, dropout)
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


def _compiled_catch_up(variable, optimizer):
    """What steps without a gradient do to rows of a table, as a graph."""
    column = tf.TensorSpec((None, 1), tf.float32)

    @tf.function(
        input_signature=[tf.TensorSpec((None,), tf.int32), column, column], autograph=False
    )
    def catch_up(rows, missed, owed):
        optimizer.catch_up(variable, rows, missed, owed)

    return catch_up
