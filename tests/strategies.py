"""Hypothesis strategies: documents, containers, labels, and legal parameters of all estimators."""

import atexit
import copy
import re
import shutil
import sys
import tempfile
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import polars as pl
from hypothesis import strategies as st
from scipy import sparse

from sklearn_textcnn import (
    NgramLinearClassifier,
    TextCNNClassifier,
    TextVectorizerTransformer,
    TokenIds,
    WordVectors,
)
from sklearn_textcnn.vectorizer import TOKEN_PATTERN

# ---- texts ----

WORDS = "the a of film Film FILM good bad not n't don't 3.14 x_y co-op plot".split()
# What breaks splitting, casing, hashing and encoding: NUL and other controls, all kinds of space
# and of nothing, joiners, marks alone and in words, letters whose lower case is longer, ligatures,
# right-to-left and Indic text, scripts without spaces, emoji of several code points, characters
# that are none, and halves of surrogate pairs.
AWKWARD = """
\0 \x1c \x1f \x7f \x85 \xa0 \xad \u034f \u061c \u1680 \u180e \u2003 \u200b \u200c \u200d \u200e
\u2028 \u202e \u2060 \u2066 \u3000 \ufeff \ufe0f \u20e3 \ufffd \uffff \U000e0101 \U000e0041
\U0010ffff \ud800 \udfff \ud83d\ude00 İ ı ß ẞ ﬁ ſ ς Σ K Å é e\u0301 \u0301 \u0301a \u0483
नि क्षि שָׁלוֹם العَرَبِيَّة \u0640 한글 ᄒ ᅡ 日本語 です ไทย ភាសា 𠀀 👩🏽\u200d🚀 🇩🇪 1\ufe0f\u20e3
_ __ ٣ ½ ² Ⅳ ª ' ’ - – ... !? <b> &amp; %s {} \\d+ $
"""  # noqa: RUF001
# not by split(), which takes half of these for spaces
AWKWARD = [piece for piece in AWKWARD.replace("\n", " ").split(" ") if piece]
SPACES = [" ", " ", " ", "  ", "\n", "\t", "\r\n", "\u3000", "\x85", "\x1d"]
ANY_CHARACTER = st.characters(exclude_categories=())
MARKS = st.characters(categories=("Mn", "Mc", "Me", "Cf"))

pieces = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(SPACES),
    st.sampled_from(WORDS + AWKWARD + SPACES),
    st.text(ANY_CHARACTER, max_size=4),
    st.text(MARKS, max_size=3).map("o".__add__),
)
sentences = st.lists(pieces, max_size=12).map("".join)
simple_sentences = st.lists(st.sampled_from(WORDS[:8]), max_size=9).map(" ".join)
# A word of tens of thousands of letters; and so many words.
long_texts = st.builds(
    lambda piece, times, space: (piece + space) * times,
    st.sampled_from(WORDS + AWKWARD),
    st.integers(100, 20_000),
    st.sampled_from(["", "", " "]),
).filter(lambda text: len(text) < 60_000)
texts = st.one_of(simple_sentences, sentences, sentences, sentences)
rarely_long = st.integers(0, 60).flatmap(lambda n: long_texts if n == 60 else texts)
tokens = st.one_of(st.sampled_from(WORDS + AWKWARD), st.text(ANY_CHARACTER, max_size=3))


class Sentence(str):
    """A subclass that says something else of itself, as members of an enumeration do."""

    def __str__(self):
        return "something else"


def is_utf8(text):
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _encoded(text):
    return text.encode() if is_utf8(text) else text


def random_text(rng):
    """A text from a random number generator, which takes a tenth of the time of hypothesis."""
    made = []
    for _ in range(rng.randrange(16)):
        kind = rng.random()
        if kind < 0.5:
            made.append(rng.choice(WORDS))
        elif kind < 0.7:
            made.append(rng.choice(AWKWARD))
        else:
            made.append(chr(rng.choice((rng.randrange(0x500), rng.randrange(sys.maxunicode + 1)))))
        made.append(rng.choice(SPACES) if rng.random() < 0.6 else "")
    return "".join(made)


documents_as_strings = st.lists(rarely_long, min_size=1, max_size=7)
documents_of_kinds = st.lists(
    st.one_of(texts, texts.map(_encoded), texts.map(Sentence), texts.map(np.str_)), max_size=7
)
documents_as_tokens = st.lists(st.lists(tokens, max_size=6), max_size=6)

# ---- containers of documents ----


class Pages:
    """Neither a sequence nor an iterable to `isinstance`: only what `iter` asks for last."""

    def __init__(self, pages):
        self.pages = pages

    def __getitem__(self, number):
        return self.pages[number]


def _objects(documents):
    array = np.empty(len(documents), dtype=object)
    array[:] = documents
    return array


def _series(documents, index=None, name="text"):
    return pd.Series(_objects(documents), index=index, name=name, dtype=object)


def _repeated(documents):
    return np.arange(len(documents)) // 3


def _pairs(documents):
    return pd.MultiIndex.from_arrays([_repeated(documents), np.arange(len(documents))[::-1]])


def _polars(documents):
    return pl.Series("text", documents, dtype=pl.String)


OF_ANYTHING = {
    "list": list,
    "tuple": tuple,
    "array": _objects,
    "column": lambda documents: _objects(documents)[:, None],
    "every second": lambda documents: _objects([d for d in documents for _ in "ab"])[::2],
    "generator": lambda documents: (document for document in documents),
    "iterator": iter,
    "deque": deque,
    "values": lambda documents: dict(enumerate(documents)).values(),
    "pages": Pages,
    "series": _series,
    "series, backwards": lambda d: _series(d, np.arange(len(d))[::-1], name=None),
    "series, repeated index": lambda documents: _series(documents, _repeated(documents)),
    "series, index of strings": lambda d: _series(d, [f"row {i % 3}" for i in range(len(d))]),
    "series, MultiIndex": lambda documents: _series(documents, _pairs(documents), name=("a", 1)),
    "frame": lambda documents: pd.DataFrame({"text": _series(documents)}),
}
OF_STRINGS = {"array of str": lambda documents: np.array(documents, dtype=str)}
OF_UTF8 = {
    "series of string": lambda documents: pd.Series(documents, dtype="string"),
    "series of categories": lambda documents: pd.Series(pd.Categorical(documents)),
    "polars series": _polars,
    "polars frame": lambda documents: pl.DataFrame(_polars(documents)),
    "polars categories": lambda documents: _polars(documents).cast(pl.Categorical),
}
if hasattr(np.dtypes, "StringDType"):
    OF_UTF8["array of StringDType"] = lambda d: np.array(d, dtype=np.dtypes.StringDType())
CONTAINERS = OF_ANYTHING | OF_STRINGS | OF_UTF8


@dataclass(frozen=True)
class Collection:
    """Documents, and a container of them, made anew each time: a generator can be read once."""

    container: str
    documents: list

    def make(self):
        return CONTAINERS[self.container](self.documents)

    def held(self):
        """The documents as the container holds them."""
        if self.container == "array of str":  # which drops NULs at the end
            return [str(text).rstrip("\0") for text in self.documents]
        return self.documents


def containers_of(documents):
    """Names of the containers that can hold documents."""
    names = [*OF_ANYTHING]
    if all(type(document) is str for document in documents):
        names += OF_STRINGS
        names += OF_UTF8 if all(map(is_utf8, documents)) else []
    return names


@st.composite
def collections(draw, of_lists=False):
    if of_lists:
        documents = draw(documents_as_tokens)
    else:
        documents = draw(st.one_of(documents_as_strings, documents_as_strings, documents_of_kinds))
    return Collection(draw(st.sampled_from(containers_of(documents))), documents)


def random_collection(seed, of_lists):
    rng = Random(seed)
    documents = [random_text(rng) for _ in range(rng.randrange(1, 6))]
    if of_lists:
        documents = [text.split(" ") for text in documents]
    return Collection(rng.choice(containers_of(documents)), documents)


# ---- parameters of TextVectorizerTransformer ----


def words_lazily(text):
    """A tokenizer that returns an iterator."""
    return iter(text.split())


def as_it_is(tokens):
    """An analyzer of documents that are lists of tokens."""
    return tokens


def without_vowels(text):
    return re.sub("[aeiou]", "", text)


def nothing(text):
    return ""


PATTERNS = [
    TOKEN_PATTERN,
    r"(?u)\b\w\w+\b",
    r"\S+",
    r"(?u)\w+",
    r"[^\W\d_]+|\d",
    r"(?i)([a-f]+)\w*",
    r"\w+ \w+",
    r".",
]
UNIQUE_TOKENS = st.lists(tokens, min_size=1, max_size=8, unique=True)


def _as_mapping(tokens):
    """In another order than that of the ids."""
    return OrderedDict(sorted(zip(tokens, range(2, len(tokens) + 2), strict=True), reverse=True))


integers_of_numpy = st.integers(1, 3).map(np.int64)
thresholds = st.one_of(
    st.integers(1, 4), integers_of_numpy, st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0])
)
booleans = st.one_of(st.booleans(), st.booleans().map(np.bool_))
verbosity = st.sampled_from([0, 0, 1, 2, False, True])
VECTORIZER = {
    "analyzer": st.sampled_from(
        ["word", "word", "word", "char", "char_wb", as_it_is, as_it_is, list, str.split]
    ),
    "lowercase": booleans,
    "strip_accents": st.sampled_from([None, "ascii", "unicode", str.casefold, without_vowels]),
    "preprocessor": st.sampled_from([None, None, str.upper, str.strip, without_vowels, nothing]),
    "tokenizer": st.sampled_from(
        [None, None, str.split, list, words_lazily, re.compile("o").split]
    ),
    "stop_words": st.one_of(
        st.none(),
        st.just("english"),
        st.lists(tokens, max_size=3),
        st.sets(tokens, max_size=3),
        st.lists(tokens, max_size=3).map(tuple),
        st.frozensets(tokens, max_size=3),
    ),
    "token_pattern": st.one_of(st.sampled_from(PATTERNS), st.none()),
    "vocabulary": st.one_of(
        st.none(),
        UNIQUE_TOKENS,
        UNIQUE_TOKENS.map(tuple),
        UNIQUE_TOKENS.map(set),
        UNIQUE_TOKENS.map(_objects),
        UNIQUE_TOKENS.map(dict.fromkeys).map(dict.keys).map(list),
        UNIQUE_TOKENS.map(_as_mapping),
    ),
    "hash_buckets": st.one_of(st.none(), st.integers(1, 20), st.sampled_from([2**18, 2**31 - 3])),
    "min_df": thresholds,
    "max_df": thresholds,
    "max_features": st.one_of(st.none(), st.integers(1, 6), integers_of_numpy),
    "max_length": st.one_of(st.none(), st.integers(1, 6), st.integers(1, 600), integers_of_numpy),
    "keep": st.sampled_from(["head", "tail"]),
    "n_jobs": st.sampled_from([None, 1, 2, -1, -2]),
    "verbose": verbosity,
}


@st.composite
def some_of(draw, strategies, defaults):
    """Parameters: about half of them are not at their defaults."""
    parameters = {}
    for name, strategy in strategies.items():
        if draw(st.booleans()):
            parameters[name] = draw(strategy)
        else:
            parameters[name] = defaults[name]
    return parameters


@st.composite
def vectorizer_parameters(draw):
    """Legal by themselves, and most often together."""
    parameters = draw(some_of(VECTORIZER, TextVectorizerTransformer().get_params()))
    if draw(st.integers(0, 7)):
        if parameters["vocabulary"] is not None:
            parameters["hash_buckets"] = None
        if parameters["vocabulary"] is not None or parameters["hash_buckets"] is not None:
            parameters["max_length"] = parameters["max_length"] or 7
        if parameters["token_pattern"] is None:
            parameters["tokenizer"] = parameters["tokenizer"] or str.split
        if draw(st.booleans()):
            parameters |= {"min_df": 1, "max_df": 1.0}
    return parameters


@dataclass
class VectorizerCase:
    """Documents to fit to, and collections of others."""

    parameters: dict
    documents: Collection
    others: list
    output: str

    def estimator(self):
        return TextVectorizerTransformer(**self.parameters)


@st.composite
def vectorizer_cases(draw):
    parameters = draw(vectorizer_parameters())
    takes_lists = parameters["analyzer"] is as_it_is
    of_str = parameters["analyzer"] in (list, str.split)  # which get documents as they are
    strategy = collections(takes_lists)
    if of_str:
        strategy = strategy.filter(lambda c: all(type(document) is str for document in c.documents))
    output = draw(st.sampled_from(["default"] * 6 + ["pandas", "polars"]))
    others = draw(st.lists(st.integers(0, 2**32 - 1), max_size=12))
    others = [random_collection(seed, takes_lists) for seed in others]
    others += [draw(strategy)] if draw(st.booleans()) else []
    return VectorizerCase(parameters, draw(strategy), others, output)


# ---- ids ----


def _padded_beside(ids):
    """Columns of a larger array in the other byte order."""
    wide = np.zeros((len(ids), ids.shape[1] + 3), dtype=">i4")
    wide[:, 1 : ids.shape[1] + 1] = ids
    return wide[:, 1 : ids.shape[1] + 1]


def _locked(ids):
    ids = ids.copy()
    ids.setflags(write=False)
    return ids


# Arrays of the same ids: all answers are equal bit for bit.
FORMS_OF_IDS = {
    "int32": np.copy,
    "int64": lambda ids: ids.astype(np.int64),
    "uint8": lambda ids: ids.astype(np.uint8),
    "int16": lambda ids: ids.astype(np.int16),
    "uint64": lambda ids: ids.astype(np.uint64),
    "float64": lambda ids: ids.astype(np.float64),
    "float32": lambda ids: ids.astype(np.float32),
    "lists": lambda ids: ids.tolist(),
    "objects": lambda ids: ids.astype(object),
    "Fortran": np.asfortranarray,
    "backwards in memory": lambda ids: ids[::-1].copy()[::-1],
    "other bytes": _padded_beside,
    "read-only": _locked,
    "frame": pd.DataFrame,
    "frame, backwards": lambda ids: pd.DataFrame(ids, index=np.arange(len(ids))[::-1] // 2),
    "polars frame": lambda ids: pl.DataFrame(ids, schema=[f"token_{i}" for i in range(len(ids.T))]),
}
ids_forms = st.sampled_from([*FORMS_OF_IDS])
TOKENS = tuple(f"w{i}" for i in range(58))
N_IDS = len(TOKENS) + 2


@dataclass
class Corpus:
    """Ids, int32, whose largest is below `N_IDS`, and class numbers, or an indicator matrix."""

    ids: np.ndarray
    classes: np.ndarray
    meaning: str  # of the ids: "plain", "vocabulary" or "hashed"

    @property
    def multilabel(self):
        return self.classes.ndim == 2

    @property
    def vocabulary(self):
        return TOKENS if self.meaning == "vocabulary" else None

    def form(self, ids):
        """Ids as TokenIds, if that is what they are."""
        if self.meaning == "vocabulary":
            return TokenIds(ids, vocabulary=TOKENS)
        return TokenIds(ids, n_ids=N_IDS) if self.meaning == "hashed" else ids


def random_ids(rng, n, n_tokens, n_ids, with_holes):
    """Rows of any length, some without a token; with padding anywhere if `with_holes`."""
    ids = rng.integers(1, n_ids, (n, n_tokens)).astype(np.int32)
    ids[np.arange(n_tokens) >= rng.integers(0, n_tokens + 1, n)[:, None]] = 0
    if with_holes:
        ids[rng.random(ids.shape) < 0.2] = 0
    return ids


@st.composite
def corpora(draw, most=36, multilabel=None):
    n, n_tokens = draw(st.integers(4, most)), draw(st.integers(1, 11))
    n_ids = draw(st.sampled_from([3, 8, 20, N_IDS, N_IDS]))
    n_classes = draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ids = random_ids(rng, n, n_tokens, n_ids, draw(st.booleans()))
    classes = rng.permutation(np.resize(np.arange(n_classes), n))
    if draw(st.booleans()):  # what can be learned
        ids[:, 0] = np.minimum(2 + classes, n_ids - 1)
    if draw(st.booleans()):  # copies, and classes of few documents
        some = rng.random(n) < 0.5
        ids[some], classes[some] = ids[0], classes[0]
    if draw(st.integers(0, 3)) == 0 if multilabel is None else multilabel:
        classes = (rng.random((n, n_classes)) < draw(st.floats(0.1, 0.9))).astype(np.int64)
        classes[rng.integers(n), :2] = 1  # else it may hold a 1 per row, or nothing but 0
    meaning = draw(st.sampled_from(["plain", "vocabulary", "hashed"]))
    return Corpus(ids, classes, meaning)


# ---- labels ----


def _index_of(n):
    return np.arange(n)[::-1] // 2


ORDERED = {
    "str": ["", "a b", "ä", "日本"],
    "numbers as str": ["-1", "0", "10", "9"],
    "int": [-5, 0, 3, 2**40],
    "large int": [-(2**62), 0, 1, 2**62],
    "int8": np.array([-128, -1, 0, 127], dtype=np.int8),
    "uint64": np.array([0, 1, 2**53, 2**62], dtype=np.uint64),
    "bool": [False, True],
    "float": [-2.0, 0.0, 1.0, 1e6],
    "float32": np.array([0, 1, 2, 3], dtype=np.float32),
}
LABEL_FORMS = {
    "list": lambda y: y.tolist(),
    "tuple": lambda y: tuple(y.tolist()),
    "array": np.copy,
    "objects": lambda y: y.astype(object),
    "read-only": _locked,
    "every second": lambda y: np.repeat(y, 2)[::2],
    "series": lambda y: pd.Series(y, index=_index_of(len(y)), name="label"),
    "series of objects": lambda y: pd.Series(y.astype(object), index=_index_of(len(y))),
    "nullable": lambda y: pd.Series(y.tolist()).convert_dtypes(),
    "categories": lambda y: pd.Series(pd.Categorical(y, categories=np.unique(y)[::-1])),
    "ordered categories": lambda y: pd.Series(pd.Categorical(y, ordered=True)),
    "polars": lambda y: pl.Series("label", y.tolist(), strict=False),
    "column": lambda y: y[:, None],
    "frame": lambda y: pd.DataFrame({"label": y}),
}
INDICATOR_FORMS = {
    "list": lambda y: y.tolist(),
    "array": np.copy,
    "bool": lambda y: y.astype(bool),
    "float": lambda y: y.astype(float),
    "uint8": lambda y: y.astype(np.uint8),
    "Fortran": np.asfortranarray,
    "csr": sparse.csr_array,
    "csc matrix": sparse.csc_matrix,
    "frame": lambda y: pd.DataFrame(y, index=_index_of(len(y))),
    "polars frame": lambda y: pl.DataFrame(y, schema=[f"label_{i}" for i in range(len(y.T))]),
}


@dataclass(frozen=True)
class Labels:
    """How class numbers are written: as which values, in rising order, in which container."""

    values: str
    form: str

    def of(self, classes):
        if classes.ndim == 2:
            return INDICATOR_FORMS[self.form](classes)
        return LABEL_FORMS[self.form](np.array(ORDERED[self.values])[classes])

    def value(self, number):
        return np.array(ORDERED[self.values])[number : number + 1].tolist()[0]


@st.composite
def labels_for(draw, classes):
    if classes.ndim == 2:
        return Labels("", draw(st.sampled_from([*INDICATOR_FORMS])))
    enough = [name for name, values in ORDERED.items() if len(values) > classes.max()]
    return Labels(draw(st.sampled_from(enough)), draw(st.sampled_from([*LABEL_FORMS])))


# ---- parameters of the classifiers ----

small_integers = st.one_of(st.integers(1, 5), integers_of_numpy)
shares = st.one_of(st.sampled_from([0.0, 0.2, 0.5]), st.floats(0, 0.95), st.just(0))
seeds = st.one_of(
    st.integers(0, 2**32 - 1),
    st.integers(0, 9).map(np.int64),
    st.none(),
    st.integers(0, 99).map(np.random.RandomState),
)
# Of the classes by number; those of the corpus come in their place.
class_weights = st.one_of(
    st.none(),
    st.just("balanced"),
    st.dictionaries(st.integers(0, 3), st.sampled_from([0.5, 1, 3.0, 0]), max_size=3),
)
LINEAR = {
    "ngrams": st.sampled_from([1, 2, np.int64(2)]),
    "C": st.one_of(st.sampled_from([3.0, 1, 1e-3, 100.0]), st.floats(1e-6, 1e3)),
    "class_weight": class_weights,
    "store_cv_decisions": booleans,
    "random_state": seeds,
    "verbose": verbosity,
}
OPTIMIZERS = ["lazyadam", "adam", "adamw", "sgd", "adagrad", "rmsprop", "adadelta"]


@dataclass(frozen=True)
class Vectors:
    """Word vectors, to be made for a number of ids and a vocabulary."""

    kind: str
    dim: int
    seed: int

    def make(self, n_ids, vocabulary):
        rng = np.random.default_rng(self.seed)
        matrix = rng.normal(0, 0.4, (n_ids + self.seed % 3, self.dim))
        by_token = dict(zip(TOKENS[:: 1 + self.seed % 3], matrix, strict=False))
        kind = self.kind if vocabulary else "matrix"
        return {
            "matrix": lambda: matrix,
            "float32": lambda: matrix.astype(np.float32),
            "lists": lambda: matrix.tolist(),
            "mapping": lambda: by_token,
            "frame": lambda: pd.DataFrame(by_token).T,
            "WordVectors": lambda: WordVectors(by_token, center=True, scale=0.3, fallback=False),
            "path": lambda: vector_file(self.dim),
        }[kind]()


@lru_cache
def vector_file(dim):
    """Path of a text file with vectors of every second token."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder, "vectors.txt")
    rng = np.random.default_rng(dim)
    lines = [" ".join([t, *map("{:.4f}".format, rng.normal(size=dim))]) for t in TOKENS[::2]]
    path.write_text(f"{len(lines)} {dim}\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


vectors = st.builds(
    Vectors,
    st.sampled_from(["matrix", "float32", "lists", "mapping", "frame", "WordVectors", "path"]),
    st.integers(1, 5),
    st.integers(0, 99),
)


def several(strategy, **sizes):
    """An integer, a tuple or a list of them."""
    listed = st.lists(strategy, **sizes)
    return st.one_of(strategy, listed.map(tuple), listed)


NETWORK = {
    "embedding_dim": st.one_of(small_integers, st.none()),
    "word_vectors": st.one_of(st.none(), vectors),
    "embedding_mode": st.sampled_from(["static", "non-static", "multichannel"]),
    "kernel_sizes": several(st.one_of(small_integers, st.just(13)), min_size=1, max_size=3),
    "filters": several(small_integers, min_size=1, max_size=3),
    "conv_layers": st.integers(1, 3),
    "pool_size": small_integers,
    "pooling": st.sampled_from(["max", "average", "max+average"]),
    "activation": st.sampled_from(["relu", "tanh", "linear"]),
    "hidden_units": several(small_integers, max_size=2),
    "linear_ngrams": st.sampled_from([0, 1, 2]),
    "dropout": shares,
    "token_dropout": shares,
    "average": st.one_of(shares, st.just(1)),
    "max_norm": st.one_of(st.none(), st.floats(1e-3, 10), st.just(3)),
    "l2": st.one_of(st.sampled_from([0, 0.0, 1e-3]), st.floats(0, 0.5)),
    "label_smoothing": shares,
    "optimizer": st.sampled_from(OPTIMIZERS),
    "learning_rate": st.one_of(st.sampled_from([1e-30, 1e-3, 0.01]), st.floats(1e-5, 0.1)),
    "batch_size": st.one_of(st.integers(1, 64), st.sampled_from([np.int64(16), 10**6])),
    "epochs": st.one_of(st.integers(1, 3), st.integers(1, 3), st.just("auto")),
    "early_stopping": booleans,
    "validation_fraction": st.one_of(st.sampled_from([0.1, 0.3, 0.5]), st.floats(0.01, 0.99)),
    "patience": small_integers,
    "class_weight": class_weights,
    "callbacks": st.sampled_from([None, None, [], ()]),
    "warm_start": booleans,
    "engine": st.sampled_from(["auto", "numpy", "keras"]),
    "random_state": seeds,
    "verbose": verbosity,
}
STRATEGIES = {
    TextVectorizerTransformer: VECTORIZER,
    NgramLinearClassifier: LINEAR,
    TextCNNClassifier: NETWORK,
}
SMALL_NETWORK = {"embedding_dim": 4, "kernel_sizes": (1, 2), "filters": 3, "epochs": 2}


def with_keras(keras):
    """The parameters of `TextCNNClassifier` with what only Keras can make of them."""
    optimizers, callbacks = keras.optimizers, keras.callbacks
    instances = st.sampled_from(
        [
            (optimizers.Adam, {"learning_rate": 0.01}),
            (optimizers.SGD, {"momentum": 0.9}),
            (optimizers.RMSprop, {"use_ema": True}),
            (optimizers.Nadam, {"clipnorm": 1.0}),
            (optimizers.AdamW, {"loss_scale_factor": 8.0}),
        ]
    ).map(lambda pair: pair[0](**pair[1]))
    classes = st.sampled_from([optimizers.Adam, optimizers.Adagrad, optimizers.Ftrl])
    one = st.sampled_from(
        [
            lambda: callbacks.EarlyStopping("loss", patience=1),
            lambda: callbacks.LearningRateScheduler(lambda epoch: 0.01 / (1 + epoch)),
            lambda: callbacks.ReduceLROnPlateau("loss"),
            lambda: callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
            lambda: callbacks.TerminateOnNaN(),
        ]
    ).map(lambda make: make())
    listed = st.lists(one, max_size=2)
    return NETWORK | {
        "optimizer": st.one_of(NETWORK["optimizer"], instances, classes),
        "callbacks": st.one_of(NETWORK["callbacks"], one, listed, listed.map(tuple)),
        "epochs": st.integers(1, 3),
    }


def needs_keras(parameters):
    """By the documentation of `engine`."""
    return (
        parameters["conv_layers"] > 1
        or parameters["pooling"] != "max"
        or not isinstance(parameters["optimizer"], str)
        or bool(parameters["callbacks"])
    )


def n_kernel_sizes(parameters):
    sizes = parameters["kernel_sizes"]
    return len(sizes) if isinstance(sizes, (tuple, list)) else 1


@st.composite
def network_parameters(draw, keras=None):
    """Legal by themselves, and most often together; trained by NumPy unless Keras is given."""
    strategies = NETWORK if keras is None else with_keras(keras)
    parameters = draw(some_of(strategies, TextCNNClassifier().get_params() | SMALL_NETWORK))
    if keras is not None:
        parameters["engine"] = draw(st.sampled_from(["auto", "keras"]))
        parameters["batch_size"] = max(parameters["batch_size"], 8)
    elif needs_keras(parameters) or parameters["engine"] == "keras":
        parameters["engine"] = "numpy"
        if draw(st.integers(0, 9)):
            parameters |= {"conv_layers": 1, "pooling": "max"}
    if isinstance(parameters["filters"], (tuple, list)) and draw(st.integers(0, 9)):
        filters, n = parameters["filters"], n_kernel_sizes(parameters)
        parameters["filters"] = type(filters)((list(filters) * 3)[:n])
    if draw(st.integers(0, 9)):
        if parameters["word_vectors"] is not None:
            parameters["embedding_dim"] = parameters["embedding_dim"] or 4
        parameters["early_stopping"] &= parameters["validation_fraction"] >= 0.1
    return parameters


@dataclass
class Case:
    """A fit: an estimator with parameters, documents, labels, weights; documents to ask about."""

    kind: type
    parameters: dict
    corpus: Corpus
    labels: Labels
    form: str
    weights: object
    others: np.ndarray
    validation: Corpus | None = None
    relations: tuple = field(default=())

    def estimator(self, **changes):
        """A new estimator each time."""
        parameters = {
            name: value if name in ("optimizer", "callbacks") else copy.deepcopy(value)
            for name, value in (self.parameters | changes).items()
        }
        weights = parameters["class_weight"]
        if isinstance(weights, dict) and not self.corpus.multilabel:
            there = {c: w for c, w in weights.items() if c in self.corpus.classes}
            parameters["class_weight"] = {self.labels.value(c): w for c, w in there.items()}
        if isinstance(parameters.get("word_vectors"), Vectors):
            made = parameters["word_vectors"].make(N_IDS, self.corpus.vocabulary)
            parameters["word_vectors"] = made
        return self.kind(**parameters)

    def X(self, ids=None):
        """Documents in the container that was drawn; `TokenIds` are one themselves."""
        ids = self.corpus.ids if ids is None else ids
        if self.corpus.meaning != "plain":
            return self.corpus.form(ids)
        return FORMS_OF_IDS[self.form](ids)

    def y(self):
        return self.labels.of(self.corpus.classes)

    def sample_weight(self):
        return copy.deepcopy(self.weights)

    def more(self):
        """Validation data, if any, as further arguments of `fit`."""
        if self.validation is None:
            return {}
        y_val = self.labels.of(self.validation.classes)
        return {"X_val": self.X(self.validation.ids), "y_val": y_val}


@st.composite
def sample_weights(draw, n):
    kind = draw(st.sampled_from(["none"] * 4 + ["one", "floats", "zeros", "series", "integers"]))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    if kind == "none":
        return None
    if kind == "one":
        return draw(st.sampled_from([1, 0.5, 3.0]))
    weights = rng.uniform(0.1, 3, n)
    if kind == "zeros":
        weights *= rng.random(n) < 0.7
    if kind == "series":
        return pd.Series(weights, index=np.arange(n)[::-1])
    return rng.integers(1, 4, n).tolist() if kind == "integers" else weights


@st.composite
def fit_cases(draw, kind, relations=(), keras=None):
    corpus = draw(corpora())
    if kind is NgramLinearClassifier:
        parameters = draw(some_of(LINEAR, NgramLinearClassifier().get_params()))
    else:
        parameters = draw(network_parameters(keras))
    if corpus.multilabel and draw(st.integers(0, 9)):
        parameters["class_weight"] = None
    labels = draw(labels_for(corpus.classes))
    n_tokens = corpus.ids.shape[1]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    others = random_ids(rng, draw(st.integers(1, 9)), n_tokens, N_IDS, draw(st.booleans()))
    validation, drawn = None, set()
    if relations:
        drawn = draw(st.sets(st.sampled_from(relations), max_size=2 if keras is None else 1))
    # those of Keras without them train four networks
    if kind is TextCNNClassifier and draw(st.integers(0, 3)) < (1 if keras is None else 3):
        rows = rng.integers(0, len(corpus.ids), 9)
        validation = Corpus(others[rows % len(others)], corpus.classes[rows], corpus.meaning)
    return Case(
        kind=kind,
        parameters=parameters,
        corpus=corpus,
        labels=labels,
        form=draw(ids_forms),
        weights=draw(sample_weights(len(corpus.ids))),
        others=others,
        validation=validation,
        relations=tuple(sorted(drawn)),
    )


@dataclass
class PredictionCase:
    """A quick fit, what its network is changed into, and batches of documents to ask it about."""

    fit: Case
    changes: dict
    batches: list


@st.composite
def prediction_cases(draw):
    kind = draw(st.sampled_from([TextCNNClassifier] * 3 + [NgramLinearClassifier]))
    case = draw(fit_cases(kind))
    corpus, changes = case.corpus, {}
    case.weights, case.parameters["class_weight"] = None, None
    if kind is TextCNNClassifier:
        changes = {name: draw(NETWORK[name]) for name in ("conv_layers", "pooling")}
        changes["pool_size"] = int(draw(NETWORK["pool_size"]))
        case.parameters |= {"engine": "numpy", "conv_layers": 1, "pooling": "max", "epochs": 1}
        case.parameters |= {"early_stopping": False, "batch_size": 64}
        if isinstance(case.parameters["filters"], (tuple, list)):
            case.parameters["filters"] = case.parameters["filters"][0]
        if case.parameters["word_vectors"] is not None:
            case.parameters["embedding_dim"] = 4
        case.validation = Corpus(corpus.ids[:5], corpus.classes[:5], corpus.meaning)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_tokens = corpus.ids.shape[1]
    sizes = draw(st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=8, max_size=20))
    batches = [random_ids(rng, n, n_tokens, N_IDS, holes) for n, holes in sizes]
    return PredictionCase(case, changes, batches)


def n_cases(case):
    """How many collections or batches of documents a case has that are checked."""
    if isinstance(case, VectorizerCase):
        return 1 + len(case.others)
    return len(case.batches) if isinstance(case, PredictionCase) else 1


# ---- what has to be refused ----

NO_TEXTS = [
    (None, "NoneType"),
    (float("nan"), "nan"),
    (np.nan, "nan"),
    (pd.NA, "NA"),
    (pd.NaT, "NaT"),
    (3, r"int \(3\)"),
    (2.5, r"float \(2.5\)"),
    (True, "bool"),
    (["a"], "list"),
    (("a",), "tuple"),
    ({"a": 1}, "dict"),
    (b"\xff\xfe", "other bytes"),
    (b"abc\x80", "other bytes"),
    (np.array("a"), "ndarray"),
    (object, "type"),
]
NO_COLLECTIONS = [
    ("a text", r"X must be an iterable of documents, got a single str\. Put it into a list"),
    (b"a text", r"X must be an iterable of documents, got a single bytes"),
    (np.str_("a text"), r"X must be an iterable of documents, got a single str_"),
    ({"a": "text"}, r"X must be an iterable of documents in order, got a mapping \(dict\)"),
    ({"a text"}, r"X must be an iterable of documents in order, got a set \(set\)"),
    (3, r"X must be an iterable of documents, got int \(3\)"),
    (None, r"X must be an iterable of documents, got NoneType"),
    (np.array([["a", "b"]]), r"X must hold one document per row, .* of shape \(1, 2\)"),
    (np.array("a text"), r"X must hold one document per row, .* of shape \(\)"),
    (np.full((2, 1, 1), "a"), r"X must hold one document per row, .* of shape \(2, 1, 1\)"),
    (
        pd.DataFrame({"a": ["b"], "c": ["d"]}),
        r"X must hold one document per row, .*DataFrame of shape \(1, 2\)",
    ),
    (
        pl.DataFrame({"a": ["b"], "c": ["d"]}),
        r"X must hold one document per row, .*DataFrame of shape \(1, 2\)",
    ),
    (sparse.csr_array(np.eye(2)), r"X must hold one document per row, .* of shape \(2, 2\)"),
]


@st.composite
def refused_documents(draw):
    """A container that holds something else than a text; and what the message says of it."""
    if draw(st.integers(0, 4)) == 0:
        collection, message = draw(st.sampled_from(NO_COLLECTIONS))
        return collection, "^" + message
    documents = draw(st.lists(simple_sentences, max_size=5))
    value, named = draw(st.sampled_from(NO_TEXTS))
    row = draw(st.integers(0, len(documents)))
    documents.insert(row, value)
    made = CONTAINERS[draw(st.sampled_from([*OF_ANYTHING]))](documents)
    return made, rf"^Documents must be strings or bytes in UTF-8, got .*{named}.* in row {row}\b"


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        [(), [], {}, set(), object(), int, len, np.zeros(2), b"max", 1j, "auto", "word"]
    ),
)
