"""load_docstrings, on made-up packages and on the installed ones."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from sklearn_textcnn import datasets
from sklearn_textcnn.datasets import load_docstrings

APPLE = {
    "__init__.py": '"""Grow apples in rows of ten."""\nraise RuntimeError("was imported")\n',
    "orchard/trees.py": '''
class Tree:
    """A tree that
    carries fruit.

    A second paragraph of five words.
    """

    def shake(self):
        """Let ripe fruit fall down.

        \t
        Not seen."""

        def inner():
            "Catch one in the basket."

    if True:
        async def water(self):
            """Give it water every evening."""


def prune():
    """Cut back."""


def again():
    """LET RIPE  fruit: fall down!"""
''',
    "orchard/paris.py": "# no docstrings at all\n",
    "broken.py": 'def template({name}):\n    """Not Python but a template."""\n',
    "escape.py": 'def f():\n    """Has a \\d invalid escape sequence."""\n',
    "latin.py": '# coding: latin-1\n"""Ein \xe4pfel ist eine Frucht."""\n'.encode("latin-1"),
    "tests/test_trees.py": '"""Left out, being a test."""\n',
    "trees_test.py": '"""Left out, being a test."""\n',
    "test_more.py": '"""Left out, being a test."""\n',
    "conftest.py": '"""Left out, being a test."""\n',
    "externals/copied.py": '"""Left out, being a copy."""\n',
    "notes.txt": '"""Left out, not being Python."""\n',
}
PEAR = {
    "__init__.py": '"""Grow pears in rows of six."""\n',
    "fruit.py": 'def drop():\n    """Give it water, every evening."""\n',
}
APPLE_TEXTS = [
    ("apple/__init__.py", "Grow apples in rows of ten."),
    ("apple/escape.py", "Has a \\d invalid escape sequence."),
    ("apple/latin.py", "Ein äpfel ist eine Frucht."),
    ("apple/orchard/trees.py", "A tree that carries fruit."),
    ("apple/orchard/trees.py", "Let ripe fruit fall down."),
    ("apple/orchard/trees.py", "Catch one in the basket."),
]
WATER = ("apple/orchard/trees.py", "Give it water every evening.")


def write_package(root, name, files):
    for path, content in files.items():
        target = root / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def fruit(tmp_path, monkeypatch):
    """Two packages on the path, none of them importable without an error."""
    write_package(tmp_path, "apple", APPLE)
    write_package(tmp_path, "pear", PEAR)
    (tmp_path / "plum.py").write_text('"""One module, not a folder."""\n')
    (tmp_path / "fig").mkdir()
    (tmp_path / "fig" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_first_paragraphs_in_order_of_the_source(fruit):
    corpus = load_docstrings(["apple"], shuffle=False)
    assert list(zip(corpus.filenames, corpus.data, strict=True)) == [*APPLE_TEXTS, WATER]
    assert_array_equal(corpus.target, np.zeros(7))
    assert corpus.target.dtype == np.int64
    assert corpus.target_names == ["apple"]


def test_paragraph_of_two_packages_is_dropped(fruit):
    corpus = load_docstrings(("pear", "apple"), shuffle=False)
    assert corpus.data == [text for _, text in APPLE_TEXTS] + ["Grow pears in rows of six."]
    assert corpus.target_names == ["apple", "pear"]
    assert_array_equal(corpus.target, [0] * 6 + [1])


def test_nothing_is_imported(fruit):
    load_docstrings(["apple", "plum"])
    assert {"apple", "plum"}.isdisjoint(sys.modules)


def test_single_module(fruit):
    corpus = load_docstrings(["plum"])
    assert corpus.data == ["One module, not a folder."]
    assert corpus.filenames == ["plum.py"]


@pytest.mark.parametrize(("min_words", "has_short"), [(1, True), (2, True), (3, False)])
def test_min_words(fruit, min_words, has_short):
    assert ("Cut back." in load_docstrings(["apple"], min_words=min_words).data) is has_short


def test_shuffle_keeps_columns_together(fruit):
    ordered = load_docstrings(["apple", "pear"], shuffle=False)
    shuffled = load_docstrings(["apple", "pear"])
    rows = [list(zip(c.data, c.target, c.filenames, strict=True)) for c in (ordered, shuffled)]
    assert rows[0] != rows[1]
    assert sorted(rows[0]) == sorted(rows[1])


def test_random_state(fruit):
    data = [load_docstrings(["apple"], random_state=seed).data for seed in (0, 0, 1)]
    assert data[0] == data[1] != data[2]
    assert data[0] == load_docstrings(["apple"]).data


def test_return_X_y(fruit):
    corpus = load_docstrings(["apple", "pear"])
    X, y = load_docstrings(["apple", "pear"], return_X_y=True)
    assert X == corpus.data
    assert_array_equal(y, corpus.target)


def test_description(fruit):
    description = load_docstrings(["apple", "pear"], min_words=4).DESCR
    for line in ("Packages: apple, pear", "Documents: 7", "Classes: 2", "at least 4 words"):
        assert line in description


def test_result_can_be_changed_without_harm(fruit):
    corpus = load_docstrings(["apple"])
    corpus.data.clear()
    corpus.target[:] = 9
    assert len(load_docstrings(["apple"]).data) == 7
    load_docstrings(["apple"]).target_names.clear()
    assert load_docstrings(["apple"]).target_names == ["apple"]


def test_package_is_read_once(fruit, monkeypatch):
    load_docstrings(["apple"])
    monkeypatch.setattr(datasets, "_docstrings", None)
    assert len(load_docstrings(["apple"]).data) == 7


@pytest.mark.parametrize("name", ["no_such_package", "__main__"])
def test_missing_package(name, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None, raising=False)
    with pytest.raises(ImportError, match=rf"package '{name}' .* is not installed. Install it, or"):
        load_docstrings(["numpy", name])


@pytest.mark.parametrize("name", ["fig", "sys"])
def test_package_without_docstrings(fruit, name):
    with pytest.raises(ValueError, match=rf"The package '{name}' has no docstring .*min_words=5"):
        load_docstrings(["apple", name])


def test_package_whose_paragraphs_are_all_short(fruit):
    with pytest.raises(ValueError, match="lower `min_words`"):
        load_docstrings(["plum"], min_words=6)


@pytest.mark.parametrize(
    ("packages", "message"),
    [
        (
            "numpy",
            r"must be a list or tuple of package names\. Got 'numpy' instead\. Pass \['numpy'\]",
        ),
        (None, "must be a list or tuple of package names. Got None instead"),
        ([1], r"must be a list or tuple of package names. Got \[1\] instead"),
        ([], "is empty: name a package"),
        (["os.path"], "names of top-level packages. Got 'os.path'.*without a dot"),
        (["scikit-learn"], "names of top-level packages. Got 'scikit-learn'"),
        ([""], "names of top-level packages. Got ''"),
        (["numpy", "numpy"], r"each package once. Got \['numpy', 'numpy'\]"),
    ],
)
def test_bad_packages(packages, message):
    with pytest.raises(ValueError, match=message):
        load_docstrings(packages)


@pytest.mark.parametrize(
    "parameter", [{"min_words": 0}, {"min_words": 1.5}, {"shuffle": "yes"}, {"random_state": "a"}]
)
def test_bad_parameters(parameter):
    (name,) = parameter
    with pytest.raises(ValueError, match=f"The '{name}' parameter of load_docstrings must be"):
        load_docstrings(["joblib"], **parameter)


@pytest.mark.slow
def test_installed_packages_make_a_corpus():
    corpus = load_docstrings()
    assert corpus.target_names == ["joblib", "keras", "numpy", "scipy", "sklearn"]
    assert len(set(corpus.data)) == len(corpus.data) > 5000
    assert np.bincount(corpus.target).min() > 100
    assert all(len(text.split()) >= 5 and "\n" not in text for text in corpus.data)
    assert not any("/tests/" in name or "/externals/" in name for name in corpus.filenames)


@pytest.mark.slow
def test_corpus_is_learnable_but_not_trivial():
    X, y = load_docstrings(return_X_y=True)
    baseline = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LinearSVC())
    score = cross_val_score(baseline, X, y, cv=5).mean()
    assert 0.75 < score < 0.87
