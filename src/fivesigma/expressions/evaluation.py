"""The evaluation of checked expressions over one array of events."""

from __future__ import annotations

import ast
import functools
from collections.abc import Sequence
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.expressions.functions import CONSTANTS, DERIVED, FUNCTIONS, chosen, cut, nth, where
from fivesigma.expressions.operations import (
    BINARY,
    COMPARED,
    UNARY,
    folded,
    logical_and,
    logical_not,
    logical_or,
)
from fivesigma.expressions.places import LocatedError, choices, located
from fivesigma.expressions.syntax import chain, integer, members
from fivesigma.expressions.values import Compute, depth, is_momentum, read, same_counts

__all__ = ["MAX_INTEGER", "evaluate"]

MAX_INTEGER = 2**63
_QUANTITIES = DERIVED | {"pt", "eta", "phi", "mass"}
#: what Awkward Array and vector raise for arrays that do not fit
_FAILURES = (
    *(ValueError, TypeError, ArithmeticError, LookupError),
    *(AttributeError, AssertionError, RuntimeError),
)


def evaluate(text: str, tree: ast.expr, events: ak.Array, most_pairs: int = 0) -> Any:
    """Compute a checked expression.

    Args:
        text: what the tree was made from, for the messages.
        tree: what `check` let pass.
        events: (N,) records.
        most_pairs: more of them are refused before they are made.

    Returns:
        (N,) or (N, var); of constants alone a number.

    Raises:
        ValueError: unknown name or field, or values that do not fit together; says where.
    """
    with np.errstate(all="ignore"):  # x / 0 is infinite, as in every array language
        return _Evaluate(text, events, most_pairs).visit(tree)


class _Evaluate(ast.NodeVisitor):
    """Compute a checked expression over one array of events."""

    def __init__(self, text: str, events: ak.Array, most_pairs: int) -> None:
        self.text, self.events, self.most_pairs = text, events, most_pairs

    def visit_Constant(self, node: ast.Constant) -> Any:
        return node.value if node.value != MAX_INTEGER else float(MAX_INTEGER)

    def visit_Name(self, node: ast.Name) -> Any:
        if node.id in CONSTANTS and node.id not in self.events.fields:
            return CONSTANTS[node.id]
        return self._field(node, self.events, node.id, "name")

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        return self._field(node, self.visit(node.value), node.attr, "field")

    def _field(self, node: ast.expr, value: Any, name: str, what: str) -> Any:
        if name in getattr(value, "fields", ()):
            return read(value, name)
        if name in _QUANTITIES and is_momentum(value):
            return self._called(node, lambda: getattr(value, name), (), ())
        problem = f"unknown {what} {name!r:.60}"
        if name in FUNCTIONS and what == "name":
            raise located(self.text, node, problem, f"call the function: {name}(...)")
        if not getattr(value, "fields", ()):
            raise located(self.text, node, problem, "only records have fields")
        raise located(self.text, node, problem, choices(name, value.fields))

    def _compute(self, node: ast.expr, function: Compute, parts: Sequence[ast.expr]) -> Any:
        values = [self.visit(part) for part in parts]
        return self._called(node, function, parts, values)

    def _called(
        self,
        node: ast.expr,
        function: Compute,
        parts: Sequence[ast.expr],
        values: Sequence[Any],
    ) -> Any:
        try:
            return function(*values)
        except LocatedError:
            raise
        except _FAILURES as error:
            raise located(self.text, node, self._reason(error, parts, values)) from None

    def _reason(self, error: Exception, parts: Sequence[ast.expr], values: Sequence[Any]) -> str:
        """What went wrong, in words about the text; Awkward's errors are about its layouts."""
        counts = "broadcast" in str(error) or "different numbers" in str(error)
        lists = [(p, v) for p, v in zip(parts, values, strict=True) if counts and depth(v) >= 2]
        for (part, value), (other, second) in zip(lists, lists[1:], strict=False):
            if depth(value) == depth(second) and not same_counts(value, second):
                names = [ast.get_source_segment(self.text, x) or "?" for x in (part, other)]
                names = [name if len(name) <= 60 else f"{name[:57]}..." for name in names]
                return " and ".join(names) + " have different numbers of objects per entry,"
        if "overload" in str(error):
            return "this cannot be done with whole records (name a field, like .pt),"
        return (str(error) or type(error).__name__).strip().splitlines()[0][:300]

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        return self._compute(node, UNARY[type(node.op)], [node.operand])

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        links = chain(node)
        value = self.visit(links[0].left)
        for link in links:
            values = [value, self.visit(link.right)]
            value = self._called(link, BINARY[type(link.op)], [link.left, link.right], values)
        return value

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        function = logical_and if isinstance(node.op, ast.And) else logical_or
        return self._compute(node, folded(function), node.values)

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        return self._compute(node, where, [node.test, node.body, node.orelse])

    def visit_Compare(self, node: ast.Compare) -> Any:
        """Links of a chain, 80 < m < 100, joined by and."""
        parts = [node.left, *node.comparators]
        values = [[] if members(part) else self.visit(part) for part in parts]
        links = []
        for i, operator in enumerate(node.ops):
            if isinstance(operator, ast.In | ast.NotIn):
                links.append(self._in(node, operator, parts[i : i + 2], values[i]))
            else:
                function = COMPARED[type(operator)]
                links.append(self._called(node, function, parts[i : i + 2], values[i : i + 2]))
        return self._called(node, folded(logical_and), parts[: len(links)], links)

    def _in(
        self, node: ast.expr, operator: ast.cmpop, parts: Sequence[ast.expr], value: Any
    ) -> Any:
        numbers = [self.visit(member) for member in members(parts[1])]

        def function(value: Any) -> Any:
            equal = [COMPARED[ast.Eq](value, number) for number in numbers]
            found = functools.reduce(logical_or, equal)
            return logical_not(found) if isinstance(operator, ast.NotIn) else found

        return self._called(node, function, parts[:1], [value])

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        key = node.slice
        index = integer(key)
        if index is not None:
            return self._compute(node, lambda objects: nth(objects, index), [node.value])
        if isinstance(key, ast.Slice):
            section = slice(integer(key.lower), integer(key.upper), integer(key.step))
            return self._compute(node, lambda objects: cut(objects, section), [node.value])
        return self._compute(node, chosen, [node.value, key])

    def visit_Call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Attribute):
            function = FUNCTIONS[node.func.attr].call
            return self._compute(node, function, [node.func.value, *node.args])
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        function = FUNCTIONS[name].call
        if name == "pairs":
            function = functools.partial(function, limit=self.most_pairs)
        return self._compute(node, function, node.args)
