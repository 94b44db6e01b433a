"""Errors that say the place in the text of an expression."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable

__all__ = ["LocatedError", "choices", "located"]


class LocatedError(ValueError):
    """An error whose message says the place in the text."""


def located(text: str, node: ast.expr | int, problem: str, hint: str = "") -> LocatedError:
    """One line: the problem, the column (from 1), the text around it and how to mend it."""
    at = node
    if not isinstance(at, int):  # the parser counts in bytes of UTF-8
        at = len(text.encode()[: at.col_offset].decode(errors="ignore")) + 1
    start = max(0, at - 41) if len(text) > 80 else 0
    shown = "..." * (start > 0) + text[start : start + 80] + "..." * (len(text) > start + 80)
    return LocatedError(f"{problem} at column {at} of {shown!r}{'; ' if hint else ''}{hint}")


def choices(name: str, known: Iterable[str]) -> str:
    """Names to choose from, the closest first."""
    names = list(known)
    ordered = dict.fromkeys([*difflib.get_close_matches(name, names), *names])
    shown = ", ".join(list(ordered)[:12]) or "nothing: there are no fields"
    return f"choose from {shown}{', ...' if len(ordered) > 12 else ''}"
