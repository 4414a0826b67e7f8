"""A fit in place while others ask, and an interrupt between any two instructions of one."""

import copy
import pickle
import sys
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from classifiers import CLASSES, IDS, NAMES, NEW_IDS, small
from networks import architecture, assert_equal_weights, random_weights, train
from sklearn.base import clone
from threadpoolctl import threadpool_info

import sklearn_textcnn
from sklearn_textcnn import NgramLinearClassifier
from sklearn_textcnn.network.forward import Forward, TokenProducts
from sklearn_textcnn.training import numpy_engine
from sklearn_textcnn.training.course import Course

PACKAGE = Path(sklearn_textcnn.__file__).parent
MODELS = {
    "network": small(linear_ngrams=0, epochs=1),
    "both parts": small(linear_ngrams=1, epochs=1),
    "linear": NgramLinearClassifier(random_state=0),
}
METHODS = ["predict", "predict_proba", "decision_function"]
# Other classes, another number of them and, for a linear part, other features.
FIRST = IDS[:18], NAMES[CLASSES[:18]]
SECOND = IDS[:18] % 20, CLASSES[:18] == 1


@contextmanager
def at_each(event, do, in_code):
    """Call a function at each "line" or "opcode" of this thread, as another thread might.

    What it raises is raised there, and ends it. `in_code` says which code objects are meant.
    """

    def inside(frame, what, _):
        if what == event:
            do()
        return inside

    def trace(frame, *_):
        if not in_code(frame.f_code):
            return None
        frame.f_trace_opcodes = event == "opcode"
        return inside

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def of_the_classifiers(code):
    """Whether code belongs to fitting and predicting, without what holds a lock."""
    path = Path(code.co_filename)
    files = {"_answers.py", "_validation.py", "classifier.py", "linear.py"}
    return path.parent == PACKAGE and path.name in files and code.co_name != "_forward"


def answers(model, *methods):
    """What a model answers, as something to compare."""
    return pickle.dumps([getattr(model, method)(NEW_IDS).tolist() for method in methods])


@pytest.mark.parametrize("name", MODELS)
def test_during_a_fit_the_earlier_model_answers(name):
    model = clone(MODELS[name]).fit(*FIRST)
    before, found = answers(model, *METHODS), []
    with at_each("line", lambda: found.append(answers(model, *METHODS)), of_the_classifiers):
        model.fit(*SECOND)
    after = answers(model, *METHODS)
    assert before != after
    n_before = found.count(before)
    assert n_before > 15
    assert found == [before] * n_before + [after] * (len(found) - n_before)


@pytest.mark.parametrize(
    "method", ["predict", *(pytest.param(m, marks=pytest.mark.slow) for m in METHODS[1:])]
)
@pytest.mark.parametrize("name", MODELS)
def test_a_fit_that_ends_between_two_lines_of_a_prediction(name, method):
    """The answer is that of the model before it, or after it."""
    model = clone(MODELS[name])
    whole = {answers(model.fit(*data), method) for data in (FIRST, SECOND)}
    assert len(whole) == 2
    data, other, at, n_lines = FIRST, SECOND, 0, 0

    def refit_at_one():
        nonlocal data, other, n_lines
        n_lines += 1
        if n_lines == at:
            model.fit(*data)
            data, other = other, data

    while at <= n_lines:
        at, n_lines = at + 1, 0
        with at_each("line", refit_at_one, of_the_classifiers):
            answer = answers(model, method)
        assert answer in whole
    assert at > 10


def test_during_partial_fit_there_are_answers():
    """With rows of before and rows of after; none of them stays."""
    model = small(linear_ngrams=0).partial_fit(*FIRST, classes=NAMES)
    before = answers(model, *METHODS)
    with at_each("line", lambda: answers(model, *METHODS), of_the_classifiers):
        model.partial_fit(IDS[:18] + 1, FIRST[1])  # the table grows
    fresh = pickle.loads(pickle.dumps(model))
    assert answers(model, *METHODS) == answers(fresh, *METHODS) != before


def test_what_is_answered_during_a_partial_fit_that_fails_does_not_stay(monkeypatch):
    model = small(linear_ngrams=0).partial_fit(*FIRST, classes=NAMES)
    before, step, found = answers(model, *METHODS), Course.step, []
    model = pickle.loads(pickle.dumps(model))  # no products of tokens are kept as yet

    def failing(self):
        step(self)
        found.append(answers(model, *METHODS))
        if len(found) == 2:
            raise RuntimeError

    monkeypatch.setattr(Course, "step", failing)
    with pytest.raises(RuntimeError):
        model.partial_fit(*FIRST)
    assert found[-1] != before
    assert answers(model, *METHODS) == before


def blas_threads():
    return [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]


@pytest.mark.slow
@pytest.mark.parametrize("names", [{"train"}, {"partial_fit", "_train", "__exit__"}])
def test_an_interrupt_between_any_two_instructions(names):
    """It leaves BLAS its threads, and the model as before the call or as after it."""
    start = small(linear_ngrams=0).partial_fit(*FIRST, classes=NAMES)
    done = copy.copy(start).partial_fit(*FIRST)
    expected = {len(m.history_["loss"]): answers(m, "predict_proba") for m in (start, done)}
    threads, at, n_instructions, n_interrupts = blas_threads(), 0, 0, 0

    def interrupt_at_one():
        nonlocal n_instructions
        n_instructions += 1
        if n_instructions == at:
            raise KeyboardInterrupt

    def of_this_thread(code):
        return Path(code.co_filename).is_relative_to(PACKAGE) and code.co_name in names

    while at <= n_instructions:
        at, n_instructions = at + 1, 0
        model = copy.copy(start)
        try:
            with at_each("opcode", interrupt_at_one, of_this_thread):
                model.partial_fit(*FIRST)
        except KeyboardInterrupt:
            n_interrupts += 1
        assert answers(model, "predict_proba") == expected[len(model.history_["loss"])]
        assert blas_threads() == threads
    assert n_interrupts == at - 1 > 50


def test_a_thread_that_begins_after_an_interrupt_trains_nothing(monkeypatch):
    """Also where the same engine has been asked to train again by then."""
    a, late, start = architecture(), [], numpy_engine.start_new_thread
    expected = train(a, epochs=1)
    engine, weights = train(a, epochs=1).engine, random_weights(a)

    def interrupted(run, arguments):
        late.append((run, arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(numpy_engine, "start_new_thread", interrupted)
    engine = numpy_engine.NumpyEngine(a, expected.engine.options)
    with pytest.raises(KeyboardInterrupt):
        train(a, weights=weights, earlier=engine, epochs=1)

    def second(run, arguments):
        for other, its_arguments in late:
            other(*its_arguments)
        return start(run, arguments)

    monkeypatch.setattr(numpy_engine, "start_new_thread", second)
    again = train(a, weights=weights, earlier=engine, epochs=1)
    assert len(late) == 1
    assert_equal_weights(again.weights, expected.weights)


@pytest.mark.parametrize("n_made", [0, 1, 2])
def test_an_interrupt_spoils_no_products_of_tokens(monkeypatch, n_made):
    """Wherever it comes while they are made: later ones do not get their places."""
    a = architecture(kernel_sizes=(2, 3))
    weights, known = random_weights(a), np.ones(30, dtype=bool)
    first, second = np.array([[2, 3, 4, 5]]), np.array([[6, 7, 8, 9]])
    whole, forward = (Forward(a, weights, known) for _ in range(2))
    expected = [whole.logits(ids) for ids in (first, second)]
    forward.logits(np.array([[10]]))  # makes those of padding
    make = TokenProducts._products

    def interrupted(products, ids):
        yield from islice(make(products, ids), n_made)
        raise KeyboardInterrupt

    monkeypatch.setattr(TokenProducts, "_products", interrupted)
    with pytest.raises(KeyboardInterrupt):
        forward.logits(first)
    monkeypatch.undo()
    found = [forward.logits(ids) for ids in (second, first)]
    np.testing.assert_array_equal(found, expected[::-1])
