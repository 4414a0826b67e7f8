"""Where does the classifier stand between a linear model and fastText, from raw text to score?

Whole fit and predict on MR, a tenth held out. This is context and not a claim: our defaults without
word vectors, TF-IDF of words and pairs with LinearSVC, and fastText, the limit of speed, with the
settings of its own tutorial. The first fit of ours in the process loads TensorFlow.
"""

from statistics import median

from _common import Report, load_corpus, parse_arguments, seconds
from _fasttext import FastText
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer


def one_line(text):
    return " ".join(text.split())


CONTENDERS = {
    "ours": lambda: make_pipeline(TextVectorizerTransformer(), TextCNNClassifier(random_state=0)),
    "TF-IDF(1,2) + LinearSVC": lambda: make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2)), LinearSVC()
    ),
    "fastText": lambda: FastText(one_line, lr=1.0, epoch=25, wordNgrams=2),
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
