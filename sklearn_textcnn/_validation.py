"""What `TextCNNClassifier` accepts, and what it says of the rest."""

import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from numbers import Integral, Real

import numpy as np
from scipy.sparse import issparse
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
    type_of_target,
)
from sklearn.utils.validation import (
    assert_all_finite,
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from sklearn_textcnn.network.architecture import Architecture
from sklearn_textcnn.token_ids import TokenIds
from sklearn_textcnn.training.fit import Documents

LARGEST_ID = 2**31 - 2


@dataclass(frozen=True)
class TrainingData:
    """What `fit` or `partial_fit` was given, checked.

    Documents of weight 0 are left out. `labels` are what a split is stratified by, None at
    multi-label.
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
    y, multilabel = _check_answers(estimator, X, y)
    classes = np.arange(y.shape[1]) if multilabel else np.unique(y)
    weights = check_weights(sample_weight, estimator.class_weight, y, classes)
    if not multilabel:
        # before the ids are looked at: what is wrong with those is not the first news
        refuse_one_class(y[weights > 0])
    if going_on:
        refuse_other_classes(classes, estimator.classes_, multilabel, estimator._multilabel)
    estimator.classes_ = classes
    data = _check_documents(estimator, X, y, weights, classes, multilabel, going_on)
    validation = _check_validation_data(estimator, X_val, y_val, classes, multilabel, data.id_space)
    return replace(data, validation=validation)


def check_batch(estimator, X, y, sample_weight, classes, going_on):
    """Check what `partial_fit` was given; see `check_training_data`."""
    y, multilabel = _check_answers(estimator, X, y, part=True)
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
    ids = check_ids(estimator, X, reset=not going_on)
    if going_on:
        refuse_other_vocabulary(X, estimator._id_space, "X")
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


def check_ids(estimator, X, *, reset, name="X", remedy="put TextVectorizerTransformer in front"):
    """Ids as a plain int32 array of shape (n_samples, n_tokens).

    Raises
    ------
    ValueError
        For text, negative numbers, fractions, NaN, numbers beyond int32 and, unless `reset`,
        another width than in fit.
    TypeError
        For sparse input.
    """
    if holds_text(X):
        raise ValueError(
            f"{name} must hold token ids, integers of shape (n_samples, n_tokens); "
            f"got text. Turn text into ids first: {remedy}."
        )
    X = validate_data(estimator, X, reset=reset, dtype="numeric", estimator=estimator)
    if X.dtype.kind == "b":
        X = X.astype(np.int32)
    if X.min() < 0:
        raise ValueError(
            f"Negative values in data passed to {type(estimator).__name__}: {name} must hold token "
            f"ids, 0 for padding, 1 for unknown tokens, 2 and up for tokens; got {X.min()}. "
            f"Text becomes ids like this: {remedy}."
        )
    if X.dtype.kind == "f" and (fractions := X != np.floor(X)).any():
        row, column = np.argwhere(fractions)[0]
        raise ValueError(
            f"{name} must hold token ids, which are whole numbers; got {X[row, column]} in row "
            f"{row}, column {column}. For dense features use another classifier; for text "
            f"{remedy}."
        )
    if X.max() > LARGEST_ID:
        raise ValueError(
            f"{name} must hold token ids up to {LARGEST_ID}; got {X.max()}. "
            "Number the tokens consecutively, or hash them into fewer buckets."
        )
    return np.ascontiguousarray(X, dtype=np.int32)


def holds_text(X):
    """Whether X is text, or a sequence, array or column of it."""
    if isinstance(X, (str, bytes)):
        return True
    dtype = getattr(X, "dtype", None)
    if getattr(dtype, "kind", "O") in "USTO" and not issparse(X):
        values = X.to_numpy() if hasattr(X, "to_numpy") else X
        while isinstance(values, (list, tuple, np.ndarray)) and len(values):
            values = values[0]
        return isinstance(values, (str, bytes))
    return False


def id_space(X):
    """What the ids mean: the digest of their vocabulary, the number of hashed ids, or None."""
    if not isinstance(X, TokenIds):
        return None
    return X.n_ids if X.vocabulary is None else X.vocabulary_digest


def refuse_other_vocabulary(X, fitted, name):
    """Raise a ValueError if X holds ids of another `id_space` than the one seen in fit."""
    now = id_space(X)
    if None not in (now, fitted) and now != fitted:
        raise ValueError(
            f"{name} holds token ids of another vocabulary ({X.n_ids} ids) than the one the "
            "classifier was fitted with. Use the TextVectorizerTransformer that made the training "
            "ids, best by putting both into one Pipeline."
        )


def _check_answers(estimator, X, y, part=False):
    """Labels of the documents, and whether they are an indicator matrix: see `check_labels`."""
    name = type(estimator).__name__
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None.")
    if isinstance(X, (str, bytes)):
        raise ValueError(
            f"X must hold token ids, integers of shape (n_samples, n_tokens); got {X[:50]!r}. "
            "Put TextVectorizerTransformer in front, and texts in a list."
        )
    y, multilabel = check_labels(y, part=part)
    check_consistent_length(X, y)
    if multilabel and estimator.class_weight is not None:
        raise ValueError(
            f"class_weight must be None for multi-label targets; got {estimator.class_weight!r}. "
            "Pass sample_weight instead."
        )
    return y, multilabel


def check_labels(y, name="y", part=False):
    """Validate labels.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_labels)
    name : str, default="y"
    part : bool, default=False
        Whether these are a few of the labels that belong together.

    Returns
    -------
    y : ndarray
        Of shape (n_samples,), or (n_samples, n_labels) with integers 0 and 1.
    multilabel : bool
    """
    _refuse_missing_labels(y, name)
    with warnings.catch_warnings():
        if part:
            # a handful of documents may well have as many classes
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        check_classification_targets(y)
    if type_of_target(y, input_name=name) != "multilabel-indicator":
        return column_or_1d(y, warn=True), False
    y = check_array(y, accept_sparse="csr", dtype=np.int64, input_name=name)
    y = y.toarray() if issparse(y) else y
    if ((y != 0) & (y != 1)).any():
        raise ValueError(
            f"{name} with several columns must be an indicator matrix of 0 and 1; got the values "
            f"{np.unique(y).tolist()}. MultiLabelBinarizer makes one from lists of labels."
        )
    return y, True


def _refuse_missing_labels(y, name):
    """Raise a ValueError for NaN, None and pandas' NA, ahead of casts that hide them."""
    if isinstance(y, np.ndarray) and y.dtype.kind == "f":
        assert_all_finite(y, input_name=name)
    if issparse(y) or not isinstance(y, Iterable) or getattr(y, "ndim", 1) != 1:
        return
    if isinstance(y, np.ndarray) and y.dtype.kind != "O":
        return
    for row, label in enumerate(y):
        is_nan = isinstance(label, Real) and label != label
        if is_nan or label is None or type(label).__name__ == "NAType":
            raise ValueError(
                f"Input {name} contains NaN or None: {name} must hold a label for every document; "
                f"got {label!r} in row {row}. Leave such documents out."
            )


def refuse_one_class(y):
    """Raise a ValueError unless there are labels of two classes."""
    classes = np.unique(y).tolist()
    if len(classes) < 2:
        raise ValueError(
            "The number of classes has to be at least 2 for a classifier; got documents with "
            f"weight of 1 class: {classes[0]!r}. Add documents of another class."
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
            f"The {what} must be those of the earlier fit; got {_shortened(now)}, before "
            f"{_shortened(before)}. Use a new classifier (clone), or fit with warm_start=False."
        )


def check_weights(sample_weight, class_weight, y, classes):
    """Weight of each document: sample weights times class weights, shape (n_samples,), float32.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), float or None
    class_weight : dict, "balanced" or None
    y : ndarray of shape (n_samples,) or (n_samples, n_labels)
    classes : ndarray of shape (n_classes,)
    """
    if sample_weight is None or isinstance(sample_weight, Real):
        sample_weight = np.full(len(y), 1.0 if sample_weight is None else sample_weight)
    # a copy: class weights are multiplied into it
    weights = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, copy=True, input_name="sample_weight"
    )
    if weights.shape != (len(y),):
        raise ValueError(
            f"sample_weight must hold one weight per document, shape {(len(y),)}; got shape "
            f"{weights.shape}."
        )
    if (weights < 0).any():
        row = int(np.argmax(weights < 0))
        raise ValueError(
            "sample_weight must not hold negative weights; "
            f"got {weights[row]} in row {row}. Use 0 to leave a document out."
        )
    if not weights.any():
        raise ValueError(
            "sample_weight must hold a weight above 0; got zeros only, which leaves nothing to "
            "learn from. Pass sample_weight=None to weigh all documents alike."
        )
    if class_weight is not None:
        present = weights > 0
        weights[present] *= _weights_by_class(class_weight, y[present], classes)
        if not weights.any():
            raise ValueError(
                "class_weight must leave documents with a weight above 0; got "
                f"{class_weight!r}, which leaves none."
            )
    numbers = np.finfo(np.float32)
    if not numbers.tiny * len(weights) <= weights.max() <= numbers.max / len(weights):
        raise ValueError(
            "The weights of the documents must be numbers that float32 can add up; the largest is "
            f"{weights.max()}. Divide sample_weight by its mean."
        )
    return weights.astype(np.float32)


def _weights_by_class(class_weight, y, classes):
    if isinstance(class_weight, str):
        classes = np.unique(y)  # "balanced" can only count the classes that are there
    by_class = compute_class_weight(class_weight, classes=classes, y=y)
    if not (by_class >= 0).all() or not np.isfinite(by_class).all():
        raise ValueError(
            f"class_weight must hold finite weights that are not negative; got {class_weight!r}."
        )
    return by_class[np.searchsorted(classes, y)]


def encode_labels(y, classes, name):
    """Positions of labels in the sorted `classes`, shape (n_samples,).

    Raises
    ------
    ValueError
        For labels that are not among the classes.
    """
    y = np.asarray(y)
    try:
        places = np.searchsorted(classes, y).clip(max=len(classes) - 1)
        new = classes[places] != y
    except TypeError:  # strings among numbers or the other way round
        new = np.ones(len(y), dtype=bool)
    if np.any(new):
        labels = ", ".join(map(repr, np.unique(y[new]).tolist()[:5]))
        raise ValueError(
            f"{name} holds labels that are not among the classes: {labels}. "
            f"The classes are {_shortened(classes)}."
        )
    return places


def _check_validation_data(estimator, X_val, y_val, classes, multilabel, space):
    """The validation documents, None without any."""
    if X_val is None and y_val is None:
        return None
    if y_val is None:
        raise ValueError("y_val must be given together with X_val; got X_val alone.")
    if X_val is None:
        raise ValueError("X_val must be given together with y_val; got y_val alone.")
    remedy = "in a Pipeline with metadata routing, transform_input=['X_val'] does it"
    try:
        ids = check_ids(estimator, X_val, reset=False, name="X_val", remedy=remedy)
    except ValueError as error:
        # scikit-learn calls whatever it checks "X"
        raise ValueError(str(error) if "X_val" in str(error) else f"X_val: {error}") from error
    refuse_other_vocabulary(X_val, space, "X_val")
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


def targets_of(y, classes, multilabel, name="y"):
    """What the network is trained on: 0 and 1, float32, shape (n_samples, n_outputs)."""
    if multilabel:
        return y.astype(np.float32)
    places = encode_labels(y, classes, name)
    if len(classes) == 2:
        return places[:, None].astype(np.float32)
    return np.eye(len(classes), dtype=np.float32)[places]


def hold_out(data, fraction, rng):
    """Divide documents into those to train on and those to validate on.

    They are shuffled and, if there are labels, stratified. Documents that are alone in their class
    stay in training.

    Parameters
    ----------
    data : TrainingData
    fraction : float
        Share to hold out, rounded up to a whole document.
    rng : numpy.random.Generator

    Returns
    -------
    TrainingData
    """
    documents, y = data.documents, data.labels
    n = len(documents.ids)
    n_held_out = int(np.ceil(fraction * n))
    alone, strata, n_classes = np.zeros(n, dtype=bool), None, 1
    if y is not None:
        _, strata, counts = np.unique(y, return_inverse=True, return_counts=True)
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
            if y is not None
            else f"validation_fraction={fraction} of {n} documents leaves none to train on. "
            "Lower it, or set early_stopping=False."
        )
    # here, not above: a process that only predicts starts sooner without it
    from sklearn.model_selection import train_test_split

    train, held_out = train_test_split(
        np.flatnonzero(~alone),
        test_size=n_held_out,
        stratify=strata,
        random_state=int(rng.integers(2**31)),
    )
    train = np.concatenate([train, np.flatnonzero(alone)])
    parts = [
        Documents(documents.ids[rows], documents.targets[rows], documents.weights[rows])
        for rows in (train, held_out)
    ]
    return replace(data, documents=parts[0], validation=parts[1])


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
            # whoever called fit or partial_fit: _starting_point, _train, the method and
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
    if estimator._linear is not None or (estimator.linear_ngrams and not partial):
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


def _shortened(classes):
    listed = ", ".join(map(repr, classes.tolist()[:10]))
    return listed + (f", ... ({len(classes)} in all)" if len(classes) > 10 else "")
