"""The pipeline of both estimators inside what scikit-learn builds around a classifier.

The corpora have several topics of equal size, so that whoever always names the largest class stays
below the scores asked for here.
"""

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from corpora import TOPICS, topic_texts
from sampling import some
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer

TEXTS, LABELS = topic_texts(120)
NEW_TEXTS, NEW_LABELS = topic_texts(60, seed=1)
TWO_TEXTS, TWO_LABELS = topic_texts(90, ("space", "sport"), seed=2, shares=(0.25, 0.75))
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)
SMALL = {
    "embedding_dim": 8,
    "kernel_sizes": (1, 2),
    "filters": 8,
    "dropout": 0.2,
    "epochs": 6,
    "batch_size": 16,
    "learning_rate": 0.03,
    "random_state": 0,
}
# Parameters of both steps, each with one value that leaves nothing to learn from.
GRID = {
    "textvectorizertransformer__max_features": [1, None],
    "textcnnclassifier__learning_rate": [1e-9, 0.03],
}
BEST = {
    "textvectorizertransformer__max_features": None,
    "textcnnclassifier__learning_rate": 0.03,
}


# The network alone: beside a linear part even a learning rate of next to nothing leaves something.
PLAIN = {"linear_ngrams": 0, "token_dropout": 0.0, "average": 0.0}


def pipeline(memory=None, **parameters):
    return make_pipeline(
        TextVectorizerTransformer(), TextCNNClassifier(**SMALL | parameters), memory=memory
    )


def linear():
    # the default solver of scikit-learn 1.6 uses what SciPy has deprecated since
    return LogisticRegression(solver="newton-cg")


def tfidf():
    return make_pipeline(TfidfVectorizer(), linear())


@pytest.fixture(scope="module")
def fitted():
    return pipeline().fit(TEXTS, LABELS)


def test_pipeline(fitted):
    assert fitted.score(NEW_TEXTS, NEW_LABELS) > 0.9
    assert fitted.classes_.tolist() == sorted(TOPICS)
    # an unseen word is read as unknown, a text without words still gets an answer
    probabilities = fitted.predict_proba(["a goal in the final", ""])
    assert fitted.classes_[probabilities[0].argmax()] == "sport"
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_pipeline_with_memory(fitted, tmp_path, monkeypatch):
    first = pipeline(memory=str(tmp_path)).fit(TEXTS, LABELS)
    np.testing.assert_array_equal(first.predict_proba(NEW_TEXTS), fitted.predict_proba(NEW_TEXTS))

    def tokenise_again(*args, **kwargs):
        raise AssertionError("the ids were to come from the cache")

    monkeypatch.setattr(TextVectorizerTransformer, "fit_transform", tokenise_again)
    second = pipeline(memory=str(tmp_path)).fit(TEXTS, LABELS)
    np.testing.assert_array_equal(second.predict_proba(NEW_TEXTS), fitted.predict_proba(NEW_TEXTS))
    assert second[-1].vocabulary_ == fitted[-1].vocabulary_
    assert len(second[-1].vocabulary_) == len(second[0].vocabulary_)


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_pipeline_of_frames(fitted, output):
    frames = pipeline().set_output(transform=output).fit(TEXTS, LABELS)
    np.testing.assert_allclose(
        frames.predict_proba(NEW_TEXTS), fitted.predict_proba(NEW_TEXTS), atol=1e-6
    )
    if output == "pandas":  # scikit-learn 1.6 does not read the names of polars' columns
        names = frames[0].get_feature_names_out()
        np.testing.assert_array_equal(frames[-1].feature_names_in_, names)
    assert frames[-1].vocabulary_ is None


def assert_search_is_right(search):
    search.fit(TEXTS, LABELS)
    results = pd.DataFrame(search.cv_results_)
    assert search.best_params_ == BEST
    assert search.best_score_ > 0.85
    hopeless = [params != BEST for params in search.cv_results_["params"]]
    assert results["mean_test_score"][hopeless].max() < 0.7
    assert search.score(NEW_TEXTS, NEW_LABELS) > 0.9


def test_grid_search():
    search = GridSearchCV(pipeline(**PLAIN), GRID, cv=FOLDS, error_score="raise")
    assert_search_is_right(search)
    assert len(search.cv_results_["params"]) == 4


def test_randomized_search():
    search = RandomizedSearchCV(
        pipeline(**PLAIN), GRID, n_iter=4, cv=FOLDS, random_state=0, error_score="raise"
    )
    assert_search_is_right(search)


def test_halving_search():
    search = HalvingGridSearchCV(
        pipeline(**PLAIN),
        GRID,
        cv=FOLDS,
        factor=2,
        min_resources=60,
        random_state=0,
        error_score="raise",
    )
    assert_search_is_right(search)
    assert search.n_resources_ == [60, 120]


def test_cross_val_score():
    scores = cross_val_score(pipeline(), TEXTS, LABELS, cv=3, error_score="raise")
    assert scores.min() > 0.8
    assert scores.mean() > 0.9
    # an int means stratified folds for a classifier
    stratified = cross_val_score(pipeline(), TEXTS, LABELS, cv=StratifiedKFold(3))
    np.testing.assert_array_equal(scores, stratified)


def test_cross_val_predict():
    probabilities = cross_val_predict(pipeline(), TEXTS, LABELS, cv=FOLDS, method="predict_proba")
    by_hand = np.empty((len(TEXTS), 3))
    for train, test in FOLDS.split(TEXTS, LABELS):
        model = pipeline().fit([TEXTS[i] for i in train], LABELS[train])
        by_hand[test] = model.predict_proba([TEXTS[i] for i in test])
    np.testing.assert_allclose(probabilities, by_hand, atol=1e-6)
    assert (np.unique(LABELS)[probabilities.argmax(axis=1)] == LABELS).mean() > 0.9


def test_cross_validate_returns_usable_estimators():
    results = cross_validate(
        pipeline(), TEXTS, LABELS, cv=FOLDS, return_estimator=True, return_indices=True
    )
    assert len({id(model[-1]) for model in results["estimator"]}) == 3
    for model, test, score in zip(
        results["estimator"], results["indices"]["test"], results["test_score"], strict=True
    ):
        assert model.score([TEXTS[i] for i in test], LABELS[test]) == score > 0.8


def test_calibration():
    # a few steps leave probabilities near a third; calibration knows better how sure it may be
    timid = PLAIN | {"epochs": 1, "learning_rate": 0.02}
    calibrated = CalibratedClassifierCV(pipeline(**timid), cv=FOLDS, ensemble=False)
    calibrated.fit(TEXTS, LABELS)
    assert calibrated.classes_.tolist() == sorted(TOPICS)
    before = log_loss(NEW_LABELS, pipeline(**timid).fit(TEXTS, LABELS).predict_proba(NEW_TEXTS))
    after = log_loss(NEW_LABELS, calibrated.predict_proba(NEW_TEXTS))
    assert after < before - 0.1


@pytest.mark.parametrize("voting", ["soft", "hard"])
def test_voting(voting):
    votes = VotingClassifier([("cnn", pipeline()), ("linear", tfidf())], voting=voting)
    votes.fit(TEXTS, LABELS)
    assert votes.score(NEW_TEXTS, NEW_LABELS) > 0.9
    if voting == "soft":
        each = [model.predict_proba(NEW_TEXTS) for model in votes.estimators_]
        np.testing.assert_allclose(votes.predict_proba(NEW_TEXTS), np.mean(each, axis=0))


def test_stacking():
    stack = StackingClassifier(
        [("cnn", pipeline()), ("linear", tfidf())], final_estimator=linear(), cv=FOLDS
    )
    stack.fit(TEXTS, LABELS)
    columns = stack.transform(NEW_TEXTS)
    np.testing.assert_allclose(
        columns[:, :3], stack.named_estimators_["cnn"].predict_proba(NEW_TEXTS)
    )
    assert stack.score(NEW_TEXTS, NEW_LABELS) > 0.9
    # the network has a say: without its columns the answers are others
    without = stack.final_estimator_.predict_proba(np.where(np.arange(6) < 3, 1 / 3, columns))
    assert not np.allclose(without, stack.predict_proba(NEW_TEXTS), atol=0.05)


def test_bagging_on_ids():
    vectorizer = TextVectorizerTransformer().fit(TEXTS)
    bag = BaggingClassifier(
        TextCNNClassifier(**SMALL), n_estimators=4, oob_score=False, random_state=0
    )
    bag.fit(vectorizer.transform(TEXTS), LABELS)
    ids = vectorizer.transform(NEW_TEXTS)
    each = [model.predict_proba(ids) for model in bag.estimators_]
    assert not np.allclose(each[0], each[1], atol=0.01)
    np.testing.assert_allclose(bag.predict_proba(ids), np.mean(each, axis=0), atol=1e-6)
    assert bag.score(ids, NEW_LABELS) > 0.9


def test_one_against_the_rest():
    model = OneVsRestClassifier(pipeline(epochs=10)).fit(TEXTS, LABELS)
    assert [estimator.classes_.tolist() for estimator in model.estimators_] == [[0, 1]] * 3
    assert model.score(NEW_TEXTS, NEW_LABELS) > 0.9


def test_column_transformer(fitted):
    frame = pd.DataFrame({"number": range(len(TEXTS)), "text": TEXTS})
    columns = ColumnTransformer([("ids", TextVectorizerTransformer(), "text")])
    model = make_pipeline(columns, TextCNNClassifier(**SMALL)).fit(frame, LABELS)
    new_frame = pd.DataFrame({"text": NEW_TEXTS, "number": 0})
    np.testing.assert_array_equal(model.predict_proba(new_frame), fitted.predict_proba(NEW_TEXTS))
    assert model[-1].vocabulary_ == fitted[-1].vocabulary_ is not None


@pytest.mark.slow
def test_permutation_test():
    score, permuted, p_value = permutation_test_score(
        pipeline(), TEXTS, LABELS, cv=FOLDS, n_permutations=9, random_state=0
    )
    assert score > 0.9
    assert permuted.max() < 0.6
    assert p_value == pytest.approx(0.1)


def test_learning_curve():
    sizes, _, scores = learning_curve(
        pipeline(), TEXTS, LABELS, cv=FOLDS, train_sizes=[9, 80], shuffle=True, random_state=0
    )
    few, many = scores.mean(axis=1)
    assert sizes.tolist() == [9, 80]
    assert many > 0.9
    assert few < many - 0.2


def test_tuned_threshold():
    rng = np.random.default_rng(0)
    noisy = np.where(rng.random(len(TWO_LABELS)) < 0.2, "sport", TWO_LABELS)
    model = TunedThresholdClassifierCV(
        pipeline(**PLAIN, epochs=2), scoring="balanced_accuracy", cv=FOLDS, random_state=0
    )
    model.fit(TWO_TEXTS, noisy)
    probabilities = model.estimator_.predict_proba(TWO_TEXTS)[:, 1]
    expected = np.where(probabilities >= model.best_threshold_, "sport", "space")
    np.testing.assert_array_equal(model.predict(TWO_TEXTS), expected)
    tuned = balanced_accuracy_score(TWO_LABELS, expected)
    plain = balanced_accuracy_score(TWO_LABELS, model.estimator_.predict(TWO_TEXTS))
    assert tuned > max(plain, 0.8)


def test_frozen(fitted):
    frozen = FrozenEstimator(fitted)
    expected = fitted.predict_proba(NEW_TEXTS)
    weights = fitted[-1]._weights
    calibrated = CalibratedClassifierCV(frozen).fit(NEW_TEXTS, NEW_LABELS)
    assert clone(frozen).fit(NEW_TEXTS, NEW_LABELS[::-1]).estimator is fitted
    assert fitted[-1]._weights is weights
    np.testing.assert_array_equal(frozen.predict_proba(NEW_TEXTS), expected)
    assert calibrated.score(TEXTS, LABELS) > 0.9


@pytest.mark.filterwarnings("ignore:A worker stopped while some jobs:UserWarning")
@pytest.mark.parametrize("pooling", some(["max", "max+average"], every=2))
def test_scores_do_not_depend_on_the_number_of_workers(pooling):
    """What NumPy trains, and what Keras does."""
    grid = {"textcnnclassifier__filters": [4], "textvectorizertransformer__min_df": [1, 3]}
    tables = []
    for n_jobs in (1, 2):
        search = GridSearchCV(
            pipeline(pooling=pooling),
            grid,
            cv=FOLDS,
            n_jobs=n_jobs,
            scoring="neg_log_loss",
            error_score="raise",
            refit=False,
        )
        tables.append(search.fit(TEXTS, LABELS).cv_results_)
    np.testing.assert_allclose(
        tables[0]["mean_test_score"], tables[1]["mean_test_score"], rtol=0, atol=1e-5
    )
    np.testing.assert_array_equal(tables[0]["rank_test_score"], tables[1]["rank_test_score"])


def _threads_after_a_fit(pooling):
    import tensorflow as tf

    from sklearn_textcnn.network.threads import n_threads

    pipeline(pooling=pooling, epochs=1).fit(TEXTS, LABELS)
    return (
        n_threads(),
        tf.config.threading.get_intra_op_parallelism_threads(),
        tf.config.threading.get_inter_op_parallelism_threads(),
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:A worker stopped while some jobs:UserWarning")
def test_workers_share_the_cores(monkeypatch):
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.delenv(name, raising=False)  # joblib passes on what is set here
    jobs = [joblib.delayed(_threads_after_a_fit)(p) for p in ("max", "max+average")]
    threads = joblib.Parallel(n_jobs=2, backend="loky")(jobs)
    most = max(joblib.cpu_count() // 2, 1)
    by_numpy, by_keras = threads
    assert 1 <= by_numpy[0] <= most
    # TensorFlow's 0 would mean: as many as there are cores
    assert np.min(by_keras) >= 1
    assert np.max(by_keras) <= most


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
def test_routed_sample_weight():
    wrong = np.arange(len(LABELS)) % 4 == 0
    labels = np.where(wrong, "space", LABELS)
    accuracy = make_scorer(accuracy_score).set_score_request(sample_weight=True)
    model = Pipeline(
        [
            ("ids", TextVectorizerTransformer()),
            ("cnn", TextCNNClassifier(**SMALL).set_fit_request(sample_weight=True)),
        ]
    )
    weights = np.where(wrong, 0.0, 1.0)
    model.fit(TEXTS, labels, sample_weight=weights)
    direct = TextCNNClassifier(**SMALL).fit(
        model[0].transform(TEXTS), labels, sample_weight=weights
    )
    np.testing.assert_array_equal(
        model.predict_proba(NEW_TEXTS), direct.predict_proba(model[0].transform(NEW_TEXTS))
    )
    scores = cross_validate(
        clone(model),
        TEXTS,
        labels,
        cv=FOLDS,
        scoring=accuracy,
        params={"sample_weight": weights},
        return_estimator=True,
    )
    assert all(fold.score(NEW_TEXTS, NEW_LABELS) > 0.85 for fold in scores["estimator"])
    # scored with weights too: the wrong labels do not count
    assert min(scores["test_score"]) > 0.85


@pytest.mark.usefixtures("routing")
def test_routed_validation_texts():
    parameters = SMALL | PLAIN | {"epochs": 30}
    classifier = TextCNNClassifier(**parameters, early_stopping=True, patience=2)
    model = Pipeline(
        [
            ("ids", TextVectorizerTransformer()),
            ("cnn", classifier.set_fit_request(X_val=True, y_val=True)),
        ],
        transform_input=["X_val"],
    )
    # with some labels wrong, the network is too sure of itself before long
    y_val = np.where(np.arange(len(NEW_LABELS)) % 5, NEW_LABELS, "space")
    model.fit(TEXTS, LABELS, X_val=NEW_TEXTS, y_val=y_val)
    losses = model[-1].history_["val_loss"]
    assert model[-1].best_epoch_ == np.argmin(losses) + 1 == len(losses) - 2 < 20
    # the loss of the best epoch is that of the weights that were kept, on these very texts
    kept = log_loss(y_val, model.predict_proba(NEW_TEXTS))
    assert kept == pytest.approx(min(losses), rel=1e-4)


@pytest.mark.usefixtures("routing")
def test_validation_texts_that_were_not_transformed():
    classifier = TextCNNClassifier(**SMALL).set_fit_request(X_val=True, y_val=True)
    model = make_pipeline(TextVectorizerTransformer(), classifier)
    with pytest.raises(ValueError, match=r"X_val must hold token ids.*transform_input=\['X_val'\]"):
        model.fit(TEXTS, LABELS, X_val=NEW_TEXTS, y_val=NEW_LABELS)
