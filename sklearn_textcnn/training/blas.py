"""BLAS on one thread while the threads of a fit multiply, each by itself."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock

from threadpoolctl import ThreadpoolController


class _Limit:
    """A limit of BLAS that any thread may lift.

    threadpoolctl 3.8 lets only the thread that has set a limit change it, and the fit that ends
    last need not be the one that began first. So a thread of its own sets this one and lifts it.
    """

    def __init__(self):
        self._controller = ThreadpoolController()
        self._keeper = ThreadPoolExecutor(1)
        self._limits = self._keeper.submit(self.of_this_thread).result()
        self._keeper.submit(self._limits.__enter__).result()

    def of_this_thread(self):
        """The same limit once more: where BLAS runs on OpenMP, each thread has its own."""
        return self._controller.limit(limits=1, user_api="blas")

    def lift(self):
        self._keeper.submit(self._limits.__exit__, None, None, None).result()
        self._keeper.shutdown()

    def lift_in_child(self):
        """The same in a forked process, where no other thread is left."""
        self._limits.__exit__(None, None, None)


_fits_running, _limit, _lock = 0, None, Lock()


@contextmanager
def one_thread_for_products():
    """Limit BLAS to one thread while any fit runs: its setting is the process's, not the fit's.

    Must not run in the main thread, which an interrupt may stop between any two instructions.
    """
    global _fits_running, _limit
    with _lock:
        if not _fits_running:
            _limit = _Limit()
        limit = _limit
        _fits_running += 1
    try:
        with limit.of_this_thread():
            yield limit
    finally:
        with _lock:
            _fits_running -= 1
            if not _fits_running:
                limit.lift()


def _forget_fits_of_the_parent():
    """A forked process has none of the threads that fit in its parent, but their lock and limit."""
    global _fits_running
    _lock.release()
    if _fits_running:
        _limit.lift_in_child()
    _fits_running = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _lock.acquire(),
        after_in_parent=lambda: _lock.release(),
        after_in_child=_forget_fits_of_the_parent,
    )
