"""`fivesigma demo discovery`: a resonance in dijets, found with a tagger and lost without."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from fivesigma import metrics, statistics
from fivesigma.datasets import Dataset
from fivesigma.events import momenta
from fivesigma.plots import stack
from fivesigma.report import write_report, write_results
from fivesigma.results import Number, Result, Table
from fivesigma.runs import Run
from fivesigma.search.doubletag import (
    Pairs,
    Process,
    Rates,
    Uncertainties,
    Window,
    tagging_rates,
    workspace,
)
from fivesigma.storage import write_json
from fivesigma.workflows.caches import jets_of, open_jets
from fivesigma.workflows.demo import demo
from fivesigma.workflows.generate import generate
from fivesigma.workflows.scoring import load_runs, score_runs

__all__ = ["Search", "discovery"]

#: class of the recipe -> name in the fit
_SAMPLES = {"zprime": "signal", "ttbar": "ttbar", "qcd": "qcd"}
_LABELS = {"qcd": "QCD dijets", "ttbar": r"$t\bar{t}$", "signal": r"$Z' \to t\bar{t}$"}
_MASS_ALONE = "mass alone"
#: candidates for "the best network", and the one that is always shown
_ALWAYS = "cnn"


@dataclass(frozen=True)
class Search:
    """What is searched for, and where.

    Attributes:
        luminosity: [1/fb] at 14 TeV.
        efficiency: for top-quark jets of the demo, at which the taggers are cut.
        rate_edges: inner edges of the bins of pT in which jets are tagged [GeV].
        window: which pairs are counted.
        uncertainties: what the simulation does not tell.
    """

    luminosity: float = 100.0
    efficiency: float = 0.5
    rate_edges: tuple[float, ...] = (550.0, 625.0, 725.0)
    window: Window = field(default_factory=Window)
    uncertainties: Uncertainties = field(default_factory=Uncertainties)


@dataclass(frozen=True)
class _Dijets:
    """All jets of one class, in order, and the rows of the two jets of each pair."""

    jets: ak.Array
    rows: np.ndarray
    scores: dict[str, np.ndarray]
    weight: float


def discovery(
    out: Path = Path("runs/discovery"),
    *,
    taggers: Path = Path("runs/demo"),
    jets: int = 12_000,
    search: Search = Search(),  # noqa: B008 (frozen)
    seed: int = 2,
    workers: int = 0,
    overwrite: bool = False,
    quiet: bool = False,
) -> list[Result]:
    """Search for a Z' of 1.3 TeV that decays to top quarks, in dijets of QCD.

    The dijet mass is fitted three times: of all pairs, of pairs whose jets are both tagged by the
    CNN of `fivesigma demo`, and by its best network. Jets that trained the taggers take no part;
    the background behind the tags follows from mistag rates of single jets.

    Examples:
        fivesigma demo discovery
        fivesigma demo discovery --search.luminosity 30 --out runs/early

    Args:
        out: folder for the collisions, the workspaces and the report.
        taggers: folder of `fivesigma demo`; made if it is not there.
        jets: of each process.
        search: what is searched for, and where.
        seed: of all randomness; not that of the taggers' jets.
        workers: processes for the generation; 0: one for each core.
        overwrite: begin anew where other collisions are in the folder.
        quiet: show no progress.

    Returns:
        The sections of the report.

    Raises:
        ValueError: settings that cannot work, or collisions that the taggers were trained on.
    """
    if not (taggers / "results.json").exists():
        demo(taggers, workers=workers, quiet=quiet)
    runs, cuts = _working_points(taggers, search.efficiency)
    generate(
        out / "data", recipe="dijet-resonance", jets=jets, seed=seed, workers=workers,
        overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    data = open_jets(str(out / "data"))
    _refuse_trained_on(open_jets(str(taggers / "data")), data)
    samples = {name: _dijets(data, name, runs, search) for name in _SAMPLES}
    spectra = {
        choice: _processes(samples, choice, cuts.get(choice), search)
        for choice in (_MASS_ALONE, *runs)
    }
    sections = _sections(spectra, search, seed, out)
    write_report(
        out / "report.html",
        "From one sigma to five: a resonance that a tagger finds",
        sections,
        _facts(data, search),
        [f"fivesigma demo --out {taggers}", f"fivesigma demo discovery --out {out}"],
        headline=_headline(sections),
        summary="The same collisions, fitted three times: all pairs of jets, and pairs of two "
        "tagged jets.",
        overwrite=True,
    )
    write_results(out / "results.json", sections, overwrite=True)
    return sections


def _headline(sections: list[Result]) -> dict[str, Number]:
    found = {
        f"expected, {name.removesuffix('/z_expected').replace('_', ' ')}": number
        for name, number in sections[0].numbers.items()
        if name.endswith("/z_expected")
    }
    return found | {"observed in pseudo-data": sections[-1].numbers["z_observed"]}


def _working_points(folder: Path, efficiency: float) -> tuple[dict[str, Run], dict[str, float]]:
    """The CNN and the best other network of a demo, and where each is cut.

    Both follow from validation jets: the demo's test jets judge the taggers, no more.
    """
    dataset = open_jets(str(folder / "data"))
    paths = [path.parent for path in sorted(folder.glob("*/model.yaml"))]
    found = load_runs(paths)
    scored = score_runs(found, dataset, "validation")
    areas = {name: metrics.auc(scored.signal, scored.score(name)).value for name in found}
    if _ALWAYS not in areas or len(areas) < 2:
        message = f"{folder} has the taggers {', '.join(areas)}; need {_ALWAYS} and another one"
        raise ValueError(message)
    best = max(areas, key=lambda name: areas[name] if name != _ALWAYS else 0.0)
    cuts = {
        name: float(np.quantile(scored.score(name)[scored.signal == 1], 1 - efficiency))
        for name in (_ALWAYS, best)
    }
    return {name: found[name] for name in cuts}, cuts


def _refuse_trained_on(trained: Dataset, mine: Dataset) -> None:
    """Raise an error if both datasets come from the same random numbers."""
    one, other = (each.manifest["settings"].get("seed") for each in (trained, mine))
    if one == other:
        message = f"both {trained.path} and {mine.path} have the seed {one}; choose another --seed"
        raise ValueError(message)


def _dijets(data: Dataset, name: str, runs: dict[str, Run], search: Search) -> _Dijets:
    """Jets of one class with their scores; pairs are two of one event."""
    number = data.classes.index(name)
    kept: list[ak.Array] = []
    scores: dict[str, list[np.ndarray]] = {run: [] for run in runs}
    for shard in jets_of(data, "all"):
        jets = shard[ak.to_numpy(shard.label) == number]
        if len(jets):
            kept.append(jets[["pt", "eta", "phi", "mass", "event"]])
            for run, tagger in runs.items():
                scores[run].append(tagger.predict(jets)[:, tagger.classes.index("top")])
    table = ak.concatenate(kept)
    event = ak.to_numpy(table.event)
    first = np.flatnonzero(event[1:] == event[:-1])
    process = data.manifest["processes"][_process_of(data, name)]
    weight = process["cross_section_pb"] * 1000 * search.luminosity / process["n_generated"]
    joined = {run: np.concatenate(parts) for run, parts in scores.items()}
    return _Dijets(momenta(table), np.stack([first, first + 1], 1), joined, weight)


def _process_of(data: Dataset, label: str) -> str:
    samples = data.manifest["settings"]["recipe"]["samples"]
    return next(sample["process"] for sample in samples if sample["label"] == label)


def _processes(
    samples: dict[str, _Dijets], choice: str, cut: float | None, search: Search
) -> dict[str, Process]:
    """The processes of one fit; without a cut nothing is tagged."""
    made = {}
    for name, sample in samples.items():
        jets, rows = sample.jets, sample.rows
        pt = ak.to_numpy(jets.pt).astype(np.float64)
        tagged = np.ones(len(pt), bool) if cut is None else sample.scores[choice] > cut
        pairs = Pairs(
            ak.to_numpy((jets[rows[:, 0]] + jets[rows[:, 1]]).mass).astype(np.float64),
            pt[rows],
            np.abs(np.diff(ak.to_numpy(jets.eta)[rows], axis=1))[:, 0],
            tagged[rows],
            sample.weight,
        )
        rates = None if cut is None else tagging_rates(pt, tagged, np.array(search.rate_edges))
        made[_SAMPLES[name]] = Process(pairs, rates)
    return made


def _sections(
    spectra: dict[str, dict[str, Process]], search: Search, seed: int, out: Path
) -> list[Result]:
    """All fits: the table of significances, the spectra, and the pseudo-data of the best."""
    rng = np.random.default_rng(seed)
    numbers: dict[str, Number] = {}
    figures: dict[str, Any] = {}
    models = {}
    for choice, processes in spectra.items():
        expected = workspace(processes, search.window, search.uncertainties)
        model = statistics.build(expected)
        models[choice] = expected
        found = statistics.significance(model)
        numbers[f"{_key(choice)}/z_expected"] = Number(float(found.expected))
        numbers |= _yields(_key(choice), expected)
        figures[f"Expected dijet mass, {choice}"] = _picture(expected, search, choice)
        write_json(out / "workspaces" / f"{_key(choice)}.json", expected)
    base = numbers[f"{_key(_MASS_ALONE)}/z_expected"].value
    for choice in list(spectra)[1:]:
        gain = numbers[f"{_key(choice)}/z_expected"].value / base
        numbers[f"{_key(choice)}/gain"] = Number(gain, note="over the mass alone")
    best = max(spectra, key=lambda choice: numbers[f"{_key(choice)}/z_expected"].value)
    overview = Result(
        "Expected significance",
        numbers,
        figures,
        {"": _table(numbers, list(spectra))},
        note=f"Of a Z' with the couplings of the Z, {search.luminosity:g}/fb at 14 TeV; all "
        "systematic uncertainties are in the fit.",
    )
    return [overview, _independence(spectra), _unblinded(models[best], best, search, rng, out)]


def _key(choice: str) -> str:
    return choice.replace(" ", "_")


def _yields(key: str, content: dict[str, Any]) -> dict[str, Number]:
    samples = content["channels"][0]["samples"]
    return {
        f"{key}/{each['name']}": Number(float(np.sum(each["data"])), unit="events")
        for each in samples
    }


def _table(numbers: dict[str, Number], choices: list[str]) -> Table:
    columns = ("signal", "ttbar", "qcd")
    cells = [[numbers[f"{_key(c)}/{name}"] for name in (*columns, "z_expected")] for c in choices]
    rows: tuple[tuple[str | Number, ...], ...] = tuple(
        (choice, *cell) for choice, cell in zip(choices, cells, strict=True)
    )
    return Table(("pairs", "signal", "top-quark pairs", "QCD", "expected significance"), rows)


def _picture(
    content: dict[str, Any], search: Search, choice: str, data: np.ndarray | None = None
) -> Any:
    found = {each["name"]: np.array(each["data"]) for each in content["channels"][0]["samples"]}
    return stack(
        search.window.edges,
        {_LABELS[name]: found[name] for name in _LABELS},
        data,
        signal=(_LABELS["signal"],),
        axis="Dijet mass [GeV]",
        region=choice if choice == _MASS_ALONE else f"both jets tagged, {choice}",
        experiment="fivesigma simulation",
        collisions=f"{search.luminosity:g} fb$^{{-1}}$ (14 TeV)",
        log=True,
    )


def _independence(spectra: dict[str, dict[str, Process]]) -> Result:
    """Pairs of signal counted with two tags, against the product of the rates."""
    numbers = {}
    for choice, processes in spectra.items():
        for name, process in processes.items():
            if process.rates is None or name == "qcd":
                continue
            both = int(process.pairs.tagged.all(axis=1).sum())
            product = float(process.rates.weights(process.pairs.pt).sum())
            numbers[f"{_key(choice)}/{name}/counted_over_product"] = Number(
                both / product, float(np.sqrt(max(both, 1))) / product, note=f"{both} pairs"
            )
        rates = processes["qcd"].rates
        if rates is not None:
            numbers |= _mistags(_key(choice), rates)
    return Result(
        "Tags of both jets",
        numbers,
        note="The fits weigh each pair by the rates of its two jets. Counted pairs test that "
        "where there are many; of QCD hardly any has two tags.",
    )


def _mistags(key: str, rates: Rates) -> dict[str, Number]:
    return {
        f"{key}/mistag_rate_{k}": Number(float(value), float(error), note=f"pT bin {k}")
        for k, (value, error) in enumerate(zip(rates.value, rates.error, strict=True))
    }


def _unblinded(
    content: dict[str, Any], choice: str, search: Search, rng: np.random.Generator, out: Path
) -> Result:
    """One set of pseudo-data that holds the signal, fitted."""
    expected = np.array(content["observations"][0]["data"])
    data = rng.poisson(expected).astype(np.float64)
    observed = content | {"observations": [{"name": "dijets", "data": data.tolist()}]}
    write_json(out / "workspaces" / "pseudo-data.json", observed)
    model = statistics.build(observed)
    fit, found = statistics.fit(model), statistics.significance(model)
    return Result(
        f"One set of pseudo-data, {choice}",
        {
            "z_observed": Number(float(found.observed)),
            "z_expected": Number(float(found.expected)),
            "mu": Number(float(fit.mu), float(fit.mu_uncertainty)),
        },
        {"Pseudo-data and expectation": _picture(content, search, choice, data)},
        note="Drawn once, with the signal in it, and looked at after all choices were made.",
    )


def _facts(data: Dataset, search: Search) -> dict[str, str]:
    processes = data.manifest["processes"]
    facts = {
        name: f"{each['cross_section_pb']:.4g} pb, {each['n_generated']} events"
        for name, each in processes.items()
    }
    window = search.window
    facts["Pairs"] = (
        f"two leading jets, pT > {window.pt_min:g} GeV, |eta| < 2, "
        f"|delta eta| < {window.deta_max:g}"
    )
    facts["Uncertainties"] = ", ".join(
        f"{name.replace('_', ' ')} {100 * value:g} %"
        for name, value in asdict(search.uncertainties).items()
    )
    return facts
