"""Behaviour of `TextCNNClassifier`: parameters, heads and labels."""

import copy
import inspect

import numpy as np
import pandas as pd
import pytest
from classifiers import (
    CLASSES,
    IDS,
    NAMES,
    NEW_CLASSES,
    NEW_IDS,
    SEVERAL,
    SEVERAL_IDS,
    TWO_IDS,
    both_count,
    same_weights,
    small,
)
from corpora import keyword_ids
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier

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


def test_html_repr(three):
    page = three._repr_html_()
    assert "TextCNNClassifier" in page
    assert "Traceback" not in page
    assert not hasattr(three, "model_")


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
        loud = both_count(copy.deepcopy(model))
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


@pytest.mark.parametrize("kind", [dict, list])
def test_many_vectors_are_displayed_at_once(kind):
    """By themselves and in an estimator around."""

    class Slow:
        """A vector that nobody should print."""

        def __repr__(self):
            raise AssertionError("printed")

    vectors = {f"w{i}": Slow() for i in range(3000)}
    vectors = vectors if kind is dict else list(vectors.values())
    classifier = TextCNNClassifier(epochs=3, word_vectors=vectors)
    summary = f"<{kind.__name__} of 3,000 vectors>"
    text = f"TextCNNClassifier(epochs=3, word_vectors={summary})"
    assert repr(classifier) == str(classifier) == text
    for estimator in (classifier, make_pipeline(classifier), GridSearchCV(classifier, {})):
        assert summary in "".join(repr(estimator).split("\n"))
        assert f"{kind.__name__} of 3,000 vectors" in estimator._repr_html_()
    assert classifier.get_params()["word_vectors"] is classifier.word_vectors is vectors
