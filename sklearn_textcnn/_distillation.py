"""Word vectors out of an encoder that reads words alone, or in documents."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Set
from numbers import Integral

import numpy as np

from sklearn_textcnn._encoders import reader_for
from sklearn_textcnn._progress import shown

_DEVIATION = 0.3  # of the entries of distilled vectors
_TOKENISING_SHARE = 0.05  # of the time, beside an encoder. For the progress bar.


def distil_words(encode, tokens, n_components, batch_size, verbose):
    """Vectors of words that an encoder reads one by one: distinct tokens, and their rows."""
    if not callable(encode):
        raise ValueError(
            "encode must be a callable that takes a list of str and returns an array, got "
            f"{type(encode).__name__}. Pass the encoding method of the model, as model.encode."
        )
    _check_whole_numbers(n_components=n_components, batch_size=batch_size)
    tokens = _checked_strings("tokens", dict.fromkeys(tokens))
    if len(tokens) < 2:
        raise ValueError(f"tokens must hold at least 2 distinct tokens, got {len(tokens)}.")
    matrix = None
    with shown(verbose) as progress:
        progress.begin(len(tokens), "encoding", "tokens")
        for start in range(0, len(tokens), batch_size):
            batch = list(tokens[start : start + batch_size])
            encoded = _checked_batch(encode(batch), len(batch), matrix)
            if matrix is None:
                matrix = np.empty((len(tokens), encoded.shape[1]), dtype=np.float32)
            matrix[start : start + len(batch)] = encoded  # (n_tokens, n_dimensions)
            progress.update(start + len(batch))
        return tokens, _reduced(matrix, n_components, "encode")


def distil_documents(
    encoder, documents, n_components, analyzer, layer, window, batch_size, verbose
):
    """Vectors of words that an encoder reads in documents: distinct tokens, and their rows."""
    _check_whole_numbers(n_components=n_components, window=window, batch_size=batch_size)
    split = _splitter(analyzer)
    documents = _checked_documents(documents)
    reader = reader_for(encoder, layer, window)
    with shown(verbose) as progress:
        tokens, rows = _read(documents, split, progress.part(_TOKENISING_SHARE))
        if len(tokens) < 2:
            raise ValueError(
                f"documents must hold at least 2 distinct tokens, got {len(tokens)} in "
                f"{rows.total()} documents. (An iterator can be read only once: pass a list.)"
            )
        matrix = _averages(reader, tokens, rows, batch_size, progress)
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True)  # (n_tokens, 1)
        matrix /= np.where(lengths > 0, lengths, 1.0)
        return tokens, _reduced(matrix, n_components, "encoder")


def _reduced(matrix, n_components, name):
    """Rows centred, reduced by principal component analysis and scaled."""
    from sklearn.decomposition import PCA

    if (matrix == matrix[0]).all():
        raise ValueError(
            f"{name} must tell tokens apart, got the same vector for all {len(matrix)} tokens."
        )
    most = min(matrix.shape[1], len(matrix) - 1)
    # Solvers without a random start: the same encoder gives the same vectors every time.
    solver = "covariance_eigh" if len(matrix) > matrix.shape[1] else "full"
    pca = PCA(min(n_components or most, most), svd_solver=solver)
    matrix = pca.fit_transform(matrix)  # (n_tokens, n_components)
    return matrix * np.float32(_DEVIATION / matrix.std())


def _read(documents, split, progress):
    """The distinct tokens, and how often each document occurs as their numbers.

    Only these numbers are kept of the documents: four bytes for a running token.
    """
    numbers = defaultdict()
    numbers.default_factory = numbers.__len__
    rows = Counter()
    total = len(documents) if hasattr(documents, "__len__") else None
    progress.begin(total, "tokenising", "documents")
    for row, document in enumerate(documents):
        try:
            ids = array("i", map(numbers.__getitem__, split(document)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"documents, row {row}: {error}") from error
        rows[ids.tobytes()] += 1
        progress.update(row + 1)
    return _checked_strings("the tokens of documents", numbers), rows


def _averages(reader, tokens, rows, batch_size, progress):
    """What the encoder makes of each token, averaged over its occurrences."""
    progress.begin(1, "splitting words into pieces")
    sizes = reader.prepare(tokens)  # (n_tokens,)
    windows, counts = _windows(rows, sizes, reader.window)
    lengths = np.array([sizes[ids].sum() for ids in windows])
    order = np.argsort(-lengths, kind="stable")
    windows = [windows[i] for i in order]
    lengths, counts = lengths[order], counts[order]  # (n_windows,)
    sums, totals = None, np.zeros(len(tokens))
    done, ends = 0, np.cumsum(lengths)
    progress.begin(int(ends[-1]), "reading documents")
    while done < len(windows):
        # The first is the longest, and the others are padded to its length.
        batch = slice(done, done + max(1, batch_size // int(lengths[done])))
        ids = np.concatenate(windows[batch])
        states = reader.read(windows[batch])  # (n_running_tokens, n_dimensions)
        if not np.isfinite(states).all():
            raise ValueError("encoder must return finite numbers, got NaN or infinity.")
        if sums is None:
            sums = np.zeros((len(tokens), states.shape[1]), dtype=np.float32)
        weights = np.repeat(counts[batch], list(map(len, windows[batch])))
        _add(sums, ids, states * weights[:, np.newaxis])
        totals += np.bincount(ids, weights, minlength=len(tokens))
        done = min(batch.stop, len(windows))
        progress.update(int(ends[done - 1]))
    sums /= totals[:, np.newaxis].astype(np.float32)
    return sums  # (n_tokens, n_dimensions)


def _windows(rows, sizes, longest):
    """Stretches of documents, one after another, and how often each occurs.

    Parameters
    ----------
    rows : dict of bytes to int
        Documents as numbers of tokens, and how often each occurs.

    sizes : ndarray of shape (n_tokens,)
        How much each token takes of the `longest` stretch that the encoder reads.

    longest : int or None
    """
    windows, counts = [], []
    for row, count in rows.items():
        ids = np.frombuffer(row, dtype=np.intc)  # (n_running_tokens,)
        ends = np.cumsum(sizes[ids])
        start = 0
        while start < len(ids):
            before = ends[start] - sizes[ids[start]]
            stop = len(ids) if longest is None else np.searchsorted(ends, before + longest, "right")
            windows.append(ids[start:stop])
            counts.append(count)
            start = stop
    return windows, np.array(counts, dtype=np.float32)


def _add(sums, ids, states):
    """Add each of the states to the sum of its token."""
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    first = np.flatnonzero(np.diff(ids, prepend=-1))
    # Summing within the batch first keeps float32 exact enough for words of any frequency.
    sums[ids[first]] += np.add.reduceat(states[order], first, axis=0)


def _splitter(analyzer):
    """The function from a document to its tokens."""
    if analyzer is None:
        return _given_tokens
    if not isinstance(analyzer, type):
        if hasattr(analyzer, "build_analyzer"):
            return analyzer.build_analyzer()
        if callable(analyzer):
            return analyzer
    got = repr(analyzer) if isinstance(analyzer, str) else f"{type(analyzer).__name__}"
    if isinstance(analyzer, type):
        got = f"the class {analyzer.__name__}"
    raise ValueError(
        "analyzer must be a vectorizer, a function from a document to its tokens, or None for "
        f"documents that are lists of tokens, got {got}. Pass TextVectorizerTransformer()."
    )


def _given_tokens(document):
    no_list = isinstance(document, str | bytes | Mapping | Set)
    if no_list or not isinstance(document, Iterable):
        raise ValueError(
            "documents must be lists of tokens where analyzer is None, got "
            f"{type(document).__name__}. For text, pass the vectorizer as analyzer."
        )
    return document


def _checked_documents(documents):
    if isinstance(documents, str | bytes) or not isinstance(documents, Iterable):
        raise ValueError(
            f"documents must be an iterable of documents, got {type(documents).__name__}. Put a "
            "single document into a list."
        )
    if isinstance(documents, Mapping | Set):
        # one would be read by its keys, the other is none of several documents, or in any order
        remedy = "list(documents.values())" if isinstance(documents, Mapping) else "a list"
        raise ValueError(
            f"documents must be an iterable of documents, got {type(documents).__name__}. Pass "
            f"{remedy}, or [documents] if it is one document for the analyzer."
        )
    shape = getattr(documents, "shape", None)
    if shape is None or len(shape) == 1:
        return documents
    if len(shape) != 2 or shape[1] != 1:
        raise ValueError(
            "documents must hold one document per row, of shape (n_documents,) or "
            f"(n_documents, 1), got shape {shape}. Pick one column."
        )
    return np.asarray(documents).ravel()


def _check_whole_numbers(**values):
    for name, value in values.items():
        if value is None and name != "batch_size":
            continue
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a whole number above 0, got {value!r}.")


def _checked_strings(name, tokens):
    for token in tokens:
        if not isinstance(token, str):
            raise ValueError(f"{name} must be strings, got {token!r} ({type(token).__name__}).")
    return tuple(tokens)


def _checked_batch(encoded, n_tokens, matrix):
    if not hasattr(encoded, "__array__") and isinstance(encoded, Iterable):
        encoded = list(encoded)  # fastembed returns a generator
    try:
        encoded = np.asarray(encoded, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"encode must return an array of numbers, got {type(encoded).__name__} ({error})."
        ) from None
    width = "n_dimensions" if matrix is None else matrix.shape[1]
    if (
        encoded.ndim != 2
        or not encoded.size
        or len(encoded) != n_tokens
        or (matrix is not None and encoded.shape[1] != width)
    ):
        raise ValueError(
            f"encode must return shape ({n_tokens}, {width}) for {n_tokens} tokens, got shape "
            f"{encoded.shape}."
        )
    if not np.isfinite(encoded).all():
        raise ValueError("encode must return finite numbers, got NaN or infinity.")
    return encoded
