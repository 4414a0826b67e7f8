"""What does a fit take in a new process, and what did it take in another commit?

Text to fitted pipeline with every default, 500 documents of MR: CPU time and peak memory of the
whole process, imports included. Then a grid search of 12 fits with n_jobs=2 (2 architectures, 2
rates, 3 folds; 2,000 documents, 3 epochs), whose workers are new as well. Every measurement is a
process of its own, old and new in turn. ``--against`` names the checkout of the other commit.
"""

import json
import tempfile
import time
from pathlib import Path
from statistics import median

from _common import (
    NEW,
    OLD,
    Report,
    alternate,
    at_most,
    commits,
    load_corpus,
    parse_arguments,
    peak_mib,
    run_child,
)

FLOORS = {
    "fit of 500 documents, CPU time: ours / the other commit": at_most(0.5),
    "fit of 500 documents, peak memory: ours / the other commit": at_most(0.4),
    "12 fits with n_jobs=2: ours / the other commit": at_most(0.8),
}
TARGETS = {
    "fit of 500 documents, CPU time: ours / the other commit": at_most(0.4),
    "fit of 500 documents, peak memory: ours / the other commit": at_most(0.3),
    "12 fits with n_jobs=2: ours / the other commit": at_most(0.6),
}
TASKS = {"fit of 500 documents": 500, "12 fits with n_jobs=2": 2000}


def main():
    arguments = parse_arguments(__doc__, against=True)
    if arguments.child:
        return fit_here(arguments, *arguments.child)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    contenders = commits(arguments)
    with tempfile.TemporaryDirectory() as folder:
        for task, n_documents in TASKS.items():
            texts, labels = load_corpus(
                arguments.data, "mr/all", 100 if arguments.quick else n_documents
            )
            path = Path(folder) / f"{n_documents}.json"
            path.write_text(json.dumps([texts.tolist(), labels.tolist()]))

            def measure(package, task=task, path=path):
                return run_child(arguments, task, path, str(package), package=package)

            alternate(contenders, 1, measure)  # fills the file cache, and writes the bytecode
            tell(report, task, alternate(contenders, 1 if arguments.quick else 5, measure))
    report.finish()


def tell(report, task, results):
    """Report the medians of each figure, and the claims about them."""
    middle = {
        name: {figure: median(run[figure] for run in runs) for figure in runs[0]}
        for name, runs in results.items()
    }
    rows = []
    for name, figures in middle.items():
        row = {"contender": name, "processes": len(results[name])}
        for figure, value in figures.items():
            row |= {figure: value, f"x {figure.split(',')[0]}": value / middle[NEW][figure]}
        rows.append(row)
    report.table(f"{task}, in a new process", rows)
    if OLD in middle:
        ratios = {figure: value / middle[OLD][figure] for figure, value in middle[NEW].items()}
        if "CPU time, s" in ratios:
            for name, figure in (("CPU time", "CPU time, s"), ("peak memory", "peak, MiB")):
                report.claim(f"{task}, {name}: ours / the other commit", ratios[figure])
        else:
            report.claim(f"{task}: ours / the other commit", ratios["wall, s"])


def fit_here(arguments, task, path, package):
    """Do a task in this process and print what it took."""
    import sklearn_textcnn

    if package != "None":
        assert Path(package).resolve() in Path(sklearn_textcnn.__file__).parents
    texts, labels = json.loads(Path(path).read_text())
    print(json.dumps({500: fit, 2000: search}[TASKS[task]](texts, labels, arguments.quick)))


def fit(texts, labels, quick):
    import resource

    from sklearn.pipeline import make_pipeline

    from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer

    params = {"epochs": 1} if quick else {}
    classifier = TextCNNClassifier(random_state=0, **params)
    make_pipeline(TextVectorizerTransformer(), classifier).fit(texts, labels)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"CPU time, s": usage.ru_utime + usage.ru_stime, "peak, MiB": peak_mib()}


def search(texts, labels, quick):
    from _networks import textcnn
    from sklearn.model_selection import GridSearchCV

    from sklearn_textcnn import TextVectorizerTransformer

    classifier = textcnn(epochs=1 if quick else 3, random_state=0)
    grid = {"filters": [50, 100], "learning_rate": [0.0005, 0.001]}
    ids = TextVectorizerTransformer().fit_transform(texts)
    began = time.perf_counter()
    GridSearchCV(classifier, grid, cv=3, refit=False, n_jobs=2).fit(ids, labels)
    return {"wall, s": time.perf_counter() - began}


if __name__ == "__main__":
    main()
