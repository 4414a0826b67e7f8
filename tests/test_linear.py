"""`NgramLinearClassifier`: its public face."""

import itertools
import pickle

import numpy as np
import pytest
from corpora import keyword_ids, topic_texts
from scipy.special import expit, log_softmax, softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from sklearn_textcnn import (
    NgramLinearClassifier,
    TextCNNClassifier,
    TextVectorizerTransformer,
    TokenIds,
)
from sklearn_textcnn import linear as linear_module

IDS, CLASSES = keyword_ids()
NEW_IDS, NEW_CLASSES = keyword_ids(60, seed=1)
NAMES = np.array(["cooking", "space", "sport"])
SEVERAL = np.eye(3, dtype=int)[CLASSES] | np.eye(3, dtype=int)[np.roll(CLASSES, 1)]
SEVERAL_IDS = np.concatenate([IDS, np.roll(IDS, 1, axis=0)], axis=1)
DATA = {
    "two": (IDS, CLASSES == 1),
    "three": (IDS, NAMES[CLASSES]),
    "several": (SEVERAL_IDS, SEVERAL),
}


def linear(**parameters):
    return NgramLinearClassifier(**{"random_state": 0} | parameters)


def same(a, b):
    return all(np.array_equal(a._tables[name], b._tables[name]) for name in a._tables)


@pytest.fixture(scope="module")
def fitted():
    return linear().fit(IDS, NAMES[CLASSES])


@pytest.mark.parametrize("name", DATA)
def test_answers_come_from_the_logits(name):
    ids, y = DATA[name]
    model = linear().fit(ids, y)
    logits, probabilities = model.decision_function(ids), model.predict_proba(ids)
    logarithms = model.predict_log_proba(ids)
    for array in (logits, probabilities, logarithms):
        assert array.dtype == np.float32
    np.testing.assert_allclose(np.exp(logarithms), probabilities, rtol=1e-5)
    if name == "two":
        assert logits.shape == (96,)
        np.testing.assert_allclose(probabilities[:, 1], expit(logits), rtol=1e-6)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_array_equal(model.predict(ids), logits > 0)
    elif name == "three":
        assert logits.shape == (96, 3)
        np.testing.assert_allclose(probabilities, softmax(logits, axis=1), rtol=1e-5)
        np.testing.assert_allclose(logarithms, log_softmax(logits, axis=1), rtol=1e-5)
        np.testing.assert_array_equal(model.predict(ids), NAMES[logits.argmax(axis=1)])
    else:
        assert logits.shape == (96, 3)
        np.testing.assert_allclose(probabilities, expit(logits), rtol=1e-6)
        np.testing.assert_array_equal(model.predict(ids), logits > 0)
        np.testing.assert_array_equal(model.classes_, [0, 1, 2])
    np.testing.assert_array_equal(model.decision_function(ids[:1])[0], logits[0])
    assert (model.predict(ids) == y).mean() > 0.95


@pytest.mark.parametrize("ngrams", [1, 2])
@pytest.mark.parametrize("name", DATA)
def test_weights_give_the_decisions(name, ngrams):
    """The formula of the docstring."""
    ids, y = DATA[name]
    model = linear(ngrams=ngrams).fit(ids, y)
    places = {feature: i for i, feature in enumerate(model.get_feature_names_out())}
    counts = np.zeros((len(NEW_IDS), len(places)))
    new_ids = np.pad(NEW_IDS, ((0, 0), (0, ids.shape[1] - NEW_IDS.shape[1])))
    for row, document in zip(counts, new_ids.tolist(), strict=True):
        pairs = itertools.pairwise(document)
        for name_ in [f"#{token}" for token in document] + [f"#{a} #{b}" for a, b in pairs]:
            if name_ in places:
                row[places[name_]] += 1
    assert any(" " in name for name in places) == (ngrams == 2)
    tf = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0)
    norms = np.linalg.norm(model.idf_ * tf, axis=1, keepdims=True)
    assert (norms > 0).all()
    logits = tf @ model.coef_.T / norms + model.intercept_
    expected = model.decision_function(new_ids).reshape(logits.shape)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert model.coef_.shape == (logits.shape[1], len(places)) == (len(model.intercept_), len(tf.T))


def test_names_of_features():
    texts, labels = topic_texts()
    vectorizer = TextVectorizerTransformer()
    pipeline = make_pipeline(vectorizer, linear()).fit(texts, labels)
    names = pipeline.get_feature_names_out()
    words = {word for text in texts for word in text.split()}
    pairs = {" ".join(pair) for text in texts for pair in itertools.pairwise(text.split())}
    assert set(names) == words | pairs
    assert len(names) == len(words | pairs) == pipeline[-1].coef_.shape[1]
    assert pipeline[-1].vocabulary_ == vectorizer.transform(texts).vocabulary
    best = names[pipeline[-1].coef_.argmax(axis=1)].tolist()
    for topic, word in zip(pipeline.classes_, best, strict=True):
        assert pipeline.predict([word]) == [topic]


@pytest.mark.parametrize("name", DATA)
def test_cv_decisions_are_by_machines_that_have_not_seen_the_document(name):
    """With labels of chance, what has seen a document knows its label, and nothing else does."""
    rng = np.random.default_rng(0)
    ids, y = rng.integers(2, 200, (300, 8)), rng.integers(2, size=(300, 3))
    y = y if name == "several" else y.sum(axis=1) if name == "three" else y[:, 0]
    model = linear(store_cv_decisions=True).fit(ids, y)
    decisions = model.cv_decisions_
    assert decisions.shape == (300, 1 if name == "two" else 4 if name == "three" else 3)
    predicted = decisions.argmax(axis=1) if name == "three" else decisions > 0
    right = predicted == y.reshape(predicted.shape)
    assert right.mean() < 0.6
    assert (model.predict(ids) == y).mean() > 0.9
    assert not hasattr(model.set_params(store_cv_decisions=False).fit(ids, y), "cv_decisions_")


def test_cv_decisions_know_what_can_be_learned():
    model = linear(store_cv_decisions=True).fit(IDS, CLASSES)
    assert (model.cv_decisions_.argmax(axis=1) == CLASSES).mean() > 0.9


def test_cv_decisions_that_there_are_not():
    weights = np.ones(len(IDS))
    weights[[3, 7]] = 0
    classes = np.append(CLASSES, 3)  # one document of its class
    ids, weights = np.concatenate([IDS, NEW_IDS[:1]]), np.append(weights, 1)
    model = linear(store_cv_decisions=True).fit(ids, classes, weights)
    missing = np.isnan(model.cv_decisions_)
    np.testing.assert_array_equal(np.flatnonzero(missing.any(axis=1)), [3, 7, 96])
    np.testing.assert_array_equal(missing.all(axis=1), missing.any(axis=1))


@pytest.mark.parametrize("name", DATA)
def test_documents_of_weight_zero_are_left_out(name):
    """With the largest id, too, which makes every number of a pair another one."""
    ids, y = DATA[name]
    some = linear(store_cv_decisions=True).fit(ids[1:], y[1:])
    with_more = ids.copy()
    with_more[0] = 500
    all_of_them = linear(store_cv_decisions=True).fit(with_more, y, np.arange(96) > 0)
    assert same(some, all_of_them)
    np.testing.assert_array_equal(some.cv_decisions_, all_of_them.cv_decisions_[1:])


def test_ids_that_no_document_holds_change_nothing(fitted):
    for n_ids in (50, 501):
        assert same(linear().fit(TokenIds(IDS, n_ids=n_ids), NAMES[CLASSES]), fitted)
    wider = np.pad(IDS, ((0, 0), (0, 3)))
    assert same(linear().fit(wider, NAMES[CLASSES]), fitted)


@pytest.mark.parametrize("name", DATA)
def test_random_state(name):
    ids, y = DATA[name]
    model = linear().fit(ids, y)
    assert same(clone(model).fit(ids, y), model)
    states = [np.random.RandomState(0) for _ in range(2)]
    first, second = (linear(random_state=state).fit(ids, y) for state in states)
    assert same(first, second)
    assert not same(linear(random_state=1).fit(ids, y), model)


@pytest.mark.parametrize("name", ["two", "three"])
def test_weights_of_documents_and_classes_multiply(name):
    ids, y = DATA[name]
    labels, sizes = np.unique(y, return_counts=True)
    weights = np.random.default_rng(0).uniform(0.2, 2, len(y))
    by_class = dict(zip(labels.tolist(), [1.0, 3.0, 0.5], strict=False))
    both = linear(class_weight=by_class).fit(ids, y, weights)
    product = weights * [by_class[label] for label in y.tolist()]
    assert same(both, linear().fit(ids, y, product.astype(np.float32)))
    assert not same(both, linear().fit(ids, y, weights))
    balanced = linear(class_weight="balanced").fit(ids, y)
    inverse = dict(zip(labels.tolist(), (96 / (len(labels) * sizes)).tolist(), strict=True))
    assert same(balanced, linear(class_weight=inverse).fit(ids, y))


def test_parameters_count():
    models = [linear(**p).fit(IDS, CLASSES) for p in ({}, {"C": 0.01}, {"ngrams": 1})]
    sizes = [np.abs(m.decision_function(NEW_IDS) - models[0].intercept_).mean() for m in models]
    assert len(models[2]._tables["pairs"]) == 0 < len(models[0]._tables["pairs"])
    assert sizes[0] != sizes[1]
    for model in models:
        assert model.factors_.keys() == {
            "support vectors",
            "support vectors on ratios",
            "naive Bayes",
        }
        assert all(type(factor) is float and factor > 0 for factor in model.factors_.values())


def test_progress(bars):
    linear(verbose=1).fit(IDS, CLASSES)
    (bar,) = bars
    assert bar.texts == ["linear part"]
    np.testing.assert_allclose(bar.shares, np.arange(13) / 12)
    linear().fit(IDS, CLASSES)
    assert len(bars) == 1


BAD = {
    "text": ({"X": ["good film"] * 96}, "got text.*put TextVectorizerTransformer in front"),
    "negative": ({"X": IDS - 1}, "Negative values in data passed to NgramLinearClassifier"),
    "fractions": ({"X": IDS + 0.5}, "whole numbers; got"),
    "no labels": ({"y": None}, "requires y to be passed"),
    "missing labels": ({"y": np.where(CLASSES, 1, np.nan)}, "NaN"),
    "one class": ({"y": np.ones(96)}, "at least 2 for a classifier; got .* 1 class: 1"),
    "one class left": ({"sample_weight": CLASSES == 1}, "documents with weight of 1 class"),
    "negative weights": ({"sample_weight": CLASSES - 1.0}, "must not hold negative weights"),
    "lengths": ({"y": CLASSES[1:]}, "inconsistent numbers of samples"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_and_the_earlier_fit_survives(name):
    model = linear(store_cv_decisions=True).fit(IDS, CLASSES)
    before = vars(model).copy()
    changes, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        model.fit(**{"X": IDS, "y": CLASSES} | changes)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())


def test_interrupted_fits_leave_the_earlier_one(monkeypatch):
    model = linear().fit(IDS, CLASSES)
    before = vars(model).copy()

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(linear_module, "fit_machines", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(IDS[:, :5], NAMES[CLASSES])
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ngrams": 0}, "'ngrams'"),
        ({"ngrams": 3}, "'ngrams'"),
        ({"C": 0}, "'C'"),
        ({"class_weight": "balance"}, "'class_weight'"),
        ({"store_cv_decisions": 2}, "'store_cv_decisions'"),
        ({"random_state": "no"}, "'random_state'"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        linear(**parameters).fit(IDS, CLASSES)


def test_class_weights_are_not_for_several_labels():
    with pytest.raises(ValueError, match="class_weight must be None for multi-label"):
        linear(class_weight="balanced").fit(SEVERAL_IDS, SEVERAL)


def test_ids_of_another_vocabulary_are_refused():
    texts, labels = topic_texts()
    ids = TextVectorizerTransformer().fit_transform(texts)
    others = TextVectorizerTransformer(min_df=2).fit_transform(texts[:60])
    model = linear().fit(ids, labels)
    with pytest.raises(ValueError, match="X holds token ids of another vocabulary"):
        model.predict(others)
    with pytest.raises(ValueError, match=r"X has 3 features, but NgramLinearClassifier is exp"):
        model.predict(np.asarray(ids)[:, :3])
    assert (model.predict(np.asarray(ids)) == model.predict(ids)).all()


@pytest.mark.parametrize("method", ["predict", "decision_function", "get_feature_names_out"])
def test_not_fitted(method):
    with pytest.raises(NotFittedError):
        getattr(linear(), method)(IDS)
    assert not hasattr(linear(), "coef_")


@pytest.mark.parametrize("name", DATA)
def test_strict_floating_point_errors_of_the_caller(name):
    ids, y = DATA[name]
    expected = linear().fit(ids, y)
    with np.errstate(all="raise"):
        model = linear().fit(ids, y)
        assert same(model, expected)
        sure = linear(C=1e-12).fit(ids, y)
        for fitted in (model, sure):
            for answer in (fitted.predict, fitted.predict_proba, fitted.predict_log_proba):
                answer(ids)
        # logits whose probabilities float32 cannot hold
        far = np.linspace(100, 300, len(model.intercept_))
        model._tables = model._tables | {"intercept": far}
        model.predict_proba(ids)
        model.predict_log_proba(ids)


def test_documents_of_unknown_tokens():
    """Nothing to learn from but how frequent the classes are."""
    ids, y = np.ones((30, 4), dtype=int), np.repeat([0, 1, 2], [5, 5, 20])
    with np.errstate(all="raise"):
        model = linear().fit(ids, y)
    assert model.coef_.shape == (3, 0)
    assert len(model.get_feature_names_out()) == 0
    assert (model.predict(ids) == 2).all()


def test_many_classes():
    rng = np.random.default_rng(0)
    y = np.arange(480) % 60
    ids = rng.integers(100, 400, (480, 8))
    ids[np.arange(480), rng.integers(8, size=480)] = 2 + y
    model = linear().fit(ids[:240], y[:240])
    assert model.coef_.shape[0] == 60
    assert model.score(ids[240:], y[240:]) > 0.95


def test_saved_state_is_small_and_the_same(fitted, tmp_path):
    sio = pytest.importorskip("skops.io")
    twins = [pickle.loads(pickle.dumps(fitted))]
    sio.dump(fitted, tmp_path / "model.skops")
    unknown = sio.get_untrusted_types(file=tmp_path / "model.skops")
    assert all(name.startswith("sklearn_textcnn.") for name in unknown), unknown
    twins.append(sio.load(tmp_path / "model.skops", trusted=unknown))
    for twin in twins:
        np.testing.assert_array_equal(twin.predict_proba(NEW_IDS), fitted.predict_proba(NEW_IDS))
    n_bytes = sum(array.nbytes for array in fitted._tables.values())
    assert len(pickle.dumps(fitted)) < n_bytes + 2000


def test_tags_are_those_of_the_network():
    assert get_tags(linear()) == get_tags(TextCNNClassifier())


def test_in_a_pipeline():
    texts, labels = topic_texts()
    pipeline = make_pipeline(TextVectorizerTransformer(), linear())
    assert cross_val_score(pipeline, texts, labels).mean() > 0.9
