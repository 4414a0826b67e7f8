"""The epochs of a fit, whatever computes the steps."""

from copy import deepcopy

import numpy as np

from sklearn_textcnn.training.batches import (
    BatchMaker,
    document_lengths,
    shuffled_batches,
    sorted_batches,
)
from sklearn_textcnn.training.initialization import arrays_of
from sklearn_textcnn.training.progress import ProgressBar

EVALUATION_BATCH_SIZE = 256


def run(network, callbacks, documents, validation, n_ids, options, rng):
    """Train for the epochs asked for.

    Parameters
    ----------
    network : FusedNetwork or KerasNetwork
    callbacks : keras.callbacks.CallbackList
    documents, validation : Documents
        `validation` may be None.
    n_ids : int
        Size of the id space.
    options : Options
    rng : numpy.random.Generator

    Returns
    -------
    weights, history, best_epoch
        As in `TrainingResult`.
    """
    maker = BatchMaker(n_ids, max(network.architecture["kernel_sizes"]))
    steps = -(-len(documents.ids) // options.batch_size)
    bar = ProgressBar(options.epochs, steps) if options.verbose else None
    best_loss, best_epoch, best_weights, history = np.inf, None, None, {}
    average = _Average(0 if options.early_stopping else options.average, options.epochs)
    lengths = document_lengths(documents.ids)
    callbacks.on_train_begin()
    try:
        for epoch in range(options.epochs):
            callbacks.on_epoch_begin(epoch)
            logs = _epoch(network, callbacks, documents, lengths, maker, options, rng, bar)
            if validation is not None:
                callbacks.on_test_begin()
                scores = _scores(network, validation, maker, options.network_share)
                callbacks.on_test_end(scores)
                logs |= {f"val_{name}": value for name, value in scores.items()}
            callbacks.on_epoch_end(epoch, logs)
            for name, value in logs.items():
                history.setdefault(name, []).append(float(value))
            if bar:
                bar.epoch(logs)
            _refuse_divergence(logs, epoch)
            if validation is not None and logs["val_loss"] < best_loss:
                best_loss, best_epoch = logs["val_loss"], epoch + 1
                if options.early_stopping:
                    best_weights = deepcopy(network.export(n_ids))
            average.add(network, epoch, n_ids)
            stale = best_epoch is not None and epoch + 1 - best_epoch >= options.patience
            if network.stop_training or (options.early_stopping and stale):
                break
    finally:
        if bar:
            bar.close()
    callbacks.on_train_end(logs)
    if network.stop_training:
        average.weights = None  # a callback has decided, perhaps put back the weights of its choice
    return best_weights or average.weights or network.export(n_ids), history, best_epoch


class _Average:
    """Mean of the weights after each of the last epochs (Izmailov et al. 2018)."""

    def __init__(self, share, n_epochs):
        n_averaged = int(np.ceil(share * n_epochs - 1e-9))  # 0.07 * 100 is above 7
        # the mean of one is what it is without
        self.first = n_epochs - n_averaged if n_averaged > 1 else n_epochs
        self.weights, self.n = None, 0

    def add(self, network, epoch, n_ids):
        if epoch < self.first:
            return
        now = network.export(n_ids)
        self.n += 1
        if self.weights is None:
            self.weights = deepcopy(now)
            return
        for mean, array in zip(arrays_of(self.weights), arrays_of(now), strict=True):
            mean += (array - mean) * np.float32(1 / self.n)


def _epoch(network, callbacks, documents, lengths, maker, options, rng, bar):
    totals = np.zeros(5)
    batches = shuffled_batches(lengths, options.batch_size, rng)
    widths = [kernel.shape[0] for kernel in network.dense_kernels]
    network.begin_epoch(len(batches))
    for i, rows in enumerate(batches):
        callbacks.on_train_batch_begin(i)
        ids = documents.ids[rows, : lengths[rows].max()]  # (b, t)
        if options.token_dropout:
            dropped = rng.random(ids.shape, dtype=np.float32) < options.token_dropout
            ids = np.where(dropped & (ids != 0), 1, ids)
        dropout = [_dropout_factors((len(rows), width), options.dropout, rng) for width in widths]
        totals += network.step(
            *maker(ids),
            documents.targets[rows],
            documents.weights[rows],
            dropout,
        )
        if options.callbacks:
            callbacks.on_train_batch_end(i, _averages(totals))
        if bar:
            bar.step()
        if network.stop_training:
            break
    network.end_epoch()
    return _averages(totals)


def _dropout_factors(shape, rate, rng):
    """What the inputs of a dense layer are multiplied by."""
    if not rate:
        return np.ones((1, 1), dtype=np.float32)
    kept = rng.random(shape, dtype=np.float32) >= rate
    return kept * np.float32(1 / (1 - rate))


def _scores(network, validation, maker, network_share):
    """Loss (without penalty) and accuracy on held-out documents."""
    logits = np.empty(validation.targets.shape, dtype=np.float32)
    lengths = document_lengths(validation.ids)
    for rows in sorted_batches(lengths, EVALUATION_BATCH_SIZE):
        logits[rows] = network.logits(*maker(validation.ids[rows, : lengths[rows].max()]))
    if validation.added is not None:
        logits = network_share * logits + validation.added
    losses, hits = network.scores(validation.targets, logits)
    weights = validation.weights / validation.weights.sum()
    return {"loss": float(np.dot(losses, weights)), "accuracy": float(np.dot(hits, weights))}


def _averages(totals):
    loss, correct, weight, penalty, n_batches = totals
    return {"loss": loss / weight + penalty / n_batches, "accuracy": correct / weight}


def _refuse_divergence(logs, epoch):
    if not np.isfinite(list(logs.values())).all():
        raise ValueError(
            f"Training diverged: the loss is not finite in epoch {epoch + 1}. "
            "Lower learning_rate, or look for extreme values in sample_weight or word_vectors."
        )
