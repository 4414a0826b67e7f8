"""TF-IDF of tokens and of pairs of neighbours, and the logits of a linear machine on it.

Such a machine is a dict of arrays, its tables:

``rows`` : float32, shape (n_ids + n_pairs, n_outputs + 1)
    For each id, then for each pair, its weights and, in the last column, its squared inverse
    document frequency. Rows of ids that are no features are zero, ids from `n_ids` on are none.
``pairs`` : int64, shape (n_pairs,)
    The pairs of neighbours that are features, as ``left * n_ids + right``, in rising order.
``intercept`` : float64, shape (n_outputs,)
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, vstack

from sklearn_textcnn.network.operations import document_lengths
from sklearn_textcnn.network.threads import for_each

FIRST_TOKEN = 2  # ids of padding and of unknown tokens are no features
# Weight of a pair beside a token. With a few hundred documents lighter pairs gain a point or two,
# with thousands nothing.
PAIR_WEIGHT = 0.7
# Pairs that are features, those of the most documents. Leaving out all that stand in a single
# document cost half a point on MR and docstrings.
MOST_PAIRS = 2**18
DOCUMENTS_AT_A_TIME, VALUES_AT_A_TIME, TRAINING_BLOCK = 256, 2**22, 2**13
# To find a token and a pair takes about as long as so many look-ups of numbers in a row.
VALUES_A_TOKEN = 300
# In training the keys of an id and its pair, and what becomes of them, are counted as so many.
VALUES_AN_ID = 4


@dataclass(frozen=True)
class Ngrams:
    """Which tokens and pairs of neighbours stand in documents, and how often.

    Only what a document holds is a feature: which other ids there are changes nothing.

    Parameters
    ----------
    frequencies : csr_array of shape (n_samples, n_features)
        Term frequencies, ``1 + log(count)``, those of pairs times `PAIR_WEIGHT`.
    numbers : ndarray of shape (n_features,)
        Row of each feature in the tables.
    pairs : ndarray of shape (n_pairs,)
        As in the tables.
    n_ids : int
        Largest id that a document holds, plus one.
    """

    frequencies: csr_array
    numbers: np.ndarray
    pairs: np.ndarray
    n_ids: int

    def tables(self, kernel, intercept):
        """Tables of a machine on TF-IDF with these weights, shape (n_outputs, n_features)."""
        scales = np.where(self.numbers < self.n_ids, 1, PAIR_WEIGHT)
        scales *= inverse_document_frequencies(self.frequencies)
        rows = np.zeros((self.n_ids + len(self.pairs), len(intercept) + 1), dtype=np.float32)
        rows[self.numbers, :-1] = (scales * kernel).T
        rows[self.numbers, -1] = scales**2
        return {"rows": rows, "pairs": self.pairs, "intercept": intercept}


def ngrams_of(ids, longest):
    """Find and count the features of training documents.

    Parameters
    ----------
    ids : ndarray of shape (n_samples, n_tokens)
    longest : {1, 2}
        Longest n-grams that are features.

    Returns
    -------
    Ngrams
    """
    n_ids = max(int(ids.max(initial=0)) + 1, FIRST_TOKEN)
    order, blocks = _blocks(ids)
    pairs = _common_pairs(ids, blocks, n_ids) if longest > 1 else np.zeros(0, dtype=np.int64)
    n_rows = n_ids + len(pairs)
    counts = [_counts(feature_numbers(ids[block], pairs, n_ids), n_rows) for block in blocks]
    counts = vstack(counts, format="csr")[np.argsort(order)]
    in_documents = np.bincount(counts.indices, minlength=n_rows)
    # machines need a feature: without any it is the row of padding, which no document holds
    numbers = np.flatnonzero(in_documents) if in_documents.any() else np.zeros(1, dtype=int)
    frequencies = 1 + np.log(counts.data)
    frequencies[counts.indices >= n_ids] *= PAIR_WEIGHT
    place = np.zeros(n_rows, dtype=np.int32)
    place[numbers] = np.arange(len(numbers))
    frequencies = frequencies, place[counts.indices], counts.indptr
    return Ngrams(csr_array(frequencies, shape=(len(ids), len(numbers))), numbers, pairs, n_ids)


def inverse_document_frequencies(frequencies):
    """Smoothed as scikit-learn does it; zero for what no document holds, shape (n_features,)."""
    n, n_features = frequencies.shape
    in_documents = np.bincount(frequencies.indices, minlength=n_features)
    return (np.log((1 + n) / (1 + in_documents)) + 1) * (in_documents > 0)


def tf_idf(frequencies, inverse_frequencies):
    """TF-IDF with rows of norm 1."""
    # here, not above, as everything that only fitting needs: a process that predicts does without
    from sklearn.preprocessing import normalize

    values = frequencies.data * inverse_frequencies[frequencies.indices]
    weighted = values, frequencies.indices, frequencies.indptr
    return normalize(csr_array(weighted, shape=frequencies.shape), copy=False)


def linear_logits(tables, ids):
    """Logits of a linear machine.

    Parameters
    ----------
    tables : dict of str to ndarray
        See above.
    ids : ndarray of shape (n_samples, n_tokens)

    Returns
    -------
    ndarray of shape (n_samples, n_outputs), dtype float64
    """
    rows, pairs = tables["rows"], tables["pairs"]
    lengths = document_lengths(ids)
    order = np.argsort(lengths, kind="stable")
    sums = np.empty((len(ids), rows.shape[1]))

    def work(block):
        part = ids[block, : lengths[block[-1]]]
        features, counts, ends = _distinct(feature_numbers(part, pairs, len(rows) - len(pairs)))
        frequencies = (1 + np.log(counts)).astype(np.float32)[:, None]
        found = rows.take(features, axis=0)
        found[:, :-1] *= frequencies
        found[:, -1:] *= frequencies**2
        sums[block] = np.add.reduceat(found, ends[:-1], axis=0, dtype=np.float64)

    blocks = _blocks_of_values(order, lengths, 2 * rows.shape[1])
    for_each(work, blocks, int(lengths.sum()) * (VALUES_A_TOKEN + rows.shape[1]))
    # a document without features has sums of zero
    return sums[:, :-1] / np.sqrt(np.maximum(sums[:, -1:], 1e-12)) + tables["intercept"]


def _blocks(ids):
    """The order of the documents by length, and indices of a few at a time without their padding.

    Keys of pairs take several times the memory of the ids, and one long document should not make
    that of the others.
    """
    lengths = document_lengths(ids)
    order = np.argsort(lengths, kind="stable")
    cut = _blocks_of_values(order, lengths, VALUES_AN_ID, TRAINING_BLOCK)
    return order, [(rows, slice(lengths[rows[-1]])) for rows in cut]


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


def _common_pairs(ids, blocks, n_ids):
    """The pairs that stand in the most documents, in rising order."""
    found, counts = [], []
    for block in blocks:
        keys = _distinct(_pair_keys(ids[block], n_ids))[0]
        distinct, in_documents = np.unique(keys[keys != 0], return_counts=True)
        found.append(distinct)
        counts.append(in_documents)
    pairs, which = np.unique(np.concatenate(found), return_inverse=True)
    totals = np.bincount(which, np.concatenate(counts), minlength=len(pairs))
    return np.sort(pairs[np.argsort(-totals, kind="stable")[:MOST_PAIRS]])


def feature_numbers(ids, pairs, n_ids):
    """Numbers of the features in each document, (n, 2 * T - 1): rows of the table, 0 for none."""
    tokens = np.where((ids >= FIRST_TOKEN) & (ids < n_ids), ids, 0)
    if not len(pairs):
        return tokens
    keys = _pair_keys(tokens, n_ids)
    places = pairs.searchsorted(keys).clip(max=len(pairs) - 1)
    numbers = np.where(pairs.take(places) == keys, places + n_ids, 0)
    return np.concatenate([tokens, numbers], axis=1)


def _pair_keys(ids, n_ids):
    """A number for each pair of neighbouring tokens, 0 where one is none: (n, T - 1)."""
    left, right = ids[:, :-1].astype(np.int64), ids[:, 1:]
    return (left * n_ids + right) * ((left >= FIRST_TOKEN) & (right >= FIRST_TOKEN))


def _distinct(numbers):
    """Distinct numbers of each row, how often each is there, and where in these a row starts."""
    numbers = np.sort(numbers, axis=1)
    is_new = np.ones(numbers.shape, dtype=bool)
    is_new[:, 1:] = numbers[:, 1:] != numbers[:, :-1]
    starts = np.flatnonzero(is_new)
    bounds = np.append(starts, numbers.size)
    ends = np.append(0, is_new.sum(axis=1).cumsum())
    return numbers.ravel()[starts], bounds[1:] - bounds[:-1], ends


def _counts(features, n_features):
    """How often each feature stands in each document, (n, n_features)."""
    columns, counts, ends = _distinct(features)
    # liblinear takes 32 bits, which only more than 2**31 n-grams would exceed
    ends, columns = ends.astype(np.int32), columns.astype(np.int32)
    matrix = csr_array((counts.astype(float), columns, ends), shape=(len(features), n_features))
    matrix.data[matrix.indices == 0] = 0
    matrix.eliminate_zeros()
    return matrix
