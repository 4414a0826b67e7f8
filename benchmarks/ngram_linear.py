"""Is `NgramLinearClassifier` quick with many classes, and never clearly behind its machines?

CPU times of a fit with many classes, which is work of one thread; then accuracy, cross-entropy and
the area under the ROC curve beside each of its machines alone: on whole corpora, on few documents,
with a class of a few documents among 800, and with one to three documents of each class.
"""

import time
from contextlib import contextmanager
from functools import partial
from itertools import islice
from unittest import mock

import numpy as np
from _common import Report, alternate, at_most, parse_arguments
from _corpora import CORPORA
from scipy.special import expit, logsumexp, softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer, _machines

FLOORS = {
    "fit of 100 classes, s": at_most(4),
    "fit of 400 classes, s": at_most(12),
    "rare classes: points of ROC AUC behind the best machine, most": at_most(2),
    "rare classes: points of accuracy behind the best machine, most": at_most(0.1),
    "rare classes: cross-entropy above the best machine's, per cent, most": at_most(3),
    "whole corpora: points of accuracy behind the best machine, most": at_most(0.3),
    "whole corpora: cross-entropy above the best machine's, per cent, most": at_most(0),
    "whole corpora: points between confidence and accuracy, most": at_most(2),
    "few documents a class: points of accuracy behind the best machine, mean": at_most(1),
}
TARGETS = FLOORS | {
    "fit of 100 classes, s": at_most(2),
    "fit of 400 classes, s": at_most(6),
    "rare classes: points of ROC AUC behind the best machine, most": at_most(1),
    "rare classes: points of accuracy behind the best machine, most": at_most(0.02),
    "rare classes: cross-entropy above the best machine's, per cent, most": at_most(1),
    "whole corpora: points of accuracy behind the best machine, most": at_most(0),
    "few documents a class: points of accuracy behind the best machine, mean": at_most(0),
}
OURS = "all, stacked"
# corpus, and the class that is made rare
RARE = {"SMS": "spam", "MR": None, "TREC": None, "docstrings": None}
FEW_OF_A_CLASS = ("20ng", "TREC")


@contextmanager
def only(name):
    """Leave the classifier one machine."""
    machines = _machines.MACHINES
    if name != OURS:
        machines = {name: machines[name]}
    with mock.patch.object(_machines, "MACHINES", machines):
        with mock.patch("sklearn_textcnn.linear.MACHINES", machines):
            yield


def made_up(n_classes, n_documents=2000, length=30):
    """Texts of frequent and rare words, with up to three words of their class."""
    rng = np.random.default_rng(0)
    classes = np.arange(n_documents) % n_classes
    words = np.minimum(rng.zipf(1.3, (n_documents, length)), 20_000).astype(str).astype(object)
    for i in range(3):
        rows = np.flatnonzero(rng.random(n_documents) < 0.6)
        words[rows, rng.integers(length)] = [f"c{c}x{i}" for c in classes[rows]]
    return [" ".join(row) for row in words], classes


def cpu_seconds(call):
    began = time.process_time()
    call()
    return time.process_time() - began


def time_many_classes(report, quick):
    for n_classes in (10, 20) if quick else (100, 400):
        texts, y = made_up(n_classes, 200 if quick else 2000)
        contenders = {
            "NgramLinearClassifier": make_pipeline(
                TextVectorizerTransformer(), NgramLinearClassifier(random_state=0)
            ),
            "TF-IDF + LinearSVC": make_pipeline(
                TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC(random_state=0)
            ),
        }
        fits = {name: partial(model.fit, texts, y) for name, model in contenders.items()}
        results = alternate(fits, 2 if quick else 3, cpu_seconds)
        report.times(f"2,000 documents of {n_classes} classes", results, "TF-IDF + LinearSVC")
        median = float(np.median(results["NgramLinearClassifier"]))
        if not quick:
            report.claim(f"fit of {n_classes} classes, s", median)


def scores(model, ids, y, weights=None):
    """Accuracy and confidence in per cent, cross-entropy, and ROC AUC of two classes."""
    logits = model.decision_function(ids).astype(float)
    if logits.ndim == 1:
        predicted, auc = logits > 0, 100 * roc_auc_score(y, logits)
        losses, sure = np.logaddexp(0, logits) - logits * y, expit(np.abs(logits))
    else:
        # a class without training documents is none of the model's
        places = np.searchsorted(model.classes_, y).clip(max=len(model.classes_) - 1)
        predicted, auc = model.classes_[logits.argmax(axis=1)], None
        losses = logsumexp(logits, axis=1) - logits[np.arange(len(y)), places]
        sure = softmax(logits, axis=1).max(axis=1)
    accuracy = 100 * np.average(predicted == y, weights=weights)
    return {
        "accuracy": accuracy,
        "cross-entropy": np.average(losses, weights=weights),
        "ROC AUC": auc,
        "confidence - accuracy": 100 * np.average(sure, weights=weights) - accuracy,
    }


def compare(splits):
    """Mean scores of all machines together and of each alone."""
    results = {}
    for name in (OURS, *_machines.MACHINES):
        with only(name):
            found = []
            for ids, y, new_ids, new_y, *weights in splits:
                model = NgramLinearClassifier(random_state=0).fit(ids, y)
                found.append(scores(model, new_ids, new_y, *weights))
        results[name] = {
            key: None if found[0][key] is None else float(np.mean([f[key] for f in found]))
            for key in found[0]
        }
    return results


def behind(results, key):
    """How far the stack is behind the best machine: in points, or per cent of a cross-entropy."""
    ours, others = results[OURS][key], [results[name][key] for name in results if name != OURS]
    return 100 * (ours / min(others) - 1) if key == "cross-entropy" else max(others) - ours


def rows_of(results, **first):
    return [first | {"machine": name} | values for name, values in results.items()]


def rare_splits(ids, y, n_rare, n_draws, n_common=800):
    """A few documents of class 1 among others; new ones count as if they were as rare."""
    for draw in range(n_draws):
        order = np.random.default_rng(draw).permutation(len(ids))
        rare, common = order[y[order] == 1], order[y[order] == 0]
        train = np.concatenate([rare[:n_rare], common[:n_common]])
        test = np.concatenate([rare[n_rare:][:500], common[n_common:][:2500]])
        share, found = n_rare / len(train), y[test].mean()
        weights = np.where(y[test] == 1, share / found, (1 - share) / (1 - found))
        yield ids[train], y[train], ids[test], y[test], weights


def few_splits(ids, y, n, n_draws):
    """A few documents of each class."""
    for draw in range(n_draws):
        order = np.random.default_rng(draw).permutation(len(ids))
        train = np.concatenate([order[y[order] == label][:n] for label in np.unique(y)])
        test = np.setdiff1d(order, train, assume_unique=True)[:3000]
        yield ids[train], y[train], ids[test], y[test]


def judge_rare(report, data, quick):
    rows, found = [], []
    for name, label in RARE.items():
        ids, y = data[name]
        is_rare = (y == (label or np.unique(y)[-1])).astype(int)
        by_size = []
        for n_rare in (5,) if quick else (3, 5, 10, 20):
            splits = list(rare_splits(ids, is_rare, n_rare, 1 if quick else 5))
            by_size.append(compare(splits))
            rows += rows_of(by_size[-1], corpus=name, documents=n_rare)
        found.append(_mean(by_size))
    report.table("A class of few documents among 800", rows)
    claims = {
        "rare classes: points of ROC AUC behind the best machine, most": "ROC AUC",
        "rare classes: points of accuracy behind the best machine, most": "accuracy",
        "rare classes: cross-entropy above the best machine's, per cent, most": "cross-entropy",
    }
    for claim, key in claims.items():
        report.claim(claim, max(behind(results, key) for results in found))


def judge_whole(report, corpora, data, quick):
    rows, whole = [], []
    for name, corpus in corpora.items():
        ids, y = data[name]
        kinds = {"500 documents": (corpus.small_splits(), 5)}
        if name != "20ng":
            kinds["whole"] = corpus.splits(deterministic=True), 3
        for kind, (splits, n_splits) in kinds.items():
            splits = [(ids[a], y[a], ids[b], y[b]) for a, b in islice(splits, n_splits)]
            results = compare([(a, _codes(y, b), c, _codes(y, d)) for a, b, c, d in splits])
            rows += rows_of(results, corpus=name, trained_on=kind)
            if kind == "whole":
                whole.append(results)
    report.table("Whole corpora and 500 documents", rows)
    for claim, key in {
        "whole corpora: points of accuracy behind the best machine, most": "accuracy",
        "whole corpora: cross-entropy above the best machine's, per cent, most": "cross-entropy",
    }.items():
        report.claim(claim, max(behind(results, key) for results in whole))
    off = [abs(results[OURS]["confidence - accuracy"]) for results in whole]
    report.claim("whole corpora: points between confidence and accuracy, most", max(off))


def judge_few(report, data, quick):
    rows, found = [], []
    for name in FEW_OF_A_CLASS:
        ids, y = data[name]
        for n in (2,) if quick else (1, 2, 3):
            results = compare(list(few_splits(ids, _codes(y, y), n, 1 if quick else 5)))
            rows += rows_of(results, corpus=name, documents=n)
            found.append(behind(results, "accuracy"))
    report.table("A few documents of each class", rows)
    report.claim(
        "few documents a class: points of accuracy behind the best machine, mean",
        float(np.mean(found)),
    )


def _codes(all_labels, labels):
    return np.searchsorted(np.unique(all_labels), labels)


def _mean(several):
    return {
        name: {
            key: np.mean([results[name][key] for results in several]) for key in several[0][name]
        }
        for name in several[0]
    }


def main():
    arguments = parse_arguments(__doc__)
    quick = arguments.quick
    report = Report(__doc__, arguments, {} if quick else FLOORS, TARGETS)
    time_many_classes(report, quick)
    corpora = {name: load(arguments.data, quick) for name, load in CORPORA.items()}
    # tokens of other documents are no features, so that one vocabulary will do
    data = {
        name: (np.asarray(TextVectorizerTransformer().fit_transform(list(c.texts))), c.labels)
        for name, c in corpora.items()
    }
    judge_rare(report, data, quick)
    judge_few(report, data, quick)
    judge_whole(report, corpora, data, quick)
    report.finish()


if __name__ == "__main__":
    main()
