"""Directives that show what the scripts in benchmarks/ wrote, as tables and a plot.

``benchmark-results`` has a section for each script: its docstring, the machine, the versions, the
tables and the claims of its last run, read from ``benchmarks/results/<script>.json`` when the pages
are built. ``benchmark-missed`` lists the claims of all of them that missed their target. No figure
is written by hand, so none can be out of date without its date saying so.
"""

import ast
import io
import json
import operator
import re
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TEXT_COLOR = "#010203"  # of the plot; becomes that of the page, light or dark
LINE_COLOR = "#2a7fd4"


class Lines(SphinxDirective):
    """Lines of reStructuredText in place of the directive."""

    def run(self):
        for name in names(BENCHMARKS):
            self.env.note_dependency(str(BENCHMARKS / f"{name}.py"))
            self.env.note_dependency(str(BENCHMARKS / "results" / f"{name}.json"))
        lines = self.lines() or ["This checkout has no folder ``benchmarks``."]
        self.state_machine.insert_input(StringList(lines, str(BENCHMARKS)), str(BENCHMARKS))
        return []


class BenchmarkResults(Lines):
    """Sections for all scripts."""

    def lines(self):
        scripts = names(BENCHMARKS)
        return [line for name in scripts for line in section(name, read(BENCHMARKS, name))]


class BenchmarkMissed(Lines):
    """A table of the targets that were missed."""

    def lines(self):
        rows = missed({name: read(BENCHMARKS, name) for name in names(BENCHMARKS)})
        return table("Targets that were missed", rows) if rows else ["None was missed."]


class BenchmarkPlot(SphinxDirective):
    """Cost per document over the number of documents, from the results of a script."""

    required_arguments = 1

    def run(self):
        svg = plot(curves(read(BENCHMARKS, self.arguments[0])))
        return [nodes.raw("", f'<div class="benchmark-plot">{svg}</div>', format="html")]


def names(folder):
    """Names of the scripts, and of results whose script is gone."""
    found = [*folder.glob("*.py"), *folder.glob("results/*.json")]
    return sorted({path.stem for path in found if not path.stem.startswith("_")})


def read(folder, name):
    """The record of the last run, None without one."""
    path = folder / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def section(name, record):
    """The lines of a script's section, in reStructuredText."""
    title, *explanation = question(name)
    lines = [title, "-" * len(title), "", *explanation, ""]
    command = f"python benchmarks/{name}.py"
    if record is None:
        return [*lines, f"This benchmark has not been run on this checkout: ``{command}``.", ""]
    lines += circumstances({"command": command} | record)
    if curves(record):
        lines += [f".. benchmark-plot:: {name}", ""]
    for caption, rows in record["tables"].items():
        if caption not in ("Claims", "Runs"):
            lines += table(caption, rows)
    if record["claims"]:
        rows = [judged(*claim) for claim in record["claims"].items()]
        lines += table("Claims and targets", rows)
    return lines


def question(name):
    """Title and paragraphs of a script's docstring, as lines."""
    path = BENCHMARKS / f"{name}.py"
    if not path.exists():
        return [name]
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or name
    # a title is one line
    title, _, explanation = docstring.partition("\n\n")
    return [escaped(" ".join(title.split())), *escaped(explanation).splitlines()]


def escaped(text):
    """Plain text with code in backquotes, as reStructuredText."""
    pieces = re.split(r"`+([^`]+)`+", text)
    return "".join(
        f"``{piece}``" if i % 2 else re.sub(r"([\\*|_])", r"\\\1", piece)
        for i, piece in enumerate(pieces)
    )


def circumstances(record):
    """With what command, when, on what and with what it ran, as a field list."""
    machine = dict(record["machine"])
    return [
        ".. rst-class:: circumstances",
        "",
        f":Command: ``{record['command']}``",
        f":Date: {escaped(machine.pop('date'))}",
        f":Machine: {listed(machine)}",
        f":Versions: {listed(record['versions'])}",
        "",
    ]


def listed(values):
    return escaped(
        ", ".join(f"{name} {shown(value)}" for name, value in values.items() if value is not None)
    )


def judged(name, claim):
    """A row of the table of claims, in words that say what was missed."""
    figures = {"measured": claim["value"], "target": claim["target"], "floor": claim["floor"]}
    return {"claim": name, "verdict": verdict(claim)} | figures


def verdict(claim):
    if claim["floor"] and not claim["holds"]:
        return "missed, below the floor"
    if not claim["target"]:
        return "holds" if claim["floor"] else None
    return "target reached" if reaches(claim["value"], claim["target"]) else "target missed"


def reaches(value, target):
    """Whether a number is what a target such as ">= 8" asks for."""
    sign, number = target.split()
    return {">=": operator.ge, "<=": operator.le}[sign](value, float(number))


def missed(records):
    """Rows of the claims that missed their target, of all scripts."""
    return [
        row | {"claim": f"{row['claim']} ({name}.py)"}
        for name, record in records.items()
        for row in (judged(*claim) for claim in (record or {"claims": {}})["claims"].items())
        if "missed" in (row["verdict"] or "")
    ]


def table(caption, rows):
    """A list of dicts with the same keys as a list-table."""
    lines = [
        f".. list-table:: {escaped(named(caption))}",
        "   :header-rows: 1",
        "   :align: left",
        f"   :class: benchmark{' named-twice' if named_twice(rows) else ''}",
        "",
    ]
    for row in [{name: heading(name) for name in rows[0]}, *rows]:
        for i, value in enumerate(row.values()):
            lines.append(f"   {'  ' if i else '* '}- {escaped(shown(value))}".rstrip())
    return [*lines, ""]


def named_twice(rows):
    """Whether two columns on the left are words, before the figures."""
    return all(len(row) > 2 and re.match(r"[^\d+-]", shown([*row.values()][1])) for row in rows)


def heading(column):
    return named(re.sub(r"^us\b", "µs", column))


def named(text):
    return re.sub(r"\b20ng\b", "20 newsgroups", text)


def shown(value):
    if isinstance(value, dict):
        return ", ".join(f"{name}: {shown(part) or 'none'}" for name, part in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, int) or str(value).isdigit():
        return f"{int(value):,}"
    return "" if value is None else named(str(value))


def curves(record):
    """(caption, unit, numbers of documents, costs) of tables with a row per number of documents."""
    found = []
    for caption, rows in (record or {"tables": {}})["tables"].items():
        for name in rows[0]:
            if "documents" in rows[0] and re.search("(a|per) document$", name):
                points = sorted((int(row["documents"]), row[name]) for row in rows)
                found.append((caption, heading(name), *zip(*points, strict=True)))
    return found


def plot(panels):
    """The curves beside each other as SVG, in the text colour of the page."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    colored = "text.color axes.labelcolor axes.edgecolor xtick.color ytick.color".split()
    style = dict.fromkeys(colored, TEXT_COLOR) | {"svg.hashsalt": "plot", "font.size": 11}
    with rc_context(style):
        figure = Figure(figsize=(3.8 * len(panels), 3), layout="constrained")
        for axes, (caption, unit, documents, costs) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            axes.plot(documents, costs, color=LINE_COLOR, marker="o")
            axes.set(title=caption, xscale="log", xlabel="documents", ylabel=unit)
            axes.set_xticks(documents, [f"{n:,}" for n in documents])
            axes.minorticks_off()
            axes.set_ylim(0, 1.25 * max(costs))
            axes.grid(alpha=0.2, color=TEXT_COLOR)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_facecolor("none")
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(TEXT_COLOR, "currentColor")
    return svg.replace("<svg", '<svg role="img" aria-label="Cost of a document"', 1)


def setup(app):
    app.add_directive("benchmark-results", BenchmarkResults)
    app.add_directive("benchmark-missed", BenchmarkMissed)
    app.add_directive("benchmark-plot", BenchmarkPlot)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
