"""Directives that sum up what the scripts in benchmarks/ wrote, a table or bars for a question.

``benchmark-accuracy`` and ``benchmark-speed`` are tables for the page of benchmarks,
``benchmark-figures`` the three figures of the first page.
"""

import re
from html import escape

from benchmark_results import BENCHMARKS, Lines, named, read, shown, table
from docutils import nodes

CORPORA = ("MR", "TREC", "SMS", "docstrings", "20ng")
# As accuracy.py calls them.
LINEAR = (
    "TF-IDF(1) + LogisticRegression",
    "TF-IDF(1,2) + LinearSVC",
    "NBSVM (Wang & Manning 2012)",
)
OURS = {
    "ours": "`TextCNNClassifier()`",
    "ours + glove static": "the same, GloVe vectors",
    "ours + distilled in context": "the same, vectors distilled in context",
}
OTHERS = {
    "sentence encoder + LogisticRegression": "all-MiniLM-L6-v2 + logistic regression",
    "fastText": "fastText, word pairs",
    "scikeras, tutorial network": "Keras' tutorial network behind scikeras",
}
VECTORS = {
    "random": "random embeddings",
    "glove static": "GloVe vectors",
    "words distilled alone": "distilled from words alone",
    "distilled in context": "distilled in context",
}
CONTENDERS = {
    "ours": "sklearn_textcnn",
    "scikeras": "Keras behind scikeras",
    "scikeras pipeline": "Keras behind scikeras",
    "model(ids)": "model(ids) of Keras",
    "Keras layers": "Keras on our batches",
    "skorch, dense": "PyTorch, dense gradients",
    "skorch, sparse": "PyTorch, sparse gradients",
}
# Scripts whose tables have times of this package beside those of others.
TIMED = ("training", "grid_search", "predict", "cold_start", "vectorizer")


class BenchmarkAccuracy(Lines):
    def lines(self):
        record = read(BENCHMARKS, "accuracy")
        if record is None:
            return []
        tables = {
            "What would people use instead? Accuracy in per cent": beside_others(record),
            "Are both parts better than either? Accuracy in per cent / log loss": parts(record),
            "And with 500 training documents? Accuracy in per cent": few(record),
            "What does it cost on MR?": costs(record),
        }
        return [line for one in tables.items() for line in table(*one)]


class BenchmarkSpeed(Lines):
    def lines(self):
        rows = [row for name in TIMED for row in times(read(BENCHMARKS, name))]
        return table("How fast is it beside others?", rows) if rows else []


class BenchmarkFigures(Lines):
    def run(self):
        records = {name: read(BENCHMARKS, name) for name in ("accuracy", "predict", "training")}
        if None in records.values():
            return []
        html = "".join(bars(*one) for one in figures(**records))
        return [nodes.raw("", f'<div class="figures">{html}</div>', format="html")]


def of_methods(record, caption):
    """{method: its row} of the table whose caption starts like this."""
    rows = next(rows for name, rows in record["tables"].items() if name.startswith(caption))
    return {row["method"]: row for row in rows}


def picked(row):
    """ "79.8" of "79.8 ± 1.6", for each corpus."""
    return {corpus: row[corpus] and row[corpus].split()[0] for corpus in CORPORA}


def best(rows, methods):
    """The highest figure of the methods on each corpus."""
    candidates = [picked(rows[method]) for method in methods]
    return {
        corpus: max((row[corpus] for row in candidates if row[corpus]), key=float, default=None)
        for corpus in CORPORA
    }


def rows_of(rows, names):
    return [{"": named} | picked(rows[name]) for name, named in names.items() if name in rows]


def beside_others(record):
    rows = of_methods(record, "Accuracy in per cent, mean")
    linear = {"": "best of three linear models"} | best(rows, LINEAR)
    return [*rows_of(rows, OURS), linear, *rows_of(rows, OTHERS)]


def parts(record):
    """A row for each kind of vectors and part, in place of one for each corpus."""
    caption = "Accuracy in per cent / log loss of each part alone"
    (rows,) = (rows for name, rows in record["tables"].items() if name.startswith(caption))
    cells = {(row["vectors"], row["corpus"]): row for row in rows}

    def of(vectors, part):
        return {name: cells.get((vectors, name), {}).get(part) for name in CORPORA}

    found = [{"": "linear part alone"} | of("random", "linear part")]
    for vectors, name in VECTORS.items():
        found.append({"": f"{name}: network alone"} | of(vectors, "network"))
        found.append({"": f"{name}: both"} | of(vectors, "both"))
    return found


def few(record):
    rows = of_methods(record, "500 training documents")
    linear = best(rows, [f"small: {method}" for method in LINEAR])
    return [
        {"": "`TextCNNClassifier()`"} | picked(rows["small: ours"]),
        {"": "best of three linear models"} | linear,
    ]


def costs(record, corpus="MR"):
    training = of_methods(record, "Training in seconds")
    predicting = of_methods(record, "Predicting in milliseconds")
    distilling = of_methods(record, "Distilling the vectors")
    names = {"linear part alone": "linear part alone"} | OURS | OTHERS
    names |= {"TF-IDF(1,2) + LinearSVC": "TF-IDF of words and pairs + LinearSVC"}
    return [
        {
            "": shown_as,
            "training, s": rounded(training[name][corpus]),
            "distilling, s": rounded(distilling.get(name, {}).get(corpus)),
            "a document, ms": rounded(predicting.get(name, {}).get(corpus)),
        }
        for name, shown_as in names.items()
    ]


def rounded(number):
    return None if number is None else float(f"{number:.2g}")


def times(record):
    """A row for each contender beside this package, of tables that have both."""
    found = []
    for caption, rows in (record or {"tables": {}})["tables"].items():
        if "x ours" in rows[0]:
            (ours,) = (row["median s"] for row in rows if row["contender"] == "ours")
            found += [
                {
                    "what": caption,
                    "beside": beside(row["contender"]),
                    "here": duration(ours),
                    "takes": f"{row['x ours']:.{0 if row['x ours'] > 100 else 1}f} times as long",
                }
                for row in rows
                if row["contender"] != "ours"
            ]
    return found


def beside(contender):
    return CONTENDERS.get(contender, contender)


def duration(seconds):
    unit, factor = next(
        (unit, factor)
        for unit, factor in [("s", 1), ("ms", 1e3), ("µs", 1e6)]
        if seconds * factor >= 1
    )
    return f"{shown(rounded(seconds * factor))} {unit}"


def figures(accuracy, predict, training):
    """(title, note, [(name, number, text)]) of the figures of the first page."""
    corpora = ("MR", "TREC", "docstrings")
    rows = of_methods(accuracy, "Accuracy in per cent, mean")
    rows["best linear model"] = best(rows, LINEAR)
    names = {
        "ours + distilled in context": "vectors distilled in context",
        "ours": "sklearn_textcnn",
        "best linear model": "best linear model",
        "fastText": "fastText",
        "scikeras, tutorial network": "Keras' tutorial network",
        "sentence encoder + LogisticRegression": "MiniLM + logistic regression",
    }
    errors = [
        (shown_as, 100 - sum(float(picked(rows[name])[c]) for c in corpora) / len(corpora))
        for name, shown_as in names.items()
    ]
    return [
        (
            "Errors in 100 documents",
            f"mean of {', '.join(corpora[:-1])} and {corpora[-1]}; accuracy.py",
            [(name, number, f"{number:.1f}") for name, number in errors],
        ),
        ("One document, text to label", "predict.py", medians(predict, "One document")),
        ("An epoch on MR", "training.py", medians(training, "MR: an epoch")),
    ]


def medians(record, caption):
    rows = next(rows for name, rows in record["tables"].items() if name.startswith(caption))
    return [(beside(row["contender"]), row["median s"], duration(row["median s"])) for row in rows]


def bars(title, note, rows):
    """A figure of bars in HTML, which take the width and the colors of the page."""
    largest = max(number for _, number, _ in rows)
    ours = re.compile(r"sklearn_textcnn|vectors")
    lines = "".join(
        f'<div class="bar{" ours" if ours.match(name) else ""}"><span>{escape(name)}</span>'
        f'<span class="number">{escape(text)}</span>'
        f'<i style="width:{100 * number / largest:.1f}%"></i></div>'
        for name, number, text in rows
    )
    return (
        f'<figure class="bars"><figcaption><b>{escape(title)}</b><br><small>{escape(named(note))}'
        f"</small></figcaption>{lines}</figure>"
    )


def setup(app):
    app.add_directive("benchmark-accuracy", BenchmarkAccuracy)
    app.add_directive("benchmark-speed", BenchmarkSpeed)
    app.add_directive("benchmark-figures", BenchmarkFigures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
