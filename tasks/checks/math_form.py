"""The worker of `math_answers`: reads one raw answer a line, prints its class or null.

Classes begin with `≡ ` (an exact form) or `≈ ` (an irrational constant, 15 digits), unless they are
rational numbers, which look as in `answers`. So a class is never taken for a raw answer.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
from fractions import Fraction
from typing import Any

import sympy
from math_verify import parse
from sympy.functions.elementary.trigonometric import TrigonometricFunction

from tasks.checks.answers import MAX_NUMBER_CHARACTERS, canonical_answer
from tasks.child_process import die_with_parent

DIGITS = 15
_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"))


def math_class(raw: str) -> str | None:
    r"""The class of a raw answer, or None where it is no mathematics that can be parsed.

    Example:
        >>> math_class(r"x = \frac{1}{2}"), math_class("(x+1)^2"), math_class("3, 1, 2")
        ('0.5', '≡ x**2 + 2*x + 1', '≡ {1, 2, 3}')
        >>> math_class(r"[1, \infty)"), math_class(r"\frac{1}{\sqrt{2}}"), math_class("(")
        ('≡ [1, oo)', '≈ 0.707106781186548', None)
    """
    text = _unwrapped(raw)
    found = parse(f"${text}$", parsing_timeout=None)
    values = [one for one in found if not isinstance(one, str)]
    if not values:
        return None
    form = _form(values[0])
    if form is None:
        return None
    # Rational numbers are written the one way that answers without any LaTeX are.
    plain = canonical_answer(form) if len(form) <= MAX_NUMBER_CHARACTERS else None
    if plain is not None and plain[-1].isdigit() and plain.strip("-0123456789./") == "":
        return plain
    return form if form.startswith("≈ ") else f"≡ {form}"


def _unwrapped(raw: str) -> str:
    text = raw.strip().rstrip(".,;:").strip()
    for left, right in _WRAPPERS:
        if text.startswith(left) and text.endswith(right) and len(text) > len(left + right):
            text = text[len(left) : -len(right)].strip()
    return text


def _form(value: Any) -> str | None:
    """The text of a parsed value that equal values share; None for what has no such text."""
    if isinstance(value, sympy.MatrixBase):
        rows = ["[" + ", ".join(_part(x) for x in row) + "]" for row in value.tolist()]
        return f"[{', '.join(rows)}]"
    if isinstance(value, sympy.Interval):
        left, right = "(" if value.left_open else "[", ")" if value.right_open else "]"
        return f"{left}{_part(value.start)}, {_part(value.end)}{right}"
    if isinstance(value, sympy.FiniteSet):
        members = sorted({_part(_right_side(member)) for member in value.args})
        return members[0] if len(members) == 1 else f"{{{', '.join(members)}}}"
    if isinstance(value, sympy.Tuple | tuple | list):
        return f"({', '.join(_part(x) for x in value)})"
    if isinstance(value, sympy.Set):
        return " with ".join(sorted({_part(part) for part in value.args})) or str(value)
    if isinstance(value, sympy.Rel):
        return _relation(value)
    if isinstance(value, sympy.Expr):
        return _expression(value)
    return None


def _part(value: Any) -> str:
    return _form(value) or str(value)


def _right_side(value: Any) -> Any:
    """`5` for `x = 5`: a name in front of a value says nothing about the value."""
    if isinstance(value, sympy.Eq) and isinstance(value.lhs, sympy.Symbol):
        return value if value.rhs.has(value.lhs) else value.rhs
    return value


def _relation(value: Any) -> str:
    bare = _right_side(value)
    if bare is not value:
        return _part(bare)
    if isinstance(value, sympy.Gt | sympy.Ge):
        value = value.reversed
    difference = sympy.expand(value.lhs - value.rhs)
    if isinstance(value, sympy.Eq | sympy.Ne):
        # a = b, b = a and 2a = 2b are one equation.
        _, difference = sympy.factor_terms(difference).as_coeff_Mul()
        difference = min(sympy.expand(difference), sympy.expand(-difference), key=str)
    return f"{_part(difference)} {value.rel_op} 0"


def _expression(value: Any) -> str | None:
    value = value.doit()
    if {symbol.name for symbol in value.free_symbols} == {"i"}:
        value = value.subs(dict.fromkeys(value.free_symbols, sympy.I)).doit()
    value = sympy.nsimplify(value, rational=True)
    if value in (sympy.oo, -sympy.oo, sympy.zoo, sympy.nan):
        return str(value)
    if value.free_symbols:
        if value.has(TrigonometricFunction):
            value = sympy.trigsimp(value)
        return str(sympy.expand(sympy.cancel(sympy.together(sympy.expand(value)))))
    real, imaginary = (_constant(part) for part in value.as_real_imag())
    if imaginary == "0" or real is None or imaginary is None:
        return real
    return f"{real} + ({imaginary})*i"


def _constant(value: Any) -> str | None:
    constant = value if value.is_Rational else sympy.simplify(value)
    if constant.is_Rational:
        return _rational(Fraction(int(constant.p), int(constant.q)))
    number = sympy.N(constant, DIGITS)
    return f"≈ {number}" if number.is_number else None


def _rational(value: Fraction) -> str:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > 600:
        return f"≈ {sympy.N(sympy.Rational(value.numerator, value.denominator), DIGITS)}"
    text = f"{value.numerator}/{value.denominator}"
    return canonical_answer(text) or text


def main() -> None:
    """Answer until stdin ends."""
    die_with_parent(int(sys.argv[-1]))
    size = int(sys.argv[1]) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    answers = sys.stdout
    math_class("\\sqrt{2}+x")  # the first parse builds the grammar's tables
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        found = None
        # Parsers raise anything on hostile text; what they can't read is compared as text.
        with contextlib.suppress(Exception), contextlib.redirect_stdout(sys.stderr):
            found = math_class(json.loads(line))
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
