"""What TensorFlow prints when it starts, and how many threads it starts in a worker process."""

import os
import re
import sys
import tempfile
from contextlib import contextmanager

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


@contextmanager
def tensorflow_chatter_withheld():
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


def thread_limit():
    """Threads that joblib or a batch system gives this process, None without a limit."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdigit() and int(limit) else None


def limit_threads_in_worker(tf):
    """Hold TensorFlow to the number of threads that joblib gives a worker process.

    ``OMP_NUM_THREADS`` alone caps only the products; an explicit ``TF_NUM_*`` setting wins.
    """
    limit = thread_limit()
    if limit is None:
        return
    try:
        if "TF_NUM_INTRAOP_THREADS" not in os.environ:
            tf.config.threading.set_intra_op_parallelism_threads(limit)
        if "TF_NUM_INTEROP_THREADS" not in os.environ:
            tf.config.threading.set_inter_op_parallelism_threads(limit)
    except RuntimeError:
        # somebody has already computed with TensorFlow in this process; its threads exist
        pass
