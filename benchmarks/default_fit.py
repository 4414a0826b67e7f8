"""What does a fit with the defaults take, and what did it take in another commit?

MR and the training documents of 20 newsgroups. Each measurement is a process of its own, old and
new in turn: a fit of a few documents that warms up, then one of all. Tokenising is not in it.
``--against`` names the checkout of the other commit.
"""

import json
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
    run_child,
)

CORPORA = {"MR": "mr/all", "20ng": "20ng/train"}
CLAIM = "default fit on {}: ours / the other commit"
FLOORS, TARGETS = ({CLAIM.format(c): at_most(limit) for c in CORPORA} for limit in (1.3, 1.0))
WARM_UP = 300  # documents


def main():
    arguments = parse_arguments(__doc__, against=True)
    if arguments.child:
        return fit_here(arguments, *arguments.child)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    rows = []
    for corpus in CORPORA:

        def measure(package, corpus=corpus):
            return run_child(arguments, corpus, str(package), package=package)

        results = alternate(commits(arguments), 1 if arguments.quick else 3, measure)
        middle = {name: median(run["fit"] for run in runs) for name, runs in results.items()}
        for name, runs in results.items():
            rows.append(
                {"corpus": corpus, "contender": name, "fit s": middle[name]}
                | {"x": middle[name] / middle[NEW]}
                | {f"{f.__name__} s": f(run["fit"] for run in runs) for f in (min, max)}
                | {"CPU s": median(run["CPU"] for run in runs), "processes": len(runs)}
            )
        if OLD in middle:
            report.claim(CLAIM.format(corpus), middle[NEW] / middle[OLD])
    report.table("A fit with the defaults", rows)
    report.finish()


def fit_here(arguments, corpus, package):
    """Fit in this process and print what it took."""
    import sklearn_textcnn
    from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer

    if package != "None":
        assert Path(package).resolve() in Path(sklearn_textcnn.__file__).parents
    n_documents = 400 if arguments.quick else None
    texts, labels = load_corpus(arguments.data, CORPORA[corpus], n_documents)
    ids = TextVectorizerTransformer().fit_transform(texts)
    TextCNNClassifier(epochs=1).fit(ids[:WARM_UP], labels[:WARM_UP])
    began = time.perf_counter(), time.process_time()
    TextCNNClassifier(random_state=0).fit(ids, labels)
    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    print(json.dumps({"fit": wall, "CPU": cpu}))


if __name__ == "__main__":
    main()
