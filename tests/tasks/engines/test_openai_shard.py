"""Samples of a server as durable rows, and what happens to them when the work stops early."""

import time
from pathlib import Path

import pytest

from storage import Warehouse
from tasks.engines import open_engine
from tasks.engines.openai_api.endpoints import Endpoint
from tasks.environments import Problem
from tasks.errors import BudgetExceededError
from tasks.sampling import SampleKey, SamplingSpec, sample_shard
from tests.tasks.engines.null_server import null_server

KEY = SampleKey("r", 1, "train", "answer", "model")
SPEC = SamplingSpec(n=4, max_new_tokens=16)


def make_problems(num: int) -> list[Problem]:
    return [
        Problem(f"p{i}", [{"role": "user", "content": f"{i}"}], None, None, "train", {})
        for i in range(num)
    ]


def test_after_a_budget_is_used_up_a_larger_one_goes_on_with_what_is_missing(
    tiny_llama: Path, tmp_path: Path
) -> None:
    problems = make_problems(40)
    house, whole = Warehouse.open(tmp_path / "w"), Warehouse.open(tmp_path / "whole")
    models = [{"id": "tiny", "root": str(tiny_llama)}]
    with null_server(models=models, record=True, num_tokens=16) as server:

        def sample(into: Warehouse, **budget: int) -> None:
            options = {"base_urls": server.url, **budget}
            with open_engine("openai", tiny_llama, options) as engine:
                sample_shard(into, engine, problems, SPEC, KEY, seed=7, part="p")

        with pytest.raises(BudgetExceededError, match="run the same command with a larger budget"):
            sample(house, max_tokens=2000)
        assert not house.has("samples", run="r", round=1, part="p")
        before = len(server.control()["requests"])
        assert 0 < before < 40
        sample(house, max_tokens=1_000_000)
        prompts = [body["messages"][0]["content"] for body in server.control()["requests"]]
        assert sorted(prompts) == sorted(str(i) for i in range(40))  # each of them once
        sample(whole)
    tables = [w.read("samples", run="r", round=1, part="p").to_pylist() for w in (house, whole)]
    assert len(tables[0]) == 160
    keys = ("id", "prompt_id", "index", "seed", "text", "status")
    ours, theirs = ([[row[k] for k in keys] for row in table] for table in tables)
    assert ours == theirs


def test_a_problem_that_the_server_refuses_is_rows_of_its_own(
    tiny_llama: Path, tmp_path: Path
) -> None:
    problems = make_problems(3)
    problems[1].messages[0]["content"] = "[overflow]"
    house = Warehouse.open(tmp_path / "w")
    models = [{"id": "tiny", "root": str(tiny_llama)}]
    with (
        null_server(models=models) as server,
        open_engine("openai", tiny_llama, {"base_urls": server.url}) as engine,
    ):
        sample_shard(house, engine, problems, SPEC, KEY, seed=7, part="p")
    rows = house.read("samples", run="r", round=1, part="p").to_pylist()
    states = [(row["prompt_id"], row["status"], (row["error"] or "").split(":")[0]) for row in rows]
    assert states == [
        *[("p0", "ok", "")] * 4,
        *[("p1", "error", "context_overflow")] * 4,
        *[("p2", "ok", "")] * 4,
    ]


def test_a_limit_is_halved_once_per_window_and_grows_by_one_per_window() -> None:
    endpoint = Endpoint("http://a/v1", 64)
    sent_at = time.monotonic()
    for _ in range(10):
        endpoint.balked(sent_at)  # all were sent before the first of them was refused
    assert endpoint.limit == 32
    endpoint.balked(time.monotonic())
    assert endpoint.limit == 16
    for _ in range(17):
        endpoint.succeeded()
    assert 16.9 < endpoint.limit < 17.1
    for _ in range(5000):
        endpoint.succeeded()
    assert endpoint.limit == 64
    for _ in range(10):
        endpoint.balked(time.monotonic())
    assert endpoint.limit == 1
    assert endpoint.room(time.monotonic()) == 1
    endpoint.balked(time.monotonic(), pause_s=50)
    assert endpoint.room(time.monotonic()) == 0 < endpoint.room(time.monotonic() + 51)


def test_a_key_is_in_no_file_of_the_warehouse(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NULL_KEY", "s3cret-key")
    house = Warehouse.open(tmp_path / "w")
    models = [{"id": "tiny", "root": str(tiny_llama)}]
    with null_server(models=models, key="s3cret-key") as server:
        options = {"base_urls": server.url, "api_key_env": "NULL_KEY"}
        with open_engine("openai", tiny_llama, options) as engine:
            sample_shard(house, engine, make_problems(3), SPEC, KEY, seed=7, part="p")
    rows = house.read("samples", run="r", round=1, part="p").to_pylist()
    assert len(rows) == 12 and {row["status"] for row in rows} == {"ok"}
    assert "s3cret" not in repr(rows)
    files = [path for path in house.root.rglob("*") if path.is_file()]
    assert files and not [path for path in files if b"s3cret" in path.read_bytes()]
