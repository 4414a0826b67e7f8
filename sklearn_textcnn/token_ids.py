"""Token ids that remember which vocabulary they belong to."""

import hashlib

import numpy as np

STACK_THEM = (
    "Give the text and the other columns a classifier each and combine those with a "
    "StackingClassifier; the user guide shows how ('Text beside other columns')."
)
LARGEST_ID = 2**31 - 2


class _IdSpace:
    """What the ids of an array mean: their tokens and how many ids there are.

    Arrays cut from one another share one object, so comparing them is a comparison of identities
    and the digest is computed once for all of them.
    """

    __slots__ = ("_digest", "n_ids", "vocabulary")

    def __init__(self, vocabulary, n_ids, digest=None):
        self.vocabulary = vocabulary
        self.n_ids = n_ids
        self._digest = digest

    def __reduce__(self):
        # always with the digest, so that equal ids have equal pickles
        return _IdSpace, (self.vocabulary, self.n_ids, self.digest)

    @property
    def digest(self):
        if self._digest is None and self.vocabulary is not None:
            # Without the lengths ("ab", "c") and ("a", "bc") would be the same text.
            lengths = ",".join(map(str, map(len, self.vocabulary)))
            text = "".join(self.vocabulary).encode("utf-8", "surrogatepass")
            state = hashlib.blake2b(lengths.encode("ascii"), digest_size=16)
            state.update(b"|")
            state.update(text)
            self._digest = state.hexdigest()
        return self._digest

    def same(self, vocabulary, n_ids, digest):
        """Whether these are the same ids; `digest` is called only when it is needed."""
        if self.vocabulary is None or vocabulary is None:
            return self.vocabulary is vocabulary and self.n_ids == n_ids
        if self.vocabulary is vocabulary:
            return True
        return len(self.vocabulary) == len(vocabulary) and self.digest == digest()


def _rebuild(array, space):
    return TokenIds._of_space(array, space)


class TokenIds(np.ndarray):
    """Integer array of token ids that remembers its vocabulary.

    Id 0 is padding, 1 the unknown token, 2 and above are tokens. Rows, columns, copies and pickles
    keep the vocabulary; so does joining arrays of one vocabulary with :func:`numpy.concatenate`,
    :func:`numpy.hstack`, :func:`numpy.vstack` and their kin; shorter rows are padded then. Whatever
    is no longer ids (arithmetic, comparisons, reductions, positions, other types) is a plain array
    or scalar, and so is the result of joining rows of ids with those of a plain array.

    Parameters
    ----------
    array : array-like of int
        The ids, usually of shape (n_documents, n_tokens). They are stored as int32, without a copy
        where `array` is an int32 array already.

    vocabulary : iterable of str, default=None
        The tokens of ids 2, 3, ... in this order. None: the ids are hashes, or their tokens are
        not known.

    n_ids : int, default=None
        Size of the id space, padding and the unknown id included. None: ``len(vocabulary) + 2``,
        or without a vocabulary the largest id plus one.

    Attributes
    ----------
    vocabulary : tuple of str or None
        The tokens of ids 2, 3, ...

    n_ids : int or None
        Size of the id space. None only for an array that was made by casting, as with
        ``array.view(TokenIds)``, and knows nothing about its ids.

    vocabulary_digest : str or None
        A short text that is equal for equal vocabularies only.

    Raises
    ------
    ValueError
        If `array` holds something else than ids from 0 to ``n_ids - 1``, or if `n_ids` contradicts
        `vocabulary`. Later, if ids of different vocabularies are joined or written into one
        another, if other columns are put beside ids, and if their bytes are viewed as floats.

    See Also
    --------
    TextVectorizerTransformer : Makes token ids from documents.

    Notes
    -----
    Vocabularies are compared by identity first and by digest otherwise, never token by token.

    Examples
    --------
    >>> from sklearn_textcnn import TokenIds
    >>> ids = TokenIds([[2, 3, 0], [3, 3, 1]], vocabulary=["good", "bad"])
    >>> ids[1:]
    TokenIds([[3, 3, 1]], dtype=int32)
    >>> ids[1:].vocabulary
    ('good', 'bad')
    >>> ids.n_ids
    4
    >>> ids == 3
    array([[False,  True, False],
           [ True,  True, False]])
    """

    def __new__(cls, array, vocabulary=None, n_ids=None):
        known = getattr(array, "_space", None)
        ids = np.asarray(array)
        if ids.dtype.kind not in "iu" and ids.size:
            raise ValueError(
                f"array must hold integers, got dtype {ids.dtype}. Turn documents into ids with "
                "TextVectorizerTransformer."
            )
        largest = int(ids.max(initial=1))
        if largest > LARGEST_ID:
            raise ValueError(
                f"array must hold ids up to {LARGEST_ID}, which int32 can hold, got {largest}."
            )
        if vocabulary is None and n_ids is None and known is not None:
            return cls._of_space(ids.astype(np.int32, copy=False), known)
        if isinstance(vocabulary, str):
            raise ValueError(
                f"vocabulary must be an iterable of tokens, got the string {vocabulary!r}."
            )
        if vocabulary is not None:
            vocabulary = tuple(vocabulary)
            if n_ids is not None and n_ids != len(vocabulary) + 2:
                raise ValueError(
                    f"n_ids must be {len(vocabulary) + 2} for a vocabulary of {len(vocabulary)} "
                    f"tokens (they take ids 2, 3, ...), got {n_ids}. Leave it out."
                )
            n_ids = len(vocabulary) + 2
        elif n_ids is None:
            n_ids = largest + 1
        if ids.min(initial=0) < 0 or largest >= n_ids:
            raise ValueError(
                f"array must hold ids from 0 to {n_ids - 1}, got ids from {ids.min()} to {largest}."
            )
        return cls._of_space(ids.astype(np.int32, copy=False), _IdSpace(vocabulary, int(n_ids)))

    @classmethod
    def _of_space(cls, array, space):
        """Ids without any check, sharing `space` with others."""
        ids = np.ndarray.view(array, cls)
        ids._space = space
        return ids

    def __array_finalize__(self, obj):
        self._space = getattr(obj, "_space", None) if self.dtype.kind in "iu" else None

    @property
    def vocabulary(self):
        return None if self._space is None else self._space.vocabulary

    @property
    def n_ids(self):
        return None if self._space is None else self._space.n_ids

    @property
    def vocabulary_digest(self):
        return None if self._space is None else self._space.digest

    def same_vocabulary(self, vocabulary, n_ids=None, digest=None):
        """Whether an id means the same here and there.

        Parameters
        ----------
        vocabulary : TokenIds, tuple of str or None
            Other ids, or the tokens of their ids 2, 3, ... (None: hashed).

        n_ids : int, default=None
            Size of the other id space; needed only for hashed ids.

        digest : str, default=None
            Digest of `vocabulary`, if it is known. It is computed when it is not, which takes time
            for each call; the digest of these ids is computed once for all arrays cut from them.

        Returns
        -------
        same : bool
            True for the same tokens in the same order, or for two hashed arrays with the same
            number of ids. False if either array knows nothing about its ids.

        Examples
        --------
        >>> from sklearn_textcnn import TokenIds
        >>> ids = TokenIds([[2, 3, 0]], vocabulary=["good", "bad"])
        >>> ids.same_vocabulary(ids[:, :2])
        True
        >>> ids.same_vocabulary(("bad", "good"))
        False
        """
        if self._space is None:
            return False
        if isinstance(vocabulary, TokenIds):
            other = vocabulary._space
            return other is self._space or (
                other is not None
                and self._space.same(other.vocabulary, other.n_ids, lambda: other.digest)
            )
        return self._space.same(
            vocabulary, n_ids, lambda: digest or _IdSpace(vocabulary, None).digest
        )

    def astype(self, dtype, *args, **kwargs):
        """Cast as any array; what is not integers any more is a plain array."""
        cast = super().astype(dtype, *args, **kwargs)
        return cast if cast.dtype.kind in "iu" else as_plain(cast)

    def view(self, *args, **kwargs):
        """View as any array; what is not integers of the same size any more is a plain array."""
        seen = super().view(*args, **kwargs)
        if not isinstance(seen, TokenIds) or seen.dtype == self.dtype:
            return seen
        if seen.dtype.kind in "fc":
            raise ValueError(
                f"The bytes of token ids are no numbers of dtype {seen.dtype}. Convert the ids "
                f"with astype({seen.dtype}), or view np.asarray(ids)."
            )
        return as_plain(seen)

    def __setitem__(self, key, value):
        _refuse_different_vocabularies([self, value])
        super().__setitem__(key, value)

    def __array_wrap__(self, array, context=None, return_scalar=False):
        return array[()] if return_scalar else as_plain(array)

    def __array_function__(self, func, types, args, kwargs):
        if func is np.concatenate and args:
            return _joined(super().__array_function__, func, types, args, kwargs)
        if func in _WRITES:
            _refuse_different_vocabularies(args)
        result = super().__array_function__(func, types, args, kwargs)
        if func in _ROWS_STAY_ROWS or result is NotImplemented:
            return result
        if type(result) is tuple:
            return tuple(map(as_plain, result))
        return as_plain(result)

    def __reduce__(self):
        # loky and joblib know how to share plain arrays between processes, subclasses they copy.
        return _rebuild, (as_plain(self), self._space)


def as_plain(result):
    """The same numbers as a plain array, if they are TokenIds; anything else as it is."""
    return np.ndarray.view(result, np.ndarray) if isinstance(result, TokenIds) else result


def _joined(call, func, types, args, kwargs):
    """What np.concatenate makes of arrays, some of which are TokenIds."""
    arrays, args = list(args[0]), list(args)
    axis = args[1] if len(args) > 1 else kwargs.get("axis", 0)
    ids = _refuse_different_vocabularies(arrays)
    if len(ids) < len(arrays):
        # np.c_ casts before it joins: what were ids a moment ago counts, too
        were_ids = [array for array in arrays if isinstance(array, TokenIds)]
        if len(were_ids) < len(arrays) and axis is not None and axis % were_ids[0].ndim:
            raise ValueError(
                "Other columns cannot be put beside token ids: their numbers would be read as "
                f"tokens. {STACK_THEM}"
            )
        return as_plain(call(func, types, tuple(args), kwargs))
    widths = {array.shape[1] for array in arrays} if axis == 0 and ids[0].ndim == 2 else ()
    if len(widths) > 1:
        args[0] = [_padded(array, max(widths)) for array in arrays]
    result = call(func, types, tuple(args), kwargs)
    is_ids = result.dtype.kind in "iu"
    return TokenIds._of_space(result, ids[0]._space) if is_ids else as_plain(result)


def _padded(ids, width):
    padded = np.zeros((len(ids), width), dtype=ids.dtype)
    padded[:, : ids.shape[1]] = ids
    return TokenIds._of_space(padded, ids._space)


def _refuse_different_vocabularies(arrays):
    """Those of `arrays` that are ids and know their vocabulary, which has to be the same."""
    ids = [array for array in arrays if isinstance(array, TokenIds) and array._space is not None]
    for other in ids[1:]:
        if not ids[0].same_vocabulary(other):
            raise ValueError(
                "Cannot join TokenIds of different vocabularies: an id would mean different tokens "
                f"({_describe(ids[0])}, and {_describe(other)}). Use one fitted "
                "TextVectorizerTransformer for all of them, or one classifier for each."
            )
    return ids


def _describe(ids):
    if ids.vocabulary is None:
        return f"{ids.n_ids} ids by hash"
    shown = ", ".join(map(repr, ids.vocabulary[:3]))
    more = ", ..." if len(ids.vocabulary) > 3 else ""
    return f"{len(ids.vocabulary)} tokens: {shown}{more}"


# Functions that write into their first argument.
_WRITES = frozenset((np.copyto, np.place, np.put, np.putmask))

# Functions whose result consists of the ids they were given; the joins among them come down to
# concatenate, where the vocabularies are compared.
_ROWS_STAY_ROWS = frozenset(
    (
        np.append,
        np.array_split,
        np.atleast_1d,
        np.atleast_2d,
        np.atleast_3d,
        np.column_stack,
        np.compress,
        np.copy,
        np.dstack,
        np.expand_dims,
        np.flip,
        np.hsplit,
        np.hstack,
        np.ravel,
        np.repeat,
        np.reshape,
        np.roll,
        np.split,
        np.squeeze,
        np.stack,
        np.swapaxes,
        np.take,
        np.transpose,
        np.vsplit,
        np.vstack,
    )
)


def _plain_method(name):
    inherited = getattr(np.ndarray, name)

    def method(self, *args, **kwargs):
        return inherited(as_plain(self), *args, **kwargs)

    method.__name__ = name
    method.__doc__ = inherited.__doc__
    return method


# Methods that NumPy runs neither as a ufunc nor through __array_function__.
for _name in ("argsort", "argpartition", "argmax", "argmin", "choose", "cumprod", "cumsum", "dot"):
    setattr(TokenIds, _name, _plain_method(_name))
for _name in ("nonzero", "round", "searchsorted", "trace"):
    setattr(TokenIds, _name, _plain_method(_name))
del _name
