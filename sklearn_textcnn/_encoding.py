"""From documents to flat ids, in batches and in other processes where that pays off."""

import signal
from array import array
from collections import defaultdict
from contextlib import suppress
from functools import partial
from multiprocessing import parent_process
from struct import Struct
from threading import current_thread, main_thread
from time import perf_counter
from typing import NamedTuple

import numpy as np
from joblib import effective_n_jobs
from sklearn.utils.parallel import Parallel, delayed

from sklearn_textcnn._text import checked_object, checked_text, describe, splitter

ID_BYTES = array("i").itemsize
_pack = Struct("i").pack

_BATCH = 2048  # documents
_MAX_CODES = 2**20  # distinct pieces remembered while a corpus is encoded
_LONGEST_KEPT = 64  # letters of each: longer ones hardly ever come again

# Starting processes takes a second or two, feeding running ones a few hundredths.
_WORTH_STARTING = 4.0  # seconds of work left
_WORTH_FEEDING = 0.2
_PROCESSES_STAY = 240.0  # seconds; loky stops idle processes after 300
_MAX_PARALLEL_CHUNK = 50_000  # documents
_last_parallel = -np.inf


class Chunk(NamedTuple):
    """Some encoded documents: flat ids, the length of each, and what they were before the cut."""

    ids: np.ndarray
    lengths: np.ndarray
    n_cut: int
    n_tokens: float


class Recipe:
    """How documents become packed ids: all that another process needs to do it."""

    def __init__(self, estimator, max_length=None, estimates_whole=False):
        self.raw = callable(estimator.analyzer)
        max_length = max_length or estimator.max_length
        self.split, self.tokenize, self.leaves_pieces_out = splitter(estimator, max_length)
        self.max_length, self.estimates_whole = max_length, estimates_whole
        if max_length is not None:
            n_bytes = max_length * ID_BYTES
            self.window = slice(n_bytes) if estimator.keep == "head" else slice(-n_bytes, None)

    def check_all(self, documents):
        """Check documents that are not wanted as ids."""
        while batch := documents.take(_BATCH):
            self.check(batch, documents.row - len(batch))

    def check(self, documents, first_row):
        """The documents of a batch as the splitter takes them."""
        if set(map(type, documents)) == {str}:
            return documents
        check = checked_object if self.raw else checked_text
        return [check(document, first_row + i) for i, document in enumerate(documents)]

    def encode(self, documents, first_row, codes):
        """A chunk of a batch; `n_cut` and `n_tokens` only where the recipe estimates them."""
        documents = self.check(documents, first_row)
        split, code = self.split, codes.__getitem__
        try:
            rows = [b"".join(map(code, split(document))) for document in documents]
        except TypeError:
            self._explain(documents, first_row)
            raise
        lengths = np.fromiter(map(len, rows), np.intp, len(rows)) // ID_BYTES
        n_cut, n_tokens = self._cut(documents, lengths) if self.estimates_whole else (0, 0)
        if self.max_length is not None and lengths.max(initial=0) > self.max_length:
            rows = [row[self.window] for row in rows]
            lengths = np.minimum(lengths, self.max_length)
        return Chunk(np.frombuffer(b"".join(rows), dtype=np.int32), lengths, n_cut, n_tokens)

    def _cut(self, documents, lengths):
        """How many documents are about to be cut, and how many tokens they all have.

        The tokens of pieces that were left out are estimated: as many a piece as in the others.
        """
        whole = lengths.astype(float)
        if self.max_length is not None and self.leaves_pieces_out:
            for i in np.flatnonzero(lengths >= self.max_length):
                whole[i] *= max(len(documents[i].split()) / self.max_length, 1)
        n_cut = 0 if self.max_length is None else np.count_nonzero(whole > self.max_length)
        return n_cut, whole.sum()

    def _explain(self, documents, first_row):
        """Raise a ValueError if a document's tokens are not strings."""
        for i, document in enumerate(documents):
            tokens = self.split(document)
            where = f"for the document in row {first_row + i}"
            remedy = "The analyzer or tokenizer must return an iterable of strings."
            try:
                tokens = iter(tokens)
            except TypeError:
                raise ValueError(
                    f"Tokens must be strings, got {describe(tokens)} instead of tokens {where}. "
                    + remedy
                ) from None
            for token in tokens:
                if not isinstance(token, str):
                    raise ValueError(
                        f"Tokens must be strings, got {describe(token)} {where}. {remedy}"
                    )


class Codes(dict):
    """Piece of text -> its ids as bytes.

    A document is the concatenation of the bytes of its pieces, so looking pieces up, counting the
    tokens and flattening happen without a step of Python per token.
    """

    def __init__(self, tokenize, id_of):
        super().__init__()
        self.tokenize = tokenize
        self.id_of = id_of

    def __missing__(self, piece):
        if not isinstance(piece, str):
            raise TypeError(f"Tokens must be strings, got {describe(piece)}.")
        tokens = (str.__str__(piece),) if self.tokenize is None else self.tokenize(piece)
        if len(tokens) == 1:  # most often
            packed = _pack(self.id_of(tokens[0]))
        else:
            packed = array("i", map(self.id_of, tokens)).tobytes()
        if len(piece) <= _LONGEST_KEPT:
            self[piece] = packed
        return packed


def encode(recipe, documents, id_of, codes, n_jobs):
    """Yield flat ids and lengths, chunk by chunk; in other processes where that pays off."""
    started = perf_counter()
    while not (_pays_off(documents, perf_counter() - started) and effective_n_jobs(n_jobs) > 1):
        row = documents.row
        batch = documents.take(_BATCH)
        if not batch:
            return
        yield _encode_here(recipe, batch, row, codes)
    n_jobs = effective_n_jobs(n_jobs)
    share = -(-documents.remaining() // n_jobs)
    parallel, waits = _parallel(n_jobs)
    row = documents.row
    own = [] if waits else documents.take(share)
    size = min(share, _MAX_PARALLEL_CHUNK)
    results = parallel(
        delayed(_encode_apart)(recipe, batch, documents.row - len(batch))
        for batch in iter(partial(documents.take, size), [])
    )
    try:
        for start in range(0, len(own), _BATCH):
            yield _encode_here(recipe, own[start : start + _BATCH], row + start, codes)
    except Exception:
        # Let running tasks come to their end: cancelling them kills the processes, with warnings.
        documents.close()
        with suppress(Exception):
            list(results)
        raise
    for tokens, chunk in results:
        # The ids of another process are positions in its own list of tokens.
        yield chunk._replace(ids=np.fromiter(map(id_of, tokens), np.int32, len(tokens))[chunk.ids])
    global _last_parallel
    _last_parallel = perf_counter()


def _parallel(n_jobs):
    """What shares work among processes, and whether it waits until all of it is done."""
    options = {"n_jobs": n_jobs, "prefer": "processes", "batch_size": 1}
    try:
        # This process does a share too, so one task less than processes is under way at any time.
        return Parallel(return_as="generator", pre_dispatch=n_jobs - 1, **options), False
    except ValueError:  # the backend "multiprocessing" has no results one by one
        return Parallel(pre_dispatch=n_jobs, **options), True


def _encode_here(recipe, documents, first_row, codes):
    if len(codes) > _MAX_CODES:
        codes.clear()
    return recipe.encode(documents, first_row, codes)


def _pays_off(documents, seconds):
    """Whether the rest will take so long that other processes are worth their cost."""
    running = perf_counter() - _last_parallel < _PROCESSES_STAY
    left = seconds * documents.remaining() / max(documents.row, 1)
    return left > (_WORTH_FEEDING if running else _WORTH_STARTING)


def _encode_apart(recipe, documents, first_row):
    # Ctrl-C reaches this process, too, and could cut its result in two while it is sent. joblib
    # would wait for the other half for good, in every later call as well.
    if parent_process() is not None and current_thread() is main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    seen = provisional_ids()
    codes = Codes(recipe.tokenize, seen.__getitem__)
    chunk = recipe.encode(documents, first_row, codes)
    return list(seen), chunk


def provisional_ids():
    """A mapping that gives each new token the next number, from 0 on."""
    seen = defaultdict()
    seen.default_factory = seen.__len__
    return seen


def document_frequencies(chunk, n_tokens):
    ids, lengths = chunk.ids, chunk.lengths
    # Sorting the narrower integers takes half the time.
    dtype = np.int32 if len(lengths) * n_tokens < 2**31 else np.int64
    keys = np.repeat(np.arange(len(lengths), dtype=dtype) * dtype(n_tokens), lengths) + ids
    keys.sort()
    first = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    return np.bincount(keys[first] % n_tokens, minlength=n_tokens)
