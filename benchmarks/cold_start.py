"""How long does a new process take to load a model and classify one document?

A pipeline trained on MR and saved by joblib: with our classifier, or with scikeras behind the same
vectorizer. Wall time of the whole process, from starting Python to its end.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
from _common import HERE, Report, alternate, at_least, parse_arguments
from _pipelines import trained_on_mr

FLOORS = {"load and classify: scikeras / ours": at_least(4)}
TARGETS = {"load and classify: scikeras / ours": at_least(5)}
PROGRAM = """
import sys
import joblib
print(joblib.load(sys.argv[1]).predict([sys.argv[2]])[0])
"""


def main():
    arguments = parse_arguments(__doc__)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    texts, labels, _, pipelines = trained_on_mr(arguments)
    with tempfile.TemporaryDirectory() as folder:
        contenders, rows = {}, []
        for name, pipeline in pipelines.items():
            path = Path(folder) / f"{name}.joblib"
            joblib.dump(pipeline, path)
            contenders[name] = process(path, texts[0], set(labels))
            rows.append({"contender": name, "file MB": path.stat().st_size / 1e6})
        alternate(contenders, 1)  # fills the file cache
        results = alternate(contenders, 1 if arguments.quick else 9)
    ratios = report.times("Load and classify one document in a new process", results, "ours")
    report.table("Size of the saved pipeline", rows)
    report.claim("load and classify: scikeras / ours", ratios["scikeras"])
    report.finish()


def process(path, text, labels):
    """A call that runs the program in a new process."""
    # a pickled scikeras model imports the module that built its network
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-c", PROGRAM, path, text]

    def call():
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert run.stdout.strip() in labels, run.stdout

    return call


if __name__ == "__main__":
    main()
