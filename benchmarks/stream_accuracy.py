"""How far is a stream behind `fit` on 20 newsgroups, and what does a linear model beside it bring?

The documents of 20ng train come as a stream in batches of 1,000, replayed as often as `fit` has
epochs; all are tested on 20ng test. The network has half of the default sizes. "rate falls": the
learning rate falls to zero over the second half. SGD is scikit-learn's `SGDClassifier` on hashed
words and pairs, "both" the plain mean of its probabilities and the network's. Means over seeds,
which also draw the order of the documents. Memory and speed of a long stream: `stream.py`.
"""

from statistics import mean, stdev

import numpy as np
from _common import Report, at_most, load_corpus, parse_arguments
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer

FLOORS = {"network: fit - stream, points": at_most(1)}
TARGETS = {
    "network: fit - stream, points": at_most(0.5),
    "fit of both parts - stream of both, points": at_most(1),
}
BATCH = 1000
SEEDS = 3
NETWORK = {"embedding_dim": 64, "filters": 50}
SGD = {"loss": "log_loss", "alpha": 1e-6}


def main():
    arguments = parse_arguments(__doc__)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    few = 300 if arguments.quick else None
    train, test = (load_corpus(arguments.data, f"20ng/{part}", few) for part in ("train", "test"))
    results = {}
    for seed in range(1 if arguments.quick else SEEDS):
        for name, score in accuracies(train, test, seed).items():
            results.setdefault(name, []).append(100 * score)
            print(f"seed {seed}: {name} {100 * score:.2f}", flush=True)
    rows = [
        {
            "20ng": name,
            "accuracy": mean(scores),
            "deviation": stdev(scores) if len(scores) > 1 else None,
            "seeds": len(scores),
        }
        for name, scores in results.items()
    ]
    report.table("Accuracy on 20ng, per cent", rows)
    middle = {name: mean(scores) for name, scores in results.items()}
    gap = middle["fit, network alone"] - middle["stream, network"]
    report.claim("network: fit - stream, points", gap)
    gap = middle["fit, both parts"] - middle["stream, both"]
    report.claim("fit of both parts - stream of both, points", gap)
    report.finish()


def accuracies(train, test, seed):
    """Accuracy of each way to learn."""
    (texts, labels), (new, known) = train, test
    order = np.random.default_rng(seed).permutation(len(texts))
    texts, labels, classes = texts[order], labels[order], np.unique(labels)
    alone = fitted(texts, labels, linear_ngrams=0, random_state=seed)
    n_passes = alone[-1].n_iter_

    hashed_ids = TextVectorizerTransformer(hash_buckets=2**18)
    hashed_counts = HashingVectorizer(ngram_range=(1, 2), alternate_sign=False)
    network, falling = (TextCNNClassifier(**NETWORK, random_state=seed) for _ in range(2))
    linear = SGDClassifier(**SGD, random_state=seed)
    rate, parts = falling.learning_rate, []
    for start in range(0, len(texts), BATCH):
        rows = slice(start, start + BATCH)
        some = texts[rows]
        # the same in every pass, so once is enough
        parts.append((hashed_ids.transform(some), hashed_counts.transform(some), labels[rows]))
    for step in range(n_passes * len(parts)):
        ids, counts, answers = parts[step % len(parts)]
        left = 1 - step / (n_passes * len(parts))
        falling.set_params(learning_rate=rate * min(1, 2 * left))
        network.partial_fit(ids, answers, classes=classes)
        falling.partial_fit(ids, answers, classes=classes)
        linear.partial_fit(counts, answers, classes=classes)

    ids = hashed_ids.transform(new)
    by = {
        "stream, network": network.predict_proba(ids),
        "stream, network, rate falls": falling.predict_proba(ids),
        "stream, SGD": linear.predict_proba(hashed_counts.transform(new)),
    }
    by["stream, both"] = (by["stream, network"] + by["stream, SGD"]) / 2
    by["stream, both, rate falls"] = (by["stream, network, rate falls"] + by["stream, SGD"]) / 2
    scores = {"fit, network alone": alone.score(new, known)}
    scores |= {name: float(np.mean(classes[p.argmax(axis=1)] == known)) for name, p in by.items()}
    return scores | {"fit, both parts": fitted(texts, labels, random_state=seed).score(new, known)}


def fitted(texts, labels, **parameters):
    classifier = TextCNNClassifier(**NETWORK, **parameters)
    return make_pipeline(TextVectorizerTransformer(), classifier).fit(texts, labels)


if __name__ == "__main__":
    main()
