"""What to cite: the works that each part builds on, in one table.

The works themselves stand in `references.bib`, under the keys that are used here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

__all__ = ["ALWAYS", "DATA", "MARKS", "USES", "Reference", "named_in", "references"]

#: whatever was done
ALWAYS = ("fivesigma",)

_STATISTICS = ("histfactory", "pyhf", "asymptotic-formulae", "cls")
_CNN = ("deep-top", "tops-with-computer-vision", "top-taggers")

#: key of a settings file -> its value -> what that stands on
USES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "model": {
        "cnn": _CNN,
        "resnext": ("resnext", "particlenet"),
        "vit": ("vision-transformer",),
        "pfn": ("energy-flow-networks",),
        "efn": ("energy-flow-networks",),
        "deepsets-max": ("ultrafast-jets",),
        "p-cnn": ("deepak8", "particlenet"),
        "particlenet": ("particlenet", "edge-convolution"),
        "particlenet-lite": ("particlenet", "edge-convolution"),
        "transformer": ("part", "attention"),
        "part": ("part",),
        "event-transformer": ("attention",),
        "lorentznet": ("lorentznet",),
        "pelican": ("pelican",),
        "lgatr-slim": ("lgatr-slim",),
        "lgatr-slim-small": ("lgatr-slim",),
        "mlp": ("batch-normalisation",),
        "trees": ("lightgbm",),
    },
    "optimizer": {
        "adam": (),
        "adamw": ("adamw",),
        "lion": ("lion",),
        "radam": ("radam",),
        "ranger": ("radam", "lookahead"),
        "sgd": (),
    },
    "schedule": {
        "constant": (),
        "cosine": ("cosine-schedule",),
        "flat-then-decay": ("part",),
        "one-cycle": ("one-cycle",),
    },
    "detector": {
        "atlas": ("atlas-experiment", "delphes3"),
        "cms": ("cms-experiment", "delphes3", "cms-tracker"),
        "atlas-coarse": ("atlas-experiment", "delphes3"),
        "trackml": ("trackml",),
        "wsi": ("calochallenge", "gflash"),
    },
    "algorithm": {"antikt": ("anti-kt",), "ca": (), "kt": ()},
    "engine": {"fivesigma": ("nearest-neighbours",), "fastjet": ("fastjet",)},
    "loss": {
        "cross-entropy": (),
        "simple": (),
        "asimov": ("asymptotic-formulae",),
        "signal-strength": ("inferno", "neos"),
    },
    "kind": {"ensemble": ("deep-ensembles",), "simulate": ("gflash",)},
    # parameters of workspaces, and backgrounds under peaks
    "name": {"qcd_function": ("cms-dijets",)},
    "background": {
        "dijet2": ("cms-dijets",),
        "dijet3": ("cms-dijets",),
        "dijet4": ("cms-dijets",),
        "dijet5": ("cms-dijets",),
    },
}

#: key of a settings file, where it has a value -> what that stands on
MARKS: Mapping[str, tuple[str, ...]] = {
    "pythia8mc": ("pythia83",),
    "generation": ("pythia83",),
    "recipe": ("pythia83",),
    "regions": _STATISTICS,
    "measurements": _STATISTICS,
    "workspace": _STATISTICS,
    "teacher": ("distillation",),
    "parameter": ("parametrised-networks",),
    "decorrelate": ("disco",),
    "masks": ("magnitude-pruning", "gradual-pruning"),
}

#: part of the path of a file or folder of published data -> where they come from
DATA: Mapping[str, tuple[str, ...]] = {
    "cms_higgs4l": ("cms-higgs-4l",),
    "Run2012BC_DoubleMuParked": ("cms-dimuon-2012",),
    "Zmumu_Run2011A": ("cms-education-2011",),
    "Zee_Run2011A": ("cms-education-2011",),
    "agc_ttbar": ("analysis-grand-challenge",),
    "uci_higgs": ("uci-higgs", "exotic-particles"),
    "HIGGS.csv": ("uci-higgs", "exotic-particles"),
    "ins1748602": ("sbottom-likelihoods", "sbottom-search"),
    "top_landscape": ("top-tagging-dataset", "top-taggers"),
    "quark_gluon": ("quark-gluon-dataset", "energy-flow-networks"),
}

_WHERE = ("journal", "booktitle", "institution", "publisher", "volume", "number")
_ENTRY = re.compile(r"^@(\w+)\{([\w-]+),\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^\s*(\w+) = \{(.*?)\},?$", re.MULTILINE)
#: identifiers as they stand in texts: arXiv:1902.09914, doi:10.1/2, Zenodo 2603256, record 5500
_ARXIV = re.compile(r"arXiv:\s?((?:[a-z-]+/\d{7})|\d{4}\.\d{4,5})", re.IGNORECASE)
_DOI = re.compile(r"(?:doi:\s?|doi\.org/)(10\.\d{4,9}/[^\s\"'<>,;\]]+)", re.IGNORECASE)
_ZENODO = re.compile(r"Zenodo (\d{5,9})", re.IGNORECASE)
_RECORD = re.compile(r"open data record (\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Reference:
    """One work.

    Attributes:
        key: short name.
        kind: article, dataset ... as in BibTeX.
        fields: title, author, year, eprint (arXiv), doi ...
    """

    key: str
    kind: str
    fields: Mapping[str, str]

    @property
    def bibtex(self) -> str:
        """The entry in a .bib file."""
        fields = dict(self.fields)
        if "eprint" in fields:
            fields["archivePrefix"] = "arXiv"
        lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@{self.kind}{{{self.key},\n{lines}\n}}"

    @property
    def text(self) -> str:
        """One line: authors, title, where, identifiers."""
        plain = {name: value.strip("{}") for name, value in self.fields.items()}
        where = " ".join(plain[name] for name in _WHERE if name in plain)
        title = plain.get("title", "")
        year = f" ({plain['year']})" if "year" in plain else ""
        if where:
            where += f"{year} {plain.get('pages', '')}".rstrip()
        else:
            title += year
        parts = [_authors(plain.get("author", "")), title, where]
        parts.append(f"arXiv:{plain['eprint']}" if "eprint" in plain else "")
        parts.append(f"doi:{plain['doi']}" if "doi" in plain else plain.get("url", ""))
        return ", ".join(part for part in parts if part)


def _authors(names: str) -> str:
    """G. Surname, G. Surname and G. Surname; of more than four only the first."""
    each = [_person(name) for name in names.split(" and ") if name]
    if "others" in each or len(each) > 4:
        return f"{each[0]} et al."
    return " and ".join(part for part in (", ".join(each[:-1]), *each[-1:]) if part)


def _person(name: str) -> str:
    surname, _, given = name.partition(", ")
    initials = " ".join(part if part.endswith(".") else f"{part[0]}." for part in given.split())
    return f"{initials} {surname}".strip()


@cache
def references() -> Mapping[str, Reference]:
    """All works of the table, by key."""
    text = files("fivesigma").joinpath("references.bib").read_text(encoding="utf-8")
    return MappingProxyType(
        {
            key: Reference(key, kind, dict(_FIELD.findall(body)))
            for kind, key, body in _ENTRY.findall(text)
        }
    )


def named_in(text: str) -> list[Reference]:
    """Works whose identifiers stand in a text: arXiv, DOI, Zenodo, open data record.

    What the table does not hold comes back with its identifier alone.
    """
    dois = [*_DOI.findall(text), *(f"10.5281/zenodo.{number}" for number in _ZENODO.findall(text))]
    found = [_identified("eprint", "arXiv", value) for value in _ARXIV.findall(text)]
    found += [_identified("doi", "doi", value.rstrip(".)")) for value in dois]
    for number in _RECORD.findall(text):
        record = f"CERN Open Data Portal, record {number}"
        found.append(_identified("publisher", "record", record))
    return found


def _identified(field: str, prefix: str, value: str) -> Reference:
    for each in references().values():
        if each.fields.get(field, "").lower() == value.lower():
            return each
    return Reference(f"{prefix}:{value}", "misc", {field: value})
