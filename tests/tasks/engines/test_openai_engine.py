"""The openai engine against a server that answers, fails, lies or is not there."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.engines import GenerationRequest, Structure, open_engine, weight_hash
from tasks.engines.openai_engine import OpenAIEngine
from tasks.errors import BudgetExceededError, EngineError, OptionError
from tests.tasks.engines.null_server import FAULTS, RunningServer, answer, null_server


def make_requests(num: int = 20, n: int = 3, text: str = "", **fields: Any):
    return [
        GenerationRequest(
            f"p{i}", [{"role": "user", "content": f"{text}{i}"}], n=n, seed=1000 * i, **fields
        )
        for i in range(num)
    ]


def kinds(completions) -> list[str]:
    return [(c.error or "ok").partition(":")[0] for c in completions]


def check_answers(requests, found) -> None:
    """Every request has its own n samples, in order, or errors in their place."""
    assert len(found) == len(requests)
    for request, row in zip(requests, found, strict=True):
        assert [c.request_id for c in row] == [request.id] * request.n
        assert [c.index for c in row] == list(range(request.n))
        assert [c.seed for c in row] == [request.seed + i for i in range(request.n)]
        for c in row:
            if c.error is None:
                assert c.text == answer(request.messages, c.seed)
            else:
                assert (c.text, c.num_tokens, c.finish_reason) == ("", 0, "error")


@pytest.fixture(scope="module")
def shared(tiny_llama: Path) -> Iterator[RunningServer]:
    with null_server(models=[{"id": "tiny", "root": str(tiny_llama)}], record=True) as server:
        yield server


@pytest.fixture
def start(tiny_llama: Path) -> Iterator[Callable[..., RunningServer]]:
    """Starts servers of the tiny model."""
    with ExitStack() as stack:

        def begin(**config: Any) -> RunningServer:
            models = [{"id": "tiny", "root": str(tiny_llama)}]
            return stack.enter_context(null_server(**{"models": models, **config}))

        yield begin


@pytest.fixture
def connect(tiny_llama: Path) -> Iterator[Callable[..., OpenAIEngine]]:
    """Opens engines; retries come at once."""
    with ExitStack() as stack:

        def begin(*servers: RunningServer, **options: Any) -> OpenAIEngine:
            values = {"base_urls": [s.url for s in servers], "backoff_s": 0.01, **options}
            engine = open_engine("openai", tiny_llama, values)
            assert isinstance(engine, OpenAIEngine)
            return stack.enter_context(engine)

        yield begin


def test_samples_come_with_their_measures_and_the_weights_that_the_server_names(
    shared, connect, tiny_llama
):
    engine, progress = connect(shared), []
    requests = make_requests()
    found = engine.generate(requests, lambda *numbers: progress.append(numbers))
    check_answers(requests, found)
    assert {kind for row in found for kind in kinds(row)} == {"ok"}
    assert engine.weight_hash == weight_hash(tiny_llama)
    sample = found[3][1]
    assert (sample.sum_logprob, sample.mean_logprob, sample.min_logprob) == (-2.0, -0.5, -0.5)
    assert (sample.num_tokens, sample.num_prompt_tokens, sample.finish_reason) == (4, 10, "stop")
    assert progress == [(3 * i, 60) for i in range(1, 21)]
    used = engine.usage
    assert (used.requests, used.retries) == (20, 0)
    assert (used.prompt_tokens, used.completion_tokens) == (200, 240)
    assert engine.generate([]) == []


def test_all_samples_of_a_prompt_are_one_request_with_all_its_settings(shared, connect):
    engine = connect(shared)
    before = len(shared.control()["requests"])
    request = make_requests(1, n=5, temperature=0.7, top_p=0.9, top_k=4, stop=("\n",))[0]
    engine.generate([replace(request, structure=Structure(json_schema='{"type": "object"}'))])
    (sent,) = shared.control()["requests"][before:]
    schema = {"name": "answer", "schema": {"type": "object"}, "strict": True}
    assert sent == {
        "model": "tiny",
        "messages": request.messages,
        "n": 5,
        "seed": 0,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 4,
        "max_tokens": 128,
        "stop": ["\n"],
        "logprobs": True,
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    found = engine.generate([replace(request, structure=Structure(choices=("a", "b")))])
    assert kinds(found[0]) == ["unsupported"] * 5


def test_a_server_that_takes_no_log_probabilities_gives_samples_without(start, connect):
    engine = connect(start(logprobs=False))
    requests = make_requests(8)
    found = engine.generate(requests)
    check_answers(requests, found)
    assert {(c.sum_logprob, c.num_tokens) for row in found for c in row} == {(None, 4)}


def test_prompts_that_can_not_be_served_cost_their_own_samples_only(shared, connect):
    engine = connect(shared)
    requests = make_requests(5, n=2)
    for i, text in enumerate(["[overflow]", "[null]", "[filter]", "[empty]"]):
        requests[i] = replace(requests[i], messages=[{"role": "user", "content": text}])
    found = engine.generate(requests)
    assert [kinds(row) for row in found] == [
        ["context_overflow"] * 2,
        ["no_content"] * 2,
        ["content_filter"] * 2,
        ["ok"] * 2,
        ["ok"] * 2,
    ]
    assert [c.text for c in found[3]] == ["", ""]
    assert engine.usage.retries == 0  # asking again would not help


def test_equal_prompts_keep_their_own_answers(shared, connect):
    requests = [
        replace(request, messages=[{"role": "user", "content": "the same"}])
        for request in make_requests(30)
    ]
    found = connect(shared).generate(requests)
    check_answers(requests, found)
    assert len({c.text for row in found for c in row}) == 90


@pytest.mark.parametrize("takes_n", ["refuses", "ignores"])
def test_a_server_without_n_is_asked_for_every_sample_alone(start, connect, takes_n):
    server = start(takes_n=takes_n, record=True)
    engine = connect(server)
    requests = make_requests(10)
    found = engine.generate(requests)
    check_answers(requests, found)
    assert {kind for row in found for kind in kinds(row)} == {"ok"}
    engine.generate(requests)
    assert [body.get("n", 1) for body in server.control()["requests"][-30:]] == [1] * 30


def test_choices_that_are_missing_are_asked_for_again_with_their_seeds(start, connect):
    server = start(lost=0.7)
    engine = connect(server)
    requests = make_requests(40, n=6)
    found = engine.generate(requests)
    check_answers(requests, found)
    assert {kind for row in found for kind in kinds(row)} == {"ok"}
    assert server.control()["counts"]["all"] > 40


def test_with_every_fault_each_prompt_has_its_samples_once(start, connect):
    server = start(faults=FAULTS, hang_s=60, seed=3)
    # Long enough that only what hangs runs out of it, also where the machine stands still.
    engine = connect(server, timeout_s=5, max_concurrency=32)
    requests = make_requests(600, n=8)
    for i in range(0, 600, 3):  # a third of the prompts are the same
        requests[i] = replace(requests[i], messages=[{"role": "user", "content": "same"}])
    groups = list(engine.iterate(requests))
    ids = [request.id for request, _ in groups]
    assert len(ids) == len(set(ids)) == 600
    order = {request.id: row for request, row in groups}
    found = [order[request.id] for request in requests]
    check_answers(requests, found)
    assert {kind for row in found for kind in kinds(row)} == {"ok"}
    counts = server.control()["counts"]
    assert all(counts[kind] for kind in FAULTS), counts
    failed = sum(counts[kind] for kind in FAULTS)
    assert engine.usage.retries == failed
    assert engine.usage.requests == 600 + failed == counts["all"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("rate_limited", "rate_limited"),
        ("server_error", "server_error"),
        ("reset", "connection"),
        ("hang", "timeout"),
        ("malformed", "malformed_response"),
    ],
)
def test_what_fails_again_and_again_is_an_error_of_its_kind(start, connect, fault, kind):
    server = start(faults={fault: 1.0}, hang_s=60)
    engine = connect(server, timeout_s=0.3, max_attempts=3)
    requests = make_requests(3, n=2)
    found = engine.generate(requests)
    check_answers(requests, found)
    assert {error for row in found for error in kinds(row)} == {kind}
    assert engine.usage.requests == 9
    server.control(faults={})
    assert kinds(engine.generate(requests)[0]) == ["ok", "ok"]


def test_a_server_that_takes_few_requests_is_sent_few(start, connect):
    server = start(max_in_flight=4, delay_s=0.01)
    engine = connect(server, max_concurrency=64, max_attempts=50)
    requests = make_requests(200)
    found = engine.generate(requests)
    check_answers(requests, found)
    assert {kind for row in found for kind in kinds(row)} == {"ok"}
    assert engine.usage.requests < 800


def test_retry_after_is_honoured(start, connect):
    server = start(faults={"rate_limited": 1.0}, retry_after="1")
    engine = connect(server, max_attempts=2)
    begun = time.monotonic()
    assert kinds(engine.generate(make_requests(1, n=1))[0]) == ["rate_limited"]
    assert time.monotonic() - begun >= 1.0


def test_when_a_server_dies_the_others_go_on_and_it_is_taken_back(start, connect):
    first, second = start(delay_s=0.01), start(delay_s=0.01)
    engine = connect(first, second, max_concurrency=4)
    requests = make_requests(200)
    groups = engine.iterate(requests)
    taken = [next(groups) for _ in range(20)]
    first.kill()
    taken += list(groups)
    found = {request.id: row for request, row in taken}
    check_answers(requests, [found[request.id] for request in requests])
    assert {kind for row in found.values() for kind in kinds(row)} == {"ok"}
    again = start(port=first.port, delay_s=0.01)
    deadline = time.monotonic() + 30
    while not again.control()["counts"] and time.monotonic() < deadline:
        check_answers(requests[:20], engine.generate(requests[:20]))
    assert again.control()["counts"]["all"] > 0


def test_without_any_server_the_work_stops_and_finished_groups_came_out(start, connect):
    server = start()
    engine = connect(server, max_concurrency=2, max_outage_s=0.5)
    taken = []
    with pytest.raises(EngineError, match="no server could be reached"):
        for group in engine.iterate(make_requests(500)):
            taken.append(group)
            if len(taken) == 5:
                server.kill()
    assert 5 <= len(taken) < 500


def test_a_server_that_comes_back_with_another_model_is_refused(start, connect):
    server = start()
    engine = connect(server)
    server.kill()
    start(port=server.port, models=[{"id": "tiny", "root": "/elsewhere"}])
    with pytest.raises(EngineError, match="does not say that its model"):
        engine.generate(make_requests(3))


def test_a_server_of_another_model_is_refused_at_once(start, connect, caplog, tiny_llama):
    other = start(models=[{"id": "a", "root": "/elsewhere"}, {"id": "b"}])
    with pytest.raises(EngineError, match=r"serves 'a', 'b', not 'tiny'"):
        connect(other, model="tiny")
    with pytest.raises(EngineError, match=r"'a', 'b': name one of them"):
        connect(other)
    with pytest.raises(EngineError, match="trust_served_weights"):
        connect(other, model="a")
    caplog.set_level(logging.WARNING)
    trusting = connect(other, model="b", trust_served_weights=True)
    assert trusting.weight_hash == weight_hash(tiny_llama)
    assert "trust_served_weights" in caplog.text
    good = start()
    other.control(models=[{"id": "tiny", "owned_by": "vllm", "root": str(tiny_llama)}])
    with pytest.raises(EngineError, match="the others"):
        connect(good, other)
    other.kill()
    with pytest.raises(EngineError, match="no server can be reached"):
        connect(other)


def test_the_key_is_sent_and_never_told(start, connect, monkeypatch, caplog):
    monkeypatch.setenv("NULL_KEY", "s3cret")
    caplog.set_level(logging.DEBUG)
    server = start(key="s3cret")
    engine = connect(server, api_key_env="NULL_KEY")
    assert kinds(engine.generate(make_requests(1))[0]) == ["ok"] * 3
    groups = engine.iterate(make_requests(500))
    next(groups)
    server.control(key="another")
    with pytest.raises(EngineError, match="refuses all requests") as late:
        list(groups)
    with pytest.raises(EngineError, match="does not tell its models") as early:
        engine.generate(make_requests(1))
    told = f"{late.value} {early.value} {caplog.text} {engine.options}"
    assert "wrong key" in told and "s3cret" not in told
    with pytest.raises(EngineError, match="api_key_env"):
        connect(server)
    monkeypatch.delenv("NULL_KEY")
    with pytest.raises(OptionError, match="NULL_KEY"):
        connect(server, api_key_env="NULL_KEY")


@pytest.mark.parametrize(
    "budget", [{"max_tokens": 4000}, {"max_cost": 0.004, "completion_price": 1.0}]
)
def test_a_budget_is_never_passed_and_what_is_finished_comes_out(start, connect, budget):
    engine = connect(start(num_tokens=100), **budget)
    requests, taken = make_requests(100, n=3, max_new_tokens=100), []
    with pytest.raises(BudgetExceededError, match=r"used"):
        taken.extend(engine.iterate(requests))
    used = engine.usage
    assert 0 < len(taken) < 100
    assert used.completion_tokens == 300 * len(taken)
    assert used.prompt_tokens + used.completion_tokens <= budget.get("max_tokens", 1e9)
    assert used.cost <= budget.get("max_cost", 0.0)
    assert used.requests == len(taken)
    larger = connect(start(num_tokens=100), max_tokens=1_000_000)
    done = {request.id for request, _ in taken}
    rest = {request.id: row for request, row in larger.iterate(requests, skip=done)}
    assert rest.keys() | done == {request.id for request in requests}
    assert not rest.keys() & done


def test_a_budget_of_time_ends_also_what_hangs(start, connect):
    engine = connect(start(faults={"hang": 1.0}, hang_s=60), max_seconds=0.5)
    with pytest.raises(BudgetExceededError, match="max_seconds"):
        engine.generate(make_requests(3))


def test_leaving_the_iterator_early_stops_the_asking(start, connect):
    server = start(delay_s=0.02)
    engine = connect(server, max_concurrency=4)
    groups = engine.iterate(make_requests(400))
    next(groups)
    time.sleep(0.5)  # nobody fetches: the asking stops by itself
    assert server.control()["counts"]["all"] <= 10
    groups.close()
    seen = server.control()["counts"]["all"]
    assert server.control()["counts"]["all"] == seen <= 12
    requests = make_requests(10)
    check_answers(requests, engine.generate(requests))


def test_a_closed_engine_says_so(start, connect):
    engine = connect(start(delay_s=0.1))
    groups = engine.iterate(make_requests(50))
    next(groups)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        list(groups)
    with pytest.raises(EngineError, match="closed"):
        engine.generate(make_requests(1))


def test_scores_of_a_server_without_echo_are_errors(shared, connect):
    scores = connect(shared).score([([{"role": "user", "content": "2+2?"}], "4")])
    assert scores[0].logprobs == []
    assert str(scores[0].error).startswith("unsupported: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "base_urls or serve_vllm"),
        ({"base_urls": ["localhost:8000"]}, "no http"),
        ({"base_urls": ["http://user:secret@host"]}, "secret"),
        ({"base_urls": "http://a,http://a/v1/"}, "twice"),
        ({"base_urls": ["http://a"], "max_cost": 1.0}, "price"),
        ({"base_urls": ["http://a"], "api_key": "x"}, "api_key"),
    ],
)
def test_options_that_make_no_sense_are_refused(tiny_llama, options, message):
    with pytest.raises(OptionError, match=message):
        open_engine("openai", tiny_llama, options)
