"""Interrupts and killed processes in large numbers: ``python tests/campaign_faults.py``.

Ctrl-C at so many random moments in all, shared among the cases of `faults`, then processes that
are killed while they save, and workers that are killed in a call with n_jobs=2. Prints date,
versions and numbers; exits with 1 if anything was lost, or if a next call did not do what it
should. Every case is a process of its own and ends after half an hour at most.
"""

import argparse
import os
import platform
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from math import ceil

from faults import CASES, DEAR, KILLED, interrupted, killed_while_saving, killed_workers

PACKAGES = "sklearn_textcnn numpy scikit-learn joblib keras tensorflow".split()
TIMEOUT = 1800


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--interrupts", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--kills", type=int, default=30, help="of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    arguments = parser.parse_args()
    print(datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), platform.platform(), end=", ")
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}", end=", ")
    print(", ".join(f"{name} {version(name)}" for name in PACKAGES), flush=True)
    # a third as many of the cases that take long
    shares = {name: 1 / 3 if name in DEAR else 1 for name in CASES}
    failures, totals = [], {}
    for name, share in shares.items():
        n = ceil(arguments.interrupts * share / sum(shares.values()))
        tell(name, interrupted, (name, n), arguments.seed, failures, totals)
    tell("save, killed", killed_while_saving, (arguments.kills,), arguments.seed, failures, totals)
    for name in KILLED:
        task = name, arguments.kills
        tell(f"{name}, worker killed", killed_workers, task, arguments.seed, failures, totals)
    print("\nin all:", ", ".join(f"{number} {what}" for what, number in totals.items()))
    print(f"failures: {len(failures)}", *failures, sep="\n")
    sys.exit(bool(failures))


def tell(name, run, task, seed, failures, totals):
    """Run a case, print its numbers and add them up."""
    began = time.perf_counter()
    counts = run(*task, seed=seed, timeout=TIMEOUT)
    failed = counts.pop("failures")
    failures += failed
    for what, number in counts.items():
        totals[what] = totals.get(what, 0) + number
    numbers = ", ".join(f"{number} {what}" for what, number in counts.items())
    took = time.perf_counter() - began
    print(f"{name:32} {numbers}; {len(failed)} failures; {took:.0f} s", flush=True)


if __name__ == "__main__":
    main()
