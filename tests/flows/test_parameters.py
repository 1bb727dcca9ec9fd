"""Parameters that Prefect takes as they are."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE

from flows.parameters import as_it_is

pytestmark = pytest.mark.prefect


class Rows(list[int]):
    """Rows that count how often somebody walks them."""

    walks = 0

    def __iter__(self) -> Iterator[int]:
        self.walks += 1
        return super().__iter__()


class Part(NamedTuple):
    name: str
    rows: Rows


@task(task_run_name="take {part.name}", cache_policy=NO_CACHE)
def take(part: Part) -> tuple[int, bool]:
    assert runtime.task_run.name == "take a"
    return id(part), part.rows.walks == 0


def test_prefect_does_not_look_into_it(prefect_server: None) -> None:
    part = Part("a", Rows(range(100)))

    @flow
    def give() -> list[tuple[int, bool]]:
        return [take(as_it_is(part)), take.submit(as_it_is(part)).result()]

    assert give() == [(id(part), True)] * 2
