"""The linear part against scikit-learn's own TF-IDF, and what its logits mean."""

import itertools
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from scipy.sparse import csr_array, hstack
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.metrics import log_loss
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from sklearn_textcnn import _linear
from sklearn_textcnn._linear import fit_linear, linear_logits

N_IDS = 40


def corpus(n_documents=120, n_outputs=3, seed=0, noise=0.1):
    """Ids with padding inside, unknown tokens and an empty document; one class out of several."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(max(n_outputs, 2), size=n_documents)
    ids = rng.integers(1, N_IDS - 5, (n_documents, 12)).astype(np.int32)
    ids[np.arange(12) >= rng.integers(1, 13, n_documents)[:, None]] = 0
    ids[np.arange(n_documents), rng.integers(12, size=n_documents)] = 2 + classes
    ids[rng.random(ids.shape) < 0.1] = 0
    ids[0] = 0
    wrong = rng.random(n_documents) < noise
    classes[wrong] = rng.integers(max(n_outputs, 2), size=wrong.sum())
    return ids, np.eye(max(n_outputs, 2), dtype=np.float32)[classes][:, -n_outputs:]


def fit(ids, targets, weights=None, longest=2, n_ids=N_IDS, one_of=True, seed=0):
    weights = np.ones(len(ids), dtype=np.float32) if weights is None else weights
    one_of = one_of and targets.shape[1] > 1
    rng = np.random.default_rng(seed)
    return fit_linear(ids, targets, weights, n_ids, longest, one_of, rng)


def pairs_of(row):
    ids = [int(token) for token in row]
    return [f"{a}+{b}" for a, b in itertools.pairwise(ids) if a > 1 and b > 1]


def tf_idf(longest):
    """Sublinear TF-IDF of tokens and of pairs, pairs with less weight."""
    words = CountVectorizer(analyzer=lambda row: [str(t) for t in row if t > 1])
    pairs = CountVectorizer(analyzer=pairs_of)

    def inverse(counts):
        return TfidfTransformer(sublinear_tf=True, norm=None).fit(counts)

    class Weighted(TransformerMixin, BaseEstimator):
        def fit(self, ids, y=None):
            self.parts = [part.fit(ids) for part in (words, pairs)[:longest]]
            self.inverse = [inverse(part.transform(ids)) for part in self.parts]
            return self

        def transform(self, ids):
            blocks = [
                weight * tfidf.transform(part.transform(ids))
                for weight, part, tfidf in zip(
                    (1, _linear.PAIR_WEIGHT), self.parts, self.inverse, strict=False
                )
            ]
            return normalize(hstack(blocks, format="csr"))

    return Weighted()


def ratios(features, is_in, weights):
    """Naive Bayes log-count ratios, feature by feature."""
    there = features.toarray() > 0
    counts = [1 + (weights[rows, None] * there[rows]).sum(axis=0) for rows in (is_in, ~is_in)]
    return np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("longest", [1, 2])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_machines_are_those_of_scikit_learn(n_outputs, longest, weighted, monkeypatch):
    monkeypatch.setattr(_linear, "TRAINING_BLOCK", 50)  # fewer than there are
    monkeypatch.setattr(_linear, "TOLERANCE", 1e-8)
    ids, targets = corpus(n_outputs=n_outputs)
    weights = np.random.default_rng(1).uniform(0.1, 3, len(ids)) if weighted else np.ones(len(ids))
    logits_of = partial(linear_logits, fit(ids, targets, weights, longest))
    weights = weights / weights.mean()
    tfidf = tf_idf(longest).fit(ids)
    features = tfidf.transform(ids)
    new_ids, _ = corpus(n_outputs=n_outputs, seed=1)
    new_features = tfidf.transform(new_ids)
    decisions = np.empty((3, len(new_ids), n_outputs))
    for output in range(n_outputs):
        is_in = targets[:, output] == 1
        for i, factors in enumerate((1, ratios(features, is_in, weights))):
            machine = LinearSVC(C=_linear.PENALTY, random_state=0, tol=1e-8, max_iter=100_000)
            machine.fit(features.multiply(factors).tocsr(), is_in, weights)
            new = new_features.multiply(factors).tocsr()
            decisions[i, :, output] = machine.decision_function(new)
        decisions[2, :, output] = new_features @ factors
    logits = logits_of(new_ids)
    factors = np.linalg.lstsq(decisions.reshape(3, -1).T, logits.ravel())[0]
    assert (factors > -1e-2).all()
    assert factors.sum() > 0.5
    # a machine stops within a tolerance, at a place that depends on the order of its steps
    np.testing.assert_allclose(np.tensordot(factors, decisions, 1), logits, atol=5e-3)


def test_several_labels_are_machines_of_their_own(monkeypatch):
    # with one machine there is one factor, and it alone differs
    monkeypatch.setattr(_linear, "MACHINES", _linear.MACHINES[:1])
    ids, targets = corpus()
    both = np.concatenate([targets[:, :1], 1 - targets[:, 1:2]], axis=1)
    linear = fit(ids, both, one_of=False)
    logits = linear_logits(linear, ids)
    for label in (0, 1):
        alone = fit(ids, both[:, label : label + 1])
        found = linear_logits(alone, ids)[:, 0]
        assert np.corrcoef(logits[:, label], found)[0, 1] > 0.9999


def test_features(monkeypatch):
    ids = np.array([[5, 6, 5, 6], [5, 6, 0, 7], [7, 1, 5, 8], [9, 0, 0, 0]], dtype=np.int32)
    targets = np.array([[1], [1], [0], [0]], dtype=np.float32)
    linear = fit(ids, targets, n_ids=12)
    assert linear["pairs"].tolist() == [5 * 12 + 6, 5 * 12 + 8, 6 * 12 + 5]
    assert linear["rows"].shape == (12 + 3, 2)
    squares = linear["rows"][:, -1]
    np.testing.assert_array_equal(squares.nonzero()[0], [5, 6, 7, 8, 9, 12, 13, 14])
    in_documents = {5: 3, 6: 2, 7: 2, 8: 1, 9: 1}
    for token, count in in_documents.items():
        assert squares[token] == pytest.approx((np.log(5 / (1 + count)) + 1) ** 2)
    of_pair = _linear.PAIR_WEIGHT * (np.log(5 / 3) + 1)
    assert squares[12] == pytest.approx(of_pair**2)
    assert len(fit(ids, targets, longest=1, n_ids=12)["pairs"]) == 0
    # with too many of them, those that most documents hold
    monkeypatch.setattr(_linear, "MOST_PAIRS", 1)
    few = fit(ids, targets, n_ids=12)
    assert few["pairs"].tolist() == [5 * 12 + 6]
    np.testing.assert_allclose(few["rows"][:, -1], squares[:13])


@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_logits_of_a_document_depend_on_it_alone(n_outputs):
    ids, targets = corpus(700, n_outputs=n_outputs)  # more than are looked up at a time
    linear = fit(ids, targets, one_of=False)
    logits = linear_logits(linear, ids)
    for i in (0, 1, 255, 256, 699):
        np.testing.assert_array_equal(linear_logits(linear, ids[i : i + 1])[0], logits[i])
    wider = np.pad(ids, ((0, 0), (0, 5)))
    np.testing.assert_array_equal(linear_logits(linear, wider), logits)
    np.testing.assert_array_equal(linear_logits(linear, ids[::-1]), logits[::-1])


def test_what_is_no_feature_changes_nothing():
    ids, targets = corpus()
    linear = fit(ids, targets)
    some = np.array([[4, 3, 0, 0, 0, 0]])
    expected = linear_logits(linear, some)
    strange = N_IDS - 1  # has a row, but no document held it
    assert not linear["rows"][strange].any()
    for tail in ([0, 1], [0, strange], [0, N_IDS], [0, 2**31 - 2], [1, 1], [1, 0, 1]):
        document = np.array([[4, 3, *tail, *[0] * (4 - len(tail))]])
        np.testing.assert_array_equal(linear_logits(linear, document), expected)
    nothing = linear_logits(linear, np.zeros((1, 3), dtype=int))
    np.testing.assert_array_equal(nothing[0], linear["intercept"])


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_factors_are_the_best_on_unseen_documents(n_outputs):
    rng = np.random.default_rng(0)
    targets = np.eye(3)[rng.integers(3, size=300)][:, :n_outputs]
    clear, vague = (targets + noise * rng.normal(size=targets.shape) for noise in (0.7, 1.5))
    nonsense = rng.normal(size=targets.shape) - 2 * targets
    decisions, weights = np.array([clear, vague, nonsense]), rng.uniform(0.1, 3, 300)
    factors = _linear._factors(decisions, targets, weights, n_outputs > 1)
    assert factors[0] > factors[1] > 0
    assert factors[2] >= 0
    y = targets.argmax(axis=1) if n_outputs > 1 else targets[:, 0]

    def loss(factors):
        logits = np.tensordot(factors, decisions, 1)
        p = softmax(logits, axis=1) if n_outputs > 1 else expit(logits[:, 0])
        return log_loss(y, p, sample_weight=weights)

    for i in range(2):
        for times in (0.9, 1.1):
            changed = factors.copy()
            changed[i] *= times
            assert loss(factors) < loss(changed)


@pytest.mark.parametrize("one_of", [True, False])
def test_weights_count_in_the_factors(one_of):
    """A document of weight 3 is three documents."""
    rng = np.random.default_rng(0)
    decisions, targets = rng.normal(size=(2, 80, 3)), np.eye(3)[rng.integers(3, size=80)]
    decisions[:, :40] += 2 * targets[:40]  # the first half are easy
    weights = np.repeat([1, 3], 40)
    repeated = np.repeat(decisions, weights, axis=1), np.repeat(targets, weights, axis=0)
    once = _linear._factors(decisions, targets, weights, one_of)
    np.testing.assert_allclose(
        once, _linear._factors(*repeated, np.ones(160), one_of), rtol=1e-3, atol=1e-4
    )
    assert once.sum() < 0.9 * _linear._factors(decisions, targets, np.ones(80), one_of).sum()


@pytest.mark.parametrize("one_of", [True, False])
def test_factors_of_decisions_that_are_always_right(one_of):
    """No surer than so many documents can make it."""
    targets = np.eye(2)[np.arange(40) % 2]
    decisions = np.array([2 * targets - 1] * 2)
    factors = _linear._factors(decisions, targets, np.ones(40), one_of)
    logits = np.tensordot(factors, decisions, 1)
    p = softmax(logits, axis=1) if one_of else expit(logits)
    np.testing.assert_allclose(p[targets == 1], 41 / 42, rtol=1e-3)


def test_factors_come_from_machines_that_did_not_see_the_document(monkeypatch):
    ids, targets = corpus(noise=1.0)  # labels of chance
    received = []
    real = _linear._factors
    monkeypatch.setattr(_linear, "_factors", lambda *a: received.append(a[0]) or real(*a))
    linear = fit(ids, targets)
    (held_out,) = received
    for decisions in held_out:
        assert (decisions.argmax(axis=1) == targets.argmax(axis=1)).mean() < 0.5
    # what says nothing about new documents counts for little
    assert np.abs(linear_logits(linear, ids)).mean() < 1


@pytest.mark.parametrize("n_documents", [2, 3, 4, 31])
def test_folds_have_their_share_of_every_class(n_documents):
    targets = np.eye(3)[np.arange(n_documents) % 3]
    features = csr_array(np.eye(n_documents))
    folds = _linear._folds(features, targets, np.random.default_rng(0))
    for label in range(3):
        counts = np.bincount(folds[targets[:, label] == 1], minlength=_linear.N_FOLDS)
        assert counts.max() - counts.min() <= 1
    assert np.bincount(folds).max() <= -(-n_documents // _linear.N_FOLDS)


def test_copies_of_a_document_are_in_one_fold():
    ids, targets = corpus(noise=1.0)  # labels of chance
    features = _linear._tf_idf(ids, ids.max() + 1, 2)[0]
    copies = np.tile(np.arange(len(ids)), 3)
    folds = _linear._folds(features[copies], targets[copies], np.random.default_rng(0))
    np.testing.assert_array_equal(folds, np.tile(folds[: len(ids)], 3))
    assert len(set(folds)) == _linear.N_FOLDS
    # what a copy gives away is not taken for knowledge of new documents
    assert np.abs(linear_logits(fit(ids[copies], targets[copies]), ids)).mean() < 1


def test_a_long_document_costs_no_more_than_its_own_length():
    ids, targets = corpus()
    wide = np.zeros((2000, 6000), dtype=np.int32)
    wide[:, : ids.shape[1]] = ids[np.arange(2000) % len(ids)]
    wide[7] = 2
    tracemalloc.start()
    try:
        fit(wide, targets[np.arange(2000) % len(ids)])
        assert tracemalloc.get_traced_memory()[1] < 2 * wide.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("one_of", [True, False])
def test_classes_without_documents_are_never_the_answer(one_of):
    ids, targets = corpus(n_outputs=3)
    padded = np.insert(targets, 1, 0, axis=1)
    linear = fit(ids, padded, one_of=one_of)
    assert (linear_logits(linear, ids)[:, 1] < 0).all()
    # two of three classes that have documents
    kept = targets[:, 2] == 0
    linear = fit(ids[kept], targets[kept], one_of=one_of)
    assert (linear_logits(linear, ids)[:, 2] < 0).all()


@pytest.mark.parametrize("n_documents", [1, 2, 3, 5])
def test_a_few_documents(n_documents):
    ids, targets = corpus(n_documents)
    for outputs in (targets, targets[:, :1]):
        logits = linear_logits(fit(ids, outputs), ids)
        assert logits.shape == outputs.shape
        assert np.isfinite(logits).all()


def test_same_generator_same_machine():
    ids, targets = corpus()
    first, second = fit(ids, targets), fit(ids, targets)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_only_ratios_of_weights_count():
    """Some give weights that sum to 1."""
    ids, targets = corpus()
    weights = np.random.default_rng(1).uniform(0.1, 3, len(ids))
    logits = linear_logits(fit(ids, targets, weights), ids)
    for factor in (1e-6, 1e3):
        scaled = linear_logits(fit(ids, targets, factor * weights), ids)
        np.testing.assert_allclose(scaled, logits, rtol=1e-3, atol=1e-3)


def test_fits_in_threads_are_those_of_one():
    """The random numbers of liblinear are the process's."""
    ids, targets = corpus(300)
    alone = fit(ids, targets)["rows"]
    with ThreadPoolExecutor(4) as pool:
        for linear in pool.map(lambda _: fit(ids, targets), range(12)):
            np.testing.assert_array_equal(linear["rows"], alone)


def test_few_documents_at_a_time_with_many_outputs(monkeypatch):
    ids, targets = corpus(300)
    linear = fit(ids, targets)
    logits = linear_logits(linear, ids)
    monkeypatch.setattr(_linear, "VALUES_AT_A_TIME", 50)  # not one document
    np.testing.assert_array_equal(linear_logits(linear, ids), logits)


def test_large_ids_make_pairs_of_their_own():
    """A pair is kept as one number, which must not overflow."""
    n_ids = 2**31 - 1
    ids = np.array([[n_ids - 1, n_ids - 2], [n_ids - 2, n_ids - 1]], dtype=np.int32)
    keys = _linear._pair_keys(ids, n_ids)[:, 0].tolist()
    assert keys == [(n_ids - 1) * n_ids + n_ids - 2, (n_ids - 2) * n_ids + n_ids - 1]


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_nothing_is_said(n_outputs):
    """The machines stop where they stop, and labels may be nearly as many as documents."""
    ids, targets = corpus(n_outputs=n_outputs)
    weights = np.full(len(ids), 1e4)
    many = np.eye(60, dtype=np.float32)[np.arange(120) // 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(ids, targets, weights)
        fit(ids, many)
