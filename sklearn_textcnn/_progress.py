"""How far a long step is: one bar, on standard error or in the notebook."""

import os
import sys
import warnings
from contextlib import contextmanager, nullcontext, suppress
from contextvars import copy_context
from functools import cache
from multiprocessing import parent_process
from threading import Event, Lock, Thread
from time import perf_counter

# What is over before this shows nothing.
DELAY = 0.5  # seconds
# A bar in a terminal is written this often. In a file every state is one more line, so there it is
# written less often, and the less the longer it takes.
INTERVAL = 0.1  # seconds
INTERVAL_IN_FILE, SHARE_IN_FILE = 1.0, 0.01

# Of text, where a wide bar would leave no room for scores, and of a widget.
_FORMATS = [
    f"{{desc}}: {{percentage:3.0f}}%|{bar}| {{elapsed}}<{{remaining}}{{postfix}}"
    for bar in ("{bar:10}", "{bar}")
]
_NOT_COUNTED = "{desc} [{elapsed}{postfix}]"

# Bars of several threads would write over each other: one at a time is shown.
_shown = Lock()


def _forget_bar():
    """In a forked process: the bar is that of the parent."""
    global _shown
    _shown = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_bar)


def shown(verbose):
    """Show a bar while a step takes place, which is full if that succeeds.

    Nothing is shown in a process that another one has started to share work, as several of those
    write to the same terminal, nor while another bar is shown.

    Parameters
    ----------
    verbose : int or Progress
        Above 0: show one. The `Progress` of a longer step that this one is part of: use that.

    Returns
    -------
    context manager
        Of a `Progress` that is to be told how far the step is.
    """
    if isinstance(verbose, Progress):
        return nullcontext(verbose)
    if not verbose or sys.stderr is None or parent_process() is not None:
        return nullcontext(Progress())
    return _one_bar()


@contextmanager
def _one_bar():
    if not _shown.acquire(blocking=False):
        yield Progress()
        return
    try:
        with _Bar() as bar:
            yield Progress(bar)
    finally:
        with suppress(RuntimeError):  # in a process that was forked meanwhile, it is another one
            _shown.release()


class Progress:
    """How far a step is, or a part of one: a stretch of a bar. Without a bar, nobody is told.

    Parameters
    ----------
    bar : _Bar or None
    name : str
        What this part of a step is.
    start, stop : float
        The stretch.
    """

    def __init__(self, bar=None, name="", start=0.0, stop=1.0):
        self.name, self._bar, self._stop = name, bar, stop
        self._next_part = self._start = start
        self._done, self._total, self._unit = 0, None, ""

    def part(self, share, name=""):
        """The progress of the next part, which takes a share of the time that is left."""
        start = self._next_part
        self._next_part = start + share * (self._stop - start)
        return Progress(self._bar, name or self.name, start, self._next_part)

    def begin(self, total, name=None, unit=""):
        """Note what is under way, and how many steps it has; None: nobody knows.

        Their number is shown if there is a `unit`, a noun in the plural.
        """
        self._start = self._next_part
        self._total, self._unit = total, unit
        if name is not None:
            self.name = name
            if not unit:
                self.say(name)
        self.update(0)

    def update(self, done):
        """Note how many steps are done."""
        self._done = done
        bar = self._bar
        if bar is None:
            return
        share = 0.0
        if self._total is not None:
            share = min(done / max(self._total, 1), 1.0)
        bar.is_counted = self._total is not None
        bar.done = self._start + share * (self._stop - self._start)
        if self._unit:
            of = "" if self._total is None else f" of {self._total:,}"
            bar.text = f"{self.name}, {done:,}{of} {self._unit}"

    def step(self):
        """Note that one more step is done."""
        self.update(self._done + 1)

    def say(self, text):
        """Note what is under way."""
        if self._bar is not None:
            self._bar.text = text

    def note(self, scores):
        """Note the scores of a model, by name."""
        if self._bar is not None:
            self._bar.scores = scores


class _Bar:
    """A bar of tqdm, written by a thread of its own.

    So the clock runs also while a step takes long, and whoever does the work only sets attributes.
    """

    def __init__(self):
        self.text, self.done, self.scores, self.is_counted = "starting", 0.0, {}, True
        self._began, self._ended, self._tqdm = perf_counter(), Event(), None
        self._class, self._is_widget = _tqdm()
        # a notebook takes what is printed from the context of its cell
        context = copy_context()
        self._thread = Thread(target=context.run, args=(self._write_on,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, error, *_):
        self._ended.set()
        self._thread.join()
        if error is None:
            self.done = 1.0
        if self._tqdm is not None:
            with suppress(OSError, ValueError):  # standard error has been closed
                self._set()
                self._tqdm.close()

    def _write_on(self):
        if self._ended.wait(DELAY):
            return
        with suppress(OSError, ValueError):
            in_file = not self._is_widget and not sys.stderr.isatty()
            # with a delay tqdm does not write before it is told what
            self._tqdm = bar = self._class(total=1.0, delay=1e-9, mininterval=0, smoothing=0)
            bar.start_t -= perf_counter() - self._began
            while True:
                self._set()
                bar.refresh()
                elapsed = perf_counter() - self._began
                pause = max(INTERVAL_IN_FILE, SHARE_IN_FILE * elapsed) if in_file else INTERVAL
                if self._ended.wait(pause):
                    return

    def _set(self):
        """Tell tqdm the present state."""
        bar = self._tqdm
        bar.n = self.done
        bar.bar_format = _FORMATS[self._is_widget] if self.is_counted else _NOT_COUNTED
        bar.set_description_str(self.text, refresh=False)
        bar.set_postfix(self.scores, refresh=False)


@cache
def _tqdm():
    """The class of tqdm for this place, and whether it is a widget, as in most notebooks."""
    # here, not above: a process that only predicts starts sooner without it
    with warnings.catch_warnings():
        # that widgets are experimental, or not installed, where text will do
        warnings.simplefilter("ignore")
        from tqdm.autonotebook import tqdm

    class Bar(tqdm):
        monitor_interval = 0  # no thread that stays: this one is refreshed as it is

    return Bar, tqdm.__module__ == "tqdm.notebook"
