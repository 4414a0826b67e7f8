"""How much memory does a fit take, beside Keras behind scikeras?

One epoch on 20ng train, 400 tokens a document, the same network and batches of 50. Each fit runs in
a process of its own and is charged for the growth of the peak after its libraries and the ids are
in memory.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
from _common import (
    Report,
    alternate,
    at_most,
    load_corpus,
    medians,
    parse_arguments,
    peak_mib,
    run_child,
)

from sklearn_textcnn import TextVectorizerTransformer

FLOORS = {"20ng, memory of a fit: ours / scikeras": at_most(1)}
TARGETS = {"20ng, memory of a fit: ours / scikeras": at_most(0.75)}


def main():
    arguments = parse_arguments(__doc__)
    if arguments.child:
        return fit_here(*arguments.child)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    texts, labels = load_corpus(arguments.data, "20ng/train", 300 if arguments.quick else None)
    ids = TextVectorizerTransformer(max_length=400).fit_transform(texts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "documents.npz"
        np.savez(path, ids=ids, labels=labels, n_ids=ids.n_ids)
        names = {name: name for name in ("ours", "scikeras")}
        rounds = 1 if arguments.quick else 2
        results = alternate(names, rounds, lambda name: run_child(arguments, name, path))
    middle = medians(results)
    rows = [
        {"contender": name, "median MiB": middle[name], "min": min(r), "max": max(r)}
        for name, r in results.items()
    ]
    report.table(f"20ng: peak memory of an epoch of {len(ids)} documents", rows)
    report.claim("20ng, memory of a fit: ours / scikeras", middle["ours"] / middle["scikeras"])
    report.finish()


def fit_here(name, path):
    """Fit one contender in this process and print by how many MiB the peak grew."""
    with np.load(path) as documents:
        ids, labels, n_ids = (documents[key] for key in ("ids", "labels", "n_ids"))
    from _networks import scikeras_textcnn, textcnn

    if name == "ours":
        estimator = textcnn(epochs=1)
    else:
        import tensorflow as tf

        tf.constant(0.0) + 0.0  # the first operation starts its threads and allocators
        estimator = scikeras_textcnn(int(n_ids), len(np.unique(labels)))
    before = peak_mib()
    estimator.fit(ids, labels)
    print(json.dumps(peak_mib() - before))


if __name__ == "__main__":
    main()
