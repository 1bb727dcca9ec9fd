"""Skeletons: what two solutions have in common that reach the same result in the same way."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Literal

from tasks.checks.execution import extract_program

MAX_CHARACTERS = 100_000  # longer texts are run-away samples; none of them has a skeleton

_ANNOTATION = re.compile(r"<<([^<>]*)>>")
_ARITHMETIC = re.compile(r"[ \t\d.,$€£%()+\-*/\u00d7\u00b7\u00f7=]+")
_OPERATORS = re.compile(r"[+\-*/]")
_SIGNS = str.maketrans({"\u00d7": "*", "\u00b7": "*", "\u00f7": "/"})


def skeleton(text: str, role: Literal["answer", "program"]) -> str | None:
    """The skeleton of a sample's text, None where it has none."""
    if len(text) > MAX_CHARACTERS:
        return None
    return code_skeleton(extract_program(text)) if role == "program" else equation_skeleton(text)


def equation_skeleton(text: str) -> str | None:
    """The equations of a worked solution in their order, None where there are none.

    GSM8K's annotations count where there are any, else every sum of numbers that is written out.

    Source: RFT, arXiv 2308.01825: one path per list of equations.

    Example:
        >>> equation_skeleton("He has 3 + 4 = 7 pens, so 7*2=14.")
        '3+4=7 7*2=14'
        >>> equation_skeleton("16 - 3 = <<16-3=13>>13 eggs"), equation_skeleton("Seven.")
        ('16-3=13', None)
    """
    return " ".join(equations(text)) or None


def equations(text: str) -> list[str]:
    """The equations that make a text's skeleton, without spaces and signs of money.

    Example:
        >>> equations("3 + 4 = 7, and 1,000 \u00f7 2 = $500")
        ['3+4=7', '1000/2=500']
    """
    found = _ANNOTATION.findall(text) or _written_out(text)
    cleaned = (re.sub(r"[\s,$€£]", "", one.translate(_SIGNS)) for one in found)
    return [one for one in cleaned if one]


def _written_out(text: str) -> list[str]:
    """The pieces of arithmetic with an equals sign and an operator before it."""
    found = []
    for piece in _ARITHMETIC.findall(text):
        left, equals, right = piece.translate(_SIGNS).strip(" \t.,").partition("=")
        if equals and _OPERATORS.search(left) and any(c.isdigit() for c in right):
            found.append(left + equals + right.rstrip(" \t.,(+-*/=$€£"))
    return found


def code_skeleton(source: str) -> str | None:
    """The syntax tree of a program without its names, comments and docstrings; None if it has none.

    Names that the program defines are numbered in the order in which they appear; names from
    elsewhere (`print`, `len`, modules) stay, and so do constants and attributes.

    Example:
        >>> one = code_skeleton("def f(a):\\n    return a + 1\\nprint(f(2))")
        >>> two = code_skeleton("def g(x):  # add\\n    return x+1\\nprint( g(2) )")
        >>> one == two, one == code_skeleton("print(3)"), code_skeleton("no program")
        (True, False, None)
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "invalid escape sequence" and the like
            tree = ast.parse(source)
        names = _Names(tree)
        return ast.dump(names.visit(tree)) if tree.body else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Names(ast.NodeTransformer):
    """Numbers what a program defines, and drops docstrings."""

    def __init__(self, tree: ast.Module) -> None:
        self._own = {name for node in ast.walk(tree) for name in _defined(node)}
        self._numbers: dict[str, str] = {}

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            node.body = [one for one in node.body if not _is_text(one)] or [ast.Pass()]
        for field in ("name", "id", "arg"):
            name = getattr(node, field, None)
            if isinstance(name, str) and name in self._own:
                setattr(node, field, self._numbers.setdefault(name, f"_{len(self._numbers)}"))
        self.generic_visit(node)
        return node


def _defined(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.ExceptHandler) and node.name:
        return [node.name]
    return []


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
