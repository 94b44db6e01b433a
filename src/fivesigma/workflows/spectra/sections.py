"""Sections of a report on a mass spectrum: overview, fits, predicted windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fivesigma.plots.spectra import mass_spectrum, sideband_fit, spectrum_fit
from fivesigma.report import format_number
from fivesigma.results import Number, Result, Table
from fivesigma.statistics.spectra import YIELD, Fit, fit_events, fit_histogram, fit_sidebands
from fivesigma.units import mass, width
from fivesigma.workflows.spectra.options import Overview, Sidebands, Spectrum, SpectrumFit

__all__ = ["measure", "open_values"]

Array = NDArray[np.float64]
#: a deviation from the PDG mass beyond so many statistical errors has another cause
_SIGNIFICANT = 3.0
#: a fit worse than this is pointed out
_BAD_FIT = 0.01
#: PDG numbers of those whose mass is defined with a width that grows with s, the Z and the W
_RUNNING_WIDTH = (23, 24)


def measure(described: Spectrum, values: Array, *, unblind: bool = False) -> list[Result]:
    """All fits and predictions of a spectrum.

    Args:
        described: what is measured.
        values: (N,) the quantity.
        unblind: show what the windows hold; otherwise no fit whose range has one is made, and no
            prediction whose sidebands have one.

    Returns:
        One section for the overview, each fit and each window.

    Raises:
        ValueError: a range without enough events; says which fit.
    """
    sections = []
    closed = {} if unblind else {name: each.window for name, each in described.sidebands.items()}
    if described.overview is not None:
        shown = open_values(described, values, unblind=unblind)
        sections.append(_overview(described, described.overview, shown, bool(closed)))
    for name, fit in described.fits.items():
        if told := _closed_in(fit.range, closed):
            sections.append(Result(f"Fit {name}", note=told))
            continue
        try:
            sections.append(_fitted(described, name, fit, values))
        except ValueError as error:
            message = f"fits.{name}: {error}"
            raise ValueError(message) from None
    for name, window in described.sidebands.items():
        others = {other: each for other, each in closed.items() if other != name}
        if told := _closed_in(window.range, others):
            sections.append(Result(f"Window {name}", note=told))
            continue
        try:
            sections.append(_predicted(described, name, window, values, unblind))
        except ValueError as error:
            message = f"sidebands.{name}: {error}"
            raise ValueError(message) from None
    return sections


def open_values(described: Spectrum, values: Array, *, unblind: bool) -> Array:
    """(M,) those of the values (N,) in no closed window: what may be shown and counted."""
    windows = () if unblind else described.sidebands.values()
    inside = [(values >= each.window[0]) & (values < each.window[1]) for each in windows]
    return values[~np.any(inside, axis=0)] if inside else values


def _closed_in(limits: tuple[float, ...], closed: Mapping[str, tuple[float, ...]]) -> str:
    """That a range has a closed window in it; "" if it has none."""
    low, high = limits
    over = [name for name, (begin, end) in closed.items() if begin < high and end > low]
    if not over:
        return ""
    return f"Closed until --unblind: the window of sidebands.{over[0]} is in its range."


def _overview(described: Spectrum, overview: Overview, values: Array, closed: bool) -> Result:
    limits = (overview.range[0], overview.range[1]) if overview.range else None
    figure = mass_spectrum(
        values, overview.marks() if described.unit == "GeV" else {}, described.label,
        described.unit, limits, overview.bins, described.experiment, described.collisions
    )  # fmt: skip
    return Result(
        "The spectrum",
        {"events": Number(len(values))},
        {"Spectrum": figure},
        note=f"{len(values)} events pass the selection{' and are in no closed window' * closed}.",
    )


def _fitted(described: Spectrum, name: str, options: SpectrumFit, values: Array) -> Result:
    model = options.model()
    minos = [full for full in model.names if full.rpartition("/")[2] in ("mass", YIELD)]
    if options.unbinned:
        fit = fit_events(model, values, bins=options.bins, minos=minos)
    else:
        inside = _in_range(values, model.limits)
        counts, edges = np.histogram(inside, options.bins, model.limits)
        fit = fit_histogram(model, counts, edges, minos=minos)
    found = fit.numbers(described.unit)
    numbers = {
        key if not key.startswith("background/") else f"{name}/{key}": number
        for key, number in found.items()
    } | {
        f"{name}/chi2": Number(fit.chi2),
        f"{name}/ndf": Number(fit.ndf),
        f"{name}/p_value": Number(fit.p_value),
    }
    shifts = _deviations(described, options, found)
    numbers |= {f"{peak}/mass_deviation": shift for peak, shift in shifts.items()}
    figure = spectrum_fit(
        fit,
        options.label or described.label,
        described.unit,
        options.labels(),
        _lines(fit, options, found, described.unit),
        described.experiment,
        described.collisions,
    )
    return Result(
        f"Fit {name}",
        numbers,
        {f"Fit {name}": figure},
        {f"Peaks of {name}": _peak_table(options, found, shifts)},
        _note(name, fit, options, shifts),
    )


def _in_range(values: Array, limits: tuple[float, float]) -> Array:
    inside = values[(values >= limits[0]) & (values <= limits[1])]
    if not len(inside):
        where = f"they lie in {values.min():g} to {values.max():g}" if len(values) else "none"
        message = (
            f"no events in the range {limits[0]:g} to {limits[1]:g}: of {len(values)} events "
            f"{where}; choose another range, or check unit and selection"
        )
        raise ValueError(message)
    return inside


def _deviations(
    described: Spectrum, options: SpectrumFit, found: Mapping[str, Number]
) -> dict[str, Number]:
    """Relative deviation of the masses that were fitted from the PDG values [%]."""
    shifts = {}
    for name, peak in options.peaks.items():
        number, measured = options.pdg(name), found[f"{name}/mass"]
        if number is None or described.unit != "GeV" or measured.uncertainty == 0 or peak.like:
            continue
        value, own = mass(number), _definition(number)
        shifts[name] = Number(
            100 * (measured.value / value - 1),
            100 * measured.uncertainty / value,
            "%",
            f"against {value:.5g} GeV of the PDG" + (f", of which {own}" if own else ""),
        )
    return shifts


def _definition(number: int | None) -> str:
    """What the definition of the PDG's mass makes of its deviation from the maximum of a line.

    A width that grows with s puts the maximum, where a line of fixed width has its mass, at
    m / sqrt(1 + (gamma / m)^2) (D. Bardin et al., Phys. Lett. B206 (1988) 539; PDG, Z boson).
    """
    if number not in _RUNNING_WIDTH:
        return ""
    share = 1 / np.sqrt(1 + (width(number) / mass(number)) ** 2) - 1
    return (
        f"{100 * share:.3f} % ({1000 * share * mass(number):.0f} MeV) are the definition: the "
        "PDG's mass belongs to a width that grows with s"
    )


def _lines(fit: Fit, options: SpectrumFit, found: Mapping[str, Number], unit: str) -> list[str]:
    """What stands in the figure: masses and widths of the peaks that have their own."""
    lines = []
    labels = options.labels()
    for name, peak in options.peaks.items():
        if peak.like:
            continue
        for key, symbol in (("mass", "m"), ("sigma", r"\sigma")):
            if f"{name}/{key}" in found:
                shown = _shown(found[f"{name}/{key}"], unit)
                lines.append(f"{labels[name]}: ${symbol}$ = {shown}")
    return [*lines, rf"$\chi^2$/ndf = {fit.chi2:.1f}/{fit.ndf}, $p$ = {fit.p_value:.2g}"]


def _shown(number: Number, unit: str) -> str:
    if unit == "GeV" and number.value < 1:
        number = replace(
            number, value=1000 * number.value, uncertainty=1000 * number.uncertainty, unit="MeV"
        )
    return format_number(number)


def _peak_table(
    options: SpectrumFit, found: Mapping[str, Number], shifts: Mapping[str, Number]
) -> Table:
    rows: list[tuple[str | Number, ...]] = []
    for name, peak in options.peaks.items():
        number = options.pdg(name)
        wide = found.get(f"{name}/sigma") or found.get(f"{name}/gamma")
        rows.append(
            (
                name,
                found[f"{name}/mass"],
                Number(mass(number), unit="GeV") if number else "–",
                shifts.get(name, "–"),
                wide or "–",
                found[f"{name}/{YIELD}"],
                peak.shape,
            )
        )
    return Table(("Peak", "Mass", "PDG", "Deviation", "Width", "Events", "Shape"), tuple(rows))


def _note(name: str, fit: Fit, options: SpectrumFit, shifts: Mapping[str, Number]) -> str:
    """Problems, and where deviations from the PDG masses come from."""
    told = [f"{name}: {problem}." for problem in fit.problems]
    if fit.p_value < _BAD_FIT:
        told.append(
            f"{name}: the fit is bad (p = {fit.p_value:.2g}); choose another shape or background."
        )
    for peak, shift in shifts.items():
        ratio, own = shift.value / shift.uncertainty, _definition(options.pdg(peak))
        cause = (
            "more than statistics give: the momentum scale, or radiation that the shape leaves "
            "out, may move it"
            if abs(ratio) > _SIGNIFICANT
            else "which statistics may give"
        )
        told.append(
            f"{peak}: mass {format_number(shift)} from the PDG value, {abs(ratio):.1f} "
            f"statistical errors, {cause}." + (f" Of it {own}." if own else "")
        )
    return " ".join(told)


def _predicted(
    described: Spectrum, name: str, options: Sidebands, values: Array, unblind: bool
) -> Result:
    limits = (options.range[0], options.range[1])
    window = (options.window[0], options.window[1])
    counts, edges = np.histogram(_in_range(values, limits), options.bins, limits)
    found = fit_sidebands(counts, edges, window, options.families, options.threshold)
    numbers = {
        f"{name}/predicted": Number(found.prediction, found.uncertainty, "events", found.note),
        f"{name}/predicted_statistical": Number(found.best.statistical, unit="events"),
    }
    if np.isfinite(found.choice):
        numbers[f"{name}/predicted_choice"] = Number(found.choice, unit="events")
    if unblind:
        observed = float(counts[~found.visible].sum())
        numbers[f"{name}/observed"] = Number(observed, unit="events")
        numbers[f"{name}/excess"] = Number(
            observed - found.prediction,
            float(np.hypot(np.sqrt(observed), found.uncertainty)),
            "events",
        )
    figure = sideband_fit(
        found, options.label or described.label, described.unit, counts if unblind else None,
        described.experiment, described.collisions
    )  # fmt: skip
    rows = tuple(
        (
            trial.shape,
            Number(trial.parameters),
            f"{trial.deviance:.1f}/{trial.ndf}",
            f"{trial.f_probability:.3f}",
            Number(trial.prediction, trial.statistical) if trial.converged else "no minimum",
            "predicts" if trial.shape == found.best.shape else "yes" if trial.chosen else "no",
        )
        for trial in found.trials
    )
    columns = ("Function", "Parameters", "Deviance/ndf", "F-test", "In the window", "Chosen")
    note = f"{name}: {found.note}." if found.note else ""
    tables = {"": Table(columns, rows)}
    return Result(f"Window {name}", numbers, {f"Window {name}": figure}, tables, note)
