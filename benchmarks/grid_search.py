"""How much faster is a grid search than over scikeras, and what does a second process bring?

GridSearchCV over 4 candidates (2 architectures) in 3 folds on 2,000 documents of MR, 3 epochs a
fit, in a new process each time: a search that compiles what it needs. Importing libraries is not
counted. Then 48 such fits of ours with n_jobs=1 and n_jobs=2, once the workers have imported them.
"""

import json
import time

import numpy as np
from _common import Report, alternate, at_least, load_corpus, medians, parse_arguments, run_child
from joblib import Parallel, delayed
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from sklearn_textcnn import TextVectorizerTransformer

FLOORS = {
    "12 fits: scikeras / ours": at_least(5),
    "48 fits of ours: n_jobs=1 / n_jobs=2": at_least(1),
}
TARGETS = {
    "12 fits: scikeras / ours": at_least(10),
    "48 fits of ours: n_jobs=1 / n_jobs=2": at_least(1.3),
}
EPOCHS = 3
FILTERS = [50, 100]
RATES = [0.0005, 0.001]
MANY_RATES = np.geomspace(0.0002, 0.002, 8).tolist()  # x 2 architectures x 3 folds: 48 fits


def main():
    arguments = parse_arguments(__doc__)
    if arguments.child:
        return search_here(arguments, *arguments.child)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    rounds = 1 if arguments.quick else 2

    def measure(task):
        return run_child(arguments, *task)

    twelve = {"ours": ("ours", "12", "1"), "scikeras": ("scikeras", "12", "1")}
    results = alternate(twelve, rounds, measure)
    ratios = report.times("Grid search of 12 fits, n_jobs=1", results, "ours")
    report.claim("12 fits: scikeras / ours", ratios["scikeras"])

    both = {"n_jobs=2": ("ours", "48", "2"), "n_jobs=1": ("ours", "48", "1")}
    results = alternate(both, rounds, measure)
    report.times("Grid search of 48 fits of ours", results, "n_jobs=2")
    middle = medians(results)
    report.claim("48 fits of ours: n_jobs=1 / n_jobs=2", middle["n_jobs=1"] / middle["n_jobs=2"])
    report.finish()


def search_here(arguments, name, n_fits, n_jobs):
    """Run one search in this process and print its seconds."""
    n_jobs = int(n_jobs)
    Parallel(n_jobs=n_jobs)(delayed(import_libraries)(name) for _ in range(4 * n_jobs))
    texts, labels = load_corpus(arguments.data, "mr/all", 200 if arguments.quick else 2000)
    ids = TextVectorizerTransformer().fit_transform(texts)
    rates = RATES if n_fits == "12" or arguments.quick else MANY_RATES
    grid, X = search_of(name, ids, rates, 1 if arguments.quick else EPOCHS, n_jobs)
    began = time.perf_counter()
    grid.fit(X, labels)
    spent = time.perf_counter() - began
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()
    print(json.dumps(spent))


def import_libraries(name):
    if name == "scikeras":
        import scikeras.wrappers  # noqa: F401

    time.sleep(0.2)  # so that the other workers get a turn, too


def search_of(name, ids, rates, epochs, n_jobs):
    from _networks import scikeras_textcnn, textcnn

    if name == "ours":
        estimator, X = textcnn(epochs=epochs, random_state=0), ids
        grid = {"filters": FILTERS, "learning_rate": rates}
    else:
        estimator, X = scikeras_textcnn(ids.n_ids, 2, epochs=epochs), np.asarray(ids)
        grid = {"filters": FILTERS, "optimizer__learning_rate": rates}
    # scikeras' estimators do not say that they are classifiers: name the folds and the score
    folds = StratifiedKFold(3)
    search = GridSearchCV(estimator, grid, cv=folds, scoring="accuracy", refit=False, n_jobs=n_jobs)
    return search, X


if __name__ == "__main__":
    main()
