"""The safe expression language of cuts and new quantities over events.

`pt > 30 and abs(eta) < 2.4`, `(muons[0] + muons[1]).mass > 60`, `count(jets.pt > 25) >= 4`: the
text is read by Python's parser, every node is checked against a list of what is allowed, and
Awkward Array computes the rest, entry by entry; nothing of the text is ever run by Python.

What is absent is None: `muons[0]` of an entry without muons, `max` of an empty list, and what is
computed from them. `and`, `or` and `not` follow the logic of three values (true or None = true,
false and None = false, else None), and a cut takes None for false.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from keyword import iskeyword

import awkward as ak
import numpy as np

from fivesigma.expressions.checking import check
from fivesigma.expressions.evaluation import evaluate
from fivesigma.expressions.syntax import syntax_tree
from fivesigma.expressions.values import depth, kind

__all__ = ["Expression", "define", "parse", "passing", "select"]

MAX_CHARACTERS, MAX_PAIRS = 10_000, 50_000_000


class Expression:
    """A checked expression, evaluated as often as wanted; made by `parse`.

    Attributes:
        text: what it was made from, without line breaks.
        names: the dotted names read from the data, e.g. {"muons", "jets.pt"}: "muons" alone where
            the whole records are used, also for what is derived from them (`muons.px`). The
            constants pi, GeV and MeV are not among them.
    """

    def __init__(self, text: str, tree: ast.expr, names: frozenset[str]) -> None:
        self.text, self.names, self._tree = text, names, tree

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __call__(self, events: ak.Array) -> ak.Array:
        """Evaluate on records.

        Args:
            events: (N,) records or a collection of them, flat (N,) or in lists (N, var); momenta
                in GeV with the fields pt eta phi mass.

        Returns:
            (N,) or (N, var): numbers, truths or records; a constant is repeated for each entry.

        Raises:
            ValueError: unknown name or field, or values that do not fit together; says where.
        """
        if not isinstance(events, ak.Array) or not events.fields:
            got = events.type if isinstance(events, ak.Array) else type(events).__name__
            message = f"got {str(got):.200}, expected an Awkward array of records; use ak.zip"
            raise ValueError(message)
        result = evaluate(self.text, self._tree, events, MAX_PAIRS)
        return result if isinstance(result, ak.Array) else ak.Array(np.full(len(events), result))


def parse(text: str) -> Expression:
    """Read and check an expression.

    Args:
        text: e.g. "count(jets.pt > 25) >= 4 and any(jets.btag > 0.7)"; quantities in GeV.

    Returns:
        The expression, to be called with events.

    Raises:
        ValueError: no expression, or something in it that is not allowed; says where.
    """
    if not isinstance(text, str) or not text.strip():
        message = f"got {text!r:.60}, expected the text of an expression, e.g. 'pt > 30'"
        raise ValueError(message)
    if len(text) > MAX_CHARACTERS:
        message = f"expression of {len(text)} characters; the limit is {MAX_CHARACTERS}"
        raise ValueError(message)
    text = re.sub(r"\s", " ", text).strip()
    tree = syntax_tree(text)
    return Expression(text, tree, check(text, tree))


def passing(events: ak.Array, expression: str | Expression) -> np.ndarray:
    """Which entries pass a cut.

    Args:
        events: (N,) records.
        expression: a cut with one truth per entry; an absent one does not pass.

    Returns:
        (N,) bool.

    Raises:
        ValueError: not an expression, or not one truth per entry.
    """
    cut = parse(expression) if isinstance(expression, str) else expression
    mask = cut(events)
    if depth(mask) != 1:
        message = (
            f"the cut {cut.text[:80]!r} gives a list per entry, expected one truth; "
            "use any(...), all(...) or count(...) > 0"
        )
        raise ValueError(message)
    if kind(mask) != "b":
        message = (
            f"the cut {cut.text[:80]!r} gives {str(mask.type):.80}, expected truths; "
            "compare it with a number"
        )
        raise ValueError(message)
    return np.asarray(ak.fill_none(mask, False, axis=0))


def select(events: ak.Array, expression: str | Expression) -> ak.Array:
    """Keep the entries that pass a cut; arguments and errors as those of `passing`."""
    return events[passing(events, expression)]


def define(events: ak.Array, definitions: Mapping[str, str]) -> ak.Array:
    """Add new fields, in order; later ones may use earlier ones.

    Args:
        events: (N,) records or a collection of them.
        definitions: name of the new field -> expression.

    Returns:
        The same records with the new fields.

    Raises:
        ValueError: a name that is taken or cannot be one, or an expression that fails.
    """
    for name, text in definitions.items():
        if (
            not isinstance(name, str)
            or not name.isidentifier()
            or name[0] == "_"
            or iskeyword(name)
        ):
            message = f"new field {name!r:.60}: expected letters, digits and _, a letter first"
            raise ValueError(message)
        if name in getattr(events, "fields", ()):
            message = f"new field {name!r:.60}: the events have it already; choose another name"
            raise ValueError(message)
        try:
            events = ak.with_field(events, parse(text)(events), name)
        except ValueError as error:
            message = f"new field {name!r:.60}: {error}"
            raise ValueError(message) from None
    return events
