"""How long does the second fit of an architecture take in a process, beside the first?

200 documents of MR, one epoch: what a fit costs beyond its training steps. Every fit has other
documents and another seed; the network of the first one is used again. TensorFlow is loaded before
the first fit.
"""

import json
from statistics import median

from _common import Report, at_least, at_most, load_corpus, parse_arguments, run_child, seconds

from sklearn_textcnn import TextVectorizerTransformer

FLOORS = {"first fit / second fit": at_least(5)}
TARGETS = {"first fit / second fit": at_least(10), "second fit, s": at_most(0.1)}
DOCUMENTS = 200
FITS = 6


def main():
    arguments = parse_arguments(__doc__)
    if arguments.child:
        return fit_here(arguments)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    runs = [run_child(arguments, "fits") for _ in range(2 if arguments.quick else 5)]
    results = {
        "second fit": [run[1] for run in runs],
        "first fit": [run[0] for run in runs],
        "later fits": [time for run in runs for time in run[2:]],
    }
    title = f"{DOCUMENTS} documents, one epoch, {len(runs)} processes"
    ratios = report.times(title, results, "second fit")
    report.claim("first fit / second fit", ratios["first fit"])
    report.claim("second fit, s", median(results["second fit"]))
    report.finish()


def fit_here(arguments):
    """Print the seconds of the fits in a new process."""
    from _networks import textcnn

    import sklearn_textcnn.training  # noqa: F401  loads TensorFlow

    texts, labels = load_corpus(arguments.data, "mr/all", FITS * DOCUMENTS)
    ids = TextVectorizerTransformer().fit_transform(texts)
    times = []
    for i in range(FITS):
        rows = slice(i * DOCUMENTS, (i + 1) * DOCUMENTS)
        classifier = textcnn(epochs=1, random_state=i)
        X, y = ids[rows], labels[rows]
        times.append(seconds(lambda: classifier.fit(X, y)))  # noqa: B023
    print(json.dumps(times))


if __name__ == "__main__":
    main()
