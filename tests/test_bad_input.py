"""What `TextCNNClassifier` refuses: the message, and that an earlier fit survives it."""

import warnings
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from corpora import keyword_ids
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer

from sklearn_textcnn import (
    NgramLinearClassifier,
    TextCNNClassifier,
    TextVectorizerTransformer,
    TokenIds,
)

TINY = {"embedding_dim": 4, "filters": 4, "epochs": 1, "random_state": 0}
IDS, CLASSES = keyword_ids(48)
TEXTS = ["some text", "more text"] * 24
INDICATORS = (IDS[:, :3] > 25).astype(int)
WORDS = [f"w{i}" for i in range(48)]


def changed(array, place, value, dtype=None):
    array = np.array(array, dtype=dtype)
    array[place] = value
    return array


@pytest.fixture(scope="module")
def fitted_once():
    return TextCNNClassifier(**TINY).fit(IDS, CLASSES)


@pytest.fixture
def fitted(fitted_once):
    return deepcopy(fitted_once)


@pytest.fixture
def assert_survives(fitted):
    """Check after the test that the fitted classifier predicts and pickles as before."""
    before, state = fitted.predict_proba(IDS), vars(fitted).copy()
    yield
    np.testing.assert_array_equal(fitted.predict_proba(IDS), before)
    fitted.set_params(**{name: state[name] for name in fitted.get_params()})
    assert vars(fitted).keys() == state.keys()
    assert all(vars(fitted)[name] is value for name, value in state.items())


BAD_IDS = {
    "negative": (changed(IDS, (3, 1), -2), ValueError, "Negative values in data .*; got -2"),
    "fraction": (
        changed(IDS, (3, 1), 2.5, float),
        ValueError,
        "whole numbers; got 2.5 in row 3, column 1. .*TextVectorizerTransformer",
    ),
    "NaN": (changed(IDS, (3, 1), np.nan, float), ValueError, "contains NaN"),
    "infinity": (changed(IDS, (3, 1), np.inf, float), ValueError, "contains infinity"),
    "beyond int32": (
        changed(IDS, (3, 1), 2**40, np.int64),
        ValueError,
        "token ids up to 2147483646; got 1099511627776",
    ),
    "texts": (TEXTS, ValueError, "got text.*put TextVectorizerTransformer in front"),
    "array of texts": (np.array(TEXTS), ValueError, "got text.*put TextVectorizerTransformer"),
    "objects that are texts": (
        np.array(TEXTS, dtype=object)[:, None],
        ValueError,
        "got text.*put TextVectorizerTransformer",
    ),
    "Series of texts": (pd.Series(TEXTS), ValueError, "got text.*put TextVectorizerTransformer"),
    "frame of texts": (
        pd.DataFrame({"text": TEXTS}),
        ValueError,
        "got text.*put TextVectorizerTransformer",
    ),
    "lists of tokens": (
        [text.split() for text in TEXTS],
        ValueError,
        "got text.*put TextVectorizerTransformer",
    ),
    "sparse": (sparse.csr_array(IDS), TypeError, "Sparse data was passed.* dense data is required"),
    "one row": (IDS[0], ValueError, "Expected 2D array, got 1D array|inconsistent numbers"),
    "three dimensions": (IDS[:, :, None], ValueError, "dim 3"),
    "no documents": (IDS[:0], ValueError, "0 sample|inconsistent numbers"),
    "no columns": (IDS[:, :0], ValueError, "0 feature"),
    "complex": (IDS * 1j, ValueError, "Complex data not supported"),
}


@pytest.mark.usefixtures("assert_survives")
@pytest.mark.parametrize("case", BAD_IDS)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "predict_proba"])
def test_ids(fitted, method, case):
    X, error, message = BAD_IDS[case]
    arguments = (X,) if method.startswith("predict") else (X, CLASSES)
    with pytest.raises(error, match=message):
        getattr(fitted, method)(*arguments)


@pytest.mark.usefixtures("assert_survives")
@pytest.mark.parametrize("case", [name for name in BAD_IDS if name not in ("one row", "sparse")])
def test_ids_to_validate_on(fitted, case):
    X_val, error, message = BAD_IDS[case]
    message = message.replace(
        "got text.*put TextVectorizerTransformer", "got text.*transform_input"
    )
    message = message.removesuffix(" in front").split(". .*TextVectorizer")[0].split("|")[0]
    with pytest.raises(error, match=message) as caught:
        fitted.fit(IDS, CLASSES, X_val=X_val, y_val=CLASSES)
    assert "X_val" in str(caught.value)


@pytest.mark.usefixtures("assert_survives")
def test_one_bare_string(fitted):
    with pytest.raises(ValueError, match=r"X must hold token ids.*got 'some text'.*in a list"):
        fitted.fit("some text", CLASSES)
    with pytest.raises(ValueError, match=r"got text\. Turn text into ids first"):
        fitted.predict("some text")


@pytest.mark.usefixtures("assert_survives")
@pytest.mark.parametrize("method", ["partial_fit", "predict", "decision_function"])
def test_another_width(fitted, method):
    arguments = (IDS[:, :7],) if method != "partial_fit" else (IDS[:, :7], CLASSES)
    with pytest.raises(ValueError, match="X has 7 features, but TextCNNClassifier is expecting 10"):
        getattr(fitted, method)(*arguments)


@pytest.mark.usefixtures("assert_survives")
def test_another_width_to_validate_on(fitted):
    with pytest.raises(ValueError, match=r"X_val: X has 7 features, but .* is expecting 10"):
        fitted.fit(IDS, CLASSES, X_val=IDS[:, :7], y_val=CLASSES)


@pytest.mark.parametrize(
    "other",
    [
        TokenIds(IDS, vocabulary=["other", *WORDS[1:]]),
        TokenIds(IDS, vocabulary=[*WORDS, "more"]),
        TokenIds(IDS, n_ids=50),
    ],
    ids=["other word", "more words", "hashed"],
)
@pytest.mark.parametrize("method", ["predict", "partial_fit", "warm fit", "X_val"])
def test_another_vocabulary(other, method):
    ids = TokenIds(IDS, vocabulary=WORDS)
    classifier = TextCNNClassifier(**TINY, warm_start=method == "warm fit").fit(ids, CLASSES)
    before = classifier.predict_proba(ids)
    call = {
        "predict": lambda: classifier.predict(other),
        "partial_fit": lambda: classifier.partial_fit(other, CLASSES),
        "warm fit": lambda: classifier.fit(other, CLASSES),
        "X_val": lambda: classifier.fit(ids, CLASSES, X_val=other, y_val=CLASSES),
    }[method]
    name = "X_val" if method == "X_val" else "X"
    with pytest.raises(
        ValueError,
        match=rf"{name} holds token ids of another vocabulary \({other.n_ids} ids\).*one Pipeline",
    ):
        call()
    np.testing.assert_array_equal(classifier.predict_proba(ids), before)


def test_hashed_ids_of_another_number():
    classifier = TextCNNClassifier(**TINY).fit(TokenIds(IDS, n_ids=60), CLASSES)
    with pytest.raises(ValueError, match=r"of another vocabulary \(70 ids\)"):
        classifier.predict(TokenIds(IDS, n_ids=70))
    classifier.predict(TokenIds(IDS, n_ids=60))


def test_equal_vocabularies_and_plain_arrays_are_welcome():
    classifier = TextCNNClassifier(**TINY).fit(TokenIds(IDS, vocabulary=WORDS), CLASSES)
    expected = classifier.predict_proba(IDS)
    again = TokenIds(IDS, vocabulary=list(WORDS))
    np.testing.assert_array_equal(classifier.predict_proba(again), expected)


BAD_LABELS = {
    "none": (None, "requires y to be passed, but the target y is None"),
    "one class": (np.zeros(48), r"number of classes has to be at least 2.* 1 class: 0\.0"),
    "one class, a string": (["a"] * 48, "1 class: 'a'. Add documents of another class"),
    "fewer": (CLASSES[:-1], r"inconsistent numbers of samples: \[48, 47\]"),
    "continuous": (np.linspace(0, 1, 48), "Unknown label type: continuous"),
    "NaN": (changed(CLASSES, 3, np.nan, float), "Input y contains NaN"),
    "infinity": (changed(CLASSES, 3, np.inf, float), "Input y contains infinity"),
    "None among strings": (["a", None, "b"] * 16, "must hold a label .*; got None in row 1"),
    "NaN among strings": (["a", "b", np.nan] * 16, "must hold a label .*; got nan in row 2"),
    "NA": (pd.Series([0, 1, pd.NA] * 16, dtype="Int64"), "must hold a label .*; got <NA> in row 2"),
    "sequences": ([[1], [1, 2]] * 24, "MultiLabelBinarizer"),
    "several outputs": (IDS[:, :2] // 10, "y should be a 1d array, got an array of shape"),
    "indicators of -1 and 1": (2 * INDICATORS - 1, r"indicator matrix of 0 and 1; .*\[-1, 1\]"),
}


@pytest.mark.usefixtures("assert_survives")
@pytest.mark.parametrize("case", BAD_LABELS)
def test_labels(fitted, case):
    y, message = BAD_LABELS[case]
    with pytest.raises(ValueError, match=message):
        fitted.fit(IDS, y)


def test_one_class_is_refused_ahead_of_the_ids():
    with pytest.raises(ValueError, match="1 class: 1"):
        TextCNNClassifier().fit(changed(IDS, (0, 0), -1), np.ones(48, dtype=int))


@pytest.mark.usefixtures("assert_survives")
def test_one_class_with_weight(fitted):
    with pytest.raises(ValueError, match="documents with weight of 1 class: 2"):
        fitted.fit(IDS, CLASSES, sample_weight=(CLASSES == 2).astype(float))
    with pytest.raises(ValueError, match="documents with weight of 1 class: 1"):
        fitted.set_params(class_weight={0: 0, 1: 1, 2: 0}).fit(IDS, CLASSES)


BAD_WEIGHTS = {
    "zeros": (np.zeros(48), "sample_weight must hold a weight above 0; got zeros only"),
    "negative": (changed(np.ones(48), 5, -0.5), "negative weights; got -0.5 in row 5"),
    "NaN": (changed(np.ones(48), 5, np.nan), "sample_weight contains NaN"),
    "infinity": (changed(np.ones(48), 5, np.inf), "sample_weight contains infinity"),
    "fewer": (np.ones(47), r"one weight per document, shape \(48,\); got shape \(47,\)"),
    "two columns": (np.ones((48, 2)), r"one weight per document, shape \(48,\); got shape"),
    "strings": (["a"] * 48, "could not convert string to float"),
}


@pytest.mark.usefixtures("assert_survives")
@pytest.mark.parametrize("case", BAD_WEIGHTS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_sample_weights(fitted, method, case):
    weights, message = BAD_WEIGHTS[case]
    with pytest.raises(ValueError, match=message):
        getattr(fitted, method)(IDS, CLASSES, sample_weight=weights)


@pytest.mark.usefixtures("assert_survives")
@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({0: -1, 1: 1}, "class_weight must hold finite weights that are not negative; got {0: -1"),
        ({0: np.nan, 1: 1}, "class_weight must hold finite weights"),
        ({0: 0, 1: 0, 2: 0}, "class_weight must leave documents with a weight above 0; got {0: 0"),
        ({0: 1, 7: 1}, "class_weight must hold labels of y; got 7, which is none of 0, 1, 2"),
        ("even", "The 'class_weight' parameter of TextCNNClassifier must be"),
    ],
)
def test_class_weights(fitted, class_weight, message):
    with pytest.raises(ValueError, match=message):
        fitted.set_params(class_weight=class_weight).fit(IDS, CLASSES)


@pytest.mark.usefixtures("assert_survives")
@pytest.mark.parametrize("class_weight", ["balanced", {0: 1, 1: 2}])
def test_class_weights_for_several_labels(fitted, class_weight):
    with pytest.raises(ValueError, match="class_weight must be None for multi-label targets; got"):
        fitted.set_params(class_weight=class_weight).fit(IDS, INDICATORS)


@pytest.mark.usefixtures("assert_survives")
@pytest.mark.parametrize(
    ("X_val", "y_val", "message"),
    [
        (IDS, None, "y_val must be given together with X_val; got X_val alone"),
        (None, CLASSES, "X_val must be given together with y_val; got y_val alone"),
        (IDS, CLASSES[1:], "equally many documents; got 48 and 47"),
        (IDS, CLASSES + 2, r"y_val holds labels that are not among the classes: 3, 4\. The"),
        (IDS, CLASSES.astype(str), "y_val holds labels that are not among the classes: '0', '1'"),
        (IDS, INDICATORS, r"y_val must have the form of y; got shape \(48, 3\) for single labels"),
        (IDS, changed(CLASSES, 3, np.nan, float), "Input y_val contains NaN"),
        (IDS[:0], CLASSES[:0], "X_val: Found array with 0 sample"),
    ],
)
def test_validation_data(fitted, X_val, y_val, message):
    with pytest.raises(ValueError, match=message):
        fitted.fit(IDS, CLASSES, X_val=X_val, y_val=y_val)


@pytest.mark.parametrize(
    ("y_val", "found"), [(CLASSES, r"\(48,\)"), (INDICATORS[:, :2], r"\(48, 2\)")]
)
def test_validation_labels_of_another_form(y_val, found):
    with pytest.raises(ValueError, match=f"got shape {found} for an indicator matrix of 3 labels"):
        TextCNNClassifier(**TINY).fit(IDS, INDICATORS, X_val=IDS, y_val=y_val)


def test_many_classes_are_not_all_listed():
    y = np.repeat(np.arange(24), 2)
    with pytest.raises(ValueError, match=r"8, 9, \.\.\. \(24 in all\)\."):
        TextCNNClassifier(**TINY).fit(IDS, y, X_val=IDS, y_val=y + 1)


@pytest.mark.parametrize(
    ("fraction", "message"),
    [
        (0.01, "holds out 1 and leaves 47 to train on; .* each of the 3 classes"),
        (0.97, "holds out 47 and leaves 1 to train on; .* each of the 3 classes"),
    ],
)
def test_a_split_too_small_for_its_classes(fraction, message):
    classifier = TextCNNClassifier(**TINY, early_stopping=True, validation_fraction=fraction)
    with pytest.raises(ValueError, match=message + ".*validation_fraction.*X_val and y_val"):
        classifier.fit(IDS, CLASSES)


def test_a_split_that_leaves_nothing():
    classifier = TextCNNClassifier(**TINY, early_stopping=True, validation_fraction=0.99)
    with pytest.raises(ValueError, match="of 48 documents leaves none to train on"):
        classifier.fit(IDS, INDICATORS)
    with pytest.raises(ValueError, match=r"of 2 documents .*leaves 0 to train on"):
        classifier.fit(IDS[:2], CLASSES[:2])


@pytest.mark.usefixtures("assert_survives")
@pytest.mark.parametrize(
    ("y", "classes", "message"),
    [
        (changed(CLASSES, 0, 7), None, "y holds labels that are not among the classes: 7"),
        (CLASSES, [0, 1], "The classes must be those of the earlier fit; got 0, 1, before 0, 1, 2"),
        (INDICATORS, None, "y must have the form of the earlier y; got an indicator matrix"),
    ],
)
def test_other_classes_in_a_stream(fitted, y, classes, message):
    with pytest.raises(ValueError, match=message):
        fitted.partial_fit(IDS, y, classes=classes)


@pytest.mark.parametrize(
    ("y", "classes", "message"),
    [
        (CLASSES, None, "classes must be passed on the first call to partial_fit"),
        (CLASSES, [0], r"classes must name at least 2 classes; got \[0\]"),
        (CLASSES, [0, 1], "y holds labels that are not among the classes: 2"),
        (INDICATORS, [0, 1], "classes must be None or 0 to 2, the columns of y"),
    ],
)
def test_start_of_a_stream(y, classes, message):
    classifier = TextCNNClassifier(**TINY)
    with pytest.raises(ValueError, match=message):
        classifier.partial_fit(IDS, y, classes=classes)
    assert not hasattr(classifier, "classes_")
    with pytest.raises(NotFittedError):
        classifier.predict(IDS)


def test_columns_of_a_stream():
    classifier = TextCNNClassifier(**TINY).partial_fit(IDS, INDICATORS)
    with pytest.raises(ValueError, match="columns of y must be those of the earlier fit; got 0, 1"):
        classifier.partial_fit(IDS, INDICATORS[:, :2])
    with pytest.raises(ValueError, match="got single labels, before an indicator matrix"):
        classifier.partial_fit(IDS, CLASSES)


@pytest.mark.usefixtures("assert_survives")
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"early_stopping": True}, "partial_fit sees one batch and cannot use early_stopping=True"),
        ({"class_weight": "balanced"}, 'cannot use class_weight="balanced"'),
    ],
)
def test_what_a_stream_cannot_use(fitted, parameters, message):
    with pytest.raises(ValueError, match=message):
        fitted.set_params(**parameters).partial_fit(IDS, CLASSES)


@pytest.mark.usefixtures("assert_survives")
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"kernel_sizes": 2}, r"kernel_sizes \(2,\) now, \(3, 4, 5\) before"),
        ({"filters": 6}, r"filters \(6, 6, 6\) now, \(4, 4, 4\) before"),
        ({"embedding_dim": 5}, "trained_dim 5 now, 4 before"),
        ({"pooling": "average"}, "pooling 'average' now, 'max' before"),
        ({"activation": "tanh"}, "activation 'tanh' now, 'relu' before"),
        ({"conv_layers": 2, "pool_size": 3}, "conv_layers 2 now, 1 before; pool_size 3 now, 2 bef"),
        ({"hidden_units": (3, 2)}, r"hidden_units \(3, 2\) now, \(\) before"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_going_on_with_another_architecture(fitted, method, parameters, message):
    fitted.set_params(**parameters, warm_start=True)
    with pytest.raises(ValueError, match=message + ".*Use a new classifier"):
        getattr(fitted, method)(IDS, CLASSES)


@pytest.mark.usefixtures("assert_survives")
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (CLASSES % 2, "classes must be those of the earlier fit; got 0, 1, before 0, 1, 2"),
        (CLASSES.astype(str), "got '0', '1', '2', before 0, 1, 2"),
        (INDICATORS, "got an indicator matrix, before single labels"),
    ],
)
def test_going_on_with_other_classes(fitted, y, message):
    with pytest.raises(ValueError, match=message):
        fitted.set_params(warm_start=True).fit(IDS, y)


BAD_PARAMETERS = [
    {"embedding_dim": 0},
    {"embedding_mode": "frozen"},
    {"kernel_sizes": 0},
    {"kernel_sizes": ()},
    {"kernel_sizes": (3, 0)},
    {"kernel_sizes": (3, 4.5)},
    {"kernel_sizes": "3"},
    {"filters": (4, 4)},
    {"filters": (4, 4, -4)},
    {"filters": None},
    {"conv_layers": 0},
    {"pool_size": 0},
    {"pooling": "min"},
    {"activation": "gelu"},
    {"hidden_units": (0,)},
    {"hidden_units": None},
    {"dropout": 1.0},
    {"dropout": -0.1},
    {"linear_ngrams": 3},
    {"linear_ngrams": -1},
    {"linear_ngrams": 1.0},
    {"linear_ngrams": None},
    {"token_dropout": 1.0},
    {"average": 1.5},
    {"average": -0.5},
    {"average": None},
    {"max_norm": 0},
    {"l2": -1.0},
    {"label_smoothing": 1.0},
    {"optimizer": "lion"},
    {"optimizer": ...},
    {"learning_rate": 0.0},
    {"batch_size": 0},
    {"epochs": 0},
    {"early_stopping": "yes"},
    {"validation_fraction": 0.0},
    {"validation_fraction": 1.0},
    {"patience": 0},
    {"callbacks": "early"},
    {"callbacks": ["early"]},
    {"callbacks": [...]},
    {"callbacks": ({},)},
    {"warm_start": "no"},
    {"random_state": "seed"},
    {"verbose": -1},
]


@pytest.mark.usefixtures("assert_survives")
@pytest.mark.parametrize("parameters", BAD_PARAMETERS, ids=str)
def test_parameters_are_refused_in_fit_and_only_there(fitted, parameters):
    TextCNNClassifier(**parameters)
    (name,) = parameters
    with pytest.raises(ValueError, match=f"The '{name}' parameter of TextCNNClassifier must be"):
        fitted.set_params(**parameters).fit(IDS, CLASSES)


@pytest.mark.usefixtures("assert_survives")
@pytest.mark.parametrize(
    ("word_vectors", "message"),
    [
        (np.zeros((5, 3)), "a row for each of the 50 ids .*got 5 rows"),
        (np.full((50, 3), np.nan), "finite numbers, got NaN or infinity in row 1"),
        ({"good": [1.0, 2.0]}, "need ids that remember their tokens.*matrix with a row per id"),
    ],
)
def test_word_vectors(fitted, word_vectors, message):
    ids = changed(IDS, (0, 0), 49)
    with pytest.raises(ValueError, match=message):
        fitted.set_params(word_vectors=word_vectors).fit(ids, CLASSES)


@pytest.mark.usefixtures("assert_survives")
def test_unknown_word_vectors(fitted):
    fitted.set_params(word_vectors="no-such-set")
    with pytest.raises(ValueError, match=r"known name .*got 'no-such-set'"):
        fitted.fit(TokenIds(IDS, vocabulary=WORDS), CLASSES)


@pytest.mark.usefixtures("assert_survives")
def test_word_vectors_without_an_embedding(fitted):
    fitted.set_params(word_vectors=np.ones((50, 3)), embedding_dim=None)
    with pytest.raises(ValueError, match="embedding_dim=None convolves over one-hot tokens"):
        fitted.fit(IDS, CLASSES)


def test_vectors_by_token_where_the_tokens_were_lost():
    ids = TextVectorizerTransformer().set_output(transform="pandas").fit_transform(TEXTS)
    classifier = TextCNNClassifier(**TINY, word_vectors={"some": [1.0, 2.0]})
    with pytest.raises(ValueError, match=r"without a vocabulary.*no set_output"):
        classifier.fit(ids, CLASSES)


@pytest.mark.parametrize(
    "method",
    ["predict", "predict_proba", "predict_log_proba", "decision_function", "to_keras", "score"],
)
def test_not_fitted(method):
    arguments = {"to_keras": (), "score": (IDS, CLASSES)}.get(method, (IDS,))
    with pytest.raises(NotFittedError, match="This TextCNNClassifier instance is not fitted yet"):
        getattr(TextCNNClassifier(), method)(*arguments)


def test_other_names_of_columns():
    frame = pd.DataFrame(IDS, columns=[f"t{i}" for i in range(IDS.shape[1])])
    classifier = TextCNNClassifier(**TINY).fit(frame, CLASSES)
    with pytest.raises(ValueError, match="feature names should match"):
        classifier.predict(frame.rename(columns={"t0": "first"}))


def test_training_that_diverges():
    classifier = TextCNNClassifier(**TINY, optimizer="sgd", learning_rate=1e38)
    with pytest.raises(ValueError, match="Training diverged: the loss is not finite in epoch"):
        classifier.set_params(epochs=5).fit(IDS, CLASSES)
    assert not hasattr(classifier, "classes_")


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
@pytest.mark.parametrize("classifier", [TextCNNClassifier(**TINY), NgramLinearClassifier()])
def test_ids_that_were_made_negative_are_refused(classifier, method):
    ids = TextVectorizerTransformer().fit_transform(["good film", "bad film"] * 10)
    fitted = clone(classifier).fit(ids, [1, 0] * 10)
    ids[3, 0] = -1
    with pytest.raises(ValueError, match=r"Negative values.*got -1"):
        getattr(fitted, method)(ids[2:5])


@pytest.mark.parametrize("classifier", [TextCNNClassifier(**TINY), NgramLinearClassifier()])
def test_another_vocabulary_is_named_also_where_the_width_differs(classifier):
    three, two = (
        TextVectorizerTransformer().fit_transform(texts * 5)
        for texts in (["one two three", "four five"], ["six seven", "eight nine"])
    )
    fitted = clone(classifier).fit(three, [0, 1] * 5)
    with pytest.raises(ValueError, match="another vocabulary"):
        fitted.predict(two)


def test_another_vocabulary_of_another_width_is_named_in_partial_fit_and_in_x_val():
    three, two = (
        TextVectorizerTransformer().fit_transform(texts * 5)
        for texts in (["one two three", "four five"], ["six seven", "eight nine"])
    )
    stream = TextCNNClassifier(**TINY).partial_fit(three, [0, 1] * 5, classes=[0, 1])
    with pytest.raises(ValueError, match="X holds token ids of another vocabulary"):
        stream.partial_fit(two, [0, 1] * 5)
    with pytest.raises(ValueError, match="X_val holds token ids of another vocabulary"):
        TextCNNClassifier(**TINY).fit(three, [0, 1] * 5, X_val=two, y_val=[0, 1] * 5)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({"negg": 2, "pos": 1}, "'negg'.*none of 'neg', 'pos'"),
        ({0: 2, 1: 1}, "0, 1, which"),
    ],
)
@pytest.mark.parametrize("classifier", [TextCNNClassifier(**TINY), NgramLinearClassifier()])
def test_class_weights_of_labels_that_are_not_there_are_refused(classifier, class_weight, message):
    classifier = clone(classifier).set_params(class_weight=class_weight)
    with pytest.raises(ValueError, match=message):
        classifier.fit(IDS[:20], ["neg", "pos"] * 10)


def test_class_weights_may_leave_classes_out_and_labels_may_be_of_any_kind():
    y = np.arange(20) % 2
    for labels, class_weight in ((y, {np.int64(1): 2}), (y == 1, {True: 2}), (y, {1.0: 2})):
        model = NgramLinearClassifier(class_weight=class_weight, random_state=0)
        expected = NgramLinearClassifier(random_state=0).fit(IDS[:20], y, np.where(y, 2.0, 1.0))
        found = model.fit(IDS[:20], labels).decision_function(IDS)
        np.testing.assert_array_equal(found, expected.decision_function(IDS))


CLASSIFIERS = [TextCNNClassifier(**TINY), NgramLinearClassifier()]


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_counts_of_a_vectorizer_are_refused_by_name(classifier):
    with pytest.raises(TypeError, match=r"Sparse data.*TextVectorizerTransformer in the place"):
        clone(classifier).fit(CountVectorizer().fit_transform(TEXTS), CLASSES)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_rows_of_different_lengths_are_refused_with_the_remedy(classifier):
    with pytest.raises(ValueError, match=r"rows of different lengths. Pad them with 0"):
        clone(classifier).fit([[2, 3], [3]], [0, 1])


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_one_hot_labels_are_told(classifier):
    one_hot = np.eye(3, dtype=int)[CLASSES % 3]
    with pytest.warns(UserWarning, match=r"exactly one 1.*y\.argmax\(axis=1\)") as warned:
        clone(classifier).fit(IDS, one_hot)
    assert len(warned) == 1
    one_hot[0] = 1, 1, 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clone(classifier).fit(IDS, one_hot)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_numpy_that_raises_on_underflow_changes_nothing(classifier):
    expected = clone(classifier).set_params(random_state=0).fit(IDS, CLASSES).predict_proba(IDS)
    with np.errstate(all="raise"):
        fitted = clone(classifier).set_params(random_state=0).fit(IDS, CLASSES)
        np.testing.assert_array_equal(fitted.predict_proba(IDS), expected)
        fitted.predict_log_proba(IDS)
