"""What to cite: every part has its works, every work its identifier."""

import re
from pathlib import Path

import pytest
import yaml

from fivesigma.geometry import DETECTORS
from fivesigma.models import MODELS
from fivesigma.optimisation import SCHEDULES
from fivesigma.optimisers import OPTIMIZERS
from fivesigma.references import ALWAYS, DATA, MARKS, USES, named_in, references

ROOT = Path(__file__).parent.parent


def test_every_network_detector_optimiser_and_schedule_is_in_the_table():
    assert set(USES["model"]) == {*MODELS, "trees"}
    assert all(USES["model"].values())
    assert set(USES["detector"]) == set(DETECTORS)
    assert all(USES["detector"].values())
    assert set(USES["optimizer"]) == set(OPTIMIZERS)
    assert set(USES["schedule"]) == set(SCHEDULES)


def test_every_key_is_that_of_a_work_and_every_work_has_a_use():
    tables = [*USES.values(), MARKS, DATA]
    used = {*ALWAYS, *(key for table in tables for keys in table.values() for key in keys)}
    assert set(references()) == used


@pytest.mark.parametrize("reference", references().values(), ids=lambda each: each.key)
def test_a_work_has_title_author_and_identifier(reference):
    fields = reference.fields
    assert fields["title"] and fields["author"]
    assert reference.key in ALWAYS + ("lightgbm",) or {"eprint", "doi", "url"} & set(fields)
    if "eprint" in fields:
        assert re.fullmatch(r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}", fields["eprint"])
    if "doi" in fields:
        assert re.fullmatch(r"10\.\d{4,5}/\S+", fields["doi"])
    assert "{" not in reference.text and "\n" not in reference.text


def test_entries_are_read_whole():
    text = (ROOT / "src/fivesigma/references.bib").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if " = {" in line]
    assert sum(len(each.fields) for each in references().values()) == len(lines)
    assert len(references()) == text.count("\n@")


def test_text_and_bibtex_of_a_work():
    found = references()["energy-flow-networks"]
    assert found.text == (
        "P. T. Komiske, E. M. Metodiev and J. Thaler, Energy Flow Networks: Deep Sets for "
        "Particle Jets, JHEP 01 (2019) 121, arXiv:1810.05165, doi:10.1007/JHEP01(2019)121"
    )
    assert references()["pythia83"].text.startswith("C. Bierlich et al., A comprehensive guide")
    assert references()["lion"].text.endswith("NeurIPS (2023), arXiv:2302.06675")
    assert references()["neos"].text.endswith("High Energy Physics (2022), arXiv:2203.05570")
    bibtex = found.bibtex
    assert bibtex.startswith("@article{energy-flow-networks,\n  author = {Komiske, Patrick T. and")
    assert "  archivePrefix = {arXiv}" in bibtex and bibtex.count("{") == bibtex.count("}")


def test_fivesigma_is_cited_as_its_citation_file_says():
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    mine = references()["fivesigma"].fields
    assert mine["title"].strip("{}") == said["title"]
    assert mine["version"] == said["version"]
    assert mine["author"].strip("{}") == said["authors"][0]["name"]


def test_identifiers_in_a_text_are_found():
    text = (
        "after arXiv:1902.09914 and hep-ph: arXiv:hep-ph/0512210; Zenodo 2603256, "
        "CMS open data record 5500 (doi:10.1103/PhysRevD.101.056019), https://doi.org/10.1234/mine."
    )
    found = named_in(text)
    assert [each.key for each in found] == [
        "top-taggers", "nearest-neighbours", "particlenet", "doi:10.1234/mine",
        "top-tagging-dataset", "cms-higgs-4l",
    ]  # fmt: skip
    assert found[3].text == "doi:10.1234/mine"
    assert named_in("no identifiers, 10.5 GeV") == []
