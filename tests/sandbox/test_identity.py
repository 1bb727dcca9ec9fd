import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import (
    Case,
    Environment,
    FunctionCases,
    FunctionTests,
    Job,
    Limits,
    Program,
    SandboxUsageError,
)
from sandbox.cache import box_digest
from sandbox.equality import EQUALITIES
from sandbox.identity import job_digest
from tests.sandbox.fixed_box import ENVIRONMENT, FixedBox

JOBS: tuple[Job, ...] = (
    Program("a", "print(1)"),
    FunctionCases("a", "def f(x): return x", "f", (Case((1,), 1),)),
    FunctionTests("a", "def f(x): return x", ("f",), ("assert f(1) == 1",)),
)


def changed(value: object, kind: object) -> object:
    """Another value of the same kind as a field's."""
    if kind == Limits | None:
        return Limits(cpu_s=0.77)
    match value:
        case None | str():
            return f"{value or ''}x"
        case float() | int():
            return value * 1.5
        case tuple() as parts:
            return (*parts, *parts) or ("x",)
        case list() as parts:
            return [*parts, "x"]
        case Mapping():
            return {**value, "x": 1}
    raise AssertionError(f"how does one change a {kind}?")


def other_equality(job: Job) -> Job:
    """A job whose equality is another one that there is; of any other text there is none."""
    if isinstance(job, FunctionCases) and job.equality not in EQUALITIES:
        return replace(job, equality="strict")
    return job


def variants(instance: typing.Any) -> Iterator[tuple[str, typing.Any]]:
    """The instance with one field changed, for each field that it has."""
    hints = typing.get_type_hints(type(instance))
    for field in dataclasses.fields(instance):
        value = changed(getattr(instance, field.name), hints[field.name])
        yield field.name, replace(instance, **{field.name: value})


@pytest.mark.parametrize("job", JOBS, ids=lambda job: type(job).__name__)
def test_every_field_of_a_job_but_its_id_changes_its_key(job: Job) -> None:
    digests = {name: job_digest(other_equality(other), Limits()) for name, other in variants(job)}
    assert digests.pop("id") == job_digest(job, Limits())
    assert len({*digests.values(), job_digest(job, Limits())}) == len(digests) + 1


def test_every_field_of_a_case_changes_the_key() -> None:
    job = JOBS[1]
    assert isinstance(job, FunctionCases)
    case = job.cases[0]
    jobs = [job, *(replace(job, cases=(other,)) for _, other in variants(case))]
    # `expected` is an int, which is changed to a float of another value.
    assert len({job_digest(other, Limits()) for other in jobs}) == len(jobs)


def test_every_limit_changes_the_key_and_own_limits_count_like_the_sandboxs() -> None:
    program = Program("a", "print(1)")
    digests = {job_digest(program, Limits())}
    for field in dataclasses.fields(Limits):
        other = replace(Limits(), **{field.name: getattr(Limits(), field.name) + 1})
        digests.add(job_digest(program, other))
        assert job_digest(replace(program, limits=other), other) in digests
    assert len(digests) == len(dataclasses.fields(Limits)) + 1


def test_every_part_of_the_environment_and_the_backend_changes_the_key() -> None:
    box = FixedBox()
    digests = {box_digest(box)}
    for _, environment in variants(ENVIRONMENT):
        box.environment = environment
        digests.add(box_digest(box))
    box.environment = ENVIRONMENT
    for name in box.described:
        digests.add(box_digest(FixedBox(**{name: "another"})))
    assert len(digests) == 1 + len(dataclasses.fields(Environment)) + len(box.described)
    box.environment = None
    with pytest.raises(SandboxUsageError, match="open_sandbox"):
        box_digest(box)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


def exact(value: object) -> str:
    """A text that tells apart all that a program could tell apart."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{exact(k)}:{exact(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}({','.join(exact(part) for part in value)})"
    return f"{type(value).__name__}:{value!r}"


@given(VALUES, VALUES)
def test_values_have_the_same_key_only_if_no_program_can_tell_them_apart(
    one: object, other: object
) -> None:
    def digest(value: object) -> bytes:
        return job_digest(FunctionCases("a", "", "f", (Case((value,), value),)), Limits())

    assert (digest(one) == digest(other)) == (exact(one) == exact(other))


@pytest.mark.parametrize("value", [object(), iter([1]), (i for i in "ab"), types, [object()]])
def test_a_job_that_has_no_key_is_refused_and_left_as_it_was(value: object) -> None:
    job = FunctionCases("odd", "", "f", (Case((value,), 1),))
    with pytest.raises(SandboxUsageError, match=r"'odd'.*plain"):
        job_digest(job, Limits())
    if isinstance(value, Iterator):
        assert len(list(value)) > 0


def test_sources_that_cannot_be_encoded_have_keys() -> None:
    assert job_digest(Program("a", "\ud800"), Limits()) != job_digest(Program("a", "?"), Limits())
