"""What does an epoch take with each engine, and what did it take in another commit?

Networks that Keras trains (two convolutions on each other, average pooling beside max pooling, a
callback) and those that NumPy trains (one-hot tokens, the default network), these with
``engine="keras"`` as well; MR in batches of 50. Each measurement is a process of its own, old and
new in turn: a fit that warms up, one of a single epoch, and one of more. An epoch is what each of
these takes on top. ``--against`` names the checkout of the other commit.
"""

import json
import time
from pathlib import Path
from statistics import median

from _common import NEW, OLD, Report, alternate, at_most, load_corpus, parse_arguments, run_child

NETWORKS = {
    "conv_layers=2": {"conv_layers": 2},
    "max+average": {"pooling": "max+average"},
    "one-hot": {"embedding_dim": None},
    "callback": {},
    "default": {},
}
TRAINED_BY_NUMPY = ("one-hot", "default")
EPOCHS = 4
LIMITS = {  # floor and target
    "conv_layers=2": (1.0, 0.8),
    "max+average": (1.0, 0.8),
    "one-hot": (1.0, 0.7),
    "callback": (1.6, 1.2),
}
CLAIM = "{}: epoch / that of the other commit"
FLOORS, TARGETS = (
    {CLAIM.format(network): at_most(limits[i]) for network, limits in LIMITS.items()}
    for i in range(2)
)
WARM_UP = 300  # documents
WITH_KERAS = 'engine="keras"'


def main():
    arguments = parse_arguments(__doc__, against=True)
    if arguments.child:
        return fit_here(arguments, *arguments.child)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    rows = []
    for network in NETWORKS:
        contenders = {NEW: (None, "auto")}
        if network in TRAINED_BY_NUMPY:
            contenders[WITH_KERAS] = (None, "keras")
        if arguments.against:
            contenders[OLD] = (arguments.against, "none")

        def measure(contender, network=network):
            package, engine = contender
            return run_child(arguments, network, engine, str(package), package=package)

        results = alternate(contenders, 1 if arguments.quick else 2, measure)
        rows += table_rows(network, results)
        if arguments.against and network in LIMITS:
            ratio = median_of(results[NEW], "epoch") / median_of(results[OLD], "epoch")
            report.claim(CLAIM.format(network), ratio)
    report.table("MR: an epoch in batches of 50, x as long as ours", rows)
    report.finish()


def table_rows(network, results):
    epoch, cpu = (median_of(results[NEW], figure) for figure in ("epoch", "epoch, CPU"))
    for contender, runs in results.items():
        yield {
            "network": network,
            "contender": contender,
            "epoch s": median_of(runs, "epoch"),
            "x": median_of(runs, "epoch") / epoch,
            "min s": min(run["epoch"] for run in runs),
            "max s": max(run["epoch"] for run in runs),
            "CPU s": median_of(runs, "epoch, CPU"),
            "x CPU": median_of(runs, "epoch, CPU") / cpu,
            "fit of one epoch s": median_of(runs, "fit of one"),
            "processes": len(runs),
        }


def median_of(runs, figure):
    return median(run[figure] for run in runs)


def fit_here(arguments, network, engine, package):
    """Fit in this process and print the seconds of an epoch, and of a fit of one epoch."""
    import sklearn_textcnn
    from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer

    if package != "None":
        assert Path(package).resolve() in Path(sklearn_textcnn.__file__).parents
    params = {"batch_size": 50, "linear_ngrams": 0, "average": 0.0, "random_state": 0}
    params |= NETWORKS[network]
    if engine != "none":  # the other commit may not know this parameter
        params["engine"] = engine
    if network == "callback":
        import keras

        params["callbacks"] = keras.callbacks.Callback()
    texts, labels = load_corpus(arguments.data, "mr/all", 600 if arguments.quick else None)
    ids = TextVectorizerTransformer().fit_transform(texts)

    def fit(epochs, n_documents=None):
        classifier = TextCNNClassifier(epochs=epochs, **params)
        began = time.perf_counter(), time.process_time()
        classifier.fit(ids[:n_documents], labels[:n_documents])
        return time.perf_counter() - began[0], time.process_time() - began[1]

    fit(1, WARM_UP)
    one, more = fit(1), fit(EPOCHS)
    wall, cpu = ((b - a) / (EPOCHS - 1) for a, b in zip(one, more, strict=True))
    print(json.dumps({"epoch": wall, "epoch, CPU": cpu, "fit of one": one[0]}))


if __name__ == "__main__":
    main()
