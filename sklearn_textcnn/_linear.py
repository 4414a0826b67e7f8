"""The linear part of `TextCNNClassifier`: a support vector machine on TF-IDF of the n-grams.

Fitted state is a dict of arrays, so that a fitted classifier holds nothing but those:

``tokens`` : shape (n_ids, n_outputs + 1)
    For each id its weights and, in the last column, its squared inverse document frequency. Rows of
    ids that are no features are zero.
``pairs`` : int64, shape (n_pairs,)
    The pairs of neighbours that are features, as ``left * n_ids + right``, in rising order.
``pair_rows`` : shape (n_pairs + 1, n_outputs + 1)
    The same as `tokens` for each pair; the first row is zero, for all others.
``intercept`` : shape (n_outputs,)
"""

import warnings

import numpy as np
from scipy.sparse import csr_array, hstack, vstack
from scipy.special import logsumexp

# Share of the network's logits in the sum. Both parts have seen the training documents, the
# network many times, and is surer of itself than it should be.
NETWORK_SHARE = 0.5
# Share of the linear part's logits that training the network starts from. All of them, and the
# network learns a remainder that is hard to tell from noise; none, and it learns the same again.
OFFSET_SHARE = 0.5
N_FOLDS = 3
# Pairs that are features, those of the most documents. Leaving out all that stand in a single
# document cost half a point on MR and docstrings.
MOST_PAIRS = 2**18
FIRST_TOKEN = 2  # ids of padding and of unknown tokens are no features
MOST_SCALE = 30.0
DOCUMENTS_AT_A_TIME, TRAINING_BLOCK = 256, 2**13


def fit_linear(ids, targets, weights, n_ids, longest, one_of, rng):
    """Fit the linear part.

    Parameters
    ----------
    ids : ndarray of shape (n_samples, n_tokens)
    targets : ndarray of shape (n_samples, n_outputs)
        0 and 1.
    weights : ndarray of shape (n_samples,)
    n_ids : int
    longest : {1, 2}
        Longest n-grams that are features.
    one_of : bool
        Whether exactly one of several outputs is 1.
    rng : numpy.random.Generator

    Returns
    -------
    linear : dict of str to ndarray
        What `linear_logits` reads.
    offsets : float32 ndarray of shape (n_samples, n_outputs)
        Logits of the training documents, each from a fit that did not see it.
    """
    features, inverse_frequencies, pairs = _tf_idf(ids, n_ids, longest)
    seed = int(rng.integers(2**31))
    held_out = np.empty(targets.shape)
    folds = _folds(targets, rng)
    for fold in range(N_FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        kernel, bias = _separating_planes(
            features[train], targets[train], weights[train], one_of, seed
        )
        held_out[test] = features[test] @ kernel + bias
    kernel, bias = _separating_planes(features, targets, weights, one_of, seed)
    scale = _scale(held_out, targets, weights, one_of)
    rows = np.concatenate(
        [scale * kernel * inverse_frequencies[:, None], inverse_frequencies[:, None] ** 2], axis=1
    ).astype(np.float32)
    linear = {
        "tokens": rows[:n_ids],
        "pairs": pairs,
        "pair_rows": np.concatenate([np.zeros_like(rows[:1]), rows[n_ids:]]),
        "intercept": scale * bias,
    }
    return linear, (scale * held_out).astype(np.float32)


def linear_logits(linear, ids):
    """What the linear part adds to the logits.

    Parameters
    ----------
    linear : dict of str to ndarray
        From `fit_linear`.
    ids : ndarray of shape (n_samples, n_tokens)

    Returns
    -------
    ndarray of shape (n_samples, n_outputs)
    """
    n_ids = len(linear["tokens"])
    sums = np.empty((len(ids), linear["tokens"].shape[1]))
    for start in range(0, len(ids), DOCUMENTS_AT_A_TIME):
        block = slice(start, start + DOCUMENTS_AT_A_TIME)
        part = ids[block]
        part = np.where(part < n_ids, part, 0)
        sums[block] = linear["tokens"].take(_once(part), axis=0).sum(axis=1, dtype=np.float64)
        if len(linear["pairs"]):
            places = _places(linear["pairs"], _once(_pair_keys(part, n_ids)))
            rows = linear["pair_rows"].take(places, axis=0)
            sums[block] += rows.sum(axis=1, dtype=np.float64)
    # a document without features has sums of zero
    return sums[:, :-1] / np.sqrt(np.maximum(sums[:, -1:], 1e-12)) + linear["intercept"]


def _once(numbers):
    """The distinct numbers of each row (n, T), filled up with zeros in front and between."""
    numbers = np.sort(numbers, axis=1)
    numbers[:, 1:][numbers[:, 1:] == numbers[:, :-1]] = 0
    return numbers


def _pair_keys(ids, n_ids):
    """A number for each pair of neighbouring tokens, 0 where one is none: (n, T - 1)."""
    left, right = ids[:, :-1].astype(np.int64), ids[:, 1:]
    return (left * n_ids + right) * ((left >= FIRST_TOKEN) & (right >= FIRST_TOKEN))


def _tf_idf(ids, n_ids, longest):
    """Normalised binary TF-IDF, the inverse document frequencies, and the pairs among them."""
    # here, not above, as everything that only fitting needs: a process that predicts does without
    from sklearn.feature_extraction.text import TfidfTransformer

    pairs = _common_pairs(ids, n_ids) if longest > 1 else np.zeros(0, dtype=np.int64)
    blocks = []
    for block in _blocks(ids):
        tokens = _once(np.where(block >= FIRST_TOKEN, block, 0))
        blocks.append([_presence(tokens, n_ids)])
        if len(pairs):
            places = _places(pairs, _once(_pair_keys(block, n_ids)))
            blocks[-1].append(_presence(places, len(pairs) + 1)[:, 1:])
    features = vstack([hstack(block) for block in blocks], format="csr")
    transformer = TfidfTransformer()
    weighted = transformer.fit_transform(features)
    # ids that no document holds are no features
    inverse_frequencies = transformer.idf_ * (features.sum(axis=0) > 0)
    return weighted, inverse_frequencies, pairs


def _common_pairs(ids, n_ids):
    """The pairs that stand in the most documents, in rising order."""
    found, counts = [], []
    for block in _blocks(ids):
        keys = _once(_pair_keys(block, n_ids))
        numbers = np.unique(keys[keys != 0], return_counts=True)
        found.append(numbers[0])
        counts.append(numbers[1])
    pairs, which = np.unique(np.concatenate(found), return_inverse=True)
    totals = np.bincount(which, np.concatenate(counts), minlength=len(pairs))
    return np.sort(pairs[np.argsort(-totals, kind="stable")[:MOST_PAIRS]])


def _blocks(ids):
    """The documents, a few at a time: keys of pairs take several times the memory of the ids."""
    return (ids[start : start + TRAINING_BLOCK] for start in range(0, len(ids), TRAINING_BLOCK))


def _places(pairs, keys):
    """Place of each key among the sorted pairs, counted from 1; 0 for all others."""
    places = pairs.searchsorted(keys).clip(max=len(pairs) - 1)
    return np.where(pairs.take(places) == keys, places + 1, 0)


def _presence(numbers, n_columns):
    there = numbers != 0
    # liblinear takes 32 bits, which only more than 2**31 n-grams would exceed
    ends = np.concatenate([[0], there.sum(axis=1).cumsum()]).astype(np.int32)
    columns = numbers[there].astype(np.int32)
    return csr_array((np.ones(len(columns)), columns, ends), shape=(len(numbers), n_columns))


def _folds(targets, rng):
    """Number of a fold for each document; every fold has a share of each combination of targets."""
    order = rng.permutation(len(targets))
    kinds = np.unique(targets[order], axis=0, return_inverse=True)[1].ravel()
    folds = np.empty(len(targets), dtype=int)
    folds[order[np.argsort(kinds, kind="stable")]] = np.arange(len(targets)) % N_FOLDS
    return folds


def _separating_planes(features, targets, weights, one_of, seed):
    """Weights (n_features, n_outputs) and intercepts of linear support vector machines."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    n_features, n_outputs = features.shape[1], targets.shape[1]
    kernel = np.zeros((n_features, n_outputs))
    bias = np.full(n_outputs, -1.0)  # of a class that is not there
    machine = LinearSVC(random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # a handful of documents may well have as many classes
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        if one_of:
            labels = targets.argmax(axis=1)
            present = np.unique(labels)
            if len(present) > 2:
                machine.fit(features, labels, weights)
                kernel[:, present], bias[present] = machine.coef_.T, machine.intercept_
                return kernel, bias
        for output in range(n_outputs):
            labels = targets[:, output] > 0.5
            if labels.all() or not labels.any():
                bias[output] = 1.0 if labels.all() else -1.0
                continue
            machine.fit(features, labels, weights)
            kernel[:, output], bias[output] = machine.coef_[0], machine.intercept_[0]
    return kernel, bias


def _scale(decisions, targets, weights, one_of):
    """Factor that turns decisions on unseen documents into logits of the lowest cross-entropy."""
    from scipy.optimize import minimize_scalar

    def cross_entropy(factor):
        logits = factor * decisions
        if one_of:
            losses = logsumexp(logits, axis=1) - (logits * targets).sum(axis=1)
        else:
            losses = (np.logaddexp(0, logits) - logits * targets).sum(axis=1)
        return float(losses @ weights)

    return float(minimize_scalar(cross_entropy, bounds=(0.1, MOST_SCALE), method="bounded").x)
