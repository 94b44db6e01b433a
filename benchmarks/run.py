"""Run all benchmarks and write benchmarks/results.md; `make benchmarks` calls this."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
#: script -> what must be there for it, and how to make it
SCRIPTS = {
    "generation.py": None,
    "batches.py": None,
    "formats.py": None,
    "taggers.py": None,
    "selection.py": None,
    "inference.py": None,
    "classifiers.py": None,
    "published_jets.py": (
        "runs/top-tagging/results.json",
        "fivesigma demo --config configs/top-tagging.yaml",
    ),
}


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def run(script: str) -> tuple[str, dict[str, dict[str, object]]]:
    """The command of one script and its figures, from the last line of its output."""
    command = f"python benchmarks/{script}"
    done = subprocess.run(
        [sys.executable, str(HERE / script)], cwd=HERE.parent, stdout=subprocess.PIPE, text=True,
        check=True,
    )  # fmt: skip
    return command, json.loads(done.stdout.strip().splitlines()[-1])["figures"]


def section(script: str) -> list[str]:
    """One table, or why there is none."""
    need = SCRIPTS[script]
    if need and not Path(HERE.parent, need[0]).exists():
        return [f"## {script}", "", f"Not run: first `{need[1]}`.", ""]
    command, figures = run(script)
    lines = [
        f"## `{command}`",
        "",
        "| figure | value | low | high | unit | against |",
        "|" + "---|" * 6,
    ]
    for name, f in figures.items():
        numbers = " | ".join(f"{f[key]:.4g}" for key in ("value", "low", "high"))
        lines.append(f"| {name} | {numbers} | {f['unit']} | {f['reference']} |")
    return [*lines, ""]


def main() -> None:
    """Run everything and write the page."""
    lines = [
        "# Benchmarks",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {version('torch')}, PYTHIA {version('pythia8mc')}. "
        "Value: median; low and high: extremes over rounds, or the statistical interval.",
        "",
    ]
    for script in SCRIPTS:
        lines += section(script)
    (HERE / "results.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
