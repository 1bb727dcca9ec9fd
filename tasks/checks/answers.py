"""Final answers: found in a completion by declared rules, compared by one canonical form.

Two steps that never mix. :func:`extract_answer` finds the raw answer and says which rule found it;
:func:`canonical_answer` turns a raw answer into the text under which equal answers are equal
(`$1,000.0` and `1e3` are both `1000`). Votes, references and selections compare canonical forms
only, so a stronger equivalence is another canonical function: :mod:`tasks.checks.math_answers` has
one for LaTeX, sets and formulas.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Literal, NamedTuple

ANSWERS_VERSION = "1"  # raise when a rule or a canonical form changes: it is stored in `scores`

AnswerKind = Literal["number", "text", "math"]
Rule = Literal["hash", "answer_line", "boxed", "phrase", "last_number"]
MARKER_RULES: tuple[Rule, ...] = ("hash", "answer_line", "boxed", "phrase")
RULES_WITH_FALLBACK: tuple[Rule, ...] = (*MARKER_RULES, "last_number")

MAX_NUMBER_CHARACTERS = 200  # longer digit strings are run-away samples; kept as text, not parsed
MAX_EXPONENT = 100  # "1e999999999" must not become a number with a billion digits

_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+"
_SIGNED = rf"[-+]?\s?(?:{_NUMBER})(?:[eE][-+]?[0-9]+)?"
_CURRENCY = "$€£¥"
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALE = rf"(?:\s+(?P<scale>{'|'.join(_SCALES)}))?"

_DECIMAL = re.compile(rf"(?P<number>{_SIGNED}){_SCALE}", re.IGNORECASE)
_FRACTION = re.compile(
    r"(?P<sign>[-+]?)\s?(?:(?P<whole>[0-9]+)\s+)?(?P<top>[0-9]+)\s?/\s?(?P<bottom>[0-9]+)"
)
_AMOUNT = rf"[-+]?\s?[{_CURRENCY}]?\s?{_SIGNED}"
# A number that opens the payload, with whatever unit follows; "10:30", "2x" and "18-20" are text.
_LEADING = re.compile(
    rf"(?P<value>{_AMOUNT}(?:(?:\s+[0-9]+)?\s?/\s?[0-9]+)?(?:\s+(?:{'|'.join(_SCALES)})\b)?\s?%?)"
    r"(?=$|[.,;!?](?:\s|$)|\s+[^\W\d_]|[)\]}*])",
    re.IGNORECASE,
)
_ANY_NUMBER = re.compile(
    rf"(?:(?<![\w.)])[-+])?[{_CURRENCY}]?(?:{_NUMBER})(?:[eE][-+]?[0-9]+)?(?:/[0-9]+)?%?"
)

_HASH = re.compile(r"^[ \t]*####[ \t]*(\S.*)$", re.MULTILINE)
_ANSWER_LINE = re.compile(
    r"^[ \t*]*(?:A|(?:the[ \t]+)?(?:final[ \t]+)?answer)[ \t*]*:[ \t*]*(\S.*)$",
    re.MULTILINE | re.IGNORECASE,
)
_PHRASE = re.compile(
    r"\banswer(?:[ \t]+(?:is|equals)\b|[ \t]*=)[ \t]*:?[ \t]*"
    r"([^\s.].*?|\.[0-9].*?)(?=\.?[ \t]*$|\.\s)",
    re.MULTILINE | re.IGNORECASE,
)
_BOX_OR_BRACE = re.compile(r"\\(?:boxed|fbox)\s*\{|[{}]")

_CHARACTERS = str.maketrans(
    {"\u2212": "-", "\u2012": "-", "\u2013": "-", "\ufe63": "-", "\uff0d": "-", "\u2044": "/",
     "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2019": "'", "\u2018": "'",
     "\u201c": '"', "\u201d": '"', "½": " 1/2", "¼": " 1/4", "¾": " 3/4", "⅓": " 1/3", "⅔": " 2/3"}
)  # fmt: skip
_WRAPPERS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"\*+([^*]+)\*+", r"`+([^`]+)`+", r'"([^"]*)"', r"'([^']*)'", r"\$\$?([^$]*)\$\$?",
        r"\\\((.*)\\\)", r"\\\[(.*)\\\]",
        r"\\(?:boxed|fbox|text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}",
        r"\(([A-Za-z]|[-+]?[0-9]+(?:\.[0-9]+)?)\)",
    )
)  # fmt: skip
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*([0-9]+)\s*\}\s*\{\s*([0-9]+)\s*\}")


class Extraction(NamedTuple):
    """A raw answer and the rule that found it."""

    answer: str
    rule: Rule


def extract_answer(
    text: str, *, kind: AnswerKind = "number", rules: tuple[Rule, ...] = MARKER_RULES
) -> Extraction | None:
    r"""The raw final answer in `text`, or None where no rule of `rules` finds one.

    Rules are tried in the order given and the last place in the text that fits a rule wins:
    `hash` (`#### 18`, GSM8K), `answer_line` (a line `A: 18` or `Answer: 18`), `boxed`
    (`\boxed{18}`), `phrase` (`The answer is 18.`) and `last_number` (the last number anywhere).
    The last one guesses: it is used only where `rules` names it, and the rule is in the result,
    so that a score can record that an answer was guessed.

    Args:
        text: A completion.
        kind: `number` drops the unit behind a number (`18 dollars` is `18`); `text` and `math`
            keep all.
        rules: The rules to try, in order.

    Example:
        >>> extract_answer("16 - 3 = 13\nA: $13.00 a day")
        Extraction(answer='$13.00', rule='answer_line')
        >>> extract_answer("so it is 13") is None
        True
        >>> extract_answer("so it is 13", rules=RULES_WITH_FALLBACK)
        Extraction(answer='13', rule='last_number')
    """
    for rule in rules:
        payload = _FINDERS[rule](text)
        if payload is None:
            continue
        payload = payload.strip()
        answer = _leading_number(payload) if kind == "number" else payload
        if answer:
            return Extraction(answer, rule)
    return None


def _last(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    def find(text: str) -> str | None:
        found = None
        for match in pattern.finditer(text):
            found = match.group(1)
        return found

    return find


def _last_box(text: str) -> str | None:
    """The content of the last balanced `\\boxed{...}`; a box cut off by the token limit is none."""
    open_braces: list[tuple[int, bool]] = []  # where the content starts, whether a box opened it
    best: tuple[int, int] | None = None
    for match in _BOX_OR_BRACE.finditer(text):
        if match.group() != "}":
            open_braces.append((match.end(), match.group() != "{"))
        elif open_braces:
            start, is_box = open_braces.pop()
            if is_box and (best is None or start > best[0]):
                best = (start, match.start())
    return None if best is None else text[best[0] : best[1]]


def _last_number(text: str) -> str | None:
    found = None
    for match in _ANY_NUMBER.finditer(text.translate(_CHARACTERS)):
        found = match.group()
    return found


_FINDERS: dict[Rule, Callable[[str], str | None]] = {
    "hash": _last(_HASH),
    "answer_line": _last(_ANSWER_LINE),
    "boxed": _last_box,
    "phrase": _last(_PHRASE),
    "last_number": _last_number,
}


def _leading_number(payload: str) -> str:
    """The number that opens `payload`, or follows its last `=`; else the payload as it is."""
    cleaned = payload.translate(_CHARACTERS).strip().strip("*`").replace("\\$", "$")
    match = _LEADING.match(cleaned.rpartition("=")[2].strip())
    return match.group("value").strip() if match else payload


def canonical_answer(raw: str) -> str | None:
    r"""The text under which equal answers are equal, or None for an empty answer.

    Numbers lose thousands separators, currency and percent signs (`50%` is `50`), a plus sign and
    trailing zeros; scientific notation and scale words are written out; fractions are reduced and
    written as decimals where those end (`1/2` is `0.5`, `2/6` is `1/3`). All else is text: markup
    around it, outer quotes, case, runs of spaces and end punctuation are dropped. The function is
    idempotent.

    Example:
        >>> [canonical_answer(raw) for raw in ("$1,000.0", "1e3", " +1000. ", "2/4", "-0", "(B)")]
        ['1000', '1000', '1000', '0.5', '0', 'b']
    """
    text = raw
    for _ in range(8):  # each pass peels one layer of markup; real answers need one or two
        cleaned = _clean(text)
        number = _parse_number(cleaned)
        cleaned = cleaned if number is None else _format_number(number)
        if cleaned == text:
            break
        text = cleaned
    return text or None


def canonical_map(
    raws: Iterable[str | None],
    canonical: Callable[[str], str | None] = canonical_answer,
) -> dict[str, str | None]:
    """The canonical form of every distinct raw answer, each computed once."""
    return {raw: canonical(raw) for raw in dict.fromkeys(raws) if raw is not None}


def same_answer(left: str | None, right: str | None) -> bool:
    """Whether two raw answers have the same canonical form; a missing answer equals nothing.

    Example:
        >>> same_answer("3,000", "3000"), same_answer("2", "3"), same_answer(None, None)
        (True, False, False)
    """
    if left is None or right is None:
        return False
    canonical = canonical_answer(left)
    return canonical is not None and canonical == canonical_answer(right)


def _clean(text: str) -> str:
    text = unicodedata.normalize("NFC", text).translate(_CHARACTERS).casefold()
    text = " ".join(_LATEX_FRACTION.sub(r"\1/\2", text).split())
    text = text.replace("\\$", "$").replace("\\%", "%").rstrip(" .,;:!?").strip()
    for wrapper in _WRAPPERS:
        match = wrapper.fullmatch(text)
        if match:
            text = match.group(1).strip()
    return text


def _parse_number(text: str) -> Fraction | None:
    """The exact value of a text that is one number and nothing else."""
    if not text or len(text) > MAX_NUMBER_CHARACTERS:
        return None
    bare = text.removesuffix("%").strip()
    for symbol in _CURRENCY:
        bare = re.sub(rf"^([-+]?)\s?\{symbol}\s?", r"\1", bare)
    bare = bare.rstrip(_CURRENCY).strip()
    if match := _FRACTION.fullmatch(bare):
        bottom = int(match["bottom"])
        if bottom == 0:
            return None
        value = int(match["whole"] or 0) + Fraction(int(match["top"]), bottom)
        return -value if match["sign"] == "-" else value
    match = _DECIMAL.fullmatch(bare)
    if match is None:
        return None
    digits = match["number"].replace(",", "").replace(" ", "").lower()
    exponent = digits.partition("e")[2]
    if exponent and (len(exponent) > 5 or abs(int(exponent)) > MAX_EXPONENT):
        return None
    return Fraction(digits) * _SCALES.get((match["scale"] or "").lower(), 1)


def _format_number(value: Fraction) -> str:
    """Plain decimal digits where they end, else a reduced fraction."""
    rest, places = value.denominator, 0
    twos = fives = 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    if places == 0:
        return str(value.numerator)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
