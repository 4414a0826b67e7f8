"""Does a document cost the same in 10,000 as in 1,000,000?

MR resampled to corpora of growing size, ids given: one training epoch of the network alone and one
prediction of each corpus, for which the tables are filled before anything is timed. With the
defaults: `scaling_defaults.py`.
"""

import numpy as np
from _common import Report, alternate, at_most, load_corpus, medians, parse_arguments
from _networks import textcnn

from sklearn_textcnn import TextVectorizerTransformer

FLOORS = {
    "training: cost at most / with the fewest documents": at_most(1.2),
    "predicting: cost at most / with the fewest documents": at_most(1.2),
}
TARGETS = {}
SIZES = [10_000, 100_000, 1_000_000]
QUICK_SIZES = [1000, 2000, 3000]


def main():
    arguments = parse_arguments(__doc__)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    sizes, X, y = resampled(arguments)
    classifier = textcnn(epochs=1, random_state=0).fit(X[: sizes[0]], y[: sizes[0]])
    classifier.predict(X[: sizes[0]])

    def train(n):
        return textcnn(epochs=1, random_state=0).fit(X[:n], y[:n])

    measure(report, "predicting", lambda n: classifier.predict(X[:n]), sizes, [5, 3, 3])
    # the largest corpus takes minutes, and once is long enough to be steady
    measure(report, "training", train, sizes, [3, 1, 1])
    report.finish()


def resampled(arguments):
    """Sizes of corpora that are the front of one sample of MR, its ids and its labels."""
    sizes = QUICK_SIZES if arguments.quick else SIZES
    texts, labels = load_corpus(arguments.data, "mr/all")
    ids = TextVectorizerTransformer().fit_transform(texts)
    sample = np.random.default_rng(0).integers(len(ids), size=sizes[-1])
    return sizes, ids[sample], labels[sample]


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
