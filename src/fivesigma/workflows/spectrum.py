"""`fivesigma spectrum`: resonances in a mass spectrum, and backgrounds from its sidebands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from fivesigma.report import write_report, write_results
from fivesigma.report.figures import write_figures
from fivesigma.results import Result
from fivesigma.storage import write_file
from fivesigma.workflows.cite import cite
from fivesigma.workflows.spectra.options import Overview, Peak, Spectrum, SpectrumFit
from fivesigma.workflows.spectra.reading import read_quantity
from fivesigma.workflows.spectra.sections import measure, open_values

__all__ = ["spectrum"]


def spectrum(
    source: str,
    *,
    out: Path = Path("runs/spectrum"),
    quantity: str = "",
    where: str = "",
    range: Sequence[float] = (),
    peaks: Mapping[str, str] = {},  # noqa: B006 (never changed)
    background: str = "exponential",
    bins: int = 60,
    unbinned: bool = False,
    label: str = "Mass",
    unit: str = "GeV",
    unblind: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
) -> Result:
    """Fit the resonances of a mass spectrum.

    Writes `results.json`, `report.html`, `figures/*.svg` and the complete `config.yaml`.

    Examples:
        fivesigma spectrum configs/cms-dimuon.yaml
        fivesigma spectrum nano.root --quantity '(muons[0] + muons[1]).mass' --range 2.8,3.4
            --peaks.jpsi crystal-ball --background chebyshev2

    Args:
        source: a YAML file that describes the spectrum, or a file of events; then the options
            below describe it.
        out: folder for what is written.
        quantity: expression, one number an event.
        where: cut on events.
        range: lower and upper end of the fit.
        peaks: name -> shape; names like jpsi, upsilon1s, z bring their PDG values.
        background: shape of the background.
        bins: number of bins.
        unbinned: fit event by event.
        label: of the quantity on figures.
        unit: of the quantity.
        unblind: show what the windows of `sidebands` hold.
        overwrite: replace what an earlier call wrote.
        quiet: show no progress.

    Returns:
        All numbers and figures; masses as `jpsi/mass`, yields as `jpsi/yield`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a description or data that no fit can be made of, or results that exist.
    """
    if (out / "results.json").exists() and not overwrite:
        message = f"{out}/results.json exists; choose another --out or give --overwrite"
        raise ValueError(message)
    yaml_given = Path(source).suffix in (".yaml", ".yml")
    if yaml_given:
        _refuse_both(quantity, where, range, peaks)
        described = Spectrum.read(source)
    else:
        _require(quantity, range)
        fit = SpectrumFit(
            range=tuple(range),
            peaks={name: Peak(shape=shape) for name, shape in peaks.items()},
            background=background,
            bins=bins,
            unbinned=unbinned,
        )
        described = Spectrum(files=(source,), quantity=quantity, where=where, label=label,
                             unit=unit, overview=Overview(), fits={"fit": fit})  # fmt: skip
    values, read = read_quantity(described, quiet=quiet)
    sections = measure(described, values, unblind=unblind)
    # with those beside the windows, the number of all events would tell what these hold
    shown = len(open_values(described, values, unblind=unblind))
    counted = f"{shown} of {read}"
    if described.sidebands and not unblind:
        counted = f"{shown} in no closed window"
    # options are in the configuration that is written
    repeats = source if yaml_given else f"{out}/config.yaml"
    command = ["fivesigma", "spectrum", repeats, *(["--unblind"] if unblind else [])]
    _write(described, sections, out, _facts(described, counted), shlex.join(command))
    return Result(
        f"{described.title}: {shown} events",
        {name: number for each in sections for name, number in each.numbers.items()},
        {name: figure for each in sections for name, figure in each.figures.items()},
        {name: table for each in sections for name, table in each.tables.items()},
        " ".join(dict.fromkeys(each.note for each in sections if each.note)),
    )


def _refuse_both(*options: Any) -> None:
    if any(options):
        message = (
            "a YAML file describes all; quantity, where, range and peaks are for files of events"
        )
        raise ValueError(message)


def _require(quantity: str, range: Sequence[float]) -> None:
    if not quantity or not range:
        message = (
            "a file of events needs --quantity and --range, e.g. --quantity "
            "'(muons[0] + muons[1]).mass' --range 2.8,3.4; or give a YAML file"
        )
        raise ValueError(message)


def _facts(described: Spectrum, counted: str) -> dict[str, str]:
    return {
        "Files": ", ".join(Path(path).name for path in described.files),
        "Selection": described.where or "none",
        "Quantity": described.quantity,
        "Events": counted,
    }


def _write(
    described: Spectrum,
    sections: Sequence[Result],
    out: Path,
    facts: Mapping[str, str],
    command: str,
) -> None:
    masses = {
        f"{name.removesuffix('/mass')}: mass": number
        for each in sections
        for name, number in each.numbers.items()
        if name.endswith("/mass") and f"{name}_deviation" in each.numbers
    }
    write_file(out / "config.yaml", _as_yaml(described).encode())
    write_report(
        out / "report.html",
        described.title,
        sections,
        facts,
        [command],
        headline=masses,
        references=cite([out / "config.yaml"]),
        overwrite=True,
    )
    write_figures(out / "figures", {k: f for each in sections for k, f in each.figures.items()})
    write_results(out / "results.json", sections, overwrite=True)


def _as_yaml(described: Spectrum) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(each) for key, each in value.items()}
        return [plain(each) for each in value] if isinstance(value, tuple | list) else value

    text: str = yaml.safe_dump(plain(asdict(described)), sort_keys=False, allow_unicode=True)
    return text
