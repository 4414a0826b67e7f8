"""How many times faster is an epoch than in Keras behind scikeras, or PyTorch behind skorch?

The same network (128 dimensions, kernel sizes 3, 4, 5 with 100 filters each, dropout 0.5), batches
of 50, Adam. scikeras gets ids padded to the longest document, as people write it; the others of our
rivals get our batches. Every seed starts afresh with an epoch that compiles and is not counted; all
contenders then train epoch by epoch in turn, and are scored on the test documents.
"""

from statistics import mean, median

import keras
import numpy as np
from _common import Report, at_least, at_most, load_corpus, parse_arguments, seconds
from _networks import scikeras_textcnn, textcnn
from _rivals import KerasOnOurBatches, skorch_textcnn
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

from sklearn_textcnn import TextVectorizerTransformer

FLOORS = {
    "MR, epoch: scikeras / ours": at_least(6.5),
    "MR, epoch: skorch, dense / ours": at_least(3.2),
    "MR, epoch: skorch, sparse / ours": at_least(1.5),
    "MR, accuracy: points behind scikeras": at_most(1),
    "20ng, epoch: scikeras / ours": at_least(15),
    "20ng, accuracy: points behind scikeras": at_most(1),
}
TARGETS = {
    "MR, epoch: scikeras / ours": at_least(8),
    "MR, epoch: skorch, dense / ours": at_least(4),
    "MR, epoch: skorch, sparse / ours": at_least(4),
    "20ng, epoch: scikeras / ours": at_least(20),
}


def main():
    arguments = parse_arguments(__doc__)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    few = 300 if arguments.quick else None
    texts, labels = load_corpus(arguments.data, "mr/all", few)
    parts = train_test_split(texts, labels, test_size=0.1, stratify=labels, random_state=0)
    run(report, "MR", parts, None, binary_contenders, seeds=1 if few else 3, epochs=2 if few else 5)

    train = load_corpus(arguments.data, "20ng/train", few)
    test = load_corpus(arguments.data, "20ng/test", few)
    parts = train[0], test[0], train[1], test[1]
    run(
        report,
        "20ng",
        parts,
        400,
        multiclass_contenders,
        seeds=1 if few else 3,
        epochs=2 if few else 3,
    )
    report.finish()


def binary_contenders(n_ids, n_classes, seed):
    return {
        "ours": textcnn(random_state=seed),
        "scikeras": scikeras_textcnn(n_ids, n_classes),
        "Keras layers": KerasOnOurBatches(n_ids, seed),
        "skorch, dense": skorch_textcnn(n_ids, seed, sparse=False),
        "skorch, sparse": skorch_textcnn(n_ids, seed, sparse=True),
    }


def multiclass_contenders(n_ids, n_classes, seed):
    return {"ours": textcnn(random_state=seed), "scikeras": scikeras_textcnn(n_ids, n_classes)}


def run(report, corpus, parts, max_length, contenders_for, seeds, epochs):
    """Train on a corpus with each seed, and report times and scores."""
    X_train, X_test, y_train, y_test = parts
    vectorizer = TextVectorizerTransformer(max_length=max_length).fit(X_train)
    n_ids = vectorizer.transform(X_train[:1]).n_ids
    train, test = (np.asarray(vectorizer.transform(X)) for X in (X_train, X_test))
    classes, targets = np.unique(y_train, return_inverse=True)
    test_targets = np.searchsorted(classes, y_test)
    first, later, scores = {}, {}, {}
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        contenders = contenders_for(n_ids, len(classes), seed)
        for epoch in range(epochs):
            for name, estimator in contenders.items():
                time = epoch_seconds(estimator, train, targets)
                (later if epoch else first).setdefault(name, []).append(time)
        for name, estimator in contenders.items():
            score = accuracy_score(test_targets, estimator.predict(test))
            scores.setdefault(name, []).append(score)
    title = f"{corpus}: an epoch of {len(train)} documents, up to {train.shape[1]} tokens"
    tell(report, corpus, title, first, later, scores)


def epoch_seconds(estimator, X, y):
    return seconds(lambda: estimator.partial_fit(X, y, classes=np.unique(y)))


def tell(report, corpus, title, first, later, scores):
    ratios = report.times(title, later, "ours")
    rows = [
        {
            "contender": name,
            "s on top in the first epoch": first[name][0] - median(later[name]),
            "accuracy, mean over seeds": mean(scores[name]),
            "min": min(scores[name]),
            "max": max(scores[name]),
        }
        for name in later
    ]
    report.table(f"{corpus}: first epoch and accuracy", rows)
    for name, ratio in ratios.items():
        if name != "ours":
            report.claim(f"{corpus}, epoch: {name} / ours", ratio)
    behind = 100 * (mean(scores["scikeras"]) - mean(scores["ours"]))
    report.claim(f"{corpus}, accuracy: points behind scikeras", behind)


if __name__ == "__main__":
    main()
