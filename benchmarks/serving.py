"""Does each request cost the same, and a batch of a stream the batch rather than the table?

Requests: 100,000 documents, one at a time, to a model of 50,000 ids that is new in the process.
Lengths are those of sentences and ids as frequent as words (Zipf). Where the CPU time of requests
is even and their wall time is not, somebody else was using the machine. Streams: `partial_fit` of
64 documents of MR with more and more hash buckets; CPU time of a call once a few have been made.
Each table size has a process of its own, all of them in turn. For one document from text to label
see `predict.py`.
"""

import json
import os
import time
from pathlib import Path
from statistics import median

import numpy as np
from _common import (
    Report,
    alternate,
    at_most,
    load_corpus,
    parse_arguments,
    peak_mib,
    run_child,
)

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer, TokenIds

FLOORS = {
    "one request: 99.9th percentile / median": at_most(10),
    "partial_fit: 2**20 / 2**12 buckets": at_most(2),
}
TARGETS = {
    "one request: 99.9th percentile / median": at_most(3),
    "partial_fit: 2**20 / 2**12 buckets": at_most(1.2),
}
N_IDS = 50_000
REQUESTS = 100_000
BITS = (12, 18, 20)
BATCH = 64


def main():
    arguments = parse_arguments(__doc__)
    if arguments.child:
        task, *rest = arguments.child
        figures = {"requests": requests, "stream": stream}[task](arguments, *rest)
        return print(json.dumps(figures))
    report = Report(__doc__, arguments, FLOORS, TARGETS)

    runs = [run_child(arguments, "requests") for _ in range(1 if arguments.quick else 3)]
    report.table("Single predictions, ms, and memory of the process, a row a process", runs)
    ratio = median(run["99.9%"] / run["median"] for run in runs)
    report.claim("one request: 99.9th percentile / median", ratio)

    tasks = {bits: ("stream", bits) for bits in BITS}
    results = alternate(
        tasks, 1 if arguments.quick else 3, lambda task: run_child(arguments, *task)
    )
    cpu = {bits: median(run["CPU ms"] for run in runs) for bits, runs in results.items()}
    rows = [
        {
            "buckets": f"2**{bits}",
            "CPU ms a call": cpu[bits],
            "x fewest": cpu[bits] / cpu[BITS[0]],
            "min": min(run["CPU ms"] for run in runs),
            "max": max(run["CPU ms"] for run in runs),
            "wall ms": median(run["wall ms"] for run in runs),
            "first call, wall ms": median(run["first, wall ms"] for run in runs),
            "peak MiB": median(run["peak MiB"] for run in runs),
        }
        for bits, runs in results.items()
    ]
    report.table(f"partial_fit of {BATCH} documents, medians", rows)
    report.claim("partial_fit: 2**20 / 2**12 buckets", rows[-1]["x fewest"])
    report.finish()


def requests(arguments):
    """Serve in this process; milliseconds of a request, and memory."""
    rng = np.random.default_rng(0)
    # every id once, so that all have a row of their own
    every = rng.permutation(np.resize(np.arange(2, N_IDS), N_IDS)).reshape(-1, 20)
    classifier = TextCNNClassifier(epochs=1, linear_ngrams=0, random_state=0)
    classifier.fit(TokenIds(every, n_ids=N_IDS), np.arange(len(every)) % 2)
    n = 2000 if arguments.quick else REQUESTS
    shares = 1 / np.arange(1, N_IDS - 1)
    ids = rng.choice(np.arange(2, N_IDS), (n, 20), p=shares / shares.sum())
    ids[np.arange(20) >= rng.integers(5, 21, n)[:, None]] = 0  # 5 to 20 tokens
    documents = TokenIds(ids, n_ids=N_IDS)
    before = resident_mib()
    times, cpu = np.empty(n), np.empty(n)
    for i in range(n):
        document = documents[i : i + 1]
        began, cpu_before = time.perf_counter(), time.thread_time()
        classifier.predict(document)
        times[i] = 1000 * (time.perf_counter() - began)
        cpu[i] = 1000 * (time.thread_time() - cpu_before)
    median, *tail = np.percentile(times, [50, 99, 99.9])
    cpu_median, cpu_tail = np.percentile(cpu, [50, 99.9])
    return {
        "requests": str(n),
        "median": median,
        **dict(zip(("99%", "99.9%"), tail, strict=True)),
        "99.9% / median": tail[1] / median,
        "the same in CPU time": cpu_tail / cpu_median,
        "max": times.max(),
        "slowest": f"no. {times.argmax() + 1}",
        "MiB before": before,
        "MiB after": resident_mib(),
    }


def stream(arguments, bits):
    """Train on batches in this process; milliseconds of a call."""
    texts, labels = load_corpus(arguments.data, "mr/all")
    ids = TextVectorizerTransformer(hash_buckets=2 ** int(bits)).transform(texts)
    classifier = TextCNNClassifier(random_state=0)
    times = []
    for i in range(6 if arguments.quick else len(ids) // BATCH):
        rows = slice(i * BATCH, (i + 1) * BATCH)
        began = time.perf_counter(), time.process_time()
        classifier.partial_fit(ids[rows], labels[rows], classes=np.unique(labels))
        times.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    wall, cpu = 1000 * np.median(times[5:], axis=0)
    first = 1000 * times[0][0]
    return {"CPU ms": cpu, "wall ms": wall, "first, wall ms": first, "peak MiB": peak_mib()}


def resident_mib():
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return peak_mib()
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
