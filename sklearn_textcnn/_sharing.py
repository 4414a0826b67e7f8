"""What joblib and dask have to know of `TokenIds`.

Both take a subclass of an array for an array: joblib's hashes and dask's tokens of it, by which
results are cached, would leave the vocabulary out, and dask's serializer would lose it.
"""

import importlib.util
import sys

from joblib.hashing import NumpyHasher

from sklearn_textcnn.token_ids import TokenIds, as_plain


def tell_joblib_and_dask():
    """Register `TokenIds` with joblib, and with dask once that is imported."""
    NumpyHasher.save = _hashes_vocabularies(NumpyHasher.save)
    wanted = {"dask.tokenize": _with_tokens, "distributed.protocol.serialize": _with_serializer}
    for name, function in wanted.items():
        if name in sys.modules:
            function(sys.modules[name])
        else:
            sys.meta_path.insert(0, _AfterImport(name, function))


def _meaning(ids):
    """What is equal for equal ids of equal tokens only."""
    return "TokenIds", ids.n_ids, ids.vocabulary_digest, as_plain(ids)


def _hashes_vocabularies(save):
    def save_meaning(hasher, value):
        save(hasher, _meaning(value) if isinstance(value, TokenIds) else value)

    return save_meaning


def _with_tokens(dask):
    @dask.normalize_token.register(TokenIds)
    def normalize(ids):
        return dask.normalize_token(_meaning(ids))


def _with_serializer(distributed):
    @distributed.dask_serialize.register(TokenIds)
    def leave_to_pickle(ids, context=None):
        raise NotImplementedError  # which dask takes for: try the next serializer


class _AfterImport:
    """Finder that calls a function with a module as soon as it has been imported."""

    def __init__(self, name, function):
        self.name, self.function = name, function

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_call(module):
            execute(module)
            self.function(module)

        spec.loader.exec_module = execute_and_call
        return spec
