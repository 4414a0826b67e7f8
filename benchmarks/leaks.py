"""Does a process that fits and predicts all day grow?

Fits of small networks with each engine, 1,000 of each, and 1,000,000 predictions of one text. Every
kind has a process of its own, and so have fits of the same network by plain Keras, as TensorFlow
keeps something of each model that it has traced: the Keras engine is judged beside those. The fits
in NumPy take turns among both parts, one-hot tokens, early stopping and streams; a table of 2,000
ids that stayed behind would be 0.4 MB a fit. Network and linear model predict in turns; half of the
words of a text are in the vocabulary, one has never been seen. Resident memory (Linux only) is that
after the last one less that after a warm-up, of a tenth as many more.
"""

import argparse
import gc
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from _common import CORPORA, Report, at_most, run_child

FITS, PREDICTIONS = 1000, 1_000_000
IN_NUMPY, PREDICTED = "fits in NumPy, MB grown", "single predictions, MB grown"
IN_KERAS = "fits in Keras, memory grown: ours / plain Keras"
FLOORS = {IN_NUMPY: at_most(30), PREDICTED: at_most(30), IN_KERAS: at_most(1.1)}
TARGETS = FLOORS | {IN_KERAS: at_most(1)}
N_MEASURED = 10  # times in a run
SMALL = {"embedding_dim": 50, "kernel_sizes": (1, 2), "filters": 4, "epochs": 1}


def main():
    arguments = parse_arguments()
    if arguments.child:
        kind, number = arguments.child
        return print(json.dumps(measure(CONTENDERS[kind](), int(number))))
    if not Path("/proc/self/statm").exists():
        sys.exit("This reads the resident memory from /proc, which only Linux has.")
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    rows = []
    for kind in CONTENDERS:
        number = arguments.predictions if "prediction" in kind else arguments.fits
        rows.append({"what": kind} | run_child(arguments, kind, number))
        # for somebody who stops it half-way
        print(f"{kind}: {rows[-1]['grown']:.1f} MB grown in {rows[-1]['s']:.0f} s", flush=True)
    report.table("Resident memory of a process, MB", rows)
    numpy, keras, plain, predicted = (row["grown"] for row in rows)
    report.claim(IN_NUMPY, numpy)
    report.claim(PREDICTED, predicted)
    report.claim(IN_KERAS, keras / plain)
    report.finish()


def parse_arguments():
    """The arguments of all benchmarks, and how often what is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=CORPORA, help="not used: texts are made up")
    parser.add_argument("--quick", action="store_true", help="only see whether the script works")
    parser.add_argument(
        "--fits", type=int, default=FITS, help="of each kind (default: %(default)s)"
    )
    parser.add_argument(
        "--predictions", type=int, default=PREDICTIONS, help="single ones (default: %(default)s)"
    )
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.fits, arguments.predictions = 20, 2000
    return arguments


def measure(do, number):
    """Do something so many times after a warm-up; resident memory in between."""
    for _ in range(number // N_MEASURED):
        do()
    memory, began = [resident_mb()], time.perf_counter()
    for part in range(N_MEASURED):
        for _ in range(number * part // N_MEASURED, number * (part + 1) // N_MEASURED):
            do()
        memory.append(resident_mb())
    return {
        "times": str(number),
        "s": time.perf_counter() - began,
        "after the warm-up": memory[0],
        "half-way": memory[N_MEASURED // 2],
        "at the end": memory[-1],
        "grown": memory[-1] - memory[0],
        "kB each": 1000 * (memory[-1] - memory[0]) / number,
    }


def resident_mb():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def few_documents():
    """Twelve short documents of two classes, and a table of 2,000 ids."""
    ids = np.random.default_rng(0).integers(2, 30, (12, 6))
    ids[0, 0] = 1999
    return ids, np.arange(12) % 2


def in_numpy():
    from sklearn_textcnn import TextCNNClassifier

    ids, y = few_documents()
    alone = SMALL | {"linear_ngrams": 0}
    turns = [
        lambda: TextCNNClassifier(**SMALL).fit(ids, y),
        lambda: TextCNNClassifier(**alone).fit(ids, y),
        lambda: TextCNNClassifier(**alone | {"embedding_dim": None}).fit(ids, y),
        lambda: TextCNNClassifier(**alone, early_stopping=True).fit(ids, y),
        lambda: TextCNNClassifier(**alone).partial_fit(ids, y, classes=[0, 1]).partial_fit(ids, y),
    ]
    done = 0

    def fit():
        nonlocal done
        turns[done % len(turns)]().predict(ids)
        done += 1

    return fit


def in_keras():
    from sklearn_textcnn import TextCNNClassifier

    ids, y = few_documents()
    classifier = {**SMALL, "linear_ngrams": 0, "engine": "keras"}
    return lambda: TextCNNClassifier(**classifier).fit(ids, y).predict(ids)


def in_plain_keras():
    import keras

    layers, (ids, y) = keras.layers, few_documents()

    def fit():
        inputs = keras.Input((None,), dtype="int32")
        embedded = layers.Embedding(2000, SMALL["embedding_dim"])(inputs)
        pooled = [
            layers.GlobalMaxPooling1D()(
                layers.Conv1D(SMALL["filters"], k, activation="relu")(embedded)
            )
            for k in SMALL["kernel_sizes"]
        ]
        features = layers.Dropout(0.5)(layers.Concatenate()(pooled))
        model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(features))
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        model.fit(ids, y, verbose=0)
        model(ids)

    return fit


def predictions():
    from sklearn.pipeline import make_pipeline

    from sklearn_textcnn import (
        NgramLinearClassifier,
        TextCNNClassifier,
        TextVectorizerTransformer,
    )

    rng, n_words = np.random.default_rng(0), 5000
    words = np.array([f"word{i}" for i in range(2 * n_words)], dtype=object)
    texts = [" ".join(words[i:n_words:250]) for i in range(250)]  # every word of the vocabulary
    vectorizer, labels = TextVectorizerTransformer(), np.arange(250) % 2
    ids = vectorizer.fit_transform(texts)
    classifiers = TextCNNClassifier(epochs=1, linear_ngrams=0), NgramLinearClassifier()
    pipelines = [make_pipeline(vectorizer, c.fit(ids, labels)) for c in classifiers]
    done, drawn = 0, []

    def predict():
        nonlocal done, drawn
        if not drawn:
            drawn = rng.integers(2 * n_words, size=(1000, 8)).tolist()
        text = " ".join([*words[drawn.pop()], f"new{done}"])
        pipelines[done % 2].predict([text])
        done += 1

    return predict


CONTENDERS = {
    "fits in NumPy": in_numpy,
    "fits in Keras": in_keras,
    "fits in plain Keras": in_plain_keras,
    "predictions": predictions,
}


if __name__ == "__main__":
    main()
