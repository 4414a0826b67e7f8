"""Which documents tell what the network and the linear part count for, and what takes how long."""

from itertools import compress

import numpy as np

from sklearn_textcnn._progress import Progress
from sklearn_textcnn._stacking import folds_of, known_in_other_folds
from sklearn_textcnn._validation import rows_to_hold_out
from sklearn_textcnn.network.forward import Forward
from sklearn_textcnn.training.fit import engine_for, train

# With fewer documents, what could be held out would be too few to tell: networks are cross-fitted.
FEWEST_TO_HOLD_OUT_OF = 1000
N_FOLDS = 3
# Documents that are held out of many. A tenth of them is enough, and costs the network little.
FEWEST_HELD_OUT, MOST_HELD_OUT = 200, 1000
LEAST_FOLDS = 5  # with callbacks a fit holds documents out even of few, and not a larger share
# For the progress bar: about what things cost on a CPU, where an epoch of a network of the default
# size costs 1. The linear part costs as much for each output, and once more.
LINEAR_COST = 0.25
KERAS_COST = 10.0  # of an epoch of Keras


def divided(data, estimator, rng):
    """Divide documents into those to train on and those that tell what the parts count for.

    Parameters
    ----------
    data : TrainingData
        With a linear part, documents know its logits.
    estimator : TextCNNClassifier
    rng : numpy.random.Generator

    Returns
    -------
    documents : Documents
        To train on.
    validation : Documents or None
        Held out or given by the user. Logits of the linear part are NaN for those that cannot be
        judged: copies of documents to train on, and documents with labels that those lack.
    folds : ndarray of shape (n_samples,) or None
        What to cross-fit in, if nothing is held out.
    """
    documents = data.documents
    if data.validation is not None:
        return documents, data.validation, None
    if documents.beside is not None:
        contents = [row.tobytes() for row in documents.ids]
    if estimator.early_stopping:
        rows = rows_to_hold_out(documents, data.labels, estimator.validation_fraction, rng)
    elif documents.beside is None:
        return documents, None, None
    else:
        n = len(documents.ids)
        cross_fits = _cross_fits(data, estimator)
        n_held_out = min(max(n / 10, FEWEST_HELD_OUT), MOST_HELD_OUT)
        n_folds = N_FOLDS if cross_fits else max(round(n / n_held_out), LEAST_FOLDS)
        folds = folds_of(contents, documents.targets, n_folds, rng)
        if cross_fits:
            return documents, None, folds
        rows = np.flatnonzero((folds == 0) & _is_judged(documents, folds))
    left = np.ones(len(documents.ids), dtype=bool)
    left[rows] = False
    train, held_out = documents.take(left), documents.take(rows)
    if held_out.beside is not None:
        # they are validated on, but cannot tell what the parts count for
        seen = set(compress(contents, left))
        is_seen = np.array([contents[row] in seen for row in rows], dtype=bool)
        held_out.beside[is_seen | ~_is_judged(documents, left)[rows]] = np.nan
    return train, held_out, None


def _cross_fits(data, estimator):
    """Whether the parts are judged by cross-fitting, if there are two."""
    held_out = data.validation is not None or estimator.early_stopping
    # callbacks are for the fit, not for what a cross-fit trains on top of it
    few = len(data.documents.ids) < FEWEST_TO_HOLD_OUT_OF and not estimator.callbacks
    return few and not held_out


def share_of_linear_part(data, estimator, n_epochs):
    """About which share of the time of a fit the linear part takes."""
    n_outputs = data.documents.targets.shape[1]
    linear = LINEAR_COST * (1 + n_outputs)
    # networks of a cross-fit see a fold less each, which makes them one less
    n_networks = N_FOLDS if _cross_fits(data, estimator) else 1
    # the parameters that an engine is picked by have the same names everywhere
    epoch = KERAS_COST if engine_for(estimator, estimator) == "keras" else 1.0
    return linear / (linear + n_networks * n_epochs * epoch)


def logits_of_folds(architecture, start, documents, folds, options, rng, progress=None):
    """Cross-fit: logits of networks that have not seen the document.

    They are NaN where such networks do not know the document's label.

    Parameters
    ----------
    start : callable
        Ids of the documents to train on -> what makes the first weights, and which ids are known.
    progress : Progress, default=None
        Is told how far this is.
    """
    n_folds, progress = folds.max() + 1, progress or Progress()
    logits = np.full(documents.targets.shape, np.nan, dtype=np.float32)
    judged = _is_judged(documents, folds)
    for fold in range(n_folds):
        part = progress.part(1 / (n_folds - fold), f"network {fold + 1} of {n_folds + 1}")
        rows, others = np.flatnonzero((folds == fold) & judged), documents.take(folds != fold)
        if len(rows):
            weights, known = start(others.ids)
            arguments = others, None, options, rng
            result = train(architecture, weights, known, *arguments, progress=part)
            network = Forward(architecture, result.weights, known)
            logits[rows] = network.logits(documents.ids[rows])
    return logits


def _is_judged(documents, folds):
    """Whether a document can be judged by what has not seen its fold: that knows all its labels."""
    judged = np.isfinite(documents.beside).all(axis=1)
    return judged & known_in_other_folds(documents.targets, folds)
