"""Behaviour of `TextCNNClassifier`: what it learns from, what it answers, what it leaves alone."""

import copy
import inspect
import itertools
import os
import pickle
import random
import subprocess
import sys
import textwrap
import warnings
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from corpora import FIRST_FILLER, LAST_FILLER, keyword_ids, read_only, topic_texts
from scipy import sparse
from scipy.special import expit, log_softmax, softmax
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.utils.class_weight import compute_class_weight

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer, TokenIds, WordVectors
from sklearn_textcnn import classifier as classifier_module
from sklearn_textcnn._linear import (
    NETWORK_SHARE,
    NETWORK_SHARE_WITH_VECTORS,
    fit_linear,
    linear_logits,
)
from sklearn_textcnn._validation import held_out_split

IDS, CLASSES = keyword_ids()
NEW_IDS, NEW_CLASSES = keyword_ids(60, seed=1)
TWO_IDS, TWO_CLASSES = keyword_ids(n_classes=2)
NAMES = np.array(["cooking", "space", "sport"])
# One column per keyword group, several of them in a document.
SEVERAL_IDS = read_only(np.concatenate([IDS, np.roll(IDS, 1, axis=0)], axis=1))
SEVERAL = read_only(np.eye(3, dtype=int)[CLASSES] | np.eye(3, dtype=int)[np.roll(CLASSES, 1)])

SMALL = {
    "embedding_dim": 8,
    "kernel_sizes": (1, 2),
    "filters": 8,
    "dropout": 0.2,
    "epochs": 8,
    "batch_size": 16,
    "learning_rate": 0.03,
    "random_state": 0,
}
# The network of Kim (2014) and nothing else. Where a test asks whether the network learns, the
# linear part would answer for it.
PLAIN = {"linear_ngrams": 0, "token_dropout": 0.0, "average": 0.0}
# So small a step that no weight changes: what is reported belongs to the weights that are kept.
STANDSTILL = {"learning_rate": 1e-30, "dropout": 0.0, "token_dropout": 0.0, "epochs": 1}


def small(**parameters):
    return TextCNNClassifier(**SMALL | parameters)


def standing_still(**parameters):
    return small(**STANDSTILL | parameters)


def flat(weights):
    """All arrays of a fitted network, in one list."""
    arrays = [*weights["embeddings"], *weights["dense_kernels"], *weights["dense_biases"]]
    return arrays + [array for name in ("kernels", "biases") for s in weights[name] for array in s]


def all_arrays(model):
    """Those of the network and of the linear part."""
    return flat(model._weights) + list((model._linear or {}).values())


def same_weights(a, b):
    pairs = zip(all_arrays(a), all_arrays(b), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


def padded(ids, n_columns):
    return np.pad(ids, ((0, 0), (0, n_columns)))


@pytest.fixture(scope="module")
def two():
    return small().fit(TWO_IDS, TWO_CLASSES)


@pytest.fixture(scope="module")
def three():
    return small().fit(IDS, NAMES[CLASSES])


@pytest.fixture(scope="module")
def several():
    return small(**PLAIN, epochs=20).fit(SEVERAL_IDS, SEVERAL)


@pytest.fixture(scope="module")
def keras():
    import keras

    from sklearn_textcnn import training  # noqa: F401  keeps TensorFlow's first words back

    return keras


@pytest.fixture
def train_calls(monkeypatch):
    """What the classifier hands to the trainer: (documents, validation, options) of each fit."""
    from sklearn_textcnn.training import trainer

    calls = []
    train = trainer.train

    def recording(
        architecture, weights, n_ids, multilabel, documents, validation, options, *rest, **kw
    ):
        calls.append((documents, validation, options))
        return train(
            architecture, weights, n_ids, multilabel, documents, validation, options, *rest, **kw
        )

    monkeypatch.setattr(trainer, "train", recording)
    return calls


def run_python(code, *flags, hidden=(), **environment):
    """Run code in a process of its own in which the `hidden` packages cannot be imported."""
    preamble = f"""
        import sys
        class Hidden:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {hidden!r}:
                    raise ModuleNotFoundError(f"{{name}} is hidden")
        sys.meta_path.insert(0, Hidden())
        """
    root = str(Path(__file__).parents[1])
    return subprocess.run(
        [sys.executable, *flags, "-c", textwrap.dedent(preamble) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": root} | environment,
    )


# Parameters


def test_parameters_are_those_of_the_signature():
    signature = inspect.signature(TextCNNClassifier.__init__).parameters
    assert list(TextCNNClassifier().get_params()) == sorted(set(signature) - {"self"})
    assert all(
        parameter.kind is parameter.KEYWORD_ONLY
        for name, parameter in signature.items()
        if name != "self"
    )


def test_init_stores_and_clone_copies():
    given = {name: object() for name in inspect.signature(TextCNNClassifier).parameters}
    classifier = TextCNNClassifier(**given)
    assert vars(classifier) == given
    parameters = {"kernel_sizes": (2, 3), "class_weight": {"a": 2}, "word_vectors": {"w": [1.0]}}
    classifier = TextCNNClassifier(**parameters)
    assert clone(classifier).get_params() == classifier.get_params()
    assert classifier.set_params(filters=3).get_params()["filters"] == 3


def test_clone_of_keras_objects():
    import keras

    classifier = TextCNNClassifier(
        optimizer=keras.optimizers.SGD(0.25, momentum=0.5),
        callbacks=[keras.callbacks.EarlyStopping(patience=7)],
    )
    cloned = clone(classifier).get_params()
    assert cloned["optimizer"].get_config() == classifier.optimizer.get_config()
    assert cloned["callbacks"][0].patience == 7
    plain = {"optimizer": None, "callbacks": None}
    assert cloned | plain == classifier.get_params() | plain
    assert (
        clone(TextCNNClassifier(optimizer=keras.optimizers.Adam)).optimizer is keras.optimizers.Adam
    )


def test_fit_leaves_parameters_alone():
    given = {"kernel_sizes": [1, 2], "filters": np.int64(4), "class_weight": {0: 2.0, 1: 1.0}}
    classifier = small(**given)
    before = copy.deepcopy(classifier.get_params())
    assert classifier.fit(IDS, CLASSES) is classifier
    assert classifier.get_params() == before
    assert classifier.kernel_sizes is given["kernel_sizes"]


# Heads


def test_two_classes(two):
    decisions = two.decision_function(NEW_IDS)
    probabilities = two.predict_proba(NEW_IDS)
    assert decisions.shape == (60,)
    assert probabilities.shape == (60, 2)
    assert decisions.dtype == probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities[:, 1], 1 / (1 + np.exp(-decisions)), rtol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(two.predict(NEW_IDS), (decisions > 0).astype(int))
    assert two.classes_.tolist() == [0, 1]
    new_ids, new_classes = keyword_ids(60, n_classes=2, seed=1)
    assert two.score(new_ids, new_classes) > 0.95
    assert (two.decision_function(new_ids)[new_classes == 1] > 0).mean() > 0.9


def test_three_classes(three):
    decisions = three.decision_function(NEW_IDS)
    probabilities = three.predict_proba(NEW_IDS)
    assert decisions.shape == probabilities.shape == (60, 3)
    assert decisions.dtype == probabilities.dtype == np.float32
    odds = np.exp(decisions - decisions.max(axis=1, keepdims=True))
    np.testing.assert_allclose(probabilities, odds / odds.sum(axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(three.predict(NEW_IDS), NAMES[decisions.argmax(axis=1)])
    assert three.score(NEW_IDS, NAMES[NEW_CLASSES]) > 0.95


def test_several_labels(several):
    decisions = several.decision_function(SEVERAL_IDS)
    probabilities = several.predict_proba(SEVERAL_IDS)
    predicted = several.predict(SEVERAL_IDS)
    assert decisions.shape == probabilities.shape == predicted.shape == SEVERAL.shape
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-decisions)), rtol=1e-5)
    np.testing.assert_array_equal(predicted, probabilities > 0.5)
    assert predicted.dtype.kind == "i"
    assert several.classes_.tolist() == [0, 1, 2]
    assert several.score(SEVERAL_IDS, SEVERAL) > 0.9
    assert several.history_["accuracy"][-1] > 0.8


def test_two_labels_are_not_two_classes():
    model = small(epochs=20).fit(SEVERAL_IDS, SEVERAL[:, :2])
    assert model.decision_function(SEVERAL_IDS).shape == (96, 2)
    assert model.score(SEVERAL_IDS, SEVERAL[:, :2]) > 0.9


@pytest.mark.parametrize(
    "container", [list, pd.DataFrame, sparse.csr_array, lambda y: y.astype(bool), np.asfortranarray]
)
def test_forms_of_several_labels(container):
    model = small(epochs=1).fit(SEVERAL_IDS, container(SEVERAL))
    assert same_weights(model, small(epochs=1).fit(SEVERAL_IDS, SEVERAL))


def test_logarithms_are_finite_where_probabilities_are_zero(two, three, several):
    for model, ids in ((two, TWO_IDS), (three, IDS), (several, SEVERAL_IDS)):
        logarithms = model.predict_log_proba(ids)
        np.testing.assert_allclose(np.exp(logarithms), model.predict_proba(ids), atol=1e-6)
        loud = copy.deepcopy(model)
        loud._weights["dense_kernels"][-1] *= 1000
        assert (loud.predict_proba(ids) == 0).any()
        assert np.isfinite(loud.predict_log_proba(ids)).all()
        assert loud.predict_log_proba(ids).dtype == np.float32


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (NAMES[CLASSES], "U"),
        (NAMES[CLASSES].astype(object), "O"),
        (NAMES[CLASSES].tolist(), "U"),
        (pd.Series(NAMES[CLASSES]), "O"),
        (pd.Series(NAMES[CLASSES]).astype("category"), "O"),
        (CLASSES * 10 - 5, "i"),
        (CLASSES.astype(float), "f"),
        (CLASSES == 1, "b"),
    ],
)
def test_the_users_labels_come_back(labels, kind):
    model = small().fit(IDS, labels)
    assert model.classes_.dtype.kind == model.predict(IDS).dtype.kind == kind
    assert model.classes_.tolist() == sorted(set(np.asarray(labels).tolist()))
    assert (model.predict(IDS) == np.asarray(labels)).mean() > 0.95
    assert set(model.predict(NEW_IDS).tolist()) == set(np.asarray(labels).tolist())


def test_a_column_of_labels_is_taken_with_a_warning():
    from sklearn.exceptions import DataConversionWarning

    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        model = small(epochs=1).fit(IDS, CLASSES[:, None])
    assert same_weights(model, small(epochs=1).fit(IDS, CLASSES))


# Ids and padding


def windows_by_hand(model, ids):
    """Logits of one document, written out: every window, one after the other."""
    weights, a = model._weights, model._architecture
    table = weights["embeddings"][0]
    pooled = []
    for kernels, biases in zip(weights["kernels"], weights["biases"], strict=True):
        kernel, bias = kernels[0], biases[0]
        values = []
        for start in range(len(ids)):
            if ids[start] == 0:
                continue
            total = bias.astype(float)
            for offset in range(len(kernel)):
                if start + offset < len(ids) and ids[start + offset] != 0:
                    total = total + table[ids[start + offset]].astype(float) @ kernel[offset]
            values.append(np.maximum(total, 0))
        pooled.append(np.max(values, axis=0) if values else np.zeros(len(bias)))
    assert a["pooling"] == "max"
    return np.concatenate(pooled) @ weights["dense_kernels"][0] + weights["dense_biases"][0]


def linear_by_hand(linear, ids):
    """Logits of the linear part for one document, n-gram by n-gram."""
    table, pairs = linear["rows"].astype(float), linear["pairs"].tolist()
    n_ids = len(table) - len(pairs)
    ids = [token if token < n_ids else 0 for token in ids.tolist()]
    features = [token for token in ids if token > 1]
    for left, right in itertools.pairwise(ids):
        if left > 1 and right > 1 and left * n_ids + right in pairs:
            features.append(n_ids + pairs.index(left * n_ids + right))
    total, squares = np.zeros(table.shape[1] - 1), 0.0
    for feature, count in Counter(features).items():
        *weights, square = table[feature]
        total += (1 + np.log(count)) * np.array(weights)
        squares += (1 + np.log(count)) ** 2 * square
    return total / np.sqrt(squares or 1) + linear["intercept"]


@pytest.mark.parametrize("linear_ngrams", [0, 1, 2])
def test_decisions_by_hand(linear_ngrams):
    model = small(linear_ngrams=linear_ngrams).fit(IDS, NAMES[CLASSES])
    ids = np.array(NEW_IDS[:20])
    ids[0] = 0
    ids[1, 0] = 0
    ids[2, 2:4] = 0
    by_hand = np.array([windows_by_hand(model, row) for row in ids])
    if linear_ngrams:
        by_hand = NETWORK_SHARE * by_hand + [linear_by_hand(model._linear, row) for row in ids]
    np.testing.assert_allclose(model.decision_function(ids), by_hand, atol=1e-5)


def test_a_document_without_tokens_has_no_features(three):
    empty = np.zeros((1, IDS.shape[1]), dtype=int)
    biases = NETWORK_SHARE * three._weights["dense_biases"][-1] + three._linear["intercept"]
    np.testing.assert_allclose(three.decision_function(empty)[0], biases, atol=1e-6)
    plain = small(**PLAIN, epochs=2).fit(IDS, CLASSES)
    biases = plain._weights["dense_biases"][-1]
    np.testing.assert_allclose(plain.decision_function(empty)[0], biases, atol=1e-7)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"pooling": "max+average", "hidden_units": 5},
        {"conv_layers": 2, "kernel_sizes": 3},
        {"embedding_dim": None, "pooling": "average"},
    ],
    ids=str,
)
def test_an_answer_depends_on_the_document_alone(parameters):
    model = small(**parameters, epochs=2).fit(padded(IDS, 5), CLASSES)
    ids = padded(NEW_IDS, 5)
    together = model.predict_proba(ids)
    alone = np.concatenate([model.predict_proba(row[None]) for row in ids])
    np.testing.assert_array_equal(together, alone)
    many = model.predict_proba(np.tile(ids, (20, 1)))
    np.testing.assert_array_equal(many, np.tile(together, (20, 1)))
    np.testing.assert_array_equal(model.predict_proba(ids[::-1])[::-1], together)
    # the same documents without the padding on their right
    narrow = small(**parameters, epochs=2).fit(IDS, CLASSES)
    assert same_weights(narrow, model)
    np.testing.assert_array_equal(narrow.predict_proba(NEW_IDS), together)


@pytest.mark.parametrize(
    "form",
    [
        np.int64,
        np.int16,
        np.uint8,
        np.float64,
        lambda ids: ids.tolist(),
        lambda ids: ids.astype(object),
        np.asfortranarray,
        pd.DataFrame,
        lambda ids: TokenIds(ids, n_ids=LAST_FILLER + 1),
    ],
)
def test_forms_of_ids(form, three):
    form = (
        form
        if callable(form) and not isinstance(form, type)
        else (form if form is pd.DataFrame else lambda ids, dtype=form: ids.astype(dtype))
    )
    model = small().fit(form(IDS), NAMES[CLASSES])
    assert same_weights(model, three)
    np.testing.assert_array_equal(model.predict_proba(form(NEW_IDS)), three.predict_proba(NEW_IDS))


def test_booleans_are_ids():
    model = small(epochs=1).fit(IDS > 25, CLASSES)
    assert same_weights(model, small(epochs=1).fit((IDS > 25).astype(int), CLASSES))


def test_names_of_columns():
    names = [f"token_{i}" for i in range(IDS.shape[1])]
    frame = pd.DataFrame(IDS, columns=names)
    model = small(epochs=1).fit(frame, CLASSES)
    assert model.feature_names_in_.tolist() == names
    assert model.n_features_in_ == 10
    model.predict(frame)
    assert not hasattr(model.fit(IDS, CLASSES), "feature_names_in_")


@pytest.fixture(scope="module")
def with_unknown():
    """A network whose row of the unknown token was trained."""
    return small(token_dropout=0.3, average=0, epochs=5).fit(
        IDS, CLASSES, X_val=strange_ids(), y_val=NEW_CLASSES
    )


def strange_ids():
    # 19 is below the largest id but in no training document, 999 beyond the table
    assert 19 not in IDS
    ids = np.where(NEW_IDS == FIRST_FILLER, 999, NEW_IDS)
    return np.where(NEW_IDS == FIRST_FILLER + 1, 19, ids)


def test_strange_ids_are_read_as_unknown(with_unknown):
    def answer(token):
        return with_unknown.decision_function(np.full((1, IDS.shape[1]), token))

    for stranger in (19, 999, 2**31 - 2):
        np.testing.assert_array_equal(answer(stranger), answer(1))
    assert not np.allclose(answer(FIRST_FILLER), answer(1))
    assert not np.allclose(answer(1), with_unknown._weights["dense_biases"][-1])


def test_strange_ids_in_validation_count_as_in_prediction(with_unknown):
    expected = loss_by_hand(with_unknown, strange_ids(), NEW_CLASSES)
    assert with_unknown.history_["val_loss"][-1] == pytest.approx(expected, rel=1e-4)


def test_size_of_the_table():
    n_ids = {
        "plain": len(small(epochs=1).fit(IDS, CLASSES)._weights["embeddings"][0]),
        "hashed": len(
            small(epochs=1).fit(TokenIds(IDS, n_ids=77), CLASSES)._weights["embeddings"][0]
        ),
        "words": len(
            small(epochs=1)
            .fit(TokenIds(IDS, vocabulary=list(map(str, range(70)))), CLASSES)
            ._weights["embeddings"][0]
        ),
        "cast": len(
            small(epochs=1).fit(np.array(IDS).view(TokenIds), CLASSES)._weights["embeddings"][0]
        ),
    }
    assert n_ids == {"plain": IDS.max() + 1, "hashed": 77, "words": 72, "cast": IDS.max() + 1}


def test_vocabulary_is_remembered():
    words = [f"w{i}" for i in range(48)]
    assert small(epochs=1).fit(TokenIds(IDS, vocabulary=words), CLASSES).vocabulary_ == tuple(words)
    assert small(epochs=1).fit(IDS, CLASSES).vocabulary_ is None
    assert small(epochs=1).fit(TokenIds(IDS, n_ids=60), CLASSES).vocabulary_ is None


def test_unknown_row_is_zero_until_something_trains_it():
    def unknown_row(ids=IDS, **parameters):
        model = small(epochs=1, **{"token_dropout": 0.0} | parameters).fit(ids, CLASSES)
        return model._weights["embeddings"][0][1]

    assert not unknown_row().any()
    assert unknown_row(token_dropout=0.3).any()
    with_unknown = np.where(IDS == FIRST_FILLER, 1, IDS)
    assert unknown_row(with_unknown).any()


def test_padding_row_is_zero(three):
    assert not three._weights["embeddings"][0][0].any()
    one_hot = small(embedding_dim=None, epochs=1).fit(IDS, CLASSES)
    assert not one_hot._weights["kernels"][0][0][:, 0].any()


# What the loss is made of


def loss_by_hand(model, ids, y, sample_weight=None, smoothing=0.0):
    """Cross-entropy of the fitted weights with smoothed targets, averaged by weight."""
    logits = model.decision_function(ids).astype(float)
    return loss_of_logits(logits, y, sample_weight, smoothing)


def loss_of_logits(logits, y, sample_weight=None, smoothing=0.0):
    logits = logits[:, 0] if logits.shape[1:] == (1,) else logits
    if logits.ndim == 1:
        targets = y * (1 - smoothing) + smoothing / 2
        losses = -(targets * np.log(expit(logits)) + (1 - targets) * np.log(expit(-logits)))
    elif y.ndim == 2:
        targets = y * (1 - smoothing) + smoothing / 2
        losses = -(targets * np.log(expit(logits)) + (1 - targets) * np.log(expit(-logits)))
        losses = losses.mean(axis=1)
    else:
        n_classes = logits.shape[1]
        targets = np.eye(n_classes)[y] * (1 - smoothing) + smoothing / n_classes
        losses = -(targets * log_softmax(logits, axis=1)).sum(axis=1)
    return np.average(losses, weights=sample_weight)


DATA = {"two": (TWO_IDS, TWO_CLASSES), "three": (IDS, CLASSES), "several": (SEVERAL_IDS, SEVERAL)}
# Ordinary steps first, so that the logits differ; then a step that changes nothing.
WARM = {"epochs": 3, "warm_start": True}


def measured(data, sample_weight=None, **parameters):
    """A trained model, and the scores that another fit reports of the weights it starts from."""
    model = small(**PLAIN | WARM).fit(*data)
    model.set_params(**STANDSTILL, **parameters).fit(*data, sample_weight=sample_weight)
    return model, model.history_


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("name", DATA)
def test_loss_and_accuracy(name, smoothing):
    ids, y = DATA[name]
    weights = np.random.default_rng(0).uniform(0.1, 3, len(y))
    model, history = measured(DATA[name], weights, label_smoothing=smoothing)
    expected = loss_by_hand(model, ids, y, weights, smoothing)
    assert history["loss"] == [pytest.approx(expected, rel=1e-4)]
    hits = (model.predict(ids) == y).reshape(len(y), -1).all(axis=1)
    assert history["accuracy"] == [pytest.approx(np.average(hits, weights=weights), rel=1e-5)]


def test_penalty_is_in_the_loss():
    model, history = measured(DATA["three"], l2=0.01)
    kernels = [array for stack in model._weights["kernels"] for array in stack]
    squares = sum((kernel.astype(float) ** 2).sum() for kernel in kernels)
    squares += sum((k.astype(float) ** 2).sum() for k in model._weights["dense_kernels"])
    expected = loss_by_hand(model, IDS, CLASSES) + 0.01 * squares
    assert history["loss"][0] == pytest.approx(expected, rel=1e-4)


def test_penalty_shrinks_the_kernels():
    sizes = [
        sum((k**2).sum() for k in small(l2=l2).fit(IDS, CLASSES)._weights["dense_kernels"])
        for l2 in (0.0, 0.01)
    ]
    assert sizes[1] < 0.7 * sizes[0]


def test_norms_of_the_output_are_limited(three):
    def norms(model):
        return np.linalg.norm(model._weights["dense_kernels"][-1], axis=0)

    assert (norms(three) > 0.8).all()
    # a mean of weights at the limit lies below it
    limited = small(max_norm=0.7, average=0).fit(IDS, NAMES[CLASSES])
    assert (norms(limited) < 0.7 + 1e-5).all()
    assert norms(limited).max() > 0.69


def test_dropout_only_happens_in_training():
    weights = [small(dropout=rate, epochs=1).fit(IDS, CLASSES) for rate in (0.0, 0.6)]
    assert not same_weights(*weights)
    np.testing.assert_array_equal(
        weights[1].predict_proba(NEW_IDS), weights[1].predict_proba(NEW_IDS)
    )


# Weights of documents and classes


WEIGHTS = read_only(np.random.default_rng(3).uniform(0.2, 2, len(IDS)))
CLASS_WEIGHT = {"cooking": 3.0, "space": 0.5, "sport": 1.0}


def test_class_weight_multiplies_sample_weight_in_a_copy():
    labels = NAMES[CLASSES]
    both = small(class_weight=CLASS_WEIGHT).fit(IDS, labels, sample_weight=WEIGHTS)
    product = WEIGHTS * np.array([CLASS_WEIGHT[label] for label in labels])
    assert same_weights(both, small().fit(IDS, labels, sample_weight=product))
    assert not same_weights(both, small().fit(IDS, labels, sample_weight=WEIGHTS))
    writable = WEIGHTS.copy()
    small(class_weight=CLASS_WEIGHT, epochs=1).fit(IDS, labels, sample_weight=writable)
    np.testing.assert_array_equal(writable, WEIGHTS)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("weight", [1e-50, 1e-42, 1e38, 1e60])
def test_weights_that_are_no_numbers_of_the_network(method, weight):
    model, weights = small(epochs=1), np.full(len(IDS), weight)
    classes = {"classes": [0, 1, 2]} if method == "partial_fit" else {}
    with pytest.raises(ValueError, match="Divide sample_weight by its mean"):
        getattr(model, method)(IDS, CLASSES, sample_weight=weights, **classes)
    getattr(model, method)(IDS, CLASSES, sample_weight=weights / weights.mean(), **classes)


def test_balanced_class_weight():
    uneven = np.flatnonzero((CLASSES != 2) | (np.arange(len(CLASSES)) % 4 == 0))
    ids, y = IDS[uneven], CLASSES[uneven]
    by_formula = len(y) / (3 * np.bincount(y))
    balanced = small(class_weight="balanced").fit(ids, y)
    assert same_weights(balanced, small().fit(ids, y, sample_weight=by_formula[y]))
    np.testing.assert_allclose(
        by_formula, compute_class_weight("balanced", classes=np.unique(y), y=y)
    )


def test_classes_that_are_not_named_weigh_one():
    some = small(class_weight={1: 4.0}, epochs=1).fit(IDS, CLASSES)
    every = small(class_weight={0: 1, 1: 4, 2: 1}, epochs=1).fit(IDS, CLASSES)
    assert same_weights(some, every)


@pytest.mark.parametrize("parameters", [{}, {"class_weight": "balanced", "early_stopping": True}])
def test_documents_of_weight_zero_are_left_out(parameters):
    rng = np.random.default_rng(0)
    noise = rng.integers(FIRST_FILLER, LAST_FILLER + 1, IDS.shape)
    ids = np.concatenate([noise, IDS])[rng.permutation(2 * len(IDS))]
    shuffled = np.random.default_rng(0)
    shuffled.integers(FIRST_FILLER, LAST_FILLER + 1, IDS.shape)
    order = shuffled.permutation(2 * len(IDS))
    y = np.concatenate([CLASSES[::-1], CLASSES])[order]
    weights = np.concatenate([np.zeros(len(IDS)), WEIGHTS])[order]
    kept = weights > 0
    with_zeros = small(**parameters).fit(ids, y, sample_weight=weights)
    without = small(**parameters).fit(ids[kept], y[kept], sample_weight=weights[kept])
    assert same_weights(with_zeros, without)
    assert with_zeros.history_ == without.history_


def test_a_class_whose_documents_weigh_nothing_stays_a_class():
    model = small().fit(IDS, CLASSES, sample_weight=(CLASSES != 1).astype(float))
    assert model.classes_.tolist() == [0, 1, 2]
    assert 1 not in model.predict(NEW_IDS)
    model.set_params(class_weight="balanced", epochs=1)
    model.fit(IDS, CLASSES, sample_weight=(CLASSES != 1).astype(float))
    assert model.classes_.tolist() == [0, 1, 2]


def test_a_number_weighs_all_documents():
    assert same_weights(
        small(epochs=1).fit(IDS, CLASSES, sample_weight=2.0),
        small(epochs=1).fit(IDS, CLASSES, sample_weight=np.full(len(IDS), 2.0)),
    )


# Validation


@pytest.fixture(scope="module")
def noisy_validation():
    return np.where(np.arange(len(NEW_CLASSES)) % 5, NEW_CLASSES, 0)


def test_early_stopping_keeps_the_best_weights(noisy_validation):
    model = small(epochs=40, early_stopping=True, patience=2)
    model.fit(IDS, CLASSES, X_val=NEW_IDS, y_val=noisy_validation)
    losses = model.history_["val_loss"]
    assert model.best_epoch_ == np.argmin(losses) + 1
    assert model.n_iter_ == len(losses) == model.best_epoch_ + 2 < 40
    assert {len(values) for values in model.history_.values()} == {model.n_iter_}
    kept = loss_by_hand(model, NEW_IDS, noisy_validation)
    assert kept == pytest.approx(min(losses), rel=1e-4)
    accuracy = model.history_["val_accuracy"][model.best_epoch_ - 1]
    assert model.score(NEW_IDS, noisy_validation) == pytest.approx(accuracy)


def test_epochs_may_end_before_patience_does(noisy_validation):
    model = small(epochs=3, early_stopping=True, patience=50, learning_rate=0.3)
    model.fit(IDS, CLASSES, X_val=NEW_IDS, y_val=noisy_validation)
    assert model.n_iter_ == 3
    best = min(model.history_["val_loss"])
    assert loss_by_hand(model, NEW_IDS, noisy_validation) == pytest.approx(best, rel=1e-4)


def test_validation_without_early_stopping_is_only_recorded(noisy_validation):
    # the scores of an epoch are those of its own weights, not of a mean
    plain = small(average=0).fit(IDS, CLASSES)
    watched = small(average=0).fit(IDS, CLASSES, X_val=NEW_IDS, y_val=noisy_validation)
    assert same_weights(plain, watched)
    assert plain.history_ == {name: watched.history_[name] for name in ("loss", "accuracy")}
    assert sorted(watched.history_) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert loss_by_hand(watched, NEW_IDS, noisy_validation) == pytest.approx(
        watched.history_["val_loss"][-1], rel=1e-4
    )
    assert watched.best_epoch_ == np.argmin(watched.history_["val_loss"]) + 1
    assert plain.best_epoch_ is None
    assert watched.n_iter_ == 8


@pytest.mark.parametrize("name", DATA)
def test_validation_of_every_head(name):
    ids, y = DATA[name]
    model = standing_still(
        **PLAIN | {"label_smoothing": 0.2, "l2": 0.1, "early_stopping": True}
    ).fit(ids, y, X_val=ids[:50], y_val=y[:50])
    # cross-entropy alone: neither smoothing nor penalty
    assert model.history_["val_loss"] == [
        pytest.approx(loss_by_hand(model, ids[:50], y[:50]), rel=1e-4)
    ]


def test_validation_labels_may_lack_classes_and_come_in_any_form():
    some = NEW_CLASSES != 1
    model = small(epochs=1).fit(
        IDS, NAMES[CLASSES], X_val=NEW_IDS[some].tolist(), y_val=NAMES[NEW_CLASSES[some]].tolist()
    )
    expected = log_loss(NAMES[NEW_CLASSES[some]], model.predict_proba(NEW_IDS[some]), labels=NAMES)
    assert model.history_["val_loss"][0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.filterwarnings("error")
def test_few_validation_labels_of_many_classes_are_no_regression():
    y = np.arange(len(IDS)) // 2
    small(epochs=1).fit(IDS, y, X_val=IDS[::2], y_val=y[::2])
    small().partial_fit(IDS[::2], y[::2], classes=np.unique(y))


def test_split_is_stratified_shuffled_seeded_and_weighted(train_calls):
    uneven = np.flatnonzero((CLASSES != 2) | (np.arange(len(CLASSES)) % 4 == 0))
    ids, y, weights = IDS[uneven], CLASSES[uneven], WEIGHTS[uneven]
    parameters = {"epochs": 1, "early_stopping": True, "validation_fraction": 0.25}
    class_weight = {0: 1.0, 1: 2.0, 2: 5.0}
    for seed in (0, 0, 1):
        small(**parameters | {"random_state": seed}, class_weight=class_weight).fit(
            ids, y, sample_weight=weights
        )
    (documents, validation, _), (_, again, _), (_, other, _) = train_calls
    n_held_out = -(-len(y) // 4)
    assert (len(validation.ids), len(documents.ids)) == (n_held_out, len(y) - n_held_out)
    counts = validation.targets.sum(axis=0)
    np.testing.assert_allclose(counts, np.bincount(y) * n_held_out / len(y), atol=1)
    np.testing.assert_array_equal(validation.ids, again.ids)
    assert not np.array_equal(validation.ids, other.ids)
    assert not np.array_equal(validation.ids, ids[-n_held_out:])
    # together they are all documents, each with its own label and weight
    by_weight = np.argsort(np.concatenate([documents.weights, validation.weights]))
    expected = weights * np.array([class_weight[label] for label in y])
    order = np.argsort(expected)
    for name, rows in (
        ("ids", ids),
        ("targets", np.eye(3)[y]),
        ("weights", expected.astype(np.float32)),
    ):
        both = np.concatenate([getattr(documents, name), getattr(validation, name)])
        np.testing.assert_array_equal(both[by_weight], rows[order])


def test_validation_documents_replace_the_split(train_calls):
    small(epochs=1, early_stopping=True, class_weight={0: 9.0}).fit(
        IDS, CLASSES, X_val=NEW_IDS, y_val=NEW_CLASSES
    )
    ((documents, validation, _),) = train_calls
    assert len(documents.ids) == len(IDS)
    np.testing.assert_array_equal(validation.ids, NEW_IDS)
    np.testing.assert_array_equal(validation.weights, 1)  # neither sample nor class weights


def test_documents_alone_in_their_class_stay_in_training():
    y = np.array([0] * 20 + [1] * 20 + [2, 3])
    rows = np.arange(len(y))
    for seed in range(5):
        train, held_out = held_out_split(rows, y, 0.2, np.random.default_rng(seed))
        assert {40, 41} <= set(train)
        np.testing.assert_array_equal(np.sort(np.concatenate([train, held_out])), rows)
        assert len(held_out) == 9
        assert set(y[held_out]) == {0, 1}
    alone = np.concatenate([CLASSES, [7]])
    ids = np.concatenate([IDS, IDS[:1]])
    assert small(early_stopping=True, epochs=1).fit(ids, alone).classes_.tolist() == [0, 1, 2, 7]


def test_split_of_several_labels_has_no_strata(train_calls):
    y = SEVERAL.copy()
    y[:, 2] = 0
    y[0, 2] = 1  # could not be stratified
    small(epochs=1, early_stopping=True).fit(SEVERAL_IDS, y)
    ((documents, validation, _),) = train_calls
    assert (len(validation.ids), len(documents.ids)) == (10, 86)
    assert not np.array_equal(validation.ids, SEVERAL_IDS[-10:])


# Averaging


def mean_of(models):
    return [
        np.mean(arrays, axis=0) for arrays in zip(*(flat(m._weights) for m in models), strict=True)
    ]


def assert_weights(model, arrays):
    for found, expected in zip(flat(model._weights), arrays, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("parameters", [{}, {"conv_layers": 2}], ids=["fused", "Keras"])
@pytest.mark.parametrize(
    ("share", "n_averaged"), [(0.5, 3), (0.41, 3), (0.4, 2), (0.2, 1), (1, 5), (1e-9, 1), (0, 1)]
)
def test_average_is_the_mean_of_the_last_epochs(share, n_averaged, parameters, after_epochs):
    model = small(**parameters, average=share, epochs=5).fit(IDS, CLASSES)
    each = after_epochs(**parameters)
    assert_weights(model, mean_of(each[-n_averaged:]))
    # the scores are those of the epochs, each with its own weights
    assert model.history_ == each[-1].history_
    if n_averaged > 1:
        last = each[-1].decision_function(IDS)
        assert not np.allclose(model.decision_function(IDS), last, atol=1e-2)
    else:
        assert same_weights(model, each[-1])


@pytest.fixture(scope="module")
def after_epochs():
    """Networks after 1, 2, ... 5 epochs of one and the same training."""
    kept = {}

    def fit(**parameters):
        key = tuple(parameters)
        if key not in kept:
            fits = (small(**parameters, average=0, epochs=n).fit(IDS, CLASSES) for n in range(1, 6))
            kept[key] = list(fits)
        return kept[key]

    return fit


def test_a_callback_that_stops_training_decides_about_the_weights(keras):
    class Stop(keras.callbacks.Callback):
        def __init__(self, after):
            super().__init__()
            self.after = after

        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch + 1 == self.after

    stopped = small(average=1, epochs=5, callbacks=[Stop(4)]).fit(IDS, CLASSES)
    assert stopped.n_iter_ == 4
    last = small(average=0, epochs=4, callbacks=[Stop(9)]).fit(IDS, CLASSES)
    assert same_weights(stopped, last)


def test_going_on_with_another_linear_part_is_refused():
    model = small(warm_start=True, epochs=1).fit(IDS, CLASSES)
    with pytest.raises(ValueError, match="linear_ngrams 0 now, 2 before"):
        model.set_params(linear_ngrams=0).fit(IDS, CLASSES)


def test_early_stopping_and_streams_have_no_average(noisy_validation):
    validation = {"X_val": NEW_IDS, "y_val": noisy_validation}
    stopped = [
        small(average=share, early_stopping=True).fit(IDS, CLASSES, **validation)
        for share in (0, 1)
    ]
    assert same_weights(*stopped)
    assert same_weights(streamed(2, average=1), streamed(2, average=0))


def test_warm_start_goes_on_from_the_mean():
    model = small(epochs=4, warm_start=True).fit(IDS, CLASSES)
    before = copy.deepcopy(model)
    model.set_params(**STANDSTILL).fit(IDS, CLASSES)
    assert_weights(model, flat(before._weights))


# The linear part


@pytest.fixture(scope="module")
def awkward():
    """New documents with all that a document may be, 10 columns wide."""
    ids = strange_ids().copy()
    ids[0] = 0
    ids[1, 1:] = 0
    ids[2, 3:5] = 0
    ids[3, 0] = 0
    ids[4, ::2] = 0
    ids[5, 2:4] = 19, 999
    ids[6] = 2**31 - 2
    ids[7] = 1
    ids[8] = ids[8, 0]
    ids[9, :4] = ids[9, 0], ids[9, 1], ids[9, 0], ids[9, 1]  # a pair counts once
    return ids


@pytest.mark.parametrize("linear_ngrams", [1, 2])
@pytest.mark.parametrize("name", DATA)
def test_linear_part_of_the_keras_model(name, linear_ngrams, awkward):
    ids, y = DATA[name]
    model = small(linear_ngrams=linear_ngrams, epochs=3).fit(ids, y)
    assert len(model._linear["rows"]) - len(model._linear["pairs"]) == 50
    assert (len(model._linear["pairs"]) > 20) == (linear_ngrams == 2)
    awkward = padded(awkward, ids.shape[1] - awkward.shape[1])

    def expected(ids):
        return model.predict_proba(ids)[:, 1:] if name == "two" else model.predict_proba(ids)

    keras_model = model.to_keras()
    for given in (awkward, padded(awkward, 3), awkward[:1], ids):
        found = keras_model(given).numpy()
        np.testing.assert_allclose(found, expected(given[:, : ids.shape[1]]), atol=1e-5)
    for width in (1, 2):
        narrow = np.zeros_like(awkward)
        narrow[:, :width] = awkward[:, :width]
        found = keras_model(awkward[:, :width]).numpy()
        np.testing.assert_allclose(found, expected(narrow), atol=1e-5)
    # it is there, and no small part of the answer
    without = copy.deepcopy(model)
    without._linear = None
    assert np.abs(without.decision_function(awkward) - model.decision_function(awkward)).max() > 0.5


@pytest.mark.parametrize("linear_ngrams", [0, 1, 2])
def test_documents_of_one_token(linear_ngrams):
    ids, y = np.repeat(np.arange(2, 11), 6)[:, None], np.repeat([0, 1, 2], 18)
    model = small(linear_ngrams=linear_ngrams).fit(ids, y)
    assert model.score(ids, y) == 1
    awkward = np.array([[0], [1], [2], [5], [11], [999]])
    expected = model.predict_proba(awkward)
    np.testing.assert_allclose(model.to_keras()(awkward).numpy(), expected, atol=1e-5)
    np.testing.assert_array_equal(expected[4:], expected[[1, 1]])


@pytest.mark.parametrize("linear_ngrams", [1, 2])
def test_documents_of_unknown_tokens(linear_ngrams):
    """Nothing for the linear part to learn from."""
    ids = np.array(IDS > 0, dtype=int)
    model = small(linear_ngrams=linear_ngrams, epochs=1).fit(ids, CLASSES)
    assert not model._linear["rows"].any()
    assert model.predict_proba(ids).shape == (96, 3)


def pairs_in_order(n_documents, seed):
    """Documents whose class is the order of two tokens, 2 and 3, 4 and 5, or 6 and 7."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(2, size=n_documents)
    ids = rng.integers(FIRST_FILLER, LAST_FILLER + 1, (n_documents, 8))
    for row, label in zip(ids, classes, strict=True):
        first = 2 * rng.integers(1, 4)
        place = rng.integers(7)
        row[place : place + 2] = (first, first + 1) if label else (first + 1, first)
    return ids, classes


def test_what_only_pairs_decide():
    """Windows of one token and weights of tokens see the same in both orders."""
    train, test = pairs_in_order(200, seed=0), pairs_in_order(200, seed=1)
    scores = [
        small(kernel_sizes=1, linear_ngrams=n, filters=4).fit(*train).score(*test) for n in (1, 2)
    ]
    assert scores[0] < 0.65
    assert scores[1] > 0.95


def test_network_adds_to_the_linear_part():
    """Pairs are beyond a linear part of tokens, and beyond a network of windows of one token."""
    train, test = pairs_in_order(200, seed=0), pairs_in_order(200, seed=1)
    scores = [
        small(kernel_sizes=k, linear_ngrams=1, epochs=20).fit(*train).score(*test) for k in (1, 2)
    ]
    assert scores[0] < 0.65
    assert scores[1] > 0.9


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("name", DATA)
def test_loss_beside_the_linear_part(name, smoothing):
    """In training that of the network alone, on validation documents that of the answers."""
    ids, y = DATA[name]
    y = y.copy()
    y[::4] = np.roll(y, 1, axis=0)[::4]  # what is easy has losses of nearly nothing
    model = small(**WARM).fit(ids, y)
    model.set_params(**STANDSTILL, label_smoothing=smoothing)
    model.fit(ids, y, X_val=ids[:50], y_val=y[:50])
    expected = loss_of_logits(model._forward().logits(ids), y, smoothing=smoothing)
    assert model.history_["loss"] == [pytest.approx(expected, rel=1e-4)]
    expected = loss_by_hand(model, ids[:50], y[:50])
    assert model.history_["val_loss"] == [pytest.approx(expected, rel=1e-4)]


def test_linear_part_has_not_seen_what_is_held_out(train_calls, monkeypatch):
    received = []

    def recording(ids, *rest):
        received.append(ids)
        return fit_linear(ids, *rest)

    monkeypatch.setattr(classifier_module, "fit_linear", recording)
    model = small(epochs=1, early_stopping=True).fit(IDS, CLASSES)
    ((documents, validation, _),) = train_calls
    np.testing.assert_array_equal(documents.ids, received[0])
    assert len(received[0]) == 86
    assert documents.added is None
    np.testing.assert_allclose(
        validation.added, linear_logits(model._linear, validation.ids), atol=1e-6
    )
    # nor when training goes on
    model.set_params(warm_start=True).fit(IDS, CLASSES)
    np.testing.assert_array_equal(train_calls[1][0].ids, received[1])


def test_linear_part_in_later_calls():
    """It stays in `partial_fit`, and is that of the new documents after a further `fit`."""
    low = IDS.max(axis=1) < 48
    model = small(warm_start=True, average=0, token_dropout=0).fit(IDS[low], CLASSES[low])
    before = copy.deepcopy(model)
    for call, n_ids in (model.partial_fit, 48), (model.fit, 50):
        call(IDS, CLASSES)
        assert not np.array_equal(model._weights["dense_kernels"], before._weights["dense_kernels"])
        linear = model._linear
        assert [len(model._known), len(linear["rows"]) - len(linear["pairs"])] == [50, n_ids]
        np.testing.assert_allclose(
            model.to_keras()(NEW_IDS), model.predict_proba(NEW_IDS), atol=1e-5
        )
        if n_ids == 48:
            for now, then in zip(linear.values(), before._linear.values(), strict=True):
                np.testing.assert_array_equal(now, then)
    twin = small(epochs=1).fit(IDS, CLASSES)
    of_both = [linear_logits(m._linear, IDS).ravel() for m in (model, twin)]
    assert np.corrcoef(of_both)[0, 1] > 0.99


def test_stream_has_no_linear_part():
    model = streamed(2)
    assert model._linear is None
    assert same_weights(model, streamed(2, linear_ngrams=0))
    np.testing.assert_array_equal(
        model.decision_function(NEW_IDS), model._forward().logits(np.array(NEW_IDS))
    )


def test_copies_with_the_linear_part(awkward):
    model = small(warm_start=True).fit(IDS, CLASSES)
    twin = pickle.loads(pickle.dumps(model))
    assert same_weights(model, twin)
    np.testing.assert_array_equal(twin.predict_proba(awkward), model.predict_proba(awkward))
    assert clone(model).get_params() == model.get_params()
    assert same_weights(clone(model).fit(IDS, CLASSES), model)


def test_plain_network_has_no_linear_part():
    model = small(**PLAIN, epochs=1).fit(IDS, CLASSES)
    assert model._linear is None
    again = small(epochs=1).fit(IDS, CLASSES).set_params(**PLAIN).fit(IDS, CLASSES)
    assert again._linear is None
    assert same_weights(again, model)


# partial_fit and warm_start


def batches(n=6):
    return [(IDS[rows], CLASSES[rows]) for rows in np.array_split(np.arange(len(IDS)), n)]


def streamed(n_passes=1, classes=(0, 1, 2), **parameters):
    model = small(**parameters)
    for X, y in batches() * n_passes:
        model.partial_fit(X, y, classes=classes)
    return model


def test_stream_learns():
    model = streamed(n_passes=6, **PLAIN)
    assert model.score(NEW_IDS, NEW_CLASSES) > 0.95
    assert model.n_iter_ == 36
    assert len(model.history_["loss"]) == len(model.history_["accuracy"]) == 36
    assert np.mean(model.history_["loss"][-6:]) < 0.5 * np.mean(model.history_["loss"][:6])
    assert model.best_epoch_ is None


def test_streams_are_equal_between_runs():
    assert same_weights(streamed(2), streamed(2))
    assert not same_weights(streamed(2), streamed(2, random_state=1))


def test_stream_has_one_pass_whatever_epochs_says(capsys):
    assert same_weights(streamed(epochs=50, verbose=1), streamed())
    assert capsys.readouterr().out == ""


def test_random_stream_goes_on_over_calls():
    # without dropout the batches alone would be drawn; a generator made anew repeats itself
    once, twice = small(**STANDSTILL), small(**STANDSTILL)
    once.partial_fit(IDS, CLASSES, classes=[0, 1, 2])
    twice.partial_fit(IDS, CLASSES, classes=[0, 1, 2]).partial_fit(IDS, CLASSES)
    assert once._random_stream_state != twice._random_stream_state
    fitted = small(epochs=2, warm_start=True).fit(IDS, CLASSES)
    state = fitted._random_stream_state
    assert fitted.fit(IDS, CLASSES)._random_stream_state != state


def test_state_of_the_optimizer_goes_on_over_calls():
    model = small().partial_fit(IDS, CLASSES, classes=[0, 1, 2])
    without_state = pickle.loads(pickle.dumps(model))
    assert same_weights(model, without_state)
    model.partial_fit(IDS, CLASSES)
    without_state.partial_fit(IDS, CLASSES)
    assert not same_weights(model, without_state)
    assert model in classifier_module._optimizer_states
    # a fit from scratch forgets it
    assert model.fit(IDS, CLASSES) not in classifier_module._optimizer_states
    assert same_weights(model, small().fit(IDS, CLASSES))


def test_stream_may_change_its_rate_and_its_optimizer(keras):
    for optimizer in ("adam", keras.optimizers.Adam):
        model = small(optimizer=optimizer, token_dropout=0)
        model.partial_fit(IDS, CLASSES, classes=[0, 1, 2])
        before = copy.deepcopy(model)
        assert same_weights(model.set_params(learning_rate=1e-30).partial_fit(IDS, CLASSES), before)
    model.set_params(optimizer="sgd", learning_rate=0.5)
    assert not same_weights(model.partial_fit(IDS, CLASSES), before)


# With 32 filters of two sizes there are as many features as rows in a table of 50 ids.
@pytest.mark.parametrize("filters", [8, 32])
@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.5), ("adam", 0.03)])
def test_four_calls_equal_four_epochs(optimizer, rate, filters):
    """Batches that hold everything: the order of the documents, all that differs, cannot matter."""
    parameters = {"dropout": 0.0, "learning_rate": rate, "batch_size": 96, "filters": filters}
    parameters |= PLAIN
    stream = small(**parameters, optimizer=optimizer)
    for _ in range(4):
        stream.partial_fit(IDS, CLASSES, classes=[0, 1, 2])
    fit = small(**parameters, optimizer=optimizer, epochs=4).fit(IDS, CLASSES)
    np.testing.assert_allclose(fit.predict_proba(IDS), stream.predict_proba(IDS), atol=1e-4)
    np.testing.assert_allclose(fit.history_["loss"], stream.history_["loss"], rtol=1e-4)


@pytest.mark.parametrize("embedding_dim", [8, None])
def test_table_grows_with_plain_ids(embedding_dim):
    low = IDS.max(axis=1) < 48
    model = small(embedding_dim=embedding_dim).partial_fit(
        IDS[low], CLASSES[low], classes=[0, 1, 2]
    )
    assert len(model._known) == 48
    answer = model.predict_proba(NEW_IDS)
    assert model.predict_proba(IDS).shape == (96, 3)  # the others are unknown as yet
    model.set_params(learning_rate=1e-30).partial_fit(IDS, CLASSES)
    assert len(model._known) == 50
    table = model._weights["embeddings"][0] if embedding_dim else model._weights["kernels"][0][0][0]
    assert len(table) == 50
    assert table[[48, 49]].any(axis=1).all()
    # old ids have kept their rows
    old = NEW_IDS.max(axis=1) < 48
    np.testing.assert_allclose(model.predict_proba(NEW_IDS)[old], answer[old], atol=1e-6)


def test_hashed_stream_of_texts():
    texts, labels = topic_texts(120)
    new_texts, new_labels = topic_texts(60, seed=1)
    vectorizer = TextVectorizerTransformer(hash_buckets=500, max_length=12)
    model = small(**PLAIN)
    for start in range(0, 360, 20):
        part = slice(start % 120, start % 120 + 20)
        ids = vectorizer.transform(texts[part])
        model.partial_fit(ids, labels[part], classes=np.unique(labels))
    assert model.score(vectorizer.transform(new_texts), new_labels) > 0.9
    assert len(model._known) == vectorizer.transform(texts[:1]).n_ids


def test_stream_goes_on_after_fit():
    model = small(epochs=3).fit(IDS, CLASSES, X_val=NEW_IDS, y_val=NEW_CLASSES)
    before = model.history_
    best_epoch = model.best_epoch_
    model.partial_fit(IDS, CLASSES)
    assert model.n_iter_ == 4
    assert model.history_["loss"][:3] == before["loss"]
    assert model.history_["val_loss"] == before["val_loss"]
    assert model.best_epoch_ == best_epoch
    assert len(before["loss"]) == 3


def test_stream_of_several_labels():
    model = small(**PLAIN)
    for start in list(range(0, 96, 16)) * 12:
        part = slice(start, start + 16)
        model.partial_fit(SEVERAL_IDS[part], SEVERAL[part])
    assert model.score(SEVERAL_IDS, SEVERAL) > 0.9


def test_stream_takes_weights_and_batches_of_one_class():
    model = small(class_weight={0: 2.0, 1: 1.0, 2: 1.0})
    weights = np.ones(len(IDS))
    weights[::2] = 0
    one = CLASSES == 0
    model.partial_fit(IDS[one], CLASSES[one], classes=[0, 1, 2], sample_weight=weights[one])
    kept = one & (weights > 0)
    twin = small().partial_fit(
        IDS[kept], CLASSES[kept], classes=[0, 1, 2], sample_weight=np.full(kept.sum(), 2.0)
    )
    np.testing.assert_array_equal(model.predict_proba(NEW_IDS), twin.predict_proba(NEW_IDS))


def test_warm_start_goes_on():
    model = small(**WARM).fit(IDS, CLASSES)
    first = model.history_["loss"]
    model.fit(IDS, CLASSES)
    assert model.n_iter_ == len(model.history_["loss"]) == 3
    assert model.history_["loss"][0] < first[-1] * 1.05 < first[0]
    again = small(**WARM).fit(IDS, CLASSES).fit(IDS, CLASSES)
    assert same_weights(model, again)
    assert not same_weights(small(epochs=3).fit(IDS, CLASSES).fit(IDS, CLASSES), model)


def test_warm_start_goes_on_from_the_state_of_the_optimizer():
    model = small(**WARM).fit(IDS, CLASSES)
    without_state = pickle.loads(pickle.dumps(model))
    assert same_weights(model, without_state)
    assert not same_weights(model.fit(IDS, CLASSES), without_state.fit(IDS, CLASSES))


def test_warm_start_refuses_word_vectors_that_it_would_not_read():
    model = small(**WARM).fit(IDS, CLASSES)
    before = model.predict_proba(IDS)
    model.set_params(word_vectors=np.ones((50, 8)))
    with pytest.raises(ValueError, match="word_vectors 'ndarray' now, None before"):
        model.fit(IDS, CLASSES)
    np.testing.assert_array_equal(model.predict_proba(IDS), before)


def test_warm_start_from_the_weights_at_hand():
    model = small(**WARM, linear_ngrams=0).fit(IDS, CLASSES)
    before = copy.deepcopy(model)
    model.set_params(**STANDSTILL).fit(IDS, CLASSES)
    assert same_weights(model, before)


@pytest.mark.parametrize("pretrained", [False, True])
def test_network_with_word_vectors_has_a_larger_say(pretrained):
    vectors = np.random.default_rng(0).normal(size=(50, 8)) if pretrained else None
    model = small(word_vectors=vectors, epochs=1).fit(IDS, CLASSES)
    share = NETWORK_SHARE_WITH_VECTORS if pretrained else NETWORK_SHARE
    expected = share * model._forward().logits(IDS) + linear_logits(model._linear, IDS)
    np.testing.assert_allclose(model.decision_function(IDS), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("n_samples", "epochs"), [(10, 25), (500, 25), (9600, 10), (10**6, 3)])
def test_epochs_by_themselves(n_samples, epochs):
    assert classifier_module._enough_epochs(n_samples) == epochs


def test_epochs_by_default():
    model = small(epochs="auto").fit(IDS, CLASSES)
    assert model.n_iter_ == 25


def test_cold_start_repeats_itself(three):
    again = small().fit(IDS, NAMES[CLASSES]).fit(IDS, NAMES[CLASSES])
    assert same_weights(again, three)
    assert again.predict(NEW_IDS).tolist() == three.predict(NEW_IDS).tolist()
    other = again.fit(TWO_IDS[:, :8], TWO_CLASSES)
    np.testing.assert_array_equal(
        other.predict_proba(TWO_IDS[:, :8]),
        clone(other).fit(TWO_IDS[:, :8], TWO_CLASSES).predict_proba(TWO_IDS[:, :8]),
    )
    assert other.classes_.tolist() == [0, 1]
    assert other.n_features_in_ == 8


# Callbacks, optimizers, progress


# Keras 3.15 asks NumPy 2.4 for arrays in an old way where it reads learning rates and saves.
keras_makes_arrays = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def test_callbacks_are_copied_and_never_trained_with(keras):
    class Witness(keras.callbacks.Callback):
        calls = []

        def __init__(self):
            super().__init__()
            self.here = []

        def on_epoch_end(self, epoch, logs=None):
            self.here.append(epoch)
            Witness.calls.append((epoch, sorted(logs), self.model.count_params()))

        def on_train_batch_end(self, batch, logs=None):
            Witness.calls.append("batch")

    witness = Witness()
    for callbacks in ([witness], witness, (witness,)):
        Witness.calls.clear()
        model = small(epochs=2, callbacks=callbacks).fit(
            IDS, CLASSES, X_val=NEW_IDS, y_val=NEW_CLASSES
        )
        assert Witness.calls.count("batch") == 12
        epochs = [call for call in Witness.calls if call != "batch"]
        assert [epoch for epoch, _, _ in epochs] == [0, 1]
        assert epochs[0][1] == ["accuracy", "loss", "val_accuracy", "val_loss"]
        assert epochs[0][2] == sum(array.size for array in flat(model._weights))
        assert witness.here == []
        assert witness.model is None
    # callbacks bring in Keras' own step, which rounds differently
    alone = small(epochs=2).fit(IDS, CLASSES)
    np.testing.assert_allclose(model.predict_proba(IDS), alone.predict_proba(IDS), atol=1e-4)
    assert clone(model).callbacks[0].here == []


@keras_makes_arrays
def test_callbacks_steer(keras):
    stopping = keras.callbacks.EarlyStopping(monitor="loss", min_delta=1e6, patience=2)
    assert small(epochs=9, callbacks=stopping).fit(IDS, CLASSES).n_iter_ == 3
    standstill = keras.callbacks.LearningRateScheduler(lambda epoch: 0.0 if epoch else 0.03)
    scheduled = small(epochs=4, callbacks=[standstill]).fit(IDS, CLASSES)
    once = small(epochs=1, callbacks=[keras.callbacks.Callback()]).fit(IDS, CLASSES)
    assert same_weights(scheduled, once)


def test_scores_that_callbacks_add_are_in_the_history(keras):
    class Scorer(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["f1"] = epoch / 2

    model = small(epochs=3, callbacks=[Scorer()]).fit(IDS, CLASSES)
    assert list(model.history_) == ["loss", "accuracy", "f1"]
    assert model.history_["f1"] == [0.0, 0.5, 1.0]
    model.partial_fit(IDS, CLASSES)
    assert model.history_["f1"] == [0.0, 0.5, 1.0, 0.0]


def test_a_pickle_holds_no_network_after_callbacks(keras):
    model = small(epochs=1, callbacks=[keras.callbacks.EarlyStopping(monitor="loss")])
    model.fit(IDS, CLASSES)
    assert len(pickle.dumps(model)) < 30_000
    assert "model" not in {name for name, value in vars(model.callbacks[0]).items() if value}


def test_keras_optimizers(keras):
    optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
    config = optimizer.get_config()
    model = small(**PLAIN, optimizer=optimizer, learning_rate=1e-9).fit(IDS, CLASSES)
    assert not optimizer.built
    assert optimizer.get_config() == config
    assert model.score(NEW_IDS, NEW_CLASSES) > 0.7  # it has a rate of its own
    assert same_weights(model, clone(model).fit(IDS, CLASSES))
    by_class = small(optimizer=keras.optimizers.SGD, learning_rate=0.5).fit(IDS, CLASSES)
    by_name = small(optimizer="sgd", learning_rate=0.5).fit(IDS, CLASSES)
    np.testing.assert_allclose(by_class.predict_proba(IDS), by_name.predict_proba(IDS), atol=1e-4)
    still = small(optimizer=keras.optimizers.SGD, learning_rate=1e-30, dropout=0, epochs=1)
    assert not same_weights(still.fit(IDS, CLASSES), by_class)


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [("adam", 0.03), ("adamw", 0.03), ("sgd", 0.5), ("adagrad", 0.2), ("rmsprop", 0.02)],
)
def test_every_optimizer_learns(optimizer, rate):
    model = small(**PLAIN, optimizer=optimizer, learning_rate=rate, epochs=15).fit(IDS, CLASSES)
    assert model.score(NEW_IDS, NEW_CLASSES) > 0.9


def test_progress_is_one_line(capsys):
    small(verbose=1, epochs=3).fit(IDS, CLASSES, X_val=NEW_IDS, y_val=NEW_CLASSES)
    printed = capsys.readouterr()
    (line,) = printed.out.splitlines()
    assert line.startswith("epoch 3/3 [####################]")
    for score in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert f" {score} " in line
    assert printed.err == ""
    small(epochs=1).fit(IDS, CLASSES)
    assert capsys.readouterr() == ("", "")


def test_history_is_built_in_types(three):
    assert list(three.history_) == ["loss", "accuracy"]
    for values in three.history_.values():
        assert [type(value) for value in values] == [float] * 8
    assert type(three.n_iter_) is int
    assert three.n_iter_ == 8
    assert three.history_["loss"][-1] < three.history_["loss"][0]


# Randomness


@pytest.mark.parametrize(
    "parameters",
    [
        {"token_dropout": 0.2, "early_stopping": True},
        {"pooling": "max+average", "conv_layers": 2, "hidden_units": (6,)},
        {"embedding_dim": None, "kernel_sizes": (3, 4, 5), "filters": 100},
        {"embedding_dim": 64, "kernel_sizes": (3, 4, 5), "filters": 100},
        {
            "word_vectors": read_only(np.random.default_rng(0).normal(size=(50, 5))),
            "embedding_mode": "multichannel",
        },
    ],
    ids=["token dropout", "stacked", "one-hot", "wide", "multichannel"],
)
def test_equal_seeds_give_equal_bits(parameters):
    ids, y = np.tile(IDS, (6, 1)), np.tile(CLASSES, 6)
    first, second = (small(**parameters, epochs=2).fit(ids, y) for _ in range(2))
    assert same_weights(first, second)
    assert first.history_ == second.history_
    other = small(**parameters | {"random_state": 1}, epochs=2).fit(ids, y)
    assert not same_weights(first, other)


def test_kinds_of_random_state():
    def fit(random_state):
        return small(epochs=1, random_state=random_state).fit(IDS, CLASSES)

    assert same_weights(fit(np.random.RandomState(3)), fit(np.random.RandomState(3)))
    assert not same_weights(fit(np.random.RandomState(3)), fit(np.random.RandomState(4)))
    one = np.random.RandomState(3)
    assert not same_weights(fit(one), fit(one))  # its state moves on, as everywhere
    assert not same_weights(fit(None), fit(None))
    assert same_weights(fit(np.int64(5)), fit(5))


def test_global_random_states_are_left_alone(keras):
    import tensorflow as tf

    def draws():
        return [
            random.random(),
            np.random.random(),  # noqa: NPY002
            tf.random.uniform(()).numpy().item(),
        ]

    def fit():
        model = small(epochs=2, token_dropout=0.1, filters=7, early_stopping=True)
        model.fit(IDS, CLASSES).predict(NEW_IDS)
        model.to_keras()
        model.set_params(early_stopping=False).partial_fit(IDS, CLASSES)
        small(epochs=1, optimizer=keras.optimizers.Adam).fit(IDS, CLASSES)

    from tensorflow.python.framework import config

    deterministic = config.is_op_determinism_enabled()
    keras.utils.set_random_seed(7)
    expected = draws() + draws()
    keras.utils.set_random_seed(7)
    found = draws()
    fit()
    assert found + draws() == expected
    assert config.is_op_determinism_enabled() == deterministic


def test_results_do_not_depend_on_the_global_random_state():
    np.random.seed(1)  # noqa: NPY002
    first = small(epochs=1).fit(IDS, CLASSES)
    np.random.seed(2)  # noqa: NPY002
    assert same_weights(first, small(epochs=1).fit(IDS, CLASSES))


# The caller's arrays, and what happens when a fit goes wrong


def test_inputs_are_never_written_to():
    arrays = {
        "X": read_only(IDS),
        "y": read_only(CLASSES),
        "sample_weight": read_only(np.ones(len(IDS))),
        "X_val": read_only(NEW_IDS),
        "y_val": read_only(NEW_CLASSES),
    }
    before = {name: array.copy() for name, array in arrays.items()}
    vectors = read_only(np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32))
    vectors_before = vectors.copy()
    model = small(
        epochs=1,
        token_dropout=0.5,
        class_weight="balanced",
        word_vectors=vectors,
        embedding_mode="multichannel",
    )
    model.fit(**arrays)
    model.set_params(class_weight=None).partial_fit(arrays["X"], arrays["y"])
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        getattr(model, method)(arrays["X_val"])
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name])
    np.testing.assert_array_equal(vectors, vectors_before)
    small(epochs=1).fit(SEVERAL_IDS, SEVERAL)


@pytest.mark.parametrize("method", ["fit", "warm fit", "partial_fit"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_fit_changes_nothing(keras, error, method):
    class Bomb(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                raise error("in the middle")

    model = small(epochs=2, warm_start=method == "warm fit").fit(IDS, NAMES[CLASSES])
    expected, history = model.predict_proba(NEW_IDS), model.history_
    twin = copy.deepcopy(model)
    model.set_params(callbacks=[Bomb()])
    arguments = {
        "fit": (TWO_IDS[:, :7], TWO_CLASSES),
        "warm fit": (IDS, NAMES[CLASSES]),
        "partial_fit": (IDS, NAMES[CLASSES]),
    }[method]
    with pytest.raises(error, match="in the middle"):
        getattr(model, method.removeprefix("warm "))(*arguments)
    np.testing.assert_array_equal(model.predict_proba(NEW_IDS), expected)
    assert model.history_ is history
    assert model.classes_.tolist() == NAMES.tolist()
    assert same_weights(model, twin)
    # and it can go on
    model.set_params(callbacks=None)
    assert model.fit(IDS, NAMES[CLASSES]).score(NEW_IDS, NAMES[NEW_CLASSES]) > 0.3


def test_a_first_fit_that_fails_leaves_nothing():
    model = small()
    before = vars(model).copy()
    with pytest.raises(ValueError, match="Negative values"):
        model.fit(np.where(IDS == IDS.max(), -1, IDS), CLASSES)
    assert vars(model) == before


# Pretrained vectors


WORDS = tuple(f"w{i}" for i in range(48))
WORD_IDS = TokenIds(IDS, vocabulary=WORDS)
VECTORS = read_only(np.random.default_rng(0).normal(0, 0.4, (50, 6)).astype(np.float32))
BY_TOKEN = {word: VECTORS[i + 2] for i, word in enumerate(WORDS) if i != 20}
SOURCES = {
    "matrix": (VECTORS, IDS),
    "mapping": (BY_TOKEN, WORD_IDS),
    "WordVectors": (WordVectors(BY_TOKEN), WORD_IDS),
}


@pytest.mark.parametrize("mode", ["static", "non-static", "multichannel"])
@pytest.mark.parametrize("source", SOURCES)
def test_word_vectors(source, mode):
    vectors, ids = SOURCES[source]
    model = small(**PLAIN, word_vectors=vectors, embedding_mode=mode, filters=32, epochs=30)
    model.fit(ids, CLASSES)
    tables = model._weights["embeddings"]
    assert [table.shape for table in tables] == [(50, 6)] * (2 if mode == "multichannel" else 1)
    rows = np.setdiff1d(np.unique(IDS), [0, 22])  # token w20 has no vector in the mapping
    if mode != "non-static":
        np.testing.assert_array_equal(tables[0][rows], VECTORS[rows])
    if mode != "static":
        assert (tables[-1][rows] != VECTORS[rows]).any(axis=1).all()
        assert np.abs(tables[-1][rows] - VECTORS[rows]).max() < 1.5
    # six random numbers for each word are not much to go by when they may not change
    assert model.score(NEW_IDS, NEW_CLASSES) > (0.5 if mode == "static" else 0.8)
    assert same_weights(model, clone(model).fit(ids, CLASSES))
    model.set_params(word_vectors=None)
    assert model.predict_proba(ids).shape == (96, 3)


def test_words_outside_training_keep_their_vectors():
    vectors = np.concatenate([VECTORS, np.full((3, 6), 2.0, dtype=np.float32)])
    model = small(word_vectors=vectors, epochs=1).fit(IDS, CLASSES)
    unseen = np.setdiff1d(np.arange(2, 53), IDS)
    assert {50, 51, 52} < set(unseen)
    np.testing.assert_array_equal(model._weights["embeddings"][0][unseen], vectors[unseen])
    with_vector, unknown = np.full((1, 10), 51), np.full((1, 10), 53)
    assert not np.allclose(model.decision_function(with_vector), model.decision_function(unknown))


def test_words_without_a_vector_are_drawn_like_the_others():
    few = {word: vector + 5 for word, vector in list(BY_TOKEN.items())[10:]}
    model = standing_still(word_vectors=few, embedding_mode="static").fit(WORD_IDS, CLASSES)
    drawn = np.intersect1d(np.unique(IDS), np.arange(2, 12))
    assert 4 < model._weights["embeddings"][0][drawn].mean() < 6
    assert model._weights["embeddings"][0][drawn].std() > 0.1


# Of ids 2, 3 and 4: twice, twice and once; the unknown token once.
FEW_IDS = read_only(np.array([[2, 3, 3, 1], [4, 2, 0, 0]]))


@pytest.mark.parametrize(
    ("tokens", "of_tokens", "of_words"),
    [("abc", 1, 5 / 6), ("ab", 2 / 3, 4 / 6), ("ac", 2 / 3, 3 / 6), ("abx", 2 / 3, 4 / 6)],
)
def test_coverage(tokens, of_tokens, of_words):
    vectors = {token: VECTORS[i] for i, token in enumerate(tokens)}
    model = small(word_vectors=vectors, epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # half of the running words are enough
        model.fit(TokenIds(FEW_IDS, vocabulary=("a", "b", "c")), [0, 1])
    assert model.coverage_ == pytest.approx({"tokens": of_tokens, "running words": of_words})
    assert {type(share) for share in model.coverage_.values()} == {float}
    assert not hasattr(model.set_params(word_vectors=None).fit(FEW_IDS, [0, 1]), "coverage_")


def test_coverage_of_a_matrix():
    # it has a row for the unknown token, which still stands for no word in particular
    model = small(word_vectors=VECTORS[:5], epochs=1).fit(FEW_IDS, [0, 1])
    assert model.coverage_ == pytest.approx({"tokens": 1, "running words": 5 / 6})
    with pytest.warns(UserWarning, match=r"a vector for 0% of the running words"):
        model.fit(np.full((2, 3), 1), [0, 1])
    assert model.coverage_ == {"tokens": 0, "running words": 0}


def test_coverage_counts_what_is_trained_on():
    ids = TokenIds(np.concatenate([FEW_IDS, [[4, 4, 4, 4]]]), vocabulary=("a", "b", "c"))
    model = small(word_vectors=dict(zip("ab", VECTORS, strict=False)), epochs=1)
    model.fit(ids, [0, 1, 0], sample_weight=[1, 1, 0], X_val=ids, y_val=[0, 1, 0])
    assert model.coverage_ == pytest.approx({"tokens": 2 / 3, "running words": 4 / 6})


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_vectors_of_other_words_are_mentioned(method):
    model = small(word_vectors={"b": [1.0, 2.0], "x": [2.0, 1.0]}, epochs=1)
    more = {"classes": [0, 1]} if method == "partial_fit" else {}
    message = (
        r"word_vectors has a vector for 33% of the running words in the training documents; the "
        r"others start at random\. Check that the vectors are of the language of the texts and "
        r"tokenised alike \(case, word pieces, punctuation\)\."
    )
    with pytest.warns(UserWarning, match=message) as caught:
        getattr(model, method)(TokenIds(FEW_IDS, vocabulary=("a", "b", "c")), [0, 1], **more)
    assert [warning.filename for warning in caught] == [__file__]
    assert model.coverage_ == pytest.approx({"tokens": 1 / 3, "running words": 2 / 6})


# to_keras


ARCHITECTURES = [
    {},
    {"pooling": "average", "linear_ngrams": 1},
    {"linear_ngrams": 0},
    {"pooling": "max+average", "activation": "tanh", "hidden_units": (6, 4)},
    {"conv_layers": 2, "kernel_sizes": (2, 3), "filters": (5, 7)},
    {"conv_layers": 3, "pool_size": 3, "pooling": "max+average", "activation": "linear"},
    {"embedding_dim": None, "kernel_sizes": (1, 4)},
    {"embedding_dim": None, "conv_layers": 2, "pooling": "average"},
    {"word_vectors": VECTORS, "embedding_mode": "static"},
    {"word_vectors": VECTORS, "embedding_mode": "multichannel", "conv_layers": 2},
]


@pytest.mark.parametrize(
    "parameters", ARCHITECTURES, ids=lambda p: "-".join(map(str, p)) or "plain"
)
def test_keras_model_gives_the_same_answers(parameters, keras):
    model = small(**parameters, epochs=2).fit(IDS, CLASSES)
    ids = np.array(NEW_IDS)
    ids[0] = 0  # nothing
    ids[1, 1:] = 0  # shorter than a kernel
    ids[2, 3:5] = 0  # padding in the middle
    ids[3, 0] = 0
    ids[4, 2] = 19  # in no training document
    ids[5, 2] = 77  # beyond the table
    keras_model = model.to_keras()
    assert isinstance(keras_model, keras.Model)
    expected = model.predict_proba(ids)
    np.testing.assert_allclose(keras_model(ids).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(keras_model(padded(ids, 7)).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(keras_model(ids[:1]).numpy(), expected[:1], atol=1e-5)


def test_keras_model_of_every_head(two, several):
    np.testing.assert_allclose(
        two.to_keras()(TWO_IDS).numpy(), two.predict_proba(TWO_IDS)[:, 1:], atol=1e-5
    )
    np.testing.assert_allclose(
        several.to_keras()(SEVERAL_IDS).numpy(), several.predict_proba(SEVERAL_IDS), atol=1e-5
    )


@keras_makes_arrays
def test_keras_model_is_a_new_one_that_can_be_trained(three, keras):
    model = three.to_keras()
    assert model is not three.to_keras()
    model.compile(keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
    before = three.predict_proba(NEW_IDS)
    model.fit(np.array(IDS), CLASSES[::-1].copy(), epochs=3, verbose=0)
    np.testing.assert_array_equal(three.predict_proba(NEW_IDS), before)
    assert not np.allclose(model(NEW_IDS).numpy(), before, atol=1e-3)


@keras_makes_arrays
def test_saved_keras_model_loads_without_this_package(tmp_path):
    stacked = small(
        epochs=1, conv_layers=2, pooling="max+average", hidden_units=4, kernel_sizes=(2, 3)
    ).fit(IDS, CLASSES)
    one_hot = small(epochs=1, embedding_dim=None).fit(IDS, CLASSES)
    ids = np.array(NEW_IDS)
    ids[0] = 0
    for name, model in (("stacked", stacked), ("one_hot", one_hot)):
        model.to_keras().save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.npy", model.predict_proba(ids))
    np.save(tmp_path / "ids.npy", ids)
    code = f"""
        import os, keras, numpy as np
        os.chdir({str(tmp_path)!r})
        for name in ("stacked", "one_hot"):
            model = keras.models.load_model(name + ".keras")
            found = model.predict(np.load("ids.npy"), verbose=0)
            print(np.abs(found - np.load(name + ".npy")).max() < 1e-5)
        try:
            import sklearn_textcnn
        except ModuleNotFoundError:
            print("hidden")
        """
    run = run_python(code, hidden=("sklearn_textcnn",))
    assert run.stdout.split() == ["True", "True", "hidden"], run.stderr


def test_the_network_of_the_tutorials(keras):
    """Embedding, Conv1D, GlobalMaxPooling1D, Dense, Dense: the same weights, the same answers."""
    classifier = TextCNNClassifier(
        kernel_sizes=5, filters=128, hidden_units=64, dropout=0.0, **PLAIN, epochs=2, random_state=0
    )
    rng = np.random.default_rng(0)
    ids = rng.integers(2, 60, (80, 20))
    y = np.resize([0, 1, 2], 80)
    classifier.fit(ids, y)
    weights = classifier._weights
    layers = keras.layers
    written_out = keras.Sequential(
        [
            keras.Input((24,), dtype="int32"),
            layers.Embedding(60, 128),
            layers.Conv1D(128, 5, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(64, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    arrays = [
        weights["embeddings"][0],
        weights["kernels"][0][0],
        weights["biases"][0][0],
        weights["dense_kernels"][0],
        weights["dense_biases"][0],
        weights["dense_kernels"][1],
        weights["dense_biases"][1],
    ]
    assert [tuple(v.shape) for v in written_out.weights] == [array.shape for array in arrays]
    written_out.set_weights(arrays)
    assert not arrays[0][0].any()
    ours = classifier.to_keras()
    assert ours.count_params() == written_out.count_params() == sum(a.size for a in arrays)
    kinds = (layers.Embedding, layers.Conv1D, layers.GlobalMaxPooling1D, layers.Dense)

    def kinds_of(model):
        return [type(layer) for layer in model.layers if isinstance(layer, kinds)]

    assert kinds_of(ours) == kinds_of(written_out)
    for got, array in zip(ours.get_weights(), arrays, strict=True):
        np.testing.assert_array_equal(got, array)
    # windows of five reach four positions past the last token: exactly four padding zeros
    expected = written_out.predict(padded(ids, 4), verbose=0)
    np.testing.assert_allclose(classifier.predict_proba(ids), expected, atol=1e-5)
    np.testing.assert_allclose(ours(padded(ids, 4)).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(
        expected, softmax(classifier.decision_function(ids), axis=1), atol=1e-5
    )


# Saving, other processes


def test_state_is_arrays_and_built_in_types(three):
    allowed = (np.ndarray, dict, list, tuple, str, int, float, bool, type(None))

    def visit(value, where):
        assert type(value) in allowed or isinstance(value, np.generic), where
        parts = value.values() if isinstance(value, dict) else value
        for part in parts if isinstance(value, (dict, list, tuple)) else ():
            visit(part, where)

    for name, value in vars(three).items():
        visit(value, name)
    n_bytes = sum(array.nbytes for array in all_arrays(three))
    assert len(pickle.dumps(three)) < n_bytes + 6000


def test_tables_and_optimizer_states_are_not_pickled():
    model = small().partial_fit(IDS, CLASSES, classes=[0, 1, 2])
    size = len(pickle.dumps(model))
    model.predict(np.tile(IDS, (50, 1)))
    assert len(pickle.dumps(model)) == size
    assert not any("forward" in name or "optimizer_" in name for name in vars(model))


def test_copies_give_the_same_answers(three, tmp_path):
    joblib.dump(three, tmp_path / "model.joblib")
    for twin in (
        pickle.loads(pickle.dumps(three)),
        copy.deepcopy(three),
        joblib.load(tmp_path / "model.joblib"),
        joblib.load(tmp_path / "model.joblib", mmap_mode="r"),
    ):
        np.testing.assert_array_equal(twin.predict_proba(NEW_IDS), three.predict_proba(NEW_IDS))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_skops(tmp_path):
    sio = pytest.importorskip("skops.io")
    texts, labels = topic_texts(60)
    pipeline = make_pipeline(TextVectorizerTransformer(), small(epochs=1)).fit(texts, labels)
    for model, arguments in ((pipeline, texts), (pipeline[-1], pipeline[:-1].transform(texts))):
        sio.dump(model, tmp_path / "model.skops")
        unknown = sio.get_untrusted_types(file=tmp_path / "model.skops")
        assert all(name.startswith("sklearn_textcnn.") for name in unknown), unknown
        loaded = sio.load(tmp_path / "model.skops", trusted=unknown)
        np.testing.assert_array_equal(
            loaded.predict_proba(arguments), model.predict_proba(arguments)
        )


def test_a_pickled_pipeline_needs_no_tensorflow(tmp_path):
    texts, labels = topic_texts(60)
    pipeline = make_pipeline(TextVectorizerTransformer(), small(hidden_units=4)).fit(texts, labels)
    joblib.dump((pipeline, texts, pipeline.predict_proba(texts)), tmp_path / "model.joblib")
    code = f"""
        import joblib, numpy as np
        pipeline, texts, expected = joblib.load({str(tmp_path / "model.joblib")!r})
        np.testing.assert_array_equal(pipeline.predict_proba(texts), expected)
        print(*pipeline.predict(texts[:3]), pipeline[-1].n_iter_)
        page = pipeline._repr_html_()
        print("TextCNNClassifier" in page and "TextVectorizerTransformer" in page)
        try:
            pipeline.fit(texts, pipeline.predict(texts))
        except ModuleNotFoundError as error:
            print(error)
        print(sum(name.startswith(("tensorflow", "keras", "scikeras")) for name in sys.modules))
        """
    run = run_python(code, "-W", "error", hidden=("tensorflow", "keras", "scikeras"))
    assert run.stderr == ""
    predicted, page, error, n_modules = run.stdout.splitlines()
    assert predicted.split() == [*pipeline.predict(texts[:3]), "8"]
    assert page == "True"
    assert "is hidden" in error
    assert n_modules == "0"


def test_html_repr(three):
    page = three._repr_html_()
    assert "TextCNNClassifier" in page
    assert "Traceback" not in page
    assert not hasattr(three, "model_")


QUIET = """
    import numpy as np
    from sklearn.pipeline import make_pipeline
    from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
    rng = np.random.default_rng(0)
    small = dict(embedding_dim=8, filters=4, epochs=2, batch_size=16)
    words = np.array("a fine dull film plot day with some of the".split())
    for n, n_classes, n_words in ((20, 2, 3), (70, 3, 30), (41, 3, 5)):
        texts = [" ".join(rng.choice(words, rng.integers(1, n_words + 1))) for _ in range(n)]
        y = np.resize(np.arange(n_classes), n)
        for more in (dict(), dict(early_stopping=True, pooling="max+average", conv_layers=2)):
            model = make_pipeline(
                TextVectorizerTransformer(), TextCNNClassifier(**small | more)
            ).fit(texts, y)
            model.predict_proba(texts)
            model.predict(["something else"])
    ids = model[:-1].transform(texts)
    model[-1].set_params(early_stopping=False).partial_fit(ids, y)
    model[-1].to_keras()
    indicators = rng.integers(0, 2, (len(texts), 3))
    TextCNNClassifier(**small).fit(ids, indicators).predict(ids)
    """


def test_nothing_is_printed():
    run = run_python(QUIET, "-W", "default")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.slow
def test_what_others_print_while_tensorflow_is_imported_is_passed_on():
    code = """
        class Loud:
            def find_spec(self, name, path=None, target=None):
                if name == "scikeras.wrappers":
                    print("a word of warning", file=sys.stderr, flush=True)
        sys.meta_path.insert(0, Loud())
        import numpy as np
        from sklearn_textcnn import TextCNNClassifier
        TextCNNClassifier(epochs=1, filters=2).fit(np.array([[2, 3], [3, 2]] * 4), [0, 1] * 4)
        """
    run = run_python(code)
    assert (run.returncode, run.stderr) == (0, "a word of warning\n")


def test_training_asks_for_tensorflow_and_predicting_does_not(tmp_path, three):
    joblib.dump((three, NEW_IDS, three.predict(NEW_IDS)), tmp_path / "model.joblib")
    # no other backend needs to be installed for Keras to name one
    code = f"""
        import joblib, keras
        keras.backend.backend = lambda: "jax"
        model, ids, expected = joblib.load({str(tmp_path / "model.joblib")!r})
        for attempt in range(2):
            try:
                model.fit(ids, expected)
            except ImportError as error:
                print(error)
        print((model.predict(ids) == expected).all())
        """
    run = run_python(code)
    first, second, last = run.stdout.splitlines()
    assert last == "True"
    assert first == second
    assert first.startswith(
        "TextCNNClassifier trains with Keras on TensorFlow, but Keras runs on 'j"
    )
    assert "KERAS_BACKEND=tensorflow" in first


def test_global_settings_of_keras_change_nothing(three, keras):
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        keras.config.set_floatx("float16")
        model = small(filters=(8, 9)).fit(IDS, NAMES[CLASSES])
        outputs = model.to_keras()(NEW_IDS).numpy()
    finally:
        keras.config.set_dtype_policy(policy)
        keras.config.set_floatx(floatx)
    assert same_weights(model, small(filters=(8, 9)).fit(IDS, NAMES[CLASSES]))
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, model.predict_proba(NEW_IDS), atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_is_flat_over_two_hundred_fits():
    """Fits of two architectures in turn: the one in NumPy, and one that is compiled once.

    From the 100th to the 200th the resident set grew by 0.9 MiB when this was written. Kept from
    every fit, a table of the size used here would add 38 MiB and a compiled network more than 50.
    """
    code = """
        import os
        import numpy as np
        from sklearn_textcnn import TextCNNClassifier
        ids = np.random.default_rng(0).integers(2, 30, (12, 6))
        ids[0, 0] = 2000
        for i in range(200):
            pooling = "max+average" if i % 2 else "max"
            model = TextCNNClassifier(
                embedding_dim=50, kernel_sizes=(1, 2), filters=4, pooling=pooling, epochs=1
            )
            model.fit(ids, np.arange(12) % 2).predict(ids)
            if i % 100 == 99:
                with open("/proc/self/statm") as file:
                    print(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        """
    run = run_python(code)
    assert (run.returncode, run.stderr) == (0, "")
    half, whole = map(int, run.stdout.split())
    assert whole - half < 5 * 2**20


@pytest.mark.slow
def test_every_combination_of_parameters_fits():
    sides = [{}, {"embedding_dim": None}] + [
        {"word_vectors": VECTORS, "embedding_mode": mode}
        for mode in ("static", "non-static", "multichannel")
    ]
    bodies = itertools.product(
        sides, (1, 2), ("max", "average", "max+average"), ("relu", "tanh"), ((), 5)
    )
    for side, conv_layers, pooling, activation, hidden_units in bodies:
        model = small(
            **side,
            conv_layers=conv_layers,
            pooling=pooling,
            activation=activation,
            hidden_units=hidden_units,
            epochs=2,
            token_dropout=0.1,
            max_norm=3,
            l2=1e-4,
            label_smoothing=0.1,
        ).fit(IDS, CLASSES)
        found = model.to_keras()(NEW_IDS).numpy()
        np.testing.assert_allclose(found, model.predict_proba(NEW_IDS), atol=1e-5)
