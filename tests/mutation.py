"""Small changes of what the package computes, one at a time: does the default run notice them?

    python tests/mutation.py --n 100 --seed 0
    python tests/mutation.py --n 20 --module token_ids.py

Changes are drawn from all that `CHANGES` makes of the modules in `TESTS`. Each is made in a copy of
the repository in a temporary folder, and tests are called up to the first that fails: some of the
module; where those notice nothing, the others of it; then all of the default run. A change that
makes tests hang or crash is noticed, too. At the end the tests that failed are called without any
change.

Docstrings, messages, type hints, decorators and imports stay as they are, and so do the numbers of
`TUNING`, which decide how fast and not what.
"""

import argparse
import ast
import copy
import importlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "sklearn_textcnn"
# Modules, by the beginning of their path, and the tests to begin with: those that are called first,
# and those for what these do not notice. The first path that fits counts.
TESTS = {
    "token_ids.py": ("token_ids", "ids_and_padding bad_input vectorizer"),
    "training/update_rules.py": ("update_rules", "numpy_engine"),
    "training/missed_steps.py": ("update_rules", "numpy_engine"),
    "training/batches.py": ("batches", "numpy_engine losses_and_weights"),
    "network/architecture.py": ("architecture", "forward ids_and_padding streaming keras_model"),
    "network/": ("forward", "losses_and_weights ids_and_padding linear numpy_engine"),
    "_ngrams.py": ("ngrams", "machines linear linear_part"),
    "_machines.py": ("machines", "linear linear_part"),
    "linear.py": ("linear", "linear_part docs contract"),
    "training/losses.py": ("losses_and_weights", "numpy_engine"),
    "training/course.py": ("course averaging", "early_stopping keras_callbacks progress"),
    "training/numpy_engine.py": ("streaming", "losses_and_weights numpy_engine engines"),
    "training/blas.py": ("numpy_engine", "processes concurrency refits"),
    "training/fit.py": ("engine_choice", "engines averaging"),
    "training/quiet_import.py": ("saving", "processes concurrency"),
    "training/keras_model.py": ("keras_model export", "to_keras engines"),
    "training/keras_engine.py": ("losses_and_weights", "averaging engines keras_callbacks"),
}
# Sizes of blocks and of memory, and what work has to be worth: results do not depend on them.
TUNING = {
    *("BLOCK_VALUES", "DOCUMENTS_AT_A_TIME", "KEPT_BYTES", "MOST_MULTIPLICATIONS"),
    *("ROWS_AT_A_TIME", "ROWS_PER_PRODUCT", "TRAINING_BLOCK", "VALUES_AN_ID", "VALUES_AT_A_TIME"),
    *("VALUES_A_CALL", "VALUES_A_TOKEN", "VALUES_PER_THREAD"),
}
LEAST_SHARE = 0.92
# Processor time of each group of tests, in seconds: some ten times what they take.
# A process that waits for something that never comes ends after so much time on the clock.
LIMITS = {"first": 300, "next": 600, "others": 3000}
LONGEST = 1200
MEMORY = 16 * 2**30
PRELOADED = "sklearn.pipeline pandas polars scipy.stats matplotlib tensorflow keras".split()


# What is changed


class Change(NamedTuple):
    """One change of a module: `new` instead of the source between two offsets, in bytes."""

    path: str  # in the package
    line: int
    kind: str
    start: int
    end: int
    old: str
    new: str

    def __str__(self):
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.path}:{self.line}: {old} -> {new}"


SWAPS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}
PAIRS = ["min max", "minimum maximum", "any all", "argmin argmax", "floor ceil", "zeros ones"]
OTHER_NAME = {a: b for pair in PAIRS for a, b in (pair.split(), pair.split()[::-1])}


def comparisons(node):
    """Another comparison: its border on the other side, and its opposite."""
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            for other in SWAPS[type(op)]:
                yield with_(node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]])


def arithmetic(node):
    """Minus for plus, over for times and the like; not where texts or lists are joined."""
    if isinstance(node, ast.AugAssign | ast.BinOp):
        sides = [node.value] if isinstance(node, ast.AugAssign) else [node.left, node.right]
        if not any(isinstance(side, ast.JoinedStr | ast.List) or is_text(side) for side in sides):
            for other in SWAPS.get(type(node.op), ()):
                yield with_(node, op=other())


def and_or(node):
    """``or`` for ``and``."""
    if isinstance(node, ast.BoolOp):
        yield with_(node, op=SWAPS[type(node.op)][0]())


def signs(node):
    """``not``, ``-`` and ``~`` dropped."""
    if isinstance(node, ast.UnaryOp):
        yield node.operand


def numbers(node):
    """One more."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        more = node.value + 1
        yield with_(node, value=more if more != node.value else 2 * node.value)


def switches(node):
    """True for False."""
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        yield with_(node, value=not node.value)


def axes(node):
    """Another axis."""
    if isinstance(node, ast.Call):
        for i, keyword in enumerate(node.keywords):
            if keyword.arg == "axis" and isinstance(keyword.value, ast.Constant):
                value = {0: 1, 1: 0}.get(keyword.value.value, 1)
                other = with_(keyword, value=ast.Constant(value))
                yield with_(node, keywords=[*node.keywords[:i], other, *node.keywords[i + 1 :]])


def bounds(node):
    """A slice that begins or ends one later."""
    if isinstance(node, ast.Slice):
        for name in ("lower", "upper"):
            bound = getattr(node, name)
            if bound is not None and not isinstance(bound, ast.Constant):
                yield with_(node, **{name: ast.BinOp(bound, ast.Add(), ast.Constant(1))})


def functions(node):
    """max for min and the like."""
    if isinstance(node, ast.Name) and node.id in OTHER_NAME:
        yield with_(node, id=OTHER_NAME[node.id])
    elif isinstance(node, ast.Attribute) and node.attr in OTHER_NAME:
        yield with_(node, attr=OTHER_NAME[node.attr])


def branches(node):
    """The other branch, unless a changed comparison takes it already."""
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        if not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp):
            yield node.test, ast.UnaryOp(ast.Not(), node.test)


def early_ends(node):
    """A branch that does not end with a return, an error or the next turn."""
    if isinstance(node, ast.If):
        last = node.body[-1]
        if isinstance(last, ast.Return | ast.Raise | ast.Continue | ast.Break):
            yield last, ast.Pass()


def steps(node):
    """A statement left out that changes something in place or is called for what it does."""
    is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    is_write = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript)
    if is_call or is_write or isinstance(node, ast.AugAssign):
        yield ast.Pass()


CHANGES = {
    "comparison": comparisons,
    "arithmetic": arithmetic,
    "and/or": and_or,
    "sign": signs,
    "number": numbers,
    "switch": switches,
    "axis": axes,
    "slice": bounds,
    "function": functions,
    "branch": branches,
    "early end": early_ends,
    "step": steps,
}


def with_(node, **fields):
    """A copy of a node with other fields."""
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)


def changes_of(path):
    """All changes of a module of the package."""
    source = (ROOT / PACKAGE / path).read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def make(kind, node, new):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        old, new = source[start:end].decode(), ast.unparse(new)
        if isinstance(node, ast.expr) and not isinstance(node, ast.Slice):
            new = f"({new})"
        return Change(path, node.lineno, kind, start, end, old, new)

    for node in _nodes(ast.parse(source)):
        for kind, change in CHANGES.items():
            for found in change(node):
                yield make(kind, *(found if isinstance(found, tuple) else (node, found)))


def _nodes(tree):
    """Yield the nodes that may be changed."""
    for node in _parts(tree):
        yield node
        yield from _nodes(node)


def _targets(node):
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return tuple(target.id for target in targets if isinstance(target, ast.Name))


def _parts(node):
    """The parts of a node in which something may be changed."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        for part in value if isinstance(value, list) else [value]:
            is_text_alone = isinstance(part, ast.Expr) and is_text(part.value)
            if isinstance(part, ast.AST) and not isinstance(part, UNCHANGED) and not is_text_alone:
                if not TUNING & set(_targets(part)):
                    yield part


UNCHANGED = (ast.Import, ast.ImportFrom, ast.JoinedStr, ast.Raise, ast.Global, ast.Nonlocal)


def modules(only):
    """The modules whose changes are drawn, as paths in the package."""
    paths = [p.relative_to(ROOT / PACKAGE) for p in sorted((ROOT / PACKAGE).rglob("*.py"))]
    return [
        str(p) for p in paths if str(p).startswith(tuple(TESTS)) and str(p).startswith(only or "")
    ]


# Running them


def _environment(folder):
    paths = map(str, (folder, folder / "tests", os.environ.get("PYTHONPATH", "")))
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


def preload():
    """Import what tests need and what is not ours, once for all of the processes to come."""
    os.environ["SCIPY_ARRAY_API"] = "1"  # as tests/conftest.py does
    for name in PRELOADED:
        importlib.import_module(name)


def run_tests(folder, files, limit):
    """None if tests pass, else the first that fails, or how they ended.

    They run in a fork of this process, which saves them most of the imports.
    """
    with tempfile.TemporaryFile("w+") as output:
        child = os.fork()
        if not child:
            _run_here(folder, files, limit, output)
        try:
            code = _wait(child, time.monotonic() + LONGEST)
        finally:
            with suppress(ProcessLookupError):  # also of what it has started
                os.killpg(child, signal.SIGKILL)
        output.seek(0)
        text = output.read()
    if code == 0:
        return None
    if code is None or code == -signal.SIGXCPU:
        return "does not end"
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", text, flags=re.MULTILINE)
    return failed.group(1) if failed else f"ends with {code}: {text[-300:]}"


def _run_here(folder, files, limit, output):
    """Run tests in this process, and end it."""
    code = 99
    try:
        os.setsid()
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        used = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (used + limit, used + limit + 10))
        os.chdir(folder)
        os.environ.update(_environment(folder))
        own = {str(ROOT), str(ROOT / "tests")}
        sys.path[:] = [str(folder), *(path for path in sys.path if path not in own)]
        sys.dont_write_bytecode = True
        options = ["-x", "-q", "-rfE", "-n", "0", "-p", "no:cacheprovider"]
        code = int(pytest.main([*options, *files]))
        sys.stdout.flush()
    finally:
        os._exit(code)


def _wait(child, until):
    """Exit status of a process, None if it has not ended by then."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.05)


@contextmanager
def changed(folder, change):
    """The copy of the repository with a change."""
    path = folder / PACKAGE / change.path
    source = path.read_bytes()
    path.write_bytes(source[: change.start] + change.new.encode() + source[change.end :])
    try:
        yield
    finally:
        path.write_bytes(source)


def files_of(folder, change, group):
    """Files of tests of a group, see `LIMITS`."""
    names = TESTS[_fitting(change.path)]
    first, then = ([f"tests/test_{name}.py" for name in some.split()] for some in names)
    files = sorted(str(path.relative_to(folder)) for path in (folder / "tests").glob("test_*.py"))
    others = [file for file in files if file not in first + then]
    return {"first": first, "next": then, "others": others}[group]


def _fitting(path):
    return next(beginning for beginning in TESTS if path.startswith(beginning))


def copy_of_the_repository(folder):
    """Copy everything but what is made anew."""
    ignored = shutil.ignore_patterns(".git", "__pycache__", ".*cache", ".venv*", "_build")
    shutil.copytree(ROOT, folder, ignore=ignored)
    code = f"import {PACKAGE}; print({PACKAGE}.__file__)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=_environment(folder), capture_output=True
    )
    if not Path(run.stdout.decode().strip()).is_relative_to(folder):
        sys.exit(f"the package of the copy is not the one that is imported: {run}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=100, help="how many changes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--module", help="only those of modules whose path begins so")
    parser.add_argument("--only", help="of the changes that are drawn, those with this text")
    parser.add_argument("--groups", type=int, default=3, help="how many groups of tests to call")
    parser.add_argument("--list", action="store_true", help="print the changes, and do no more")
    return parser.parse_args()


def main():
    given = arguments()
    found = [change for path in modules(given.module) for change in changes_of(path)]
    drawn = random.Random(given.seed).sample(found, min(given.n, len(found)))
    drawn = [change for change in drawn if given.only is None or given.only in str(change)]
    drawn.sort(key=lambda change: list(TESTS).index(_fitting(change.path)))
    if given.list:
        for change in drawn:
            print(f"{change.kind:12} {change}")
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve() / "copy"
        copy_of_the_repository(folder)
        preload()
        return report(folder, drawn, len(found), given)


def _used():
    """Processor time of what has been called and has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def misjudged(folder, noticed_by):
    """Changes whose test fails without them, too."""
    found, left = [], dict(noticed_by)
    while left and (by := run_tests(folder, sorted(set(left.values())), LIMITS["others"])):
        print(f"without a change: {by}")
        if by not in left.values():
            sys.exit("the tests cannot be called without a change")
        found += [change for change, test in left.items() if test == by]
        left = {change: test for change, test in left.items() if test != by}
    return found


def report(folder, drawn, n_found, given):
    """Judge the changes; 1 if fewer are noticed than should be."""
    versions = [f"{name} {version(name)}" for name in ("numpy", "scikit-learn", "keras", "pytest")]
    print(f"{time.strftime('%Y-%m-%d')}, Python {sys.version.split()[0]}, {', '.join(versions)}")
    print(f"{len(drawn)} of {n_found} changes, seed {given.seed}")
    survivors, noticed_by, began = drawn, {}, time.monotonic()
    for group in list(LIMITS)[: given.groups]:
        begun, survivors = survivors, []
        print(f"\nTests that come {group}:", flush=True)
        for number, change in enumerate(begun, 1):
            start = _used()
            with changed(folder, change):
                by = run_tests(folder, files_of(folder, change, group), LIMITS[group])
            outcome, seconds = "survives" if by is None else "caught", _used() - start
            print(f"{number:3} {outcome:8} {change.kind:10} {change}\n{'':12} {seconds:.0f} s {by}")
            sys.stdout.flush()
            if by is None:
                survivors.append(change)
            elif "::" in by:
                noticed_by[change] = by
    survivors += misjudged(folder, noticed_by)
    n_caught = len(drawn) - len(survivors)
    print(f"\n{n_caught} of {len(drawn)} caught in {(time.monotonic() - began) / 60:.0f} minutes")
    for change in survivors:
        print(f"survived: {change}")
    return int(n_caught < LEAST_SHARE * len(drawn))


if __name__ == "__main__":
    sys.exit(main())
