"""Many random cases of every property: python tests/campaign.py --hours 1

Cases are drawn by hypothesis in runs of a few. Each run has a seed, which --seed and the number of
the run make. A case that fails is made small and printed, together with the command that runs it
again by itself (with the same version of hypothesis). The exit code is 1 if any failed.
"""

import argparse
import faulthandler
import platform
import re
import resource
import shlex
import signal
import sys
import time
import traceback
import zlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.internal.conjecture import engine
from invariants import PROPERTIES, process_stays
from strategies import n_cases

engine.MAX_SHRINKING_SECONDS = 40
MOST_SECONDS_A_RUN = 900
MOST_MEMORY = 6 * 2**20  # KiB
MOST_FAILURES = 5  # of a kind, which is left alone then
# Cases of a run, and share of the time.
PLAN = {
    "vectorizer": (200, 34),
    "predictions": (20, 20),
    "predictions by Keras": (5, 6),
    "fits of the linear classifier": (20, 10),
    "fits of networks": (20, 14),
    "fits by Keras": (5, 16),
    "refused documents": (200, 2),
    "refused ids": (200, 3),
    "refused parameters": (200, 2),
}
PACKAGES = "hypothesis numpy scipy scikit-learn pandas polars keras tensorflow".split()


@dataclass
class Record:
    """What has become of the cases of a kind."""

    outcomes: Counter = field(default_factory=Counter)
    failures: list = field(default_factory=list)
    seconds: float = 0.0
    n_runs: int = 0

    def line(self, name):
        n = self.outcomes.total()
        held = self.outcomes["held"] + self.outcomes["refused"] + self.outcomes["legal"]
        return (
            f"{name}: {n:,} cases, {n - held:,} of them documented errors, "
            f"{len(self.failures)} failures, {self.seconds:.0f} s"
        )


def one_property(name, outcomes):
    """A test of one argument that counts what becomes of its cases."""
    strategy, check = PROPERTIES[name]

    @settings(
        max_examples=PLAN[name][0],
        database=None,
        deadline=None,
        print_blob=True,
        phases=[Phase.generate] + [Phase.shrink] * ("Keras" not in name),  # which takes minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def test(case):
        with process_stays():
            outcome = check(case)
        # after a refused fit there was nothing to ask about other documents
        outcomes[str(outcome)] += n_cases(case) if outcome == "held" else 1

    return test


def run(name, seed, record):
    """One run; a failure is printed and recorded."""
    began = time.monotonic()
    faulthandler.dump_traceback_later(MOST_SECONDS_A_RUN, exit=True, file=sys.__stderr__)
    test = hypothesis.seed(seed)(one_property(name, record.outcomes))
    try:
        test()
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        text = "\n".join(line[:500] for line in text.splitlines())
        blob = re.search(r"@reproduce_failure\('[^']*', b'([^']*)'\)", text)
        blob = "" if blob is None else blob[1]
        again = f"python tests/campaign.py --replay {shlex.quote(name)} {blob}"
        record.failures.append(again)
        print(f"FAILED: {name}, seed {seed}\n{text}\nAgain: {again}\n", flush=True)
    finally:
        faulthandler.cancel_dump_traceback_later()
    record.seconds += time.monotonic() - began
    record.n_runs += 1


def campaign(names, hours, seed, cases=None):
    """Run kinds in turn, each for its share of the time; what has become of each."""
    ends = time.monotonic() + 3600 * hours
    records = {name: Record() for name in names}

    def goes_on(name):
        record = records[name]
        wanted = cases is None or record.outcomes.total() < cases
        return wanted and len(record.failures) < MOST_FAILURES

    while time.monotonic() < ends and (left := [name for name in names if goes_on(name)]):
        name = min(left, key=lambda name: records[name].seconds / PLAN[name][1])
        try:
            run(name, zlib.crc32(f"{seed} {name} {records[name].n_runs}".encode()), records[name])
        except KeyboardInterrupt:  # what has been done until then counts
            break
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MOST_MEMORY:
            records[name].failures.append("memory")
            print(f"FAILED: more than {MOST_MEMORY // 2**20} GiB of memory after {name}")
            break
    return records


def replay(name, blob):
    """Run a case that has failed once more."""
    test = one_property(name, Counter())
    hypothesis.reproduce_failure(hypothesis.__version__, blob.encode())(test)()


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=0.1, help="most time it may take")
    parser.add_argument("--seed", type=int, default=0, help="other seeds are other cases")
    parser.add_argument("--cases", type=int, help="most cases of a kind")
    parser.add_argument("--only", nargs="+", choices=[*PLAN], default=[*PLAN], help="these kinds")
    parser.add_argument("--replay", nargs=2, metavar=("KIND", "BLOB"), help="one case, as printed")
    options = parser.parse_args(arguments)
    if options.replay:
        replay(*options.replay)
        return 0
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}, {versions}")
    print(f"seed {options.seed}, {options.hours} hours at most", flush=True)
    records = campaign(options.only, options.hours, options.seed, options.cases)
    for name, record in records.items():
        print(record.line(name))
        print("   ", ", ".join(f"{what!r} {n:,}" for what, n in record.outcomes.most_common()))
        print("".join(f"    again: {line}\n" for line in record.failures), end="")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"most memory: {peak:,.0f} MiB", flush=True)
    return int(any(record.failures for record in records.values()))


if __name__ == "__main__":
    for stop in (signal.SIGINT, signal.SIGTERM):  # also in the background
        signal.signal(stop, signal.default_int_handler)
    sys.exit(main())
