"""What `TextCNNClassifier` accepts, and what it says of the rest."""

import warnings
from dataclasses import asdict, dataclass, replace
from numbers import Integral

import numpy as np
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.multiclass import _check_partial_fit_first_call

from sklearn_textcnn._checks import (
    check_answers,
    check_ids,
    check_labels,
    check_weights,
    classes_and_weights,
    id_space,
    refuse_other_vocabulary,
    shortened,
    targets_of,
)
from sklearn_textcnn.network.architecture import Architecture
from sklearn_textcnn.training.fit import Documents


@dataclass(frozen=True)
class TrainingData:
    """What `fit` or `partial_fit` was given, checked.

    Documents of weight 0 are left out of `documents`. `labels` are what a split is stratified by,
    None at multi-label.
    """

    documents: Documents
    labels: np.ndarray | None
    classes: np.ndarray
    multilabel: bool
    n_ids: int
    id_space: object
    vocabulary: tuple | None
    validation: Documents | None = None


def check_training_data(estimator, X, y, sample_weight, X_val, y_val, going_on):
    """Check what `fit` was given.

    Parameters
    ----------
    estimator : TextCNNClassifier
        Gets `classes_`, `n_features_in_` and `feature_names_in_`.
    X, y, sample_weight, X_val, y_val
        As in `fit`.
    going_on : bool
        Whether training goes on from what was fitted before.

    Returns
    -------
    TrainingData
    """
    y, multilabel = check_answers(estimator, X, y)
    # before the ids are looked at: what is wrong with those is not the first news
    classes, weights = classes_and_weights(estimator, y, multilabel, sample_weight)
    if going_on:
        refuse_other_classes(classes, estimator.classes_, multilabel, estimator._multilabel)
    estimator.classes_ = classes
    data = _check_documents(estimator, X, y, weights, classes, multilabel, going_on)
    validation = _check_validation_data(estimator, X_val, y_val, classes, multilabel, data.id_space)
    return replace(data, validation=validation)


def check_batch(estimator, X, y, sample_weight, classes, going_on):
    """Check what `partial_fit` was given; see `check_training_data`."""
    y, multilabel = check_answers(estimator, X, y, part=True)
    if going_on:
        now = np.arange(y.shape[1]) if multilabel else classes
        now = np.unique(estimator.classes_ if now is None else now)
        refuse_other_classes(now, estimator.classes_, multilabel, estimator._multilabel)
    else:
        _set_classes_of_stream(estimator, y, classes, multilabel)
    classes = estimator.classes_
    targets_of(y, classes, multilabel)  # labels that are not among the classes are the first news
    weights = check_weights(sample_weight, estimator.class_weight, y, classes)
    return _check_documents(estimator, X, y, weights, classes, multilabel, going_on)


def _check_documents(estimator, X, y, weights, classes, multilabel, going_on):
    if going_on:
        refuse_other_vocabulary(X, estimator._id_space, "X")
    space = estimator._id_space if going_on else None
    ids = check_ids(estimator, X, reset=not going_on, space=space)
    n_ids = max(int(ids.max()) + 1, 2, getattr(X, "n_ids", None) or 0)
    arrays = ids, targets_of(y, classes, multilabel), weights
    if not weights.all():
        arrays, y = (array[weights > 0] for array in arrays), y[weights > 0]
    return TrainingData(
        documents=Documents(*arrays),
        labels=None if multilabel else y,
        classes=classes,
        multilabel=multilabel,
        n_ids=n_ids,
        id_space=estimator._id_space if going_on else id_space(X),
        vocabulary=estimator.vocabulary_ if going_on else getattr(X, "vocabulary", None),
    )


def _set_classes_of_stream(estimator, y, classes, multilabel):
    vars(estimator).pop("classes_", None)
    if multilabel and classes is None:
        classes = np.arange(y.shape[1])
    _check_partial_fit_first_call(estimator, classes)
    if multilabel and not np.array_equal(estimator.classes_, np.arange(y.shape[1])):
        raise ValueError(
            f"classes must be None or 0 to {y.shape[1] - 1}, the columns of y, for multi-label "
            f"targets; got {estimator.classes_.tolist()}."
        )
    if len(estimator.classes_) < 2:
        raise ValueError(
            f"classes must name at least 2 classes; got {estimator.classes_.tolist()}. "
            "Name every class that will come."
        )


def refuse_other_classes(now, before, multilabel, was_multilabel):
    """Raise a ValueError if training cannot go on with these classes."""
    if multilabel != was_multilabel:
        forms = ("single labels", "an indicator matrix")
        raise ValueError(
            f"y must have the form of the earlier y; got {forms[multilabel]}, before "
            f"{forms[was_multilabel]}. Use a new classifier (clone), or fit with warm_start=False."
        )
    if not np.array_equal(now, before):
        what = "columns of y" if multilabel else "classes"
        raise ValueError(
            f"The {what} must be those of the earlier fit; got {shortened(now)}, before "
            f"{shortened(before)}. Use a new classifier (clone), or fit with warm_start=False."
        )


def _check_validation_data(estimator, X_val, y_val, classes, multilabel, space):
    """The validation documents, None without any."""
    if X_val is None and y_val is None:
        return None
    if y_val is None:
        raise ValueError("y_val must be given together with X_val; got X_val alone.")
    if X_val is None:
        raise ValueError("X_val must be given together with y_val; got y_val alone.")
    remedy = "in a Pipeline with metadata routing, transform_input=['X_val'] does it"
    refuse_other_vocabulary(X_val, space, "X_val")
    try:
        ids = check_ids(estimator, X_val, reset=False, space=space, name="X_val", remedy=remedy)
    except ValueError as error:
        # scikit-learn calls whatever it checks "X"
        raise ValueError(str(error) if "X_val" in str(error) else f"X_val: {error}") from error
    y_val, indicator = check_labels(y_val, "y_val", part=True)
    if len(y_val) != len(ids):
        raise ValueError(
            f"X_val and y_val must hold equally many documents; got {len(ids)} and {len(y_val)}."
        )
    if indicator != multilabel or (multilabel and y_val.shape[1] != len(classes)):
        raise ValueError(
            f"y_val must have the form of y; got shape {y_val.shape} for "
            + (f"an indicator matrix of {len(classes)} labels." if multilabel else "single labels.")
        )
    targets = targets_of(y_val, classes, multilabel, name="y_val")
    return Documents(ids, targets, np.ones(len(ids), np.float32))


def rows_to_hold_out(documents, labels, fraction, rng):
    """Rows of the documents that `early_stopping` validates on.

    They are shuffled and, if there are labels, stratified. Documents that are alone in their class
    stay in training.

    Parameters
    ----------
    documents : Documents
    labels : ndarray of shape (n_samples,) or None
    fraction : float
        Share to hold out, rounded up to a whole document.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int
    """
    n = len(documents.ids)
    n_held_out = int(np.ceil(fraction * n))
    alone, strata, n_classes = np.zeros(n, dtype=bool), None, 1
    if labels is not None:
        _, strata, counts = np.unique(labels, return_inverse=True, return_counts=True)
        alone = counts[strata] == 1
        strata = strata[~alone]
        n_classes = int((counts > 1).sum())
    n_left = n - int(alone.sum()) - n_held_out
    if min(n_held_out, n_left) < max(n_classes, 1):
        raise ValueError(
            f"validation_fraction={fraction} of {n} documents holds out {n_held_out} and "
            f"leaves {max(n_left, 0)} to train on; each part needs at least one document of each "
            f"of the {n_classes} classes that have two or more. Change validation_fraction, pass "
            "X_val and y_val, or set early_stopping=False."
            if labels is not None
            else f"validation_fraction={fraction} of {n} documents leaves none to train on. "
            "Lower it, or set early_stopping=False."
        )
    # here, not above: a process that only predicts starts sooner without it
    from sklearn.model_selection import train_test_split

    return train_test_split(
        np.flatnonzero(~alone),
        test_size=n_held_out,
        stratify=strata,
        random_state=int(rng.integers(2**31)),
    )[1]


def check_callbacks(estimator):
    """The callbacks of an estimator as a list.

    Raises
    ------
    InvalidParameterError
        For something that is no instance of a Keras callback.
    """
    callbacks = estimator.callbacks
    if callbacks is None:
        return []
    callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    for callback in callbacks:
        if isinstance(callback, type) or not hasattr(callback, "on_epoch_end"):
            raise InvalidParameterError(
                f"The 'callbacks' parameter of {type(estimator).__name__} must be a Keras callback "
                f"or a list of them; got {callback!r} among them."
            )
    return callbacks


def architecture_of(estimator, vector_dim, n_outputs, multilabel):
    """The network that the parameters of an estimator describe.

    Parameters
    ----------
    estimator : TextCNNClassifier
    vector_dim : int
        Dimension of the pretrained vectors; not looked at without `word_vectors`.
    n_outputs : int
    multilabel : bool

    Returns
    -------
    Architecture
    """
    kernel_sizes = _ints(estimator, "kernel_sizes")
    filters = _ints(estimator, "filters")
    if isinstance(estimator.filters, Integral):
        filters *= len(kernel_sizes)
    if len(filters) != len(kernel_sizes):
        raise InvalidParameterError(
            f"The 'filters' parameter of {type(estimator).__name__} must be an int or a tuple with "
            f"one number per kernel size; got {estimator.filters!r} for kernel_sizes="
            f"{estimator.kernel_sizes!r}."
        )
    static_dim, trained_dim = 0, estimator.embedding_dim or 0
    if estimator.word_vectors is not None:
        mode = estimator.embedding_mode
        static_dim = vector_dim if mode in ("static", "multichannel") else 0
        trained_dim = vector_dim if mode in ("non-static", "multichannel") else 0
    return Architecture(
        static_dim=int(static_dim),
        trained_dim=int(trained_dim),
        kernel_sizes=kernel_sizes,
        filters=filters,
        conv_layers=int(estimator.conv_layers),
        pool_size=int(estimator.pool_size),
        pooling=estimator.pooling,
        activation=estimator.activation,
        hidden_units=_ints(estimator, "hidden_units", may_be_empty=True),
        n_outputs=int(n_outputs),
        output="softmax" if n_outputs > 1 and not multilabel else "sigmoid",
    )


def coverage(counts, found):
    """Shares of tokens and of running words that have a pretrained vector.

    Parameters
    ----------
    counts : ndarray of shape (n_ids,)
        How often each id is in the training documents.
    found : boolean ndarray of shape (n_ids,)
    """
    met = counts > 0
    met[:2] = False  # an unknown token is a running word, but which one nobody knows
    n_words = max(int(counts[1:].sum()), 1)
    shares = {
        "tokens": float(found[met].mean()) if met.any() else 0.0,
        "running words": float(counts[found & met].sum() / n_words),
    }
    if shares["running words"] < 0.5:
        warnings.warn(
            f"word_vectors has a vector for {shares['running words']:.0%} of the running words in "
            "the training documents; the others start at random. Check that the vectors are of the "
            "language of the texts and tokenised alike (case, word pieces, punctuation).",
            UserWarning,
            # whoever called fit or partial_fit: _new_start, _train, the method and
            # scikit-learn's wrapper of it are in between
            stacklevel=6,
        )
    return shares


def refuse_other_network(estimator, architecture, partial):
    """Raise a ValueError if training cannot go on with what the parameters describe now."""
    now, before = asdict(architecture), dict(estimator._architecture)
    if estimator.word_vectors is not None and not hasattr(estimator, "coverage_"):
        now["word_vectors"], before["word_vectors"] = type(estimator.word_vectors).__name__, None
    differences = [
        f"{name} {now[name]!r} now, {value!r} before"
        for name, value in before.items()
        if now[name] != value
    ]
    if differences:
        raise ValueError(
            "Training can only go on with the same architecture; got "
            + "; ".join(differences)
            + ". Use a new classifier (clone), or fit with warm_start=False."
        )
    if estimator.linear_ is not None or (estimator.linear_ngrams and not partial):
        way = "partial_fit" if partial else "fit with warm_start=True"
        raise ValueError(
            f"{way} goes on with the network, but not with a linear part, which is fitted to all "
            f"documents at once; got linear_ngrams={estimator.linear_ngrams}. Set linear_ngrams=0 "
            "in the first fit and in later ones, or fit anew with all documents."
        )


def _ints(estimator, name, may_be_empty=False):
    value = getattr(estimator, name)
    values = (value,) if isinstance(value, Integral) else tuple(value)
    if not all(isinstance(v, Integral) and v >= 1 for v in values) or not (values or may_be_empty):
        raise InvalidParameterError(
            f"The {name!r} parameter of {type(estimator).__name__} must be an int or a tuple of "
            f"ints, each at least 1; got {value!r}."
        )
    return tuple(int(v) for v in values)
