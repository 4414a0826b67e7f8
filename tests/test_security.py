"""What comes from strangers: files of models and of vectors, documents, tokens and labels."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import re
import time
import tracemalloc
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from classifiers import run_python, small
from corpora import topic_texts
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import sklearn_textcnn
from sklearn_textcnn import (
    TRUSTED_TYPES,
    NgramLinearClassifier,
    TextCNNClassifier,
    TextVectorizerTransformer,
    WordVectors,
    _vector_files,
)
from sklearn_textcnn.inspection import (
    ExplanationDisplay,
    TopNgramsDisplay,
    explain_pipeline,
)

TEXTS, LABELS = topic_texts(60)
VECTORS = {
    word: [float(i), 1.0] for i, word in enumerate("oven butter orbit moon goal the".split())
}

# --- files of models


def test_trusted_types_are_the_classes_that_are_saved():
    saved = (TextCNNClassifier, NgramLinearClassifier, TextVectorizerTransformer, WordVectors)
    assert set(TRUSTED_TYPES) == {f"{c.__module__}.{c.__qualname__}" for c in saved}


def several_labels(labels):
    return np.stack([labels == "space", labels != "sport"], axis=1).astype(int)


SAVED = {
    "defaults": (TextVectorizerTransformer(), small(epochs=1), LABELS),
    "all kinds of parameters": (
        TextVectorizerTransformer(
            stop_words=["the", "a"], token_pattern=r"\w+", min_df=2, max_df=0.9, keep="tail"
        ),
        small(
            word_vectors=WordVectors(VECTORS, center=True, scale=0.3),
            embedding_dim=128,
            embedding_mode="multichannel",
            class_weight={"space": 2.0, "sport": 1.0, "cooking": 0.5},
            early_stopping=True,
            hidden_units=(4,),
            random_state=np.random.RandomState(0),
            epochs=1,
        ),
        LABELS,
    ),
    "fixed vocabulary and a mapping": (
        TextVectorizerTransformer(vocabulary=("the", *VECTORS, "soup")[:-2]),
        small(word_vectors=VECTORS, embedding_dim=128, embedding_mode="static", epochs=1),
        LABELS,
    ),
    "hashes and several labels": (
        TextVectorizerTransformer(hash_buckets=64),
        small(epochs=1, embedding_dim=None, linear_ngrams=0),
        several_labels(LABELS),
    ),
    "linear, number labels": (
        TextVectorizerTransformer(analyzer="char_wb", max_length=None),
        NgramLinearClassifier(random_state=0, class_weight="balanced"),
        np.unique(LABELS, return_inverse=True)[1],
    ),
}


@pytest.fixture(scope="module")
def skops_io():
    return pytest.importorskip("skops.io")


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:word_vectors has a vector for")
@pytest.mark.parametrize("name", SAVED)
def test_skops_files_hold_no_other_types(name, skops_io, tmp_path):
    vectorizer, classifier, y = SAVED[name]
    pipe = make_pipeline(vectorizer, classifier)
    for model in (pipe, pipe.fit(TEXTS, y)):  # not fitted, and fitted
        skops_io.dump(model, tmp_path / "model.skops")
        assert set(skops_io.get_untrusted_types(file=tmp_path / "model.skops")) <= set(
            TRUSTED_TYPES
        )
        loaded = skops_io.load(tmp_path / "model.skops", trusted=TRUSTED_TYPES)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), pipe.predict_proba(TEXTS))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_skops_files_of_networks_that_keras_has_trained_hold_no_other_types(skops_io, tmp_path):
    classifier = small(epochs=1, conv_layers=2, linear_ngrams=0)
    pipe = make_pipeline(TextVectorizerTransformer(), classifier).fit(TEXTS, LABELS)
    pipe[-1].set_params(warm_start=True).fit(pipe[0].transform(TEXTS), LABELS)
    skops_io.dump(pipe, tmp_path / "model.skops")
    loaded = skops_io.load(tmp_path / "model.skops", trusted=TRUSTED_TYPES)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), pipe.predict_proba(TEXTS))


@pytest.mark.parametrize(
    "step", [FunctionTransformer(os.system), TextVectorizerTransformer(tokenizer=run_python)]
)
def test_a_skops_file_with_a_function_in_it_is_refused(step, skops_io, tmp_path):
    skops_io.dump(make_pipeline(step, small()), tmp_path / "model.skops")
    with pytest.raises(Exception, match=r"system|run_python") as refused:
        skops_io.load(tmp_path / "model.skops", trusted=TRUSTED_TYPES)
    assert type(refused.value).__name__ == "UntrustedTypesFoundException"


@pytest.mark.filterwarnings("ignore:word_vectors has a vector for")
def test_a_loaded_model_opens_no_file_that_it_names(tmp_path, monkeypatch, skops_io):
    path = tmp_path / "vectors.txt"
    path.write_text("\n".join(f"{word} {a} {b}" for word, (a, b) in VECTORS.items()))
    pipe = make_pipeline(
        TextVectorizerTransformer(),
        small(word_vectors=WordVectors(path), embedding_dim=128, epochs=1),
    ).fit(TEXTS, LABELS)
    skops_io.dump(pipe, tmp_path / "model.skops")
    expected = pipe.predict_proba(TEXTS)

    def refuse(*_):
        raise AssertionError("a file was opened")

    monkeypatch.setattr(_vector_files.VectorFile, "_open", refuse)
    monkeypatch.setattr(_vector_files.VectorFile, "stamp", refuse)
    for loaded in (
        pickle.loads(pickle.dumps(pipe)),
        skops_io.load(tmp_path / "model.skops", trusted=TRUSTED_TYPES),
    ):
        assert "vectors.txt" in repr(loaded)
        assert "vectors.txt" in loaded._repr_html_()
        np.testing.assert_array_equal(loaded.predict_proba(TEXTS), expected)
        explain_pipeline(loaded, TEXTS[:1])
        with pytest.raises(AssertionError, match="a file was opened"):  # as documented
            loaded.fit(TEXTS, LABELS)


# --- files of vectors


class Payload:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def zipped(method=zipfile.ZIP_DEFLATED, **members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_UP_", "../").replace("_ROOT_", "/"), content)
    return file.getvalue()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda content: zipped(a=content)])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_pickles_are_not_loaded(protocol, pack, tmp_path):
    ran = tmp_path / "ran"
    payload = pickle.dumps(Payload(ran), protocol)
    for content in (payload, npy(np.array([Payload(ran)], dtype=object)), b"2 2\n" + payload):
        (tmp_path / "vectors.bin").write_bytes(pack(content))
        with pytest.raises(ValueError, match=r"vectors\.bin"):
            WordVectors(tmp_path / "vectors.bin").lookup(["a"])
    assert not ran.exists()
    pickle.loads(payload)
    assert ran.exists()  # the payload is one


def test_tokens_and_numbers_are_not_evaluated(tmp_path):
    ran = tmp_path / "ran"
    code = f"__import__('pathlib').Path({str(ran)!r}).touch()"
    tokens = [code, "{0.__class__}", "%n%s", "$(id)", "`id`", "<script>", "../../etc/passwd"]
    path = tmp_path / "vectors.txt"
    path.write_text("".join(f"{token} {i} 1\n" for i, token in enumerate(tokens)))
    vectors = WordVectors(path)
    assert vectors.tokens == tuple(tokens)
    assert vectors.lookup(tokens)[0][:, 0].tolist() == list(range(len(tokens)))
    path.write_text(f"a 1 2\nb 1 {code}\n")
    with pytest.raises(ValueError, match=r"line 2: expected a token and 2 numbers"):
        WordVectors(path).lookup(["b"])
    assert not ran.exists()


def test_members_of_archives_are_read_where_they_are(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "vectors.zip").write_bytes(zipped(_UP_evil=b"a 1\n", _ROOT_evil=b"a 2\n"))
    for member, number in (("../evil", 1), ("/evil", 2)):
        vectors = WordVectors(folder / "vectors.zip", member=member)
        assert vectors.lookup(["a"])[0].tolist() == [[number]]
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert found == ["folder", "folder/vectors.zip"]
    with pytest.raises(ValueError, match="member must name one"):
        WordVectors(folder / "vectors.zip", member="../../etc/passwd").lookup(["a"])


def test_only_files_are_opened(tmp_path):
    others = ["https://example.org/vectors.txt", "|touch ran", "file:///etc/hostname"]
    if os.name == "posix":
        os.mkfifo(tmp_path / "fifo")
        others += [str(tmp_path / "fifo"), "/dev/zero", "/dev/stdin"]
    for path in others:
        with pytest.raises(ValueError, match=r"must be a known name .* or the path of a file"):
            WordVectors(path)


def long_tokens(n_tokens):
    return b"".join(b"%d%s 1\n" % (i, b"x" * 60_000) for i in range(n_tokens))


COMPRESSED = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lambda content: lzma.compress(content, preset=1),
    "zip": lambda content: zipped(a=content),
}
MIB = 1 << 20
FILLINGS = {
    "zeros": b"\0" * (3 * MIB),
    "one line": b"a" + b" 1" * (3 * MIB // 2),
    "many vectors": b"a 1 2 3\n" * (3 * MIB // 8),
    "long tokens": long_tokens(50),
    "binary": b"999999999 2\n" + b"a 12345678" * (3 * MIB // 10),
}
VECTORS_SO_FAR = ("many vectors", "long tokens", "binary")


@pytest.mark.parametrize(
    ("kind", "filling"),
    [("gzip", filling) for filling in FILLINGS]
    + [(kind, "long tokens") for kind in COMPRESSED if kind != "gzip"],
)
def test_bombs_are_refused_before_they_are_large(kind, filling, tmp_path, monkeypatch):
    """Also by what keeps all tokens."""
    monkeypatch.setattr(_vector_files, "_SMALL", MIB // 4)
    monkeypatch.setattr(_vector_files, "_CHUNK", MIB // 8)
    path = tmp_path / "bomb"
    path.write_bytes(COMPRESSED[kind](FILLINGS[filling]))
    for use in (lambda vectors: vectors.tokens, lambda vectors: vectors.lookup(["b"])):
        with pytest.raises(ValueError, match=r"bomb: |bomb, line 1") as refused:
            use(WordVectors(path))
        if filling in VECTORS_SO_FAR:
            assert "compressed bytes become more than" in str(refused.value)


@pytest.mark.parametrize("kind", COMPRESSED)
def test_what_is_decompressed_at_a_time_is_bounded(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(_vector_files, "_CHUNK", MIB // 8)
    n_tokens = 100
    path = tmp_path / "vectors"
    path.write_bytes(COMPRESSED[kind](long_tokens(n_tokens)))
    tracemalloc.start()
    try:
        _, found = WordVectors(path).lookup([f"{n_tokens - 1}{'x' * 60_000}"])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.all()
    assert peak < 3 * MIB  # of 6, however many there are


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_zipfile_would_decompress_at_once_is_refused(method, tmp_path):
    path = tmp_path / "vectors.zip"
    path.write_bytes(zipped(method, a=b"a 1 2\n"))
    with pytest.raises(ValueError, match=r"vectors\.zip: bzip2 or LZMA .*Unpack the archive first"):
        WordVectors(path).lookup(["a"])


@pytest.mark.slow
def test_bombs_of_real_size_take_little_memory(tmp_path):
    """Gigabytes in kilobytes, read in a process that may have 1 GiB of addresses more than now."""
    block = long_tokens(500)  # 30 MB
    names = []
    for kind in ("gzip", "bzip2", "xz"):  # pieces of which are a whole again
        names.append(tmp_path / kind)
        names[-1].write_bytes(COMPRESSED[kind](block) * 64)
    names.append(tmp_path / "zip")  # which has no pieces
    names[-1].write_bytes(COMPRESSED["zip"](long_tokens(10_000)))
    code = f"""
        import resource
        from sklearn_textcnn import WordVectors
        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 2**30, size + 2**30))
        for name in {[str(name) for name in names]}:
            for use in (lambda v: v.tokens, lambda v: v.lookup(["b"])):
                try:
                    use(WordVectors(name))
                except ValueError as error:
                    print("compressed bytes become more than" in str(error))
        """
    run = run_python(code)
    assert run.stderr == ""
    assert run.stdout.split() == ["True"] * 2 * len(names)


def test_files_that_compress_well_are_read_to_their_end(tmp_path):
    """Small ones in any case, and larger ones up to a hundred times their size."""
    content = b"".join(b"t%d%s\n" % (i, b" 0.25" * 50) for i in range(20_000))
    (tmp_path / "vectors.gz").write_bytes(gzip.compress(content))
    assert WordVectors(tmp_path / "vectors.gz").lookup(["t19999"])[1].all()


@pytest.mark.parametrize(
    "content",
    [
        b"1 99999999999999\na \0\0\0\0",
        b"1 100000\na \0\0\0\0",
        b"1 " + b"9" * 100_000 + b"\na \0\0\0\0",
        b"9" * 100_000 + b" 1\na 1\n",
        b"a" + b" 1" * 100_000 + b"\n",
    ],
    ids=["terabytes", "a little more", "no number of Python", "no number of vectors", "one line"],
)
def test_announced_sizes_are_not_believed(content, tmp_path):
    path = tmp_path / "vectors.bin"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"vectors\.bin, (line|vector) \d"):
            WordVectors(path).lookup(["a"])
        assert tracemalloc.get_traced_memory()[1] < 24 * MIB
    finally:
        tracemalloc.stop()


# --- documents, tokens and labels

HOSTILE = (
    "<script>alert(1)</script>",
    '"onload="alert(1)',
    "'onerror='alert(1)",
    "</td></style><img/src=x/onerror=alert(1)>",
    "&lt;b&gt;",
    "$x^2$",
    "$\\frac$",
    "\x1b[31mred\x07",
    "\u202eright-to-left\u2066",
    "nul\0",
    "\ud800half",
    "{0.__class__}%s",
)
HARMLESS = tuple(f"harmless{chr(97 + i)}" for i in range(len(HOSTILE)))


def fitted(words, classifier):
    """A pipeline with some words for stop words, tokens and labels."""
    texts = [" ".join(np.roll(words, i)[:4]) for i in range(len(words))] * 6
    labels = np.resize(np.array(words[:3], dtype=object), len(texts))
    vectorizer = TextVectorizerTransformer(analyzer=str.split)
    return make_pipeline(vectorizer, classifier).fit(texts, labels), " ".join(words)


class Markup(HTMLParser):
    """The kinds of elements, each with the names of its attributes, and the text of a page."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.elements, self.text = set(), ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.add((tag, *(name for name, _ in attributes)))

    def handle_data(self, data):
        self.text += data


def pages(words):
    """Everything of this package that becomes HTML, with some words wherever words can be."""
    for classifier in (NgramLinearClassifier(random_state=0), small(epochs=1, linear_ngrams=1)):
        pipe, text = fitted(words, classifier)
        yield pipe._repr_html_()
        for target in pipe.classes_:
            (found,) = explain_pipeline(pipe, [text], target)
            yield found._repr_html_()
            found.text = None  # tokens alone
            yield found._repr_html_()
    listed = list(words)
    for estimator in (
        TextVectorizerTransformer(stop_words=listed, token_pattern=f"({words[0]})"),
        TextVectorizerTransformer(vocabulary=listed),
        TextVectorizerTransformer(vocabulary=dict(zip(words, range(2, 99), strict=False))),
        small(class_weight=dict.fromkeys(words, 1.0), word_vectors={words[0]: [1.0]}),
        small(word_vectors=WordVectors([[1.0]] * len(words), tokens=words)),
        NgramLinearClassifier(class_weight=dict.fromkeys(words, 1.0)),
    ):
        yield estimator._repr_html_()


def test_no_word_becomes_markup():
    both = [list(map(Markup, pages(words))) for words in (HOSTILE, HARMLESS)]
    assert len(both[0]) == len(both[1]) == 20
    for hostile, harmless in zip(*both, strict=True):
        assert hostile.elements == harmless.elements
    assert sum("<script>alert(1)</script>" in page.text for page in both[0]) > 15


def is_printable(text):
    return all(letter.isprintable() or letter == "\n" for letter in text)


def test_nothing_that_is_printed_moves_the_cursor_or_the_reader(tmp_path):
    printed = []
    for classifier in (NgramLinearClassifier(random_state=0), small(epochs=1, linear_ngrams=1)):
        pipe, text = fitted(HOSTILE, classifier)
        (found,) = explain_pipeline(pipe, [text])
        printed += [repr(found), str(found), repr(found.ngrams), repr(pipe)]
        printed.append(repr(pipe[0].transform([text])))
        for target in ("\x1b[31m", "\u202e"):
            with pytest.raises(ValueError, match="target") as refused:
                pipe[-1].explain(pipe[0].transform([text]), target)
            printed.append(str(refused.value))
    vectors = WordVectors({word: [1.0] for word in HOSTILE})
    printed.append(repr(vectors))
    (tmp_path / "evil").write_text("\x1b[31m \u202e \x07 no vectors\n")
    for call in (
        lambda: WordVectors(str(tmp_path / "\x1b[31m\u202e")),
        lambda: WordVectors(tmp_path / "evil").lookup(["a"]),
        lambda: TextVectorizerTransformer(vocabulary=["\x1b[31m", "\x1b[31m"]).fit(["a"]),
    ):
        with pytest.raises(ValueError, match=r"\S") as refused:
            call()
        printed.append(str(refused.value))
    with pytest.warns(UserWarning, match="stop_words") as warned:
        TextVectorizerTransformer(stop_words=["\x1b[31m \u202e"]).fit(["a b"])
    printed += [str(one.message) for one in warned]
    assert [text for text in printed if not is_printable(text)] == []


def test_words_in_pictures_are_drawn_as_they_are():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    pipe, text = fitted(HOSTILE, small(epochs=1, linear_ngrams=1))
    with matplotlib.rc_context({"svg.fonttype": "none"}):  # text stays text
        for display in (
            ExplanationDisplay.from_pipeline(pipe, text),
            TopNgramsDisplay.from_estimator(pipe, [text]),
        ):
            file = io.BytesIO()
            display.figure_.savefig(file, format="svg")
            plt.close(display.figure_)
            svg = ElementTree.fromstring(file.getvalue())  # well-formed, thus without controls
            assert not list(svg.iter("{http://www.w3.org/2000/svg}script"))
            drawn = " ".join(element.text or "" for element in svg.iter())
            assert "<script>alert(1)</script>" in drawn
            assert "$x^2$" in drawn
            assert not re.search("[\u202a-\u202e\u2066-\u2069\x1b]", drawn)


@pytest.mark.parametrize(
    "piece",
    ["a", "a\u0300", "\u0711", "\u0300", "\u200d", "'", "a'", " ", "a ", "\U0001f468\u200d", "\0"],
    ids=ascii,
)
def test_time_for_a_document_grows_with_its_length_only(piece):
    """A pattern that goes back and forth would take minutes for these."""
    for analyzer in ("word", "char", "char_wb"):
        vectorizer = TextVectorizerTransformer(analyzer=analyzer, hash_buckets=100)
        document = piece * (60_000 // len(piece))
        began = time.process_time()
        vectorizer.transform([document])
        assert time.process_time() - began < 1


def test_answers_for_hostile_documents_are_json():
    pipe, text = fitted(HOSTILE, NgramLinearClassifier(random_state=0))
    answer = {"label": pipe.predict([text]).tolist(), "p": pipe.predict_proba([text]).tolist()}
    assert json.loads(json.dumps(answer)) == answer
    assert sklearn_textcnn.TRUSTED_TYPES is TRUSTED_TYPES
