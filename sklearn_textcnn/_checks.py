"""What both classifiers of token ids accept, and what they say of the rest."""

import re
import warnings
from collections.abc import Iterable
from numbers import Real

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    assert_all_finite,
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from sklearn_textcnn.token_ids import LARGEST_ID, STACK_THEM, TokenIds


def check_ids(
    estimator, X, *, reset, space=None, name="X", remedy="put TextVectorizerTransformer in front"
):
    """Ids as a plain int32 array of shape (n_samples, n_tokens).

    Ids of the `id_space` that was seen in fit, `space`, may have any number of columns: rows are as
    long as the longest document.

    Raises
    ------
    ValueError
        For text, other columns beside ids, negative numbers, fractions, NaN, numbers beyond int32
        and, unless `reset`, another width than in fit.
    TypeError
        For sparse input.
    """
    if holds_text(X):
        raise ValueError(
            f"{name} must hold token ids, integers of shape (n_samples, n_tokens); "
            f"got text. Turn text into ids first: {remedy}."
        )
    if issparse(X):
        raise TypeError(
            f"Sparse data was passed, but dense data is required: {name} must hold token ids. "
            "Counts and TF-IDF are none, made dense neither: put TextVectorizerTransformer in the "
            "place of the vectorizer that made them."
        )
    if isinstance(X, (list, tuple)) and len({len(row) for row in X if hasattr(row, "__len__")}) > 1:
        raise ValueError(
            f"{name} must hold equally many token ids in every row; got rows of different lengths. "
            f"Pad them with 0 on the right, or pass texts: {remedy}."
        )
    _refuse_other_columns(X, name)
    if space is not None and id_space(X) == space:
        X = check_array(X, dtype="numeric", estimator=estimator, input_name=name)
    else:
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


def _refuse_other_columns(X, name):
    """Raise a ValueError for a frame whose columns are not the places of tokens alone."""
    columns = [column for column in getattr(X, "columns", ()) if isinstance(column, str)]
    are_places = [re.search(r"(^|__)token_\d+$", column) is not None for column in columns]
    if any(are_places) and not all(are_places):
        raise ValueError(
            f"{name} holds the column {columns[are_places.index(False)]!r} beside token ids: its "
            f"numbers would be read as tokens. {STACK_THEM}"
        )
    words = [column for column in columns if not any(map(str.isdigit, column))]
    if 2 * len(words) > len(columns) > 1:
        raise ValueError(
            f"{name} must hold token ids, but its columns have names like {words[0]!r} and "
            f"{words[1]!r}, as counts of words have, or features of other kinds. Put "
            "TextVectorizerTransformer in the place of the vectorizer that counted them. (If they "
            f"are ids, pass {name}.to_numpy().)"
        )


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


def check_answers(estimator, X, y, part=False):
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
    if not part and y.shape[1] > 1 and (y.sum(axis=1) == 1).all():
        warnings.warn(
            f"{name} is an indicator matrix, so every column is a label of its own, but each row "
            f"holds exactly one 1. If a document has one class, pass {name}.argmax(axis=1): as a "
            "rule that is more accurate.",
            UserWarning,
            stacklevel=6,  # whoever called fit
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


def classes_and_weights(estimator, y, multilabel, sample_weight):
    """The classes of documents, and the weight of each document: see `check_weights`.

    Raises
    ------
    ValueError
        If the documents of weights above zero are of a single class.
    """
    classes = np.arange(y.shape[1]) if multilabel else np.unique(y)
    weights = check_weights(sample_weight, estimator.class_weight, y, classes)
    if not multilabel:
        _refuse_one_class(y[weights > 0])
    return classes, weights


def _refuse_one_class(y):
    """Raise a ValueError unless there are labels of two classes."""
    classes = np.unique(y).tolist()
    if len(classes) < 2:
        raise ValueError(
            "The number of classes has to be at least 2 for a classifier; got documents with "
            f"weight of 1 class: {classes[0]!r}. Add documents of another class."
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
    elif unknown := set(class_weight) - set(classes.tolist()):
        raise ValueError(
            f"class_weight must hold labels of y; got {', '.join(map(repr, unknown))}, which is "
            f"none of {shortened(classes)}. Classes that are left out have weight 1."
        )
    if isinstance(class_weight, str):
        by_class = compute_class_weight(class_weight, classes=classes, y=y)
    else:  # scikit-learn takes the label "1" for 1
        by_class = np.array([class_weight.get(label, 1) for label in classes.tolist()], dtype=float)
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
            f"The classes are {shortened(classes)}."
        )
    return places


def targets_of(y, classes, multilabel, name="y"):
    """What the network is trained on: 0 and 1, float32, shape (n_samples, n_outputs)."""
    if multilabel:
        return y.astype(np.float32)
    places = encode_labels(y, classes, name)
    if len(classes) == 2:
        return places[:, None].astype(np.float32)
    return np.eye(len(classes), dtype=np.float32)[places]


def shortened(classes):
    listed = ", ".join(map(repr, classes.tolist()[:10]))
    return listed + (f", ... ({len(classes)} in all)" if len(classes) > 10 else "")


def random_generator(random_state):
    """A generator from an int, a RandomState or, where every fit is to differ, None."""
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**32, size=4, dtype=np.uint32)
    return np.random.default_rng(random_state)
