"""Does a stream of 5,000,000 documents need more memory than its first tenth, and how fast is it?

Documents of 8 to 20 words, drawn from four corpora; the class is the corpus. In every fourth one a
word is new and never comes again, as names and numbers do. Batches of 1,000 go through
`hash_buckets` and `partial_fit` on one core, in a process of its own. Growth is counted from the
end of the first tenth on. How good a stream is beside `fit`: `stream_accuracy.py`.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from _common import Report, at_least, at_most, load_corpus, parse_arguments, run_child

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer

FLOORS = {
    "5,000,000 documents: MiB grown after the first tenth": at_most(50),
    "5,000,000 documents: documents a second of CPU time": at_least(4200),  # 20 minutes
}
TARGETS = {
    "5,000,000 documents: MiB grown after the first tenth": at_most(20),
}
DOCUMENTS = 5_000_000
BATCH = 1000
MARKS = 10
SOURCES = ("mr/all", "trec/train", "sms_spam/all", "20ng/train")
SHORTEST, LONGEST = 8, 20  # words of a document
NEW_WORDS = 0.25  # share of the documents with a word that nobody has seen
NETWORK = {"embedding_dim": 50, "filters": 20, "batch_size": 256, "random_state": 0}


def main():
    arguments = parse_arguments(__doc__)
    if arguments.child:
        return print(json.dumps(stream_here(arguments)))
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    judge_stream(report, run_child(arguments, "stream"))
    report.finish()


def judge_stream(report, rows):
    report.table("A stream, after each tenth of it", rows)
    warm = rows[0]["MiB"]
    report.claim(
        "5,000,000 documents: MiB grown after the first tenth",
        max(row["MiB"] for row in rows) - warm,
    )
    seconds = sum(row["CPU s"] for row in rows)
    name = "5,000,000 documents: documents a second of CPU time"
    report.claim(name, rows[-1]["documents"] / seconds)


def stream_here(arguments):
    """Train on the stream in this process; what was measured after each tenth of it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    words = [words_of(arguments.data, name) for name in SOURCES]
    vectorizer = TextVectorizerTransformer(hash_buckets=2**18, max_length=LONGEST)
    classifier = TextCNNClassifier(**NETWORK)
    tests, answers = next(batches(words, 2000, 2000, seed=1))
    ids_of_tests = vectorizer.transform(tests)
    n = 20_000 if arguments.quick else DOCUMENTS
    rows, began = [], clocks()
    for i, (texts, labels) in enumerate(batches(words, n, BATCH, seed=0), start=1):
        ids = vectorizer.transform(texts)
        classifier.partial_fit(ids, labels, classes=range(len(SOURCES)))
        if i * BATCH % (n // MARKS) == 0:
            wall, cpu = clocks() - began
            rows.append(
                {
                    "documents": i * BATCH,
                    "wall s": wall,
                    "CPU s": cpu,
                    "documents a CPU second": n // MARKS / cpu,
                    "MiB": resident_mib(),
                    "accuracy": classifier.score(ids_of_tests, answers),
                }
            )
            began = clocks()
    return rows


def clocks():
    """Wall and CPU time; they are the same where nobody else uses the machine."""
    return np.array([time.perf_counter(), time.process_time()])


def words_of(data, name):
    """The running words of a corpus, each word one object however often it comes."""
    texts, _ = load_corpus(data, name)
    return [sys.intern(word) for text in texts for word in text.split()]


def batches(words, n_documents, size, seed):
    """Yield texts and class numbers, the same in every run."""
    rng = np.random.default_rng(seed)
    for _ in range(n_documents // size):
        labels = rng.integers(len(words), size=size)
        places = rng.random(size)
        lengths = rng.integers(SHORTEST, LONGEST, size, endpoint=True)
        new = np.where(rng.random(size) < NEW_WORDS, rng.integers(2**62, size=size), 0)
        drawn = zip(labels.tolist(), places.tolist(), lengths.tolist(), new.tolist(), strict=True)
        yield [document(words[label], *rest) for label, *rest in drawn], labels


def document(words, place, length, new):
    start = int(place * (len(words) - length))
    chosen = words[start : start + length]
    if new:
        chosen[new % length] = f"{new:x}"
    return " ".join(chosen)


def resident_mib():
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
