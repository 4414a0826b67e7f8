"""How many threads are ours, and work divided among them."""

import os
from concurrent.futures import ThreadPoolExecutor

from joblib import cpu_count

# Fewer look-ups than this are done sooner than a thread has started.
VALUES_PER_THREAD = 20_000_000


def thread_limit():
    """Threads that joblib or a batch system gives this process, None without a limit."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdigit() and int(limit) else None


def n_threads():
    """Cores of this process, quotas of containers considered, or as many as the limit says."""
    return min(cpu_count(), thread_limit() or cpu_count())


def for_each(work, blocks, n_values):
    """Call a function for each block, on all cores where so many look-ups in all pay for it."""
    n = 1 if n_values < 2 * VALUES_PER_THREAD else n_threads()
    if n > 1:
        with ThreadPoolExecutor(n) as pool:
            list(pool.map(work, blocks))
    else:
        for block in blocks:
            work(block)
