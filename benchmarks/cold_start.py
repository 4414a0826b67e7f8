"""How long does a new process take to load a model and classify one document?

A pipeline trained on MR and saved by joblib: with our classifier, or with scikeras behind the same
vectorizer. Wall time of the whole process, from starting Python to its end. scikit-learn imports
pandas where it is installed, which neither of the two needs: measured without it, as after a plain
``pip install``, and with it.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
from _common import HERE, Report, alternate, at_least, parse_arguments
from _pipelines import trained_on_mr

FLOORS = {"without pandas: scikeras / ours": at_least(4)}
TARGETS = {
    "without pandas: scikeras / ours": at_least(5),
    "with pandas: scikeras / ours": at_least(5),
}
PROGRAM = """
import sys
{before}
import joblib
print(joblib.load(sys.argv[1]).predict([sys.argv[2]])[0])
"""
# an import of pandas then fails as if it were not installed
ENVIRONMENTS = {"without pandas": "sys.modules['pandas'] = None", "with pandas": ""}


def main():
    arguments = parse_arguments(__doc__)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    texts, labels, _, pipelines = trained_on_mr(arguments)
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.joblib" for name in pipelines}
        for name, pipeline in pipelines.items():
            joblib.dump(pipeline, paths[name])
        for environment, before in ENVIRONMENTS.items():
            program = PROGRAM.format(before=before)
            contenders = {
                name: process(program, path, texts[0], set(labels)) for name, path in paths.items()
            }
            alternate(contenders, 1)  # fills the file cache, and writes the bytecode
            results = alternate(contenders, 1 if arguments.quick else 9)
            title = f"Load and classify one document in a new process, {environment}"
            ratio = report.times(title, results, "ours")["scikeras"]
            report.claim(f"{environment}: scikeras / ours", ratio)
        rows = [
            {"contender": name, "file MB": path.stat().st_size / 1e6}
            for name, path in paths.items()
        ]
    report.table("Size of the saved pipeline", rows)
    report.finish()


def process(program, path, text, labels):
    """A call that runs the program in a new process."""
    # a pickled scikeras model imports the module that built its network
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    # where it is set, a package that is being worked on would be compiled at every start
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", program, path, text]

    def call():
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert run.stdout.strip() in labels, run.stdout

    return call


if __name__ == "__main__":
    main()
