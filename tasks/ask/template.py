"""Chat templates: what a model is asked about a row, as Jinja texts in a TOML file.

    about = "Ask for a better solution."

    [[messages]]
    splice = "messages"            # the chat messages that the row has in this column

    [[messages]]
    role = "user"
    content = '''
    {{ critique }}
    Now write a better solution.
    '''

Rows hold texts that models wrote, so a template runs in Jinja's sandbox and a row's texts are never
read as templates themselves.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

import jinja2
from jinja2 import StrictUndefined, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tasks.engines import Messages
from tasks.errors import TemplateError

FOLDER = Path(__file__).parent / "templates"
_ROLES = ("system", "user", "assistant")


def _no_null(value: object) -> object:
    """Refuse a null that a template would print as the word None."""
    if value is None:
        raise jinja2.UndefinedError("a null would be printed; test it with {% if ... is none %}")
    return value


_JINJA = SandboxedEnvironment(
    undefined=StrictUndefined, finalize=_no_null, trim_blocks=True, lstrip_blocks=True
)


class TemplateMessage(BaseModel):
    """One message of a template, or the messages that a row brings along."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant"] | None = Field(
        default=None, description="Who says it."
    )
    content: str | None = Field(default=None, description="Jinja text over the row's columns.")
    splice: str | None = Field(
        default=None, description="Column with a list of messages that stands here as it is."
    )

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        given = (self.role is not None, self.content is not None, self.splice is not None)
        if given not in ((True, True, False), (False, False, True)):
            raise ValueError("expected role and content, or splice alone")
        if self.content is not None:
            try:
                _JINJA.parse(self.content)
            except TemplateSyntaxError as error:
                raise ValueError(f"line {error.lineno} of the content: {error.message}") from error
        return self


class Template(BaseModel):
    """Messages to ask a model with, made from a row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="inline", description="What messages about it call it.")
    about: str = Field(default="", description="What it asks for, and where it comes from.")
    messages: tuple[TemplateMessage, ...] = Field(min_length=1, description="In order.")

    @model_validator(mode="before")
    @classmethod
    def _load_name(cls, value: object) -> object:
        """A text is the name of a template here, or the path of a .toml file."""
        return _read(value) if isinstance(value, str) else value

    @classmethod
    def load(cls, name: str) -> Template:
        """The template of a name (`tasks/ask/templates`), or in a .toml file.

        Raises:
            TemplateError: If there is none or it can't be read.
        """
        try:
            return cls.model_validate(_read(name))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise TemplateError(f"template {name!r}: {where}: {first['msg']}") from error

    @property
    def digest(self) -> str:
        """Hash of what it asks, whatever its name: 16 hex digits."""
        messages = [message.model_dump() for message in self.messages]
        return hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def variables(self) -> frozenset[str]:
        """The columns that it needs; one that it tests with `is defined` is not among them."""
        return self.reads - self._names()[1]

    @property
    def reads(self) -> frozenset[str]:
        """All columns that can be seen in its messages, those that it does not need as well."""
        return self._names()[0]

    def _names(self) -> tuple[frozenset[str], frozenset[str]]:
        found, optional = set[str](), set[str]()
        for message in self.messages:
            if message.splice is not None:
                found.add(message.splice)
                continue
            parsed = _JINJA.parse(message.content or "")
            found |= meta.find_undeclared_variables(parsed)
            for test in parsed.find_all(nodes.Test):
                if test.name == "defined" and isinstance(test.node, nodes.Name):
                    optional.add(test.node.name)
        return frozenset(found), frozenset(optional)

    def check(self, columns: Iterable[str]) -> None:
        """Check that rows with these columns have all that it uses, before anything is asked.

        Raises:
            TemplateError: If one is missing.
        """
        given = sorted(columns)
        missing = sorted(self.variables - set(given))
        if missing:
            raise TemplateError(
                f"template {self.name!r} uses {', '.join(map(repr, missing))}, which its rows "
                f"don't have; their columns are {', '.join(given) or 'none'}"
            )

    def render(self, row: Mapping[str, object]) -> Messages:
        """The messages for one row; spaces around a content are dropped.

        Raises:
            TemplateError: If the row lacks what the template uses, or has a null there.
        """
        messages: Messages = []
        for message in self.messages:
            if message.splice is not None:
                messages += _spliced(row, message.splice, self.name)
                continue
            try:
                content = _compiled(message.content or "").render(row).strip()
            except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
                place = {name: row.get(name) for name in ("prompt_id", "parent_ids")}
                raise TemplateError(f"template {self.name!r}, row {place}: {error}") from error
            messages.append({"role": message.role or "user", "content": content})
        return messages


@lru_cache(maxsize=512)
def _compiled(text: str) -> jinja2.Template:
    return _JINJA.from_string(text)


def _spliced(row: Mapping[str, object], column: str, template: str) -> Messages:
    found = row.get(column)
    if not isinstance(found, list | tuple) or not all(
        isinstance(m, dict) and m.get("role") in _ROLES and isinstance(m.get("content"), str)
        for m in found
    ):
        raise TemplateError(
            f"template {template!r} splices column {column!r}, which is no list of messages with "
            f"role and content: {str(found)[:80]}"
        )
    return [{"role": m["role"], "content": m["content"]} for m in found]


def _read(name: str) -> dict[str, object]:
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(sorted(own.stem for own in FOLDER.glob("*.toml")))
        raise TemplateError(
            f"template {name!r}: there are {known}, or give a .toml file"
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TemplateError(f"template {name!r}: {path} can't be read: {error}") from error
    return {"name": path.stem, **found}
