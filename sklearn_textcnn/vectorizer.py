"""Documents to token ids."""

import warnings
import weakref
from collections import Counter
from collections.abc import Mapping
from functools import partial
from numbers import Integral
from operator import is_

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_array, murmurhash3_32
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    RealNotInt,
    StrOptions,
)
from sklearn.utils._set_output import _get_output_config

from sklearn_textcnn._encoding import (
    Codes,
    Recipe,
    document_frequencies,
    encode,
    provisional_ids,
)
from sklearn_textcnn._progress import shown
from sklearn_textcnn._saving import Saved
from sklearn_textcnn._text import (
    TOKEN_PATTERN,
    Documents,
    analyze,
    check_parameters_together,
    describe,
    tokenizing_parameters,
    warn_of_text_without_spaces,
    word_or_char_analyzer,
)
from sklearn_textcnn.token_ids import TokenIds, _IdSpace

_FIRST_ID = 2
_MAX_KEPT_CODES = 2**16  # distinct pieces remembered from one call of transform to the next
_WORTH_TELLING = 0.01  # share of the tokens that max_length cuts


class TextVectorizerTransformer(Saved, TransformerMixin, BaseEstimator):
    r"""Turn documents into rows of token ids, for a network that reads them in order.

    Id 0 is padding, id 1 the unknown token, and ids from 2 on are the tokens of the vocabulary.
    Documents are cut to `max_length` tokens and padded with 0 on the right.

    Parameters
    ----------
    analyzer : {"word", "char", "char_wb"} or callable, default="word"
        What a token is: a match of `token_pattern`, a character, or a character with the words
        set apart by spaces. A callable gets each document as it is and returns its tokens:
        ``analyzer=lambda document: document`` takes documents that are lists of tokens already.

    lowercase : bool, default=True
        Convert documents to lower case before they are split into tokens. Not used with a callable
        `analyzer` or a `preprocessor`.

    strip_accents : {"ascii", "unicode"} or callable, default=None
        Remove accents, as in :class:`~sklearn.feature_extraction.text.CountVectorizer`. Not used
        with a callable `analyzer` or a `preprocessor`.

    preprocessor : callable, default=None
        Replaces `lowercase` and `strip_accents`: a function from a string to a string. Not used
        with a callable `analyzer`.

    tokenizer : callable, default=None
        Replaces `token_pattern`: a function from a string to a list of tokens. Used only with
        ``analyzer="word"``.

    stop_words : {"english"} or list, tuple or set of str, default=None
        Tokens to leave out, before documents are cut. "english" is scikit-learn's list. Used only
        with ``analyzer="word"``.

    token_pattern : str or None, default=TOKEN_PATTERN
        Regular expression of a token: by default a word or one punctuation mark. That is
        ``r"(?u)\w+|[^\w\s]"`` and the combining marks and joiners that stand in words: accents,
        vowel signs of Indic scripts, points of Arabic and Hebrew; soft hyphens and other characters
        that nobody sees are left out. If the pattern has a group, the group is the token. Used
        only with ``analyzer="word"`` and without a `tokenizer`; with a `tokenizer` it may be None.

    vocabulary : iterable or mapping of str, default=None
        A fixed vocabulary. The tokens of an iterable get ids 2, 3, ... in its order; a mapping
        from tokens to ids must use exactly these ids. Nothing is learned then, :meth:`transform`
        works without :meth:`fit`, and `min_df`, `max_df` and `max_features` are not used.

    hash_buckets : int, default=None
        Instead of a vocabulary, give each token one of the ids 2, ..., ``hash_buckets + 1`` by a
        hash of its UTF-8 bytes, the same in every process. Nothing is learned then,
        :meth:`transform` works without :meth:`fit`, and no id is unknown.

    min_df : float in [0.0, 1.0] or int, default=1
        Tokens in fewer documents become the unknown id: a number of documents, or a share of them
        if it is a float.

    max_df : float in [0.0, 1.0] or int, default=1.0
        Tokens in more documents become the unknown id: a number of documents, or a share of them
        if it is a float.

    max_features : int, default=None
        Keep only this many tokens, the most frequent ones. Ids 0 and 1 are not counted.

    max_length : int or None, default=512
        Most tokens kept of a document. :meth:`fit` warns if a hundredth of the tokens or more is
        cut. None: as many as the longest training document has; not possible with `vocabulary` or
        `hash_buckets`.

    keep : {"head", "tail"}, default="head"
        Which end of a longer document is kept.

    n_jobs : int, default=None
        Number of processes that split large corpora into tokens. They start only if several
        seconds of work are left, and once they run they are used for fractions of a second too.
        None means 1 unless in a :obj:`joblib.parallel_config` context, -1 all processors. The
        result does not depend on it.

    verbose : int, default=0
        Above 0: a progress bar while documents are split into tokens, on standard error, if that
        takes longer than half a second.

    Attributes
    ----------
    vocabulary_ : dict of str to int
        The id of each token, by falling frequency in the kept parts of the training documents;
        tokens of the same frequency are in alphabetical order. Not there with `hash_buckets`.

    max_length_ : int
        Least number of columns: the length of the longest training document in tokens or
        `max_length`, whichever is less. `max_length` with `vocabulary` or `hash_buckets`.

    See Also
    --------
    TokenIds : The array that :meth:`transform` returns.
    sklearn.feature_extraction.text.CountVectorizer : Counts tokens and forgets their order.

    Notes
    -----
    Documents may be a list, a tuple, an array of shape (n_documents,) or (n_documents, 1), a
    pandas or polars Series, a frame with one column, or any other iterable, which is read once.
    A document is a string, or bytes in UTF-8. One without tokens is a row of padding.

    Rows are as long as the longest training document, and longer where a document is (at most
    `max_length`): the classifiers take `TokenIds` of any width. Columns of a pandas or polars frame
    (``set_output``) cannot depend on the documents: there they are always `max_length`.

    A stop word that can never be a token, because `lowercase` or `token_pattern` turn it into
    something else, causes a warning.

    Examples
    --------
    >>> from sklearn_textcnn import TextVectorizerTransformer
    >>> documents = ["A good film!", "Not a good film, not at all."]
    >>> vectorizer = TextVectorizerTransformer()
    >>> vectorizer.fit_transform(documents)
    TokenIds([[ 2,  4,  3,  6,  0,  0,  0,  0,  0],
              [ 5,  2,  4,  3,  7,  5, 10,  9,  8]], dtype=int32)
    >>> vectorizer.vocabulary_
    {'a': 2, 'film': 3, 'good': 4, 'not': 5, '!': 6, ',': 7, '.': 8, 'all': 9, 'at': 10}
    >>> ids = vectorizer.transform(["A bad film."])
    >>> ids
    TokenIds([[2, 1, 3, 8, 0, 0, 0, 0, 0]], dtype=int32)
    >>> vectorizer.inverse_transform(ids)
    [array(['a', '[UNK]', 'film', '.'], dtype=object)]

    Without fitting, for documents that come in a stream:

    >>> hashing = TextVectorizerTransformer(hash_buckets=2**18, max_length=4)
    >>> hashing.transform(["A good film!"]).shape
    (1, 4)
    """

    _parameter_constraints: dict = {
        "analyzer": [StrOptions({"word", "char", "char_wb"}), callable],
        "lowercase": ["boolean"],
        "strip_accents": [StrOptions({"ascii", "unicode"}), callable, None],
        "preprocessor": [callable, None],
        "tokenizer": [callable, None],
        "stop_words": [StrOptions({"english"}), list, tuple, set, frozenset, None],
        "token_pattern": [str, None],
        "vocabulary": [Mapping, HasMethods("__iter__"), None],
        "hash_buckets": [Interval(Integral, 1, 2**31 - 3, closed="both"), None],
        "min_df": [
            Interval(RealNotInt, 0, 1, closed="both"),
            Interval(Integral, 1, None, closed="left"),
        ],
        "max_df": [
            Interval(RealNotInt, 0, 1, closed="both"),
            Interval(Integral, 1, None, closed="left"),
        ],
        "max_features": [Interval(Integral, 1, None, closed="left"), None],
        "max_length": [Interval(Integral, 1, 2**31 - 1, closed="both"), None],
        "keep": [StrOptions({"head", "tail"})],
        "n_jobs": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Integral, None, -1, closed="right"),
            None,
        ],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        analyzer="word",
        lowercase=True,
        strip_accents=None,
        preprocessor=None,
        tokenizer=None,
        stop_words=None,
        token_pattern=TOKEN_PATTERN,
        vocabulary=None,
        hash_buckets=None,
        min_df=1,
        max_df=1.0,
        max_features=None,
        max_length=512,
        keep="head",
        n_jobs=None,
        verbose=0,
    ):
        self.analyzer = analyzer
        self.lowercase = lowercase
        self.strip_accents = strip_accents
        self.preprocessor = preprocessor
        self.tokenizer = tokenizer
        self.stop_words = stop_words
        self.token_pattern = token_pattern
        self.vocabulary = vocabulary
        self.hash_buckets = hash_buckets
        self.min_df = min_df
        self.max_df = max_df
        self.max_features = max_features
        self.max_length = max_length
        self.keep = keep
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the vocabulary and the length of the rows.

        With `vocabulary` or `hash_buckets` there is nothing to learn: parameters and documents are
        checked.

        Parameters
        ----------
        X : iterable of str, of length n_documents
            The training documents.

        y : None
            Ignored; there for compatibility with :class:`~sklearn.pipeline.Pipeline`.

        Returns
        -------
        self : TextVectorizerTransformer
            The fitted transformer.

        Raises
        ------
        ValueError
            If `X` is not a collection of documents, if a row is not text, or if no token is left
            for the vocabulary.
        """
        self._fit(X, only_check=True)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X, y=None):
        """Learn the vocabulary and return the ids of the training documents.

        The same as ``fit(X).transform(X)``, but documents are split into tokens once.

        Parameters
        ----------
        X : iterable of str, of length n_documents
            The training documents.

        y : None
            Ignored; there for compatibility with :class:`~sklearn.pipeline.Pipeline`.

        Returns
        -------
        ids : TokenIds of shape (n_documents, `max_length_`)
            The ids, padded with 0 on the right.

        Warns
        -----
        UserWarning
            If `max_length` cuts a hundredth of the tokens or more, with the shares of documents and
            of tokens; if most of the text is in scripts without spaces between words.
        """
        before = vars(self)
        chunks, final_ids = self._fit(X)
        try:
            return _token_ids(chunks, self._plan(), self._fixed_width(), final_ids)
        except BaseException:  # above all, no memory for the ids
            self.__dict__ = before
            raise

    def transform(self, X):
        """Return the ids of documents.

        Parameters
        ----------
        X : iterable of str, of length n_documents
            The documents.

        Returns
        -------
        ids : TokenIds of shape (n_documents, n_tokens)
            The ids, padded with 0 on the right; 1 for tokens that are not in the vocabulary. There
            are `max_length_` columns, or more for a longer document (at most `max_length`).

        Raises
        ------
        ValueError
            If `X` is not a collection of documents, or if a row is not text.
        """
        plan = self._plan()
        documents = Documents(X)
        codes = plan.codes
        chunks = self._encode(plan.recipe, documents, plan.id_of, codes)
        if len(codes) > _MAX_KEPT_CODES:
            plan.codes = Codes(plan.recipe.tokenize, plan.id_of)
        return _token_ids(chunks, plan, self._fixed_width())

    def inverse_transform(self, X):
        """Return the tokens of ids.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_documents, n_tokens)
            The ids.

        Returns
        -------
        tokens : list of n_documents object arrays of str
            The tokens of each row without its padding; "[UNK]" for the unknown token.

        Raises
        ------
        ValueError
            With `hash_buckets`, and for ids that are not in the vocabulary.
        """
        space = self._plan().space
        if space.vocabulary is None:
            raise ValueError(
                "With hash_buckets the tokens cannot be recovered from their ids. Use a learned or "
                "fixed vocabulary instead."
            )
        known = isinstance(X, TokenIds) and X.n_ids is not None
        if known and not X.same_vocabulary(space.vocabulary, space.n_ids):
            raise ValueError(
                "X holds the ids of another vocabulary. Use the TextVectorizerTransformer that "
                "made them."
            )
        ids = check_array(X, dtype=None, ensure_min_samples=0, ensure_min_features=0)
        if ids.dtype.kind not in "iuf" or not np.array_equal(ids, ids.astype(np.int64)):
            raise ValueError(f"X must hold integers, got values of dtype {ids.dtype}.")
        if ids.min(initial=0) < 0 or ids.max(initial=0) >= space.n_ids:
            raise ValueError(
                f"X must hold ids of this vocabulary, from 0 to {space.n_ids - 1}; got ids from "
                f"{ids.min():g} to {ids.max():g}. Use the TextVectorizerTransformer that made them."
            )
        tokens = np.array([None, "[UNK]", *space.vocabulary], dtype=object)
        return [tokens[row[row > 0]] for row in ids.astype(np.int64)]

    def get_feature_names_out(self, input_features=None):
        """Return a name for each of the `max_length_` columns (in a frame, `max_length`).

        Parameters
        ----------
        input_features : array-like of str, default=None
            Ignored; there for compatibility with scikit-learn.

        Returns
        -------
        names : object array of str
            "token_0", "token_1", ...
        """
        width = self._fixed_width() or self._plan().width
        return np.array([f"token_{column}" for column in range(width)], dtype=object)

    def _fixed_width(self):
        """Number of columns that `set_output` fixes; None: as many as the documents need."""
        container = _get_output_config("transform", self)["dense"]
        return None if container == "default" else self.max_length

    def build_analyzer(self):
        """Return the function that splits a document into tokens.

        Returns
        -------
        analyzer : callable
            A function from a document to a list of its tokens, before it is cut to `max_length`.
        """
        if callable(self.analyzer):
            return self.analyzer
        return partial(analyze, word_or_char_analyzer(self))

    def _fit(self, X, only_check=False):
        """Fit, and return encoded documents with the final ids of their provisional ones."""
        check_parameters_together(self)
        recipe = Recipe(self, estimates_whole=True)
        documents = Documents(X)
        vocabulary, final_ids, chunks = None, None, []
        if self.vocabulary is not None or self.hash_buckets is not None:
            vocabulary = _fixed_vocabulary(self.vocabulary)
            width = self.max_length
            if only_check:
                recipe.check_all(documents)
            else:
                id_of = _id_function(vocabulary, self.hash_buckets)
                codes = Codes(recipe.tokenize, id_of)
                chunks = self._encode(recipe, documents, id_of, codes)
        else:
            seen = provisional_ids()
            codes = Codes(recipe.tokenize, seen.__getitem__)
            chunks = self._encode(recipe, documents, seen.__getitem__, codes)
            vocabulary, final_ids = self._choose_tokens(list(seen), chunks, documents.row)
            width = max(int(chunk.lengths.max()) for chunk in chunks)
        self._tell_what_is_cut(chunks)
        learned = {"max_length_": width}
        if vocabulary is not None:
            learned |= {"vocabulary_": vocabulary, "_tokens": tuple(vocabulary)}
        before = {k: v for k, v in vars(self).items() if k not in ("vocabulary_", "_tokens")}
        # In one step at the end: a refusal leaves the estimator as it was, and other threads that
        # transform see the old state or the new one, whole.
        self.__dict__ = before | learned
        return chunks, final_ids

    def _encode(self, recipe, documents, id_of, codes):
        """Encode documents, chunk by chunk."""
        chunks, n_done = [], 0
        with shown(self.verbose) as progress:
            progress.begin(documents.n_rows, "tokenising", "documents")
            for chunk in encode(recipe, documents, id_of, codes, self.n_jobs):
                chunks.append(chunk)
                n_done += len(chunk.lengths)
                progress.update(n_done)
        return chunks

    def _choose_tokens(self, tokens, chunks, n_documents):
        """The vocabulary, and a table from provisional to final ids."""
        if not n_documents:
            raise ValueError("There are no documents to learn a vocabulary from: X is empty.")
        counts = sum(np.bincount(chunk.ids, minlength=len(tokens)) for chunk in chunks)
        warn_of_text_without_spaces(self, tokens, counts)
        chosen = counts > 0
        if not chosen.any():
            raise ValueError(
                f"No token is left for the vocabulary: none of the {n_documents} documents has "
                f"one with {tokenizing_parameters(self)}."
            )
        least, most = (
            limit if isinstance(limit, Integral) else limit * n_documents
            for limit in (self.min_df, self.max_df)
        )
        if least > most:
            raise ValueError(
                f"min_df must not exceed max_df: of {n_documents} documents, "
                f"min_df={self.min_df!r} wants {least:g} and max_df={self.max_df!r} allows "
                f"{most:g}. Lower min_df or raise max_df."
            )
        if least > 1 or most < n_documents:
            frequencies = sum(document_frequencies(chunk, len(tokens)) for chunk in chunks)
            n_before = np.count_nonzero(chosen)
            chosen &= (frequencies >= least) & (frequencies <= most)
            if not chosen.any():
                raise ValueError(
                    f"No token is left for the vocabulary: min_df={self.min_df!r} and "
                    f"max_df={self.max_df!r} removed all {n_before} tokens of {n_documents} "
                    "documents. Lower min_df or raise max_df."
                )
        order = sorted(np.flatnonzero(chosen).tolist(), key=tokens.__getitem__)
        order = np.array(order)[np.argsort(-counts[order], kind="stable")][: self.max_features]
        final_ids = np.ones(len(tokens), dtype=np.int32)
        final_ids[order] = np.arange(_FIRST_ID, _FIRST_ID + len(order))
        return _numbered(tokens[index] for index in order), final_ids

    def _tell_what_is_cut(self, chunks):
        n_tokens = sum(chunk.n_tokens for chunk in chunks)
        n_kept = sum(len(chunk.ids) for chunk in chunks)
        if n_kept < (1 - _WORTH_TELLING) * n_tokens:
            cut = sum(chunk.n_cut for chunk in chunks) / sum(len(c.lengths) for c in chunks)
            end = "beginning" if self.keep == "head" else "end"
            warnings.warn(
                f"max_length={self.max_length} cuts {cut:.1%} of the documents, which loses about "
                f"{1 - n_kept / n_tokens:.0%} of all tokens. Raise max_length to keep them, or "
                f"set keep: now the {end} of a document is kept.",
                UserWarning,
                stacklevel=5,  # whoever called fit: scikit-learn's wrappers are in between
            )

    def _plan(self):
        """What transform needs, put together once for the present parameters and vocabulary."""
        plan = _plans.get(self)
        if plan is None or not plan.holds_for(vars(self)):
            if not self.__sklearn_is_fitted__():
                raise NotFittedError(
                    "This TextVectorizerTransformer instance is not fitted yet. Call 'fit' with "
                    "training documents first, or set vocabulary or hash_buckets."
                )
            plan = _plans[self] = _Plan(self)
        return plan

    def __sklearn_is_fitted__(self):
        return hasattr(self, "vocabulary_") or not self._learns()

    def _learns(self):
        return self.vocabulary is None and self.hash_buckets is None

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = self._learns()
        return tags


# Plans live here and not in the estimator: what can be made again does not belong into a pickle,
# and transform does not change the estimator's attributes.
_plans = weakref.WeakKeyDictionary()

_PLAN_KEY = (
    "analyzer",
    "lowercase",
    "strip_accents",
    "preprocessor",
    "tokenizer",
    "stop_words",
    "token_pattern",
    "vocabulary",
    "hash_buckets",
    "max_length",
    "keep",
    "vocabulary_",
    "max_length_",
)


class _Plan:
    """How one estimator, as it is now, transforms documents."""

    def __init__(self, estimator):
        state = vars(estimator)
        self.key = tuple(map(state.get, _PLAN_KEY))
        self.copy = None
        if "max_length_" not in state:
            estimator._validate_params()
            check_parameters_together(estimator)
        self.width = state.get("max_length_", estimator.max_length)
        self.recipe = Recipe(estimator, estimator.max_length or self.width)
        if estimator.hash_buckets is not None:
            vocabulary = None
            self.space = _IdSpace(None, estimator.hash_buckets + _FIRST_ID)
        else:
            vocabulary = state.get("vocabulary_")
            if vocabulary is None:
                vocabulary = _fixed_vocabulary(estimator.vocabulary)
                self.copy = _copied(estimator.vocabulary)
            tokens = tuple(vocabulary)
            # The very tuple that went into the pickle: a classifier in it holds the same one.
            tokens = state["_tokens"] if tokens == state.get("_tokens") else tokens
            self.space = _IdSpace(tokens, len(tokens) + _FIRST_ID)
        self.id_of = _id_function(vocabulary, estimator.hash_buckets)
        self.codes = Codes(self.recipe.tokenize, self.id_of)

    def holds_for(self, state):
        """Whether this is the plan for the attributes of an estimator."""
        if not all(map(is_, self.key, map(state.get, _PLAN_KEY))):
            return False
        # without fit the parameter itself is in use, which may have been changed in place
        return self.copy is None or self.copy == state["vocabulary"]


def _copied(vocabulary):
    """A copy to compare with; None for what cannot be changed in place."""
    return vocabulary.copy() if isinstance(vocabulary, (dict, list, set)) else None


def _token_ids(chunks, plan, width=None, final_ids=None):
    """Rows of ids, padded on the right to `width`; None: as wide as in fit, or as is needed."""
    n_documents = sum(len(chunk.lengths) for chunk in chunks)
    longest = max((int(chunk.lengths.max()) for chunk in chunks), default=0)
    width = width or max(plan.width, longest)
    padded = np.zeros((n_documents, width), dtype=np.int32)
    columns = np.arange(width)
    row = 0
    for ids, lengths, _, _ in chunks:
        block = padded[row : row + len(lengths)]
        block[columns < lengths[:, np.newaxis]] = ids if final_ids is None else final_ids[ids]
        row += len(lengths)
    return TokenIds._of_space(padded, plan.space)


def _id_function(vocabulary, hash_buckets):
    """The function from a token to its id."""
    if hash_buckets is not None:
        return partial(_hashed_id, hash_buckets)
    get = vocabulary.get
    return lambda token: get(token, 1)


def _hashed_id(hash_buckets, token):
    code = murmurhash3_32(token.encode("utf-8", "surrogatepass"), positive=True)
    return code % hash_buckets + _FIRST_ID


def _fixed_vocabulary(vocabulary):
    """The parameter as a mapping from tokens to ids, in the order of the ids."""
    if vocabulary is None:
        return None
    if isinstance(vocabulary, (str, bytes)):
        raise InvalidParameterError(
            f"vocabulary must be an iterable or mapping of tokens, got {vocabulary!r}. Put it into "
            "a list."
        )
    if isinstance(vocabulary, Mapping):
        ids = list(vocabulary.values())
        expected = range(_FIRST_ID, len(ids) + _FIRST_ID)
        if ids and (
            not all(isinstance(index, Integral) for index in ids) or sorted(ids) != list(expected)
        ):
            shown = ", ".join(map(repr, ids[:5])) + (", ..." if len(ids) > 5 else "")
            raise InvalidParameterError(
                f"vocabulary must map its {len(ids)} tokens to the ids {expected.start} to "
                f"{expected.stop - 1}, each once (0 is padding, 1 the unknown token); got the ids "
                f"{shown}. Pass its tokens as a list: they get the ids 2, 3, ... in its order."
            )
        tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    else:
        is_set = isinstance(vocabulary, (set, frozenset))
        tokens = sorted(vocabulary) if is_set else list(vocabulary)
    for token in tokens:
        if not isinstance(token, str):
            raise InvalidParameterError(f"vocabulary must hold strings, got {describe(token)}.")
    if not tokens:
        raise InvalidParameterError(
            "vocabulary must hold at least one token, got none. (An iterator can be read only "
            "once: pass a list.)"
        )
    numbered = _numbered(map(str, tokens))
    if len(numbered) < len(tokens):
        twice = Counter(tokens).most_common(1)[0][0]
        raise InvalidParameterError(
            f"vocabulary must hold each token once, got {twice!r} more than once."
        )
    return numbered


def _numbered(tokens):
    return {token: index for index, token in enumerate(tokens, start=_FIRST_ID)}
