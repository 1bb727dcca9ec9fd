"""`Sample`: the one way to ask a model, whatever it is asked for; and chains of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.ask.draw import DrawRule
from tasks.ask.parsers import Parser
from tasks.ask.template import Template
from tasks.engines import Structure
from tasks.errors import TemplateError
from tasks.sampling import SEED_BITS, SampleKey, SamplingSpec

Constant = str | int | float | bool | list[str]


class Sample(SamplingSpec):
    """Ask the model about every row of `over`; each completion is a row of `samples`.

    The role says what is asked for: an answer, program, test, critique, refinement, judgement,
    question, rephrasing, plan, or a word of your own.
    """

    role: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$", description="What the model is asked for: samples.role."
    )
    template: Template = Field(
        description="What it is asked: the name of a template, a .toml file, or the messages."
    )
    over: str = Field(
        default="prompts",
        description="Rows to ask about: prompts, answers, pairs, or an SQL query that gives "
        "prompt_id, parent_ids and the template's columns. In a chain only the first one's counts.",
    )
    constants: dict[str, Constant] = Field(
        default_factory=dict, description="More variables of the template, the same for every row."
    )
    turn: int = Field(default=0, ge=0, description="Turn of a dialog; a chain counts on from here.")
    stop: tuple[str, ...] = Field(default=(), description="Texts that end a completion.")
    structure: Structure | None = Field(
        default=None, description="What a completion has to look like, where the engine can do it."
    )
    parser: Parser | None = Field(
        default=None, description="Reads completions; what it finds goes to `scores`."
    )
    check: str = Field(default="", description="Name of its check in `scores`; empty: the role.")
    about: Literal["self", "parent"] = Field(
        default="self", description="Whether a score is about the completion or its first parent."
    )
    when: tuple[str, ...] = Field(
        default=(),
        description="In a chain: only after a completion that its parser gave one of these labels.",
    )
    draw: DrawRule | None = Field(
        default=None, description="Ends groups early or extends them; empty: n for every row."
    )

    @property
    def check_name(self) -> str:
        """Its check in `scores`."""
        return self.check or self.role

    def sampling(self) -> dict[str, object]:
        """What decides its completions, for samples.sampling: settings and template digest."""
        settings = self.model_dump(include=set(SamplingSpec.model_fields))
        more = self.model_dump(
            mode="json", include={"constants", "stop", "structure", "draw"}, exclude_defaults=True
        )
        return {**settings, "template": self.template.digest, **more}


class Chain(BaseModel):
    """Samples that follow each other: the second asks about every completion of the first, ….

    A later template sees the columns of the first one's rows, the latest text of every role before
    it under the role's name, and the last text as `previous`. A completion that failed has no
    successor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    links: tuple[Sample, ...] = Field(min_length=1, description="In order.")
    wave: int = Field(
        default=256,
        ge=1,
        description="Samples given to the engine at once: fewer, and the next link starts sooner.",
    )

    @model_validator(mode="after")
    def _has_what_conditions_need(self) -> Self:
        if self.links[0].when:
            raise ValueError(f"link 0 ({self.links[0].role}): `when` needs a link before it")
        for number, (before, link) in enumerate(zip(self.links, self.links[1:], strict=False), 1):
            if link.when and before.parser is None:
                raise ValueError(
                    f"link {number} ({link.role}): when={link.when} but the link before "
                    f"({before.role}) has no parser that gives labels"
                )
        return self

    @property
    def most_per_row(self) -> int:
        """Most samples that one row can lead to."""
        total, group = 0, 1
        for link in self.links:
            group *= link.n if link.draw is None else link.draw.most(link.n)
            total += group
        return total

    def turn(self, link: int) -> int:
        """samples.turn of a link."""
        return self.links[0].turn + link

    def check(self, columns: Iterable[str]) -> None:
        """Check every template against what it will see, before anything is asked.

        Args:
            columns: Columns of the rows.

        Raises:
            TemplateError: If a template uses what it won't have.
        """
        known = set(columns)
        for link in self.links:
            link.template.check(known | set(link.constants))
            known |= {link.role, "previous"}

    def check_rows(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Check that the first template can be filled with one row at least.

        A row with a null where a text is shown costs itself; if no row has one, the question is
        wrong.

        Args:
            rows: Some rows; none are fine.

        Raises:
            TemplateError: If it can be filled with none of them; the first row's error.
        """
        first, wrong = self.links[0], None
        for row in rows:
            try:
                first.template.render(variables(row, first, ()))
            except TemplateError as error:
                wrong = wrong or error
            else:
                return
        if wrong is not None:
            raise wrong


def as_chain(what: Sample | Chain) -> Chain:
    """A chain of one link, for a sample."""
    return what if isinstance(what, Chain) else Chain(links=(what,))


def ask_seed(seed: int, key: SampleKey, sample: Sample, turn: int, origin: str) -> int:
    """The seed of the first sample about a row: one per role, template, turn and row as well.

    Args:
        seed: The run's seed.
        key: What the samples have in common; the run's name doesn't count.
        sample: How they are drawn; neither n nor chunks count.
        turn: samples.turn.
        origin: What the row comes from.
    """
    parts = (seed, key.round, key.purpose, sample.temperature, sample.role, turn)
    text = "\x1f".join(map(str, (*parts, sample.template.digest, origin)))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> (64 - SEED_BITS)
    return number * 4096  # two rows' seeds are at least 4096 apart, the largest n


def variables(
    row: Mapping[str, object], sample: Sample, texts: Iterable[tuple[str, str]]
) -> dict[str, object]:
    """What a template sees: the row, the constants, and the texts before it, latest last."""
    values: dict[str, object] = {**row, **sample.constants}
    for role, text in texts:
        values[role] = values["previous"] = text
    return values
