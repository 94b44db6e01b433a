"""`fivesigma validate detector`: the validation book of a detector preset."""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fivesigma.geometry import detector as detector_named
from fivesigma.progress import Progress
from fivesigma.report import write_report, write_results
from fivesigma.report.figures import write_figures
from fivesigma.results import Number, Result
from fivesigma.workflows.validate import (
    calorimeters,
    energy,
    muons,
    objects,
    peaks,
    pictures,
    tracker,
    wsi,
)
from fivesigma.workflows.validate.setting import Setting

__all__ = ["SECTIONS", "detector"]

#: name for `--only` -> the functions that make its sections
SECTIONS: dict[str, tuple[Callable[[Setting], Result], ...]] = {
    "tracker": (tracker.resolutions, tracker.material, tracker.trackml),
    "calorimeters": (calorimeters.calorimeters, calorimeters.non_compensation),
    "wsi": (wsi.wsi,),
    "muons": (muons.muon_resolutions,),
    "energy": (energy.energy_balance,),
    "peaks": (peaks.peaks,),
    "objects": (objects.objects,),
    "pictures": (pictures.pictures,),
}


def detector(
    out: Path = Path("runs/validation"),
    *,
    detector: str = "atlas",
    scale: float = 1.0,
    only: Sequence[str] = (),
    data: Path | None = None,
    seed: int = 1,
    overwrite: bool = False,
    quiet: bool = False,
) -> list[Result]:
    """Write the validation book: each figure of a detector beside its reference.

    Examples:
        fivesigma validate detector runs/validation
        fivesigma validate detector runs/quick --scale 0.2 --only tracker,muons

    Args:
        out: folder of report.html, results.json and the figures.
        detector: preset with tracker, calorimeters and muon system: atlas or cms.
        scale: factor on the numbers of particles.
        only: sections to make: tracker, calorimeters, wsi, muons, energy, peaks, objects,
            pictures; default: all.
        data: folder of reference data (`geant4_showers`, `cms_z`); default:
            $FIVESIGMA_REAL_DATA, or ../shared/data.
        seed: of all randomness.
        overwrite: replace a book that is there.
        quiet: show no progress.

    Returns:
        The sections.

    Raises:
        ValueError: no such detector or section, or a book that is there.
    """
    chosen = _chosen(only)
    if not 0 < scale < 1e6:
        message = f"scale must be a number above 0, got {scale:g}"
        raise ValueError(message)
    if (out / "results.json").exists() and not overwrite:
        message = f"{out}/results.json exists; choose another folder or give --overwrite"
        raise ValueError(message)
    preset = detector_named(detector)
    if preset.layers is None or preset.cells is None or preset.stations is None:
        message = f"the detector {detector!r} has no signals; choose atlas or cms"
        raise ValueError(message)
    folder = data or Path(os.environ.get("FIVESIGMA_REAL_DATA", "../shared/data"))
    setting = Setting(preset, scale, seed, folder)
    functions = [function for name in chosen for function in SECTIONS[name]]
    begin, sections = time.perf_counter(), []
    with Progress(f"validating {detector}", len(functions), "sections", quiet=quiet) as progress:
        for done, function in enumerate(functions, 1):
            sections.append(function(setting))
            progress(done)
    _write(out, setting, chosen, sections, time.perf_counter() - begin)
    return sections


def _chosen(only: Sequence[str]) -> list[str]:
    for name in only:
        if name not in SECTIONS:
            close = difflib.get_close_matches(name, SECTIONS, 1)
            hint = f"did you mean {close[0]}? " if close else ""
            message = f"no section {name!r}; {hint}there are {', '.join(SECTIONS)}"
            raise ValueError(message)
    return [name for name in SECTIONS if name in only or not only]


def _write(
    out: Path, setting: Setting, chosen: Sequence[str], sections: list[Result], seconds: float
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    name, every = setting.detector.name, list(chosen) == list(SECTIONS)
    command = f"fivesigma validate detector {out} --detector {name} --scale {setting.scale:g}"
    command += f" --seed {setting.seed}" + ("" if every else f" --only {','.join(chosen)}")
    write_report(
        out / "report.html",
        f"Validation of the detector {name}",
        sections,
        {"Detector": name, "Scale": f"{setting.scale:g}", "Time": f"{seconds / 60:.1f} minutes"},
        [command],
        headline=_headline(sections),
        summary="Each figure beside its reference. Met: within its bar. Open: beyond it by less "
        "than two standard errors of the measurement. Missed: by more.",
        overwrite=True,
    )
    write_results(out / "results.json", sections, overwrite=True)
    write_figures(out / "figures", {k: f for each in sections for k, f in each.figures.items()})


def _headline(sections: Sequence[Result]) -> Mapping[str, Number]:
    """How many figures are met, open and missed, over all sections."""
    counts = {"met": 0.0, "open": 0.0, "missed": 0.0}
    for each in sections:
        for name, number in each.numbers.items():
            if name.rpartition("/")[2] in counts:
                counts[name.rpartition("/")[2]] += number.value
    return {f"figures {verdict}": Number(count) for verdict, count in counts.items()}
