"""How accurate is the classifier beside what people would use instead, on five corpora?

Mean over folds or seeds, and their standard deviation. Every method sees the same splits: 10 folds
on MR, 5 on SMS (equal texts stay together) and on docstrings, the official split on TREC (3 seeds)
and 20ng (1 seed). "ours" is the classifier with its defaults, with random embeddings or with word
vectors: 50-dimensional GloVe, or vectors that all-MiniLM-L6-v2 makes of the training documents'
words, alone or in context, which stay as they are. The row of 150 filters for each of one to four
tokens was chosen with these scores in sight; no claim is about it. "network alone" and "linear part
alone" are its two parts, each trained on all training documents. C of the linear models, beta of
NBSVM, their tokens, and rate and epochs of fastText are tuned within the training documents. A
further part has 500 training documents, ten draws a corpus. Training times are those of a whole fit
on raw text, without any search; vectors take the time on top that the table of distilling says.
"""

import argparse
import json
import os
import sys
from collections import Counter
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np
from _common import CORPORA as DATA
from _common import HERE, Report, at_least, at_most, seconds
from _corpora import CORPORA
from _linear import LINEAR
from _methods import (
    DETERMINISTIC,
    DISTILLED,
    ENCODER,
    GLOVE_VECTORS,
    IN_CONTEXT,
    LINEAR_PART,
    METHODS,
    OURS,
    SMALL,
    VECTORS,
    WIDER,
    distilled,
    in_context,
    name_of,
    words_alone,
)
from sklearn.metrics import log_loss

# points of accuracy, and ratios; a figure that lacks one of its cells is not judged
FLOORS = {
    "ours - best linear, mean over corpora": at_least(0.5),
    "ours - best linear, worst corpus": at_least(-0.2),
    "glove - best linear, mean over corpora": at_least(0.9),
    "glove - best linear, worst corpus": at_least(-1.5),
    "in context - best linear, mean over MR, TREC, docstrings": at_least(1.9),
    "in context, network alone - best linear, mean over MR, TREC": at_least(0),
    "MR: ours": at_least(76.1),
    "MR: glove": at_least(78.0),
    "MR: distilled": at_least(79.0),
    "MR: in context": at_least(81.5),
    "TREC: ours": at_least(91.2),
    "TREC: glove": at_least(91.5),
    "TREC: distilled": at_least(92.5),
    "TREC: in context": at_least(93.2),
    "in context - sentence encoder, least of MR, TREC, docstrings": at_least(2),
    "500 documents: ours - best linear, mean over corpora": at_least(0.8),
    "log loss / that of the better part, worst case": at_most(1.01),
    "mean confidence - accuracy, worst case": at_most(0.04),
    "MR: training, ours / LinearSVC": at_most(40),
    "20ng: training, ours / LinearSVC": at_most(15),
}
TARGETS = {
    "ours - best linear, mean over corpora": at_least(0.8),
    "ours - best linear, worst corpus": at_least(0),
    "glove - best linear, mean over corpora": at_least(1.3),
    "in context - best linear, mean over MR, TREC, docstrings": at_least(3),
    "in context, network alone - best linear, mean over MR, TREC": at_least(1),
    "MR: ours": at_least(78.0),
    "MR: glove": at_least(80.0),
    "MR: distilled": at_least(81.0),
    "MR: in context": at_least(83),
    "TREC: ours": at_least(92.5),
    "TREC: glove": at_least(93.5),
    "TREC: distilled": at_least(94.5),
    "TREC: in context": at_least(94.5),
    "in context - sentence encoder, least of MR, TREC, docstrings": at_least(3),
    "500 documents: ours - best linear, mean over corpora": at_least(1.2),
    "log loss / that of the better part, worst case": at_most(0.97),
    "mean confidence - accuracy, worst case": at_most(0.02),
    "MR: training, ours / LinearSVC": at_most(20),
    "20ng: training, ours / LinearSVC": at_most(8),
}
# Printed beside ours, never judged: other word vectors, other folds, other machines.
PUBLISHED = {
    "CNN-rand (Kim 2014)": {"MR": 76.1, "TREC": 91.2},
    "CNN-static (Kim 2014)": {"MR": 81.0, "TREC": 92.8},
    "CNN-non-static (Kim 2014)": {"MR": 81.5, "TREC": 93.6},
    "CNN-multichannel (Kim 2014)": {"MR": 81.1, "TREC": 92.2},
    "NBSVM-bigram (Wang & Manning 2012)": {"MR": 79.4},
}
JUDGED_IN_CONTEXT = ("MR", "TREC", "docstrings")


def main():
    arguments = parse_arguments()
    rows = picked([*METHODS, *SMALL], arguments.only)
    corpora = picked(CORPORA, arguments.corpora)
    report = Report(__doc__, arguments, dict(FLOORS), TARGETS)
    cells = Cells(report)
    for name in corpora:
        corpus = CORPORA[name](arguments.data, arguments.quick)
        print(f"\n{name}: {len(corpus.texts)} documents", flush=True)
        for row in rows:
            cells.add(row, name, measure(row, corpus))
    tell(report, cells)
    judge(report, cells)
    report.finish()


def parse_arguments():
    """The arguments of all benchmarks, and which cells of the table to fill."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the corpora")
    parser.add_argument("--quick", action="store_true", help="only see whether the script works")
    parser.add_argument(
        "--only",
        metavar="ROW[,ROW]",
        help='methods: a whole name, or a part of several ("small", "glove"); the other cells stay '
        "as an earlier run left them",
    )
    parser.add_argument("--corpora", metavar="NAME[,NAME]", help="the same for corpora")
    return parser.parse_args()


def picked(names, wanted):
    """The names asked for: a whole name stands for itself, anything else for all that hold it."""
    if wanted is None:
        return list(names)
    found = set()
    for part in wanted.lower().split(","):
        whole = {name for name in names if name.lower() == part}
        several = whole or {name for name in names if part in name.lower()}
        if not several:
            sys.exit(f"{part!r} is none of: {'; '.join(names)}")
        found |= several
    return [name for name in names if name in found]


def measure(row, corpus):
    """A cell: accuracy in per cent and seconds of training, once per split."""
    method = SMALL.get(row, row)
    splits = corpus.small_splits() if row in SMALL else corpus.splits(method in DETERMINISTIC)
    columns = {"accuracy": [], "seconds": [], "ms a document": [], "log loss": [], "surplus": []}
    chosen, kinds = Counter(), {DISTILLED: words_alone, IN_CONTEXT: in_context}
    making = []
    for seed, (train, test) in enumerate(splits):
        for kind, make in kinds.items():
            if method == name_of(kind):  # beside the fit, which takes them as they are
                making.append(distilled(make, corpus, train.tobytes())[1])
        trained = METHODS[method](corpus, train, seed)
        chosen[trained.chosen] += trained.chosen is not None
        for name, value in scores(trained, corpus.texts[test], corpus.labels[test]).items():
            columns[name].append(value)
    columns = {name: values for name, values in columns.items() if values}
    accuracies, times = columns["accuracy"], columns["seconds"]
    cell = {name: mean(values) for name, values in columns.items()} | {
        "spread": stdev(accuracies) if len(accuracies) > 1 else None,
        "seconds": median(times),
        "ms a document": median(columns["ms a document"]),
        "accuracies": accuracies,
        "all seconds": times,
        "chosen": dict(+chosen),
    }
    return cell | ({"distilling": median(making)} if making else {})


def scores(trained, texts, labels):
    """Accuracy in per cent, times and, if there are probabilities, log loss and overconfidence."""
    model, answers = trained.model, []
    time = seconds(lambda: answers.append(model.predict(texts)))
    accuracy = float(np.mean(answers[0] == labels))
    found = {
        "accuracy": round(100 * accuracy, 2),
        "seconds": round(trained.seconds, 3),
        "ms a document": 1000 * (time / len(texts) + trained.before),
    }
    if hasattr(model, "predict_proba"):
        probabilities = model.predict_proba(texts)
        classes = model.classes_
        found["log loss"] = float(log_loss(labels, probabilities, labels=classes))
        confidence = probabilities.max(axis=1).mean(dtype=float)
        found["surplus"] = float(confidence) - accuracy
    return found


class Cells:
    """The cells of this run, and those that earlier runs left and this one does not replace.

    They are kept in the JSON file as soon as they are there, with the date of the run; "runs" has
    the versions of each date.
    """

    def __init__(self, report):
        self.report, self.cells, self.runs = report, {}, {}
        self.path = None if report.quick else HERE / "results" / "accuracy.json"
        self.date = report.record["machine"]["date"]
        if self.path and self.path.exists():
            before = json.loads(self.path.read_text(encoding="utf-8"))
            self.runs = before["runs"]
            for cell in before["cells"]:
                key = cell["row"], cell["corpus"]
                if key[0] in {*METHODS, *SMALL} and key[1] in CORPORA:
                    self.cells[key] = cell
        here = {name: report.record[name] for name in ("machine", "versions")}
        self.runs[self.date] = here

    def add(self, row, corpus, cell):
        where = {"row": row, "corpus": corpus, "date": self.date}
        self.cells[row, corpus] = where | cell
        tries = f"{len(cell['accuracies'])} x {cell['seconds']:.2f} s"
        print(f"  {row:38} {shown(cell):12} {tries:14} {listed(cell['chosen'])}", flush=True)
        self._keep()

    def _keep(self):
        dates = {cell["date"] for cell in self.cells.values()}
        self.report.record["cells"] = list(self.cells.values())
        self.report.record["runs"] = {date: self.runs[date] for date in sorted(dates)}
        if self.path:
            new = self.path.with_suffix(".tmp")
            new.write_text(json.dumps(self.report.record, indent=1) + "\n", encoding="utf-8")
            os.replace(new, self.path)  # whole at any time

    def get(self, row, corpus, what="accuracy"):
        cell = self.cells.get((row, corpus))
        return cell and cell.get(what)

    def all(self, row, corpora=CORPORA):
        """Accuracies of a row by corpus, None if one is missing."""
        found = {corpus: self.get(row, corpus) for corpus in corpora}
        return None if None in found.values() else found


def shown(cell):
    """Mean and spread in per cent."""
    if cell is None:
        return None
    spread = "" if cell["spread"] is None else f" ± {cell['spread']:.1f}"
    return f"{cell['accuracy']:.1f}{spread}"


def listed(chosen):
    return "; ".join(f"{n} x {choice}" for choice, n in chosen.items())


def tell(report, cells):
    """The tables."""
    kinds = {
        "Accuracy in per cent, mean ± standard deviation": METHODS,
        "500 training documents: accuracy in per cent, mean ± standard deviation": SMALL,
    }
    for title, names in kinds.items():
        rows = [table_row(cells, name, shown) for name in names if has(cells, name)]
        if names is METHODS and has(cells, OURS):
            rows += [
                {"method": f"published: {name}"}
                | {corpus: figures.get(corpus) and f"{figures[corpus]:.1f}" for corpus in CORPORA}
                for name, figures in PUBLISHED.items()
            ]
        if rows:
            report.table(title, rows)
    parts_table(report, cells)
    leads_table(report, cells)
    for title, what in (
        ("Log loss, mean", "log loss"),
        ("Mean confidence less accuracy", "surplus"),
        ("Training in seconds, median", "seconds"),
        ("Predicting in milliseconds a document, many at once, median", "ms a document"),
        ("Distilling the vectors of the training documents, in seconds, median", "distilling"),
    ):
        rows = [
            table_row(cells, name, lambda cell: cell and cell.get(what))  # noqa: B023
            for name in (*METHODS, *SMALL)
            if any(cells.get(name, corpus, what) is not None for corpus in CORPORA)
        ]
        if rows:
            report.table(title, rows)
    counts = Counter(cell["date"] for cell in cells.cells.values())
    report.table("Runs", [{"run": d, "figures": counts[d]} for d in sorted(counts)])


def parts_table(report, cells):
    """What each part does alone, and both together: accuracy and log loss."""
    rows = []
    for vectors in VECTORS:
        for corpus in CORPORA:
            names = LINEAR_PART, name_of(vectors, alone=True), name_of(vectors)
            if not all(cells.get(name, corpus) for name in names):
                continue
            row = {"vectors": vectors, "corpus": corpus}
            for title, name in zip(("linear part", "network", "both"), names, strict=True):
                loss = cells.get(name, corpus, "log loss")
                row[title] = f"{cells.get(name, corpus):.1f} / {loss:.3f}"
            rows.append(row)
    if rows:
        report.table("Accuracy in per cent / log loss of each part alone, and of both", rows)


def leads_table(report, cells):
    """How far ours are ahead of the best linear model of each corpus, which the claims sum up."""
    ours = list(filter(None, (OURS, best_glove(cells), *map(name_of, (IN_CONTEXT, WIDER)))))
    rows = []
    for corpus in CORPORA:
        scores = {name: cells.get(name, corpus) for name in LINEAR}
        if None in scores.values():
            continue
        best = max(scores, key=scores.get)
        row = {"corpus": corpus, "best linear model": best}
        for name in ours:
            score = cells.get(name, corpus)
            row[name] = None if score is None else f"{score - scores[best]:+.2f}"
        rows.append(row)
    if rows:
        report.table("Points of accuracy ahead of the best linear model", rows)


def has(cells, name):
    return any(row == name for row, _ in cells.cells)


def table_row(cells, name, show):
    """A row with what `show` makes of each cell, or of None."""
    return {"method": name} | {corpus: show(cells.cells.get((name, corpus))) for corpus in CORPORA}


def judge(report, cells):
    """Claims of everything whose cells are there."""
    claims = {}
    in_context_, alone = name_of(IN_CONTEXT), name_of(IN_CONTEXT, alone=True)
    for label, row in ("ours", OURS), ("glove", best_glove(cells)):
        lead = leads(cells, row, LINEAR, CORPORA)
        if lead:
            claims[f"{label} - best linear, mean over corpora"] = mean(lead.values())
            claims[f"{label} - best linear, worst corpus"] = min(lead.values())
    for title, row, baselines, corpora, summary in (
        ("in context - best linear, mean over", in_context_, LINEAR, JUDGED_IN_CONTEXT, mean),
        ("in context, network alone - best linear, mean over", alone, LINEAR, ("MR", "TREC"), mean),
        ("in context - sentence encoder, least of", in_context_, [ENCODER], JUDGED_IN_CONTEXT, min),
    ):
        lead = leads(cells, row, baselines, corpora)
        if lead:
            claims[f"{title} {', '.join(corpora)}"] = summary(lead.values())
    rows = {"ours": OURS, "glove": best_glove(cells), "distilled": name_of(DISTILLED)}
    for label, row in (rows | {"in context": in_context_}).items():
        for corpus in ("MR", "TREC"):
            claims[f"{corpus}: {label}"] = cells.get(row, corpus)
    for corpus in ("MR", "20ng"):
        ours, svc = (cells.cells.get((row, corpus)) for row in (OURS, "TF-IDF(1,2) + LinearSVC"))
        # times of two runs do not compare
        if ours and svc and ours["date"] == svc["date"]:
            claims[f"{corpus}: training, ours / LinearSVC"] = ours["seconds"] / svc["seconds"]
    small = leads(cells, f"small: {OURS}", [f"small: {name}" for name in LINEAR], CORPORA)
    if small:
        claims["500 documents: ours - best linear, mean over corpora"] = mean(small.values())
    claims["log loss / that of the better part, worst case"] = worst_loss(cells)
    claims["mean confidence - accuracy, worst case"] = worst_surplus(cells)
    for name, value in claims.items():
        if value is not None:
            report.claim(name, value)
    judged = report.record["claims"]
    report.floors = {name: floor for name, floor in FLOORS.items() if name in judged}
    if len(judged) < len(FLOORS):
        print(
            "\nNot judged, for want of cells or of times of one run:",
            "; ".join(sorted(set(FLOORS) - set(judged))),
        )


def leads(cells, row, baselines, corpora):
    """Points ahead of the best baseline by corpus, None if a cell is missing."""
    ours = cells.all(row, corpora)
    others = [cells.all(name, corpora) for name in baselines]
    if ours is None or None in others:
        return None
    return {corpus: ours[corpus] - max(other[corpus] for other in others) for corpus in corpora}


def worst_loss(cells):
    """Largest ratio of the log loss of both parts to that of the better one alone."""
    ratios = []
    for vectors in VECTORS:
        for corpus in CORPORA:
            rows = name_of(vectors), name_of(vectors, alone=True), LINEAR_PART
            both, *parts = (cells.get(row, corpus, "log loss") for row in rows)
            if None not in (both, *parts):
                ratios.append(both / min(parts))
    return max(ratios, default=None)


def worst_surplus(cells):
    """Confidence less accuracy, of whichever of ours it is furthest from 0."""
    surpluses = [
        cells.get(name_of(vectors), corpus, "surplus") for vectors in VECTORS for corpus in CORPORA
    ]
    return max((abs(s) for s in surpluses if s is not None), default=None)


def best_glove(cells):
    """The one mode that all claims about GloVe are about: the best on average over the corpora."""

    def standing(row):
        found = [cells.get(row, corpus) for corpus in CORPORA]
        found = [score for score in found if score is not None]
        return len(found), mean(found) if found else 0

    best = max(map(name_of, GLOVE_VECTORS), key=standing)
    return best if standing(best)[0] else None


if __name__ == "__main__":
    main()
