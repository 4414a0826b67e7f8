"""Where does the classifier stand between a linear model and fastText, from raw text to score?

Whole fit and predict on MR, a tenth held out. This is context and not a claim: our defaults without
word vectors, TF-IDF of words and pairs with LinearSVC, and fastText, the limit of speed, with the
settings of its own tutorial. The first fit of ours in the process compiles the network.
"""

import tempfile
from pathlib import Path
from statistics import median

import fasttext
from _common import Report, load_corpus, parse_arguments, seconds
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer


class FastText:
    """fastText with fit and predict. It reads its training documents from a file."""

    def fit(self, X, y):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "train.txt"
            lines = (
                f"__label__{label} {one_line(text)}\n" for text, label in zip(X, y, strict=True)
            )
            path.write_text("".join(lines), encoding="utf-8")
            self.model = fasttext.train_supervised(
                str(path), lr=1.0, epoch=25, wordNgrams=2, verbose=0
            )

    def predict(self, X):
        # a list, because predicting a single string breaks on NumPy 2
        labels, _ = self.model.predict([one_line(text) for text in X])
        return [first.removeprefix("__label__") for (first,) in labels]


def one_line(text):
    return " ".join(text.split())


CONTENDERS = {
    "ours": lambda: make_pipeline(TextVectorizerTransformer(), TextCNNClassifier(random_state=0)),
    "TF-IDF(1,2) + LinearSVC": lambda: make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2)), LinearSVC()
    ),
    "fastText": FastText,
}


def main():
    arguments = parse_arguments(__doc__)
    report = Report(__doc__, arguments, floors={}, targets={})
    texts, labels = load_corpus(arguments.data, "mr/all", 500 if arguments.quick else None)
    parts = train_test_split(texts, labels, test_size=0.1, stratify=labels, random_state=0)
    runs = {name: [] for name in CONTENDERS}
    for _ in range(1 if arguments.quick else 3):
        for name, make in CONTENDERS.items():
            runs[name].append(run(make(), *parts))
    rows = []
    for name, results in runs.items():
        fits, predictions, scores = zip(*results, strict=True)
        row = {"contender": name, "first fit s": fits[0], "median fit s": median(fits)}
        rows.append(row | {"median predict s": median(predictions), "accuracy": median(scores)})
    report.table(f"MR: {len(parts[0])} documents to train on, {len(parts[1])} to predict", rows)
    report.finish()


def run(model, X_train, X_test, y_train, y_test):
    """Seconds of fit, seconds of predict, accuracy."""
    fit = seconds(lambda: model.fit(X_train, y_train))
    found = []
    predict = seconds(lambda: found.extend(model.predict(X_test)))
    return fit, predict, accuracy_score(y_test, found)


if __name__ == "__main__":
    main()
