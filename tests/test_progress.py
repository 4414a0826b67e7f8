"""The bar that long steps show."""

import io
import os
import sys
import time
import warnings
from contextlib import suppress
from threading import Thread

import numpy as np
import pytest
from classifiers import CLASSES, IDS, small
from joblib import Parallel, delayed
from sampling import some

from sklearn_textcnn import (
    NgramLinearClassifier,
    TextVectorizerTransformer,
    _encoding,
    _parts,
    _progress,
    datasets,
)
from sklearn_textcnn._progress import Progress, shown

DOCUMENTS = ["a fine film", "a dull day"] * 20


def states(written):
    """What a bar showed, one after the other; the last is followed by a new line."""
    assert written.startswith("\r")
    assert written.endswith("\n")
    assert written.count("\n") == 1
    return [state.rstrip() for state in written.split("\r")[1:]]


# What is shown


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_fit_shows_one_bar(verbose, at_once, capsys):
    n_epochs = small(epochs=3, verbose=verbose).fit(IDS, CLASSES).n_iter_
    printed = capsys.readouterr()
    assert printed.out == ""
    *_, last = states(printed.err)
    name = f"network 4 of 4, epoch {n_epochs} of {n_epochs}"
    assert last.startswith(f"{name}: 100%|██████████| 00:")
    assert ", loss=" in last
    assert ", accu" in last  # tqdm may cut it to the width of the terminal


def test_nothing_is_shown_unless_it_is_asked_for(at_once, capsys):
    small(epochs=3).fit(IDS, CLASSES)
    NgramLinearClassifier().fit(IDS, CLASSES)
    TextVectorizerTransformer().fit_transform(DOCUMENTS)
    small(epochs=3, verbose=1, linear_ngrams=0).partial_fit(IDS, CLASSES, classes=[0, 1, 2])
    assert capsys.readouterr() == ("", "")


def test_what_is_over_soon_shows_nothing(monkeypatch, capsys):
    monkeypatch.setattr(_progress, "DELAY", 60.0)
    small(epochs=3, verbose=1).fit(IDS, CLASSES)
    assert capsys.readouterr() == ("", "")


def test_the_bar_moves_with_every_batch(bars):
    small(epochs=2, linear_ngrams=0, verbose=1).fit(IDS, CLASSES)
    (bar,) = bars
    assert bar.texts[-2:] == ["network, epoch 1 of 2", "network, epoch 2 of 2"]
    n_batches = 2 * -(-96 // small().batch_size)
    np.testing.assert_allclose(bar.shares, np.arange(n_batches + 1) / n_batches)
    assert list(bar.scores) == ["loss", "accuracy"]


def test_the_time_of_a_cross_fit_is_shared_out(bars):
    """Three networks see two thirds of the documents each, and the last one all of them."""
    small(epochs=3, verbose=1).fit(IDS, CLASSES)
    (bar,) = bars
    linear = 0.25 * 4 / (0.25 * 4 + 3 * 3)
    for n_networks in range(4):
        end = linear + (1 - linear) * 2 / 9 * n_networks
        assert np.isclose(bar.shares, end).any()


def test_training_that_ends_early_ends_the_bar(bars):
    model = small(epochs=50, early_stopping=True, patience=1, learning_rate=0.5, verbose=1)
    model.fit(IDS, CLASSES)
    (bar,) = bars
    assert model.n_iter_ < 50
    assert bar.shares[-1] == 1
    assert bar.texts[-1] == f"network, epoch {model.n_iter_} of 50"


def test_word_vectors_are_read_within_the_bar_of_a_fit(bars, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("fine 1.0 2.0\ndull 2.0 1.0\nfilm 0.0 1.0\nday 1.0 1.0\na 0.5 0.5\n")
    ids = TextVectorizerTransformer().fit_transform(DOCUMENTS)
    small(word_vectors=str(path), epochs=1, verbose=1).fit(ids, [0, 1] * 20)
    (bar,) = bars
    assert bar.texts[:2] == ["linear part", "reading vectors.txt"]
    assert bar.texts[2].startswith("network")


def test_tokenising_shows_documents(bars, monkeypatch):
    monkeypatch.setattr(_encoding, "_BATCH", 10)
    vectorizer = TextVectorizerTransformer(verbose=1)
    vectorizer.fit_transform(DOCUMENTS)
    expected = [f"tokenising, {n} of 40 documents" for n in (0, 10, 20, 30, 40)]
    assert bars[0].texts == expected
    np.testing.assert_allclose(bars[0].shares, [0, 0.25, 0.5, 0.75, 1])
    vectorizer.transform(iter(DOCUMENTS))
    assert bars[1].texts == [f"tokenising, {n} documents" for n in (0, 10, 20, 30, 40)]
    assert not bars[1].is_counted
    assert bars[1].shares == [0, 1]


def test_documents_nobody_has_counted(at_once, capsys):
    TextVectorizerTransformer(verbose=1).fit_transform(f"film {i}" for i in range(30_000))
    *_, last = states(capsys.readouterr().err)
    assert last.startswith("tokenising, 30,000 documents [00:")


def test_reading_a_corpus_shows_packages(bars):
    datasets.load_docstrings(["joblib", "tqdm"], verbose=1)
    assert bars[0].texts[-1] == "reading docstrings, 2 of 2 packages"


def test_a_full_line_fits_a_terminal(monkeypatch, at_once):
    """The name, the share, the times and the loss, in 80 columns."""
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (24, 80))
    with open(writer, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with shown(1) as progress:
            progress.begin(2)
            progress.say("network 4 of 4, epoch 12 of 25")
            progress.note({"loss": 0.123456, "accuracy": 0.9, "val_loss": 0.5, "val_accuracy": 0.8})
    written = b""
    with suppress(OSError):  # Linux' way to say that there is no more
        while chunk := os.read(reader, 10_000):
            written += chunk
    os.close(reader)
    last = written.decode().rstrip().rpartition("\r")[-1]
    assert last.startswith("network 4 of 4, epoch 12 of 25: 100%|██████████| 00:")
    assert "<00:00, loss=0.123" in last
    assert len(last) <= 80


# How often


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def wait_for(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.parametrize(("kind", "interval"), [(io.StringIO, 0.2), (Terminal, 0.02)])
def test_a_file_is_not_flooded(kind, interval, monkeypatch, at_once):
    file = kind()
    monkeypatch.setattr(sys, "stderr", file)
    monkeypatch.setattr(_progress, "INTERVAL", 0.02)
    monkeypatch.setattr(_progress, "INTERVAL_IN_FILE", 0.2)
    began = time.perf_counter()
    with shown(1) as progress:
        progress.begin(100)
        for _ in range(100):
            time.sleep(0.005)
            progress.step()
    most = (time.perf_counter() - began) / interval + 2  # the first and the last
    assert len(states(file.getvalue())) <= most
    if kind is Terminal:
        assert len(states(file.getvalue())) > 5


def test_the_clock_runs_while_a_step_takes_long(monkeypatch, at_once):
    file = Terminal()
    monkeypatch.setattr(sys, "stderr", file)
    with shown(1) as progress:
        progress.begin(2, "waiting")
        wait_for(lambda: "00:01" in file.getvalue())
    assert "waiting:   0%|          | 00:01<?" in states(file.getvalue())


# Errors, threads and processes


def test_an_error_ends_the_line_where_it_is(at_once, capsys):
    def fail():
        with shown(1) as progress:
            progress.begin(4, "work")
            progress.step()
            wait_for(lambda: capsys.readouterr().err)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    (last,) = states(capsys.readouterr().err)
    assert last.startswith("work:  25%")
    small(epochs=3, verbose=1).fit(IDS, CLASSES)  # the next bar is shown
    assert "100%" in capsys.readouterr().err


def test_a_refused_fit_leaves_no_bar(at_once, capsys):
    with pytest.raises(ValueError, match="Negative values"):
        small(verbose=1).fit(IDS - 1, CLASSES)
    assert "100%" not in capsys.readouterr().err
    assert _progress._shown.acquire(blocking=False)
    _progress._shown.release()


def test_one_bar_at_a_time(bars):
    def fit():
        small(epochs=1, verbose=1).fit(IDS, CLASSES)

    with shown(1):
        fit()
        thread = Thread(target=fit)
        thread.start()
        thread.join()
        assert len(bars) == 1
    fit()
    assert len(bars) == 2


def test_part_of_a_longer_step_has_no_bar_of_its_own(bars):
    with shown(1) as whole, shown(whole.part(0.5)) as half:
        half.begin(2, "half")
        half.step()
        assert bars[0].done == 0.25
    assert len(bars) == 1


def test_parts_take_their_share_of_what_is_left():
    bar = type("Bar", (), {})()
    whole = Progress(bar)
    for share, expected in ((0.5, 0.25), (0.5, 0.625), (1.0, 0.875)):
        part = whole.part(share)
        part.begin(2)
        part.step()
        assert bar.done == expected
        part.update(5)  # more than there are
    assert bar.done == 1


def test_without_standard_error_nothing_is_shown(monkeypatch, bars):
    monkeypatch.setattr(sys, "stderr", None)
    small(epochs=1, verbose=1).fit(IDS, CLASSES)
    assert bars == []


def test_a_closed_standard_error_harms_no_fit(monkeypatch, at_once):
    file = io.StringIO()
    file.close()
    monkeypatch.setattr(sys, "stderr", file)
    assert small(epochs=1, verbose=1).fit(IDS, CLASSES).n_iter_ == 1


def test_workers_are_silent():
    def shows():
        with shown(1) as progress:
            return progress._bar is not None

    assert shows()
    assert Parallel(n_jobs=2)(delayed(shows)() for _ in range(2)) == [False, False]


def test_cross_fits_are_foreseen():
    model = small(epochs=3)
    few = type("Data", (), {"documents": None, "validation": None})()
    few.documents = type("Documents", (), {"ids": IDS, "targets": np.eye(3)[CLASSES]})()
    shares = {
        "cross-fit": _parts.share_of_linear_part(few, model, 10),
        "held out": _parts.share_of_linear_part(few, small(early_stopping=True), 10),
        "keras": _parts.share_of_linear_part(few, small(early_stopping=True, engine="keras"), 10),
    }
    assert shares == pytest.approx({"cross-fit": 1 / 31, "held out": 1 / 11, "keras": 1 / 101})


# Notebooks

CELL = """
import numpy as np
from sklearn_textcnn import TextCNNClassifier, _progress
_progress.DELAY = 0.0
ids = np.random.default_rng(0).integers(2, 20, (40, 8))
model = TextCNNClassifier(epochs=2, linear_ngrams=0, verbose=1).fit(ids, np.arange(40) % 2)
"""


@pytest.mark.parametrize("widgets", some([True, False], every=2))
def test_a_notebook_shows_the_bar_and_no_warning(widgets, tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    if widgets:
        pytest.importorskip("ipywidgets")
    hide = "" if widgets else "import sys\nsys.modules['ipywidgets'] = None"
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, [hide, CELL])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the client itself
        nbclient.NotebookClient(notebook, timeout=120, cwd=tmp_path).execute()
    outputs = notebook.cells[1].outputs
    text = "".join(
        output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs
    )
    assert "Warning" not in text
    if widgets:
        (output,) = outputs
        assert "application/vnd.jupyter.widget-view+json" in output.data
    else:
        *_, last = states(text)
        assert last.startswith("network, epoch 2 of 2: 100%")
