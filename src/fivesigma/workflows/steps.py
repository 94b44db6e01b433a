"""Steps of a task that are done once: kept with a key, read again while it is the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from fivesigma import __version__
from fivesigma.plots.style import STYLE
from fivesigma.results import Number, Result, Table
from fivesigma.storage import canonical, check_file, read_json, write_file, write_json

__all__ = ["Checksums", "StoredFigure", "finished", "key_of"]

_RECORD = "step.json"


def key_of(content: Any) -> str:
    """A short hash of anything that has a JSON form."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()[:20]


class StoredFigure(Figure):
    """A figure that was drawn before, as SVG."""

    def __init__(self, svg: str) -> None:
        size = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg)
        super().__init__(figsize=(float(size[1]) / 72, float(size[2]) / 72) if size else None)
        self._svg = svg

    def savefig(self, fname: Any, **options: Any) -> None:
        """Write what was stored; only SVG."""
        if hasattr(fname, "write"):
            fname.write(self._svg)
        else:
            write_file(Path(fname), self._svg.encode())


def finished(
    folder: Path,
    key: str,
    make: Callable[[], Result],
    tell: Callable[[str], None],
    needs: Sequence[str] = (),
) -> Result:
    """The result of a step: read where it was finished with this key, else made and kept.

    Args:
        folder: of the step.
        key: hash of all that decides the result, besides the version of this package.
        make: makes it.
        tell: called with a line where it is made.
        needs: names of files of the folder without which it is made anew.
    """
    try:
        record = read_json(folder / _RECORD)
        same = record["key"] == key and record["version"] == __version__
        if same and all((folder / name).is_file() for name in needs):
            return _read(folder, record)
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        pass  # not there, not whole, or of another version: made anew
    (folder / _RECORD).unlink(missing_ok=True)
    tell(folder.name)
    result = make()
    _write(folder, key, result)
    return result


def _write(folder: Path, key: str, result: Result) -> None:
    """The figures and tables of a result, and last the record."""
    figures = {}
    for number, (caption, figure) in enumerate(result.figures.items()):
        path = folder / "kept" / f"{number}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        look = {"facecolor": "none", "edgecolor": "none", "metadata": {"Date": None}}
        with rc_context(STYLE):
            figure.savefig(path, format="svg", **look)
        figures[caption] = {"file": f"kept/{number}.svg", "bytes": path.stat().st_size}
    tables = {
        title: {"columns": each.columns, "note": each.note, "rows": [_cells(r) for r in each.rows]}
        for title, each in result.tables.items()
    }
    numbers = {name: each.to_dict() for name, each in result.numbers.items()}
    content = {"title": result.title, "note": result.note, "numbers": numbers, "tables": tables}
    record = {"key": key, "version": __version__, **content, "figures": figures}
    write_json(folder / _RECORD, record)


def _cells(row: tuple[str | Number, ...]) -> list[Any]:
    return [each.to_dict() if isinstance(each, Number) else each for each in row]


def _read(folder: Path, record: Mapping[str, Any]) -> Result:
    figures = {}
    for caption, each in record["figures"].items():
        path = folder / each["file"]
        check_file(path, each["bytes"])
        figures[caption] = StoredFigure(path.read_text(encoding="utf-8"))
    tables = {
        title: Table(
            tuple(each["columns"]),
            tuple(
                tuple(Number(**c) if isinstance(c, dict) else c for c in row)
                for row in each["rows"]
            ),
            each["note"],
        )
        for title, each in record["tables"].items()
    }
    numbers = {name: Number(**each) for name, each in record["numbers"].items()}
    return Result(record["title"], numbers, figures, tables, record["note"])


class Checksums:
    """SHA-256 of files, kept in a file for as long as these keep their size and time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._known: dict[str, Any] = read_json(path)
        except (FileNotFoundError, ValueError):
            self._known = {}

    def __call__(self, name: str) -> str:
        """The checksum of a file, of a dataset's manifest, or the address of a remote file."""
        path = Path(name)
        path = path / "manifest.json" if path.is_dir() else path
        if not path.is_file():
            return name
        info = path.stat()
        state = [info.st_size, info.st_mtime_ns]
        known = self._known.get(str(path.absolute()))
        if known is None or known["state"] != state:
            with path.open("rb") as file:
                checksum = hashlib.file_digest(file, "sha256").hexdigest()
            known = self._known[str(path.absolute())] = {"state": state, "sha256": checksum}
            write_json(self._path, self._known)
        return str(known["sha256"])
