"""From text to a syntax tree: Python's parser with limits before and after it, so that no text
costs much."""

from __future__ import annotations

import ast
import warnings

from fivesigma.expressions.places import located

__all__ = ["MAX_NESTING", "MAX_NODES", "chain", "integer", "members", "syntax_tree"]

MAX_NESTING, MAX_NODES = 50, 2000


def syntax_tree(text: str) -> ast.expr:
    """The tree of one expression, not yet checked.

    Args:
        text: one line.

    Raises:
        ValueError: not an expression, or one with too many or too deeply nested parts.
    """
    _check_brackets(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "1and 2": Python's, about Python
            tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        at = error.offset if error.lineno == 1 and error.offset else len(text) + 1
        raise located(text, at, f"not an expression ({error.msg:.100})") from None
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error).splitlines()[:1] or ["too deep"]
        raise located(text, 1, f"not an expression ({reason[0]:.100})") from None
    _check_size(text, tree)
    return tree


def _check_brackets(text: str) -> None:
    if "#" in text:
        raise located(text, text.index("#") + 1, "comments are not allowed", "leave it out")
    depth = 0
    for at, character in enumerate(text, 1):
        depth += (character in "([{") - (character in ")]}")
        if depth > MAX_NESTING:
            raise located(text, at, f"brackets nested deeper than {MAX_NESTING}")


def _check_size(text: str, tree: ast.expr) -> None:
    """The limits of nesting, to which a + b + c adds one level, and of parts."""
    hint = "define parts of it first"
    nodes, todo = 0, [(tree, 1)]
    while todo:
        node, depth = todo.pop()
        nodes += 1
        if depth > MAX_NESTING:
            raise located(text, node, f"nested deeper than {MAX_NESTING}", hint)
        if nodes > MAX_NODES:
            raise located(text, node, f"more than {MAX_NODES} parts", hint)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                todo.append((child, depth + (child is not _previous(node))))


def _previous(node: ast.expr) -> ast.BinOp | None:
    """The `a + b` within `a + b + c`, None where no chain goes on."""
    left = node.left if isinstance(node, ast.BinOp) else None
    return left if isinstance(left, ast.BinOp) else None


def chain(node: ast.BinOp) -> list[ast.BinOp]:
    """The links of a + b + c from the left, `a + b` first.

    The parser nests them, one level for each; who walks the links needs no recursion, which ends
    at 1000 levels.
    """
    links = [node]
    while (previous := _previous(links[-1])) is not None:
        links.append(previous)
    return links[::-1]


def integer(node: ast.expr | None) -> int | None:
    """The value of an integer literal with or without minus, None for anything else."""
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, node = -1, node.operand
    value = node.value if isinstance(node, ast.Constant) else None
    return sign * value if type(value) is int else None


def members(node: ast.expr) -> list[ast.expr]:
    """The parts of (1, 2, 3), [1, 2, 3] or {1, 2, 3}; none of anything else."""
    return node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else []
