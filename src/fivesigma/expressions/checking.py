"""The list of what is allowed in expressions, and the names that one reads from the data."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import NoReturn, cast

import awkward as ak

from fivesigma.expressions.evaluation import MAX_INTEGER, evaluate
from fivesigma.expressions.functions import CONSTANTS, DERIVED, FUNCTIONS, METHODS
from fivesigma.expressions.operations import BINARY, COMPARED
from fivesigma.expressions.places import choices, located
from fivesigma.expressions.syntax import chain, integer, members

__all__ = ["check"]

MAX_EXPONENT, MAX_INDEX = 64, 2**31


def check(text: str, tree: ast.expr) -> frozenset[str]:
    """Refuse what is not on the list of what is allowed.

    Args:
        text: what the tree was made from, for the messages.
        tree: of `syntax_tree`.

    Returns:
        The dotted names that are read from the data.

    Raises:
        ValueError: something is not on the list; says where.
    """
    walk = _Check(text)
    walk.visit(tree)
    return frozenset(walk.names)


class _Check(ast.NodeVisitor):
    """The list of what is allowed: a node without a method here is refused."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: set[str] = set()

    def refuse(self, node: ast.expr, problem: str, hint: str = "") -> NoReturn:
        raise located(self.text, node, problem, hint)

    def generic_visit(self, node: ast.AST) -> NoReturn:
        hint = "use numbers, names, fields, operators and functions"
        # only expressions are visited, and those have a place
        self.refuse(cast(ast.expr, node), f"{type(node).__name__} is not allowed", hint)

    def _all(self, nodes: Iterable[ast.expr]) -> None:
        for node in nodes:
            self.visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if not isinstance(value, int | float):
            self.refuse(node, f"{value!r:.40} is not allowed", "use numbers, True or False")
        if isinstance(value, int) and value > MAX_INTEGER:
            self.refuse(node, "this integer is too large", f"the limit is {MAX_INTEGER}")

    def _public(self, node: ast.expr, name: str) -> None:
        if name.startswith("_"):
            self.refuse(node, f"the name {name!r:.60} is not allowed", "names start with a letter")

    def _data(self, node: ast.expr) -> str | None:
        """The dotted name of fields and subscripts; None where it starts with something else."""
        if isinstance(node, ast.Name):
            self._public(node, node.id)
            return node.id
        if isinstance(node, ast.Subscript):
            self._key(node)
            return self._data(node.value)
        if isinstance(node, ast.Attribute):
            self._public(node, node.attr)
            name = self._data(node.value)
            return name if name is None or node.attr in DERIVED else f"{name}.{node.attr}"
        self.visit(node)
        return None

    def _read(self, node: ast.expr) -> None:
        name = self._data(node)
        if name is not None and name not in CONSTANTS:
            self.names.add(name)

    visit_Name = visit_Attribute = visit_Subscript = _read

    def _key(self, node: ast.Subscript) -> None:
        key = node.slice
        if not isinstance(key, ast.Slice) and integer(key) is None:
            if isinstance(key, ast.Constant):
                self.refuse(key, "expected an integer in [...]", "write muons[0] or jets[:2]")
            return self.visit(key)
        parts = (key.lower, key.upper, key.step) if isinstance(key, ast.Slice) else (key,)
        for part in parts:
            number = integer(part)
            if part is not None and (number is None or abs(number) > MAX_INDEX):
                self.refuse(part, "expected a small integer in [...]", "write jets[:2]")
            if part is not None and number == 0 and part is parts[-1] and len(parts) == 3:
                self.refuse(part, "a slice cannot have step 0", "leave the step out")
        return None

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self.visit(node.operand)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        links = chain(node)
        for link in links:
            if type(link.op) not in BINARY:
                self.refuse(link, f"the operator {type(link.op).__name__} is not allowed")
        self.visit(links[0].left)
        for link in links:
            self.visit(link.right)
            if isinstance(link.op, ast.Pow):
                self._exponent(link.right)

    def _exponent(self, node: ast.expr) -> None:
        """Constants are known now; an exponent with names is computed with floats, later."""
        if any(isinstance(part, ast.Name) for part in ast.walk(node)):
            return
        if not abs(evaluate(self.text, node, ak.Array([{}]))) <= MAX_EXPONENT:
            self.refuse(node, "the exponent is too large", f"up to {MAX_EXPONENT}")

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self._all(node.values)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._all((node.test, node.body, node.orelse))

    def visit_Compare(self, node: ast.Compare) -> None:
        self.visit(node.left)
        for operator, other in zip(node.ops, node.comparators, strict=True):
            if type(operator) in COMPARED:
                self.visit(other)
            elif isinstance(operator, ast.In | ast.NotIn) and other is node.comparators[-1]:
                self._set(other)
            else:
                hint = "use ==, != and 'in' at the end of a chain"
                self.refuse(node, f"{type(operator).__name__} is not allowed here", hint)

    def _set(self, node: ast.expr) -> None:
        literals = [
            part.operand if isinstance(part, ast.UnaryOp) else part for part in members(node)
        ]
        if not literals or not all(isinstance(part, ast.Constant) for part in literals):
            self.refuse(node, "expected a list of numbers after 'in'", "write x in (1, 2, 3)")
        self._all(members(node))

    def visit_Call(self, node: ast.Call) -> None:
        function, given = node.func, len(node.args)
        if node.keywords:
            self.refuse(node, "arguments with names are not allowed", "give values alone")
        if isinstance(function, ast.Attribute) and function.attr in METHODS:
            self.visit(function.value)
            name, given = function.attr, given + 1
        elif isinstance(function, ast.Name) and function.id in FUNCTIONS:
            name = function.id
        else:
            self._unknown(function)
        known = FUNCTIONS[name]
        if not known.least <= given <= known.most:
            expected = f"{known.least}" + " or more" * (known.least != known.most)
            self.refuse(node, f"wrong number of values for {name}", f"{expected}, not {given}")
        self._all(node.args)

    def _unknown(self, function: ast.expr) -> NoReturn:
        if isinstance(function, ast.Attribute):
            known = choices(function.attr, METHODS)
            self.refuse(function, f"unknown method {function.attr!r:.60}", known)
        if isinstance(function, ast.Name):
            known = choices(function.id, FUNCTIONS)
            self.refuse(function, f"unknown function {function.id!r:.60}", known)
        self.refuse(function, "only functions known by name can be called")
