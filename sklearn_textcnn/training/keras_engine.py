"""The engine of every other network: the plain Keras model, trained by Keras itself."""

import copy
import gc
import os
from itertools import count

import keras
import numpy as np
import tensorflow as tf

from sklearn_textcnn.network.operations import document_lengths
from sklearn_textcnn.network.threads import thread_limit
from sklearn_textcnn.training.batches import Epoch
from sklearn_textcnn.training.keras_model import KerasNetwork


def _limit_threads_in_worker():
    """Hold TensorFlow to the threads that joblib gives a worker, unless ``TF_NUM_*`` says else."""
    limit = thread_limit()
    try:
        if limit and "TF_NUM_INTRAOP_THREADS" not in os.environ:
            tf.config.threading.set_intra_op_parallelism_threads(limit)
        if limit and "TF_NUM_INTEROP_THREADS" not in os.environ:
            tf.config.threading.set_inter_op_parallelism_threads(limit)
    except RuntimeError:
        # somebody has already computed with TensorFlow in this process; its threads exist
        pass


# Which way is better, of scores that Keras has no metric for and so does not know.
_BETTER = {"val_loss_with_linear": "min", "val_accuracy_with_linear": "max"}
_fits = count(1)
_limit_threads_in_worker()
tf.constant(0.0) + 0.0  # the first operation makes TensorFlow describe the machine


class KerasEngine:
    """Feeds the batches of the package to ``Model.fit``."""

    def __init__(self, architecture, options):
        self.architecture, self.options = architecture, options
        self.network, self._built_for = None, None

    def train(self, weights, known, documents, course, rng, undo=None):
        """Train, as `NumpyEngine.train` does, but nothing that was passed in is changed."""
        if undo is not None:
            undo.append(self._put_back())
        self._build(len(known))
        self.network.write(weights)
        seed = int(rng.integers(2**31)) if self.options.dropout else 0
        for layer in self.network.model.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.seed_generator.state.assign([seed, 0])
        if isinstance(self.options.optimizer, (str, type)):
            self.network.model.optimizer.learning_rate = self.options.learning_rate
        self._fit(documents, course, rng)
        return self.network.read()

    def _put_back(self):
        """A function that puts back the network and what its optimizer knows now."""
        network, built_for = self.network, self._built_for
        saved = [(variable, variable.numpy()) for variable in self._optimizer_variables()]

        def put_back():
            self.network, self._built_for = network, built_for
            for variable, value in saved:
                variable.assign(value)

        return put_back

    def _build(self, n_ids):
        """Build and compile the model, unless that of an earlier call will do."""
        o = self.options
        parameters = n_ids, o.dropout, o.l2, o.max_norm
        if self._built_for == (*parameters, o.label_smoothing):
            return
        earlier = [variable.numpy() for variable in self._optimizer_variables()]
        self.network = KerasNetwork(self.architecture, *parameters)
        self._built_for = (*parameters, o.label_smoothing)
        if self.architecture.output == "softmax":
            loss = "CategoricalCrossentropy"
            accuracy = keras.metrics.CategoricalAccuracy("accuracy")
        else:
            loss, accuracy = "BinaryCrossentropy", keras.metrics.BinaryAccuracy("accuracy")
            accuracy.update_state = _every_label(accuracy)
        smoothing = {"label_smoothing": o.label_smoothing}
        metrics = [accuracy]
        if o.l2:  # else the loss is nothing else
            metrics.append(getattr(keras.metrics, loss)("cross_entropy", **smoothing))
        model = self.network.model
        model.compile(
            optimizer=_new_optimizer(o.optimizer, o.learning_rate),
            loss=getattr(keras.losses, loss)(**smoothing),
            weighted_metrics=metrics,
            jit_compile=False,  # it would compile once for every shape of a batch
        )
        model.optimizer.build(model.trainable_variables)
        for variable, value in zip(self._optimizer_variables(), earlier, strict=False):
            whole = np.array(variable.numpy())
            # a table may have more rows now than when the state was taken
            whole[tuple(slice(n) for n in value.shape)] = value
            variable.assign(whole)

    def _optimizer_variables(self):
        return [] if self.network is None else self.network.model.optimizer.variables

    def _fit(self, documents, course, rng):
        model, batches = self.network.model, _Batches(documents, self.options, rng)
        callbacks = copy.deepcopy(self.options.callbacks)
        for callback in callbacks:
            if getattr(callback, "mode", None) == "auto" and callback.monitor in _BETTER:
                callback.mode = _BETTER[callback.monitor]
        ours = _CourseCallback(self.network, course, batches)
        logger = tf.get_logger()
        logger.addFilter(_says_something)
        try:
            model.fit(
                batches.dataset(documents.targets.shape[1]),
                epochs=self.options.epochs,
                # ours first: others find the validation scores, and have the last word at the end
                callbacks=[ours, *callbacks],
                shuffle=False,  # the batches are
                verbose=0,
            )
        finally:
            logger.removeFilter(_says_something)
            batches.epoch = batches.new_epoch = None
            if next(_fits) % 8 == 0:
                gc.collect()  # the parts of a model hold each other, and several MiB
        recorded = model.history.history
        names = dict.fromkeys([*course.history, *recorded])
        course.history = {name: [float(value) for value in recorded[name]] for name in names}


class _Batches:
    """A dataset of the batches of the epoch that was begun last.

    TensorFlow keeps the function behind a dataset for good, so this holds documents only as long as
    they are needed.
    """

    def __init__(self, documents, options, rng):
        self.mean_weight = float(documents.weights.mean(dtype="float64"))
        lengths = document_lengths(documents.ids)
        self.new_epoch = lambda: Epoch(documents, lengths, options, rng)
        # Keras looks at a batch before the first epoch if there are several devices
        self.epoch = Epoch(documents, lengths, options, np.random.default_rng(0))

    def dataset(self, n_outputs):
        """Ids, targets and weights, of any number of documents and any length."""
        kinds, shapes = (
            (tf.int32, tf.float32, tf.float32),
            ((None, None), (None, n_outputs), (None,)),
        )

        def batch(number):
            arrays = tf.numpy_function(lambda i: self.epoch[i], [number], kinds)
            return tuple(tf.ensure_shape(*pair) for pair in zip(arrays, shapes, strict=True))

        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        dataset = tf.data.Dataset.range(len(self.epoch)).map(batch)
        return dataset.with_options(options).prefetch(2)


class _CourseCallback(keras.callbacks.Callback):
    """Tells the course of the fit what happens, and puts the weights in place that it keeps."""

    def __init__(self, network, course, batches):
        super().__init__()
        self.network, self.course, self.batches = network, course, batches

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch = self.batches.new_epoch()

    def on_train_batch_end(self, batch, logs=None):
        self.course.step()

    def on_epoch_end(self, epoch, logs=None):
        # Keras' loss is divided by the number of documents, ours by their weights
        mean_weight = self.batches.mean_weight
        cross_entropy = logs.pop("cross_entropy", logs["loss"] / mean_weight)
        logs["loss"] += cross_entropy * (1 - mean_weight)  # the rest of it is the penalty
        scores = {name: logs[name] for name in ("loss", "accuracy")}
        logs.update(self.course.end_epoch(scores, self.network.read))
        if self.course.ended:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        stopped = self.model.stop_training and not self.course.ended
        weights = self.course.weights_to_keep(last_ones_count=stopped or optimizer.use_ema)
        if weights is not None:
            self.network.write(weights)


def _says_something(record):
    """Whether a message of TensorFlow is not that about several models, each traced once."""
    return "triggered tf.function retracing" not in record.getMessage()


def _new_optimizer(optimizer, learning_rate):
    """An optimizer of its own, from a name, a class or an instance."""
    if isinstance(optimizer, str):
        return _named_optimizer(optimizer)
    if isinstance(optimizer, type):
        optimizer = optimizer(learning_rate=learning_rate)
    else:
        optimizer = type(optimizer).from_config(optimizer.get_config())
    if optimizer.loss_scale_factor is not None:
        # by which Keras cannot divide the gradients of single rows
        apply = optimizer.apply
        optimizer.apply = lambda gradients, variables=None: apply(
            [tf.convert_to_tensor(gradient) for gradient in gradients], variables
        )
    return optimizer


def _named_optimizer(name):
    """Keras' optimizer, which gets the gradient of each row of a table once.

    Keras squares the gradients of a row that is looked up several times before it adds them up. For
    "lazyadam" rows without a gradient stay as they are, moments included. A class of its own would
    have to be imported to load a model that a callback has saved.
    """
    optimizer = keras.optimizers.get("adam" if name == "lazyadam" else name)
    step = optimizer.update_step

    def update_step(gradient, variable, learning_rate):
        if isinstance(gradient, tf.IndexedSlices):
            rows, which = tf.unique(gradient.indices)
            values = tf.math.unsorted_segment_sum(gradient.values, which, tf.size(rows))
            gradient = tf.IndexedSlices(values, rows, gradient.dense_shape)
            if name == "lazyadam":
                return _adam_of_rows(optimizer, gradient, variable, learning_rate)
        return step(gradient, variable, learning_rate)

    optimizer.update_step = update_step
    return optimizer


def _adam_of_rows(optimizer, gradient, variable, learning_rate):
    rows, number = gradient.indices, optimizer._get_variable_index(variable)
    slots = optimizer._momentums[number].value, optimizer._velocities[number].value
    momentum, velocity = (tf.gather(slot, rows) for slot in slots)
    momentum += (gradient.values - momentum) * (1 - optimizer.beta_1)
    velocity += (tf.square(gradient.values) - velocity) * (1 - optimizer.beta_2)
    step = tf.cast(optimizer.iterations + 1, variable.dtype)
    rate = tf.cast(learning_rate, variable.dtype)
    rate *= tf.sqrt(1 - optimizer.beta_2**step) / (1 - optimizer.beta_1**step)
    slots[0].scatter_update(tf.IndexedSlices(momentum, rows))
    slots[1].scatter_update(tf.IndexedSlices(velocity, rows))
    move = rate * momentum / (tf.sqrt(velocity) + optimizer.epsilon)
    variable.scatter_sub(tf.IndexedSlices(move, rows))


def _every_label(accuracy):
    """An ``update_state`` that counts a document as right if all of its labels are."""

    def update_state(targets, probabilities, sample_weight=None):
        right = tf.reduce_all((probabilities > 0.5) == (targets > 0.5), axis=1)  # (n,)
        return keras.metrics.Mean.update_state(accuracy, tf.cast(right, tf.float32), sample_weight)

    return update_state
