"""Notebooks run from top to bottom, and stand in the repository as a reader should see them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from fivesigma.units import mass

ROOT = Path(__file__).parents[1]
TIER_0 = ROOT / "notebooks" / "tier-0" / "particle-classification.ipynb"
DIMUON = ROOT / "notebooks" / "dimuon.ipynb"
ON_REAL_DATA = ("dimuon", "higgs-4l", "z-bosons", "agc-ttbar", "uci-higgs", "susy-2018-31")
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
LARGEST = 1.5e6  # bytes
#: texts that only one machine knows, or one run
PRIVATE = re.compile(
    r"/(home|root|work|tmp|usr|opt|Users|content)/|[A-Z]:\\Users|site-packages|ipykernel_\d|0x[0-9a-f]{9}"
)


def cells(path: Path, kind: str = "code") -> list[Any]:
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == kind]


def texts(cell: Any) -> str:
    """Source and outputs of a cell, without pictures."""
    outputs = [output.get("text", "") for output in cell.get("outputs", [])]
    for output in cell.get("outputs", []):
        outputs += [v for k, v in output.get("data", {}).items() if k.startswith("text/")]
    return "\n".join([cell.source, *outputs])


def printed(path: Path, cell_id: str) -> str:
    (cell,) = (cell for cell in cells(path) if cell.id == cell_id)
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param


def run(notebook: Path, folder: Path, **environment: str) -> None:
    """In a folder of its own, so that nothing is written next to the notebook."""
    shutil.copy(notebook, folder)
    command = [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout=600", notebook.name]
    done = subprocess.run(
        [*command, "--rootdir=.", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_tier_0_runs(tmp_path):
    run(TIER_0, tmp_path, FIVESIGMA_NOTEBOOK_JETS="300", FIVESIGMA_NOTEBOOK_EPOCHS="2")
    assert (tmp_path / "runs" / "tier-0" / "300-jets" / "jets" / "manifest.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_REAL_DATA)
def test_those_on_real_data_run(name, tmp_path, real_data):
    chosen = {"FIVESIGMA_REAL_DATA": str(real_data), "FIVESIGMA_NOTEBOOK_EPOCHS": "2"}
    run(ROOT / "notebooks" / f"{name}.ipynb", tmp_path, **chosen)


def test_is_committed_as_it_ran(notebook):
    """Every cell once, in order, without errors and warnings."""
    code = cells(notebook)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = {output.output_type for cell in code for output in cell.outputs}
    assert kinds <= {"stream", "display_data", "execute_result"}
    assert {o.name for cell in code for o in cell.outputs if o.output_type == "stream"} <= {
        "stdout"
    }
    assert sum("image/png" in o.get("data", {}) for cell in code for o in cell.outputs) >= 5
    assert notebook.stat().st_size < LARGEST


def test_knows_no_machine(notebook):
    whole = nbformat.read(notebook, 4)
    assert set(whole.metadata) == {"kernelspec", "language_info"}
    assert whole.metadata.kernelspec.name == "python3"
    assert set(whole.metadata.language_info) == {"name"}
    for cell in whole.cells:
        assert set(cell.metadata) <= {"tags"}
        assert not PRIVATE.search(texts(cell)), cell.id


def test_opens_in_colab_and_installs_itself(notebook):
    first = cells(notebook, "markdown")[0].source
    page = f"fivesigma/fivesigma/blob/main/{notebook.relative_to(ROOT).as_posix()}"
    assert f"(https://colab.research.google.com/github/{page})" in first
    assert (
        "%pip install -q git+https://github.com/fivesigma/fivesigma" in cells(notebook)[0].source
    )


def test_tier_0_says_what_its_outputs_show():
    """Neither pT nor eta tells the classes apart, mass does; its images are the package's."""
    areas = re.findall(r"^(\S+) +AUC = (\d\.\d+)", printed(TIER_0, "leak"), re.MULTILINE)
    area = {name: float(value) for name, value in areas}
    assert max(area[name] for name in ("pt", "eta", "|eta|")) <= 0.55
    assert min(area["mass"], area["tau32"]) > 0.8
    agreement = re.search(r"(\d+)% of 100 images", printed(TIER_0, "package"))
    assert agreement and int(agreement[1]) >= 98


@pytest.mark.parametrize(
    ("cell", "pdg_id"), [("jpsi", 443), ("upsilon", 553), ("z", 23)], ids=["jpsi", "upsilon", "z"]
)
def test_dimuon_finds_the_masses_of_the_pdg(cell, pdg_id):
    found = re.search(r"^\w+: \((\d+\.\d+) ± .*p = (\S+)$", printed(DIMUON, cell), re.MULTILINE)
    assert found and float(found[1]) == pytest.approx(mass(pdg_id), rel=5e-3)
    assert float(found[2]) > 0.05


#: notebook, cell -> what its printed line must say, and the reference answers of its numbers
ANSWERS = {
    "higgs-4l/count": (
        r"GeV: (\d+) events, expected (\S+) .* boson, (\S+) more",
        (12, 4.66, 8.20),
    ),
    "higgs-4l/significance": (r"observed (\S+) sigma .* expected (\S+) sigma", (3.08, 3.27)),
    "higgs-4l/limit": (r"mu < (\S+) .* signal (\S+) \[(\S+), (\S+)\]", (1.70, 0.66, 0.31, 1.58)),
    "agc-ttbar/fit": (r"ttbar normalisation: (\S+) \+- (\S+)", (0.946, 0.080)),
    "susy-2018-31/cls": (r"CLs observed (\S+), expected (\S+);", (0.2444, 0.3841)),
}


@pytest.mark.parametrize("place", ANSWERS)
def test_reference_answers_are_printed(place):
    name, _, cell = place.partition("/")
    pattern, answers = ANSWERS[place]
    found = re.search(pattern, printed(ROOT / "notebooks" / f"{name}.ipynb", cell))
    assert found and [float(each) for each in found.groups()] == pytest.approx(answers, rel=0.02)
