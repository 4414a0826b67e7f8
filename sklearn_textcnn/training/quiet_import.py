"""Imports of TensorFlow: without what it prints when it starts, and never where it would hang."""

import importlib
import os
import re
import sys
import tempfile
from concurrent.futures import Future
from contextlib import contextmanager
from threading import RLock, Thread

# Start-up lines of TensorFlow 2.18 to 2.21 that say nothing about what the user does. They come
# from C++ before any logging switch is read, hence the file descriptor.
_CHATTER = re.compile(
    r"oneDNN custom operations are on"
    r"|Could not find cuda drivers on your machine"
    r"|All log messages before absl::InitializeLog"
    r"|This TensorFlow binary is optimized to use available CPU instructions"
    r"|To enable the following instructions: .* in other operations, rebuild TensorFlow"
    r"|Unable to register cu(FFT|DNN|BLAS) factory"
    r"|computation placer already registered"
    r"|failed call to cuInit"
    r"|kernel reported version|kernel driver does not appear to be running"
    r"|retrieving CUDA diagnostic information|: hostname:"
    r"|libcuda reported version|kernel version seems to match DSO"
    r"|TF-TRT Warning|Cannot dlopen some GPU libraries|Skipping registering GPU devices"
)
_forked_from_tensorflow = False
# Two threads that put standard error aside at once would not put it back in order.
_importing = RLock()


def import_with_keras(name):
    """Import a module of ours that needs Keras.

    Raises
    ------
    RuntimeError
        In a process that was forked from one in which TensorFlow was running.
    """
    if _forked_from_tensorflow:
        raise RuntimeError(
            "Keras cannot run here: this process was forked from one in which TensorFlow had run, "
            "and TensorFlow would wait for threads that a fork does not copy. Start processes with "
            'joblib\'s "loky" backend or with multiprocessing.get_context("spawn").'
        )
    if name in sys.modules:
        return importlib.import_module(name)
    imported = Future()

    def work():
        try:
            with _importing, _chatter_withheld():
                module = importlib.import_module(name)
        except BaseException as error:
            imported.set_exception(error)
        else:
            imported.set_result(module)

    # Nobody can import TensorFlow once more after an interrupt in the middle of it, which takes
    # seconds. Here an interrupt ends the waiting only.
    Thread(target=work).start()
    return imported.result()


@contextmanager
def _chatter_withheld():
    """Hold back TensorFlow's start-up lines; pass on every other line on standard error."""
    if "tensorflow" in sys.modules:
        yield
        return
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (AttributeError, OSError, ValueError):  # no standard error, as under pythonw
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            if sys.stderr is not None:
                sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held.read().splitlines(keepends=True):
                if not _CHATTER.search(line.decode(errors="replace")):
                    os.write(2, line)


def _note_fork():
    """Notice that the parent's TensorFlow has threads, which this process lacks."""
    global _forked_from_tensorflow, _importing
    _importing = RLock()  # a thread of the parent may have held it
    eager = sys.modules.get("tensorflow.python.eager.context")
    context = getattr(eager, "_context", None)
    if context is not None and getattr(context, "_initialized", True):
        _forked_from_tensorflow = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
