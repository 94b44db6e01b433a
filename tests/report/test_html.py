"""The page is whole, safe, and fetches nothing."""

import base64
import json
import re
from html.parser import HTMLParser

import pytest

from fivesigma import plots
from fivesigma.report import tagger_table, versions, write_report
from fivesigma.results import Number, Result, Table

FEW = "rests on 43 background jets"
NASTY = '</script><script>alert("x")</script>'


class Page(HTMLParser):
    """Tags and their attributes; complains of tags that close what is not open."""

    VOID = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    numbers = {
        "cnn/auc": Number(0.9512, 0.0021),
        "cnn/rejection_at_30": Number(212.0, 33.0, note=FEW),
        "trees/auc": Number(0.93, 0.0030),
        NASTY: Number(1),
    }
    figure = plots.histogram({"QCD": [1.0, 2.0, 2.5], "top": [2.0, 3.0, 4.0]}, "Mass", "GeV")
    other = plots.histogram({"QCD": [1.0, 2.0, 2.5], "top": [2.0, 3.0, 4.0]}, "Mass", "GeV")
    generated = Table(("Process", "Cross-section"), (("tt", Number(5.2, 0.1, "pb")),), "at 14 TeV")
    results = [
        Result("Generation", tables={"Processes": generated}, note="Two samples."),
        Result("Jets", figures={"Mass <of> jets": figure, "The same again": other}),
        Result("Taggers", numbers, tables={"Figures of merit": tagger_table(numbers)}),
    ]
    path = write_report(
        tmp_path_factory.mktemp("run") / "report.html",
        f"Top tagging {NASTY}",
        results,
        {"Process": "tt <hadronic>"},
        ["fivesigma demo --out 'a & b'"],
        date="2026-01-02 03:04 UTC",
    )
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    return path.read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_has_its_parts(text):
    page = Page(text)
    assert text.lstrip().startswith("<!DOCTYPE html>")
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings == ["What was done", "Generation", "Jets", "Taggers", "How to repeat it"]
    targets = {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")}
    ids = [a["id"] for _, a in page.found if "id" in a]
    assert len(ids) == len(set(ids)) and targets <= set(ids)
    assert len(page.all("figure")) == len(page.all("svg")) == len(page.all("figcaption")) == 2
    assert {a["aria-label"] for a in page.all("svg")} == {"Mass <of> jets", "The same again"}
    for words in ("2026-01-02", "(5.20 ± 0.10) pb", "a &amp; b", "at 14 TeV", "tt &lt;hadronic"):
        assert words in text
    assert "prefers-color-scheme: dark" in text and "width=device-width" in text


def test_the_page_fetches_nothing_and_runs_nothing(text):
    page = Page(text)
    assert [a.get("type") for a in page.all("script")] == ["application/json"]
    assert not page.all("link") and not page.all("iframe")
    for tag, attributes in page.found:
        for key in ("src", "href", "xlink:href", "data", "action"):
            target = attributes.get(key, "")
            assert target == "results.json" or not target or target.startswith(("#", "data:")), tag
        assert not any(key.startswith("on") for key in attributes)
    assert "@import" not in text and "default-src 'none'" in text


def test_names_from_outside_stay_text(text):
    assert "<script>alert" not in text
    assert "&lt;/script&gt;" in text


def test_the_numbers_are_held_twice_and_agree(text):
    block = re.search(r'<script type="application/json" id="results">(.*?)</script>', text, re.S)
    held = json.loads(block[1])
    assert held["cnn/auc"] == {"value": 0.9512, "uncertainty": 0.0021, "unit": ""}
    link = next(a["href"] for a in Page(text).all("a") if a.get("download"))
    assert json.loads(base64.b64decode(link.split(",")[1])) == held
    assert NASTY in held


def test_headline_and_marks_of_low_statistics(text):
    assert re.search(r"<dt>cnn: AUC</dt><dd>0\.9512 ± 0\.0021</dd>", text)
    assert re.search(r"212 ± 33<sup>1</sup>", text)
    assert f"<sup>1</sup> {FEW}" in text


def test_a_page_is_not_overwritten_unasked(tmp_path):
    path = write_report(tmp_path / "report.html", "First", [], {}, [])
    with pytest.raises(ValueError, match="exists"):
        write_report(path, "Second", [], {}, [])
    assert "First" in path.read_text()
    write_report(path, "Second", [], {}, [], overwrite=True)
    assert "Second" in path.read_text()


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Result("a", {"x": Number(float("nan"))}), "neither NaN nor infinity"),
        (Result("a", figures={"f": "not a figure"}), "expected a matplotlib Figure"),
        (Result("a", tables={"t": Table(("A", "B"), (("1",),))}), "2 columns"),
    ],
)
def test_bad_results_are_refused(tmp_path, result, words):
    with pytest.raises(ValueError, match=words):
        write_report(tmp_path / "report.html", "t", [result], {}, [])
    assert list(tmp_path.iterdir()) == []


def test_versions_name_what_decides_the_numbers():
    assert {"python", "numpy", "matplotlib"} <= set(versions())
