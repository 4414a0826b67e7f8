"""TextVectorizerTransformer: ids, every parameter, the contract on strings, and the refusals."""

import enum
import inspect
import pickle
import re
import subprocess
import sys
import tracemalloc
import unicodedata
import warnings
from collections import Counter
from decimal import Decimal

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_is_fitted

from sklearn_textcnn import TextVectorizerTransformer, TokenIds, _encoding, _text, vectorizer

# What most tests cut, they cut on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:max_length=.* cuts:UserWarning")

DOCUMENTS = [
    "The film was good, really good!",
    "the film was BAD",
    "",
    "Don't go. Just don't... go?",
    "Çela était déjà vu; e\u0301te\u0301 \u00e9t\u00e9",
    "😀 emoji 👍🏽 and\tTabs\nand\x1clines",
    "  x_1  2nd 3.14 naïve-looking  ",
    "ΣΊΣΥΦΟΣ ΟΔΟΣ. Ὀδυσσεύς",
]
NO_PART_OF_WORDS = "\ufe0f\u20dd\u20de\u20df\u20e0\u20e2\u20e3\u20e4"  # they make emoji
COUNT_VECTORIZER_PATTERN = r"(?u)\b\w\w+\b"


def split_into_tokens(text):
    """Words with the marks and joiners in them, and single other characters."""
    tokens, in_word = [], False
    for character in text.lower():
        is_mark = unicodedata.category(character)[0] == "M" or character in "\u200c\u200d"
        if is_mark and character not in NO_PART_OF_WORDS and in_word:
            tokens[-1] += character
        elif character.isalnum() or character == "_":
            if in_word:
                tokens[-1] += character
            else:
                tokens.append(character)
            in_word = True
        else:
            in_word = False
            if not character.isspace():
                tokens.append(character)
    return tokens


def reference(documents, new=None, *, analyze=None, length=512, keep="head", least=1, most=None,
              top=None):  # fmt: skip
    """The ids and the vocabulary, written out the slow and obvious way."""
    analyze = analyze or split_into_tokens

    def kept(document):
        tokens = list(analyze(document))
        if length is None or len(tokens) <= length:
            return tokens
        return tokens[:length] if keep == "head" else tokens[-length:]

    corpus = [kept(document) for document in documents]
    counts = Counter(token for tokens in corpus for token in tokens)
    in_documents = Counter(token for tokens in corpus for token in set(tokens))
    chosen = [token for token in counts if least <= in_documents[token] <= (most or len(documents))]
    chosen = sorted(chosen, key=lambda token: (-counts[token], token))[:top]
    vocabulary = {token: i + 2 for i, token in enumerate(chosen)}
    longest = max(len(tokens) for tokens in corpus)
    rows = []
    for document in documents if new is None else new:
        row = [vocabulary.get(token, 1) for token in kept(document)]
        if length is None:
            row = row[:longest] if keep == "head" else row[-longest:]
        rows.append(row)
    width = max(longest, *map(len, rows))
    return np.array([row + [0] * (width - len(row)) for row in rows], dtype=np.int32), vocabulary


def random_corpus(n_documents=300, seed=0):
    """Documents of 0 to 40 words of very different frequency."""
    rng = np.random.default_rng(seed)
    words = np.array(
        [f"{a}{b}" for a in ("", "W", "é", "x-", "'") for b in "abcdefghijklm"] + [".", ",", "?!"]
    )
    p = 1 / np.arange(1, len(words) + 1)
    rng.shuffle(words)
    return [
        " ".join(rng.choice(words, size=rng.integers(0, 40), p=p / p.sum()))
        for _ in range(n_documents)
    ]


def assert_ids(vectorizer, documents, new, **how):
    expected, vocabulary = reference(documents, **how)
    ids = vectorizer.fit_transform(documents)
    assert_array_equal(ids, expected)
    assert vectorizer.vocabulary_ == vocabulary
    assert list(vectorizer.vocabulary_) == list(vocabulary)
    assert ids.vocabulary == tuple(vocabulary)
    assert_array_equal(vectorizer.transform(new), reference(documents, new, **how)[0])


# What comes out


def test_default_ids():
    ids = TextVectorizerTransformer().fit_transform(DOCUMENTS)
    assert type(ids) is TokenIds
    assert ids.dtype == np.int32
    assert ids.flags.writeable
    assert ids.flags.c_contiguous
    assert ids.n_ids == len(ids.vocabulary) + 2
    assert_ids(TextVectorizerTransformer(), DOCUMENTS, ["the unknown film", "", "BAD!"])


@pytest.mark.parametrize(
    ("params", "how"),
    [
        ({}, {}),
        ({"max_length": 5}, {"length": 5}),
        ({"max_length": 5, "keep": "tail"}, {"length": 5, "keep": "tail"}),
        ({"max_length": None}, {"length": None}),
        ({"max_length": None, "keep": "tail"}, {"length": None, "keep": "tail"}),
        ({"min_df": 30}, {"least": 30}),
        ({"min_df": 0.1}, {"least": 30}),
        ({"min_df": 0.0}, {}),
        ({"max_df": 60}, {"most": 60}),
        ({"max_df": 0.2}, {"most": 60}),
        ({"max_features": 7}, {"top": 7}),
        ({"max_features": 10**6}, {}),
        ({"min_df": 5, "max_df": 100, "max_features": 9, "max_length": 4, "keep": "tail"},
         {"least": 5, "most": 100, "top": 9, "length": 4, "keep": "tail"}),
        ({"min_df": 0.0, "max_length": 1}, {"length": 1}),
    ],
)  # fmt: skip
def test_ids_against_the_reference(params, how):
    documents = random_corpus()
    new = [*random_corpus(30, seed=1), "never seen before", " ".join("abc" * 200)]
    assert_ids(TextVectorizerTransformer(**params), documents, new, **how)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"lowercase": False},
        {"strip_accents": "unicode"},
        {"strip_accents": "ascii", "lowercase": False},
        {"strip_accents": str.swapcase},
        {"stop_words": ["the", "was", "."]},
        {"stop_words": "english"},
        {"preprocessor": str.upper},
        {"preprocessor": str.upper, "lowercase": True, "stop_words": ["THE"]},
        {"tokenizer": str.split, "token_pattern": None},
        {"tokenizer": str.split, "token_pattern": None, "stop_words": ["the"]},
        {"token_pattern": COUNT_VECTORIZER_PATTERN},
        {"token_pattern": r"(?u)\b\w+\b"},
        {"token_pattern": r"\w+"},
        {"token_pattern": r"\S+"},
        {"token_pattern": r"\w\s\w"},
        {"token_pattern": r"(\w)\w+"},
        {"token_pattern": r"(?i)[a-z ]+"},
        {"analyzer": "char"},
        {"analyzer": "char_wb"},
        {"analyzer": "char", "lowercase": False, "strip_accents": "unicode"},
        {"analyzer": str.split},
    ],
)
def test_tokens_are_those_of_count_vectorizer(params):
    documents = DOCUMENTS + random_corpus(20)
    counter = CountVectorizer(**{"token_pattern": _text.TOKEN_PATTERN, **params})
    ours = TextVectorizerTransformer(max_length=None, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        counts = counter.fit_transform(documents).toarray()
        ids = np.asarray(ours.fit_transform(documents))
        analyze = counter.build_analyzer()
    names = counter.get_feature_names_out()
    assert set(ours.vocabulary_) == set(names)
    for column, name in enumerate(names):
        assert_array_equal((ids == ours.vocabulary_[name]).sum(axis=1), counts[:, column])
    # order, not only number
    expected = [list(analyze(document)) for document in documents]
    assert [row.tolist() for row in ours.inverse_transform(ids)] == expected
    ours_analyze = pickle.loads(pickle.dumps(ours.build_analyzer()))
    assert [list(ours_analyze(document)) for document in documents] == expected


@pytest.mark.filterwarnings("ignore:.*no spaces between words:UserWarning")
def test_every_character_is_split_as_the_pattern_splits_it():
    # all white space is below the first bound
    codes = [*range(0x3100), *range(0x3100, sys.maxunicode, 97)]
    assert not any(chr(code).isspace() for code in range(0x3100, sys.maxunicode + 1))
    characters = [chr(code) for code in codes]
    text = "a" + "b a".join(characters) + "b\n" + "\n".join(characters)
    for pattern in sorted(_text.PATTERNS_WITHIN_WHITE_SPACE):
        split, tokenize, _ = _text.splitter(
            TextVectorizerTransformer(token_pattern=pattern, lowercase=False)
        )
        tokens = [token for piece in split(text) for token in tokenize(piece)]
        seen = text
        if pattern == _text.TOKEN_PATTERN:
            seen = re.sub("[\u00ad\u2060\ufeff]", "", text).replace("\u200b", " ")
        assert tokens == re.findall(pattern, seen)
        # what is cut early is cut where the tokens would be
        for keep, window in (("head", slice(99)), ("tail", slice(-99, None))):
            ours = TextVectorizerTransformer(
                token_pattern=pattern, lowercase=False, max_length=99, keep=keep
            )
            kept = ours.inverse_transform(ours.fit_transform([text]))[0]
            assert kept.tolist() == tokens[window]


@pytest.mark.parametrize("keep", ["head", "tail"])
def test_the_far_end_of_a_long_document_is_not_split(keep):
    ours = TextVectorizerTransformer(max_length=3, keep=keep)
    split, tokenize, leaves_pieces_out = _text.splitter(ours, 3)
    assert leaves_pieces_out
    assert split("a b c d e") == (["a", "b", "c"] if keep == "head" else ["c", "d", "e"])
    assert split(" a b, ") == ["a", "b,"]
    assert tokenize("b,") == ["b", ","]


@pytest.mark.parametrize(
    "word",
    ["हिन्दी", "தமிழ்", "নির্‌বাচন", "สวัสดี", "שָׁלוֹם", "قَلَم", "ខ្មែរ", "မြန်မာ", "i̇stanbul"],
)  # fmt: skip
@pytest.mark.parametrize("normal_form", ["NFC", "NFD"])
def test_marks_and_joiners_belong_to_their_word(word, normal_form):
    word = unicodedata.normalize(normal_form, word)
    analyze = TextVectorizerTransformer().build_analyzer()
    assert analyze(f"{word}, film!") == [word, ",", "film", "!"]


def test_every_mark_belongs_to_its_word_and_no_punctuation_does():
    analyze = TextVectorizerTransformer(lowercase=False).build_analyzer()
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        category = unicodedata.category(character)
        if category in ("Mn", "Mc") and character not in NO_PART_OF_WORDS:
            assert analyze(f"a{character}b") == [f"a{character}b"], hex(code)
        elif category[0] in "PS" and character != "_" and not re.match(r"\w", character):
            assert analyze(f"a{character}b") == ["a", character, "b"], hex(code)


def test_characters_that_nobody_sees_are_no_tokens():
    analyze = TextVectorizerTransformer().build_analyzer()
    assert analyze("\ufeffBundes\u00adtag zero\u200bwidth\u200b \u2060") == [
        "bundestag", "zero", "width"]  # fmt: skip
    # a piece of them between white space is none of the max_length pieces
    ours = TextVectorizerTransformer(max_length=2).fit(["\u200b \ufeff a \u00ad b"])
    assert ours.vocabulary_ == {"a": 2, "b": 3}
    # emoji of several characters are split as ever, and so are own patterns
    assert analyze("1\ufe0f\u20e3 \u2764\ufe0f") == ["1", "\ufe0f", "\u20e3", "\u2764", "\ufe0f"]
    own = TextVectorizerTransformer(token_pattern=r"\S+").build_analyzer()
    assert own("a\u00adb") == ["a\u00adb"]


def test_unicode_documents():
    documents = ["\ud800 lone \udfff surrogates", "a\u0301 combining", "a\0b \0", "ﬁ İ ß"]
    for params in ({}, {"hash_buckets": 50}, {"analyzer": "char"}):
        ids = TextVectorizerTransformer(**params).fit_transform(documents)
        assert (np.asarray(ids) > 0).any(axis=1).all()
    ours = TextVectorizerTransformer().fit(documents)
    back = ours.inverse_transform(ours.transform(documents))
    assert back[0].tolist() == ["\ud800", "lone", "\udfff", "surrogates"]
    assert back[1].tolist() == ["a\u0301", "combining"]
    assert back[2].tolist() == ["a", "\0", "b", "\0"]
    assert "\u0301" in unicodedata.normalize("NFD", "á")  # what the second document is about
    copied = pickle.loads(pickle.dumps(ours))
    assert_array_equal(copied.transform(documents), ours.transform(documents))


def test_limits_of_document_frequency_are_included():
    documents = ["a b c", "b c", "c"]
    ours = TextVectorizerTransformer(min_df=2, max_df=2).fit(documents)
    assert ours.vocabulary_ == {"b": 2}
    shares = TextVectorizerTransformer(min_df=1 / 3, max_df=2 / 3).fit(documents)
    assert shares.vocabulary_ == {"b": 2, "a": 3}


def test_document_frequencies_of_many_documents_and_tokens():
    # more pairs of document and token than an int32 can number
    n_documents, n_tokens = 70_000, 40_000
    ids = np.repeat(np.arange(n_documents, dtype=np.int32) % 2 + n_tokens - 2, 2)
    chunk = _encoding.Chunk(ids, np.full(n_documents, 2), 0, len(ids))
    frequencies = _encoding.document_frequencies(chunk, n_tokens)
    assert frequencies[-2:].tolist() == [35_000, 35_000]
    assert frequencies[:-2].sum() == 0


def test_max_length_cuts_before_counting():
    ours = TextVectorizerTransformer(max_length=2).fit(["a b z z z z", "b c z"])
    assert ours.vocabulary_ == {"b": 2, "a": 3, "c": 4}
    assert ours.max_length_ == 2


def test_stop_words_are_removed_before_the_cut():
    ours = TextVectorizerTransformer(max_length=2, stop_words=["the"])
    assert ours.fit_transform(["the the the a b c"]).tolist() == [[2, 3]]


WORDS = " ".join(f"w{i}" for i in range(50))


@pytest.mark.parametrize("keep", ["head", "tail"])
@pytest.mark.parametrize("params", [{}, {"hash_buckets": 9}, {"analyzer": str.split}])
def test_what_max_length_cuts_is_told(keep, params):
    # 50 words and 10 full stops, of which 40 tokens are kept; 20 tokens are in two more documents
    text = re.sub(r"[49]\b", r"\g<0>.", WORDS)
    documents = [text, "a b c d e " * 2, "a b c d e " * 2]
    n_tokens = 50 if "analyzer" in params else 60
    share = (n_tokens - 40) / (n_tokens + 20)
    ours = TextVectorizerTransformer(max_length=40, keep=keep, **params)
    with pytest.warns(UserWarning, match=r"max_length=40 cuts 33.3% of the documents") as caught:
        ours.fit_transform(documents)
    told = re.search(r"loses about (\d+)% of all tokens", str(caught[0].message))
    assert abs(int(told.group(1)) / 100 - share) < 0.006
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours.transform(documents)  # once, in fit
        ours.fit_transform(documents[1:])
        # less than a hundredth is not worth a word
        ours.fit_transform([WORDS[:-4]] + documents[1:] * 50)


def test_max_length_is_learned():
    ours = TextVectorizerTransformer().fit(["one two three", "one"])
    assert ours.max_length_ == 3
    # the least number of columns, but nothing is lost below max_length
    assert ours.transform(["one"]).tolist() == [[2, 0, 0]]
    assert ours.transform(["one one one one one", "two"]).tolist() == [[2] * 5, [4, 0, 0, 0, 0]]
    learned = TextVectorizerTransformer(max_length=None).fit(["one two three", "one"])
    assert learned.transform(["one one one one one"]).tolist() == [[2, 2, 2]]
    tail = TextVectorizerTransformer(keep="tail", max_length=None).fit(["one two three", "one"])
    assert tail.inverse_transform(tail.transform(["one two three two"]))[0].tolist() == [
        "two", "three", "two"]  # fmt: skip


def test_long_pieces_are_not_kept():
    ours = TextVectorizerTransformer().fit(["a b"])
    codes = ours._plan().codes
    letters = "x" * 64
    assert ours.transform([f"{letters} y{letters} y{letters}"]).tolist() == [[1, 1, 1]]
    assert letters in codes
    assert max(map(len, codes)) == 64


def test_hash_buckets_taken_back_after_fit():
    ours = TextVectorizerTransformer(hash_buckets=5).fit(["a b"])
    with pytest.raises(NotFittedError):
        ours.set_params(hash_buckets=None).transform(["a b"])
    assert ours.fit(["a b"]).transform(["b"]).tolist() == [[3, 0]]


@pytest.mark.parametrize("vocabulary", [["a", "b"], {"a": 2, "b": 3}, {"a", "b"}])
def test_vocabulary_changed_in_place(vocabulary):
    ours = TextVectorizerTransformer(vocabulary=vocabulary, max_length=3)
    fitted = clone(ours).set_params(vocabulary=vocabulary).fit(["a"])
    before = [[2, 3, 1]]
    assert ours.transform(["a b c"]).tolist() == fitted.transform(["a b c"]).tolist() == before
    if isinstance(vocabulary, dict):
        vocabulary["c"] = 4
    else:
        getattr(vocabulary, "append" if isinstance(vocabulary, list) else "add")("c")
    assert ours.transform(["a b c"]).tolist() == [[2, 3, 4]]
    # what was fitted is a copy
    assert fitted.transform(["a b c"]).tolist() == before
    assert fitted.fit(["a"]).transform(["a b c"]).tolist() == [[2, 3, 4]]


def test_tokens_of_a_callable_analyzer():
    ours = TextVectorizerTransformer(analyzer=lambda document: document)
    lists = [["New York", "is", "big"], ["is"], [], ("New York", "new york")]
    ids = ours.fit_transform(lists)
    assert ours.vocabulary_ == {"New York": 2, "is": 3, "big": 4, "new york": 5}
    assert ids.tolist() == [[2, 3, 4], [3, 0, 0], [0, 0, 0], [2, 5, 0]]
    assert_array_equal(ours.transform(pd.Series(lists)), ids)
    assert_array_equal(ours.transform(np.array(lists, dtype=object)), ids)
    # whatever the analyzer can read: records, numbers, iterators of tokens, NumPy strings
    store = {7: ["a"], 9: np.array(["b", "a"])}
    ours = TextVectorizerTransformer(analyzer=lambda key: iter(store[key]))
    assert ours.fit_transform([7, 9]).tolist() == [[2, 0], [3, 2]]
    assert {type(token) for token in ours.vocabulary_} == {str}


# vocabulary and hash_buckets


@pytest.mark.parametrize(
    "tokens",
    [
        ["film", "good", "!"],
        ("film", "good", "!"),
        np.array(["film", "good", "!"]),
        pd.Index(["film", "good", "!"]),
        {"good": 3, "film": 2, "!": 4},
        {"film": None, "good": None, "!": None}.keys(),
    ],
)
@pytest.mark.parametrize("fit", [True, False])
def test_fixed_vocabulary(tokens, fit):
    ours = TextVectorizerTransformer(vocabulary=tokens, max_length=4, min_df=2)
    expected = [[1, 2, 0, 0], [3, 3, 4, 0]]
    new = ["the film", "good good!"]
    if fit:
        assert ours.fit(["unrelated"]) is ours
        assert ours.vocabulary_ == {"film": 2, "good": 3, "!": 4}
        assert list(ours.vocabulary_) == ["film", "good", "!"]
        assert ours.max_length_ == 4
        assert_array_equal(ours.fit_transform(new), expected)
    ids = ours.transform(new)
    assert_array_equal(ids, expected)
    assert ids.vocabulary == ("film", "good", "!")
    assert ours.inverse_transform(ids)[1].tolist() == ["good", "good", "!"]


def test_set_vocabulary_is_sorted():
    ours = TextVectorizerTransformer(vocabulary={"b", "a", "c"}).fit([])
    assert ours.vocabulary_ == {"a": 2, "b": 3, "c": 4}


@pytest.mark.parametrize("fit", [True, False])
def test_hashing(fit):
    ours = TextVectorizerTransformer(hash_buckets=1000, max_length=5)
    if fit:
        ours.fit(["something else"])
        assert ours.max_length_ == 5
        assert not hasattr(ours, "vocabulary_")
    ids = ours.transform(["Good good film", "", "a b c d e f g"])
    assert ids.shape == (3, 5)
    assert ids.dtype == np.int32
    assert (ids.vocabulary, ids.n_ids) == (None, 1002)
    assert ids[0, 0] == ids[0, 1] != ids[0, 2]
    assert_array_equal(ids[1], 0)
    assert_array_equal(ours.fit_transform(["good film"]), ours.transform(["good film"]))


def test_hashes_use_all_buckets_evenly():
    words = " ".join(f"word{i}" for i in range(20_000))
    ids = TextVectorizerTransformer(hash_buckets=100, max_length=10**6).transform([words])
    counts = np.bincount(ids[0, :20_000])
    assert counts[:2].sum() == 0
    assert len(counts) == 102
    # 200 expected, standard deviation 14
    assert 130 < counts[2:].min() < counts[2:].max() < 270
    single = TextVectorizerTransformer(hash_buckets=1, max_length=3).transform(["a b"])
    assert single.tolist() == [[2, 2, 0]]


def test_hashes_are_the_same_in_every_process():
    code = (
        "from sklearn_textcnn import TextVectorizerTransformer as T\n"
        "hashing = T(hash_buckets=2**20, max_length=6)\n"
        "print(hashing.transform(['a film \\u00e9 \\ud800'])[0].tolist())"
    )
    here = TextVectorizerTransformer(hash_buckets=2**20, max_length=6)
    here = here.transform(["a film é \ud800"])[0].tolist()
    env = {"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(filter(None, sys.path))}
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    assert there.stdout.strip() == str(here)
    # the hash itself is part of the contract: saved models depend on it
    assert here == [354740, 142681, 67465, 182608, 0, 0]


def test_refit_with_hashing_forgets_the_vocabulary():
    ours = TextVectorizerTransformer().fit(["a b"])
    ours.set_params(hash_buckets=10).fit(["a b"])
    assert not hasattr(ours, "vocabulary_")
    assert ours.transform(["a"]).n_ids == 12
    ours.set_params(hash_buckets=None).fit(["a b"])
    assert ours.transform(["a b"]).tolist() == [[2, 3]]


# The kinds of input


def kinds_of_input():
    texts = ["good film", "bad film!", ""]
    yield "list", lambda: list(texts)
    yield "tuple", lambda: tuple(texts)
    yield "generator", lambda: (text for text in texts)
    yield "dict values", lambda: dict(enumerate(texts)).values()
    yield "object array", lambda: np.array(texts, dtype=object)
    yield "string array", lambda: np.array(texts)
    yield "bytes array", lambda: np.array([text.encode() for text in texts])
    yield "StringDType", lambda: np.array(texts, dtype=np.dtypes.StringDType())
    yield "column", lambda: np.array(texts, dtype=object).reshape(-1, 1)
    yield "string column", lambda: np.array(texts).reshape(-1, 1)
    yield "Fortran column", lambda: np.asfortranarray(np.array([texts, texts]).T)[:, :1]
    yield "pandas Series", lambda: pd.Series(texts, index=[5, 6, 9])
    yield "pandas object", lambda: pd.Series(texts, dtype=object)
    yield "pandas string", lambda: pd.Series(texts, dtype="string")
    yield "pandas category", lambda: pd.Series(texts).astype("category")
    yield "pandas Index", lambda: pd.Index(texts)
    yield "pandas frame", lambda: pd.DataFrame({"text": texts})
    yield "polars Series", lambda: pl.Series("text", texts)
    yield "polars frame", lambda: pl.DataFrame({"text": texts})
    yield "bytes", lambda: [text.encode() for text in texts]
    yield "mixed", lambda: [texts[0], texts[1].encode(), np.str_(texts[2])]


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in kinds_of_input()])
def test_kinds_of_input(make):
    expected = [[5, 2, 0], [4, 2, 3], [0, 0, 0]]
    ours = TextVectorizerTransformer()
    assert_array_equal(ours.fit_transform(make()), expected)
    assert ours.vocabulary_ == {"film": 2, "!": 3, "bad": 4, "good": 5}
    assert_array_equal(ours.transform(make()), expected)
    assert_array_equal(clone(ours).fit(make()).transform(make()), expected)
    hashing = TextVectorizerTransformer(hash_buckets=9, max_length=3)
    hashes = hashing.transform(["good film", "bad film!", ""])
    assert_array_equal(hashing.fit(make()).transform(make()), hashes)


@pytest.mark.parametrize("make", [list, pd.Series, pl.Series, lambda d: pl.DataFrame({"a": d})])
def test_a_document_is_read_to_its_end(make):
    """NumPy ends strings of a fixed width before the last NUL, and Polars gives it such strings."""
    ours = TextVectorizerTransformer(analyzer="char").fit(make(["ab\0", "a"]))
    assert ours.vocabulary_ == {"a": 2, "\0": 3, "b": 4}


def test_a_long_document_among_many_takes_its_own_memory():
    """Strings of a fixed width would be 3 GB here."""
    documents = pl.Series(["a film"] * 20_000 + ["a " * 20_000])
    tracemalloc.start()
    TextVectorizerTransformer(max_length=5).fit_transform(documents)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


def test_bytes_are_decoded():
    ours = TextVectorizerTransformer().fit(["été"])
    assert ours.transform(["Été".encode()]).tolist() == [[2]]
    assert ours.build_analyzer()("Été!".encode()) == ["été", "!"]


def test_empty_input():
    ours = TextVectorizerTransformer().fit(["a b"])
    for nothing in ([], (), iter([]), np.array([], dtype=object), pd.Series([], dtype=object)):
        ids = ours.transform(nothing)
        assert ids.shape == (0, 2)
        assert ids.vocabulary == ("a", "b")
    assert TextVectorizerTransformer(hash_buckets=5).transform([]).shape == (0, 512)


def test_generators_are_read_once_and_to_the_end(monkeypatch):
    monkeypatch.setattr(_encoding, "_BATCH", 3)
    documents = random_corpus(20)
    for method in ("fit_transform", "transform"):
        read = []
        stream = (read.append(i) or document for i, document in enumerate(documents))
        ours = TextVectorizerTransformer().fit(documents)
        ids = getattr(ours, method)(stream)
        assert read == list(range(20))
        assert_array_equal(ids, reference(documents)[0])


def test_batches_do_not_show(monkeypatch):
    documents = random_corpus(50)
    ours = TextVectorizerTransformer(min_df=3, max_length=7)
    expected = ours.fit_transform(documents)
    monkeypatch.setattr(_encoding, "_BATCH", 7)
    monkeypatch.setattr(_encoding, "_MAX_CODES", 5)
    monkeypatch.setattr(vectorizer, "_MAX_KEPT_CODES", 3)
    for kind in (list, iter, np.array):
        again = clone(ours)
        assert_array_equal(again.fit_transform(kind(documents)), expected)
        assert again.vocabulary_ == ours.vocabulary_
        assert_array_equal(again.transform(kind(documents)), expected)


def test_what_is_remembered_is_bounded(monkeypatch):
    documents = random_corpus(50)
    n_pieces = len({piece for document in documents for piece in document.lower().split()})

    def remembered():
        ours = TextVectorizerTransformer().fit(documents)
        ours.transform(documents)
        return len(ours._plan().codes)

    assert remembered() == n_pieces
    monkeypatch.setattr(vectorizer, "_MAX_KEPT_CODES", n_pieces - 1)
    assert remembered() == 0
    monkeypatch.setattr(vectorizer, "_MAX_KEPT_CODES", n_pieces)
    monkeypatch.setattr(_encoding, "_MAX_CODES", 5)
    monkeypatch.setattr(_encoding, "_BATCH", 2)
    assert remembered() < n_pieces


# Processes


@pytest.fixture
def eager(monkeypatch):
    """Processes whatever the size; says which tasks went to them."""
    tasks = []
    delayed = _encoding.delayed

    def counting(function):
        tasks.append(function)
        return delayed(function)

    monkeypatch.setattr(_encoding, "_BATCH", 3)
    monkeypatch.setattr(_encoding, "_WORTH_STARTING", 0.0)
    monkeypatch.setattr(_encoding, "_WORTH_FEEDING", 0.0)
    monkeypatch.setattr(_encoding, "delayed", counting)
    return tasks


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"max_length": 6, "keep": "tail", "min_df": 2, "stop_words": ["a"]},
        {"analyzer": lambda text: text.split("b")},
        {"analyzer": "char_wb", "strip_accents": "unicode"},
        {"hash_buckets": 10},
        {"vocabulary": ["a", "b", "c"], "max_length": 9},
    ],
)
def test_processes_do_not_show(params, eager):
    documents = random_corpus(60)
    one = TextVectorizerTransformer(**params)
    two = TextVectorizerTransformer(n_jobs=2, **params)
    expected = one.fit_transform(documents)
    assert not eager
    for stream in (list, iter, np.array):
        eager.clear()
        ids = two.fit_transform(stream(documents))
        assert eager
        assert_array_equal(ids, expected)
        assert getattr(one, "vocabulary_", None) == getattr(two, "vocabulary_", None)
        eager.clear()
        assert_array_equal(two.transform(stream(documents)), expected)
        assert eager


def test_processes_start_for_seconds_of_work_only(eager, monkeypatch):
    now = [0.0]

    def clock():
        now[0] += 0.001
        return now[0]

    def slow(text):
        now[0] += 0.1
        return text.split()

    monkeypatch.setattr(_encoding, "perf_counter", clock)
    monkeypatch.setattr(_encoding, "_last_parallel", -np.inf)
    monkeypatch.setattr(_encoding, "_WORTH_STARTING", 4.0)
    monkeypatch.setattr(_encoding, "_WORTH_FEEDING", 0.2)
    ours = TextVectorizerTransformer(n_jobs=2, analyzer=slow)
    for n_documents, kind, goes in [
        (30, list, False),
        (100, iter, True),
        (30, list, True),  # they run by now
        (2, list, False),
    ]:
        eager.clear()
        ours.fit(kind(random_corpus(n_documents)))
        assert bool(eager) == goes
    now[0] += 1000.0
    ours.fit(random_corpus(30))
    assert bool(eager) == goes


def test_small_corpora_start_no_processes(monkeypatch):
    monkeypatch.setattr(_encoding, "Parallel", None)
    TextVectorizerTransformer(n_jobs=2).fit_transform(random_corpus(1000))


@pytest.mark.parametrize("row", [10, 50])
def test_errors_from_processes_name_the_row(row, eager):
    documents = random_corpus(52)
    documents[row] = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=f"NoneType in row {row}"):
            TextVectorizerTransformer(n_jobs=2).fit(documents)
    assert eager


# The scikit-learn contract, on strings


def test_parameters_equal_the_documentation():
    parameters = inspect.signature(TextVectorizerTransformer).parameters
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters.values())
    ours = TextVectorizerTransformer()
    assert ours.get_params() == {name: p.default for name, p in parameters.items()}
    assert list(vars(ours)) == list(parameters)
    assert set(ours._parameter_constraints) == set(parameters)
    section = inspect.getdoc(TextVectorizerTransformer)
    section = section.split("Parameters\n")[1].split("Attributes\n")[0]
    documented = dict(re.findall(r"^(\w+) : .*default=(.*)$", section, flags=re.MULTILINE))
    assert list(documented) == list(parameters)
    for name, text in documented.items():
        expected = eval(text, {"TOKEN_PATTERN": _text.TOKEN_PATTERN})
        assert expected == parameters[name].default


def test_parameters_are_those_of_count_vectorizer_where_it_has_them():
    theirs = CountVectorizer().get_params()
    ours = TextVectorizerTransformer().get_params()
    differing = {name for name in theirs.keys() & ours if theirs[name] != ours[name]}
    assert differing == {"token_pattern"}


def test_clone():
    params = {
        "analyzer": "char",
        "stop_words": ["a"],
        "vocabulary": {"a": 2},
        "max_length": 3,
        "n_jobs": 2,
    }
    ours = TextVectorizerTransformer(**params)
    assert clone(ours).get_params() == ours.get_params()
    fitted = TextVectorizerTransformer().fit(["a"])
    assert not hasattr(clone(fitted), "vocabulary_")
    with pytest.raises(NotFittedError):
        clone(fitted).transform(["a"])


def test_fit_is_idempotent_and_equals_fit_transform():
    documents = random_corpus()
    ours = TextVectorizerTransformer(min_df=2)
    assert ours.fit(documents) is ours
    first, state = ours.transform(documents), pickle.dumps(ours)
    ours.fit(documents)
    assert pickle.dumps(ours) == state
    assert_array_equal(ours.transform(documents), first)
    assert_array_equal(clone(ours).fit_transform(documents), first)
    assert_array_equal(clone(ours).fit_transform(documents, np.ones(300)), first)
    # another corpus replaces everything
    ours.set_params(min_df=1).fit(["b"])
    assert ours.vocabulary_ == {"b": 2}
    assert ours.transform(["b b"]).tolist() == [[2, 2]]


@pytest.mark.parametrize(
    "params", [{}, {"hash_buckets": 5}, {"vocabulary": ["a"]}, {"n_jobs": 2, "min_df": 2}]
)
def test_transform_changes_no_attribute(params):
    ours = TextVectorizerTransformer(**params).fit(random_corpus(20))
    before, dump = dict(vars(ours)), pickle.dumps(ours)
    ours.transform(random_corpus(10, seed=3))
    ours.get_feature_names_out()
    assert list(vars(ours)) == list(before)
    assert all(value is before[name] for name, value in vars(ours).items())
    assert pickle.dumps(ours) == dump


def test_fit_adds_only_fitted_attributes():
    ours = TextVectorizerTransformer()
    before = set(vars(ours))
    ours.fit(["a"])
    assert {name for name in vars(ours) if name not in before and not name.startswith("_")} == {
        "vocabulary_",
        "max_length_",
    }
    assert ours.get_params() == TextVectorizerTransformer().get_params()


def test_subsets_order_and_single_rows():
    documents = random_corpus()
    ours = TextVectorizerTransformer(max_length=9, min_df=3).fit(documents)
    ids = np.asarray(ours.transform(documents))
    assert_array_equal(np.vstack([ours.transform([document]) for document in documents]), ids)
    order = np.random.default_rng(0).permutation(len(documents))
    assert_array_equal(ours.transform([documents[i] for i in order]), ids[order])
    shuffled = clone(ours).fit([documents[i] for i in order])
    assert shuffled.vocabulary_ == ours.vocabulary_
    assert list(shuffled.vocabulary_) == list(ours.vocabulary_)


def test_pickle(tmp_path):
    documents = random_corpus()
    ours = TextVectorizerTransformer(stop_words=["a"]).fit(documents)
    expected = ours.transform(documents)
    joblib.dump(ours, tmp_path / "vectorizer.joblib")
    for copied in (pickle.loads(pickle.dumps(ours)), joblib.load(tmp_path / "vectorizer.joblib")):
        ids = copied.transform(documents)
        assert_array_equal(ids, expected)
        assert ids.same_vocabulary(expected)
    unfitted = TextVectorizerTransformer(hash_buckets=7)
    assert_array_equal(pickle.loads(pickle.dumps(unfitted)).transform(["a b"])[0, 2:], 0)


def test_one_vocabulary_object_for_all_ids():
    ours = TextVectorizerTransformer()
    train = ours.fit_transform(["a b", "c"])
    assert ours.transform(["a"]).vocabulary is train.vocabulary
    # also where a classifier in the same pickle holds the tuple
    loaded, tokens = pickle.loads(pickle.dumps((ours, train.vocabulary)))
    assert loaded.transform(["a"]).vocabulary is tokens
    # what was changed by hand is not overruled by it
    loaded.vocabulary_ = {"b": 2}
    assert loaded.transform(["b"]).vocabulary == ("b",)


def test_a_cached_plan_follows_the_parameters():
    ours = TextVectorizerTransformer().fit(["A b c"])
    assert ours.transform(["A"])[0].tolist() == [2, 0, 0]
    ours.set_params(lowercase=False)
    assert ours.transform(["A"])[0].tolist() == [1, 0, 0]
    ours.set_params(lowercase=True).transform(["b c"])
    ours.set_params(stop_words=["b"])
    assert ours.transform(["b c"])[0].tolist() == [4, 0, 0]
    hashing = TextVectorizerTransformer(hash_buckets=5, max_length=2)
    assert hashing.transform(["a"]).n_ids == 7
    assert hashing.set_params(hash_buckets=6).transform(["a"]).n_ids == 8
    assert hashing.set_params(max_length=4).transform(["a"]).shape == (1, 4)


def test_not_fitted():
    ours = TextVectorizerTransformer()
    for method in ("transform", "inverse_transform"):
        with pytest.raises(NotFittedError, match="instance is not fitted yet"):
            getattr(ours, method)(["a"])
    with pytest.raises(NotFittedError, match="not fitted yet"):
        ours.get_feature_names_out()
    with pytest.raises(NotFittedError):
        check_is_fitted(ours)
    for params in ({"hash_buckets": 5}, {"vocabulary": ["a"]}):
        check_is_fitted(TextVectorizerTransformer(**params))
    check_is_fitted(ours.fit(["a"]))


def test_tags():
    tags = get_tags(TextVectorizerTransformer())
    assert tags.input_tags.string
    assert not tags.input_tags.two_d_array
    assert tags.requires_fit
    assert not tags.target_tags.required
    assert not get_tags(TextVectorizerTransformer(hash_buckets=5)).requires_fit
    assert not get_tags(TextVectorizerTransformer(vocabulary=["a"])).requires_fit


def test_feature_names():
    ours = TextVectorizerTransformer().fit(["a b c"])
    names = ours.get_feature_names_out()
    assert names.dtype == object
    assert names.tolist() == ["token_0", "token_1", "token_2"]
    assert ours.get_feature_names_out(["text"]).tolist() == names.tolist()
    assert len(TextVectorizerTransformer(hash_buckets=3).get_feature_names_out()) == 512


@pytest.mark.parametrize(("container", "library"), [("pandas", pd), ("polars", pl)])
def test_set_output(container, library):
    texts = pd.Series(["a b", "b", ""], index=[7, 8, 9])
    plain = TextVectorizerTransformer().fit_transform(texts)
    # a frame cannot have more columns for longer documents: it has them all from the start
    ours = TextVectorizerTransformer(max_length=4).set_output(transform=container)
    for X in (texts, texts.to_frame("text"), texts.tolist(), pl.Series(texts.tolist())):
        for frame in (ours.fit_transform(X), ours.transform(X)):
            assert isinstance(frame, library.DataFrame)
            assert list(frame.columns) == [f"token_{i}" for i in range(4)]
            assert_array_equal(frame.to_numpy(), np.pad(plain, ((0, 0), (0, 2))))
    if container == "pandas":
        assert ours.transform(texts.to_frame("text")).index.tolist() == [7, 8, 9]
        assert set(frame.dtypes) == {np.dtype(np.int32)}
    back = ours.inverse_transform(frame)
    assert [tokens.tolist() for tokens in back] == [["a", "b"], ["b"], []]
    assert ours.transform([]).shape == (0, 4)
    assert ours.transform(["a b a b b"]).to_numpy().tolist() == [[3, 2, 3, 2]]
    learned = TextVectorizerTransformer(max_length=None).set_output(transform=container)
    assert learned.fit(texts).transform(["a b b"]).to_numpy().tolist() == [[3, 2]]


def test_read_only_input_and_arguments():
    texts = np.array(["a b", "b"], dtype=object)
    texts.flags.writeable = False
    stop_words, vocabulary = ["x"], {"a": 2, "b": 3}
    ours = TextVectorizerTransformer(stop_words=stop_words, vocabulary=vocabulary, max_length=2)
    ids = ours.fit(texts).transform(texts)
    assert (stop_words, vocabulary) == (["x"], {"a": 2, "b": 3})
    assert ours.vocabulary is vocabulary
    assert ours.vocabulary_ is not vocabulary
    ids.flags.writeable = False
    assert len(ours.inverse_transform(ids)) == 2


def test_pipeline_and_column_transformer():
    frame = pd.DataFrame({"text": ["a b", "b"], "other": ["x", "y z"], "number": [1.5, 2.5]})
    ids = make_pipeline(FunctionTransformer(), TextVectorizerTransformer()).fit_transform(
        frame["text"]
    )
    assert ids.vocabulary == ("b", "a")
    one = ColumnTransformer([("text", TextVectorizerTransformer(), "text")])
    ids = one.fit_transform(frame)
    assert type(ids) is TokenIds
    assert ids.vocabulary == ("b", "a")
    assert one.get_feature_names_out().tolist() == ["text__token_0", "text__token_1"]
    as_frame = ColumnTransformer([("text", TextVectorizerTransformer(), ["text"])])
    assert_array_equal(as_frame.fit_transform(frame), ids)
    two = ColumnTransformer(
        [(name, TextVectorizerTransformer(), name) for name in ("text", "other")]
    )
    with pytest.raises(ValueError, match="Cannot join TokenIds of different vocabularies"):
        two.fit_transform(frame)
    with_number = ColumnTransformer(
        [("text", TextVectorizerTransformer(), "text"), ("number", "passthrough", ["number"])]
    )
    with pytest.raises(ValueError, match=r"columns cannot be put beside token ids: .*Stacking"):
        with_number.fit_transform(frame)


def test_inverse_transform():
    ours = TextVectorizerTransformer().fit(["a good film", "a film"])
    ids = ours.transform(["a BAD film", "", "good"])
    back = ours.inverse_transform(ids)
    assert [tokens.tolist() for tokens in back] == [["a", "[UNK]", "film"], [], ["good"]]
    assert isinstance(back, list)
    assert all(isinstance(tokens, np.ndarray) for tokens in back)
    assert ours.inverse_transform([[0, 2, 0, 3]])[0].tolist() == ["a", "film"]
    assert ours.inverse_transform(np.array([[2.0, 0.0]]))[0].tolist() == ["a"]
    assert ours.inverse_transform(ids[:0]) == []


# Refusals


@pytest.mark.parametrize("params", [{}, {"hash_buckets": 5}, {"vocabulary": ["a"]}])
@pytest.mark.parametrize(
    ("X", "message"),
    [
        ("a film", r"got a single str. Put it into a list: \[document\]"),
        (b"a film", "got a single bytes"),
        (np.array("a film"), r"of shape \(\)"),
        (7, r"X must be an iterable of documents, got int \(7\)"),
        (None, "X must be an iterable of documents, got NoneType"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), r"DataFrame of shape \(1, 2\). Pick one text"),
        (pl.DataFrame({"a": ["x"], "b": ["y"]}), r"DataFrame of shape \(1, 2\)"),
        (pd.DataFrame(index=[0, 1]), r"shape \(2, 0\)"),
        (np.array([["x", "y"]]), r"ndarray of shape \(1, 2\)"),
        (np.array([[["x"]]]), r"shape \(1, 1, 1\)"),
        (csr_array(np.ones((2, 1))), r"csr_array of shape \(2, 1\)"),
        (["a", None], r"got NoneType in row 1. Drop such rows, or put an empty string there"),
        (["a", "b", float("nan")], r"got float \(nan\) in row 2. Drop such rows"),
        ([np.nan], "row 0"),
        (["a", Decimal("NaN")], r"got Decimal \(NaN\) in row 1. Drop"),
        ([Decimal("sNaN")], r"got Decimal \(sNaN\) in row 0. Drop"),
        (["a", Decimal("1.5")], r"got Decimal \(1.5\) in row 1. Convert it"),
        (np.array(["a", np.nan], dtype=object), "row 1"),
        (pd.Series(["a", None]), "in row 1. Drop such rows"),
        (pd.Series(["a", None], dtype="string"), r"got NAType \(<NA>\) in row 1. Drop"),
        (pd.DataFrame({"text": ["a", pd.NA]}, dtype=object), r"NAType \(<NA>\) in row 1. Drop"),
        (pl.Series(["a", None]), "got NoneType in row 1"),
        (["a", pd.NaT], "NaTType .* in row 1. Drop"),
        (["a", 5], r"got int \(5\) in row 1. Convert it with str"),
        (["a", np.float32(5.5)], r"got float32 \(5.5\) in row 1. Convert it"),
        (np.arange(3), r"got int \(0\) in row 0"),
        ([["a", "b"]], r"got list .* in row 0. For lists of tokens, set analyzer=lambda"),
        (["a", "é".encode("latin-1")], "bytes in UTF-8, got other bytes in row 1"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_bad_documents(params, X, message):
    for method in ("fit", "fit_transform"):
        with pytest.raises(ValueError, match=message):
            getattr(TextVectorizerTransformer(**params), method)(X)
    ours = TextVectorizerTransformer(**params).fit(["a good film"])
    expected = ours.transform(["a good day"])
    for method in ("transform", "fit"):
        with pytest.raises(ValueError, match=message):
            getattr(ours, method)(X)
    # a refused call changes nothing
    assert_array_equal(ours.transform(["a good day"]), expected)


def test_rows_are_counted_over_batches(monkeypatch):
    monkeypatch.setattr(_encoding, "_BATCH", 3)
    documents = [*["a"] * 10, 1.5]
    for params in ({}, {"hash_buckets": 5}):
        for X in (documents, iter(documents)):
            with pytest.raises(ValueError, match=r"float \(1.5\) in row 10"):
                TextVectorizerTransformer(**params).fit(X)


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (5, r"Tokens must be strings, got int \(5\) for the document in row 1. The analyzer"),
        (None, "got NoneType for the document in row 1"),
        (b"x", "got bytes"),
        (["x"], r"got list \(\['x'\]\) for the document in row 1"),
    ],
)
def test_tokens_that_are_not_strings(token, message):
    good, bad = [["a"], ["a"]], [["a"], ["a", token]]
    ours = TextVectorizerTransformer(analyzer=lambda document: document)
    with pytest.raises(ValueError, match=message):
        ours.fit(bad)
    ours.fit(good)
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            ours.transform(bad)
    hashing = TextVectorizerTransformer(hash_buckets=4, tokenizer=lambda text: ["a", token])
    with pytest.raises(ValueError, match="Tokens must be strings, got"):
        hashing.transform(["a"])


def test_documents_that_a_callable_analyzer_cannot_read():
    ours = TextVectorizerTransformer(analyzer=lambda document: document)
    with pytest.raises(ValueError, match=r"got int \(5\) instead of tokens for the .* row 1"):
        ours.fit([["a"], 5])
    for missing in (None, float("nan"), pd.NA):
        with pytest.raises(ValueError, match=r"must not be missing, got .* in row 1"):
            ours.fit([["a"], missing])
    # the analyzer's own errors are the user's to see

    def failing(document):
        raise TypeError("my own mistake")

    with pytest.raises(TypeError, match="my own mistake"):
        TextVectorizerTransformer(analyzer=failing).fit(["a"])


@pytest.mark.parametrize(
    ("params", "documents", "message"),
    [
        ({}, [], "There are no documents to learn a vocabulary from"),
        ({}, ["", " "], "none of the 2 documents has one with analyzer='word', token_pattern="),
        ({"stop_words": ["a"]}, ["a a"], r"none of the 1 documents .* stop_words=\['a'\]"),
        ({"token_pattern": "[0-9]+"}, ["a a"], r"token_pattern='\[0-9\]\+'"),
        ({"min_df": 3}, ["a b", "b"], "min_df=3 wants 3 and max_df=1.0 allows 2"),
        ({"min_df": 2}, ["a", "b"], "min_df=2 and max_df=1.0 removed all 2 tokens of 2 documents"),
        ({"max_df": 1}, ["b", "b"], "max_df=1 removed all 1 tokens of 2 documents. Lower min_df"),
        ({"min_df": 2, "max_df": 0.5}, ["b", "b"],
         "of 2 documents, min_df=2 wants 2 and max_df=0.5 allows 1"),
    ],
)  # fmt: skip
def test_nothing_left_for_a_vocabulary(params, documents, message):
    with pytest.raises(ValueError, match=message):
        TextVectorizerTransformer(**params).fit(documents)


@pytest.mark.parametrize("name", ["preprocessor", "strip_accents"])
@pytest.mark.parametrize(("result", "found"), [(None, "NoneType"), (b"a", "bytes"), (["a"], "li")])
def test_functions_that_return_no_string(name, result, found):
    ours = TextVectorizerTransformer(**{name: lambda document: result})
    message = rf"{name} must return a string for each document, got {found}.* for 'a film'"
    for method in (ours.fit, ours.fit_transform, lambda X: ours.build_analyzer()(X[0])):
        with pytest.raises(ValueError, match=message):
            method(["a film"])


BAD_PARAMETERS = [
    ({"analyzer": "words"}, "'analyzer' parameter"),
    ({"lowercase": "yes"}, "'lowercase' parameter"),
    ({"strip_accents": "utf"}, "'strip_accents' parameter"),
    ({"preprocessor": "lower"}, "'preprocessor' parameter"),
    ({"tokenizer": "split"}, "'tokenizer' parameter"),
    ({"stop_words": "french"}, "'stop_words' parameter"),
    ({"token_pattern": 5}, "'token_pattern' parameter"),
    ({"token_pattern": "("}, r"token_pattern must be a regular expression, got '\('"),
    ({"token_pattern": "(a)(b)"}, "one capturing group at most, got 2"),
    ({"token_pattern": "a{1000000000000}"}, r"must be a regular expression, got 'a\{1000"),
    ({"token_pattern": r"\w*"}, r"must not match the empty string, got '\\\\w\*'"),
    ({"token_pattern": r"|a"}, "must not match the empty string"),
    ({"token_pattern": None}, "token_pattern must be a regular expression when there is no tok"),
    ({"vocabulary": 5}, "'vocabulary' parameter"),
    ({"vocabulary": "film"}, "vocabulary must be an iterable or mapping of tokens, got 'film'"),
    ({"vocabulary": []}, "vocabulary must hold at least one token"),
    ({"vocabulary": {}}, "vocabulary must hold at least one token"),
    ({"vocabulary": ["a", "b", "a"]}, "vocabulary must hold each token once, got 'a'"),
    ({"vocabulary": ["a", 5]}, r"vocabulary must hold strings, got int \(5\)"),
    ({"vocabulary": ["a", ["b"]]}, "vocabulary must hold strings, got list"),
    ({"vocabulary": {"a": 0, "b": 1}}, "2 tokens to the ids 2 to 3, .* the ids 0, 1. Pass its"),
    ({"vocabulary": {"a": 2, "b": 4}}, "got the ids 2, 4. Pass its tokens as a list"),
    ({"vocabulary": {"a": 2, "b": 2}}, "got the ids 2, 2"),
    ({"vocabulary": {"a": "2"}}, "got the ids '2'"),
    ({"hash_buckets": 0}, "'hash_buckets' parameter"),
    ({"hash_buckets": 2**31 - 2}, "'hash_buckets' parameter"),
    ({"hash_buckets": 5, "vocabulary": ["a"]}, "vocabulary and hash_buckets exclude each other"),
    ({"min_df": 0}, "'min_df' parameter"),
    ({"min_df": 1.5}, "'min_df' parameter"),
    ({"max_df": -0.1}, "'max_df' parameter"),
    ({"max_features": 0}, "'max_features' parameter"),
    ({"max_length": 0}, "'max_length' parameter"),
    ({"max_length": 2**63}, "'max_length' parameter"),
    ({"max_length": None, "hash_buckets": 5}, "max_length must be an integer with hash_buckets"),
    ({"max_length": None, "vocabulary": ["a"]}, "max_length must be an integer with vocabulary"),
    ({"keep": "middle"}, "'keep' parameter"),
    ({"n_jobs": 1.5}, "'n_jobs' parameter"),
    ({"n_jobs": 0}, "'n_jobs' parameter"),
]


@pytest.mark.parametrize(("params", "message"), BAD_PARAMETERS)
def test_bad_parameters_are_refused_in_fit_only(params, message):
    ours = TextVectorizerTransformer(**params)
    assert ours.get_params().items() >= params.items()
    TextVectorizerTransformer().set_params(**params)
    for method in ("fit", "fit_transform"):
        with pytest.raises(InvalidParameterError, match=message):
            getattr(ours, method)(["a film"])
    fitted = TextVectorizerTransformer().fit(["a film"])
    with pytest.raises(InvalidParameterError, match=message):
        fitted.set_params(**params).fit(["b"])
    assert fitted.vocabulary_ == {"a": 2, "film": 3}


@pytest.mark.parametrize(
    ("params", "message"),
    [case for case in BAD_PARAMETERS if case[0].keys() & {"vocabulary", "hash_buckets"}]
    + [({"hash_buckets": 5, "keep": "middle"}, "'keep' parameter")],
)
def test_bad_parameters_are_refused_where_fit_is_not_needed(params, message):
    ours = TextVectorizerTransformer(**params)
    for _ in range(2):
        with pytest.raises(InvalidParameterError, match=message):
            ours.transform(["a"])


def test_count_vectorizer_vocabulary():
    theirs = CountVectorizer().fit(["good film", "bad film"]).vocabulary_
    with pytest.raises(InvalidParameterError, match="Pass its tokens as a list"):
        TextVectorizerTransformer(vocabulary=theirs).fit([])
    ours = TextVectorizerTransformer(vocabulary=list(theirs)).fit([])
    assert set(ours.vocabulary_) == set(theirs)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[9]], "ids of this vocabulary, from 0 to 3; got ids from 9 to 9"),
        ([[-1]], "got ids from -1 to -1"),
        ([[2.5]], "X must hold integers, got values of dtype float64"),
        ([["a"]], "X must hold integers"),
        (TokenIds([[2]], vocabulary=["x", "y"]), "ids of another vocabulary"),
        (TokenIds([[2]], n_ids=4), "ids of another vocabulary"),
    ],
)
def test_ids_that_cannot_be_inverted(X, message):
    ours = TextVectorizerTransformer().fit(["a b"])
    with pytest.raises(ValueError, match=message):
        ours.inverse_transform(X)


def test_hashes_cannot_be_inverted():
    ours = TextVectorizerTransformer(hash_buckets=5)
    with pytest.raises(ValueError, match="With hash_buckets the tokens cannot be recovered"):
        ours.inverse_transform(ours.transform(["a"]))


# Warnings


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"stop_words": ["don't", "the"]}, r"1 of 2 stop_words can never be removed.*\"don't\""),
        ({"stop_words": ["The"]}, "1 of 1 stop_words .*'The'"),
        ({"stop_words": {"été", "the"}, "strip_accents": "unicode"}, "'été'"),
        ({"analyzer": "char", "stop_words": ["a"]}, "'stop_words' is not used because analyzer="),
        ({"analyzer": "char", "token_pattern": "a"}, "'token_pattern' is not used because anal"),
        ({"analyzer": "char_wb", "tokenizer": str.split}, "'tokenizer' is not used"),
        ({"analyzer": str.split, "preprocessor": str.lower}, "'preprocessor' is not used"),
        ({"analyzer": str.split, "strip_accents": "ascii"}, "'strip_accents' is not used"),
        ({"tokenizer": str.split, "token_pattern": "a"}, "not used because tokenizer is set"),
        ({"vocabulary": ["film", "Film"]}, "1 tokens of vocabulary are not in lower case.*'Film'"),
    ],
)
def test_warnings_about_parameters_that_do_nothing(params, message):
    with pytest.warns(UserWarning, match=message):
        TextVectorizerTransformer(**params).fit(["a film"])


@pytest.mark.parametrize(
    "params",
    [
        {"stop_words": "english"},
        {"stop_words": list(ENGLISH_STOP_WORDS), "strip_accents": "unicode"},
        {"stop_words": ["The"], "lowercase": False},
        {"tokenizer": str.split},
        {"tokenizer": str.split, "token_pattern": None, "stop_words": ["don't"]},
        {"tokenizer": lambda text: text.split()[5:], "stop_words": []},
        {"analyzer": "char"},
        {"analyzer": list},
        {"vocabulary": ["Film"], "lowercase": False},
        {"vocabulary": ["film", "!", "ß"]},
        {"vocabulary": ["Film"], "analyzer": str.split},
    ],
)
def test_no_needless_warnings(params):
    documents = [" ".join("abcdefgh")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = TextVectorizerTransformer(**params).fit(documents)
        ours.transform(documents)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ({"a": "good film", "b": "bad film"}, r"mapping \(dict\).*list\(X.values\(\)\)"),
        ({"good film", "bad film"}, r"set \(set\)"),
        (frozenset(["good film"]), r"set \(frozenset\)"),
        ({"a": "good film"}.keys(), r"set \(dict_keys\)"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "fit_transform", "transform"])
def test_collections_without_an_order_or_of_named_things_are_refused(X, message, method):
    vectorizer = TextVectorizerTransformer().fit(["good film", "bad film"])
    with pytest.raises(ValueError, match=message):
        getattr(vectorizer, method)(X)


@pytest.mark.parametrize("analyzer", ["word", "char"])
def test_members_of_a_string_enumeration_are_read_by_their_value(analyzer):
    members = enum.Enum("Verdict", {"A": "good film", "B": "bad film"}, type=str)
    values = [member.value for member in members]
    vectorizer = TextVectorizerTransformer(analyzer=analyzer)
    assert_array_equal(vectorizer.fit_transform(list(members)), vectorizer.fit_transform(values))


def test_tokens_that_are_members_of_a_string_enumeration_are_their_values():
    members = enum.Enum("Word", {"A": "good", "B": "bad"}, type=str)
    vectorizer = TextVectorizerTransformer(analyzer=lambda document: document)
    assert vectorizer.fit([list(members)]).vocabulary_ == {"bad": 2, "good": 3}


CLAUSES = [
    "这部电影非常好看",
    "この映画はとても面白い",
    "หนังเรื่องนี้สนุกมาก",
    "这部电影真的无聊 film",
] * 3


@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_text_without_spaces_is_told(method):
    with pytest.warns(UserWarning, match=r'no spaces between words.*analyzer="char"'):
        getattr(TextVectorizerTransformer(), method)(CLAUSES)


@pytest.mark.parametrize(
    ("documents", "parameters"),
    [
        (CLAUSES, {"analyzer": "char"}),
        (CLAUSES, {"tokenizer": list, "token_pattern": None}),
        (["这部", "a film that is quite long, and in English"], {}),
        # what is frequent counts as often
        (["这部电影非常好看", *["the very same film"] * 9], {}),
        (DOCUMENTS, {}),
    ],
)
def test_text_with_spaces_and_text_cut_otherwise_is_no_news(documents, parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TextVectorizerTransformer(**parameters).fit(documents)
