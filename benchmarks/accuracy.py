"""How accurate is the classifier beside linear models, and a plain Keras network, on five corpora?

Mean over folds or seeds, and their standard deviation. Every method sees the same splits: 10 folds
on MR, 5 on SMS (equal texts stay together) and on docstrings, the official split on TREC (3 seeds)
and 20ng (1 seed). "ours" is the classifier with all its defaults, alone and with word vectors:
50-dimensional GloVe, or distilled from a sentence encoder; claims about either are about the mode
that is best over all corpora. C of the linear models, beta of NBSVM, their tokens, and rate and
epochs of fastText are tuned within the training documents. A further part has 500 training
documents, ten draws a corpus. Training times are those of a whole fit on raw text, without any
search.
"""

import argparse
import json
import os
import sys
from collections import Counter
from pathlib import Path
from statistics import mean, median, stdev

from _common import CORPORA as DATA
from _common import HERE, Report, at_least, at_most
from _corpora import CORPORA
from _linear import LINEAR
from _methods import (
    DETERMINISTIC,
    DISTILLED_METHODS,
    GLOVE_METHODS,
    METHODS,
    OURS,
    SMALL,
    distilled_vectors,
)
from sklearn.metrics import accuracy_score

# points of accuracy, and ratios of times; a figure that lacks one of its cells is not judged
FLOORS = {
    "ours - best linear, mean over corpora": at_least(-1.0),
    "ours - best linear, worst corpus": at_least(-2.5),
    "glove - best linear, mean over corpora": at_least(0.0),
    "glove - best linear, worst corpus": at_least(-1.5),
    "distilled - best linear, mean over MR, TREC, docstrings": at_least(0.5),
    "MR: ours": at_least(76.1),
    "MR: glove": at_least(78.0),
    "MR: distilled": at_least(79.0),
    "TREC: ours": at_least(91.2),
    "TREC: glove": at_least(91.5),
    "TREC: distilled": at_least(92.5),
    "500 documents: ours - best linear, mean over corpora": at_least(-1.0),
    "MR: training, ours / LinearSVC": at_most(40),
    "20ng: training, ours / LinearSVC": at_most(15),
}
TARGETS = {
    "ours - best linear, mean over corpora": at_least(0.5),
    "ours - best linear, worst corpus": at_least(-0.5),
    "glove - best linear, mean over corpora": at_least(1.5),
    "distilled - best linear, mean over MR, TREC, docstrings": at_least(2.0),
    "MR: ours": at_least(78.0),
    "MR: glove": at_least(80.0),
    "MR: distilled": at_least(81.0),
    "TREC: ours": at_least(92.5),
    "TREC: glove": at_least(93.5),
    "TREC: distilled": at_least(94.5),
    "500 documents: ours - best linear, mean over corpora": at_least(0.0),
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
JUDGED_WITH_DISTILLED = ("MR", "TREC", "docstrings")


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
    accuracies, times, chosen = [], [], Counter()
    for seed, (train, test) in enumerate(splits):
        model, time, choice = METHODS[method](corpus, train, seed)
        score = accuracy_score(corpus.labels[test], model.predict(corpus.texts[test]))
        accuracies.append(round(100 * score, 2))
        times.append(round(time, 3))
        chosen[choice] += choice is not None
    cell = {
        "accuracy": mean(accuracies),
        "spread": stdev(accuracies) if len(accuracies) > 1 else None,
        "seconds": median(times),
        "accuracies": accuracies,
        "all seconds": times,
        "chosen": dict(+chosen),
    }
    if method in DISTILLED_METHODS:
        _, n_tokens, time = distilled_vectors(corpus)
        cell["distilled"] = {"tokens": n_tokens, "seconds": time}
    return cell


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
        return cell and cell[what]

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
    leads_table(report, cells)
    seconds = [
        table_row(cells, name, lambda cell: cell and cell["seconds"])
        for name in (*METHODS, *SMALL)
        if has(cells, name)
    ]
    report.table("Training in seconds, median", seconds)
    row = best_distilled(cells)
    distilled = [
        {"corpus": corpus} | cells.get(row, corpus, "distilled")
        for corpus in CORPORA
        if cells.get(row, corpus)
    ]
    if distilled:
        report.table("Distilling the vectors of a corpus, on top, once", distilled)
    counts = Counter(cell["date"] for cell in cells.cells.values())
    report.table("Runs", [{"run": d, "figures": counts[d]} for d in sorted(counts)])


def leads_table(report, cells):
    """How far ours are ahead of the best linear model of each corpus, which the claims sum up."""
    ours = list(filter(None, (OURS, best_glove(cells), best_distilled(cells))))
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
    glove, distilled = best_glove(cells), best_distilled(cells)
    for label, row in ("ours", OURS), ("glove", glove):
        lead = leads(cells, row, LINEAR, CORPORA)
        if lead:
            claims[f"{label} - best linear, mean over corpora"] = mean(lead.values())
            claims[f"{label} - best linear, worst corpus"] = min(lead.values())
    lead = leads(cells, distilled, LINEAR, JUDGED_WITH_DISTILLED)
    if lead:
        where = ", ".join(JUDGED_WITH_DISTILLED)
        claims[f"distilled - best linear, mean over {where}"] = mean(lead.values())
    for label, row in ("ours", OURS), ("glove", glove), ("distilled", distilled):
        for corpus in ("MR", "TREC"):
            claims[f"{corpus}: {label}"] = cells.get(row, corpus)
    small = leads(cells, f"small: {OURS}", [f"small: {name}" for name in LINEAR], CORPORA)
    if small:
        claims["500 documents: ours - best linear, mean over corpora"] = mean(small.values())
    for corpus in ("MR", "20ng"):
        ours, svc = (cells.cells.get((row, corpus)) for row in (OURS, "TF-IDF(1,2) + LinearSVC"))
        # times of two runs do not compare
        if ours and svc and ours["date"] == svc["date"]:
            claims[f"{corpus}: training, ours / LinearSVC"] = ours["seconds"] / svc["seconds"]
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


def best_glove(cells):
    """The one mode that all claims about GloVe are about: the best on average over the corpora."""
    return best_of(cells, GLOVE_METHODS, CORPORA)


def best_distilled(cells):
    """The same for distilled vectors, over the corpora of their claim."""
    return best_of(cells, DISTILLED_METHODS, JUDGED_WITH_DISTILLED)


def best_of(cells, rows, corpora):
    def standing(row):
        scores = [cells.get(row, corpus) for corpus in corpora]
        scores = [score for score in scores if score is not None]
        return len(scores), mean(scores) if scores else 0

    best = max(rows, key=standing)
    return best if standing(best)[0] else None


if __name__ == "__main__":
    main()
