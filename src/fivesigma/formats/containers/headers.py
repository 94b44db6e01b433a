"""The first lines of a table in text: what separates the values, and the names of its columns."""

from __future__ import annotations

import csv
import re
from itertools import islice
from typing import NamedTuple

__all__ = ["LONGEST_LINE", "Head", "read_head"]

#: a longer line is no row of a table [bytes]
LONGEST_LINE = 16 * 1024**2
_MOST_COLUMNS = 50_000
_MOST_LINES = 100_000  # of comments and blanks before the first row
_DELIMITERS = ("\t", ",", ";", " ")


class Head(NamedTuple):
    """How a table is written, and where its rows begin [bytes]."""

    delimiter: str
    names: list[str]
    offset: int


def read_head(path: str, lines: bytes) -> Head:
    """Delimiter, names and beginning of the rows, from the first lines of a file.

    Args:
        path: for messages.
        lines: the beginning of the file, whole lines.

    Raises:
        ValueError: no rows, or more than 50 000 columns.
    """
    start = 3 if lines.startswith(b"\xef\xbb\xbf") else 0  # a mark that some editors write
    comment = ""
    content: list[tuple[str, int]] = []
    begin = re.finditer(rb"[^\n]*\n?", lines[start : start + 2 * LONGEST_LINE])
    for found in islice(begin, _MOST_LINES):
        text = found[0].decode("utf-8", errors="replace").strip("\r\n")
        if text.lstrip().startswith("#") and not content:
            comment = text.lstrip("# \t")
        elif text.strip() and not text.lstrip().startswith("#"):
            content.append((text, start + found.end()))
            if len(content) == 2:
                break
    if not content:
        message = f"{path}: no rows, only blank lines or comments"
        raise ValueError(message)
    delimiter = _delimiter([text for text, _ in content])
    first = _cells(content[0][0], delimiter)
    if len(first) > _MOST_COLUMNS:
        message = f"{path}: a row of {len(first)} values; expected at most {_MOST_COLUMNS}"
        raise ValueError(message)
    if _is_header(first):
        return Head(delimiter, _unique(first), content[0][1])
    names = _cells(comment, delimiter)
    named = len(names) == len(first) and not any(map(_is_number, names))
    return Head(delimiter, _unique(names if named else [""] * len(first)), start)


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]


def _delimiter(lines: list[str]) -> str:
    """What gives the first two lines the same number of values, and the most."""
    best, most = ",", 1
    for delimiter in _DELIMITERS:
        counts = {len(_cells(line, delimiter)) for line in lines}
        if len(counts) == 1 and max(counts) > most:
            best, most = delimiter, max(counts)
    return best


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_header(cells: list[str]) -> bool:
    """Whether the first line has names: less than half numbers, or the numbers of the columns."""
    given = [cell for cell in cells if cell]
    if len(given) > 3 and given == [str(n) for n in range(len(given))]:
        return True
    return 2 * sum(map(_is_number, given)) < len(given)


def _unique(names: list[str]) -> list[str]:
    """Each name once; columns without a name, or numbered, are called `column_<number>`."""
    made: dict[str, None] = {}
    for number, name in enumerate(names):
        name = name if name and not _is_number(name) else f"column_{number}"
        made[name if name not in made else f"{name}_{number}"] = None
    return list(made)
