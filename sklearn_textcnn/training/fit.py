"""Trains a network with the engine that serves it."""

from dataclasses import dataclass

import numpy as np

from sklearn_textcnn.training.course import Course
from sklearn_textcnn.training.numpy_engine import NumpyEngine
from sklearn_textcnn.training.quiet_import import import_with_keras


@dataclass(frozen=True)
class Documents:
    """Ids, targets, weights; `beside` are logits of the linear part that stands beside the network.

    They are of a linear part that has not seen the documents.
    """

    ids: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    beside: np.ndarray | None = None

    def take(self, rows):
        """Some of them."""
        beside = None if self.beside is None else self.beside[rows]
        return Documents(self.ids[rows], self.targets[rows], self.weights[rows], beside)


@dataclass(frozen=True)
class Options:
    """The parameters of `TextCNNClassifier` that are about training, under their names."""

    engine: str
    optimizer: object
    learning_rate: float
    batch_size: int
    epochs: int
    dropout: float
    token_dropout: float
    average: float
    max_norm: float | None
    l2: float
    label_smoothing: float
    early_stopping: bool
    patience: int
    callbacks: list


@dataclass(frozen=True)
class TrainingResult:
    """What training leaves behind: arrays, built-in types, and the engine to go on with."""

    weights: dict
    history: dict
    best_epoch: int | None
    engine: object


def engine_for(architecture, options):
    """Name of the engine that trains a network: the parameters decide, never the machine.

    Raises
    ------
    ValueError
        If ``engine="numpy"`` cannot do what is asked for.
    """
    left_to_keras = [
        text
        for text, is_asked_for in (
            (f"conv_layers={architecture.conv_layers}", architecture.conv_layers > 1),
            (f"pooling={architecture.pooling!r}", architecture.pooling != "max"),
            (f"optimizer={options.optimizer!r}", not isinstance(options.optimizer, str)),
            ("callbacks", bool(options.callbacks)),
        )
        if is_asked_for
    ]
    if options.engine == "auto":
        return "keras" if left_to_keras else "numpy"
    if options.engine == "numpy" and left_to_keras:
        raise ValueError(
            'engine="numpy" trains networks of one convolution per kernel size with max pooling, '
            f"an optimizer by name and no callbacks; got {', '.join(left_to_keras)}. "
            'Use engine="auto" or "keras".'
        )
    return options.engine


def train(
    architecture,
    start,
    known,
    documents,
    validation,
    options,
    rng,
    earlier=None,
    undo=None,
    progress=None,
):
    """Train a network from given weights.

    Parameters
    ----------
    start : callable
        Returns the weights to start from. Called once, so that nobody holds on to a second copy
        of the tables, which may be trained in place.
    known : boolean ndarray of shape (n_ids,)
        Ids that have a row in the tables.
    earlier : object, default=None
        The engine of an earlier result, to go on with what its optimizer knows.
    undo : list, default=None
        Gets functions that put the tables back, which are trained in place, and what the optimizer
        knew. They have been called if training fails.
    progress : Progress, default=None
        Is told how far training is.
    """
    engine_class = NumpyEngine
    if engine_for(architecture, options) == "keras":
        engine_class = import_with_keras("sklearn_textcnn.training.keras_engine").KerasEngine
    engine = earlier if type(earlier) is engine_class else engine_class(architecture, options)
    engine.options = options
    try:
        course = Course(architecture, known, validation, options, len(documents.ids), progress)
        weights = engine.train(start(), known, documents, course, rng, undo)
    except BaseException:
        for put_back in undo or []:
            put_back()
        raise
    return TrainingResult(weights, course.history, course.best_epoch, engine)
