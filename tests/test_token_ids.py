"""TokenIds: what keeps the vocabulary, what loses it, and what is refused."""

import copy
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sampling import some
from sklearn.model_selection import train_test_split
from sklearn.utils import resample, shuffle

from sklearn_textcnn import TokenIds

VOCABULARY = ("good", "bad", "film")


@pytest.fixture
def ids():
    return TokenIds([[2, 3, 0, 0], [4, 4, 1, 2], [3, 0, 0, 0]], vocabulary=VOCABULARY)


def assert_keeps(result, ids, expected):
    assert type(result) is TokenIds
    assert result.dtype.kind == "i"
    assert result.vocabulary == ids.vocabulary
    assert result.n_ids == ids.n_ids
    np.testing.assert_array_equal(np.asarray(result), expected)


def test_construction(ids):
    assert ids.dtype == np.int32
    assert ids.vocabulary == VOCABULARY
    assert ids.n_ids == 5
    assert TokenIds(ids).vocabulary is ids.vocabulary
    assert TokenIds([[5]]).n_ids == 6
    assert TokenIds([[0]]).n_ids == 2
    assert TokenIds([[5]], n_ids=100).n_ids == 100
    assert TokenIds([[5]], n_ids=100).vocabulary is None
    assert TokenIds([[2]], vocabulary=["a"], n_ids=3).n_ids == 3
    assert TokenIds(np.zeros((0, 3), dtype=np.int64)).shape == (0, 3)
    array = np.array([[2, 1]], dtype=np.int32)
    assert np.shares_memory(TokenIds(array), array)


@pytest.mark.parametrize(
    ("array", "kwargs", "message"),
    [
        ([[0.5]], {}, "array must hold integers, got dtype float64"),
        ([["good"]], {}, "TextVectorizerTransformer"),
        ([[-1]], {}, "ids from 0 to 1, got ids from -1 to"),
        ([[4]], {"vocabulary": ["a"]}, "ids from 0 to 2, got ids from 4 to 4"),
        ([[7]], {"n_ids": 7}, "ids from 0 to 6"),
        ([[2]], {"vocabulary": "ab"}, "got the string 'ab'"),
        ([[2]], {"vocabulary": ["a"], "n_ids": 9}, "n_ids must be 3 for a vocabulary of 1"),
    ],
)
def test_bad_arguments(array, kwargs, message):
    with pytest.raises(ValueError, match=message):
        TokenIds(array, **kwargs)


@pytest.mark.parametrize(
    "select",
    [
        lambda a: a[1:],
        lambda a: a[:, :2],
        lambda a: a[::2],
        lambda a: a[0],
        lambda a: a[[2, 0]],
        lambda a: a[np.array([True, False, True])],
        lambda a: a[a > 1],
        lambda a: a.copy(),
        lambda a: a.reshape(-1),
        lambda a: a.T,
        lambda a: a.astype(np.int64),
        lambda a: a.take([0, 1], axis=0),
        lambda a: np.take(a, [2], axis=0),
        lambda a: np.repeat(a, 2, axis=0),
        lambda a: np.array_split(a, 2)[1],
        lambda a: np.atleast_2d(a[0]),
        lambda a: copy.copy(a),
        lambda a: copy.deepcopy(a),
        lambda a: pickle.loads(pickle.dumps(a)),
        lambda a: pickle.loads(pickle.dumps(a[:, ::2], protocol=2)),
        lambda a: shuffle(a, random_state=0),
        lambda a: resample(a, random_state=0),
        lambda a: train_test_split(a, random_state=0)[0],
        lambda a: train_test_split(a, random_state=0)[1],
    ],
)
def test_selections_and_copies_keep_the_vocabulary(select, ids):
    assert_keeps(select(ids), ids, select(np.asarray(ids)))


def test_elements_are_numbers(ids):
    assert type(ids[0, 1]) is np.int32
    assert ids[0].tolist() == [2, 3, 0, 0]


@pytest.mark.parametrize(
    "compute",
    [
        lambda a: a + 1,
        lambda a: 1 + a,
        lambda a: a + a,
        lambda a: -a,
        lambda a: a / 2,
        lambda a: a == 0,
        lambda a: a > a[0],
        lambda a: a & 1,
        lambda a: a @ np.ones(4, dtype=int),
        lambda a: a.dot(np.ones(4, dtype=int)),
        lambda a: np.dot(a, np.ones(4, dtype=int)),
        lambda a: a.max(axis=1),
        lambda a: a.sum(axis=0),
        lambda a: a.any(axis=1),
        lambda a: a.argmax(axis=1),
        lambda a: a.argsort(axis=1),
        lambda a: a.cumsum(axis=1),
        lambda a: a.round(),
        lambda a: np.maximum.accumulate(a, axis=1),
        lambda a: np.unique(a),
        lambda a: np.sort(a, axis=1),
        lambda a: np.diff(a),
        lambda a: np.clip(a, 0, 2),
        lambda a: np.where(a == 0, 1, a),
        lambda a: np.bincount(a.ravel()),
        lambda a: np.zeros_like(a),
        lambda a: np.ones_like(a, dtype=float),
        lambda a: np.unique(a, return_counts=True)[0],
        lambda a: a.nonzero()[0],
        lambda a: np.nonzero(a)[1],
        lambda a: np.asarray(a),
        lambda a: np.array(a),
        lambda a: a.astype(float),
        lambda a: a.astype(bool),
    ],
)
def test_what_is_no_longer_ids_is_plain(compute, ids):
    result = compute(ids)
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, compute(np.asarray(ids)))


def test_reductions_to_one_number_are_scalars(ids):
    for result in (ids.max(), ids.min(), ids.sum(), ids.mean(), np.max(ids), ids.argmax()):
        assert isinstance(result, np.generic)
    assert ids.max() == 4
    assert ids.all() == np.bool_(False)


def test_in_place_arithmetic_does_not_stay_ids(ids):
    result = ids[:]
    result += 1
    assert type(result) is np.ndarray


JOINS = [
    np.concatenate,
    np.vstack,
    np.hstack,
    np.stack,
    np.column_stack,
    np.dstack,
    lambda arrays: np.concatenate(arrays, axis=1),
    lambda arrays: np.append(arrays[0], arrays[1], axis=0),
]


@pytest.mark.parametrize("join", JOINS)
def test_joins_keep_one_common_vocabulary(join, ids):
    plain = np.asarray(ids)
    assert_keeps(join([ids, ids[:]]), ids, join([plain, plain]))
    # equal tokens in another object are the same vocabulary
    twin = TokenIds(plain, vocabulary=list(VOCABULARY))
    assert twin.vocabulary is not ids.vocabulary
    assert_keeps(join([ids, twin]), ids, join([plain, plain]))


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"vocabulary": ("bad", "good", "film")}, "3 tokens: 'good', 'bad', 'film', and 3 tokens"),
        ({"vocabulary": ("good", "bad", "film", "!")}, "and 4 tokens: .*, ..."),
        ({"n_ids": 5}, "and 5 ids by hash"),
    ],
)
def test_joins_refuse_two_vocabularies(join, other, message, ids):
    with pytest.raises(ValueError, match=f"Cannot join TokenIds of different.*{message}"):
        join([ids, TokenIds(np.asarray(ids), **other)])


def test_joins_of_hashed_ids():
    a, b = TokenIds([[5]], n_ids=10), TokenIds([[6]], n_ids=10)
    joined = np.vstack([a, b])
    assert (joined.n_ids, joined.vocabulary) == (10, None)
    with pytest.raises(ValueError, match="10 ids by hash, and 12 ids by hash"):
        np.vstack([a, TokenIds([[6]], n_ids=12)])


def test_joins_with_plain_arrays_are_plain(ids):
    plain = np.asarray(ids)
    for arrays in ([ids, plain], [plain, ids], [ids, ids * 0.5]):
        assert type(np.vstack(arrays)) is np.ndarray
    assert type(np.concatenate([ids[0], plain[0]])) is np.ndarray
    assert type(np.concatenate([ids, plain], axis=None)) is np.ndarray
    assert type(np.concatenate([ids, ids], dtype=float)) is np.ndarray


def test_other_columns_beside_ids_are_refused(ids):
    numbers = np.ones((len(ids), 2))
    for join in (
        lambda: np.hstack([ids, numbers]),
        lambda: np.hstack([numbers, ids]),
        lambda: np.concatenate([ids, numbers], axis=-1),
        lambda: np.column_stack([ids, numbers[:, 0]]),
        lambda: np.append(ids, numbers, axis=1),
        lambda: np.c_[ids, numbers],
    ):
        with pytest.raises(ValueError, match=r"would be read as tokens\. .*StackingClassifier"):
            join()


def test_rows_of_different_widths_are_padded(ids):
    joined = np.vstack([ids[:, :2], ids, ids[:1, :1]])
    assert joined.vocabulary is ids.vocabulary
    assert_array_equal(joined[len(ids) :][: len(ids)], ids)
    assert_array_equal(joined[: len(ids), :2], ids[:, :2])
    assert not np.asarray(joined[: len(ids), 2:]).any()
    assert joined[-1].tolist() == [ids[0, 0]] + [0] * (ids.shape[1] - 1)
    with pytest.raises(ValueError, match="must match exactly"):
        np.vstack([ids, np.asarray(ids)[:, :2]])


def test_ids_of_another_vocabulary_are_not_written_into_these(ids):
    other = TokenIds(np.asarray(ids), vocabulary=VOCABULARY[::-1])
    ids = ids.copy()
    before = ids.tolist()
    for write in (
        lambda: ids.__setitem__(0, other[0]),
        lambda: ids.__setitem__((slice(None), 0), other[:, 0]),
        lambda: np.copyto(ids, other),
        lambda: np.putmask(ids, np.asarray(ids) > 0, other),
        lambda: np.place(ids, np.asarray(ids) > 0, other),
        lambda: np.put(ids, [0], other[0, :1]),
    ):
        with pytest.raises(ValueError, match="different vocabularies"):
            write()
    assert ids.tolist() == before
    ids[0] = ids[1]
    ids[1] = 2
    assert ids[:2].tolist() == [before[1], [2] * ids.shape[1]]


def test_caches_know_vocabularies_apart(ids):
    same = TokenIds(np.asarray(ids).copy(), vocabulary=list(VOCABULARY))
    other = TokenIds(np.asarray(ids), vocabulary=VOCABULARY[::-1])
    hashed = TokenIds(np.asarray(ids), n_ids=9)
    assert joblib.hash(ids) == joblib.hash(same)
    distinct = [ids, other, hashed, TokenIds(np.asarray(ids), n_ids=10), np.asarray(ids), ids[:1]]
    assert len({joblib.hash(array) for array in distinct}) == len(distinct)
    assert len({joblib.hash({"a": [array]}) for array in distinct}) == len(distinct)
    # nothing that is worked out on the way makes a difference
    assert same.vocabulary_digest
    assert joblib.hash(ids) == joblib.hash(same)
    assert pickle.dumps(ids._space) == pickle.dumps(same._space)


DASK = """
import sys
import numpy as np
{first}
{second}

space = "film good bad".split()
one = TokenIds([[2, 3, 0]], vocabulary=space)
two = TokenIds([[2, 3, 0]], vocabulary=space[::-1])
from dask.base import tokenize
from distributed.protocol import deserialize, serialize

assert tokenize(one) == tokenize(one.copy()) != tokenize(two)
assert tokenize([one]) != tokenize([two]) != tokenize([np.asarray(two)])
for ids in (one, two):
    back = deserialize(*serialize(ids))
    assert type(back) is TokenIds and back.vocabulary == ids.vocabulary, back
    assert back.tolist() == ids.tolist()
assert not [f for f in sys.meta_path if type(f).__name__ == "_AfterImport"]
"""


@pytest.mark.parametrize("ours_first", some([True, False], every=2))
def test_dask_keeps_the_vocabulary(ours_first):
    pytest.importorskip("distributed")
    lines = ["from sklearn_textcnn import TokenIds", "import distributed"]
    first, second = lines if ours_first else lines[::-1]
    subprocess.run([sys.executable, "-c", DASK.format(first=first, second=second)], check=True)


def test_cloudpickle_keeps_the_vocabulary(ids):
    cloudpickle = pytest.importorskip("cloudpickle")
    back = pickle.loads(cloudpickle.dumps(ids))
    assert type(back) is TokenIds
    assert back.same_vocabulary(ids)


def test_same_vocabulary(ids):
    assert ids.same_vocabulary(ids[1:])
    assert ids.same_vocabulary(VOCABULARY)
    assert ids.same_vocabulary((*VOCABULARY,))
    assert not ids.same_vocabulary(VOCABULARY[::-1])
    assert not ids.same_vocabulary(VOCABULARY[:2])
    assert not ids.same_vocabulary(None, 5)
    # a digest is believed, so that nobody has to compute it twice
    other = tuple("xyz")
    assert ids.same_vocabulary(other, digest=ids.vocabulary_digest)
    assert not ids.same_vocabulary(other)
    hashed = TokenIds([[2]], n_ids=10)
    assert hashed.same_vocabulary(None, 10)
    assert not hashed.same_vocabulary(None, 11)
    assert not hashed.same_vocabulary(VOCABULARY)
    unknown = np.array([[2]]).view(TokenIds)
    assert not unknown.same_vocabulary(unknown)


def test_digest_tells_apart_what_looks_alike():
    vocabularies = [
        ("ab", "c"),
        ("a", "bc"),
        ("abc",),
        ("a", "b", "c"),
        ("c", "b", "a"),
        ("", "abc"),
        ("1,2|a",),
        ("a", "\0"),
        ("a\0",),
        ("\ud83d\ude00",),  # two halves of a surrogate pair ...
        ("\U0001f600",),  # ... and the character they would be
        ("\ud83d", "\ude00"),
        ("é",),
        ("e\u0301",),
    ]
    digests = [TokenIds([[0]], vocabulary=tokens).vocabulary_digest for tokens in vocabularies]
    assert len(set(digests)) == len(vocabularies)
    assert TokenIds([[0]], n_ids=7).vocabulary_digest is None


def test_digest_is_computed_once_for_all_slices(ids, monkeypatch):
    digest = ids[1:].vocabulary_digest
    monkeypatch.delattr("sklearn_textcnn.token_ids.hashlib.blake2b")
    assert ids.vocabulary_digest == digest
    assert ids[:, 1:].vocabulary_digest == digest
    assert pickle.loads(pickle.dumps(ids)).vocabulary_digest == digest


def test_one_pickle_holds_the_vocabulary_once(ids):
    train, test = pickle.loads(pickle.dumps([ids[:2], ids[2:]]))
    assert train.vocabulary is test.vocabulary
    assert len(pickle.dumps([ids] * 50)) < 2 * len(pickle.dumps(ids))


def test_cast_array_knows_nothing(ids):
    cast = np.array([[2, 3]]).view(TokenIds)
    assert (cast.vocabulary, cast.n_ids, cast.vocabulary_digest) == (None, None, None)
    for dtype in (np.float32, np.float16, np.complex64, ">f4"):
        with pytest.raises(ValueError, match=r"no numbers of dtype .* astype"):
            ids.view(dtype)
    for dtype in (np.uint8, np.int16, "S4", [("first", np.int32)]):
        assert type(ids.view(dtype)) is np.ndarray
    assert ids.view(np.int32).vocabulary is ids.vocabulary
    assert type(ids.view(np.ndarray)) is np.ndarray
    assert_array_equal(np.unique(ids, axis=0), np.unique(np.asarray(ids), axis=0))


def _is_mapped(array):
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def _look(ids):
    return type(ids).__name__, _is_mapped(ids), ids.vocabulary, ids.n_ids, int(ids.sum())


@pytest.fixture(scope="module")
def large():
    return TokenIds(np.ones((3000, 50), dtype=np.int32), vocabulary=VOCABULARY)


def test_joblib_processes_share_the_memory(large):
    (seen,) = joblib.Parallel(n_jobs=2, max_nbytes=1000)([joblib.delayed(_look)(large)])
    assert seen == ("TokenIds", True, VOCABULARY, 5, 150_000)


@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_joblib_dump(mmap_mode, large, tmp_path):
    joblib.dump(large[:20], tmp_path / "ids.joblib")
    loaded = joblib.load(tmp_path / "ids.joblib", mmap_mode=mmap_mode)
    assert_keeps(loaded, large, np.ones((20, 50)))
    assert _is_mapped(loaded) == (mmap_mode == "r")


@pytest.mark.parametrize("number", [2**31 - 1, 2**31 + 5, 2**32 + 5])
def test_ids_that_int32_cannot_hold_are_refused(number):
    with pytest.raises(ValueError, match=f"up to 2147483646.*got {number}"):
        TokenIds([[number]])
    with pytest.raises(ValueError, match="up to 2147483646"):
        TokenIds(np.array([[number]]), n_ids=2**40)
