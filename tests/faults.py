"""Interrupts and killed processes at random moments, for `test_faults.py` and `campaign_faults.py`.

`interrupted` runs a case in a process of its own, in a session of its own, and sends SIGINT to all
processes of that session, as Ctrl-C in a terminal does. The process says when it begins, and checks
after each interrupt what it finds: the state of before, whole, or that of after, and that the next
call works. `killed_while_saving` and `killed_workers` do the same with SIGKILL.
"""

import copy
import doctest
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
from classifiers import CLASSES, IDS, NAMES, NEW_IDS, small
from corpora import topic_texts
from joblib.externals.loky.process_executor import TerminatedWorkerError
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_info

from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer, _encoding

ROOT = Path(__file__).parents[1]
# Other classes, another number of them and other ids: a mixture of the two would show.
FIRST = IDS[:48], NAMES[CLASSES[:48]]
SECOND = IDS[:48] % 20, CLASSES[:48] == 1
LATE = 5.0  # seconds that an interrupt may come late on a busy machine


def answers(model):
    """What a classifier answers, as something to compare bit for bit."""
    found = model.predict_proba(NEW_IDS)
    return found.dtype.str, found.shape, found.tobytes()


def save_by_the_docs():
    """The function that the page about saving tells people to use."""
    page = (ROOT / "docs" / "user_guide" / "saving.rst").read_text(encoding="utf-8")
    examples = doctest.DocTestParser().get_examples(page)
    (source,) = (e.source for e in examples if e.source.startswith("def save("))
    names = {"joblib": joblib, "os": os, "Path": Path}
    exec(source, names)
    return names["save"]


class Refits:
    """A classifier that is fitted again, to other documents."""

    def __init__(self, model):
        self.start = model.fit(*FIRST)
        self.before = answers(model)
        self.after = answers(copy.deepcopy(model).fit(*SECOND))
        self.threads = blas_threads(), threading.active_count()

    def begin(self):
        self.model = copy.deepcopy(self.start)

    def do(self):
        self.model.fit(*SECOND)

    def check(self, finished):
        found = answers(self.model)
        assert found == self.after or (found == self.before and not finished), "a mixture"
        assert blas_threads() == self.threads[0], "BLAS has lost its threads"
        self.do()
        assert answers(self.model) == self.after, "the next fit is another one"
        assert threads_end(self.threads[1]), "a thread goes on"


class RefitsInKeras(Refits):
    """The same; TensorFlow's threads round as they like."""

    def __init__(self, model):
        self.start = model.fit(*FIRST)
        self.before = model.predict_proba(NEW_IDS)
        self.after = copy.deepcopy(model).fit(*SECOND).predict_proba(NEW_IDS)

    def check(self, finished):
        found = self.model.predict_proba(NEW_IDS)
        if found.shape == self.before.shape:
            assert not finished, "the fit has done nothing"
            assert np.array_equal(found, self.before), "a mixture"
        else:
            np.testing.assert_allclose(found, self.after, atol=1e-4)
        self.do()
        np.testing.assert_allclose(self.model.predict_proba(NEW_IDS), self.after, atol=1e-4)


class Streams(Refits):
    """A network that goes on with another batch, its tables trained in place."""

    def __init__(self, model):
        self.start = model
        self.begin()
        self.before = answers(self.model)
        self.do()
        self.after = answers(self.model)
        self.threads = blas_threads(), threading.active_count()

    def begin(self):
        # copies leave the optimizer behind, so begin anew
        self.model = clone(self.start).partial_fit(*FIRST, classes=NAMES)

    def do(self):
        self.model.partial_fit(IDS[:48] + 1, FIRST[1])

    def check(self, finished):
        found = answers(self.model)
        assert found == self.after or (found == self.before and not finished), "a mixture"
        assert blas_threads() == self.threads[0], "BLAS has lost its threads"
        if found == self.before:
            self.do()
        assert answers(self.model) == self.after, "the next step is another one"
        assert threads_end(self.threads[1]), "a thread goes on"


class Predictions:
    """So many documents that several threads share them, by a model whose products are not made."""

    def __init__(self, model):
        self.start = model.fit(*FIRST)
        self.ids = np.random.default_rng(0).integers(1, 50, (20_000, 10))
        self.expected = model.predict_proba(self.ids)

    def begin(self):
        self.model = copy.deepcopy(self.start)

    def do(self):
        self.found = self.model.predict_proba(self.ids)

    def check(self, finished):
        assert not finished or np.array_equal(self.found, self.expected), "another answer"
        few = self.ids[::100]
        assert np.array_equal(self.model.predict_proba(few), self.expected[::100]), "spoiled"


class Tokens:
    """A vectorizer that is fitted again, or transforms, with two processes more."""

    def __init__(self, method, n_jobs=2):
        # processes for small corpora, too
        _encoding._BATCH, _encoding._WORTH_STARTING, _encoding._WORTH_FEEDING = 50, 0.0, 0.0
        self.texts = topic_texts(3000)[0]
        self.method, self.vectorizer = method, TextVectorizerTransformer(n_jobs=n_jobs, min_df=2)
        self.vectorizer.fit(self.texts[:200])
        self.start = vars(self.vectorizer).copy()
        self.before = self.ids()
        expected = TextVectorizerTransformer(min_df=2)
        self.expected = expected.fit(self.texts[:200] if method == "transform" else self.texts)
        self.expected = self.expected.transform(self.texts)

    def ids(self):
        ids = self.vectorizer.transform(self.texts[:40])
        return ids.shape, ids.tobytes(), ids.vocabulary

    def begin(self):
        self.vectorizer.__dict__ = self.start.copy()

    def do(self):
        self.found = getattr(self.vectorizer, self.method)(self.texts)

    def check(self, finished):
        if finished:
            assert np.array_equal(self.found, self.expected), "other ids"
        else:
            # fitted, or as before: in either case whole
            fitted = self.vectorizer.vocabulary_ is not self.start["vocabulary_"]
            assert self.method == "fit_transform" if fitted else self.ids() == self.before
        try:
            self.do()
        except TerminatedWorkerError:
            # Ctrl-C has ended workers that had nothing to do, and joblib had not noticed as yet
            self.do()
        assert np.array_equal(self.found, self.expected), "the next call is another one"
        assert self.found.vocabulary == self.expected.vocabulary


class Saves:
    """A model that is written over an earlier one, as the docs tell."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path, self.save = Path(self.folder.name) / "model.joblib", save_by_the_docs()
        self.models = large_models()
        self.expected, self.turn = [answers(model) for model in self.models], 0
        self.save(self.models[0], self.path)

    def begin(self):
        self.turn += 1

    def do(self):
        self.save(self.models[self.turn % 2], self.path)

    def check(self, finished):
        found = answers(joblib.load(self.path))
        new = self.expected[self.turn % 2]
        assert found == new or (found in self.expected and not finished), "a mixture"
        assert list(self.path.parent.iterdir()) == [self.path], "something is left over"
        self.do()
        assert answers(joblib.load(self.path)) == new, "the next one is not saved"


def large_models():
    """Two classifiers of some megabytes: it takes a while to write one."""
    ids = FIRST[0].copy()
    ids[0, 0] = 60_000
    network = {"embedding_dim": 30, "epochs": 1, "linear_ngrams": 0}
    return [small(**network, random_state=seed).fit(ids, FIRST[1]) for seed in range(2)]


CASES = {
    "fit, both parts": lambda: Refits(small(epochs=2)),
    "fit, network alone": lambda: Refits(small(epochs=2, linear_ngrams=0)),
    "fit, linear alone": lambda: Refits(NgramLinearClassifier(random_state=0)),
    "fit in Keras": lambda: RefitsInKeras(small(epochs=2, linear_ngrams=0, engine="keras")),
    "partial_fit": lambda: Streams(small(linear_ngrams=0)),
    "predict_proba": lambda: Predictions(small(epochs=1)),
    "vectorizer, fit": lambda: Tokens("fit_transform", n_jobs=None),
    "vectorizer, fit, n_jobs=2": lambda: Tokens("fit_transform"),
    "vectorizer, transform, n_jobs=2": lambda: Tokens("transform"),
    "save": Saves,
}


# Those that take seconds, as TensorFlow or processes begin anew.
DEAR = {"fit in Keras", "vectorizer, fit, n_jobs=2", "vectorizer, transform, n_jobs=2"}


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def threads_end(n_before):
    """Whether there are soon as many threads of Python as before."""
    deadline = time.monotonic() + 20
    while threading.active_count() > n_before and time.monotonic() < deadline:
        time.sleep(0.01)
    return threading.active_count() <= n_before


def interrupted(case, n, seed=0, timeout=300):
    """Interrupt a case at random moments.

    Returns
    -------
    dict
        Numbers: of interrupts that came "in time" (while it worked), "late" (when it was done) and
        "lost" (Python drops what is raised in a destructor); and "failures", what was wrong.
    """
    return _run(["interrupted", case, n, seed], timeout, _send_interrupts)


def killed_while_saving(n, seed=0, timeout=300):
    """Kill processes that save over a file again and again; "killed" and "failures"."""
    return _run(["killed_while_saving", n, seed], timeout)


def killed_workers(case, n, seed=0, timeout=300):
    """Kill a worker at a random moment of a call with n_jobs=2; see `KILLED`.

    "killed" workers, calls that were "refused" (joblib says that a worker was terminated), those
    that were "done" all the same, and "failures".
    """
    return _run(["killed_workers", case, n, seed], timeout)


def _run(arguments, timeout, attend=lambda process: process.stdout.read()):
    """The figures that this file prints in a process of its own."""
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, __file__, *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
            start_new_session=True,
        )
        watchdog = threading.Timer(timeout, os.killpg, [process.pid, signal.SIGKILL])
        watchdog.start()
        try:
            output = attend(process)
            code = process.wait()
        finally:
            watchdog.cancel()
            process.kill()
        errors.seek(0)
        said = errors.read()[-2000:]
    if code:
        return {"failures": [f"{' '.join(command[2:])} ended with {code}: {output[-500:]} {said}"]}
    return json.loads(output.splitlines()[-1])


def _send_interrupts(process):
    lines = []
    for line in process.stdout:
        if line.startswith("begin "):
            time.sleep(float(line.split()[1]))
            os.killpg(process.pid, signal.SIGINT)
        else:
            lines.append(line)
    return "".join(lines)


@contextmanager
def failure_noted(counts, where):
    """Note what goes wrong among the failures, and go on."""
    try:
        yield
    except Exception as failure:
        counts["failures"].append(f"{where}: {type(failure).__name__}: {failure}")


def _interrupted(name, n, seed):
    """In a process of its own."""
    # which a process in the background starts without
    signal.signal(signal.SIGINT, signal.default_int_handler)
    case, rng = CASES[name](), np.random.default_rng(int(seed))
    case.begin()
    began = time.perf_counter()
    case.do()
    took = time.perf_counter() - began
    counts = {"in time": 0, "late": 0, "lost": 0, "failures": []}
    for number in range(int(n)):
        case.begin()
        moment, finished, came, error = rng.uniform(0, took), False, False, None
        try:
            try:
                print("begin", moment, flush=True)
                case.do()
                finished = True
            except Exception as raised:  # by a worker that was interrupted, too
                error = raised
            time.sleep(moment + LATE)
        except KeyboardInterrupt:
            came = True
        counts["lost" if not came else "late" if finished else "in time"] += 1
        where = f"{name}, number {number}, {moment:.4f} of {took:.4f} s, seed {seed}"
        with failure_noted(counts, where):
            assert error is None or came, f"{type(error).__name__} without an interrupt: {error}"
            case.check(finished)
    print(json.dumps(counts))


def _killed_while_saving(n, seed):
    """In a process of its own, which forks those that are killed."""
    case, rng, save = Saves(), np.random.default_rng(int(seed)), save_by_the_docs()
    counts = {"killed": 0, "left over": 0, "failures": []}
    began = time.perf_counter()
    case.do()
    took = time.perf_counter() - began
    for number in range(int(n)):
        pid = os.fork()
        if not pid:
            while True:  # the process is killed by its parent
                for model in case.models:
                    save(model, case.path)
        moment = rng.uniform(0, 4 * took)
        time.sleep(moment)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        counts["killed"] += 1
        where = f"killed while saving, number {number}, {moment:.4f} s, seed {seed}"
        with failure_noted(counts, where):
            assert answers(joblib.load(case.path)) in case.expected, "a mixture"
            for path in set(case.path.parent.iterdir()) - {case.path}:
                counts["left over"] += 1
                path.unlink()
            case.begin()
            case.do()
            case.check(finished=True)
    print(json.dumps(counts))


class Search:
    """A search whose fits two workers share."""

    def __init__(self):
        texts, labels = topic_texts(120)
        pipeline = make_pipeline(TextVectorizerTransformer(), small(epochs=2))
        self.data = pipeline.fit(texts, labels), texts, labels
        self.before = pipeline.predict_proba(texts)
        self.expected = self.scores(n_jobs=None)

    def scores(self, n_jobs=2):
        pipeline, texts, labels = self.data
        grid = {"textcnnclassifier__learning_rate": [0.003, 0.01, 0.03]}
        search = GridSearchCV(pipeline, grid, cv=3, scoring="neg_log_loss", n_jobs=n_jobs)
        return search.fit(texts, labels).cv_results_["mean_test_score"].tolist()

    def begin(self):
        self.found = None

    def do(self):
        self.found = self.scores()

    def check(self, finished):
        pipeline, texts, _ = self.data
        assert not finished or self.found == self.expected, "other scores"
        assert np.array_equal(pipeline.predict_proba(texts), self.before), "spoiled"
        assert self.scores() == self.expected, "the next search has other scores"


KILLED = {
    "search": Search,
    "vectorizer, fit": lambda: Tokens("fit_transform"),
    "vectorizer, transform": lambda: Tokens("transform"),
}


def _killed_workers(name, n, seed):
    """In a process of its own."""
    case, rng = KILLED[name](), random.Random(int(seed))
    case.begin()
    case.do()
    began = time.perf_counter()
    case.do()
    took = time.perf_counter() - began
    counts = {"killed": 0, "refused": 0, "done": 0, "failures": []}
    for number in range(int(n)):
        case.begin()
        moment, finished = rng.uniform(0, took), False
        killer = threading.Timer(moment, _kill_one, [rng, counts])
        killer.start()
        where = f"{name}, number {number}, {moment:.4f} of {took:.4f} s, seed {seed}"
        with failure_noted(counts, where):
            try:
                case.do()
                finished = True
                counts["done"] += 1
            except TerminatedWorkerError:
                counts["refused"] += 1
            killer.join()
            if finished:  # it may have been killed when all was done
                time.sleep(0.2)
            case.check(finished)
    print(json.dumps(counts))


def _kill_one(rng, counts):
    """Kill one of the workers of this process, if there is one."""
    workers = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = next(x for x in status.read_text().splitlines() if x.startswith("PPid:"))
            command = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(parent.split()[1]) == os.getpid() and b"popen_loky_posix" in command:
            workers.append(int(status.parent.name))
    if workers:
        os.kill(rng.choice(workers), signal.SIGKILL)
        counts["killed"] += 1


if __name__ == "__main__":
    task, *arguments = sys.argv[1:]
    {
        "interrupted": _interrupted,
        "killed_while_saving": _killed_while_saving,
        "killed_workers": _killed_workers,
    }[task](*arguments)
