"""What docstrings, README and quickstart say and do, held against the code."""

import ast
import importlib
import inspect
import re
import runpy
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator

import sklearn_textcnn
from sklearn_textcnn.datasets import load_docstrings

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
QUICKSTART = ROOT / "examples" / "quickstart.py"
MODULES = ["sklearn_textcnn"]
MODULES += [f"sklearn_textcnn.{name}" for name in ("datasets", "inspection", "presets")]
CLASSES = [
    value
    for name in sklearn_textcnn.__all__
    if inspect.isclass(value := getattr(sklearn_textcnn, name))
]
ESTIMATORS = [cls for cls in CLASSES if issubclass(cls, BaseEstimator)]


def own_methods(cls):
    """Yield the public methods that our code defines for a class, without those of ndarray."""
    for name, member in inspect.getmembers(cls, inspect.isroutine):
        ours = (getattr(member, "__module__", None) or "").startswith("sklearn_textcnn")
        inherited = issubclass(cls, np.ndarray) and hasattr(np.ndarray, name)
        # scikit-learn makes set_fit_request and its kin in the estimator's module.
        if ours and not inherited and not re.match(r"_|set_\w+_request$", name):
            yield member


CALLABLES = [
    *CLASSES,
    *(method for cls in CLASSES for method in own_methods(cls)),
    load_docstrings,
]


def section(docstring, heading):
    """Return the lines of a numpydoc section, None if there is no such section."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    for start, (line, underline) in enumerate(pairwise(lines)):
        if line == heading and set(underline) == {"-"}:
            body = lines[start + 2 :]
            rule = re.compile(r"-{3,}$")
            ends = (i - 1 for i, text in enumerate(body) if rule.match(text))
            return body[: next(ends, len(body))]
    return None


def documented_parameters(docstring):
    """Return {name: what stands after the colon} of the Parameters section, in its order.

    Entries begin in the first column; "a, b : int, default=1" documents two; a type may go on over
    lines that end in a comma.
    """
    found = {}
    lines = iter(section(docstring, "Parameters") or [])
    for line in lines:
        if line and not line[0].isspace():
            names, _, kind = line.partition(" : ")
            for name in names.split(","):
                found[name.strip().lstrip("*")] = kind.strip()
    return found


def signature_parameters(function):
    parameters = inspect.signature(function).parameters
    return {name: p for name, p in parameters.items() if name not in ("self", "cls")}


def label(function):
    return function.__qualname__


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=label)
def test_estimators_document_parameters(estimator):
    assert section(estimator.__doc__, "Parameters")


@pytest.mark.parametrize("function", CALLABLES, ids=label)
def test_documented_names_are_those_of_the_signature(function):
    documented = documented_parameters(function.__doc__)
    assert list(documented) == list(signature_parameters(function))


@pytest.mark.parametrize("function", CALLABLES, ids=label)
def test_documented_defaults_are_those_of_the_signature(function):
    documented = documented_parameters(function.__doc__)
    for name, parameter in signature_parameters(function).items():
        kind, stated, default = documented[name].partition("default=")
        if parameter.default is inspect.Parameter.empty:
            assert not stated, f"{name} has no default"
        elif kind not in ("None", "Ignored"):  # only there for the API
            assert stated, f"{name}: no 'default=' in {documented[name]!r}"
            constants = vars(sys.modules[function.__module__])
            value = constants[default] if default in constants else ast.literal_eval(default)
            assert (value, type(value)) == (parameter.default, type(parameter.default)), name


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=label)
@pytest.mark.parametrize("heading", ["Attributes", "See Also", "Examples"])
def test_estimators_have_section(estimator, heading):
    assert section(estimator.__doc__, heading)


@pytest.mark.parametrize("module", MODULES)
def test_public_names_have_an_example_and_a_page(module):
    pages = (ROOT / "docs" / "reference").glob("*.rst")
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    public = importlib.import_module(module)
    for name in public.__all__:
        documented = getattr(public, name)
        if isinstance(documented, dict | tuple):  # data have no docstring of their own
            documented = public
        assert ">>> " in "\n".join(section(documented.__doc__, "Examples") or []), name
        assert re.search(rf"^\.\. auto(class|function|data):: {name}$", text, re.MULTILINE), name
        if inspect.isclass(documented):
            for method in own_methods(documented):
                assert method.__doc__, method.__qualname__


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=label)
def test_parameters_have_constraints(estimator):
    assert set(estimator._parameter_constraints) == set(signature_parameters(estimator))


def test_parser_of_parameters():
    docstring = """Summary.

    Parameters
    ----------
    a, b : int or "x", default=1
        Text : with a colon.

    c : str

    *args : object
        More.

    Returns
    -------
    d : int
    """
    assert documented_parameters(docstring) == {
        "a": 'int or "x", default=1',
        "b": 'int or "x", default=1',
        "c": "str",
        "args": "object",
    }
    assert section(docstring, "Returns") == ["d : int"]
    assert section(docstring, "Notes") is None


def test_readme_commands():
    text = README.read_text(encoding="utf-8")
    assert "\npip install -e . && python examples/quickstart.py\n" in text
    assert '\npip install -e ".[test]" && pytest\n' in text


def test_user_guide_lists_every_parameter():
    page = (ROOT / "docs" / "user_guide" / "parameters.rst").read_text(encoding="utf-8")
    _, *parts = re.split(r"\n(\w+)\n-{5,}\n", page)
    tables = dict(zip(parts[::2], parts[1::2], strict=True))
    assert set(tables) == {estimator.__name__ for estimator in ESTIMATORS}
    for estimator in ESTIMATORS:
        first_cells = re.findall(r"^    \* - (``.*)", tables[estimator.__name__], re.MULTILINE)
        listed = [name for cell in first_cells for name in re.findall(r"``(\w+)``", cell)]
        assert sorted(listed) == sorted(signature_parameters(estimator)), estimator.__name__


@pytest.mark.slow
def test_readme_example_runs(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    namespace = {}
    exec(compile(block, README.name, "exec"), namespace)
    printed = capsys.readouterr()
    assert "weighted avg" in printed.out
    assert printed.err == ""
    # sentences differ from one version of the two packages to the next
    assert namespace["model"].score(namespace["X_test"], namespace["y_test"]) > 0.88
    assert namespace["explanation"].text == namespace["sentence"]
    # what the README says of the picture, which another script draws of the same explanation
    picture = (ROOT / "docs" / "_static" / "explanation.svg").read_text(encoding="utf-8")
    assert namespace["sentence"] in README.read_text(encoding="utf-8").partition("```")[0]
    assert f'<desc id="desc">{namespace["sentence"]} keras: logit' in picture


@pytest.fixture(scope="module")
def quickstart():
    return runpy.run_path(str(QUICKSTART))


def read(quickstart, tmp_path, content, text="text", label="label"):
    path = tmp_path / "data.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return quickstart["read_csv"](path, text, label)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_quickstart_reads_csv(quickstart, tmp_path, start, delimiter):
    rows = [["text", "id", "label"], *([f'"{i}, two\nlines"', str(i), "no"] for i in range(5))]
    rows += [[" äpfel ", "9", "yes"]] * 5
    content = start + "\n".join(delimiter.join(row) for row in rows).encode()
    texts, labels = read(quickstart, tmp_path, content)
    assert texts[:2] == ["0, two\nlines", "1, two\nlines"]
    assert texts[9] == "äpfel"
    assert labels.tolist() == ["no"] * 5 + ["yes"] * 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("body,label\na,b\n", "no column 'text'. Its columns are: 'body', 'label'"),
        ("", "no column 'text'"),
        ("text,label\na,b\n ,b\nc,\n", r"line 3: the column 'text' is empty \(2 such rows in all"),
        ("text,label\na,b\nc\n", "line 3: the column 'label' is empty"),
        ("text,label\n" + "a,b\n" * 9, "'label' holds 1 different labels"),
        ("text,label\n", "'label' holds 0 different labels"),
        ("text,label\n" + "a,b\n" * 5 + "a,c\n" * 4, r"at least 5 documents .*: 'c' \(4\)\."),
        ("text,label\n" + "".join(f"a,{i}\n" for i in range(99)), "and 94 more. Add documents"),
        (b"text,label\n\xff,b\n", "is not UTF-8"),
    ],
)
def test_quickstart_refuses_csv(quickstart, tmp_path, content, message):
    with pytest.raises(SystemExit, match=message):
        read(quickstart, tmp_path, content)


def test_quickstart_without_the_file(quickstart, tmp_path):
    with pytest.raises(SystemExit, match=r"none\.csv cannot be read: No such file"):
        quickstart["read_csv"](tmp_path / "none.csv", "text", "label")


def test_quickstart_sample_keeps_every_class(quickstart):
    labels = np.array(["a"] * 900 + ["b"] * 96 + ["c"] * 4)
    texts = [f"{label}{i}" for i, label in enumerate(labels)]
    few, their_labels = quickstart["sample"](texts, labels, 100)
    assert Counter(their_labels.tolist()) == {"a": 90, "b": 10, "c": 3}
    assert [text[0] for text in few] == their_labels.tolist()
    assert sorted(quickstart["sample"](texts, labels, 5000)[0]) == sorted(texts)
