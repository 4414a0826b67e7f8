"""How long does the second fit of an architecture take in a process, beside the first?

200 documents of MR, one epoch: what a fit costs beyond its training steps. Every fit has other
documents and another seed. The network of the benchmarks needs no compiling, so that its first fit
is as fast as the second; one with max and average pooling is compiled by TensorFlow in its first
fit and used again. TensorFlow is loaded before the first fit.
"""

import json
from statistics import median

from _common import Report, at_least, at_most, load_corpus, parse_arguments, run_child, seconds

from sklearn_textcnn import TextVectorizerTransformer

FLOORS = {"compiled network: first fit / second fit": at_least(5)}
TARGETS = {
    "compiled network: first fit / second fit": at_least(10),
    "second fit, s": at_most(0.1),
    "first fit, s": at_most(0.1),
}
NETWORKS = {"network of the benchmarks": {}, "compiled network": {"pooling": "max+average"}}
DOCUMENTS = 200
FITS = 6


def main():
    arguments = parse_arguments(__doc__)
    if arguments.child:
        return fit_here(arguments)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    for name in NETWORKS:
        runs = [run_child(arguments, name) for _ in range(2 if arguments.quick else 5)]
        results = {
            "second fit": [run[1] for run in runs],
            "first fit": [run[0] for run in runs],
            "later fits": [time for run in runs for time in run[2:]],
        }
        title = f"{name}: {DOCUMENTS} documents, one epoch, {len(runs)} processes"
        ratios = report.times(title, results, "second fit")
        if NETWORKS[name]:
            report.claim("compiled network: first fit / second fit", ratios["first fit"])
        else:
            report.claim("second fit, s", median(results["second fit"]))
            report.claim("first fit, s", median(results["first fit"]))
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
        classifier = textcnn(epochs=1, random_state=i, **NETWORKS[arguments.child[0]])
        X, y = ids[rows], labels[rows]
        times.append(seconds(lambda: classifier.fit(X, y)))  # noqa: B023
    print(json.dumps(times))


if __name__ == "__main__":
    main()
