"""Linear machines on TF-IDF, and how much each counts.

Three machines read the same features, for each output against the rest: a support vector machine,
naive Bayes, and one that is both, a support vector machine on features multiplied by naive Bayes
log-count ratios (Wang & Manning 2012). How much each counts is found on documents that it has not
seen. All are linear in the features, so their weighted sum is kept as one machine.
"""

import os
import warnings
from threading import Lock

import numpy as np
from scipy.sparse import csc_array, csr_array

from sklearn_textcnn._ngrams import inverse_document_frequencies, tf_idf
from sklearn_textcnn._stacking import folds_of, known_in_other_folds
from sklearn_textcnn.network.losses import cross_entropy

N_FOLDS = 3
# With 0.01 machines take up to twice the time, and their accuracy is the same.
TOLERANCE = 0.1
# Features whose ratio is less than this part of the largest are left out: they would count by its
# square. So a class of few documents among many keeps its own words alone, and takes little time.
SMALL_RATIO = 0.1
# Values of features in one call of liblinear for machines of several outputs.
VALUES_A_CALL = 2**17
# A factor is not looked for further from the expected one than this, as a logarithm.
MOST_SURPRISE = 6.0
_liblinear = Lock()
if hasattr(os, "register_at_fork"):
    # another thread of the parent may hold it, and would never give it back
    os.register_at_fork(after_in_child=lambda: globals().update(_liblinear=Lock()))


def fit_machines(frequencies, targets, weights, penalty, one_of, rng, step):
    """Fit the machines and find how much each counts.

    Parameters
    ----------
    frequencies : csr_array of shape (n_samples, n_features)
        Term frequencies.
    targets : ndarray of shape (n_samples, n_outputs)
        0 and 1.
    weights : ndarray of shape (n_samples,)
        Of which only ratios count.
    penalty : float
        C of the support vector machines.
    one_of : bool
        Whether exactly one of several outputs is 1.
    rng : numpy.random.Generator
    step : callable
        Called when the machines of an output are fitted.

    Returns
    -------
    kernel : ndarray of shape (n_outputs, n_features)
    intercept : ndarray of shape (n_outputs,)
    factors : ndarray of shape (n_machines,)
        In the order of `MACHINES`.
    held_out : ndarray of shape (n_samples, n_outputs)
        Logits by machines that did not see the document, NaN where they do not know its labels.
    """
    # the penalty, and what is added to counts, are beside documents of weight 1
    weights = weights / weights.mean(dtype=np.float64)
    seed = int(rng.integers(2**31))
    arguments = penalty, one_of, seed
    decisions = _held_out_decisions(frequencies, targets, weights, arguments, rng, step)
    judged = ~np.isnan(decisions).any(axis=(0, 2))
    expected = np.array([factor for _, factor in MACHINES.values()])
    factors = _factors(decisions[:, judged], targets[judged], weights[judged], one_of, expected)
    features = tf_idf(frequencies, inverse_document_frequencies(frequencies))
    kernel = np.empty((targets.shape[1], features.shape[1]), dtype=np.float32)
    intercept = np.empty(targets.shape[1])
    machines = _machines(features, targets, weights, *arguments)
    for output, (kernels, biases) in enumerate(machines):
        # no products by BLAS: at these sizes its threads only wait for each other
        kernel[output] = (factors[:, None] * kernels).sum(axis=0)
        intercept[output] = (factors * biases).sum()
        step()
    return kernel, intercept, factors, _weighted_sum(factors, decisions)


def _held_out_decisions(frequencies, targets, weights, arguments, rng, step):
    """Decisions of machines that did not see the document, (n_machines, n_samples, n_outputs).

    They are NaN where these machines do not know a label of the document.
    """
    folds = folds_of(_contents(frequencies), targets, N_FOLDS, rng)
    decisions = np.full((len(MACHINES), *targets.shape), np.nan)
    for fold in range(N_FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if len(train) and len(test):
            seen, unseen = _without_new_features(frequencies[train], frequencies[test])
            machines = _machines(seen, targets[train], weights[train], *arguments)
            for output, (kernels, biases) in enumerate(machines):
                decisions[:, test, output] = (unseen @ kernels.T + biases).T
                step()
    decisions[:, ~known_in_other_folds(targets, folds)] = np.nan
    return decisions


def _contents(frequencies):
    """What is equal for equal documents."""
    indices, values = frequencies.indices, frequencies.data
    bounds = zip(frequencies.indptr[:-1], frequencies.indptr[1:], strict=True)
    return [indices[start:end].tobytes() + values[start:end].tobytes() for start, end in bounds]


def _without_new_features(seen, unseen):
    """TF-IDF of some documents, and of others as the machines fitted to those will meet them.

    What is new in a document is no feature then. Were it one here, the norms would be too long, so
    the decisions too small and the factors too large: the answers would be too sure of themselves,
    the more the fewer documents there are.
    """
    inverse_frequencies = inverse_document_frequencies(seen)
    held = np.flatnonzero(inverse_frequencies)
    if not len(held):
        held = np.zeros(1, dtype=int)
    inverse_frequencies = inverse_frequencies[held]
    return [tf_idf(part[:, held], inverse_frequencies) for part in (seen, unseen)]


class _Task:
    """What every machine gets: TF-IDF, `targets` of shape (n_samples, n_outputs), and the rest.

    Its attributes are all made at once: before Python 3.12 a `functools.cached_property` takes a
    lock that is one for all threads, and would stay locked in a process forked meanwhile.
    """

    def __init__(self, features, targets, weights, penalty, one_of, seed):
        self.features, self.targets, self.weights = features, targets, weights
        self.penalty, self.one_of, self.seed = penalty, one_of, seed
        self.by_feature = features.tocsc()
        # documents of each output that some have and some have not, as booleans
        self.outputs = [is_in for is_in in targets.T > 0.5 if is_in.any() and not is_in.all()]
        ones = np.ones(features.nnz), features.indices, features.indptr
        self._there = csr_array(ones, shape=features.shape).T
        self.totals = self.counts(np.ones(len(weights), dtype=bool))

    def counts(self, is_in):
        """How many of some documents hold each feature, by weight."""
        return self._there @ (self.weights * is_in)


def _machines(features, targets, weights, penalty, one_of, seed):
    """Yield the machines of one output after the other: it against the rest.

    Their weights are of shape (n_machines, n_features), their intercepts (n_machines,).
    """
    task = _Task(features, targets, weights, penalty, one_of, seed)
    machines = zip(*(machine(task) for machine, _ in MACHINES.values()), strict=True)
    for is_in in targets.T > 0.5:
        if is_in.any() and not is_in.all():
            kernels, biases = zip(*next(machines), strict=True)
            yield np.array(kernels), np.array(biases)
        else:
            kernels = np.zeros((len(MACHINES), features.shape[1]))
            yield kernels, np.full(len(MACHINES), 1.0 if is_in.all() else -1.0)


def _support_vectors(task):
    """Yield weights and intercept of a support vector machine for each output."""
    if task.one_of and len(task.outputs) > 2:
        # all of them in one call take half the time
        labels = task.targets.argmax(axis=1)
        yield from zip(*_linear_svc(task, task.features, labels, task.weights), strict=True)
        return
    for is_in in task.outputs:
        (kernel,), (bias,) = _linear_svc(task, task.features, is_in, task.weights)
        yield kernel, bias


def _support_vectors_on_ratios(task):
    """The same for features multiplied by naive Bayes log-count ratios (Wang & Manning 2012).

    What stands in few documents counts as the rest of the corpus has it: with one added to every
    count alike, whatever the smaller class lacks by chance would be likelier in it, as its shares
    rise most. Here a feature gets one on average.
    """
    # without any feature there is one that no document holds
    added = task.totals / task.totals.mean() if task.totals.any() else np.ones(1)
    parts, n_values = [], 0
    for is_in in task.outputs:
        ratios = _log_count_ratios(task, is_in, added, added)
        columns = np.flatnonzero(np.abs(ratios) >= SMALL_RATIO * np.abs(ratios).max())
        scaled = task.by_feature[:, columns]
        scaled.data *= np.repeat(ratios[columns], np.diff(scaled.indptr))
        parts.append((is_in, ratios, columns, scaled))
        n_values += scaled.nnz + len(is_in)
        if n_values >= VALUES_A_CALL:
            yield from _fit_side_by_side(task, parts)
            parts, n_values = [], 0
    yield from _fit_side_by_side(task, parts)


def _fit_side_by_side(task, parts):
    """Yield what `_support_vectors_on_ratios` does for some outputs, from one call of liblinear.

    A call costs as much as the machine of a small class. Each output has rows and columns of its
    own, and a last column of ones, which is how liblinear sees an intercept.
    """
    if not parts:
        return
    n, scaled = len(task.weights), [part[-1] for part in parts]
    widths = np.array([part.shape[1] + 1 for part in scaled])
    values = np.concatenate([x for part in scaled for x in (part.data, np.ones(n))])
    rows = [x + n * i for i, part in enumerate(scaled) for x in (part.indices, np.arange(n))]
    lengths = np.concatenate([np.append(np.diff(part.indptr), n) for part in scaled])
    together = values, np.concatenate(rows), np.append(0, lengths.cumsum())
    together = csc_array(together, shape=(n * len(parts), widths.sum())).tocsr()
    together.indices, together.indptr = map(np.int32, (together.indices, together.indptr))
    labels, weights = np.concatenate([part[0] for part in parts]), np.tile(task.weights, len(parts))
    (kernels,), _ = _linear_svc(task, together, labels, weights, fit_intercept=False)
    ends = widths.cumsum()
    for (_, ratios, columns, _), found in zip(parts, np.split(kernels, ends[:-1]), strict=True):
        kernel = np.zeros(len(ratios))
        kernel[columns] = ratios[columns] * found[:-1]
        yield kernel, found[-1]


def _naive_bayes(task):
    """Yield weights and intercept of naive Bayes for each output.

    What is added to counts is one for the smaller class, and more for the larger in proportion to
    their sizes: a feature that says nothing gets 0, and what is rare in the corpus little. The mean
    document gets 0, too: that a class is frequent is known to the other machines.
    """
    shares = task.weights / task.weights.sum()
    means = task.features.T @ shares
    for is_in in task.outputs:
        share = shares @ is_in
        smaller = min(share, 1 - share)
        ratios = _log_count_ratios(task, is_in, share / smaller, (1 - share) / smaller)
        yield ratios, -(means * ratios).sum()


# What fits each machine, and its expected factor. With many documents of movie reviews, questions,
# newsgroups, text messages or docstrings factors come out up to three times larger or smaller; with
# one to three documents of each class these gave the lowest cross-entropy.
MACHINES = {
    "support vectors": (_support_vectors, 1.0),
    "support vectors on ratios": (_support_vectors_on_ratios, 2.0),
    "naive Bayes": (_naive_bayes, 0.25),
}


def _log_count_ratios(task, is_in, added_inside, added_outside):
    """Naive Bayes weight of each feature: the logarithm of how much likelier it is in a class."""
    inside = task.counts(is_in)
    outside = task.totals - inside + added_outside
    inside += added_inside
    return np.log(inside * outside.sum() / (outside * inside.sum()))


def _linear_svc(task, features, labels, weights, fit_intercept=True):
    """Weights, (n_classes, n_features), and intercepts of support vector machines; one for two."""
    from sklearn import config_context
    from sklearn.svm import LinearSVC

    machine = LinearSVC(
        C=task.penalty,
        tol=TOLERANCE,
        dual=True,
        fit_intercept=fit_intercept,
        random_state=task.seed,
    )
    # the random numbers of liblinear, and the filters of warnings, are the process's
    with (
        _liblinear,
        warnings.catch_warnings(),
        config_context(assume_finite=True, skip_parameter_validation=True),
    ):
        # that a machine stops where it stops, and that classes are nearly as many as documents
        warnings.simplefilter("ignore", UserWarning)
        machine.fit(features, labels, weights)
    return machine.coef_, np.ravel(machine.intercept_)


def _factors(decisions, targets, weights, one_of, expected):
    """Factors that turn the machines' decisions on unseen documents into logits: stacking.

    Their sum has the lowest cross-entropy (Wolpert 1992), beside a prior for documents too few to
    tell: logarithms of factors are normal, of deviation 1 around those of the `expected` ones. It
    keeps factors finite where decisions are always right, and above zero where they are wrong by
    chance.
    """
    from scipy.optimize import minimize

    n = max(len(targets), 1)

    def loss(surprises):
        factors = expected * np.exp(surprises)
        logits = _weighted_sum(factors, decisions)  # (n_samples, n_outputs)
        losses, slopes = cross_entropy(logits, targets, one_of)
        slope = np.einsum("mno,no->m", decisions, weights[:, None] * slopes) * factors
        return (losses @ weights + surprises @ surprises / 2) / n, (slope + surprises) / n

    bounds = [(-MOST_SURPRISE, MOST_SURPRISE)] * len(expected)
    found = minimize(loss, np.zeros(len(expected)), jac=True, bounds=bounds)
    return expected * np.exp(found.x)


def _weighted_sum(factors, decisions):
    return np.einsum("m,mno->no", factors, decisions)
