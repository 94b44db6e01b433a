"""The house rules that a machine can check: layers of imports, no print, no assert."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "fivesigma"

#: first part of the module's path -> layer
LAYERS = {
    **dict.fromkeys(("units", "geometry", "results", "progress", "storage", "references"), 0),
    **dict.fromkeys(("events", "expressions", "features"), 1),
    **dict.fromkeys(
        (
            "datasets",
            "production",
            "shards",
            "flattening",
            "manifests",
            "stages",
            "workers",
            "formats",
            "inputs",
        ),
        2,
    ),
    **dict.fromkeys(("caches", "kinematics", "preparation", "batches", "images"), 2),
    **dict.fromkeys(("models", "losses"), 2),
    **dict.fromkeys(
        ("training", "loop", "optimisation", "runs", "runfolder", "loading", "trees"), 3
    ),
    **dict.fromkeys(("optimisers", "checkpoints", "lessons", "finetuning", "augmentation"), 3),
    **dict.fromkeys(("spectra", "pruning", "export"), 3),
    **dict.fromkeys(("uncertainty", "metrics", "statistics", "plots"), 3),
    **dict.fromkeys(("generation", "detector", "reconstruction", "tracking", "tagging"), 4),
    **dict.fromkeys(("fastsim", "search", "trigger"), 4),
    "report": 5,
    "workflows": 6,
    "cli": 7,
}
STAGES = {name for name, layer in LAYERS.items() if layer == 4}
#: modules that must not import torch, and those that must not import Awkward
TORCH_FREE = ("events", "formats", "generation", "detector", "reconstruction", "datasets")
AWKWARD_FREE = ("models", "losses")

FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def part(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_to_lower_layers(path):
    here = part(path)
    for name in imported(path):
        if not name.startswith("fivesigma."):
            continue
        there = name.split(".")[1]
        if there not in LAYERS or there == here:
            continue
        assert LAYERS[there] <= LAYERS[here], f"{here} imports {name} of a higher layer"
        assert not (here in STAGES and there in STAGES), f"stage {here} imports stage {there}"


def test_every_module_has_a_layer():
    assert {part(path) for path in FILES} <= set(LAYERS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_libraries_stay_in_their_rooms(path):
    roots = {name.split(".")[0] for name in imported(path)}
    if part(path) in TORCH_FREE:
        assert "torch" not in roots
    if part(path) in AWKWARD_FREE:
        assert "awkward" not in roots


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_print_no_assert_no_unsafe_reading(path):
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.Assert), f"assert in line {node.lineno}"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called not in ("eval", "exec", "pickle.load", "pickle.loads", "yaml.load"), called
        assert called != "print" or part(path) == "cli", f"print in line {node.lineno}"
        if called == "torch.load":
            assert any(k.arg == "weights_only" for k in node.keywords), "torch.load of anything"


def test_no_module_of_leftovers():
    names = {path.stem for path in FILES}
    assert not names & {"utils", "helpers", "misc", "common", "old"}
    assert not {name for name in names if name.endswith(("_v2", "_old", "_new"))}
