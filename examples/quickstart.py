"""From raw text to a tuned, saved and reloaded classifier.

On the documentation of installed packages, where the task is to tell the package:

    python examples/quickstart.py

On your own data, a CSV file with a column of texts and a column of labels:

    python examples/quickstart.py --csv reviews.csv --text review --label verdict
"""

import argparse
import csv
import tempfile
import textwrap
import time
from collections import Counter
from pathlib import Path

import joblib
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import classification_report
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.datasets import load_docstrings

FOLDS = 3
SAMPLE = 2000  # documents for cross-validation and grid search, which train many times
FEWEST = 5  # documents of a class: 1 to test on and FOLDS, or a little more, to train on
NEW_SENTENCES = [
    "Fit a ridge regression with built-in cross-validation of the penalty.",
    "Max pooling layer for images, with channels last.",
    "Find a root of a scalar function on an interval by bisection.",
]


def main():
    began = time.perf_counter()
    texts, labels, new_sentences = load(parse_arguments())
    X_train, X_test, y_train, y_test = train_test_split(
        texts, labels, test_size=0.2, stratify=labels, random_state=0
    )
    model = text_cnn(random_state=0)
    baseline = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LinearSVC())
    compare(model, baseline, X_train, X_test, y_train, y_test)

    quick = text_cnn(epochs=10, random_state=0)
    cross_validate(quick, baseline, *sample(X_train, y_train))
    search(quick, *sample(X_train, y_train))
    save_load_predict(model, new_sentences or X_test[:3])
    print(f"\nAll of it took {time.perf_counter() - began:.0f} seconds.")


def text_cnn(**parameters):
    """Return a pipeline that shows how far each step of it is."""
    return make_pipeline(
        TextVectorizerTransformer(verbose=1), TextCNNClassifier(verbose=1, **parameters)
    )


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, metavar="FILE", help="your own data, UTF-8")
    parser.add_argument("--text", metavar="COL", help="the column of the texts")
    parser.add_argument("--label", metavar="COL", help="the column of the labels")
    arguments = parser.parse_args()
    given = [arguments.csv, arguments.text, arguments.label]
    if any(given) and not all(given):
        parser.error("--csv, --text and --label go together: give all three or none")
    return arguments


def load(arguments):
    """Return texts, labels and three new sentences (None for the reader's own data)."""
    heading("The corpus")
    if arguments.csv:
        texts, labels = read_csv(arguments.csv, arguments.text, arguments.label)
        new_sentences = None
    else:
        corpus = load_docstrings(verbose=1)
        texts, labels = corpus.data, np.array(corpus.target_names)[corpus.target]
        new_sentences = NEW_SENTENCES
    counts = Counter(labels.tolist())
    print(f"{len(texts):,} documents in {len(counts)} classes:")
    for name, count in counts.most_common(10):
        print(f"  {count:7,}  {name}")
    if len(counts) > 10:
        print(f"  and {len(counts) - 10} more")
    print(f'The first document: "{shortened(texts[0], 70)}" ({labels[0]})')
    return texts, labels, new_sentences


def read_csv(path, text_column, label_column):
    """Return a list of texts and an array of labels, or stop with an explanation."""
    texts, labels, empty = [], [], []
    csv.field_size_limit(2**31 - 1)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            rows = csv.DictReader(file, delimiter=max(",;\t", key=header.count))
            check_columns(path, rows.fieldnames or [], text_column, label_column)
            for row in rows:
                text, label = (
                    (row[column] or "").strip() for column in (text_column, label_column)
                )
                if not text or not label:
                    empty.append((rows.line_num, label_column if text else text_column))
                texts.append(text)
                labels.append(label)
    except OSError as error:
        raise SystemExit(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SystemExit(f"{path} is not UTF-8. Save it as UTF-8 and try again.") from None
    except csv.Error as error:
        raise SystemExit(f"{path}, line {rows.line_num}: not CSV ({error}).") from None
    if empty:
        line, column = empty[0]
        raise SystemExit(
            f"{path}, line {line}: the column {column!r} is empty ({len(empty)} such rows in all). "
            "Fill or delete these rows."
        )
    check_classes(path, labels, label_column)
    return texts, np.array(labels)


def check_columns(path, found, *wanted):
    for column in wanted:
        if column not in found:
            raise SystemExit(
                f"{path} has no column {column!r}. Its columns are: {', '.join(map(repr, found))}."
            )


def check_classes(path, labels, label_column):
    counts = Counter(labels)
    if len(counts) < 2:
        raise SystemExit(
            f"{path}: the column {label_column!r} holds {len(counts)} different labels; "
            "a classifier needs at least 2."
        )
    few = sorted((count, name) for name, count in counts.items() if count < FEWEST)
    if few:
        listed = ", ".join(f"{name!r} ({count})" for count, name in few[:5])
        more = f" and {len(few) - 5} more" if len(few) > 5 else ""
        raise SystemExit(
            f"{path}: a class needs at least {FEWEST} documents to be trained, tested and "
            f"cross-validated. Too few have: {listed}{more}. Add documents, merge these classes or "
            "delete them. If the column is not one of labels, name another one with --label."
        )


def compare(model, baseline, X_train, X_test, y_train, y_test):
    """Train both and print the report of one, the F1 scores of the other in the last column."""
    heading(f"Training on {len(X_train):,} documents")
    began = time.perf_counter()
    model.fit(X_train, y_train)
    print(f"The text CNN took {time.perf_counter() - began:.1f} seconds,", end=" ", flush=True)
    began = time.perf_counter()
    baseline.fit(X_train, y_train)
    print(f"TF-IDF + LinearSVC {time.perf_counter() - began:.1f}.")
    parts = model[-1].part_weights_
    print(
        f"Judged by documents that neither has seen, its linear part counts {parts['linear']:.2f}, "
        f"its network {parts['network']:.2f}."
    )

    heading(f"Scores on the other {len(X_test):,} documents")
    report = classification_report(y_test, model.predict(X_test), zero_division=0)
    other = classification_report(
        y_test, baseline.predict(X_test), zero_division=0, output_dict=True
    )
    scores = iter(other.values())  # as many as the report has lines with figures, in their order
    first, *lines = report.splitlines()
    print(first + "    TF-IDF + LinearSVC f1")
    for line in lines:
        score = next(scores) if line else None
        score = score["f1-score"] if isinstance(score, dict) else score
        print(line if score is None else f"{line}{score:15.2f}")


def cross_validate(model, baseline, texts, labels):
    heading(f"Accuracy in {FOLDS}-fold cross-validation on {len(texts):,} documents")
    for name, candidate in (("text CNN", model), ("TF-IDF + LinearSVC", baseline)):
        scores = cross_val_score(candidate, texts, labels, cv=FOLDS)
        folds = "  ".join(f"{score:.3f}" for score in scores)
        print(f"{name:20s}{scores.mean():.3f}   (folds: {folds})")


def search(model, texts, labels):
    heading("Grid search over parameters of both steps")
    grid = {
        "textvectorizertransformer__min_df": [1, 2],
        "textcnnclassifier__kernel_sizes": [(1, 2, 3), (3, 4, 5)],
    }
    found = GridSearchCV(model, grid, cv=FOLDS, refit=False).fit(texts, labels)
    results = found.cv_results_
    for i in np.argsort(results["rank_test_score"], kind="stable"):
        settings = (f"{key.split('__')[1]}={value}" for key, value in results["params"][i].items())
        mark = "  <- best" if i == found.best_index_ else ""
        print(f"{results['mean_test_score'][i]:.3f}   {', '.join(settings)}{mark}")


def save_load_predict(model, sentences):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.joblib"
        joblib.dump(model, path)
        heading(f"Saved to a file of {path.stat().st_size / 1e6:.1f} MB, loaded, and asked about")
        loaded = joblib.load(path)
    probabilities = loaded.predict_proba(sentences)
    for sentence, label, row in zip(
        sentences, loaded.predict(sentences), probabilities, strict=True
    ):
        print(f'"{shortened(sentence, 74)}"\n    {label}, with a probability of {row.max():.3f}')


def sample(texts, labels, size=SAMPLE):
    """Return about `size` documents, classes in proportion but none with fewer than FOLDS."""
    order = np.random.default_rng(0).permutation(len(labels))
    share = min(1, size / len(labels))
    chosen = []
    for name in np.unique(labels):
        members = order[labels[order] == name]
        chosen.extend(members[: max(FOLDS, round(share * len(members)))])
    return [texts[i] for i in chosen], labels[chosen]


def heading(text):
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def shortened(text, width):
    return textwrap.shorten(text, width, placeholder=" ...")


if __name__ == "__main__":
    main()
