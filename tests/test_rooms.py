"""Who may import whom, what stays out of the import of the package, and the size of modules."""

import ast
import importlib
import inspect
import io
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import sklearn_textcnn

PACKAGE = Path(sklearn_textcnn.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_CODE_LINES = 450

# A room is a module or folder directly in the package. Each may import itself and the rooms named
# here.
ROOMS = {
    "token_ids": set(),
    "_progress": set(),
    "_saving": set(),
    "_sharing": {"token_ids"},
    "_checks": {"token_ids"},
    "_answers": {"_checks", "token_ids"},
    "_stacking": {"network"},
    "datasets": {"_progress"},
    "network": set(),
    "presets": set(),
    "vectorizer": {"_progress", "_saving", "token_ids"},
    "word_vectors": {"_progress", "token_ids"},
    "training": {"_progress", "_stacking", "network", "token_ids"},
    "linear": {"_answers", "_checks", "_progress", "_saving", "_stacking", "network", "token_ids"},
    "inspection": {"_checks", "_stacking", "linear", "network", "vectorizer"},
    "classifier": {
        *("_answers", "_checks", "_progress", "_saving", "_stacking", "linear", "network"),
        *("presets", "token_ids", "training", "word_vectors"),
    },
    "__init__": {
        *(
            "_saving",
            "_sharing",
            "classifier",
            "datasets",
            "linear",
            "presets",
            "token_ids",
            "vectorizer",
            "word_vectors",
        )
    },
}
# Rooms that may be imported as well, but inside functions: they import the importer.
INSIDE_FUNCTIONS = {"_answers": {"inspection"}}
# Private modules that were split off a room, and the room.
SPLIT_OFF = {
    "_encoding": "vectorizer",
    "_text": "vectorizer",
    "_token_pattern": "vectorizer",
    "_machines": "linear",
    "_ngrams": "linear",
    "_parts": "classifier",
    "_validation": "classifier",
    "_vector_files": "word_vectors",
    "_distillation": "word_vectors",
    "_encoders": "word_vectors",
}

# Modules that import Keras, and who may import them as others are imported. They are reached
# through `import_with_keras`, so that nothing else needs TensorFlow.
WITH_KERAS = {
    "training.keras_engine": set(),
    "training.keras_model": {"training.keras_engine"},
}
KERAS = {"tensorflow", "keras", "scikeras"}
ALWAYS_INSTALLED = {
    "joblib",
    "numpy",
    "scipy",
    "sklearn",
    "threadpoolctl",
} | sys.stdlib_module_names


def room_of(path):
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return SPLIT_OFF.get(first, first)


def imports(path):
    """Yield (dotted module, whether inside a function, line) of every import of a source file."""

    def visit(node, inside):
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, inside, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: a relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", inside, node.lineno
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(ast.parse(path.read_bytes()), False)


def module_of(path):
    """Dotted name within the package."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def our_room(module):
    """Return the room that an import of ours reaches, None for other people's modules."""
    parts = module.split(".")
    if parts[0] != PACKAGE.name:
        return None
    name = parts[1] if len(parts) > 1 else "__init__"
    name = SPLIT_OFF.get(name, name)
    return name if name in ROOMS else "__init__"


def breaches(path):
    """Return what is wrong with the imports of a module, a line each."""
    room, me = room_of(path), module_of(path)
    found = []
    for module, inside, line in imports(path):
        top, ours = module.split(".")[0], our_room(module)
        where = f"{path.relative_to(PACKAGE)}:{line} imports {module}"
        if ours is not None:
            late = INSIDE_FUNCTIONS.get(room, set()) if inside else set()
            if ours not in ROOMS[room] | late | {room}:
                found.append(f"{where}: {room} must not import {ours}")
            for name, importers in WITH_KERAS.items():
                if f"{module}.".startswith(f"{PACKAGE.name}.{name}.") and me not in importers:
                    found.append(f"{where}: only through import_with_keras")
        elif top in KERAS:
            if me not in WITH_KERAS:
                found.append(f"{where}: only {' and '.join(WITH_KERAS)} may")
        elif top == "matplotlib" and not inside:
            found.append(f"{where}: only inside functions")
        elif top not in ALWAYS_INSTALLED and not inside:
            found.append(f"{where}: an optional dependency, only inside functions")
    return found


def code_lines(source):
    """Count the lines that hold code: neither blank, nor comment, nor part of a docstring."""
    skipped = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
    }
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            lines.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_stay_in_their_rooms(path):
    assert room_of(path) in ROOMS, f"{path.name} is in no room: add it to this test's tables"
    assert breaches(path) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_are_short(path):
    assert code_lines(path.read_text(encoding="utf-8")) <= MAX_CODE_LINES


def test_split_off_modules_exist():
    for name, room in SPLIT_OFF.items():
        assert (PACKAGE / f"{name}.py").is_file()
        assert room in ROOMS


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("classifier", "import keras", "only training.keras_engine and"),
        ("word_vectors", "def f():\n    from tensorflow import nn", "training.keras_model may"),
        ("training/fit", "def f():\n    import scikeras", "training.keras_model may"),
        ("training/numpy_engine", "import keras", "training.keras_model may"),
        ("vectorizer", "import sklearn_textcnn.classifier", "must not import classifier"),
        ("vectorizer", "from sklearn_textcnn import classifier", "must not import classifier"),
        ("vectorizer", "from sklearn_textcnn import TokenIds", "must not import __init__"),
        ("token_ids", "from sklearn_textcnn.vectorizer import x", "must not import vectorizer"),
        ("network/forward", "from sklearn_textcnn.training import fit", "must not import training"),
        ("network/forward", "import sklearn_textcnn.token_ids", "must not import token_ids"),
        ("training/fit", "from sklearn_textcnn.classifier import x", "must not import classifier"),
        ("presets", "from sklearn_textcnn import network", "must not import network"),
        (
            "classifier",
            "def f():\n    from sklearn_textcnn.training import keras_engine",
            "only through import_with_keras",
        ),
        (
            "training/fit",
            "if 1:\n    import sklearn_textcnn.training.keras_engine",
            "only through import_with_keras",
        ),
        (
            "training/fit",
            "from sklearn_textcnn.training.keras_model import KerasNetwork",
            "only through import_with_keras",
        ),
        ("classifier", "import matplotlib.pyplot as plt", "only inside functions"),
        ("vectorizer", "class A:\n    import pandas", "only inside functions"),
        ("_answers", "import sklearn_textcnn.inspection", "must not import inspection"),
        ("_answers", "def f():\n    import sklearn_textcnn.inspection", None),
        ("classifier", "from sklearn_textcnn.training.fit import train", None),
        ("classifier", "def f():\n    import matplotlib.pyplot as plt", None),
        ("training/keras_engine", "import keras\nimport tensorflow as tf", None),
        ("training/keras_engine", "from sklearn_textcnn.training import keras_model", None),
        ("training/keras_model", "import keras\nfrom sklearn_textcnn.network import x", None),
    ],
)
def test_breaches_are_found(name, line, message, tmp_path, monkeypatch):
    path = tmp_path / PACKAGE.name / f"{name}.py"
    path.parent.mkdir(parents=True)
    path.write_text(line)
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path / PACKAGE.name)
    found = breaches(path)
    assert (len(found), message or "") == (1 if message else 0, message or "")
    assert not message or message in found[0]


def test_code_lines_are_counted():
    source = '"""Two\nlines."""\n\nimport os  # 1\n\n\ndef f():  # 2\n    """Doc."""\n    # no\n'
    source += '    return """3\n4"""\n'
    assert code_lines(source) == 4


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_all_names_exist(path):
    relative = path.relative_to(PACKAGE.parent).with_suffix("")
    name = ".".join(relative.parts).removesuffix(".__init__")
    module = importlib.import_module(name)
    public = getattr(module, "__all__", [])
    assert len(set(public)) == len(public)
    assert [name for name in public if not hasattr(module, name)] == []


def test_package_exports_what_it_imports():
    public = {
        name
        for name, value in vars(sklearn_textcnn).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert set(sklearn_textcnn.__all__) == public


def imported_after(code):
    """Heavy modules that a new process has imported once it has run some code."""
    heavy = sorted(KERAS | {"matplotlib", "torch", "tqdm"})
    code = f"import sys\n{code}\nprint([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stderr == ""
    return ast.literal_eval(run.stdout)


def test_importing_the_package_is_light():
    assert imported_after("import sklearn_textcnn") == []


def test_a_fit_by_the_numpy_engine_is_light():
    """Of each network that it trains: see test_engine_choice.py."""
    code = """
import numpy as np
from sklearn_textcnn import TextCNNClassifier
ids = np.random.default_rng(0).integers(0, 20, (40, 8))
classes = np.arange(40) % 2
model = TextCNNClassifier(epochs=2, early_stopping=True)
model.fit(ids, classes).predict_proba(ids)
"""
    assert imported_after(code) == []
