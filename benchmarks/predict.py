"""How much faster is predicting than with Keras, for a corpus and for one document?

The corpus is MR as ids: documents per second, beside `keras.Model.predict` in batches of 256 on ids
padded to the longest document. One document goes from raw text to its label through a pipeline,
ours or with scikeras behind the same vectorizer; a direct call of the Keras model is given as well.
Both networks are trained for one epoch.
"""

import itertools

import numpy as np
from _common import Report, alternate, at_least, at_most, medians, parse_arguments
from _pipelines import trained_on_mr

FLOORS = {
    "corpus: Keras / ours": at_least(4),
    "one document: scikeras pipeline / ours": at_least(200),
    "one document: ours, ms": at_most(0.3),
}
TARGETS = {
    "corpus: Keras / ours": at_least(8),
    "one document: scikeras pipeline / ours": at_least(400),
    "one document: ours, ms": at_most(0.2),
}


def main():
    arguments = parse_arguments(__doc__)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    texts, _, ids, pipelines = trained_on_mr(arguments)
    ours, theirs = pipelines["ours"], pipelines["scikeras"]
    rounds = 2 if arguments.quick else 15
    corpus(report, ours[-1], theirs[-1].model_, ids, rounds)
    one_document(report, ours, theirs, texts, ids, 3 * rounds)
    report.finish()


def corpus(report, ours, network, ids, rounds):
    plain = np.asarray(ids)
    contenders = {
        "ours": lambda: ours.predict(ids),
        "Keras": lambda: network.predict(plain, batch_size=256, verbose=0),
    }
    first = alternate(contenders, 1)  # builds tables, or compiles
    results = alternate(contenders, rounds)
    ratios = report.times(f"Predicting {len(ids)} documents", results, "ours")
    rows = [
        {"contender": name, "documents/s": len(ids) / middle, "first call s": first[name][0]}
        for name, middle in medians(results).items()
    ]
    report.table("The same as a rate", rows)
    report.claim("corpus: Keras / ours", ratios["Keras"])


def one_document(report, ours, theirs, texts, ids, rounds):
    """Every call gets another document; a round of ours is 20 of them, as it is so short."""
    network = theirs[-1].model_
    documents, rows = itertools.cycle(texts), itertools.cycle(np.asarray(ids))
    contenders = {
        "ours": (20, lambda: ours.predict([next(documents)])),
        "scikeras pipeline": (1, lambda: theirs.predict([next(documents)])),
        "model(ids)": (1, lambda: np.asarray(network(next(rows)[None]))),
    }
    calls = {name: lambda n=n, f=f: [f() for _ in range(n)] for name, (n, f) in contenders.items()}
    alternate(calls, 2)
    results = {
        name: [time / contenders[name][0] for time in times]
        for name, times in alternate(calls, rounds).items()
    }
    ratios = report.times("One document", results, "ours")
    for name in ("scikeras pipeline", "model(ids)"):
        report.claim(f"one document: {name} / ours", ratios[name])
    report.claim("one document: ours, ms", 1000 * medians(results)["ours"])


if __name__ == "__main__":
    main()
