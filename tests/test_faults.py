"""Ctrl-C, killed processes, no memory, a full disk: nothing is lost, and the next call works."""

import copy
import multiprocessing
import os
import pickle
import signal
import threading
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
from classifiers import CLASSES, IDS, NAMES, NEW_IDS, run_python, same_weights, small
from corpora import topic_texts
from faults import (
    answers,
    interrupted,
    killed_while_saving,
    killed_workers,
    save_by_the_docs,
)

from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer, TokenIds, _encoding
from sklearn_textcnn.training import quiet_import

needs_posix = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs POSIX signals")
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
# Other classes, another number of them and other ids: a mixture of the two would show.
FIRST = IDS[:18], NAMES[CLASSES[:18]]
SECOND = IDS[:18] % 20, CLASSES[:18] == 1
MODELS = {
    "network": small(linear_ngrams=0, epochs=1),
    "both parts": small(linear_ngrams=1, epochs=1),
    "linear": NgramLinearClassifier(random_state=0),
}


@needs_posix
@pytest.mark.parametrize(
    ("case", "n"),
    [
        ("fit, both parts", 3),
        *(
            pytest.param(case, 4, marks=pytest.mark.slow)
            for case in ("fit in Keras", "partial_fit", "vectorizer, fit, n_jobs=2", "save")
        ),
    ],
)
def test_ctrl_c_at_random_moments_leaves_all_whole(case, n):
    counts = interrupted(case, n)
    assert counts["failures"] == []
    assert counts["in time"] + counts["late"] + counts["lost"] == n


@needs_posix
@pytest.mark.slow
@pytest.mark.parametrize("n", [20])
def test_a_process_killed_while_it_saves_by_the_docs_leaves_a_whole_file(n):
    counts = killed_while_saving(n)
    assert counts["failures"] == []
    assert counts["killed"] == n


@pytest.mark.slow
@needs_posix
@needs_proc
@pytest.mark.parametrize("case", ["search", "vectorizer, fit"])
def test_a_killed_worker_spoils_nothing_and_the_next_call_works(case):
    counts = killed_workers(case, 2)
    assert counts["failures"] == []
    assert counts["killed"] == counts["refused"] + counts["done"] == 2


@pytest.mark.parametrize("helps", [True, False])
def test_only_processes_that_help_to_tokenize_ignore_ctrl_c(monkeypatch, helps):
    """Else half of what they send would stay in a pipe, and joblib wait for the rest for good."""
    recipe = _encoding.Recipe(TextVectorizerTransformer())
    parent = multiprocessing.current_process() if helps else None
    monkeypatch.setattr(_encoding, "parent_process", lambda: parent)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _encoding._encode_apart(recipe, ["a fine day"], 0)
        found = signal.getsignal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert found is (signal.SIG_IGN if helps else signal.default_int_handler)


@needs_posix
def test_ctrl_c_while_keras_is_imported_ends_the_waiting_and_not_the_import(monkeypatch):
    """Which cannot be begun anew: the next call would fail, whatever it is."""
    began, done, go_on = [], [], threading.Event()

    def slow_import(name):
        began.append(name)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        go_on.wait(60)
        done.append(name)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(quiet_import, "importlib", SimpleNamespace(import_module=slow_import))
    try:
        with pytest.raises(KeyboardInterrupt):
            quiet_import.import_with_keras("slow")
        assert (began, done) == (["slow"], [])
    finally:
        signal.signal(signal.SIGINT, before)
        go_on.set()
    monkeypatch.setattr(quiet_import.importlib, "import_module", done.append)
    quiet_import.import_with_keras("next")
    assert done == ["slow", "next"]


@pytest.mark.slow
@needs_posix
def test_ctrl_c_in_the_first_fit_in_keras_leaves_the_next_one_to_work():
    code = """
        import os, signal, sys, threading, time
        import numpy as np
        from sklearn_textcnn import TextCNNClassifier
        signal.signal(signal.SIGINT, signal.default_int_handler)
        def interrupt():
            while "tensorflow.python.trackable" not in sys.modules:
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt, daemon=True).start()
        ids, y = np.array([[2, 3], [3, 2]] * 4), [0, 1] * 4
        model = TextCNNClassifier(epochs=1, filters=2, engine="keras")
        for _ in range(2):
            try:
                print(model.fit(ids, y).n_iter_)
            except KeyboardInterrupt:
                print("interrupted")
        """
    run = run_python(code)
    assert (run.stdout, run.stderr) == ("interrupted\n1\n", "")


# No memory

ALLOCATE = (
    "arange argsort array bincount concatenate cumsum empty empty_like eye flatnonzero full "
    "full_like repeat tile unique where zeros zeros_like"
).split()


@contextmanager
def no_memory_at(number, monkeypatch):
    """One of the calls of NumPy that allocate fails: yields how many there have been."""
    numbers = count()
    with monkeypatch.context() as patch:
        for name in ALLOCATE:
            patch.setattr(np, name, partial(_fails_at, number, numbers, getattr(np, name)))
        yield lambda: next(numbers)


def _fails_at(number, numbers, allocate, *arguments, **options):
    if next(numbers) == number:
        raise MemoryError("no more")
    return allocate(*arguments, **options)


def some_allocations(do, monkeypatch, n):
    """Numbers of allocations to fail at, spread over all that a call makes; None: every one."""
    with no_memory_at(-1, monkeypatch) as so_far:
        do()
        total = so_far()
    assert total > 3  # older versions of scikit-learn make fewer
    if n is None or n >= total:
        return range(total)
    return np.sort(np.random.default_rng(0).choice(total, n, replace=False)).tolist()


few_and_more = pytest.mark.parametrize("n", [8, pytest.param(40, marks=pytest.mark.slow)])


@few_and_more
@pytest.mark.parametrize("name", MODELS)
def test_no_memory_in_a_fit_leaves_the_earlier_one(name, n, monkeypatch):
    model = copy.deepcopy(MODELS[name]).fit(*FIRST)
    before, state = answers(model), vars(model).copy()
    after = answers(copy.deepcopy(model).fit(*SECOND))
    for number in some_allocations(lambda: copy.deepcopy(model).fit(*SECOND), monkeypatch, n):
        with no_memory_at(number, monkeypatch), pytest.raises(MemoryError, match="no more"):
            model.fit(*SECOND)
        assert vars(model) == state
        assert answers(model) == before
    assert answers(model.fit(*SECOND)) == after


@few_and_more
def test_no_memory_in_a_stream_changes_nothing(n, monkeypatch):
    """The same bits as without the failures."""
    batch = IDS[:18] + 1, FIRST[1]  # the table has to grow
    model, smooth = (small(linear_ngrams=0).partial_fit(*FIRST, classes=NAMES) for _ in range(2))
    before = answers(model)
    numbers = some_allocations(
        lambda: small(linear_ngrams=0).partial_fit(*FIRST, classes=NAMES), monkeypatch, n
    )
    for number in numbers[: len(numbers) // 2]:
        with no_memory_at(number, monkeypatch), pytest.raises(MemoryError, match="no more"):
            model.partial_fit(*batch)
        assert answers(model) == before
    assert same_weights(model.partial_fit(*batch), smooth.partial_fit(*batch))
    assert answers(model) == answers(smooth)


@few_and_more
@pytest.mark.parametrize("name", MODELS)
def test_no_memory_in_a_prediction_spoils_no_later_one(name, n, monkeypatch):
    model = copy.deepcopy(MODELS[name]).fit(*FIRST)
    expected, fresh = answers(model), copy.deepcopy(model)  # which has kept no products
    for number in some_allocations(lambda: copy.deepcopy(fresh).predict(NEW_IDS), monkeypatch, n):
        one = copy.deepcopy(fresh)
        with no_memory_at(number, monkeypatch), pytest.raises(MemoryError, match="no more"):
            one.predict(NEW_IDS)
        assert answers(one) == expected


def test_no_memory_in_a_vectorizer_leaves_the_earlier_vocabulary(monkeypatch):
    texts = topic_texts(60)[0]
    vectorizer = TextVectorizerTransformer().fit(texts[:30])
    state, before = vars(vectorizer).copy(), vectorizer.transform(texts)
    refit = copy.deepcopy(vectorizer)
    for number in some_allocations(lambda: refit.fit_transform(texts), monkeypatch, None):
        with no_memory_at(number, monkeypatch), pytest.raises(MemoryError, match="no more"):
            vectorizer.fit_transform(texts)
        assert vars(vectorizer) == state
    np.testing.assert_array_equal(vectorizer.transform(texts), before)
    np.testing.assert_array_equal(vectorizer.fit_transform(texts), refit.transform(texts))


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("engine", ["numpy", "keras"])
def test_a_process_without_memory_says_so_and_goes_on(engine):
    """The system itself refuses: a table of a million ids does not fit any more."""
    tests = Path(__file__).parent
    code = f"""
        import resource
        import numpy as np
        from classifiers import CLASSES, IDS, NEW_IDS, small
        def size():
            fields = open("/proc/self/statm").read().split()
            return int(fields[0]) * resource.getpagesize()
        model = small(linear_ngrams=0, epochs=1, engine={engine!r}).fit(IDS, CLASSES)
        before = model.predict_proba(NEW_IDS)
        many = IDS.copy()
        many[0, 0] = 10_000_000
        limits = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size() + 200 * 2**20, limits[1]))
        try:
            model.fit(many, CLASSES % 2)
        except MemoryError as error:
            print("Unable to allocate" in str(error))
        resource.setrlimit(resource.RLIMIT_AS, limits)
        print((model.predict_proba(NEW_IDS) == before).all())
        print(np.allclose(model.fit(IDS, CLASSES).predict_proba(NEW_IDS), before, atol=1e-5))
        """
    paths = os.pathsep.join([str(tests.parent), str(tests)])
    run = run_python(code, PYTHONPATH=paths)
    assert run.stdout.split() == ["True"] * 3, run.stderr


# A loss that is not finite

TOO_FAST = {"optimizer": "sgd", "learning_rate": 1e38, "epochs": 5}


@pytest.mark.parametrize("engine", ["numpy", pytest.param("keras", marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_that_diverges_leaves_the_earlier_fit(method, engine):
    model = small(linear_ngrams=0, epochs=2, optimizer="sgd", engine=engine)
    model.partial_fit(*FIRST, classes=NAMES)
    twin, before = copy.deepcopy(model), answers(model)
    with pytest.raises(ValueError, match=r"Training diverged: .*Lower learning_rate"):
        getattr(model.set_params(**TOO_FAST), method)(*FIRST)
    assert answers(model) == before
    assert same_weights(model, twin)
    model.set_params(learning_rate=0.01).fit(*SECOND)
    fresh = small(linear_ngrams=0, epochs=5, optimizer="sgd", engine=engine, learning_rate=0.01)
    np.testing.assert_allclose(
        model.predict_proba(NEW_IDS), fresh.fit(*SECOND).predict_proba(NEW_IDS), atol=1e-5
    )


# of numbers this large NumPy has no spread
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("mode", ["static", "multichannel"])
def test_word_vectors_that_are_no_numbers_or_too_large_are_refused_in_a_later_fit(mode):
    tokens = tuple(f"token{i}" for i in range(48))
    ids = TokenIds(IDS, vocabulary=tokens)
    model = small(epochs=2).fit(ids, CLASSES)
    before, state = answers(model), vars(model).copy()
    vectors = {token: np.full(4, 1.0) for token in tokens}
    model.set_params(embedding_mode=mode)
    for value, message in (
        (np.inf, "finite numbers, got NaN or infinity"),
        (np.nan, "finite numbers, got NaN or infinity"),
        (3e38, "Training diverged.*word_vectors"),
    ):
        vectors[tokens[25]] = np.array([1, -value, value, 1])
        with pytest.raises(ValueError, match=message):
            model.set_params(word_vectors=vectors).fit(ids, CLASSES)
        assert answers(model) == before
    assert vars(model).items() >= {**state, "embedding_mode": mode, "word_vectors": vectors}.items()


# Callbacks

HOOKS = ["on_train_begin", "on_epoch_end", "on_train_end"]


@pytest.mark.slow
@pytest.mark.parametrize("hook", HOOKS)
def test_an_exception_in_any_hook_of_a_callback_leaves_the_earlier_fit(keras, hook):
    """And what the callback has been told is not needed any more: without it the fit works."""

    class Bomb(keras.callbacks.Callback):
        pass

    def explode(self, *arguments, **options):
        raise RuntimeError("in the middle")

    setattr(Bomb, hook, explode)
    model = small(epochs=2).fit(*FIRST)
    before, state = answers(model), vars(model).copy()
    with pytest.raises(RuntimeError, match="in the middle"):
        model.set_params(callbacks=[Bomb()]).fit(*SECOND)
    assert answers(model) == before
    model.set_params(callbacks=None)
    assert vars(model) == state
    fresh = small(epochs=2).fit(*SECOND)
    assert answers(model.fit(*SECOND)) == answers(fresh)


# Files


def saved(model, folder):
    path = folder / "model.joblib"
    save_by_the_docs()(model, path)
    return path


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_full_disk_leaves_the_earlier_file_and_nothing_beside_it(share, tmp_path):
    """A limit on the size of files stands for it: what is written beyond fails."""
    resource = pytest.importorskip("resource")
    old, new = (small(linear_ngrams=0, epochs=1, random_state=s).fit(*FIRST) for s in range(2))
    path, save = saved(old, tmp_path), save_by_the_docs()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * path.stat().st_size), limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large|written"):
            save(new, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == [path]
    assert answers(joblib.load(path)) == answers(old)
    save(new, path)
    assert answers(joblib.load(path)) == answers(new)


def test_a_device_without_space_is_told_and_the_model_stays():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    model = small(epochs=1).fit(*FIRST)
    before, size = answers(model), len(pickle.dumps(model))
    with pytest.raises(OSError, match="No space left"):
        joblib.dump(model, full)
    with pytest.raises(OSError, match="No space left"), full.open("wb") as file:
        pickle.dump(model, file)
    assert answers(model) == before
    assert len(pickle.dumps(model)) == size


def test_what_is_not_saved_yet_is_not_seen_and_what_was_mapped_stays(tmp_path):
    """Those who have mapped the earlier file go on with it."""
    old, new = (small(linear_ngrams=0, epochs=1, random_state=s).fit(*FIRST) for s in range(2))
    path = saved(old, tmp_path)
    mapped = joblib.load(path, mmap_mode="r")
    saved(new, tmp_path)
    assert answers(mapped) == answers(old)
    assert answers(joblib.load(path)) == answers(new)
