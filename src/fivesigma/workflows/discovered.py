"""What a report says of a search in dijets: significances, tests of the method, pseudo-data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fivesigma import statistics
from fivesigma.plots import stack
from fivesigma.results import Number, Result, Table
from fivesigma.search.doubletag import Process, Rates, smoothing_chi2
from fivesigma.search.resonance import OTHER, expected, workspace
from fivesigma.storage import write_json
from fivesigma.workflows.dijets import Dijets, Search, processes_of

__all__ = ["sections"]

_LABELS = {"qcd": "QCD dijets", "ttbar": r"$t\bar{t}$", "signal": r"$Z' \to t\bar{t}$"}
_MASS_ALONE = "mass alone"
#: bootstrap replicas of the simulated events
_REPLICAS = 20
#: share of QCD jets that a loosened tag lets through, to test that tags are independent
_LOOSE = 0.1


def sections(
    samples: dict[str, Dijets],
    cuts: Mapping[str, float],
    search: Search,
    seed: int,
    out: Path,
    marks: Mapping[str, str] | None = None,
) -> list[Result]:
    """All fits: the table of significances, tests of the method, the pseudo-data of the best.

    Args:
        samples: class -> its jets, scored by all taggers.
        cuts: tagger -> where its score is cut.
        search: what is searched for, and where.
        seed: of the replicas and the pseudo-data.
        out: folder that `workspaces` are written into.
        marks: tagger -> what is said beside its name in the table.

    Raises:
        ValueError: a process has no pairs in some bin.
        RuntimeError: a fit failed.
    """
    rng = np.random.default_rng(seed)
    spectra = {c: processes_of(samples, c, cuts.get(c), search) for c in (_MASS_ALONE, *cuts)}
    z = {choice: _significance(processes, search) for choice, processes in spectra.items()}
    replicas = np.array(
        [
            [_significance(processes_of(samples, c, cuts.get(c), search, rng), search)
             for c in spectra]
            for _ in range(_REPLICAS)
        ]
    )  # fmt: skip
    overview = _overview(spectra, z, replicas, search, marks or {})
    for choice, processes in spectra.items():
        write_json(out / "workspaces" / f"{_key(choice)}.json", _workspace(processes, search))
    best = max(z, key=lambda choice: z[choice])
    return [
        overview,
        _tests(samples, spectra, search),
        _unblinded(spectra[best], best, search, rng, out),
    ]


def _workspace(
    processes: dict[str, Process], search: Search, data: np.ndarray | None = None
) -> dict[str, Any]:
    return workspace(processes, search.window, search.uncertainties, data)


def _significance(processes: dict[str, Process], search: Search) -> float:
    """The expected significance of a fit.

    Raises:
        RuntimeError: the fit failed.
    """
    found = statistics.significance(statistics.build(_workspace(processes, search)))
    if not np.isfinite(found.expected):
        message = f"the fit of the expected spectrum failed: {found.note}"
        raise RuntimeError(message)
    return float(found.expected)


def _overview(
    spectra: dict[str, dict[str, Process]],
    z: dict[str, float],
    replicas: np.ndarray,
    search: Search,
    marks: Mapping[str, str],
) -> Result:
    """The table of significances, with errors from replicas (R, choices), and the spectra."""
    numbers: dict[str, Number] = {}
    figures: dict[str, Any] = {}
    for i, (choice, processes) in enumerate(spectra.items()):
        key, content = _key(choice), _workspace(processes, search)
        numbers[f"{key}/z_expected"] = Number(z[choice], float(replicas[:, i].std()))
        if i:
            gains = replicas[:, i] / replicas[:, 0]
            gain = z[choice] / z[_MASS_ALONE]
            numbers[f"{key}/gain"] = Number(gain, float(gains.std()), note="over the mass alone")
        numbers |= _yields(key, content)
        figures[f"Expected dijet mass, {choice}"] = _picture(content, search, choice)
    return Result(
        "Expected significance",
        numbers,
        figures,
        {"": _table(numbers, list(spectra), marks)},
        note=f"Of a Z' with the couplings of the Z, {search.luminosity:g}/fb at 14 TeV; all "
        "systematic uncertainties are in the fit. Errors are those of the simulated events, from "
        f"{_REPLICAS} bootstrap replicas.",
    )


def _key(choice: str) -> str:
    return choice.replace(" ", "_")


def _yields(key: str, content: dict[str, Any]) -> dict[str, Number]:
    samples = content["channels"][0]["samples"]
    return {
        f"{key}/{each['name']}": Number(float(np.sum(each["data"])), unit="events")
        for each in samples
    }


def _table(numbers: dict[str, Number], choices: list[str], marks: Mapping[str, str]) -> Table:
    columns = ("signal", "ttbar", "qcd", "z_expected")
    rows = []
    for choice in choices:
        key = _key(choice)
        name = choice + (f" ({marks[choice]})" if choice in marks else "")
        cells = [numbers[f"{key}/{column}"] for column in columns]
        rows.append((name, *cells, numbers.get(f"{key}/gain", "–")))
    titles = ("pairs", "signal", "top-quark pairs", "QCD", "expected significance", "gain")
    return Table(titles, tuple(rows))


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
        points="Pseudo-data",
        log=True,
    )


def _tests(
    samples: dict[str, Dijets], spectra: dict[str, dict[str, Process]], search: Search
) -> Result:
    """Pairs with two tags against the product of the rates; smooth spectra; another function."""
    numbers = {}
    for choice, processes in spectra.items():
        key = _key(choice)
        for name in ("qcd", "ttbar"):
            chi2, freedom = smoothing_chi2(name, processes[name], search.window)
            numbers[f"{key}/{name}/smoothing_chi2"] = Number(chi2, note=f"{freedom} bins free")
        numbers[f"{key}/mu_of_other_function"] = _other_function(processes, search)
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
        "Tests of the method",
        numbers,
        note="The fits weigh each pair by the rates of its two jets. Counted pairs test that "
        f"where there are some: of QCD with a tag that {100 * _LOOSE:g} % of its jets pass. A "
        "common factor on QCD does no harm: its normalisation is fitted. mu_of_other_function is "
        "the signal strength, 1 in truth, that a fit finds where backgrounds follow the dijet "
        "function: how well the nuisance parameter for the choice of the function does its work.",
    )


def _other_function(processes: dict[str, Process], search: Search) -> Number:
    """The signal strength, 1 in truth, where backgrounds follow another smooth function."""
    data = expected(processes, search.window, OTHER)
    fit = statistics.fit(statistics.build(_workspace(processes, search, data)))
    return Number(float(fit.mu), float(fit.mu_uncertainty))


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
    processes: dict[str, Process],
    choice: str,
    search: Search,
    rng: np.random.Generator,
    out: Path,
) -> Result:
    """One set of pseudo-data that holds the signal, fitted."""
    data = rng.poisson(expected(processes, search.window, OTHER)).astype(np.float64)
    observed = _workspace(processes, search, data)
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
        {"Pseudo-data and expectation": _picture(observed, search, choice, data)},
        note="Drawn once, with the signal in it, and looked at after all choices were made. Its "
        "backgrounds follow the dijet function, not the polynomial of the fit. Both are smooth "
        "and describe the simulation: what no smooth function has, such as the edge of a "
        "trigger, is not in these data.",
    )
