"""The linear part of `TextCNNClassifier`: linear machines on TF-IDF of the n-grams.

Three machines read the same features: a support vector machine, naive Bayes, and one that is both,
a support vector machine on features multiplied by naive Bayes log-count ratios (Wang & Manning
2012). How much each counts is found on documents that it has not seen. All are linear in the
features, so their weighted sum is kept as one machine.

Fitted state is a dict of arrays, so that a fitted classifier holds nothing but those:

``pairs`` : int64, shape (n_pairs,)
    The pairs of neighbours that are features, as ``left * n_ids + right``, in rising order.
``rows`` : shape (n_ids + n_pairs, n_outputs + 1)
    For each id, then for each pair, its weights and, in the last column, its squared inverse
    document frequency. Rows of ids that are no features are zero.
``intercept`` : shape (n_outputs,)
"""

import os
import warnings
from threading import Lock

import numpy as np
from scipy.sparse import csr_array, vstack
from scipy.special import expit, logsumexp, softmax

from sklearn_textcnn.network.operations import document_lengths
from sklearn_textcnn.network.threads import for_each

# Share of the network's logits in the sum, and that of one that starts from word vectors. A network
# has met the training documents many times and is surer of itself than it should be. One that knows
# no more of the language than they say adds little to the linear part; word vectors add much.
NETWORK_SHARE, NETWORK_SHARE_WITH_VECTORS = 0.25, 0.5
N_FOLDS = 3
# C of the support vector machines, and the weight of a pair beside a token. With a few hundred
# documents a larger C and lighter pairs gain one to two points, with thousands nothing.
PENALTY = 3.0
PAIR_WEIGHT = 0.7
# Pairs that are features, those of the most documents. Leaving out all that stand in a single
# document cost half a point on MR and docstrings.
MOST_PAIRS = 2**18
_liblinear = Lock()
if hasattr(os, "register_at_fork"):
    # another thread of the parent may hold it, and would never give it back
    os.register_at_fork(after_in_child=lambda: globals().update(_liblinear=Lock()))
FIRST_TOKEN = 2  # ids of padding and of unknown tokens are no features
TOLERANCE = 0.01
DOCUMENTS_AT_A_TIME, VALUES_AT_A_TIME, TRAINING_BLOCK = 256, 2**22, 2**13
# To find a token and a pair takes about as long as so many look-ups of numbers in a row.
VALUES_A_TOKEN = 300
# In training the keys of an id and its pair, and what becomes of them, are counted as so many.
VALUES_AN_ID = 4


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
    dict of str to ndarray
        What `linear_logits` reads.
    """
    # the penalty, and one more document of each class, are beside documents of weight 1
    weights = weights / weights.mean(dtype=np.float64)
    features, inverse_frequencies, pairs = _tf_idf(ids, n_ids, longest)
    seed = int(rng.integers(2**31))
    folds = _folds(features, targets, rng)
    held_out = _held_out_decisions(features, targets, weights, seed, folds)
    factors = _factors(held_out, targets, weights, one_of)
    n_outputs = targets.shape[1]
    rows = np.empty((len(inverse_frequencies), n_outputs + 1), dtype=np.float32)
    rows[:, -1] = inverse_frequencies**2
    intercept = np.empty(n_outputs)
    for output, (kernels, biases) in enumerate(_machines(features, targets, weights, seed)):
        rows[:, output] = inverse_frequencies * (factors @ kernels)
        intercept[output] = factors @ biases
    return {"rows": rows, "pairs": pairs, "intercept": intercept}


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
    rows, pairs = linear["rows"], linear["pairs"]
    lengths = document_lengths(ids)
    order = np.argsort(lengths, kind="stable")
    sums = np.empty((len(ids), rows.shape[1]))

    def work(block):
        part = ids[block, : lengths[block[-1]]]
        features, counts, ends = _counted(_features(part, pairs, len(rows) - len(pairs)))
        frequencies = _term_frequencies(counts)[:, None]
        found = rows.take(features, axis=0)
        found[:, :-1] *= frequencies
        found[:, -1:] *= frequencies**2
        sums[block] = np.add.reduceat(found, ends[:-1], axis=0, dtype=np.float64)

    blocks = _blocks_of_values(order, lengths, 2 * rows.shape[1])
    for_each(work, blocks, int(lengths.sum()) * (VALUES_A_TOKEN + rows.shape[1]))
    # a document without features has sums of zero
    return sums[:, :-1] / np.sqrt(np.maximum(sums[:, -1:], 1e-12)) + linear["intercept"]


def _blocks_of_values(order, lengths, values_a_token, most_documents=DOCUMENTS_AT_A_TIME):
    """Cut documents, sorted by length, into runs of a bounded number of look-ups."""
    start = 0
    while start < len(order):
        stop = min(start + most_documents, len(order))
        while stop > start + 1 and (
            (stop - start) * lengths[order[stop - 1]] * values_a_token > VALUES_AT_A_TIME
        ):
            stop = (start + stop) // 2
        yield order[start:stop]
        start = stop


def _features(ids, pairs, n_ids):
    """Numbers of the features in each document, (n, 2 * T - 1): rows of the table, 0 for none."""
    tokens = np.where((ids >= FIRST_TOKEN) & (ids < n_ids), ids, 0)
    if not len(pairs):
        return tokens
    keys = _pair_keys(tokens, n_ids)
    places = pairs.searchsorted(keys).clip(max=len(pairs) - 1)
    numbers = np.where(pairs.take(places) == keys, places + n_ids, 0)
    return np.concatenate([tokens, numbers], axis=1)


def _counted(numbers):
    """Distinct numbers of each row, how often each is there, and where in these a row starts."""
    numbers = np.sort(numbers, axis=1)
    is_new = np.ones(numbers.shape, dtype=bool)
    is_new[:, 1:] = numbers[:, 1:] != numbers[:, :-1]
    starts = np.flatnonzero(is_new)
    bounds = np.append(starts, numbers.size)
    ends = np.append(0, is_new.sum(axis=1).cumsum())
    return numbers.ravel()[starts], bounds[1:] - bounds[:-1], ends


def _term_frequencies(counts):
    return (1 + np.log(counts)).astype(np.float32)


def _pair_keys(ids, n_ids):
    """A number for each pair of neighbouring tokens, 0 where one is none: (n, T - 1)."""
    left, right = ids[:, :-1].astype(np.int64), ids[:, 1:]
    return (left * n_ids + right) * ((left >= FIRST_TOKEN) & (right >= FIRST_TOKEN))


def _tf_idf(ids, n_ids, longest):
    """Normalised sublinear TF-IDF, the inverse document frequencies, and the pairs among them."""
    # here, not above, as everything that only fitting needs: a process that predicts does without
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.preprocessing import normalize

    order, blocks = _blocks(ids)
    pairs = _common_pairs(ids, blocks, n_ids) if longest > 1 else np.zeros(0, dtype=np.int64)
    n_features = n_ids + len(pairs)
    counts = [_count_matrix(_features(ids[block], pairs, n_ids), n_features) for block in blocks]
    counts = vstack(counts, format="csr")[np.argsort(order)]
    transformer = TfidfTransformer(sublinear_tf=True, norm=None)
    weighted = transformer.fit_transform(counts)
    # ids that no document holds are no features
    inverse_frequencies = transformer.idf_ * (counts.sum(axis=0) > 0)
    inverse_frequencies[n_ids:] *= PAIR_WEIGHT
    weighted.data *= np.where(weighted.indices < n_ids, 1, PAIR_WEIGHT)
    return normalize(weighted, copy=False), inverse_frequencies, pairs


def _common_pairs(ids, blocks, n_ids):
    """The pairs that stand in the most documents, in rising order."""
    found, counts = [], []
    for block in blocks:
        keys = _counted(_pair_keys(ids[block], n_ids))[0]
        distinct, in_documents = np.unique(keys[keys != 0], return_counts=True)
        found.append(distinct)
        counts.append(in_documents)
    pairs, which = np.unique(np.concatenate(found), return_inverse=True)
    totals = np.bincount(which, np.concatenate(counts), minlength=len(pairs))
    return np.sort(pairs[np.argsort(-totals, kind="stable")[:MOST_PAIRS]])


def _blocks(ids):
    """The order of the documents by length, and indices of a few at a time without their padding.

    Keys of pairs take several times the memory of the ids, and one long document should not make
    that of the others.
    """
    lengths = document_lengths(ids)
    order = np.argsort(lengths, kind="stable")
    cut = _blocks_of_values(order, lengths, VALUES_AN_ID, TRAINING_BLOCK)
    return order, [(rows, slice(lengths[rows[-1]])) for rows in cut]


def _count_matrix(features, n_features):
    columns, counts, ends = _counted(features)
    # liblinear takes 32 bits, which only more than 2**31 n-grams would exceed
    ends, columns = ends.astype(np.int32), columns.astype(np.int32)
    matrix = csr_array((counts.astype(float), columns, ends), shape=(len(features), n_features))
    matrix.data[matrix.indices == 0] = 0
    matrix.eliminate_zeros()
    return matrix


def _folds(features, targets, rng):
    """Number of a fold for each document; every fold has a share of each combination of targets.

    Equal documents are in the same fold: a machine has seen a document if it has seen its copy.
    """
    # equal rows have equal products, bit for bit, and others hardly ever
    keys = features @ rng.standard_normal(features.shape[1])
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    order = rng.permutation(first)
    kinds = np.unique(targets[order], axis=0, return_inverse=True)[1].ravel()
    folds = np.empty(len(targets), dtype=int)
    folds[order[np.argsort(kinds, kind="stable")]] = np.arange(len(order)) % N_FOLDS
    return folds[first[which.ravel()]]


def _held_out_decisions(features, targets, weights, seed, folds):
    """Decisions of machines that did not see the document, (n_machines, n_samples, n_outputs)."""
    decisions = np.empty((len(MACHINES), *targets.shape))
    for fold in range(N_FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        unseen = features[test]
        machines = _machines(features[train], targets[train], weights[train], seed)
        for output, (kernels, biases) in enumerate(machines):
            decisions[:, test, output] = (unseen @ kernels.T + biases).T
    return decisions


def _machines(features, targets, weights, seed):
    """Yield the machines of one output after the other: it against the rest.

    Their weights are of shape (n_machines, n_features), their intercepts (n_machines,).
    """
    there = features.astype(bool).T
    exists = there @ np.ones(len(weights)) > 0
    for is_in in targets.T > 0.5:
        if is_in.all() or not is_in.any():
            kernels = np.zeros((len(MACHINES), len(exists)))
            yield kernels, np.full(len(MACHINES), 1.0 if is_in.all() else -1.0)
            continue
        ratios = exists * _log_count_ratios(there, exists, is_in, weights)
        fits = [machine(features, is_in, weights, ratios, seed) for machine in MACHINES]
        yield np.array([kernel for kernel, _ in fits]), np.array([bias for _, bias in fits])


def _log_count_ratios(there, exists, is_in, weights):
    """Naive Bayes weight of each feature (Wang & Manning 2012), with one added to every count."""
    logarithms = []
    for those in (is_in, ~is_in):
        counts = 1 + there @ (weights * those)
        logarithms.append(np.log(counts) - np.log(max(counts[exists].sum(), 1)))
    return logarithms[0] - logarithms[1]


def _support_vectors(features, is_in, weights, ratios, seed):
    """Weights and intercept of a linear support vector machine."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    machine = LinearSVC(C=PENALTY, tol=TOLERANCE, random_state=seed)
    # the random numbers of liblinear, and the filters of warnings, are the process's
    with _liblinear, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine.fit(features, is_in, weights)
    return machine.coef_[0], machine.intercept_[0]


def _support_vectors_on_ratios(features, is_in, weights, ratios, seed):
    """The same for features multiplied by their naive Bayes weights."""
    data = features.data * ratios[features.indices], features.indices, features.indptr
    scaled = csr_array(data, shape=features.shape)
    kernel, bias = _support_vectors(scaled, is_in, weights, ratios, seed)
    return ratios * kernel, bias


def _naive_bayes(features, is_in, weights, ratios, seed):
    """Naive Bayes. That a class is frequent is known to the other machines."""
    return ratios, 0.0


MACHINES = (_support_vectors, _support_vectors_on_ratios, _naive_bayes)


def _factors(decisions, targets, weights, one_of):
    """Factors that turn each machine's decisions on unseen documents into logits.

    Their sum has the lowest cross-entropy: stacking (Wolpert 1992) with factors above zero. Where
    the decisions are always right the factors would be infinite; so targets are those that one more
    document of each class would leave possible, as in Platt (1999).
    """
    from scipy.optimize import minimize

    n_choices = targets.shape[1] if one_of else 2
    smoothing = n_choices / (weights.sum() + n_choices)
    targets = targets * (1 - smoothing) + smoothing / n_choices

    def cross_entropy(factors):
        logits = np.tensordot(factors, decisions, 1)  # (n_samples, n_outputs)
        if one_of:
            losses = logsumexp(logits, axis=1) - (logits * targets).sum(axis=1)
            probabilities = softmax(logits, axis=1)
        else:
            losses = (np.logaddexp(0, logits) - logits * targets).sum(axis=1)
            probabilities = expit(logits)
        slope = np.tensordot(decisions, weights[:, None] * (probabilities - targets), 2)
        return losses @ weights / weights.sum(), slope / weights.sum()

    bounds = [(0, None)] * len(decisions)
    return minimize(cross_entropy, np.ones(len(decisions)), jac=True, bounds=bounds).x
