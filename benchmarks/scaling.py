"""Does a document cost the same in 10,000 as in 1,000,000, and with 1,000 classes?

MR resampled to corpora of growing size, ids given: one training epoch of the network alone and one
prediction of each corpus, for which the tables are filled before anything is timed; then whole fits
with all defaults, linear part included, and their prediction. Last, fits with all defaults of
10,000 documents in more and more classes, which tell themselves apart by their rarest word.
"""

import numpy as np
from _common import Report, alternate, at_most, load_corpus, medians, parse_arguments, seconds
from _networks import textcnn

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer

FLOORS = {
    "training: cost at most / with the fewest documents": at_most(1.2),
    "predicting: cost at most / with the fewest documents": at_most(1.2),
    "fit with defaults: cost at most / with the fewest documents": at_most(1.5),
    "predicting with defaults: cost at most / with the fewest documents": at_most(1.5),
}
TARGETS = {}
SIZES = [10_000, 100_000, 1_000_000]
QUICK_SIZES = [1000, 2000, 3000]
CLASSES = [2, 10, 100, 1000]


def main():
    arguments = parse_arguments(__doc__)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    sizes = QUICK_SIZES if arguments.quick else SIZES
    texts, labels = load_corpus(arguments.data, "mr/all")
    ids = TextVectorizerTransformer().fit_transform(texts)
    # all sizes are the front of one sample, so that the largest is in memory only once
    sample = np.random.default_rng(0).integers(len(ids), size=sizes[-1])
    X, y = ids[sample], labels[sample]
    classifier = textcnn(epochs=1, random_state=0).fit(X[: sizes[0]], y[: sizes[0]])
    classifier.predict(ids)

    default = TextCNNClassifier(random_state=0).fit(X[: sizes[0]], y[: sizes[0]])
    default.predict(ids)
    tasks = {
        "predicting": lambda n: classifier.predict(X[:n]),
        "predicting with defaults": lambda n: default.predict(X[:n]),
        "training": lambda n: textcnn(epochs=1, random_state=0).fit(X[:n], y[:n]),
        "fit with defaults": lambda n: TextCNNClassifier(random_state=0).fit(X[:n], y[:n]),
    }
    # the largest corpus takes minutes, and once is long enough to be steady
    rounds = {"predicting": [5, 3, 3], "predicting with defaults": [3, 2, 1]}
    for task, call in tasks.items():
        measure(report, task, call, sizes, rounds.get(task, [3, 1, 1]))
    measure_classes(report, ids[: sizes[0]], [n for n in CLASSES if n <= sizes[0] // 10])
    report.finish()


def measure_classes(report, ids, numbers):
    """Fit to more and more classes: that of a document is its rarest token among so many."""
    rows = []
    for n_classes in numbers:
        # ids are in the order of frequency; the most frequent ones are in every document
        among = np.where((np.asarray(ids) >= 50) & (np.asarray(ids) < 50 + n_classes), ids, 0)
        y = among.max(axis=1)
        classifier = TextCNNClassifier(random_state=0)
        fit = seconds(lambda: classifier.fit(ids, y))  # noqa: B023
        predict = seconds(lambda: classifier.predict(ids))  # noqa: B023
        row = {"classes": str(len(np.unique(y))), "fit, s": fit, "predicting, s": predict}
        row["linear part, s"] = seconds(lambda: classifier.linear_.fit(ids, y))  # noqa: B023
        rows.append(row)
    report.table(f"Fits with defaults of {len(ids):,} documents", rows)


def measure(report, task, call, sizes, rounds):
    results = {n: [] for n in sizes}
    for i in range(max(rounds)):
        turn = {n: lambda n=n: call(n) for n, most in zip(sizes, rounds, strict=True) if i < most}
        for n, times in alternate(turn, 1).items():
            results[n] += times
    cost = {n: 1e6 * time / n for n, time in medians(results).items()}
    rows = [
        {
            "documents": str(n),
            "s": cost[n] * n / 1e6,
            "us a document": cost[n],
            "x fewest": cost[n] / cost[sizes[0]],
            "rounds": len(results[n]),
        }
        for n in sizes
    ]
    report.table(f"Cost of {task}", rows)
    name = f"{task}: cost at most / with the fewest documents"
    report.claim(name, max(row["x fewest"] for row in rows))


if __name__ == "__main__":
    main()
