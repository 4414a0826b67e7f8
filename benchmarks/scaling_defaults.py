"""Does a fit with the defaults cost the same a document in 1,000,000, and with 1,000 classes?

MR resampled to corpora of growing size, ids given: whole fits with all defaults, linear part
included, and one prediction of each corpus. Then fits with all defaults of 10,000 documents in more
and more classes, which tell themselves apart by their rarest word. The network alone: `scaling.py`.
"""

import numpy as np
from _common import Report, at_most, parse_arguments, seconds
from scaling import measure, resampled

from sklearn_textcnn import TextCNNClassifier

FLOORS = {
    "fit with defaults: cost at most / with the fewest documents": at_most(1.5),
    "predicting with defaults: cost at most / with the fewest documents": at_most(1.5),
}
TARGETS = {}
CLASSES = [2, 10, 100, 1000]


def main():
    arguments = parse_arguments(__doc__)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    sizes, X, y = resampled(arguments)
    default = TextCNNClassifier(random_state=0).fit(X[: sizes[0]], y[: sizes[0]])
    default.predict(X[: sizes[0]])
    measure_classes(report, X[: sizes[0]], [n for n in CLASSES if n <= sizes[0] // 10])
    measure(report, "predicting with defaults", lambda n: default.predict(X[:n]), sizes, [3, 2, 1])

    def fit(n):
        return TextCNNClassifier(random_state=0).fit(X[:n], y[:n])

    # the largest corpus takes minutes, and once is long enough to be steady
    measure(report, "fit with defaults", fit, sizes, [3, 1, 1])
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


if __name__ == "__main__":
    main()
