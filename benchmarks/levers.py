"""Which ways of training were tried, and what does each change?

Points of accuracy over the defaults with one parameter changed at a time, mean over corpora; one
split and one seed. The network starts from GloVe vectors: without them it has a small share in the
answers, and so has everything about it. What gained is a default; what did not is listed so that
nobody has to try it again. Seeds alone make a difference of up to half a point on one corpus, so
small figures mean nothing.
"""

from math import cos, pi
from statistics import mean

import keras
from _common import Report, load_corpus, parse_arguments, seconds
from sklearn.model_selection import train_test_split

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer, WordVectors
from sklearn_textcnn.datasets import load_docstrings

GLOVE = "glove-6b-50d"
EPOCHS = 12


def cosine(epoch, rate):
    """Falls from twice the default rate to zero."""
    return 0.001 * (1 + cos(pi * epoch / EPOCHS))


CORPORA = ("MR", "TREC", "SMS", "docstrings")
LEVERS = {
    "defaults": {},
    "without the linear part": {"linear_ngrams": 0},
    "linear part of tokens alone": {"linear_ngrams": 1},
    "without averaging": {"average": 0.0},
    "no token dropout": {"token_dropout": 0.0},
    "token dropout 0.4": {"token_dropout": 0.4},
    "6 epochs": {"epochs": 6},
    "20 epochs": {"epochs": 20},
    "kernel sizes 1 to 3": {"kernel_sizes": (1, 2, 3)},
    "kernel sizes 1 to 4": {"kernel_sizes": (1, 2, 3, 4)},
    "200 filters": {"filters": 200},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "max-norm 3": {"max_norm": 3.0},
    "adam": {"optimizer": "adam"},
    "adamw": {"optimizer": "adamw"},
    "learning rate 0.0005": {"learning_rate": 0.0005},
    "learning rate 0.002": {"learning_rate": 0.002},
    "rate on a cosine, no averaging": {
        "epochs": EPOCHS,
        "average": 0.0,
        "callbacks": keras.callbacks.LearningRateScheduler(cosine),
    },
    "max and average pooling": {"pooling": "max+average"},
    "vectors centred": {"word_vectors": WordVectors(GLOVE, center=True)},
    "vectors scaled to deviation 0.3": {"word_vectors": WordVectors(GLOVE, scale=0.3)},
}
SEEDS = (0,)


def main():
    arguments = parse_arguments(__doc__)
    report = Report(__doc__, arguments, {}, {})
    few = 300 if arguments.quick else None
    ids = [as_ids(corpus(arguments.data, name, few)) for name in CORPORA]
    rows, base = [], None
    for name, changes in LEVERS.items():
        if arguments.quick:
            changes = {"epochs": 1} | changes
        scores, times = zip(*(score(parts, changes) for parts in ids), strict=True)
        base = base or scores
        gains = [ours - theirs for ours, theirs in zip(scores, base, strict=True)]
        rows.append(
            {"changed": name}
            | {name: f"{s:.1f}" for name, s in zip(CORPORA, scores, strict=True)}
            | {"points over the defaults": mean(gains), "training, s": sum(times)}
        )
        print(rows[-1], flush=True)
    report.table("Accuracy in per cent with one parameter changed, with GloVe vectors", rows)
    report.finish()


def corpus(data, name, few):
    """Training texts, test texts and their labels."""
    if name == "TREC":
        train, test = (load_corpus(data, f"trec/{part}", few) for part in ("train", "test"))
        return train[0], test[0], train[1], test[1]
    if name == "docstrings":
        texts, labels = load_docstrings(return_X_y=True)
        texts, labels = texts[:few], labels[:few]
    else:
        texts, labels = load_corpus(data, {"MR": "mr/all", "SMS": "sms_spam/all"}[name], few)
    return train_test_split(texts, labels, test_size=0.2, stratify=labels, random_state=0)


def as_ids(parts):
    train, test, y_train, y_test = parts
    vectorizer = TextVectorizerTransformer()
    return vectorizer.fit_transform(train), vectorizer.transform(test), y_train, y_test


def score(parts, changes):
    """Mean accuracy over the seeds in per cent, and mean seconds of training."""
    X_train, X_test, y_train, y_test = parts
    scores, times = [], []
    for seed in SEEDS:
        classifier = TextCNNClassifier(**{"word_vectors": GLOVE, "random_state": seed, **changes})
        times.append(seconds(lambda: classifier.fit(X_train, y_train)))  # noqa: B023
        scores.append(100 * classifier.score(X_test, y_test))
    return mean(scores), mean(times)


if __name__ == "__main__":
    main()
