"""How large is what a service has to install, with TensorFlow and without?

Empty virtual environments, into which pip puts this package and either all that it declares, or
what prediction needs: scikit-learn with NumPy and SciPy, joblib and threadpoolctl. Then a model
that was trained here is loaded there and has to give the same answers. Sizes are those of the
files of all packages but pip, without compiled bytecode. It needs the network, or whatever pip is
set up to take packages from.
"""

import json
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
from _common import HERE, Report, at_least, load_corpus, parse_arguments
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer

FLOORS = {"with TensorFlow / without": at_least(3)}
TARGETS = {"with TensorFlow / without": at_least(5)}
NEEDED = ("joblib", "numpy", "scikit-learn", "scipy", "threadpoolctl")
PROGRAM = """
import json, sys
import joblib
pipe, texts = joblib.load(sys.argv[1])
answer = pipe.predict_proba(texts).tolist()
print(json.dumps([answer, "tensorflow" in sys.modules]))
"""


def main():
    arguments = parse_arguments(__doc__)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    # the versions of here: a file of scikit-learn's is for the version that wrote it
    pinned = [f"{name}=={version(name)}" for name in NEEDED]
    installs = {
        "prediction": [pinned, ["--no-deps", HERE.parent]],
        "everything": [[HERE.parent, *pinned]],
    }
    texts, y = load_corpus(arguments.data, "mr/all", 500)
    pipe = make_pipeline(TextVectorizerTransformer(), TextCNNClassifier(epochs=1, random_state=0))
    expected = pipe.fit(texts, y).predict_proba(texts[:20])
    sizes, largest = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.joblib"
        joblib.dump((pipe, texts[:20].tolist()), path)
        for name, steps in installs.items():
            python = environment(Path(folder) / name, steps)
            check(python, path, expected)
            sizes[name] = packages(python)
            largest[name] = sorted(sizes[name], key=sizes[name].get, reverse=True)
    report.table(
        "Installed for",
        [
            {"for": name, "folders": len(found), "MB": sum(found.values()) / 1e6}
            for name, found in sizes.items()
        ],
    )
    for name, found in sizes.items():
        rows = [{"folder": folder, "MB": found[folder] / 1e6} for folder in largest[name][:8]]
        report.table(f"The largest folders for {name}", rows)
    totals = {name: sum(found.values()) for name, found in sizes.items()}
    report.claim("with TensorFlow / without", totals["everything"] / totals["prediction"])
    report.finish()


def environment(folder, steps):
    """A new virtual environment; its interpreter."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    for step in steps:
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *step]
        subprocess.run(command, check=True, timeout=1800)
    return python


def check(python, path, expected):
    """The model answers there as it does here, without TensorFlow."""
    command = [python, "-c", PROGRAM, path]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    answer, has_tensorflow = json.loads(run.stdout)
    np.testing.assert_allclose(answer, expected, atol=1e-6)
    assert not has_tensorflow


def packages(python):
    """Bytes of the files of each folder in site-packages, but pip's."""
    code = "import sysconfig; print(sysconfig.get_path('platlib'))"
    run = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    site, sizes = Path(run.stdout.strip()), {}
    for path in site.rglob("*"):
        first = path.relative_to(site).parts[0]
        is_counted = path.is_file() and "__pycache__" not in path.parts
        if is_counted and first.partition("-")[0] not in ("pip", "setuptools"):
            sizes[first] = sizes.get(first, 0) + path.stat().st_size
    return sizes


if __name__ == "__main__":
    main()
