"""Templates: what is missing is found before the run, and a row's texts are only texts."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.ask import Chain, Sample, Template
from tasks.ask.template import FOLDER
from tasks.errors import TemplateError

ASK = {"name": "t", "messages": [{"role": "user", "content": "Is {{ answer }} right?"}]}


def inline(content: str) -> Template:
    return Template.model_validate({"messages": [{"role": "user", "content": content}]})


def test_messages_follow_the_row_and_a_splice_stands_as_it_is() -> None:
    own = [{"role": "system", "content": "s"}, {"role": "user", "content": "{{ 1 }}"}]
    template = Template.model_validate(
        {"messages": [{"splice": "messages"}, {"role": "assistant", "content": " {{ answer }}\n"}]}
    )
    assert template.variables == {"messages", "answer"}
    found = template.render({"messages": own, "answer": "{{ 2 }}"})
    assert found == [*own, {"role": "assistant", "content": "{{ 2 }}"}]


def test_a_missing_variable_is_named_with_template_and_columns() -> None:
    with pytest.raises(TemplateError, match=r"template 't' uses 'answer'.*columns are a, b"):
        Template.model_validate(ASK).check(["b", "a"])


def test_a_chain_knows_what_each_link_will_see() -> None:
    first = Sample(role="answer", template="as_is")
    last = Sample(role="critique", template="critique")
    Chain(links=(first, last)).check(["messages", "problem"])
    with pytest.raises(TemplateError, match="'critique' uses 'problem'"):
        Chain(links=(first, last)).check(["messages"])
    with pytest.raises(TemplateError, match="'critique' uses 'answer'"):
        Chain(links=(first.model_copy(update={"role": "draft"}), last)).check(
            ["messages", "problem"]
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{{ answer }}", "a null would be printed"),
        ("{{ answer.x }}", "no attribute"),
        ("{{ prompt_id.__class__.__mro__ }}", "unsafe|undefined"),
    ],
)
def test_a_row_that_cannot_be_rendered_is_named(content: str, message: str) -> None:
    with pytest.raises(TemplateError, match=rf"row .*p7.*({message})"):
        inline(content).render({"prompt_id": "p7", "answer": None})


def test_what_is_tested_with_is_defined_may_be_missing() -> None:
    template = inline("{{ a }}{% if b is defined and b %} {{ b }}{% endif %}")
    assert template.variables == {"a"}
    template.check(["a"])
    found = [template.render(row)[0]["content"] for row in ({"a": 1}, {"a": 1, "b": 2})]
    assert found == ["1", "1 2"]


def test_a_null_can_be_tested() -> None:
    template = inline("{% if hint is none %}no hint{% else %}{{ hint }}{% endif %}")
    assert [template.render({"hint": h})[0]["content"] for h in (None, "x")] == ["no hint", "x"]


@pytest.mark.parametrize("messages", ["no list", [{"role": "judge", "content": "x"}], [{}]])
def test_only_messages_can_be_spliced(messages: object) -> None:
    template = Template.model_validate({"messages": [{"splice": "messages"}]})
    with pytest.raises(TemplateError, match="splices column 'messages'"):
        template.render({"messages": messages})


def test_the_digest_follows_the_messages_alone() -> None:
    template = Template.model_validate(ASK)
    renamed = Template.model_validate({**ASK, "name": "u", "about": "x"})
    assert template.digest == renamed.digest != inline("Is {{ answer }} right!").digest


def test_files_are_read_by_name_and_path(tmp_path: Path) -> None:
    for path in FOLDER.glob("*.toml"):
        template = Template.load(path.stem)
        assert template.about and template.variables, path
        assert template.name == path.stem and template.digest == Template.load(str(path)).digest
    bad = tmp_path / "bad.toml"
    bad.write_text("[[messages]]\nrole = 'user'\ncontent = '{% if %}'\n")
    with pytest.raises(TemplateError, match=r"bad\.toml.*messages.0: .*line 1 of the content"):
        Template.load(str(bad))
    with pytest.raises(TemplateError, match="there are as_is, back_translate"):
        Template.load("nothing")


@pytest.mark.parametrize("message", [{"role": "user"}, {"splice": "m", "role": "user"}, {}])
def test_a_message_is_a_text_or_a_splice(message: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="role and content, or splice alone"):
        Template.model_validate({"messages": [message]})
