from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import (
    CaseResult,
    Execution,
    Job,
    Program,
    ResultCache,
    Sandbox,
    SandboxCacheError,
    Verdict,
    run_cached,
)
from sandbox.cache import may_be_kept, result_key
from tests.sandbox.conftest import LIMITS
from tests.sandbox.fixed_box import EXECUTION, FixedBox
from tests.sandbox.opened import open_default


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ResultCache]:
    with ResultCache(tmp_path / "results.cache") as opened:
        yield opened


def numbered(*sources: str) -> list[Job]:
    return [Program(f"{source}{i}", source) for i, source in enumerate(sources)]


def test_what_is_known_is_not_run_and_says_so_under_its_own_id(cache: ResultCache) -> None:
    box = FixedBox()
    first = list(run_cached(box, numbered(*"abcab"), cache))
    assert [e.id for e in first] == ["a0", "b1", "c2", "a3", "b4"]
    assert [e.stdout for e in first] == list("abcab")
    assert ["cached" in e.flags for e in first] == [False, False, False, True, True]
    again = list(run_cached(box, [Program("x", "b"), Program("y", "d")], cache))
    assert [(e.id, e.stdout, "cached" in e.flags) for e in again] == [
        ("x", "b", True),
        ("y", "d", False),
    ]
    assert box.ran == ["a0", "b1", "c2", "y"]


@pytest.mark.parametrize(
    ("verdict", "flags", "results", "kept"),
    [
        (Verdict.ACCEPTED, (), (), True),
        (Verdict.CPU_TIMEOUT, (), (), True),
        (Verdict.TAMPERING, ("forged_record",), (), True),
        (Verdict.ACCEPTED, ("near_limit",), (), False),
        (Verdict.TAMPERING, ("cell_killer",), (), False),
        (Verdict.WALL_TIMEOUT, ("idle",), (), False),
        (Verdict.RUNTIME_ERROR, (), (CaseResult(Verdict.WALL_TIMEOUT),), False),
        (Verdict.SANDBOX_FAULT, (), (), False),
        (Verdict.NOT_RUN, (), (), False),
    ],
)
def test_only_what_the_program_decides_is_kept(
    verdict: Verdict, flags: tuple[str, ...], results: tuple[CaseResult, ...], kept: bool
) -> None:
    assert may_be_kept(replace(EXECUTION, verdict=verdict, flags=flags, results=results)) is kept


def test_clock_bound_verdicts_are_shared_in_a_batch_and_never_beyond(cache: ResultCache) -> None:
    box = FixedBox()
    box.verdicts["slow"] = [Verdict.WALL_TIMEOUT]
    run = list(run_cached(box, numbered("slow", "slow", *"abc", "slow"), cache))
    assert [e.verdict for e in run if e.stdout == "slow"] == [Verdict.WALL_TIMEOUT] * 3
    assert len([name for name in box.ran if "slow" in name]) == 1
    list(run_cached(box, numbered("slow"), cache))
    assert box.ran[-1] == "slow0" and len(box.ran) == 5


def test_a_fault_does_not_multiply(cache: ResultCache) -> None:
    class ReadsAhead(FixedBox):
        def run(self, jobs: Iterable[Job]) -> Iterator[Execution]:
            yield from super().run(list(jobs))

    box = ReadsAhead()
    box.verdicts["f"] = [Verdict.SANDBOX_FAULT, Verdict.ACCEPTED]
    run = list(run_cached(box, numbered("f", "f", "f", "a"), cache))
    assert [e.verdict for e in run] == [Verdict.SANDBOX_FAULT, *[Verdict.ACCEPTED] * 3]
    assert [e.id for e in run] == ["f0", "f1", "f2", "a3"]
    assert sorted(box.ran) == ["a3", "f0", "f1", "f2"]


@pytest.mark.parametrize("num_copies", [3000, 5000])
def test_many_known_jobs_are_read_only_as_results_are_taken(
    cache: ResultCache, num_copies: int
) -> None:
    box = FixedBox()
    list(run_cached(box, numbered("a"), cache))
    taken = 0

    def endless() -> Iterator[Job]:
        nonlocal taken
        while True:
            taken += 1
            yield Program(str(taken), "a")

    run = run_cached(box, endless(), cache)
    for number in range(1, num_copies):
        assert next(run).id == str(number)
        assert taken <= number + 1001
    assert len(box.ran) == 1


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=40),
    st.integers(1, 7),
)
@settings(max_examples=60, deadline=None)
def test_every_job_gets_its_own_verdict_in_order_whatever_faults_come(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[str, bool]], window: int
) -> None:
    class Box(FixedBox):
        """Reads some jobs ahead, and fails where the plan says."""

        def run(self, jobs: Iterable[Job]) -> Iterator[Execution]:
            ahead: list[Job] = []
            for job in jobs:
                ahead.append(job)
                if len(ahead) == window:
                    yield from map(self.one, ahead)
                    ahead = []
            yield from map(self.one, ahead)

        def one(self, job: Job) -> Execution:
            fails = plan[int(job.id)][1]
            verdict = Verdict.SANDBOX_FAULT if fails else Verdict.ACCEPTED
            return replace(EXECUTION, id=job.id, verdict=verdict, stdout=job.source)

    path = tmp_path_factory.mktemp("cache") / "c"
    jobs = [Program(str(i), source) for i, (source, _) in enumerate(plan)]
    with ResultCache(path) as cache:
        executions = list(run_cached(Box(), jobs, cache))
    assert [(e.id, e.stdout) for e in executions] == [(job.id, job.source) for job in jobs]
    # A job that could have been decided is: only those that fail themselves are not.
    assert all(
        e.verdict is Verdict.ACCEPTED or fails
        for e, (_, fails) in zip(executions, plan, strict=True)
    )


def test_a_cache_that_cannot_be_written_costs_a_warning_and_no_verdict(
    cache: ResultCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(key: bytes, execution: Execution) -> None:
        raise SandboxCacheError("database or disk is full")

    monkeypatch.setattr(cache, "put", full)
    with pytest.warns(RuntimeWarning, match="disk is full") as warned:
        executions = list(run_cached(FixedBox(), numbered(*"abc"), cache))
    assert len(executions) == 3 and len(warned) == 1


@pytest.mark.sandbox
def test_real_runs_are_kept_across_sandboxes_and_not_across_seeds(cache: ResultCache) -> None:
    jobs = [
        Program("one", "print(1)", expected_stdout="1"),
        Program("two", "print(2)", expected_stdout="1"),
        Program("sleeps", "import time; time.sleep(9)", limits=replace(LIMITS, wall_s=0.3)),
    ]
    with open_default() as box:
        first = list(run_cached(box, jobs, cache))
    with open_default() as box:
        second = list(run_cached(box, reversed(jobs), cache))
        assert result_key(box, jobs[0]) == result_key(box, replace(jobs[0], id="x"))
    with open_default(seed=1) as box:
        other = list(run_cached(box, jobs[:1], cache))
    verdicts = [Verdict.ACCEPTED, Verdict.WRONG_ANSWER, Verdict.WALL_TIMEOUT]
    assert [e.verdict for e in first] == verdicts
    assert [e.verdict for e in second] == verdicts[::-1]
    assert ["cached" in e.flags for e in second] == [False, True, True]
    assert [e.flags for e in other] == [()]


@pytest.mark.sandbox
def test_stopping_early_stops_the_sandbox_too(cache: ResultCache, auto_box: Sandbox) -> None:
    run = run_cached(auto_box, (Program(str(i), f"print({i})") for i in range(10**9)), cache)
    assert next(run).stdout == "0\n"
    run.close()  # type: ignore[attr-defined]
    assert [e.stdout for e in auto_box.run(numbered("print(2)"))] == ["2\n"]


@pytest.mark.sandbox
def test_many_threads_share_a_cache_and_a_sandbox(cache: ResultCache, auto_box: Sandbox) -> None:
    def call(number: int) -> list[tuple[str, str]]:
        jobs = [Program(f"{number}:{i}", f"print({i})") for i in range(number % 7, 12)]
        return [(e.id, e.stdout) for e in run_cached(auto_box, jobs, cache)]

    with ThreadPoolExecutor(16) as callers:
        runs = list(callers.map(call, range(48)))
    for number, run in enumerate(runs):
        assert run == [(f"{number}:{i}", f"{i}\n") for i in range(number % 7, 12)]
    assert len(cache) == 12
