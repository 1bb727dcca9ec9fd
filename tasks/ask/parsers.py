"""What a text says, found by declared rules; where nothing is found, the kind of failure.

A text that can't be read is a state of its own: it has a `failure` and neither value nor label, so
that nothing can take it for a score of 0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple, Protocol, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from tasks.checks.answers import (
    ANSWERS_VERSION,
    MARKER_RULES,
    AnswerKind,
    Rule,
    canonical_answer,
    extract_answer,
)
from tasks.environments import Environment

PARSERS_VERSION = "1"  # raise when a parser reads a text differently: it is stored in `scores`

JsonValue = str | int | float | bool | None | list[str]
Failure = Literal[
    "empty", "not_found", "ambiguous", "out_of_range", "malformed", "wrong_fields", "too_few"
]
FieldKind = Literal["text", "integer", "number", "boolean", "texts"]
_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
_MARKUP = r"[\s*_`#:=\[\](\"'\\{]*"  # what models put between a marker and what it marks
_LANGUAGE = re.compile(r"[ \t]*(\w*)")
# No pattern may look twice at the same characters: a model that repeats itself to its limit gives
# 100,000 of them, on which a lazy `.*?` before a rare ending takes minutes.
_ITEM = re.compile(r"^[ \t]*(?:[-*•]|\(?[0-9]{1,3}[.):])[ \t]+(?P<item>\S.*)$", re.MULTILINE)
_AROUND = " \t\r\n*_`#:=[]()\"'\\{}.!"  # what may stand around a choice that is the whole text
_FIELDS: dict[FieldKind, object] = {
    "text": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "texts": list[str],
}


@dataclass(frozen=True)
class Parsed:
    """What was found in one text.

    Attributes:
        value: A number, None if the parser gives none or failed.
        label: A word or a canonical text, None if the parser gives none or failed.
        detail: What else was found.
        failure: Why nothing was found; None if something was.
    """

    value: float | None = None
    label: str | None = None
    detail: dict[str, JsonValue] = field(default_factory=dict)
    failure: Failure | None = None


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def version(self) -> str:
        """Changes with its settings: another parser has another opinion."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()
        return f"{PARSERS_VERSION}-{digest[:8]}"


class _Block(NamedTuple):
    language: str
    code: str


def _fenced(text: str) -> Iterator[_Block]:
    """The fenced blocks of a text, in order; one that nothing closes is none."""
    start = text.find("```")
    while start >= 0:
        body = text.find("\n", start) + 1
        end = text.find("```", body) if body else -1
        if end < 0:
            return
        language = _LANGUAGE.match(text, start + 3)
        yield _Block(language[1].casefold() if language else "", text[body:end])
        start = text.find("```", end + 3)


class ScoreParser(_Spec):
    """The last number behind the marker, on a scale: `Score: 4`, `**Score:** 4/5`."""

    kind: Literal["score"] = "score"
    low: float = Field(default=0.0, description="Lowest score of the scale.")
    high: float = Field(default=5.0, description="Highest score.")
    marker: str = Field(
        default="score", description="Word before the number; empty: the last number of all."
    )

    def parse(self, text: str) -> Parsed:
        """Value: the score. Failures: not_found, out_of_range; ambiguous for `2 to 3`."""
        marker = rf"\b{re.escape(self.marker)}\b(?:\s+is\b|\s+of\b)?{_MARKUP}"
        pattern = re.compile(
            rf"{marker if self.marker else ''}(?P<score>{_NUMBER})"
            rf"(?P<range>\s*(?:-|\u2013|to|or)\s*{_NUMBER})?",
            re.IGNORECASE,
        )
        matches = list(pattern.finditer(text))
        if not matches:
            return Parsed(failure="not_found")
        found = matches[-1]
        if found["range"]:
            return Parsed(failure="ambiguous", detail={"found": found.group()})
        value = float(found["score"])
        if not self.low <= value <= self.high:
            return Parsed(failure="out_of_range", detail={"found": found["score"]})
        return Parsed(value=value, label=f"{value:g}")


class ChoiceParser(_Spec):
    """One of some words: in double brackets (`[[A]]`), behind a marker, or as the whole text."""

    kind: Literal["choice"] = "choice"
    options: tuple[str, ...] = Field(
        default=("A", "B", "tie"), min_length=2, description="The words; case does not matter."
    )
    marker: str = Field(
        default="winner|choice|verdict|answer", description="Words before the choice, by |."
    )

    def parse(self, text: str) -> Parsed:
        """Label: the option as it is written in `options`. Failures: not_found, ambiguous."""
        words = "|".join(re.escape(word) for word in self.options)
        patterns = (
            rf"\[\[\s*({words})\s*\]\]",
            rf"\b(?:{self.marker})\b(?:\s+is\b)?{_MARKUP}({words})(?!\w)",
        )
        marked = (re.findall(pattern, text, re.IGNORECASE) for pattern in patterns)
        for said in (*marked, [text.strip(_AROUND)]):
            found = {word.casefold() for word in said} & {o.casefold() for o in self.options}
            if len(found) > 1:
                return Parsed(failure="ambiguous", detail={"found": sorted(found)})
            for word in self.options:
                if word.casefold() in found:
                    return Parsed(label=word)
        return Parsed(failure="not_found")


class VerdictParser(_Spec):
    """Yes or no, in the words of both: the last line that holds a verdict decides."""

    kind: Literal["verdict"] = "verdict"
    yes: tuple[str, ...] = Field(default=("yes", "correct", "right", "true"), min_length=1)
    no: tuple[str, ...] = Field(default=("no", "incorrect", "wrong", "false"), min_length=1)

    def parse(self, text: str) -> Parsed:
        """Label `yes` or `no`, value 1 or 0. Failures: not_found, ambiguous (both in a line)."""
        yes, no = ("|".join(map(re.escape, words)) for words in (self.yes, self.no))
        negated = re.compile(rf"\bnot\s+(?:{yes})\b", re.IGNORECASE)  # "not correct" says no
        patterns = {
            label: re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
            for label, words in (("yes", yes), ("no", no))
        }
        for line in reversed(text.splitlines()):
            words = negated.sub(lambda match: self.no[0], line)
            found = {label for label, pattern in patterns.items() if pattern.search(words)}
            if len(found) == 2:
                return Parsed(failure="ambiguous", detail={"found": line[:200]})
            if found:
                label = found.pop()
                return Parsed(value=float(label == "yes"), label=label)
        return Parsed(failure="not_found")


class JsonParser(_Spec):
    """One JSON object with declared fields, fenced or bare."""

    kind: Literal["json"] = "json"
    fields: dict[str, FieldKind] = Field(min_length=1, description="Kind of every field.")
    value: str | None = Field(default=None, description="Field that is the value.")
    label: str | None = Field(default=None, description="Field that is the label.")

    @model_validator(mode="after")
    def _has_what_it_names(self) -> Self:
        numbers = [name for name, kind in self.fields.items() if kind not in ("text", "texts")]
        if self.value is not None and self.value not in numbers:
            raise ValueError(f"value={self.value!r}: expected a field with a number: {numbers}")
        if self.label is not None and self.label not in self.fields:
            raise ValueError(f"label={self.label!r}: expected one of {list(self.fields)}")
        return self

    def parse(self, text: str) -> Parsed:
        """Detail: the fields. Failures: not_found, malformed, wrong_fields, out_of_range."""
        fenced = list(_fenced(text))
        source = fenced[-1].code if fenced else text
        start, end = source.find("{"), source.rfind("}")
        if start < 0 or end < start:
            return Parsed(failure="not_found")
        types: dict[str, object] = {
            name: (_FIELDS[kind], ...) for name, kind in self.fields.items()
        }
        # No NaN: it is no JSON, and no table takes it for a value.
        config = ConfigDict(strict=True, allow_inf_nan=False)
        model = create_model("Fields", __config__=config, **types)  # type: ignore[call-overload]
        try:
            read = model.model_validate_json(source[start : end + 1]).model_dump()
        except ValidationError as error:
            first = error.errors()[0]
            kind: Failure = "malformed" if first["type"] == "json_invalid" else "wrong_fields"
            where = ".".join(map(str, first["loc"]))
            return Parsed(failure=kind, detail={"found": f"{where}: {first['msg']}".strip(": ")})
        given = read.get(self.value) if self.value else None
        label = read.get(self.label) if self.label else None
        try:
            value = None if given is None else float(given)
        except OverflowError:
            return Parsed(failure="out_of_range", detail={"found": str(given)})
        return Parsed(value, None if label is None else str(label), read)


class ListParser(_Spec):
    """The items of a numbered or bulleted list: questions, principles, tests."""

    kind: Literal["list"] = "list"
    at_least: int = Field(default=1, ge=1, description="Fewest items of a usable list.")

    def parse(self, text: str) -> Parsed:
        """Value: how many; detail.items: the items. Failures: not_found, too_few."""
        items = [match["item"].rstrip() for match in _ITEM.finditer(text)]
        if len(items) < self.at_least:
            kind: Failure = "too_few" if items else "not_found"
            return Parsed(failure=kind, detail={"items": items})
        return Parsed(value=float(len(items)), detail={"items": items})


class PassageParser(_Spec):
    """A passage of free text: a new question, a rewritten one. Behind the last marker, if any."""

    kind: Literal["passage"] = "passage"
    marker: str = Field(
        default="", description="Words before the passage, e.g. 'New problem:'; empty: all of it."
    )
    until: tuple[str, ...] = Field(
        default=(), description="Words that end it, e.g. 'Solution:'; they are left out."
    )

    def parse(self, text: str) -> Parsed:
        """Detail.items: the passage, alone. Failures: not_found (no marker), empty."""
        _, found, passage = text.rpartition(self.marker) if self.marker else ("", "all", text)
        if not found:
            return Parsed(failure="not_found")
        ends = [passage.find(end) for end in self.until]
        passage = passage[: min((end for end in ends if end >= 0), default=None)].strip()
        return Parsed(detail={"items": [passage]}) if passage else Parsed(failure="empty")


class AnswerParser(_Spec):
    """A final answer, by the same rules as an environment's answers (`tasks.checks.answers`)."""

    kind: Literal["answer"] = "answer"
    answer: AnswerKind = Field(default="number", description="What answers are.")
    rules: tuple[Rule, ...] = Field(default=MARKER_RULES, min_length=1, description="In order.")

    def parse(self, text: str) -> Parsed:
        """Label: the canonical answer. Failure: not_found."""
        found = extract_answer(text, kind=self.answer, rules=self.rules)
        label = None if found is None else canonical_answer(found.answer)
        if found is None or label is None:
            return Parsed(failure="not_found")
        return Parsed(label=label, detail={"raw": found.answer, "rule": found.rule})


class CodeParser(_Spec):
    """The last fenced block of code."""

    kind: Literal["code"] = "code"
    languages: tuple[str, ...] = Field(
        default=("", "python", "py"), description="Languages of the fence; '' for none given."
    )

    def parse(self, text: str) -> Parsed:
        """Detail.code: the code; its label is the language. Failure: not_found."""
        blocks = [block for block in _fenced(text) if block.language in self.languages]
        if not blocks or not blocks[-1].code.strip():
            return Parsed(failure="not_found")
        return Parsed(label=blocks[-1].language or "code", detail={"code": blocks[-1].code})


Parser = Annotated[
    ScoreParser
    | ChoiceParser
    | VerdictParser
    | JsonParser
    | ListParser
    | PassageParser
    | AnswerParser
    | CodeParser,
    Field(discriminator="kind"),
]
"""Any of the parsers, told apart by `kind`."""


class Reader(Protocol):
    """Anything that reads texts as a parser does."""

    @property
    def version(self) -> str:
        """Changes when it reads differently."""

    def parse(self, text: str) -> Parsed:
        """What a text says."""


@dataclass(frozen=True)
class EnvironmentReader:
    """Reads the answers to an environment's problems, as its checks do."""

    environment: Environment

    @property
    def version(self) -> str:
        """The environment and the version of its checks."""
        return f"{ANSWERS_VERSION}-{self.environment.name}"

    def parse(self, text: str) -> Parsed:
        """Label: the canonical answer. Failure: not_found."""
        raw = self.environment.parse_answer(text)
        label = None if raw is None else self.environment.canonical(raw)
        return Parsed(failure="not_found") if label is None else Parsed(label=label)


def read(parser: Reader, text: str) -> Parsed:
    """What a text says; an empty one says nothing, whatever the parser.

    Example:
        >>> read(ScoreParser(), "Clear and complete. Score: 4/5").value
        4.0
        >>> read(ScoreParser(), "Score: 9").failure, read(ScoreParser(), " ").failure
        ('out_of_range', 'empty')
    """
    return parser.parse(text) if text.strip() else Parsed(failure="empty")
