"""Reads what a solution's process answered, and says what an answer is worth, or none."""

import hashlib
import random
import re
import reprlib
from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import NamedTuple

from sandbox.cell.decoding import decode
from sandbox.cell.values import Array, Iterated, MalformedValueError, Reference, Scalar
from sandbox.judging import Judgement, Outcome, compare_exact, judge
from sandbox.limits import Limits
from sandbox.programs import CaseResult, Program, Verdict

_MAX_TEXT = 500
_MAX_NAME = 80
_MAX_BITS = 512
_PLAIN = Program(id="", source="")


class Reply(NamedTuple):
    """One answer.

    Attributes:
        kind: `value`, `raised`, `missing`, `unencodable`, `too_large` or `method`.
        value: What was returned.
        names: Of the exception's classes, its own first.
        text: The exception's text, or the name of what is missing or not plain.
    """

    kind: str
    value: object = None
    names: tuple[str, ...] = ()
    text: str = ""


def clean(text: str, limit: int = _MAX_TEXT) -> str:
    r"""Return untrusted text as one that can be stored and printed.

    Example:
        >>> clean("a\x1b[31m\ud800", 80)
        'a\\x1b[31m\\ud800'
    """
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:limit])
    return "".join(shown)[:limit]


def read_reply(body: bytes, *, kinds: Collection[str] = ()) -> Reply | None:
    """Return an answer, None when it is none.

    Args:
        body: From the solution's process.
        kinds: Of the references that may occur: `iterator`, `callable`, `object`.
    """

    def resolve(reference: Reference) -> object:
        if reference.number < 0 or reference.kind not in kinds:
            raise ValueError("not to be expected from the solution")
        return reference

    try:
        reply = decode(body, resolve if kinds else None)
    except MalformedValueError:
        return None
    if type(reply) is not tuple or not reply:
        return None
    types = tuple(type(part) for part in reply)
    if reply[0] == "value" and len(reply) == 3 and types[2] is dict:
        return Reply("value", reply[1])
    if reply[0] == "raised" and types == (str, list, tuple, str):
        names = tuple(name for name in reply[1] if type(name) is str)
        if names and len(names) == len(reply[1]):
            return Reply("raised", names=names, text=clean(reply[3]))
    if reply[0] in ("missing", "unencodable") and types == (str, str):
        return Reply(reply[0], text=clean(reply[1], _MAX_NAME))
    if reply == ("too_large",) or (kinds and reply == ("method",)):
        return Reply(reply[0])
    return None


def failure(reply: Reply) -> tuple[CaseResult, list[str]] | None:
    """Return what an answer without a value is, and its flags; None for one that has a value."""
    if reply.kind == "raised":
        note = clean(f"{reply.names[0]}: {reply.text}")
        found = re.match(r"No module named '([\w.]+)'", reply.text)
        missing = [f"missing_dependency:{found[1]}"] if found else []
        flags = missing if "ModuleNotFoundError" in reply.names else []
        return CaseResult(_raised_verdict(reply.names), note=note), flags
    if reply.kind == "missing":
        note = f"the program does not define {reply.text}"
        return CaseResult(Verdict.RUNTIME_ERROR, note=note), ["missing_entry_point"]
    if reply.kind == "unencodable":
        note = f"returned a {reply.text}, which is no plain value"
        return CaseResult(Verdict.WRONG_ANSWER, note=note), [f"unencodable:{reply.text}"]
    if reply.kind == "too_large":
        note = "returned more than may leave the cell"
        return CaseResult(Verdict.OUTPUT_LIMIT, note=note), ["result_too_large"]
    return None


def _raised_verdict(names: tuple[str, ...]) -> Verdict:
    if "SystemExit" in names:
        return Verdict.EARLY_EXIT
    return Verdict.MEMORY_LIMIT if "MemoryError" in names else Verdict.RUNTIME_ERROR


def shuffled(source: str, parts: Sequence[bytes]) -> list[int]:
    """Return the places `0 .. len(parts) - 1` in an order that the source and the parts decide.

    A program that returns the k-th answer on the k-th call must not find the k-th case there, nor
    learn the order from earlier attempts with another source.
    """
    digest = hashlib.sha256(encode_source(source))
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    order = list(range(len(parts)))
    random.Random(digest.digest()).shuffle(order)
    return order


def unanswered(process: Verdict) -> Verdict:
    """Return the verdict on what a process did not answer before it ended like this."""
    if process is Verdict.ACCEPTED:
        return Verdict.EARLY_EXIT  # It claims a regular end that it did not come to.
    return process if process.is_label else Verdict.NOT_RUN


def judge_process(outcome: Outcome, limits: Limits) -> Judgement:
    """Return how a process ended, whatever it answered."""
    return judge(_PLAIN, outcome, limits, compare_exact)


def encode_source(text: str) -> bytes:
    """Return a source as the cell takes it."""
    # Surrogates cannot be encoded; passed on, they become a compile error in the cell.
    return text.encode("utf-8", "surrogatepass")


def put_together(
    verdict: Verdict, plain: Judgement, flags: list[str], results: list[CaseResult]
) -> Judgement:
    """Return the verdict on a function, with what its process adds to it."""
    every = tuple(dict.fromkeys([*plain.flags, *flags]))
    return Judgement(verdict, plain.exit_code, plain.signal, every, tuple(results))


class _Shower(reprlib.Repr):
    """Shows plain values in bounded space and time."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 16
        self.maxdeque = 16
        self.maxstring = self.maxother = 120

    def repr_int(self, x: int, level: int) -> str:
        bits = x.bit_length()
        # Decimal digits take quadratic time.
        return repr(x) if bits <= _MAX_BITS else f"<int of {bits} bits>"

    def repr_range(self, x: range, level: int) -> str:
        return f"range{self.repr_tuple((x.start, x.stop, x.step), level)}"

    def repr_slice(self, x: slice, level: int) -> str:
        return f"slice{self.repr_tuple((x.start, x.stop, x.step), level)}"

    def repr_Fraction(self, x: Fraction, level: int) -> str:
        return f"Fraction{self.repr_tuple((x.numerator, x.denominator), level)}"

    def repr_Scalar(self, x: Scalar, level: int) -> str:
        return f"{x.dtype}({self.repr1(x.value, level - 1)})"

    def repr_Array(self, x: Array, level: int) -> str:
        return f"array(shape={x.shape}, {x.dtype}, {self.repr1(x.items, level - 1)})"

    def repr_Iterated(self, x: Iterated, level: int) -> str:
        return f"{x.kind}({self.repr1(x.items, level - 1)})"


_shower = _Shower()


def show(value: object) -> str:
    """Return a plain value as text of at most a line or two.

    Example:
        >>> show([1, "a", 2**5000])
        "[1, 'a', <int of 5001 bits>]"
    """
    return clean(_shower.repr(value))
