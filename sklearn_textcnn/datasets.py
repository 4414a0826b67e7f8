"""A corpus of real text that is on every machine: the documentation of installed packages."""

import ast
import importlib.util
import re
import warnings
from functools import lru_cache
from numbers import Integral
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from sklearn_textcnn._progress import shown

__all__ = ["load_docstrings"]

DEFAULT_PACKAGES = ("joblib", "keras", "numpy", "scipy", "sklearn")

# Folders whose text is not the package's own (copies of other projects) or not documentation.
LEFT_OUT_FOLDERS = frozenset(
    {"tests", "test", "testing", "_testing", "externals", "_external", "_vendor", "vendor"}
)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# The fields of a statement that hold further statements; expressions hold no docstrings.
BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")

DESCRIPTION = """\
First paragraphs of the docstrings in installed packages, labelled by package
-----------------------------------------------------------------------------

Packages: {packages}
Documents: {n_documents}
Classes: {n_classes}

Each document is the first paragraph of one docstring of a module, class, method or function, on one
line and with at least {min_words} words. Source files are parsed, not imported. Test files and
bundled copies of other projects are left out. A paragraph that occurs several times in a package is
kept once; one that occurs in several packages is dropped. What comes out depends on the installed
versions of the packages.
"""


@validate_params(
    {
        "min_words": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "return_X_y": ["boolean"],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def load_docstrings(
    packages=DEFAULT_PACKAGES,
    *,
    min_words=5,
    shuffle=True,
    random_state=0,
    return_X_y=False,
    verbose=0,
):
    """Load the first paragraphs of installed packages' docstrings, labelled by package.

    The task is to tell which package a sentence of documentation comes from. The text is real,
    nobody made it up for the purpose, and it needs no download: every package of the default is
    installed wherever this one is. The source files are parsed, nothing is imported. A package is
    read once in a process and remembered.

    Parameters
    ----------
    packages : list or tuple of str, default=("joblib", "keras", "numpy", "scipy", "sklearn")
        Names of installed top-level packages. Each is one class.

    min_words : int, default=5
        Paragraphs with fewer words are left out.

    shuffle : bool, default=True
        Whether the documents are shuffled. Otherwise they come by package, file and line, so that
        neighbours resemble each other, and cross-validation without shuffling scores low.

    random_state : int, RandomState instance or None, default=0
        Determines the order when `shuffle` is true. Pass an int for the same order in every call.

    return_X_y : bool, default=False
        If true, `(data, target)` is returned instead of a Bunch.

    verbose : int, default=0
        Above 0: a progress bar over the packages, on standard error, if reading them takes longer
        than half a second.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With the following attributes.

        data : list of str of length n_samples
            The documents.
        target : ndarray of shape (n_samples,), dtype int64
            The package of each document, an index of `target_names`.
        target_names : list of str
            The packages in alphabetical order.
        filenames : list of str of length n_samples
            The source file of each document, from the package's name on
            ("numpy/lib/_npyio_impl.py"). Documents of one file resemble each other; these are
            groups for `GroupKFold`.
        DESCR : str
            What the corpus is and how it was made.

    (data, target) : tuple if `return_X_y` is true
        The documents and their labels.

    Raises
    ------
    ImportError
        If a package is not installed.
    ValueError
        If `packages` is a string, empty or names a package twice, or if a package has no
        docstrings.

    See Also
    --------
    sklearn.datasets.fetch_20newsgroups : A larger corpus, by download.
    sklearn.datasets.load_files : A corpus of your own, from a folder per class.

    Notes
    -----
    The documents follow the installed versions: the order is the same for the same versions, on
    every machine.

    Examples
    --------
    >>> from sklearn_textcnn.datasets import load_docstrings
    >>> corpus = load_docstrings(packages=["joblib", "numpy"])
    >>> corpus.target_names
    ['joblib', 'numpy']
    >>> len(corpus.data) == len(corpus.target) > 1000
    True
    """
    names = _check_packages(packages)
    places, found = {name: _locate(name) for name in names}, {}
    with shown(verbose) as progress:
        progress.begin(len(names), "reading docstrings", "packages")
        for name, locations in places.items():
            found[name] = _paragraphs(name, locations)
            progress.step()
    documents = _own_paragraphs(found, min_words)
    for name in names:
        if not any(label == name for label, _, _ in documents):
            raise ValueError(
                f"The package {name!r} has no docstring whose first paragraph is its own and has "
                f"at least min_words={min_words} words. Leave it out of `packages`"
                + (", or lower `min_words`." if min_words > 1 else ".")
            )
    if shuffle:
        order = check_random_state(random_state).permutation(len(documents))
        documents = [documents[i] for i in order]
    labels, filenames, data = (list(column) for column in zip(*documents, strict=True))
    target = np.array([names.index(label) for label in labels], dtype=np.int64)
    if return_X_y:
        return data, target
    description = DESCRIPTION.format(
        packages=", ".join(names),
        n_documents=len(data),
        n_classes=len(names),
        min_words=min_words,
    )
    return Bunch(
        data=data, target=target, target_names=names, filenames=filenames, DESCR=description
    )


def _check_packages(packages):
    """Return the package names, sorted."""
    if not isinstance(packages, list | tuple) or not all(
        isinstance(name, str) for name in packages
    ):
        raise ValueError(
            "The 'packages' parameter of load_docstrings must be a list or tuple of package names. "
            f"Got {packages!r} instead."
            + (f" Pass [{packages!r}]." if isinstance(packages, str) else "")
        )
    if not packages:
        raise ValueError("The 'packages' parameter of load_docstrings is empty: name a package.")
    for name in packages:
        if not name.isidentifier():
            raise ValueError(
                "The 'packages' parameter of load_docstrings must hold names of top-level "
                f"packages. Got {name!r}. Write it as in an import statement, without a dot."
            )
    names = sorted(set(packages))
    if len(names) < len(packages):
        raise ValueError(
            "The 'packages' parameter of load_docstrings must name each package once. "
            f"Got {list(packages)!r}."
        )
    return names


def _locate(name):
    """Return the folders or the file that a top-level package consists of, importing nothing."""
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module in sys.modules that was not imported from anywhere
        spec = None
    if spec is None:
        raise ImportError(
            f"The package {name!r} of the 'packages' parameter of load_docstrings is not "
            "installed. Install it, or leave it out.",
            name=name,
        )
    if spec.submodule_search_locations is not None:
        return tuple(spec.submodule_search_locations)
    return (spec.origin,) if spec.has_location else ()


@lru_cache(maxsize=64)
def _paragraphs(name, locations):
    """Return the (file name, first paragraph) of every docstring, in the order of the source."""
    found = []
    for location in map(Path, locations):
        for path in [location] if location.is_file() else sorted(location.rglob("*.py")):
            inside = Path(path.name) if path == location else Path(name, path.relative_to(location))
            if not _is_left_out(inside):
                texts = map(_first_paragraph, _docstrings(path))
                found.extend((inside.as_posix(), text) for text in texts)
    return tuple(found)


def _is_left_out(path):
    stem = path.stem
    is_test = stem.startswith("test_") or stem.endswith("_test") or stem == "conftest"
    return is_test or not LEFT_OUT_FOLDERS.isdisjoint(path.parts[:-1])


def _docstrings(path):
    """Yield the docstrings of a source file in the order of their definitions."""
    source = path.read_bytes()
    if b'"""' not in source and b"'''" not in source:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other people's invalid escape sequences
            tree = ast.parse(source)
    except (SyntaxError, ValueError):  # a template, or written for another version of Python
        return
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, DOCUMENTED) and (docstring := ast.get_docstring(node)):
            yield docstring
        inner = [child for block in BLOCKS for child in getattr(node, block, ())]
        stack.extend(reversed(inner))


def _first_paragraph(docstring):
    """Return the text in front of the first blank line, on one line."""
    return " ".join(re.split(r"\n\s*\n", docstring.strip(), maxsplit=1)[0].split())


def _own_paragraphs(paragraphs, min_words):
    """Return (package, file name, text) of the paragraphs that occur in one package only.

    Texts are compared without case, punctuation and spacing.
    """
    kept = {}
    shared = set()
    for package, found in paragraphs.items():
        for filename, text in found:
            if len(text.split()) < min_words:
                continue
            key = " ".join(re.findall(r"\w+", text.lower()))
            first, _, _ = kept.setdefault(key, (package, filename, text))
            if first != package:
                shared.add(key)
    return [document for key, document in kept.items() if key not in shared]
