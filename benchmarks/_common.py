"""What the benchmarks share: arguments, corpora, timing, and the record of a run."""

import argparse
import gzip
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

HERE = Path(__file__).resolve().parent
CORPORA = HERE.parent.parent / "shared" / "data"
PACKAGES = (
    "sklearn_textcnn numpy scikit-learn joblib tensorflow keras scikeras torch skorch "
    "fasttext-wheel lime"
).split()

NEW, OLD = "ours", "other commit"


def parse_arguments(description, against=False):
    """Arguments that every benchmark takes; `against` adds that of another commit."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument(
        "--data",
        type=Path,
        default=CORPORA,
        metavar="DIR",
        help="corpora: gzip'd JSON lines with text and label (default: %(default)s)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="only see whether the script works: tiny corpora, nothing is judged, no JSON is kept",
    )
    if against:
        parser.add_argument(
            "--against",
            type=Path,
            metavar="PATH",
            help="checkout of another commit (see `git worktree`) to measure beside this one; "
            "without it nothing is judged and no JSON is kept",
        )
    # one measurement in a process of its own, see `run_child`
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def commits(arguments):
    """Checkouts to measure by name, for `run_child`: this one and, where given, the other one."""
    return {NEW: None} | ({OLD: arguments.against} if arguments.against else {})


def load_corpus(data, name, n_documents=None):
    """Texts and labels of a corpus; `n_documents` draws some, the same in every run.

    Parameters
    ----------
    data : Path
    name : str
        Such as "mr/all".
    n_documents : int, default=None

    Returns
    -------
    texts : object ndarray of shape (n_documents,)
    labels : ndarray of shape (n_documents,)
    """
    path = data / f"{name}.jsonl.gz"
    if not path.exists():
        sys.exit(f"{path} is missing: name the folder of the corpora with --data")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    # the files are sorted by class
    order = np.random.default_rng(0).permutation(len(documents))[:n_documents]
    texts = np.array([document["text"] for document in documents], dtype=object)
    labels = np.array([document["label"] for document in documents])
    return texts[order], labels[order]


def seconds(call):
    """Wall time of a call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def alternate(contenders, rounds, measure=seconds):
    """Measure contenders in turn, so that a slow spell of the machine hits all of them.

    Parameters
    ----------
    contenders : dict of str to callable
    rounds : int
    measure : callable, default=seconds
        What to do with a contender for one number.

    Returns
    -------
    dict of str to list of float
    """
    results = {name: [] for name in contenders}
    for i in range(rounds):
        names = list(contenders)
        for name in names[::-1] if i % 2 else names:
            results[name].append(measure(contenders[name]))
    return results


def medians(results):
    """Median of each contender."""
    return {name: median(values) for name, values in results.items()}


def child_command(arguments, *task):
    """What runs this script with ``--child task...``."""
    command = [sys.executable, sys.argv[0], "--data", arguments.data, "--child", *task]
    if arguments.quick:
        command.insert(2, "--quick")
    return list(map(str, command))


def run_child(arguments, *task, package=None):
    """Run this script with ``--child task...`` in a new process; return the JSON it prints last.

    Parameters
    ----------
    arguments : argparse.Namespace
    *task : str
    package : Path, default=None
        Checkout of `sklearn_textcnn` to import; None: what this process would import.
    """
    environment = dict(os.environ)
    if package is not None:
        paths = [str(package.resolve()), environment.get("PYTHONPATH")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    command = child_command(arguments, *task)
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{' '.join(map(str, task))} failed:\n{run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def peak_mib():
    """Most memory that this process has used, in MiB."""
    import resource  # not on Windows

    # kilobytes on Linux, bytes on macOS
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


class Bound(NamedTuple):
    """A limit and the side of it that is good."""

    limit: float
    upper: bool

    def holds(self, value):
        return value <= self.limit if self.upper else value >= self.limit

    def __str__(self):
        return f"{'<=' if self.upper else '>='} {self.limit:g}"


def at_least(limit):
    return Bound(limit, upper=False)


def at_most(limit):
    return Bound(limit, upper=True)


class Report:
    """Prints a run, judges its claims and keeps both as JSON.

    Parameters
    ----------
    question : str
        The docstring of the script.
    arguments : argparse.Namespace
    floors, targets : dict of str to Bound
        What each claim must reach, and what it is meant to reach. A claim without a floor is not
        judged.
    """

    def __init__(self, question, arguments, floors, targets):
        self.quick = arguments.quick
        # a script that takes another commit has its figures only beside that
        self.complete = getattr(arguments, "against", True) is not None
        self.floors, self.targets = floors, targets
        self.record = {"machine": _machine(), "versions": _versions(), "tables": {}, "claims": {}}
        print(question.strip(), "\n")
        for name, value in {**self.record["machine"], **self.record["versions"]}.items():
            print(f"{name:16} {value}")

    def table(self, title, rows):
        """Print and keep a table: a list of dicts with the same keys."""
        self.record["tables"][title] = rows
        lines = [list(rows[0])] + [[_shown(value) for value in row.values()] for row in rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        print(f"\n{title}")
        for i, (first, *others) in enumerate(lines):
            cells = [o.rjust(width) for o, width in zip(others, widths[1:], strict=True)]
            print("  " + "  ".join([first.ljust(widths[0]), *cells]))
            if i == 0:
                print("  " + "  ".join("-" * width for width in widths))
        sys.stdout.flush()

    def times(self, title, results, reference):
        """Table of seconds per contender, and of how many times as long each took as `reference`.

        Returns
        -------
        dict of str to float
            Those ratios of medians.
        """
        middle = medians(results)
        ratios = {name: value / middle[reference] for name, value in middle.items()}
        rows = [
            {
                "contender": name,
                "median s": middle[name],
                "min": min(values),
                "max": max(values),
                "rounds": len(values),
                f"x {reference}": ratios[name],
            }
            for name, values in results.items()
        ]
        self.table(title, rows)
        return ratios

    def claim(self, name, value):
        """Note the figure of a claim."""
        floor, target = self.floors.get(name), self.targets.get(name)
        self.record["claims"][name] = {
            "value": value,
            "floor": floor and str(floor),
            "target": target and str(target),
            "holds": floor is None or bool(floor.holds(value)),
        }

    def finish(self):
        """Print the claims, write the JSON file, and exit with 1 if a floor was missed."""
        claims = self.record["claims"]
        floors = self.floors if self.complete else {}
        missing = set(floors) - set(claims)
        assert not missing, f"no figure for {missing}"
        if claims:
            self.table("Claims", [{"claim": name} | claim for name, claim in claims.items()])
        self.save()
        if self.quick:
            print("\n--quick: these figures mean nothing.")
        elif not all(claim["holds"] for claim in claims.values()):
            sys.exit("\nA floor was missed.")

    def save(self):
        """Write the JSON file with what there is so far."""
        kind = "json" if self.complete and not self.quick else "tmp"
        path = HERE / "results" / f"{Path(sys.argv[0]).stem}.{kind}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(self.record, indent=1) + "\n", encoding="utf-8")


def _shown(value):
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def _machine():
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if "model name" in line), model)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "CPU": model,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "load at start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
    }


def _versions():
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
