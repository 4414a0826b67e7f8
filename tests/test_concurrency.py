"""Many threads at once, joblib's backends, and the ways in which a process starts another one.

What is answered is what one thread alone would answer, or a refusal that says what to do.
"""

import multiprocessing
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
from classifiers import CLASSES, IDS, NAMES, NEW_IDS, run_python, small
from corpora import topic_texts
from sklearn.base import clone
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer, _encoding
from sklearn_textcnn.training import quiet_import

TEXTS, LABELS = topic_texts(60)
MODELS = {
    "network": small(linear_ngrams=0, epochs=2),
    "both parts": small(linear_ngrams=1, epochs=1),
    "linear": NgramLinearClassifier(random_state=0),
}
# Other classes, another number of them and other ids: a mixture of the two would show.
FIRST = IDS[:30], NAMES[CLASSES[:30]]
SECOND = IDS[:30] % 20, CLASSES[:30] == 1
METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]
# New processes take seconds to begin, forks do not.
BACKENDS = ["threading", "multiprocessing", pytest.param("loky", marks=pytest.mark.slow)]
START_METHODS = [
    method if method == "fork" else pytest.param(method, marks=pytest.mark.slow)
    for method in multiprocessing.get_all_start_methods()
]

# Python 3.12 warns of every fork of a process with threads.
forks = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.fixture
def quick_turns():
    """Threads take turns more often than they would."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


def answers(model, method):
    """What a model answers, as something to compare bit for bit."""
    found = getattr(model, method)(NEW_IDS)
    return found.dtype.str, found.shape, found.tobytes()


def while_others(refit, others, least, n_refits=4):
    """Fit again, by turns to two corpora, while threads call others again and again.

    Goes on until the others have returned so many different things, for some seconds at most. Each
    of them is called once more when all is done.
    """
    ended, ready, found = threading.Event(), threading.Barrier(len(others) + 1), set()

    def call_on(other):
        ready.wait(60)
        while not ended.wait(
            0.002
        ):  # else those that predict would leave no time to those that fit
            found.add(other())
        found.add(other())

    with ThreadPoolExecutor(len(others)) as pool:
        running = [pool.submit(call_on, other) for other in others]
        try:
            ready.wait(60)
            began, i = time.monotonic(), 0
            while i < n_refits or (len(found) < least and time.monotonic() < began + 20):
                refit(i % 2)
                i += 1
        finally:
            ended.set()
        for other in running:
            other.result(120)
    return found


@pytest.mark.usefixtures("quick_turns")
@pytest.mark.parametrize(
    ("name", "n_refits"),
    [
        ("both parts", 2),
        *(pytest.param(name, 4, marks=pytest.mark.slow) for name in ("network", "linear")),
    ],
)
def test_eight_threads_predict_and_four_fit_while_one_fits_again_in_place(name, n_refits):
    model = clone(MODELS[name]).fit(*FIRST)
    whole = {(m, answers(clone(model).fit(*data), m)) for data in (FIRST, SECOND) for m in METHODS}
    assert len(whole) == 2 * len(METHODS)
    seeds = range(4)
    own = [clone(model).set_params(random_state=seed) for seed in seeds]
    expected = {(s, answers(clone(own[s]).fit(*FIRST), "predict_proba")) for s in seeds}

    def refit(turn):
        assert model.fit(*(FIRST if turn else SECOND)) is model

    def predict(method):
        return method, answers(model, method)

    def fit(seed):
        return seed, answers(own[seed].fit(*FIRST), "predict_proba")

    predicting = [lambda method=method: predict(method) for method in METHODS * 2]
    fitting = [lambda seed=seed: fit(seed) for seed in seeds]
    found = while_others(refit, predicting + fitting, len(whole | expected), n_refits)
    assert found == whole | expected  # all of them, and nothing else


@pytest.mark.usefixtures("quick_turns")
def test_a_vectorizer_that_is_fitted_again_in_place_transforms_whole():
    vectorizer = TextVectorizerTransformer(max_length=None)
    corpora = TEXTS, [text.upper() + " later" for text in TEXTS[:30]]
    new = TEXTS[20:40]

    def transformed():
        ids = vectorizer.transform(new)
        return ids.shape, ids.tobytes(), ids.vocabulary

    whole = set()
    for corpus in corpora:
        vectorizer.fit(corpus)
        whole.add(transformed())
    assert len(whole) == 2

    found = while_others(lambda turn: vectorizer.fit(corpora[turn]), [transformed] * 8, 2)
    assert found == whole


@pytest.mark.usefixtures("quick_turns")
def test_a_pipeline_that_is_fitted_again_in_place_answers_whole_or_refuses():
    """Its steps are fitted one after the other: what falls in between is told apart."""
    pipeline = make_pipeline(
        TextVectorizerTransformer(), NgramLinearClassifier(random_state=0)
    ).fit(TEXTS, LABELS)
    other = [text.replace("the", "this one") for text in TEXTS], LABELS == "space"

    def predicted():
        try:
            return pipeline.predict_proba(TEXTS).tobytes()
        except ValueError as error:
            return "refused" if "another vocabulary" in str(error) else str(error)

    whole = {predicted()}
    whole.add(clone(pipeline).fit(*other).predict_proba(TEXTS).tobytes())
    assert len(whole) == 2

    def refit(turn):
        pipeline.fit(*((TEXTS, LABELS) if turn else other))

    found = while_others(refit, [predicted] * 8, 3)
    assert whole <= found <= whole | {"refused"}


@forks
@pytest.mark.parametrize("backend", BACKENDS)
def test_cross_validation_by_each_backend_is_that_of_one_process(backend):
    pipeline = make_pipeline(TextVectorizerTransformer(), small(epochs=2))
    arguments = pipeline, TEXTS, LABELS
    expected = cross_val_predict(*arguments, cv=3, method="predict_proba")
    with joblib.parallel_config(backend):
        found = cross_val_predict(*arguments, cv=3, method="predict_proba", n_jobs=2)
    np.testing.assert_array_equal(found, expected)


@forks
@pytest.mark.parametrize("backend", BACKENDS)
def test_predictions_by_each_backend_are_those_of_one_process(backend):
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 50, (30_000, 10))  # so large that joblib shares them in a file
    model = small(epochs=1).fit(*FIRST)
    expected = model.predict_proba(ids)
    parts = np.array_split(ids, 3)
    with joblib.parallel_config(backend):
        found = joblib.Parallel(n_jobs=2, max_nbytes=100_000)(
            joblib.delayed(model.predict_proba)(part) for part in parts
        )
    np.testing.assert_array_equal(np.concatenate(found), expected)


@forks
@pytest.mark.parametrize("backend", BACKENDS)
def test_tokens_by_each_backend_are_those_of_one_process(backend, monkeypatch):
    monkeypatch.setattr(_encoding, "_BATCH", 5)
    monkeypatch.setattr(_encoding, "_WORTH_STARTING", 0.0)
    monkeypatch.setattr(_encoding, "_WORTH_FEEDING", 0.0)
    expected = TextVectorizerTransformer().fit_transform(TEXTS)
    vectorizer = TextVectorizerTransformer(n_jobs=2)
    with joblib.parallel_config(backend):
        found = vectorizer.fit_transform(iter(TEXTS))
        again = vectorizer.transform(TEXTS)
        with pytest.raises(ValueError, match="NoneType in row 59"):
            vectorizer.transform([*TEXTS[:59], None])
    for ids in (found, again):
        np.testing.assert_array_equal(ids, expected)
        assert ids.vocabulary == expected.vocabulary


def fitted_and_asked(pipeline):
    """Of a pipeline that comes to a process by pickle: its answers, and those once fitted there."""
    before = pipeline.predict_proba(TEXTS)
    pipeline[-1].set_params(random_state=1)
    return before, pipeline.fit(TEXTS, LABELS).predict_proba(TEXTS)


@forks
@pytest.mark.parametrize("method", START_METHODS)
def test_a_process_started_in_each_way_fits_and_predicts_as_this_one(method):
    pipeline = make_pipeline(TextVectorizerTransformer(), small(epochs=2)).fit(TEXTS, LABELS)
    with multiprocessing.get_context(method).Pool(1) as pool:
        found = pool.apply_async(fitted_and_asked, (pipeline,)).get(120)
    np.testing.assert_array_equal(found, fitted_and_asked(pipeline))


IN_KERAS = """
    import joblib, os, sys, threading, warnings
    import numpy as np
    from concurrent.futures import ThreadPoolExecutor
    from sklearn.base import clone
    from classifiers import CLASSES, IDS, NEW_IDS, small
    warnings.simplefilter("ignore")
    models = [small(engine="keras", linear_ngrams=0, epochs=2, random_state=i) for i in range(2)]
    def answers(model):
        return clone(model).fit(IDS, CLASSES).predict_proba(NEW_IDS)
    """


def said_of_keras(program):
    tests = Path(__file__).parent
    run = run_python(
        IN_KERAS + program, PYTHONPATH=os.pathsep.join([str(tests.parent), str(tests)])
    )
    assert run.returncode == 0, run.stderr
    return run


def test_threads_that_import_keras_at_once_leave_standard_error_in_place(monkeypatch):
    """Each of them puts a file into its place for a while."""
    both = threading.Barrier(2)

    def slow_import(name):
        with suppress(threading.BrokenBarrierError):
            both.wait(0.2)
        time.sleep(0.05 if name == "first" else 0.15)

    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(quiet_import, "importlib", SimpleNamespace(import_module=slow_import))
    before = os.fstat(2).st_ino
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(quiet_import.import_with_keras, "first")
        time.sleep(0.02)
        second = pool.submit(quiet_import.import_with_keras, "second")
        first.result(20), second.result(20)
    found = os.fstat(2).st_ino
    assert found == before


@pytest.mark.slow
def test_first_fits_in_keras_of_several_threads_are_those_of_one():
    """TensorFlow is imported by all of them at once; what is printed later is not lost."""
    run = said_of_keras("""
    start = threading.Barrier(2)
    def first(model):
        start.wait()
        return answers(model)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(first, models))
    os.write(2, b"a last word")
    print(all(np.allclose(f, answers(m), atol=1e-4) for f, m in zip(found, models)))
    """)
    assert (run.stdout, run.stderr) == ("True\n", "a last word")


@pytest.mark.slow
def test_fits_in_keras_by_each_backend_are_those_of_one_process_or_refused():
    run = said_of_keras("""
    expected = [answers(m) for m in models]  # so TensorFlow has computed here
    for backend in ("loky", "threading", "multiprocessing"):
        try:
            calls = [joblib.delayed(answers)(m) for m in models]
            found = joblib.Parallel(n_jobs=2, backend=backend)(calls)
            print(backend, all(np.allclose(f, e, atol=1e-4) for f, e in zip(found, expected)))
        except RuntimeError as error:
            print(backend, "loky" in str(error) and "spawn" in str(error), "refused")
    """)
    assert run.stdout.splitlines() == [
        "loky True",
        "threading True",
        "multiprocessing True refused",
    ]
