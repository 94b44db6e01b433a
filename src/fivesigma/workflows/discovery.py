"""`fivesigma demo discovery`: a resonance in dijets, found with a tagger and lost without."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fivesigma import metrics, statistics
from fivesigma.datasets import Dataset
from fivesigma.plots import stack
from fivesigma.report import write_report, write_results
from fivesigma.results import Number, Result, Table
from fivesigma.runs import Run
from fivesigma.search.doubletag import Process, Rates, smoothing_chi2, workspace
from fivesigma.storage import write_json
from fivesigma.workflows.caches import open_jets
from fivesigma.workflows.demo import demo
from fivesigma.workflows.dijets import Dijets, Search, processes_of, read_dijets
from fivesigma.workflows.generate import generate
from fivesigma.workflows.scoring import load_runs, score_runs

__all__ = ["Search", "discovery"]

_LABELS = {"qcd": "QCD dijets", "ttbar": r"$t\bar{t}$", "signal": r"$Z' \to t\bar{t}$"}
_MASS_ALONE = "mass alone"
#: the tagger that is shown beside the best one
_ALWAYS = "cnn"
#: bootstrap replicas of the simulated events
_REPLICAS = 20
#: share of QCD jets that a loosened tag lets through, to test that tags are independent
_LOOSE = 0.1


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
    CNN of `fivesigma demo`, and by its best other tagger. Jets that trained the taggers take no
    part; the background behind the tags follows from mistag rates of single jets.

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
    samples = read_dijets(data, runs, search)
    sections = _sections(samples, cuts, search, seed, out)
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
    """The CNN and the best other tagger of a demo, and where each is cut.

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
    if one is not None and one == other:
        message = f"both {trained.path} and {mine.path} have the seed {one}; choose another --seed"
        raise ValueError(message)


def _expected(processes: dict[str, Process], search: Search) -> tuple[dict[str, Any], float]:
    """The workspace of a fit, and its expected significance.

    Raises:
        RuntimeError: the fit failed.
    """
    content = workspace(processes, search.window, search.uncertainties)
    found = statistics.significance(statistics.build(content))
    if not np.isfinite(found.expected):
        message = f"the fit of the expected spectrum failed: {found.note}"
        raise RuntimeError(message)
    return content, float(found.expected)


def _sections(
    samples: dict[str, Dijets], cuts: dict[str, float], search: Search, seed: int, out: Path
) -> list[Result]:
    """All fits: the table of significances, the spectra, and the pseudo-data of the best."""
    rng = np.random.default_rng(seed)
    choices = [_MASS_ALONE, *cuts]
    spectra = {c: processes_of(samples, c, cuts.get(c), search) for c in choices}
    fits = {choice: _expected(processes, search) for choice, processes in spectra.items()}
    replicas = np.array(
        [
            [_expected(processes_of(samples, c, cuts.get(c), search, rng), search)[1]
             for c in choices]
            for _ in range(_REPLICAS)
        ]
    )  # fmt: skip
    numbers: dict[str, Number] = {}
    figures: dict[str, Any] = {}
    for i, (choice, (content, z)) in enumerate(fits.items()):
        key = _key(choice)
        numbers[f"{key}/z_expected"] = Number(z, float(replicas[:, i].std()))
        if i:
            gains = replicas[:, i] / replicas[:, 0]
            gain = z / fits[_MASS_ALONE][1]
            numbers[f"{key}/gain"] = Number(gain, float(gains.std()), note="over the mass alone")
        numbers |= _yields(key, content)
        figures[f"Expected dijet mass, {choice}"] = _picture(content, search, choice)
        write_json(out / "workspaces" / f"{key}.json", content)
    best = max(fits, key=lambda choice: fits[choice][1])
    overview = Result(
        "Expected significance",
        numbers,
        figures,
        {"": _table(numbers, choices)},
        note=f"Of a Z' with the couplings of the Z, {search.luminosity:g}/fb at 14 TeV; all "
        "systematic uncertainties are in the fit. Errors are those of the simulated events, from "
        f"{_REPLICAS} bootstrap replicas.",
    )
    return [
        overview,
        _independence(samples, spectra, search),
        _unblinded(fits[best][0], best, search, rng, out),
    ]


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


def _independence(
    samples: dict[str, Dijets], spectra: dict[str, dict[str, Process]], search: Search
) -> Result:
    """Pairs counted with two tags, against the product of the rates; and the smooth spectra."""
    numbers = {}
    for choice, processes in spectra.items():
        key = _key(choice)
        for name in ("qcd", "ttbar"):
            chi2, freedom = smoothing_chi2(name, processes[name], search.window)
            numbers[f"{key}/{name}/smoothing_chi2"] = Number(chi2, note=f"{freedom} bins free")
        rates = processes["qcd"].rates
        if rates is None:
            continue
        loose = float(np.quantile(samples["qcd"].scores[choice], 1 - _LOOSE))
        loosened = processes_of(samples, choice, loose, search)["qcd"]
        for name, process in (*processes.items(), ("qcd, loose tag", loosened)):
            if name != "qcd":
                numbers[f"{key}/{name}/counted_over_product"] = _ratio(process)
        numbers |= _mistags(key, rates)
    return Result(
        "Tags of both jets",
        numbers,
        note="The fits weigh each pair by the rates of its two jets. Counted pairs test that "
        f"where there are some: of QCD with a tag that {100 * _LOOSE:g} % of its jets pass. A "
        "common factor on QCD does no harm: its normalisation is fitted.",
    )


def _ratio(process: Process) -> Number:
    """Pairs with two tags over those that the rates expect."""
    both = int(process.pairs.tagged.all(axis=1).sum())
    expected = 0.0 if process.rates is None else process.rates.weights(process.pairs.pt).sum()
    return Number(both / expected, float(np.sqrt(max(both, 1)) / expected), note=f"{both} pairs")


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
