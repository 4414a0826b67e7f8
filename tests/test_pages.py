"""What makes the pages of benchmarks and the pictures, and the links of pages that are built.

``PAGES=docs/_build pytest tests/test_pages.py`` checks the links of the pages in that folder.
"""

import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("docutils")
pytest.importorskip("sphinx")
sys.path.insert(0, str(ROOT / "docs" / "_extensions"))

import benchmark_results  # noqa: E402
import benchmark_summary  # noqa: E402
import explanation_picture  # noqa: E402

from sklearn_textcnn.inspection import Explanation, NGram  # noqa: E402


@pytest.mark.parametrize(
    ("value", "floor", "target", "holds", "verdict"),
    [
        (9.0, ">= 4", ">= 8", True, "target reached"),
        (6.6, ">= 4", ">= 8", True, "target missed"),
        (3.2, ">= 4", ">= 8", False, "missed, below the floor"),
        (0.3, None, "<= 0.4", True, "target reached"),
        (0.5, None, "<= 0.4", True, "target missed"),
        (0.1, "<= 1", None, True, "holds"),
        (0.1, None, None, True, None),
    ],
)
def test_a_target_that_was_missed_is_called_missed(value, floor, target, holds, verdict):
    claim = {"value": value, "floor": floor, "target": target, "holds": holds}
    assert benchmark_results.verdict(claim) == verdict
    listed = benchmark_results.missed({"training": {"claims": {"epoch": claim}}, "gpu": None})
    assert [row["claim"] for row in listed] == (
        ["epoch (training.py)"] if "missed" in str(verdict) else []
    )


ACCURACY = "Accuracy in per cent, mean ± standard deviation"


def row(method, figure):
    return {"method": method} | dict.fromkeys(benchmark_summary.CORPORA, figure)


def test_best_linear_model_is_the_best_on_each_corpus():
    rows = [
        row(benchmark_summary.LINEAR[0], "70.0 ± 9.0"),
        row(benchmark_summary.LINEAR[1], "68.0") | {"TREC": "91.0"},
        row(benchmark_summary.LINEAR[2], None),
        row("ours", "99.9"),
    ]
    found = benchmark_summary.best({r["method"]: r for r in rows}, benchmark_summary.LINEAR)
    assert (found["MR"], found["TREC"]) == ("70.0", "91.0")


def test_times_beside_others():
    rows = [
        {"contender": "ours", "median s": 0.00032, "x ours": 1.0},
        {"contender": "scikeras", "median s": 0.078, "x ours": 246.2},
    ]
    assert benchmark_summary.times({"tables": {"One document": rows}}) == [
        {
            "what": "One document",
            "beside": "Keras behind scikeras",
            "here": "320 µs",
            "takes": "246 times as long",
        }
    ]


def test_readme_has_the_accuracies_of_the_last_run():
    record = benchmark_results.read(ROOT / "benchmarks", "accuracy")
    expected = [
        [row[corpus] or "" for corpus in benchmark_summary.CORPORA]
        for row in benchmark_summary.beside_others(record)
    ]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("## How accurate")[2].partition("## Install")[0]
    rows = [line.strip()[1:-1].split("|") for line in table.splitlines() if line.startswith("| ")]
    head, *shown = [[cell.strip() for cell in row] for row in rows]
    assert head[1:] == ["MR", "TREC", "SMS", "docstrings", "20 newsgroups"]
    assert [row[1:] for row in shown] == expected


@pytest.fixture
def explanation():
    text = "A <fine> film & a dull day " * 6
    offsets = [match.span() for match in re.finditer(r"\S+", text)]
    tokens = [text[start:stop] for start, stop in offsets]
    weights = np.where(np.array(tokens) == "dull", -0.5, 0.0)
    weights[1] = 2.0
    return Explanation(
        tokens=tokens,
        target="<good>",
        logit=1.5,
        bias=0.25,
        ngrams=[NGram(1, 2, "<fine>", 2.0, "linear"), NGram(4, 6, "a dull", -0.75, "network")],
        token_weights=weights,
        probabilities={"bad": 0.18, "<good>": 0.82},
        text=text,
        offsets=offsets,
    )


def test_picture_of_an_explanation_is_inside_its_frame(explanation):
    svg = ElementTree.fromstring(explanation_picture.picture(explanation))
    name = "{http://www.w3.org/2000/svg}"
    document = [t for t in svg.iter(f"{name}text") if t.get("class") == "document"]
    assert [t.text for t in document] == explanation.tokens
    assert len({t.get("y") for t in document}) == 3  # lines
    for t in document:
        assert 0 < float(t.get("x")) < float(t.get("x")) + float(t.get("textLength")) < 860
    shades = [r for r in svg.iter(f"{name}rect") if "shade" in r.get("class")]
    assert [r.get("class") for r in shades] == ["for shade", "against shade"] + [
        "for shade" if token == "<fine>" else "against shade"
        for i, token in enumerate(explanation.tokens)
        if i == 1 or token == "dull"
    ]
    assert max(float(t.get("y")) for t in svg.iter(f"{name}text")) < float(svg.get("height"))


class Page(HTMLParser):
    """The ids of a page, and what it links to."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links = set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids |= {attributes.get("id"), attributes.get("name")}
        self.links |= {attributes.get("href"), attributes.get("src")} - {None}


def dead_links(folder):
    pages = {path.resolve(): Page(path) for path in folder.rglob("*.html")}
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            is_there = target.exists()
            if is_there and parts.fragment and target in pages:
                is_there = unquote(parts.fragment) in pages[target].ids
            if not is_there:
                dead.append(f"{path.relative_to(folder.resolve())}: {link}")
    return sorted(dead)


def test_dead_links_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="x"></p><a href="b.html#y">1</a><a href="b.html#z">2</a><a href="c.html">3</a>'
        '<a href="#x">4</a><a href="https://example.org/d.html">5</a><img src="e.svg">'
    )
    (tmp_path / "b.html").write_text('<p id="y"></p>')
    assert dead_links(tmp_path) == ["a.html: b.html#z", "a.html: c.html", "a.html: e.svg"]


@pytest.mark.skipif("PAGES" not in os.environ, reason="PAGES names no folder of built pages")
def test_pages_have_no_dead_links():
    folder = Path(os.environ["PAGES"])
    assert (folder / "index.html").exists()
    assert dead_links(folder) == []
