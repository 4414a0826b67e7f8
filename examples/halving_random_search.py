"""Find a network in two steps: a line search over the kernel size, then successive halving.

The search space is the advice of Zhang and Wallace (2015), "A Sensitivity Analysis of (and
Practitioners' Guide to) Convolutional Neural Networks for Sentence Classification": one kernel size
first, then several around the best one, with the number of filters and the dropout. They studied
the plain convolutional network, so that is what is searched: no linear part, no hidden tokens, no
average of weights.

    python examples/halving_random_search.py
"""

import time

from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV, train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.datasets import load_docstrings

PACKAGES = ["joblib", "keras", "numpy"]
TRAIN, TEST = 900, 1000  # documents
PLAIN = {"linear_ngrams": 0, "token_dropout": 0.0, "average": 0.0}
LINE_SEARCH = {"textcnnclassifier__kernel_sizes": list(range(1, 11))}


def space_around(width):
    """Return the second search space: networks with kernel sizes at and around `width`."""
    return {
        "textcnnclassifier__kernel_sizes": [
            width,
            (width, width, width),
            tuple(k for k in (width - 1, width, width + 1) if k > 0),
            tuple(k for k in range(width - 2, width + 3) if k > 0),
        ],
        "textcnnclassifier__filters": [100, 200, 400, 600],
        "textcnnclassifier__dropout": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5],
        "textcnnclassifier__max_norm": [3, 10, None],
        "textcnnclassifier__activation": ["relu", "tanh", "linear"],
    }


def main():
    began = time.perf_counter()
    texts, labels = load_docstrings(PACKAGES, return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        texts, labels, train_size=TRAIN, test_size=TEST, stratify=labels, random_state=0
    )
    classifier = TextCNNClassifier(epochs=6, random_state=0)
    default = make_pipeline(TextVectorizerTransformer(), classifier)
    plain = make_pipeline(TextVectorizerTransformer(), clone(classifier).set_params(**PLAIN))

    print(f"Accuracy of networks with one kernel size, on {TRAIN} documents (3 folds)\n")
    line = GridSearchCV(plain, LINE_SEARCH, cv=3, refit=False).fit(X_train, y_train)
    for i, width in enumerate(LINE_SEARCH["textcnnclassifier__kernel_sizes"]):
        mean, deviation = (line.cv_results_[f"{what}_test_score"][i] for what in ("mean", "std"))
        mark = "  <- best" if i == line.best_index_ else ""
        print(f"  {width:2d}  {mean:.3f} +/- {deviation:.3f}{mark}")
    width = line.best_params_["textcnnclassifier__kernel_sizes"]

    print(f"\nSuccessive halving around kernel size {width}\n")
    search = HalvingRandomSearchCV(
        plain, space_around(width), n_candidates=6, min_resources=300, cv=3, random_state=0
    )
    search.fit(X_train, y_train)
    for round_, (candidates, documents) in enumerate(
        zip(search.n_candidates_, search.n_resources_, strict=True), start=1
    ):
        print(f"  round {round_}: {candidates} networks on {documents} documents")

    print("\nThe best of them\n")
    for name, value in search.best_params_.items():
        print(f"  {name.split('__')[1]:13s} {value}")

    print(f"\nAccuracy on {TEST} other documents\n")
    print(f"  as found                  {search.score(X_test, y_test):.3f}")
    for name, model in (("plain, else defaults", plain), ("all defaults", default)):
        print(f"  {name:25s} {model.fit(X_train, y_train).score(X_test, y_test):.3f}")
    print(f"\nAll of it took {time.perf_counter() - began:.0f} seconds.")


if __name__ == "__main__":
    main()
