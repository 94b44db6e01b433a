"""The documentation lists what there is: formats that are read and written, functions, links."""

import re
from pathlib import Path

import pytest

from fivesigma.expressions.functions import FUNCTIONS
from fivesigma.formats import FORMATS
from fivesigma.formats.writers import WRITERS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def rows(page: str, section: str) -> list[list[str]]:
    """Cells of the first table in a section, without its head."""
    text = (ROOT / "docs" / page).read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    table = re.search(r"^\|.*?(?=\n\n)", text, re.DOTALL | re.MULTILINE)
    assert table is not None
    lines = table[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_format_that_is_read_is_documented_in_order():
    expected = [[f"`{name}`", each.meaning, each.kind] for name, each in FORMATS.items()]
    assert rows("formats.md", "What is read") == expected


def test_every_format_that_is_written_is_documented():
    expected = [
        [f"`{name}`", each.meaning, " ".join(f"`{s}`" for s in each.suffixes) or f"`--to {name}`"]
        for name, each in WRITERS.items()
    ]
    assert rows("formats.md", "What is written") == expected


def test_every_function_of_expressions_is_documented():
    text = (ROOT / "docs" / "expressions.md").read_text()
    section = text.split("\n## What there is\n")[1].split("\n## ")[0]
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", section))))
    assert not FUNCTIONS.keys() - words


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_within_the_repository_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
