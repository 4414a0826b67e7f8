"""The machines against scikit-learn's, what they count for, and what they have not seen."""

import os
import signal
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ngram_corpora import ByHand, strange_corpus
from scipy.optimize import OptimizeResult, approx_fprime
from scipy.sparse import csr_array
from scipy.special import expit, softmax
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.svm import LinearSVC

from sklearn_textcnn import _machines
from sklearn_textcnn._machines import fit_machines
from sklearn_textcnn._ngrams import linear_logits, ngrams_of
from sklearn_textcnn._stacking import folds_of, known_in_other_folds

PENALTY = 3.0


def targets_of(classes, n_outputs=3):
    """One output of two classes, or one for each class."""
    return np.eye(max(n_outputs, 2), dtype=np.float32)[classes][:, -n_outputs:]


def corpus(n_documents=120, n_outputs=3, **options):
    ids, classes = strange_corpus(n_documents, max(n_outputs, 2), **options)
    return ids, targets_of(classes, n_outputs)


def fit(ids, targets, weights=None, longest=2, one_of=True, seed=0):
    """Tables, factors and held-out logits."""
    weights = np.ones(len(ids), dtype=np.float32) if weights is None else weights
    one_of = one_of and targets.shape[1] > 1
    ngrams, rng = ngrams_of(ids, longest), np.random.default_rng(seed)
    kernel, intercept, factors, held_out = fit_machines(
        ngrams.frequencies, targets, weights, PENALTY, one_of, rng, lambda: None
    )
    return ngrams.tables(kernel, intercept), factors, held_out


def logits_of(ids, targets, new_ids, **options):
    return linear_logits(fit(ids, targets, **options)[0], new_ids)


def ratios(counts, pseudo_counts):
    shares = [(c + p) / (c + p).sum() for c, p in zip(counts, pseudo_counts, strict=True)]
    return np.log(shares[0] / shares[1])


def decisions_by_hand(ids, targets, weights, new_ids, longest):
    """Of the three machines, (3, n, n_outputs)."""
    by_hand = ByHand(longest).fit(ids)
    features, new = by_hand.transform(ids).toarray(), by_hand.transform(new_ids).toarray()
    decisions = np.empty((3, len(new_ids), targets.shape[1]))
    held = weights @ (features > 0)
    for output, is_in in enumerate(targets.T == 1):
        counts = [weights[rows] @ (features[rows] > 0) for rows in (is_in, ~is_in)]
        as_in_corpus = ratios(counts, [held / held.mean()] * 2)
        as_in_corpus[abs(as_in_corpus) < _machines.SMALL_RATIO * abs(as_in_corpus).max()] = 0
        for i, scales in enumerate((np.ones(len(held)), as_in_corpus)):
            machine = LinearSVC(C=PENALTY, random_state=0, tol=1e-8, max_iter=100_000)
            machine.fit(features * scales, is_in, weights)
            decisions[i, :, output] = machine.decision_function(new * scales)
        sizes = np.array([weights[is_in].sum(), weights[~is_in].sum()])
        by_size = ratios(counts, sizes / sizes.min())
        mean = np.average(features @ by_size, weights=weights)
        decisions[2, :, output] = new @ by_size - mean
    return decisions


@pytest.fixture
def exact(monkeypatch):
    """Machines that do not stop early, at a place that depends on the order of their steps."""
    monkeypatch.setattr(_machines, "TOLERANCE", 1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("longest", [1, 2])
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.usefixtures("exact")
def test_machines_are_those_of_scikit_learn(n_outputs, longest, weighted):
    ids, targets = corpus(n_outputs=n_outputs)
    weights = np.random.default_rng(1).uniform(0.1, 3, len(ids)) if weighted else np.ones(len(ids))
    new_ids, _ = corpus(n_outputs=n_outputs, seed=1)
    tables, factors, _ = fit(ids, targets, weights, longest)
    decisions = decisions_by_hand(ids, targets, weights / weights.mean(), new_ids, longest)
    expected = np.tensordot(factors, decisions, 1)
    np.testing.assert_allclose(linear_logits(tables, new_ids), expected, atol=2e-3)


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.usefixtures("exact")
def test_held_out_logits_are_those_of_machines_fitted_to_the_other_folds(n_outputs, monkeypatch):
    """To nothing else: no feature, and no document frequency, is of the documents held out."""
    ids, targets = corpus(n_outputs=n_outputs)
    folds = np.arange(120) % 3
    monkeypatch.setattr(_machines, "folds_of", lambda *arguments: folds)
    weights = np.random.default_rng(1).uniform(0.1, 3, len(ids))
    _, factors, held_out = fit(ids, targets, weights)
    weights /= weights.mean()
    for fold in range(3):
        rest, rows = folds != fold, folds == fold
        decisions = decisions_by_hand(ids[rest], targets[rest], weights[rest], ids[rows], 2)
        expected = np.tensordot(factors, decisions, 1)
        np.testing.assert_allclose(held_out[rows], expected, atol=2e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_factors_have_the_lowest_cross_entropy_of_the_held_out_documents(weighted, monkeypatch):
    received = []
    real = _machines._factors
    monkeypatch.setattr(_machines, "_factors", lambda *a: received.append(a) or real(*a))
    ids, targets = corpus(noise=0.3)
    weights = np.random.default_rng(1).uniform(0.1, 3, len(ids)) if weighted else np.ones(len(ids))
    _, factors, held_out = fit(ids, targets, weights)
    decisions, judged, judged_weights, one_of, expected = received[0]
    np.testing.assert_array_equal(expected, [1, 2, 0.25])
    assert one_of
    np.testing.assert_array_equal(judged, targets)
    np.testing.assert_allclose(judged_weights, weights / weights.mean())
    np.testing.assert_allclose(np.tensordot(factors, decisions, 1), held_out)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_factors_are_looked_for_by_the_slope_of_their_loss(n_outputs, monkeypatch):
    minimized = []
    monkeypatch.setattr(
        "scipy.optimize.minimize",
        lambda f, start, **_: minimized.append(f) or OptimizeResult(x=start),
    )
    rng = np.random.default_rng(0)
    targets = np.eye(3)[np.arange(20) % 3][:, :n_outputs]
    decisions, weights = rng.normal(size=(3, 20, n_outputs)), rng.uniform(0.1, 3, 20)
    _machines._factors(decisions, targets, weights, n_outputs > 1, np.array([1, 2, 0.25]))
    at = np.array([0.3, -0.5, 1.0])
    measured = approx_fprime(at, lambda x: minimized[0](x)[0], 1e-6)
    np.testing.assert_allclose(minimized[0](at)[1], measured, atol=1e-5)


@pytest.mark.parametrize("n_documents", [300, 9])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_factors_are_the_best_beside_their_prior(n_outputs, n_documents):
    rng = np.random.default_rng(0)
    targets = np.eye(3)[np.arange(n_documents) % 3][:, :n_outputs]
    clear, vague = (targets + noise * rng.normal(size=targets.shape) for noise in (0.7, 1.5))
    nonsense = rng.normal(size=targets.shape) - 2 * targets
    decisions = np.array([clear, vague, nonsense])
    weights = rng.uniform(0.1, 3, n_documents)
    expected = np.array([2, 0.5, 1])
    factors = _machines._factors(decisions, targets, weights, n_outputs > 1, expected)
    assert factors[0] > factors[1] > factors[2] > 0
    y = targets.argmax(axis=1) if n_outputs > 1 else targets[:, 0]

    def loss(factors):
        logits = np.tensordot(factors, decisions, 1)
        p = softmax(logits, axis=1) if n_outputs > 1 else expit(logits[:, 0])
        total = log_loss(y, p, sample_weight=weights, normalize=False)
        return total + (np.log(factors / expected) ** 2).sum() / 2

    for i in range(3):
        for times in (0.8, 1.25):
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
    expected = np.ones(2)
    once = _machines._factors(decisions, targets, weights, one_of, expected)
    twice = _machines._factors(*repeated, np.ones(160), one_of, expected)
    np.testing.assert_allclose(once, twice, rtol=1e-3, atol=1e-4)
    unweighted = _machines._factors(decisions, targets, np.ones(80), one_of, expected)
    assert once.sum() < 0.9 * unweighted.sum()


@pytest.mark.parametrize("one_of", [True, False])
def test_factors_of_decisions_that_are_always_right(one_of):
    """They are finite, and the larger the more documents say so."""
    sure = []
    for n in (4, 40, 4000):
        targets = np.eye(2)[np.arange(n) % 2]
        decisions = np.array([2 * targets - 1] * 2)
        factors = _machines._factors(decisions, targets, np.ones(n), one_of, np.ones(2))
        sure.append(factors.sum())
    assert 2 < sure[0] < sure[1] < sure[2] < 20


def test_nothing_is_known_without_a_document():
    none = np.zeros((3, 0, 4)), np.zeros((0, 4)), np.zeros(0)
    expected = np.array([1, 2, 0.5])
    np.testing.assert_array_equal(_machines._factors(*none, True, expected), expected)


def test_what_says_nothing_about_new_documents_counts_for_little():
    ids, targets = corpus(noise=1.0)  # labels of chance
    tables, _, held_out = fit(ids, targets)
    assert (held_out.argmax(axis=1) == targets.argmax(axis=1)).mean() < 0.5
    assert np.abs(linear_logits(tables, ids)).mean() < 1


def test_copies_of_a_document_are_in_one_fold(monkeypatch):
    ids, targets = corpus(noise=1.0)  # labels of chance
    received = []
    monkeypatch.setattr(
        _machines, "folds_of", lambda *a: received.append(folds_of(*a)) or received[-1]
    )
    copies = np.tile(np.arange(len(ids)), 3)
    tables, _, _ = fit(ids[copies], targets[copies])
    np.testing.assert_array_equal(received[0], np.tile(received[0][: len(ids)], 3))
    assert len(set(received[0])) == _machines.N_FOLDS
    # what a copy gives away is not taken for knowledge of new documents
    assert np.abs(linear_logits(tables, ids)).mean() < 1


def test_documents_that_say_nothing_are_not_judged():
    folds = np.array([0, 0, 0, 1, 1, 2])
    targets = np.eye(3)[[0, 1, 2, 1, 2, 1]]  # class 0 is in one fold alone
    np.testing.assert_array_equal(known_in_other_folds(targets, folds), [0, 1, 1, 1, 1, 1])
    single = np.array([[0], [1], [1], [1], [1], [1]])  # so is what has not the label
    np.testing.assert_array_equal(known_in_other_folds(single, folds), [0, 1, 1, 1, 1, 1])
    several = np.array([[1, 0], [1, 1], [0, 1], [0, 1], [0, 1], [0, 0]])
    np.testing.assert_array_equal(known_in_other_folds(several, folds), [0, 0, 1, 1, 1, 1])


def test_a_class_in_one_fold_is_not_held_against_the_machines():
    """Its document is in no other fold, so that none of them can know it."""
    ids, classes = strange_corpus(60, 3, noise=0)
    ids, classes = np.concatenate([ids, [[39] * 12]]), np.append(classes, 3)
    targets = targets_of(classes, 4)
    tables, factors, held_out = fit(ids, targets)
    np.testing.assert_array_equal(np.isnan(held_out).any(axis=1), np.arange(61) == 60)
    assert linear_logits(tables, ids[-1:]).argmax() == 3
    without = fit(ids[:60], targets[:60, :3])[1]
    assert factors.sum() > 0.5 * without.sum()


def test_one_document_a_class():
    """Nothing can be held out: the prior decides, and the machines answer."""
    rng = np.random.default_rng(0)

    def documents():
        ids = rng.integers(200, 2000, (60, 8))
        ids[:, :3] = 2 + 3 * np.arange(60)[:, None] + np.arange(3)
        return ids

    ids, classes = documents(), np.arange(60)
    tables, factors, held_out = fit(ids, np.eye(60))
    np.testing.assert_array_equal(factors, [1, 2, 0.25])
    assert np.isnan(held_out).all()
    assert (linear_logits(tables, documents()).argmax(axis=1) == classes).mean() > 0.95


def with_rare_class(n_rare, seed):
    """800 documents and a few of a class that often holds one of three words; and new ones."""
    rng = np.random.default_rng(seed)

    def documents(n, share):
        ids = 20 + np.minimum(rng.zipf(1.3, (n, 30)), 5000)
        ids[np.arange(30) >= rng.integers(3, 31, n)[:, None]] = 0
        chosen = rng.random(n) < share
        ids[chosen, 0] = 2 + rng.integers(3, size=chosen.sum())
        return ids

    ids = np.concatenate([documents(800, 0.03), documents(n_rare, 0.8)])
    is_rare = (np.arange(len(ids)) >= 800).astype(float)
    return ids, is_rare, documents(1000, 0.03), documents(1000, 0.8)


@pytest.mark.parametrize("n_rare", [3, 10])
def test_rare_classes_are_ranked_by_what_they_hold(n_rare):
    """Not by what they lack, which is most words of the corpus."""
    behind = []
    for seed in range(3):
        ids, is_rare, common, rare = with_rare_class(n_rare, seed)
        by_hand, tables = ByHand().fit(ids), fit(ids, is_rare[:, None])[0]
        machine = LinearSVC(C=PENALTY, random_state=0).fit(by_hand.transform(ids), is_rare)
        new, y = np.concatenate([common, rare]), np.repeat([0, 1], 1000)
        theirs = machine.decision_function(by_hand.transform(new))
        ours = linear_logits(tables, new)[:, 0]
        behind.append(roc_auc_score(y, theirs) - roc_auc_score(y, ours))
        # probabilities are about as large as the class is
        assert 0.5 < expit(ours[:1000]).sum() / (n_rare * 1000 / 800) < 2
    assert np.mean(behind) < 0.02


def test_several_labels_are_machines_of_their_own(monkeypatch):
    # with one machine there is one factor, and it alone differs
    name = "support vectors"
    monkeypatch.setattr(_machines, "MACHINES", {name: _machines.MACHINES[name]})
    ids, targets = corpus()
    both = np.concatenate([targets[:, :1], 1 - targets[:, 1:2]], axis=1)
    logits = logits_of(ids, both, ids, one_of=False)
    for label in (0, 1):
        found = logits_of(ids, both[:, label : label + 1], ids)[:, 0]
        assert np.corrcoef(logits[:, label], found)[0, 1] > 0.9999


@pytest.mark.usefixtures("exact")
def test_machines_side_by_side_are_those_one_by_one(monkeypatch):
    ids, targets = corpus(n_outputs=5)
    weights = np.random.default_rng(1).uniform(0.1, 3, len(ids))
    calls = []
    real = _machines._linear_svc
    monkeypatch.setattr(_machines, "_linear_svc", lambda *a, **k: calls.append(a) or real(*a, **k))
    together, n_calls = logits_of(ids, targets, ids, weights=weights), len(calls)
    monkeypatch.setattr(_machines, "VALUES_A_CALL", 1)
    one_by_one = logits_of(ids, targets, ids, weights=weights)
    np.testing.assert_allclose(together, one_by_one, atol=1e-3)
    assert n_calls == 8  # a plain machine and one on ratios, for three folds and for all
    assert len(calls) == n_calls + 4 + 4 * 5


@pytest.mark.parametrize("one_of", [True, False])
def test_classes_without_documents_are_never_the_answer(one_of):
    ids, targets = corpus(n_outputs=3)
    padded = np.insert(targets, 1, 0, axis=1)
    logits = logits_of(ids, padded, ids, one_of=one_of)
    assert (logits[:, 1] < 0).all()
    assert (logits.argmax(axis=1) != 1).all()
    # two of three classes that have documents
    kept = targets[:, 2] == 0
    logits = logits_of(ids[kept], targets[kept], ids, one_of=one_of)
    assert (logits[:, 2] < 0).all()


@pytest.mark.parametrize("n_documents", [1, 2, 3, 5])
def test_a_few_documents(n_documents):
    ids, targets = corpus(n_documents)
    for outputs in (targets, targets[:, :1]):
        logits = logits_of(ids, outputs, ids)
        assert logits.shape == outputs.shape
        assert np.isfinite(logits).all()


def test_only_ratios_of_weights_count():
    """Some give weights that sum to 1."""
    ids, targets = corpus()
    weights = np.random.default_rng(1).uniform(0.1, 3, len(ids))
    logits = logits_of(ids, targets, ids, weights=weights)
    for factor in (1e-6, 1e3):
        scaled = logits_of(ids, targets, ids, weights=factor * weights)
        np.testing.assert_allclose(scaled, logits, rtol=1e-3, atol=1e-3)


def test_fits_in_threads_are_those_of_one():
    """The random numbers of liblinear are the process's."""
    ids, targets = corpus(300)
    alone = fit(ids, targets)[0]["rows"]
    with ThreadPoolExecutor(4) as pool:
        for tables, _, _ in pool.map(lambda _: fit(ids, targets), range(12)):
            np.testing.assert_array_equal(tables["rows"], alone)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_forked_while_a_thread_fits_does_not_wait_for_it():
    """The thread is none of the child's, which would wait for it for ever."""
    ids, targets = corpus(60)
    with _machines._liblinear:  # as in another thread
        child = os.fork()
        if not child:
            signal.alarm(30)
            fit(ids, targets)
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_nothing_is_said(n_outputs, monkeypatch):
    """The machines stop where they stop, and labels may be nearly as many as documents."""
    monkeypatch.setattr(_machines, "TOLERANCE", 1e-15)
    ids, targets = corpus(n_outputs=n_outputs)
    weights = np.where(np.arange(120) % 2, 1e4, 1)
    many = np.eye(60, dtype=np.float32)[np.arange(80) % 60]
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        fit(ids, targets, weights)
        fit(ids[:80], many)


def test_equal_documents_have_equal_contents():
    matrix = csr_array(np.array([[1.0, 0, 2], [0, 1, 2], [1, 0, 2], [0, 0, 0], [1, 0, 3]]))
    contents = _machines._contents(matrix)
    assert contents[0] == contents[2]
    assert len(set(contents)) == 4
