"""Reading and splitting documents, for the vectorizer."""

import re
import warnings
from collections.abc import Mapping, Set
from decimal import Decimal
from functools import partial
from itertools import islice
from numbers import Number

import numpy as np
from sklearn.feature_extraction.text import (
    ENGLISH_STOP_WORDS,
    strip_accents_ascii,
    strip_accents_unicode,
)
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_textcnn._token_pattern import TOKEN_PATTERN

# Patterns that see no further than the next white space. Text is split there first, and a regular
# expression runs once for each distinct piece instead of over the whole corpus.
PATTERNS_WITHIN_WHITE_SPACE = frozenset(
    (
        TOKEN_PATTERN,
        r"(?u)\w+|[^\w\s]",
        r"(?u)\b\w\w+\b",
        r"(?u)\b\w+\b",
        r"(?u)\w+",
        r"\w+",
        r"\S+",
    )
)


# Letters of scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, kana, Han.
_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff]"
)


class Documents:
    """A collection of documents, read once and in batches."""

    def __init__(self, X):
        if isinstance(X, (str, bytes)):
            raise ValueError(
                f"X must be an iterable of documents, got a single {type(X).__name__}. Put it into "
                "a list: [document]."
            )
        if isinstance(X, (Mapping, Set)):
            kind = "mapping" if isinstance(X, Mapping) else "set"
            remedy = (
                "list(X.values())" if kind == "mapping" else "a list in the order of the labels"
            )
            raise ValueError(
                f"X must be an iterable of documents in order, got a {kind} ({type(X).__name__}). "
                f"Pass {remedy}, or [X] if it is one document for a callable analyzer."
            )
        shape = getattr(X, "shape", None)
        if isinstance(shape, tuple) and (
            not 1 <= len(shape) <= 2 or (len(shape) == 2 and shape[1] != 1) or hasattr(X, "tocsr")
        ):
            raise ValueError(
                f"X must hold one document per row, of shape (n_documents,) or (n_documents, 1); "
                f"got {type(X).__name__} of shape {shape}. Pick one text column, for instance "
                "with a ColumnTransformer, or join the columns."
            )
        self.row = 0
        self.n_rows = None
        if hasattr(X, "__array__"):
            if not isinstance(X, np.ndarray):
                # Polars would make strings as long as the longest one, which end before a NUL.
                X = np.asarray(X, dtype=object)
            X = X.reshape(len(X))
        if isinstance(X, (list, tuple, np.ndarray)):
            self._source = X
            self.n_rows = len(X)
            return
        try:
            self._source = iter(X)
        except TypeError:
            raise ValueError(f"X must be an iterable of documents, got {describe(X)}.") from None

    def take(self, size):
        """The next documents as a list; an empty one at the end."""
        if self.n_rows is None:
            batch = list(islice(self._source, size))
        else:
            batch = self._source[self.row : self.row + size]
            batch = batch.tolist() if isinstance(batch, np.ndarray) else list(batch)
        self.row += len(batch)
        return batch

    def close(self):
        """Whatever has not been taken is left alone."""
        self._source, self.n_rows = [], 0

    def remaining(self):
        """How many are left; of an iterator as many again as have come, for want of better."""
        return self.row if self.n_rows is None else self.n_rows - self.row


def checked_text(document, row=None):
    """A document as str, or a ValueError that names its row."""
    where = "" if row is None else f" in row {row}"
    if isinstance(document, str):
        return str.__str__(document)  # str() of an enumeration's member is its name
    if isinstance(document, bytes):
        try:
            return document.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"Documents must be strings or bytes in UTF-8, got other bytes{where} ({error}). "
                "Decode them first: document.decode(encoding)."
            ) from error
    if _is_missing(document):
        remedy = 'Drop such rows, or put an empty string there (pandas: X.fillna("")).'
    elif isinstance(document, (list, tuple)):
        remedy = "For lists of tokens, set analyzer=lambda document: document."
    else:
        remedy = "Convert it with str, or pick the column that holds the text."
    raise ValueError(
        f"Documents must be strings or bytes in UTF-8, got {describe(document)}{where}. {remedy}"
    )


def checked_object(document, row):
    """A document for a callable analyzer: anything but a missing value."""
    if _is_missing(document):
        raise ValueError(
            f"Documents must not be missing, got {describe(document)} in row {row}. Drop such "
            "rows or put an empty document there."
        )
    return document


def _is_missing(value):
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, Decimal):  # a signaling NaN cannot be compared
        return value.is_nan()
    return isinstance(value, Number) and bool(value != value)


def describe(value):
    """Type and value, short enough for an error message."""
    kind = type(value).__name__
    return kind if value is None else f"{kind} ({' '.join(str(value).split())[:40]})"


def splitter(estimator, max_length=None):
    """Two functions: document -> pieces, and piece -> tokens (None: pieces are tokens).

    Pieces beyond `max_length` are left out where each is known to hold a token: whether that is so
    comes third.
    """
    if callable(estimator.analyzer):
        return estimator.analyzer, None, False
    analyze = word_or_char_analyzer(estimator)
    if (
        estimator.analyzer == "word"
        and estimator.tokenizer is None
        and estimator.token_pattern in PATTERNS_WITHIN_WHITE_SPACE
    ):
        if analyze.stop_words is not None:
            return partial(_pieces, analyze.preprocess), analyze.tokens, False
        if max_length is not None and estimator.token_pattern == TOKEN_PATTERN:
            cut = _first_pieces if estimator.keep == "head" else _last_pieces
            return partial(cut, analyze.preprocess, max_length), analyze.tokenize, True
        return partial(_pieces, analyze.preprocess), analyze.tokenize, False
    return analyze, None, False


def _pieces(preprocess, document):
    return preprocess(document).split()


def _first_pieces(preprocess, number, document):
    return preprocess(document).split(None, number)[:number]


def _last_pieces(preprocess, number, document):
    return preprocess(document).rsplit(None, number)[-number:]


def word_or_char_analyzer(estimator):
    preprocess = _preprocessor(estimator)
    if estimator.analyzer == "char":
        return partial(_characters, preprocess)
    if estimator.analyzer == "char_wb":
        return partial(_characters_of_words, preprocess)
    if estimator.tokenizer is None and estimator.token_pattern == TOKEN_PATTERN:
        preprocess = partial(_without_invisible, preprocess)
    return _WordAnalyzer(preprocess, _tokenizer(estimator), _stop_words(estimator))


class _WordAnalyzer:
    def __init__(self, preprocess, tokenize, stop_words):
        self.preprocess = preprocess
        self.tokenize = tokenize
        self.stop_words = stop_words

    def __call__(self, document):
        return self.tokens(self.preprocess(document))

    def tokens(self, text):
        tokens = self.tokenize(text)
        if self.stop_words is None:
            return tokens
        return [token for token in tokens if token not in self.stop_words]


def analyze(split, document):
    """The tokens of one document, as a list."""
    return list(split(checked_text(document)))


def _without_invisible(preprocess, document):
    """Text without soft hyphens, word joiners and byte order marks; with zero-width spaces seen."""
    text = preprocess(document)
    if text.isascii():
        return text
    text = text.replace("\u00ad", "").replace("\u2060", "").replace("\ufeff", "")
    return text.replace("\u200b", " ")


def _characters(preprocess, document):
    return re.sub(r"\s\s+", " ", preprocess(document))


def _characters_of_words(preprocess, document):
    # A space before and one after each word, as CountVectorizer has them.
    return "".join([f" {word} " for word in preprocess(document).split()])


def _preprocessor(estimator):
    if estimator.preprocessor is not None:
        return partial(_checked_result, "preprocessor", estimator.preprocessor)
    strip = {"ascii": strip_accents_ascii, "unicode": strip_accents_unicode}.get(
        estimator.strip_accents, estimator.strip_accents
    )
    if callable(estimator.strip_accents):
        strip = partial(_checked_result, "strip_accents", strip)
    if strip is None:
        return str.lower if estimator.lowercase else str
    return partial(_lower_and_strip, strip) if estimator.lowercase else strip


def _checked_result(name, function, document):
    text = function(document)
    if not isinstance(text, str):
        raise ValueError(
            f"{name} must return a string for each document, got {describe(text)} for "
            f"{document[:40]!r}."
        )
    return text


def _lower_and_strip(strip, document):
    return strip(document.lower())


def _tokenizer(estimator):
    if estimator.tokenizer is not None:
        return estimator.tokenizer
    if estimator.token_pattern is None:
        raise InvalidParameterError(
            "token_pattern must be a regular expression when there is no tokenizer, got None."
        )
    try:
        pattern = re.compile(estimator.token_pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidParameterError(
            f"token_pattern must be a regular expression, got {estimator.token_pattern!r}: {error}."
        ) from error
    if pattern.search("") is not None:
        raise InvalidParameterError(
            f"token_pattern must not match the empty string, got {estimator.token_pattern!r}: "
            "every place between two letters would be a token. Write + in place of *."
        )
    if pattern.groups > 1:
        raise InvalidParameterError(
            f"token_pattern must have one capturing group at most, got {pattern.groups} in "
            f"{estimator.token_pattern!r}. Write the others as (?:...)."
        )
    return pattern.findall


def _stop_words(estimator):
    if isinstance(estimator.stop_words, str):
        return ENGLISH_STOP_WORDS
    return None if estimator.stop_words is None else frozenset(estimator.stop_words)


def check_parameters_together(estimator):
    """Refuse parameters that contradict each other, warn about those that do nothing."""
    learns = estimator._learns()
    if estimator.vocabulary is not None and estimator.hash_buckets is not None:
        raise InvalidParameterError(
            "vocabulary and hash_buckets exclude each other, got both. Set one of them to None."
        )
    if estimator.max_length is None and not learns:
        name = "hash_buckets" if estimator.vocabulary is None else "vocabulary"
        raise InvalidParameterError(
            f"max_length must be an integer with {name}, because no length is learned; got None."
        )
    is_word = isinstance(estimator.analyzer, str) and estimator.analyzer == "word"
    unused = {}
    if callable(estimator.analyzer):
        unused["preprocessor"] = estimator.preprocessor is not None
        unused["strip_accents"] = estimator.strip_accents is not None
    if not is_word:
        unused["tokenizer"] = estimator.tokenizer is not None
        unused["stop_words"] = estimator.stop_words is not None
    own_pattern = estimator.token_pattern not in (None, TOKEN_PATTERN)
    unused["token_pattern"] = own_pattern and (not is_word or estimator.tokenizer is not None)
    for name in filter(unused.get, unused):
        why = "tokenizer is set" if is_word else f"analyzer={estimator.analyzer!r}"
        warnings.warn(f"The parameter {name!r} is not used because {why}.", stacklevel=5)
    if is_word:
        _warn_about_stop_words(estimator)
    lowers = not callable(estimator.analyzer) and estimator.preprocessor is None
    if estimator.lowercase and lowers and isinstance(estimator.vocabulary, (list, tuple, Mapping)):
        upper = [token for token in estimator.vocabulary if str(token) != str(token).lower()]
        if upper:
            warnings.warn(
                f"{len(upper)} tokens of vocabulary are not in lower case, such as {upper[0]!r}, "
                "and cannot be found while lowercase=True.",
                stacklevel=5,
            )


def _warn_about_stop_words(estimator):
    analyze = word_or_char_analyzer(estimator)
    words, analyze.stop_words = analyze.stop_words, None
    if words is None:
        return
    try:
        lost = sorted(word for word in words if list(analyze(word)) != [word])
    except Exception:  # a preprocessor or tokenizer that cannot take a bare word
        return
    if lost:
        shown = ", ".join(map(repr, lost[:5])) + (", ..." if len(lost) > 5 else "")
        warnings.warn(
            f"{len(lost)} of {len(words)} stop_words can never be removed, because splitting "
            f"documents gives no such tokens: {shown}. Treat them as documents are treated "
            "(lowercase, strip_accents, token_pattern).",
            stacklevel=6,
        )


def tokenizing_parameters(estimator):
    names = ("analyzer", "preprocessor", "tokenizer", "stop_words", "token_pattern")
    return ", ".join(
        f"{name}={getattr(estimator, name)!r}"
        for name in names
        if getattr(estimator, name) is not None
    )


def warn_of_text_without_spaces(estimator, tokens, counts):
    """Warn if most of the text is in scripts without spaces, where a token is a whole clause.

    Parameters
    ----------
    estimator : TextVectorizerTransformer
    tokens : list of str
    counts : ndarray of shape (n_tokens,)
        How often each is in the documents.
    """
    if (
        estimator.analyzer != "word"
        or estimator.tokenizer is not None
        or all(map(str.isascii, tokens))
    ):
        return
    letters = np.fromiter(map(len, tokens), np.int64, len(tokens)) * counts
    is_clause = [_WITHOUT_SPACES.search(token) is not None for token in tokens]
    share = letters[is_clause].sum() / max(letters.sum(), 1)
    if share > 0.5:
        warnings.warn(
            f"{share:.0%} of the letters are of scripts that put no spaces between words (Chinese, "
            'Japanese, Thai, ...), so that a token is a whole clause. Set analyzer="char", or a '
            "tokenizer that knows the words.",
            UserWarning,
            stacklevel=6,
        )
