"""What holds for all that is legal, as functions: each takes a case and fails by AssertionError.

They return what became of the case: "held", or the name of the documented error it ended in.
"""

import copy
import gc
import logging
import os
import pickle
import random
import re
import signal
import sys
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from numbers import Integral, Real

import numpy as np
import pandas as pd
import polars as pl
import sklearn
from classifiers import both_count
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import murmurhash3_32
from sklearn.utils._param_validation import InvalidParameterError, make_constraint
from strategies import (
    FORMS_OF_IDS,
    LABEL_FORMS,
    N_IDS,
    ORDERED,
    STRATEGIES,
    Labels,
    anything,
    fit_cases,
    n_kernel_sizes,
    needs_keras,
    prediction_cases,
    refused_documents,
    vectorizer_cases,
)
from threadpoolctl import ThreadpoolController

from sklearn_textcnn import (
    NgramLinearClassifier,
    TextCNNClassifier,
    TextVectorizerTransformer,
    TokenIds,
)
from sklearn_textcnn.network.architecture import Architecture, arrays_of
from sklearn_textcnn.training.quiet_import import import_with_keras
from sklearn_textcnn.vectorizer import TOKEN_PATTERN

# ---- documented errors and warnings, by name ----

REFUSALS = {
    # of the vectorizer
    "both": r"^vocabulary and hash_buckets exclude each other, got both\. Set one of them to None",
    "no length": r"^max_length must be an integer with (vocabulary|hash_buckets), .*got None",
    "no pattern": r"^token_pattern must be a regular expression when there is no .*got None",
    "no documents": r"^There are no documents to learn a vocabulary from: X is empty",
    "no tokens": r"^No token is left for the vocabulary: none of the \d+ documents has one with ",
    "df": r"^min_df must not exceed max_df: of \d+ documents, min_df=.* wants .*Lower min_df",
    "df removed all": r"^No token is left for the vocabulary: min_df=.* removed all \d+ tokens",
    # of the classifiers
    "multilabel class_weight": r"^class_weight must be None for multi-label targets; got ",
    "zeros": r"^sample_weight must hold a weight above 0; got zeros only",
    "class_weight zeros": r"^class_weight must leave documents with a weight above 0; got ",
    "one class": r"^The number of classes has to be at least 2 for a classifier; got .* 1 class: ",
    "engine": r'^engine="numpy" trains networks of one convolution .* callbacks; got .*Use engine=',
    "filters": r"^The 'filters' parameter of TextCNNClassifier must be an int or a tuple with one",
    "one-hot": r"^embedding_dim=None convolves over one-hot tokens and has no place for word_",
    "split": r"^validation_fraction=\S+ of \d+ documents (holds out \d+ and leaves|leaves none)",
    "diverged": r"^Training diverged: the loss is not finite in epoch \d+",
}
WARNINGS = [
    (UserWarning, r"^The parameter '\w+' is not used because "),
    (
        UserWarning,
        r"^\d+ of \d+ stop_words can never be removed, because splitting documents",
    ),
    (UserWarning, r"^\d+ tokens of vocabulary are not in lower case, such as "),
    (UserWarning, r"^max_length=\d+ cuts [\d.]+% of the documents, which loses about \d+% of all"),
    (UserWarning, r"^\d+% of the letters are of scripts that put no spaces between words"),
    (UserWarning, r"^y(_val)? is an indicator matrix, .* each row holds exactly one 1"),
    (UserWarning, r"^word_vectors has a vector for \d+% of the running words in the training"),
    # of Keras 3.15, which asks NumPy 2.4 for arrays in an old way
    (DeprecationWarning, r"^__array__ implementation doesn't accept a copy keyword"),
    # of scikit-learn
    (DataConversionWarning, r"^A column-vector y was passed when a 1d array was expected"),
    (UserWarning, r"^The number of unique classes is greater than 50% of the number of samples"),
]


class Refused(str):
    """The name of the documented error that a call ended in."""


def attempt(function, *arguments, may_fail=(), **named):
    """What a call returns, or `Refused` with one of the documented errors that it may end in.

    Every other error is raised. None of the arguments changes, and no warning comes that is not
    documented.
    """
    with arguments_stay(*arguments, *named.values()):
        try:
            return function(*arguments, **named)
        except (ValueError, TypeError, NotFittedError) as error:
            if type(error) not in (ValueError, TypeError, NotFittedError, InvalidParameterError):
                raise  # a subclass, as of a failed decoding
            found = [name for name in may_fail if re.search(refusal(name), str(error), re.DOTALL)]
            if not found:
                raise
            return Refused(found[0])


def refusal(name):
    """The pattern of a documented error, by its name or as it is; or what scikit-learn says."""
    return REFUSALS.get(name) or (name if name.startswith("^") else "^" + re.escape(name))


# ---- nothing else changes ----

_threads = ThreadpoolController()


def global_state():
    """Everything of the process that a call must leave as it was."""
    root = logging.getLogger()
    state = {
        "np.random": hash(pickle.dumps(np.random.get_state(legacy=False))),  # noqa: NPY002
        "random": hash(random.getstate()),
        "np.geterr": (np.geterr(), np.geterrcall(), np.getbufsize()),
        "print options": repr(np.get_printoptions()),
        "os.environ": dict(os.environ),
        "threads": [(pool["filepath"], pool["num_threads"]) for pool in _threads.info()],
        "scikit-learn": sklearn.get_config(),
        "warnings": (list(warnings.filters), warnings.showwarning, warnings.formatwarning),
        "streams": (id(sys.stdout), id(sys.stderr), os.getcwd(), list(sys.path)),
        "logging": (root.level, list(root.handlers), logging.root.manager.disable),
        "interpreter": (sys.getrecursionlimit(), sys.getswitchinterval(), sys.excepthook),
        "signals": (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)),
        "gc": (gc.isenabled(), gc.get_threshold()),
        "pandas": pd.get_option("mode.string_storage"),
    }
    if "keras" in sys.modules and "tensorflow" in sys.modules:
        state |= _state_of_keras()
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        state["torch"] = (
            hash(tuple(torch.random.get_rng_state().tolist())),
            torch.get_default_dtype(),
            torch.get_num_threads(),
        )
    return state


def _state_of_keras():
    keras, tf = sys.modules["keras"], sys.modules["tensorflow"]
    context = sys.modules["tensorflow.python.eager.context"].context()
    seeds = sys.modules["keras.src.backend.common.global_state"]
    seed = seeds.get_global_attribute("global_seed_generator")
    logger = tf.get_logger()
    return {
        "keras": (
            keras.config.dtype_policy().name,
            keras.config.floatx(),
            keras.config.epsilon(),
            keras.config.image_data_format(),
            keras.config.is_traceback_filtering_enabled(),
            None if seed is None else seed.state.numpy().tolist(),
        ),
        "tensorflow": (
            context._seed,
            tf.config.functions_run_eagerly(),
            tf.config.experimental.tensor_float_32_execution_enabled(),
            sys.modules["tensorflow.python.framework.config"].is_op_determinism_enabled(),
            (logger.level, list(logger.filters), list(logger.handlers)),
        ),
    }


def contents(value):
    """What an argument holds, to compare it with what it holds later."""
    if isinstance(value, np.ndarray):
        held = value.tolist() if value.dtype.kind in "OT" else value.tobytes()
        described = type(value), value.dtype.str, value.shape, value.strides, value.flags.writeable
        return described, [contents(v) for v in held] if value.dtype.kind == "O" else held
    if isinstance(value, (pd.Series, pd.DataFrame)):
        axes = [(axis.tolist(), axis.names) for axis in value.axes]
        kinds = value.dtypes.tolist() if isinstance(value, pd.DataFrame) else value.dtype
        return type(value), kinds, axes, repr(value.to_numpy(dtype=object).tolist())
    if isinstance(value, (pl.Series, pl.DataFrame)):
        return (
            type(value),
            repr(value.schema if isinstance(value, pl.DataFrame) else value.dtype),
            (repr(value.to_dict(as_series=False) if isinstance(value, pl.DataFrame) else [*value])),
        )
    if sparse.issparse(value):
        return type(value), value.shape, *(a.tobytes() for a in (value.data, value.indices))
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[0], (list, int, float, str)):
            return type(value), repr(value)  # in a tenth of the time
        return type(value), [contents(v) for v in value]
    if isinstance(value, dict):
        return type(value), [(key, contents(v)) for key, v in value.items()]
    if isinstance(value, (str, bytes, set, frozenset, Real, np.generic)):
        return type(value), repr(value)
    return None  # what can be read once, and what has no contents


@contextmanager
def arguments_stay(*arguments):
    held = [contents(argument) for argument in arguments]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        yield
        assert warnings.filters == filters, "filters of warnings were changed"
    now = [contents(argument) for argument in arguments]
    assert now == held, "an argument was changed"
    for warning in caught:
        assert any(
            warning.category is category and re.search(pattern, str(warning.message), re.DOTALL)
            for category, pattern in WARNINGS
        ), f"{warning.category.__name__}: {warning.message}"


@contextmanager
def process_stays():
    """Fails if anything global is another thing afterwards."""
    before = global_state()
    yield
    after = global_state()
    changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    assert not changed, changed


def parameters_of(estimator):
    return {name: (id(v), contents(v)) for name, v in estimator.get_params(deep=False).items()}


# ---- the vectorizer ----


class Reference:
    """`TextVectorizerTransformer`, written out token by token; tokens are `CountVectorizer`'s."""

    def __init__(self, parameters):
        self.parameters = parameters
        names = "analyzer lowercase strip_accents preprocessor tokenizer stop_words token_pattern"
        settings = {name: parameters[name] for name in names.split()}
        if not isinstance(settings["stop_words"], str | None):
            settings["stop_words"] = list(settings["stop_words"])
        reference = CountVectorizer(**settings)
        is_word = isinstance(settings["analyzer"], str) and settings["analyzer"] == "word"
        if is_word and settings["tokenizer"] is None and settings["token_pattern"] == TOKEN_PATTERN:
            preprocess = reference.build_preprocessor()
            reference.preprocessor = lambda text: without_invisible(preprocess(text))
        self.contradiction = self._contradiction(is_word)
        if self.contradiction is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what CountVectorizer has to say of stop words
                self._analyze = reference.build_analyzer()

    def _contradiction(self, is_word):
        p = self.parameters
        fixed = p["vocabulary"] is not None or p["hash_buckets"] is not None
        if p["vocabulary"] is not None and p["hash_buckets"] is not None:
            return "both"
        if fixed and p["max_length"] is None:
            return "no length"
        if is_word and p["tokenizer"] is None and p["token_pattern"] is None:
            return "no pattern"
        return None

    def tokens(self, document):
        if not callable(self.parameters["analyzer"]):
            if isinstance(document, bytes):
                document = document.decode()
            document = str.__str__(document)
        return list(self._analyze(document))

    def fit(self, documents):
        """Learn; the name of the error that fitting has to end in, else None."""
        p, kept = self.parameters, None
        if self.contradiction is not None:
            return self.contradiction
        self.length = p["max_length"]
        if p["hash_buckets"] is not None:
            self.vocabulary = None
            return None
        if p["vocabulary"] is not None:
            given, is_set = p["vocabulary"], isinstance(p["vocabulary"], set)
            by_id = sorted(given, key=given.get if isinstance(given, dict) else None)
            self.vocabulary = by_id if is_set or isinstance(given, dict) else list(given)
            return None
        kept = [self.kept(document, p["max_length"]) for document in documents]
        if not kept:
            return "no documents"
        if not any(kept):
            return "no tokens"
        counts = Counter(token for document in kept for token in document)
        frequencies = Counter(token for document in kept for token in set(document))
        least, most = (
            limit if isinstance(limit, Integral) else limit * len(kept)
            for limit in (p["min_df"], p["max_df"])
        )
        if least > most:
            return "df"
        left = [token for token in counts if least <= frequencies[token] <= most]
        if not left:
            return "df removed all"
        left.sort(key=lambda token: (-counts[token], token))
        self.vocabulary = left[: p["max_features"]]
        self.width = max(map(len, kept))
        self.length = p["max_length"] or self.width
        return None

    def kept(self, document, length):
        tokens = self.tokens(document)
        if length is None or len(tokens) <= length:
            return tokens
        return tokens[:length] if self.parameters["keep"] == "head" else tokens[-length:]

    def transform(self, documents):
        """Rows of ids without padding, and tokens as `inverse_transform` has them."""
        kept = [self.kept(document, self.length) for document in documents]
        if self.vocabulary is None:
            n = self.parameters["hash_buckets"]
            return [[_bucket(token, n) for token in document] for document in kept], None
        ids = {token: number for number, token in enumerate(self.vocabulary, start=2)}
        rows = [[ids.get(token, 1) for token in document] for document in kept]
        names = [[token if token in ids else "[UNK]" for token in document] for document in kept]
        return rows, names

    def least_width(self):
        fixed = self.parameters["vocabulary"] is not None or self.vocabulary is None
        return self.length if fixed else self.width


def without_invisible(text):
    return re.sub("[\u00ad\u2060\ufeff]", "", text).replace("\u200b", " ")


def _bucket(token, n):
    return murmurhash3_32(token.encode("utf-8", "surrogatepass"), positive=True) % n + 2


def check_vectorizer(case):
    """Vocabulary, ids and tokens are those of the reference, whatever documents come in."""
    reference, estimator = Reference(case.parameters), case.estimator()
    before, expected = parameters_of(estimator), reference.fit(case.documents.held())
    may_fail = () if expected is None else (expected,)
    estimator.set_output(transform=case.output)
    found = attempt(estimator.fit_transform, case.documents.make(), may_fail=may_fail)
    assert parameters_of(estimator) == before
    if expected is not None:
        assert found == expected
        assert attempt(case.estimator().fit, case.documents.make(), may_fail=may_fail) == expected
        assert not {name for name in vars(estimator) if name.endswith("_")}
        return found
    ids = assert_ids(case, reference, estimator, found, case.documents.held())
    other = case.estimator().set_output(transform=case.output)
    assert attempt(other.fit, case.documents.make()) is other
    assert vars(other).keys() == vars(estimator).keys()
    assert getattr(other, "vocabulary_", None) == getattr(estimator, "vocabulary_", None)
    np.testing.assert_array_equal(attempt(other.transform, case.documents.make()), ids)
    # documents that it was not fitted to: whole, copied, alone, backwards, after a pickle
    copied = pickle.loads(pickle.dumps(other))
    for others in case.others:
        documents = others.held()
        found = attempt(other.transform, others.make())
        ids = assert_ids(case, reference, other, found, documents)
        backwards = attempt(copied.transform, list(documents[::-1]))
        np.testing.assert_array_equal(np.asarray(backwards)[::-1], ids)
        if documents:
            alone = np.asarray(attempt(other.transform, (documents[0],)))
            width = alone.shape[1]
            np.testing.assert_array_equal(alone[0], ids[0, :width])
            assert not ids[0, width:].any()
    return "held"


def assert_ids(case, reference, estimator, found, documents):
    """What was transformed is what the reference makes of it; the ids as a plain array."""
    rows, names = reference.transform(documents)
    width = max([reference.least_width(), *map(len, rows)])
    if case.output == "default":
        assert type(found) is TokenIds
        assert found.dtype == np.int32
        vocabulary = None if reference.vocabulary is None else tuple(reference.vocabulary)
        assert found.vocabulary == vocabulary
        n_tokens = case.parameters["hash_buckets"] if vocabulary is None else len(vocabulary)
        assert found.n_ids == n_tokens + 2
    else:
        width = case.parameters["max_length"] or width
        assert [*found.columns] == [f"token_{i}" for i in range(width)]
        assert isinstance(found, {"pandas": pd.DataFrame, "polars": pl.DataFrame}[case.output])
    ids = np.asarray(found)
    expected = np.zeros((len(rows), width), dtype=np.int32)
    for row, numbers in zip(expected, rows, strict=True):
        row[: len(numbers)] = numbers
    np.testing.assert_array_equal(ids, expected)
    if names is None:
        assert not hasattr(estimator, "vocabulary_")
    else:
        assert [*estimator.vocabulary_] == [*reference.vocabulary]
        assert [*estimator.vocabulary_.values()] == [*range(2, len(reference.vocabulary) + 2)]
        tokens = attempt(estimator.inverse_transform, ids)
        assert [row.tolist() for row in tokens] == names
    return ids


# ---- answers of a classifier ----

METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]


def answers(model, X, methods=METHODS):
    return {name: attempt(getattr(model, name), X) for name in methods}


def assert_same(found, expected, rows=slice(None)):
    """Equal bit for bit, in what was found."""
    for name, values in found.items():
        assert values.dtype == expected[name].dtype
        np.testing.assert_array_equal(values, expected[name][rows], err_msg=name)


def check_answers(case, model, ids):
    """The answers for some documents hang together, and depend on nothing but each document."""
    expected = answers(model, case.X(ids))
    assert_coherent(model, expected, len(ids), case.corpus.multilabel)

    def assert_as_before(X, rows=slice(None)):
        assert_same(answers(model, X, ["decision_function"]), expected, rows)

    order = np.random.default_rng(len(ids)).permutation(len(ids))
    assert_same(answers(model, case.X(ids[order])), expected, order)
    middle = len(ids) // 2
    assert_as_before(case.X(ids[middle : middle + 1]), slice(middle, middle + 1))
    assert_as_before(case.X(np.concatenate([ids, ids])), np.tile(np.arange(len(ids)), 2))
    if case.corpus.meaning == "plain":
        if case.form != "polars frame":  # other columns than in fit
            for form in ("int64", "Fortran", "float64"):
                assert_as_before(FORMS_OF_IDS[form](ids))
            unknown = answers(model, np.where(ids == 3, 1, ids))
            assert_same(answers(model, np.where(ids == 3, 70_000, ids)), unknown)
        return
    lengths = (ids != 0).any(axis=0).nonzero()[0]
    narrow = ids[:, : max(lengths.max(initial=0) + 1, 1)]
    for other in (narrow, np.pad(ids, ((0, 0), (0, 3)))):
        assert_as_before(case.corpus.form(other))
    if ids.shape[1] == model.n_features_in_:
        assert_as_before(ids)


def assert_coherent(model, found, n, multilabel):
    """Shapes, types, sums, and what follows from what."""
    classes, decisions = model.classes_, found["decision_function"]
    probabilities, labels = found["predict_proba"], found["predict"]
    assert probabilities.shape == found["predict_log_proba"].shape == (n, len(classes))
    for name in METHODS[1:]:
        assert found[name].dtype == np.float32
        assert np.isfinite(found[name]).all(), name
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    np.testing.assert_allclose(np.exp(found["predict_log_proba"]), probabilities, atol=1e-6)
    if multilabel:
        assert decisions.shape == labels.shape == (n, len(classes))
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(labels, decisions > 0)
        return
    assert labels.shape == (n,)
    assert labels.dtype == classes.dtype
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=2e-6)
    if len(classes) == 2:
        assert decisions.shape == (n,)
        expected = classes[(decisions > 0).astype(int)]
    else:
        assert decisions.shape == (n, len(classes))
        expected = classes[decisions.argmax(axis=1)]
    np.testing.assert_array_equal(labels, expected)


def check_keras(case, model, batches):
    """The Keras model gives the same probabilities, for any padding."""
    network = attempt(model.to_keras)
    for ids in batches:
        expected = model.predict_proba(case.X(ids))
        if not case.corpus.multilabel and len(model.classes_) == 2:
            expected = expected[:, 1:]
        for some in (ids, np.pad(ids, ((0, 0), (0, 4))), ids[:1]):
            found = network(some).numpy()
            np.testing.assert_allclose(found, expected[: len(some)], atol=1e-5)


def with_random_network(model, changes, seed):
    """A fitted classifier whose network is another one, with weights none of which is 0."""
    rng = np.random.default_rng(seed)
    a = Architecture(**model._architecture | changes)

    def drawn(*shape):
        return rng.normal(0, 0.7, shape).astype(np.float32)

    tables = [
        np.where(table == 0, table, drawn(*table.shape)) for table in model._weights["tables"]
    ]
    tables[-1][1] = drawn(tables[-1].shape[1])
    dense = a.dense_shapes()
    model._weights = {
        "tables": tables,
        "kernels": [[drawn(*shape) for shape in stack] for stack in a.kernel_shapes()],
        "biases": [[drawn(n) for _ in range(a.conv_layers)] for n in a.filters],
        "dense_kernels": [drawn(*shape) for shape in dense],
        "dense_biases": [drawn(n) for _, n in dense],
    }
    model._architecture |= changes
    return both_count(model)


# ---- fits ----


def effective_weights(case):
    """Weight of each document by the documentation."""
    corpus, weights = case.corpus, case.weights
    n, by_class = len(corpus.ids), case.parameters["class_weight"]
    weights = np.ones(n) if weights is None else np.full(n, weights) * 1.0
    if isinstance(by_class, dict) and not corpus.multilabel:
        weights = weights * [by_class.get(c, 1) for c in corpus.classes.tolist()]
    return weights


def expected_errors(case):
    """Names of the documented errors of which one has to come, and of those that may come."""
    p, corpus, must, may = case.parameters, case.corpus, [], []
    weights = effective_weights(case)
    some, distinct = corpus.classes[weights > 0], 2
    given = np.full(len(corpus.ids), 1.0 if case.weights is None else case.weights)
    if not corpus.multilabel:
        distinct = len(np.unique(some))
        if (error := as_scikit_learn(case)[1]) is not None:
            may.append(error)
    elif p["class_weight"] is not None:
        must.append("multilabel class_weight")
    if not given.any():
        must.append("zeros")
    elif not weights.any():
        must.append("class_weight zeros")
    elif distinct < 2:
        must.append("one class")
    if case.kind is TextCNNClassifier:
        if p["engine"] == "numpy" and needs_keras(p):
            must.append("engine")
        if isinstance(p["filters"], (tuple, list)) and len(p["filters"]) != n_kernel_sizes(p):
            must.append("filters")
        if p["embedding_dim"] is None and p["word_vectors"] is not None:
            must.append("one-hot")
        if p["early_stopping"] and case.validation is None and not splits(some, p):
            must.append("split")
        if p["learning_rate"] > 0.05:
            may.append("diverged")
    return must, must + may


def splits(classes, parameters):
    """Whether early stopping has enough documents of each class on both sides."""
    n = len(classes)
    held_out = int(np.ceil(parameters["validation_fraction"] * n))
    if classes.ndim == 2:
        return min(held_out, n - held_out) >= 1
    counts = np.unique(classes, return_counts=True)[1]
    n_classes, alone = (counts > 1).sum(), (counts == 1).sum()
    return min(held_out, n - alone - held_out) >= max(n_classes, 1)


def as_scikit_learn(case):
    """The classes that a classifier of scikit-learn finds, or what it says of the labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = DecisionTreeClassifier(max_depth=1, random_state=0)
            return tree.fit(case.corpus.ids, case.y()).classes_, None
        except (ValueError, TypeError) as error:
            return None, str(error)


def fitted(case, **changes):
    """A model, or the documented error that has to come in its place."""
    changed = replace(case, parameters=case.parameters | changes)
    must, may_fail = expected_errors(changed)
    model = case.estimator(**changes)
    before = parameters_of(model)
    arguments = case.X(), case.y(), case.sample_weight()
    result = attempt(model.fit, *arguments, **case.more(), may_fail=may_fail)
    changed = {k for k, v in parameters_of(model).items() if v != before[k]}
    assert changed == set()
    if must:
        assert isinstance(result, Refused), f"no error, but {must}"
    if isinstance(result, Refused):
        assert not {name for name in vars(model) if name.endswith("_")}
        return result
    assert result is model
    return model


def check_fit(case):
    """What a fit leaves behind, its answers, and how it relates to other fits."""
    model = fitted(case)
    if isinstance(model, Refused):
        check_refused_refit(case)
        return model
    if case.corpus.multilabel:
        np.testing.assert_array_equal(model.classes_, np.arange(case.corpus.classes.shape[1]))
    else:
        expected = as_scikit_learn(case)[0]
        assert expected is None or model.classes_.dtype == expected.dtype
        assert expected is None or np.array_equal(model.classes_, expected)
    assert model.n_features_in_ == case.corpus.ids.shape[1]
    assert model.vocabulary_ == case.corpus.vocabulary
    if case.kind is TextCNNClassifier:
        assert_course(case, model)
    check_answers(case, model, case.others)
    for relation in case.relations:
        RELATIONS[relation](case, model)
    return "held"


def assert_course(case, model):
    assert np.isfinite([score for name in model.history_ for score in model.history_[name]]).all()
    assert {len(scores) for scores in model.history_.values()} == {model.n_iter_}
    assert min(model.part_weights_.values()) >= 0
    assert (model.linear_ is None) == (not case.parameters["linear_ngrams"])
    for array in arrays_of(model._weights):
        assert np.isfinite(array).all()
    for table in model._weights["tables"]:
        assert not model._architecture["static_dim"] + model._architecture["trained_dim"] or not (
            table[0].any()
        )
    if case.parameters["early_stopping"]:
        assert 1 <= model.best_epoch_ <= model.n_iter_
    if case.parameters["max_norm"] is not None and case.parameters["epochs"] == 1:
        norms = np.linalg.norm(model._weights["dense_kernels"][-1], axis=0)
        assert (norms <= case.parameters["max_norm"] * (1 + 1e-4)).all()


def assert_equal_models(case, model, other):
    """Equal bits in all answers, or the same documented error.

    What Keras has trained may differ by what its threads round differently.
    """
    if isinstance(model, Refused) or isinstance(other, Refused):
        assert model == other
        return
    X = case.X(case.others)
    found, expected = answers(other, X), answers(model, X)
    if case.kind is TextCNNClassifier and is_trained_by_keras(case.parameters):
        name = "predict_proba"
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4)
    else:
        assert_same(found, expected)


def is_trained_by_keras(parameters):
    return parameters["engine"] == "keras" or needs_keras(parameters)


def seeded(case):
    """The random state of a case if it gives the same fit each time, else another."""
    seed = case.parameters["random_state"]
    return 5 if seed is None else seed


def relate_seeds(case, model):
    """Equal seeds, equal bits; a pickle and a copy answer the same."""
    seed = seeded(case)
    one, other = (fitted(case, random_state=seed) for _ in range(2))
    assert_equal_models(case, one, other)
    if isinstance(one, Refused):
        return
    if case.kind is TextCNNClassifier:
        assert one.history_ == other.history_
        for a, b in zip(arrays_of(one._weights), arrays_of(other._weights), strict=True):
            np.testing.assert_array_equal(a, b)
    for again in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), copy.copy(one)):
        assert_equal_models(case, one, again)
    assert parameters_of(clone(one)).keys() == parameters_of(one).keys()


def relate_rows_without_weight(case, model):
    """A document of weight 0 is one that is not there."""
    n, rng = len(case.corpus.ids), np.random.default_rng(len(case.others))
    stays = rng.random(n) < 0.7
    given = np.full(n, 1.0 if case.weights is None else case.weights)
    weighted = replace(case, weights=given * stays)
    corpus = replace(case.corpus, ids=case.corpus.ids[stays], classes=case.corpus.classes[stays])
    without = replace(case, corpus=corpus, weights=given[stays])
    if not case.corpus.multilabel:
        if len(np.unique(corpus.classes)) < len(np.unique(case.corpus.classes)):
            return  # the classes are others, then
    elif not len(corpus.ids):
        return
    seed = seeded(case)
    assert_equal_models(
        case, fitted(weighted, random_state=seed), fitted(without, random_state=seed)
    )


def relate_forms(case, model):
    """Ids in another container and of another type; labels under other names of the same order."""
    seed, corpus = seeded(case), replace(case.corpus, meaning="plain")
    vectors = case.parameters.get("word_vectors")
    if vectors is not None and case.corpus.meaning == "vocabulary":
        return  # plain ids know no tokens
    forms = [name for name in FORMS_OF_IDS if name != "polars frame"]
    one, other = forms[len(case.others) % len(forms)], forms[len(corpus.ids) % len(forms)]
    labels = case.labels
    if not corpus.multilabel:
        enough = [name for name in ORDERED if len(ORDERED[name]) > corpus.classes.max()]
        values = enough[len(corpus.ids) % len(enough)]
        labels = Labels(values, [*LABEL_FORMS][len(case.others) % 3])
    first = replace(case, corpus=corpus, form=one)
    second = replace(case, corpus=corpus, form=other, labels=labels)
    models = [fitted(c, random_state=seed) for c in (first, second)]
    if any(isinstance(m, Refused) for m in models):
        return
    pairs = zip(models, (first, second), strict=True)
    expected, found = (answers(m, c.X(case.others)) for m, c in pairs)
    for each, m in ((expected, models[0]), (found, models[1])):
        if not corpus.multilabel:
            each["predict"] = np.searchsorted(m.classes_, each["predict"])
    assert_same(found, expected)


def relate_scale_of_weights(case, model):
    """Of the weights only ratios count (in the linear classifier)."""
    seed, n = seeded(case), len(case.corpus.ids)
    given = np.full(n, 1.0 if case.weights is None else case.weights)
    models = [
        fitted(replace(case, weights=given * scale), random_state=seed) for scale in (1, 8, 0.25)
    ]
    for other in models[1:]:
        assert_equal_models(case, models[0], other)


def relate_copies(case, model):
    """Documents of integer weights are about what so many copies are, and not what one is.

    Not more: inverse document frequencies and folds count documents. So do the penalties, since of
    weights only ratios count: here there are as many copies as there were documents.
    """
    rng = np.random.default_rng(int(case.corpus.ids.sum()))
    n, n_classes = int(rng.integers(60, 150)), int(rng.integers(2, 5))
    ids = rng.integers(2, N_IDS, (n, 10)).astype(np.int32)
    classes = rng.permutation(np.resize(np.arange(n_classes), n))
    ids[:, 0] = np.where(rng.random(n) < 0.5, 2 + classes, ids[:, 0])
    share = np.where(classes == 0, 8, 1)
    weights = rng.multinomial(n - n_classes, share / share.sum())
    weights[np.unique(classes, return_index=True)[1]] += 1  # no class is left out
    copies, others = np.repeat(np.arange(n), weights), rng.integers(2, N_IDS, (60, 10))
    weighted, copied, once = (
        NgramLinearClassifier(ngrams=case.parameters["ngrams"], random_state=0)
        .fit(ids[rows], classes[rows], sample_weight)
        .predict_proba(others)
        for rows, sample_weight in ((slice(None), weights), (copies, None), (slice(None), None))
    )
    difference = np.abs(once - copied).mean()
    assert np.abs(weighted - copied).mean() < min(0.12, 0.8 * difference)


def relate_refits(case, model):
    """A second fit on other documents is that of a new estimator; then the first one again."""
    seed, rows = seeded(case), np.arange(len(case.corpus.ids))[::-1]
    corpus = replace(case.corpus, ids=case.corpus.ids[rows], classes=case.corpus.classes[rows])
    other = replace(case, corpus=corpus, weights=None)
    model = fitted(case, random_state=seed, **_cold(case))
    fresh = fitted(other, random_state=seed, **_cold(case))
    if isinstance(fresh, Refused) or isinstance(model, Refused):
        return
    if isinstance(seed, np.random.RandomState):
        model.set_params(random_state=copy.deepcopy(seed))
    more = other.more()
    attempt(model.fit, other.X(), other.y(), **more)
    assert_equal_models(case, fresh, model)


def _cold(case):
    return {"warm_start": False} if case.kind is TextCNNClassifier else {}


def relate_streams(case, model):
    """Streams have equal bits, also if a batch in between was refused."""
    changes = {"early_stopping": False, "class_weight": None, "linear_ngrams": 0}
    changes |= {"random_state": seeded(case), "callbacks": None}
    changes["learning_rate"] = min(case.parameters["learning_rate"], 0.01)
    changed = replace(case, parameters=case.parameters | changes, weights=None)
    if expected_errors(changed)[0]:
        return
    if not case.corpus.multilabel and as_scikit_learn(case)[1] is not None:
        return
    half, classes = len(case.corpus.ids) // 2, None
    if not case.corpus.multilabel:
        classes = np.unique(np.array(ORDERED[case.labels.values])[case.corpus.classes])
    first, second = (
        (case.X(case.corpus.ids[part]), case.labels.of(case.corpus.classes[part]))
        for part in (slice(0, half), slice(half, None))
    )
    streams = [case.estimator(**changes) for _ in range(2)]
    for stream in streams:
        attempt(stream.partial_fit, *first, classes=classes)
        if stream is streams[1]:
            before = answers(stream, case.X(case.others))
            weights, message = -np.ones(half), "^sample_weight must not hold negative weights"
            refused = attempt(stream.partial_fit, *first, sample_weight=weights, may_fail=[message])
            assert isinstance(refused, Refused)
            assert_same(answers(stream, case.X(case.others)), before)
        attempt(stream.partial_fit, *second)
        check_answers(case, stream, case.others)
    assert_equal_models(case, *streams)


def relate_engines(case, model):
    """Both engines train the same weights, where no dropout draws; tolerances of test_engines."""
    changes = {"dropout": 0.0, "linear_ngrams": 0, "random_state": 3, "callbacks": None}
    changes |= {"conv_layers": 1, "pooling": "max", "epochs": 2, "average": 0}
    # Logits below 1e-7 are probabilities of exactly a half to Keras, which counts them as wrong.
    changes["learning_rate"] = min(max(case.parameters["learning_rate"], 1e-6), 0.01)
    if not isinstance(case.parameters["optimizer"], str):
        changes["optimizer"] = "adam"
    ours, theirs = (fitted(case, engine=engine, **changes) for engine in ("numpy", "keras"))
    if isinstance(ours, Refused):
        assert ours == theirs
        return
    assert_close_weights(ours, theirs)
    assert list(ours.history_) == list(theirs.history_)
    for name, values in ours.history_.items():
        np.testing.assert_allclose(values, theirs.history_[name], rtol=1e-3, atol=1e-4)
    X = case.X(case.others)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-3)


def assert_close_weights(ours, theirs):
    """Equal weights but for rounding, and for the row of the unknown token.

    That one starts at 0, where a window that ends in it ties with one that ends in padding. The
    gradient of such a maximum belongs to the first window in NumPy, and to both in Keras.
    """
    n_steps = ours.n_iter_ * 36  # at most: with batches of one document
    for a, b in zip(arrays_of(ours._weights), arrays_of(theirs._weights), strict=True):
        is_table = any(a is table for table in ours._weights["tables"])
        known = np.arange(len(a)) != 1 if is_table else slice(None)
        np.testing.assert_allclose(a[known], b[known], atol=2e-4)
        np.testing.assert_allclose(a, b, atol=4 * n_steps * ours.learning_rate + 2e-4)


def relate_to_keras(case, model):
    check_keras(case, both_count(copy.copy(model)), [case.others])


RELATIONS = {
    "seeds": relate_seeds,
    "no weight": relate_rows_without_weight,
    "forms": relate_forms,
    "scale": relate_scale_of_weights,
    "copies": relate_copies,
    "refits": relate_refits,
    "streams": relate_streams,
    "engines": relate_engines,
    "to_keras": relate_to_keras,
}
OF_LINEAR = ("seeds", "no weight", "forms", "scale", "copies", "refits")
OF_NETWORKS = ("seeds", "no weight", "forms", "refits", "streams")
OF_KERAS = ("engines", "engines", "to_keras", "streams")


def check_refused_refit(case):
    """A fit that is refused leaves an earlier one as it was."""
    model = copy.copy(small_model(case.kind))
    before, state = answers(model, SOME_IDS), vars(model).copy()
    parameters = model.get_params()
    model.set_params(**case.estimator().get_params())
    if case.kind is TextCNNClassifier:
        model.set_params(warm_start=False)
    arguments, may_fail = (case.X(), case.y(), case.sample_weight()), expected_errors(case)[1]
    result = attempt(model.fit, *arguments, may_fail=may_fail, **case.more())
    assert isinstance(result, Refused)
    assert_same(answers(model, SOME_IDS), before)
    model.set_params(**parameters)
    assert vars(model).keys() == state.keys()
    assert all(vars(model)[name] is value for name, value in state.items())


TINY = {"embedding_dim": 2, "kernel_sizes": 2, "filters": 2, "epochs": 1, "linear_ngrams": 0}


@cache
def small_model(kind):
    """A classifier that has been fitted."""
    model = kind(random_state=0, **(TINY if kind is TextCNNClassifier else {}))
    return model.fit(SOME_IDS, SOME_CLASSES)


def check_predictions(case, with_keras=False):
    """Answers of a network of any architecture, for several batches of documents."""
    model = fitted(case.fit)
    if isinstance(model, Refused):
        return model
    if case.fit.kind is TextCNNClassifier:
        model = with_random_network(model, case.changes, seed=len(case.batches[0]))
    for ids in case.batches:
        check_answers(case.fit, model, ids)
    if with_keras and case.fit.kind is TextCNNClassifier:
        check_keras(case.fit, model, case.batches)
    return "held"


# ---- what has to be refused ----

FITTED_VECTORIZER = TextVectorizerTransformer().fit(["a good film", "not a good film", "bad"])


def check_refused_documents(case):
    """The message says what was found and where, and the vectorizer stays as it was."""
    X, message = case
    vectorizer = copy.copy(FITTED_VECTORIZER)
    state = vars(vectorizer).copy()
    # an iterator is used up, so one method for each; without an effect on the outcome
    method = getattr(vectorizer, ["fit", "transform", "fit_transform"][len(message) % 3])
    assert isinstance(attempt(method, X, may_fail=[message]), Refused)
    assert vars(vectorizer).keys() == state.keys()
    assert all(vars(vectorizer)[name] is value for name, value in state.items())
    return "refused"


def check_anything_as_a_parameter(case):
    """What no constraint allows is refused by `fit`, by the name of the parameter."""
    (kind, name), value = case
    if any(make_constraint(c).is_satisfied_by(value) for c in kind._parameter_constraints[name]):
        return "legal"
    is_vectorizer = kind is TextVectorizerTransformer
    estimator = copy.copy(FITTED_VECTORIZER if is_vectorizer else small_model(kind))
    before = vars(estimator).copy()
    estimator.set_params(**{name: value})
    arguments = (["a good film"],) if is_vectorizer else (SOME_IDS, SOME_CLASSES)
    message = rf"^The '{name}' parameter of {kind.__name__} must be "
    assert isinstance(attempt(estimator.fit, *arguments, may_fail=[message]), Refused)
    assert vars(estimator).keys() == before.keys()
    assert all(vars(estimator)[key] is before[key] for key in before if key != name)
    return "refused"


BAD_IDS = {
    "negative": (lambda ids, row: _changed(ids, row, -3), r"^(X_val: )?Negative values in data"),
    "fraction": (
        lambda ids, row: _changed(ids.astype(float), row, 2.5),
        r"^X(_val)? must hold token ids, which are whole numbers; got 2\.5 in row \d+, column 0",
    ),
    "NaN": (
        lambda ids, row: _changed(ids.astype(float), row, np.nan),
        r"^(X_val: )?Input X(_val)? contains NaN",
    ),
    "infinity": (
        lambda ids, row: _changed(ids.astype(float), row, np.inf),
        r"^(X_val: )?Input X(_val)? contains infinity",
    ),
    "too large": (
        lambda ids, row: _changed(ids.astype(np.int64), row, 2**31 + row),
        r"^X(_val)? must hold token ids up to 2147483646; got 214748",
    ),
    "texts": (lambda ids, row: ["a text"] * len(ids), r"^X(_val)? must hold token ids,.* got text"),
    "ragged": (
        lambda ids, row: [[2] * (i + 1) for i in range(len(ids))],
        r"^X(_val)? must hold equally many token ids in every row; got rows of different lengths",
    ),
    "sparse": (
        lambda ids, row: sparse.csr_array(ids),
        r"^Sparse data was passed, but dense data is",
    ),
    "complex": (lambda ids, row: ids * 1j, r"^(X_val: )?Complex data not supported"),
    "wider": (
        lambda ids, row: np.pad(ids, ((0, 0), (0, 1 + row))),
        r"^(X_val: )?X has \d+ features, but \w+ is expecting 4 features",
    ),
    "no columns": (lambda ids, row: ids[:, :0], r"^(X_val: )?Found array with 0 feature\(s\)"),
    "no rows": (lambda ids, row: ids[:0], r"^(X_val: )?Found (array with 0 sample\(s\)|input var)"),
    "deep": (lambda ids, row: ids[:, :, None], r"^(X_val: )?Found array with dim 3"),
    "mixed": (
        lambda ids, row: _changed(ids.astype(object), row, "two"),
        r"^(X_val: )?(could not convert string to float|X(_val)? must hold token ids,.*got text)",
    ),
}
BAD_METHODS = ["fit", "partial_fit", "X_val", *METHODS, "explain"]
SOME_IDS = (np.arange(40).reshape(10, 4) % 9).astype(np.int32)
SOME_CLASSES = np.arange(10) % 2


def _changed(ids, row, value):
    ids = ids.copy()
    ids[row, 0] = value
    return ids


def check_refused_ids(case):
    """The message says what was found, and the model answers as before."""
    kind, method, name, row = case
    make, message = BAD_IDS[name]
    model = copy.copy(small_model(kind))
    if method in ("partial_fit", "X_val") and not hasattr(model, "partial_fit"):
        method = "fit"
    if name == "wider" and method == "fit":
        return "legal"  # a fit may be of another width
    before, state, X = answers(model, SOME_IDS), vars(model).copy(), make(SOME_IDS, row)
    call, arguments, more = model.fit, (X, SOME_CLASSES), {}
    if method == "X_val":
        arguments, more = (SOME_IDS, SOME_CLASSES), {"X_val": X, "y_val": SOME_CLASSES}
    elif method != "fit":
        call = getattr(model, method)
        arguments = arguments if method == "partial_fit" else (X,)
    assert isinstance(attempt(call, *arguments, may_fail=[message], **more), Refused)
    assert vars(model).keys() == state.keys()
    assert all(vars(model)[key] is value for key, value in state.items())
    assert_same(answers(model, SOME_IDS), before)
    return "refused"


# ---- all of it ----


@cache
def keras_itself():
    """Keras, imported as the package does it."""
    engine = import_with_keras("sklearn_textcnn.training.keras_engine")
    return engine.keras


CHECKED_PARAMETERS = [
    (kind, name)
    for kind, constraints in ((kind, kind._parameter_constraints) for kind in STRATEGIES)
    for name in constraints
    if constraints[name] != "no_validation"
]
refused_ids = st.tuples(
    st.sampled_from([TextCNNClassifier, NgramLinearClassifier]),
    st.sampled_from(BAD_METHODS),
    st.sampled_from([*BAD_IDS]),
    st.integers(0, 9),
)
# its import changes filters of warnings, and is not what is checked
fits_by_keras = st.deferred(lambda: fit_cases(TextCNNClassifier, OF_KERAS, keras_itself()))
asked_of_keras = st.deferred(lambda: prediction_cases() if keras_itself() else None)

# Cases, and what is checked of each. Keras is imported when the first of its cases is drawn.
PROPERTIES = {
    "vectorizer": (vectorizer_cases(), check_vectorizer),
    "predictions": (prediction_cases(), check_predictions),
    "predictions by Keras": (asked_of_keras, partial(check_predictions, with_keras=True)),
    "fits of the linear classifier": (fit_cases(NgramLinearClassifier, OF_LINEAR), check_fit),
    "fits of networks": (fit_cases(TextCNNClassifier, OF_NETWORKS), check_fit),
    "fits by Keras": (fits_by_keras, check_fit),
    "refused documents": (refused_documents(), check_refused_documents),
    "refused ids": (refused_ids, check_refused_ids),
    "refused parameters": (
        st.tuples(st.sampled_from(CHECKED_PARAMETERS), anything),
        check_anything_as_a_parameter,
    ),
}
