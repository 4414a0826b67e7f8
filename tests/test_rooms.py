"""Who may import whom, what stays out of the import of the package, and the size of modules."""

import ast
import importlib
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
# here; pairs in IN_FUNCTIONS only inside functions, which keeps the import of the package light.
ROOMS = {
    "token_ids": set(),
    "datasets": set(),
    "inference": set(),
    "vectorizer": {"token_ids"},
    "word_vectors": {"token_ids"},
    "training": {"token_ids"},
    "inspection": {"inference", "token_ids"},
    "classifier": {"token_ids", "word_vectors", "inference", "inspection", "training"},
    "__init__": {"token_ids", "vectorizer", "word_vectors", "classifier", "datasets", "inspection"},
}
IN_FUNCTIONS = {("classifier", "training")}
# Private modules that were split off a room, and the room.
SPLIT_OFF = {
    "_text": "vectorizer",
    "_linear": "classifier",
    "_validation": "classifier",
    "_vector_files": "word_vectors",
}

# The one room that may import each of these. matplotlib only inside functions even there.
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
    room = room_of(path)
    found = []
    for module, inside, line in imports(path):
        top, ours = module.split(".")[0], our_room(module)
        where = f"{path.relative_to(PACKAGE)}:{line} imports {module}"
        if ours is not None:
            if ours not in ROOMS[room] | {room}:
                found.append(f"{where}: {room} must not import {ours}")
            elif (room, ours) in IN_FUNCTIONS and not inside:
                found.append(f"{where}: only inside functions")
        elif top in KERAS:
            if room != "training":
                found.append(f"{where}: only the room training may")
        elif top == "matplotlib" and room != "inspection":
            found.append(f"{where}: only the room inspection may")
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
    ("room", "line", "message"),
    [
        ("classifier", "import keras", "only the room training may"),
        ("word_vectors", "def f():\n    from tensorflow import nn", "only the room training may"),
        (
            "vectorizer",
            "import sklearn_textcnn.classifier",
            "vectorizer must not import classifier",
        ),
        ("vectorizer", "from sklearn_textcnn import classifier", "must not import classifier"),
        ("vectorizer", "from sklearn_textcnn import TokenIds", "must not import __init__"),
        ("token_ids", "from sklearn_textcnn.vectorizer import x", "must not import vectorizer"),
        ("classifier", "from sklearn_textcnn.training import trainer", "only inside functions"),
        (
            "classifier",
            "if 1:\n    import sklearn_textcnn.training.trainer",
            "only inside functions",
        ),
        ("vectorizer", "def f():\n    import matplotlib", "only the room inspection may"),
        ("inspection", "import matplotlib.pyplot as plt", "only inside functions"),
        ("vectorizer", "class A:\n    import pandas", "only inside functions"),
        ("classifier", "def f():\n    from sklearn_textcnn.training import trainer", None),
        ("inspection", "def f():\n    import matplotlib.pyplot as plt", None),
        ("training", "import keras\nfrom sklearn_textcnn.training import layers", None),
    ],
)
def test_breaches_are_found(room, line, message, tmp_path, monkeypatch):
    path = tmp_path / PACKAGE.name / f"{room}.py"
    path.parent.mkdir()
    path.write_text(line)
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", path.parent)
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
        if not name.startswith("_") and getattr(value, "__module__", "").startswith(PACKAGE.name)
    }
    assert set(sklearn_textcnn.__all__) == public


def test_importing_the_package_is_light():
    heavy = sorted(KERAS | {"matplotlib"})
    code = f"import sys, sklearn_textcnn; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stderr == ""
    assert run.stdout.strip() == "[]"
