import json
import os
import shutil
import signal
from collections import Counter
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest

from tasks.engines import GenerationRequest, Structure, check_engine, open_engine, weight_hash
from tasks.engines.vllm_engine import VllmEngine, check_vllm
from tasks.environments.word_problems import WordProblems
from tasks.errors import EngineError, MissingPackageError, ModelFolderError, OptionError
from tasks.seed_models import seed_model_path

# Nothing of a trained model's answers hangs on the last bits, as it does with a random one.
MODEL = seed_model_path("programs")
OPTIONS = {"dtype": "float32", "num_threads": 2, "max_num_seqs": 32, "kv_cache_gib": 0.25}
MEASURES = ["sum_logprob", "mean_logprob", "min_logprob", "mean_entropy", "mean_self_certainty"]
PROBLEMS = WordProblems().problems("train", 200, seed=3, difficulties=(1, 2, 3))


def make_requests(num: int = 9, n: int = 3, **fields: Any) -> list[GenerationRequest]:
    return [
        GenerationRequest(
            problem.id,
            problem.messages,
            n=n,
            seed=1000 * i,
            **{"max_new_tokens": 32, "temperature": 1.0, **fields},
        )
        for i, problem in enumerate(PROBLEMS[:num])
    ]


@pytest.fixture(scope="module")
def engine(vllm_installed):
    with open_engine("vllm", MODEL, OPTIONS) as engine:
        yield engine


@pytest.fixture(scope="module")
def reference():
    with open_engine("transformers", MODEL, {"num_threads": 2}) as engine:
        yield engine


def test_completions_come_in_the_order_of_the_requests(engine):
    requests, progress = make_requests(), []
    completions = engine.generate(requests, lambda *numbers: progress.append(numbers))
    assert engine.weight_hash == weight_hash(MODEL)
    for request, row in zip(requests, completions, strict=True):
        assert [c.request_id for c in row] == [request.id] * 3
        assert [c.index for c in row] == [0, 1, 2]
        assert [c.seed for c in row] == [request.seed + i for i in range(3)]
        for c in row:
            assert c.error is None and 1 <= c.num_tokens <= 32 and c.num_prompt_tokens > 0
            assert c.finish_reason == "stop" or c.num_tokens == 32
            assert c.sum_logprob == pytest.approx(c.mean_logprob * c.num_tokens)
            assert c.min_logprob <= c.mean_logprob <= 0
            assert c.mean_entropy > 0 and c.mean_self_certainty > 0
            assert "<eos>" not in c.text
    assert progress == sorted(progress)
    assert progress[-1] == (27, 27)


def test_a_sample_depends_on_its_seed_alone(engine):
    requests = make_requests()
    completions = engine.generate(requests)
    assert len({c.text for row in completions for c in row}) > 12
    found = {r.id: row for r, row in engine.iterate(requests[::-1], skip=[requests[0].id])}
    assert requests[0].id not in found
    for request, row in zip(requests[1:], completions[1:], strict=True):
        assert [c.text for c in found[request.id]] == [c.text for c in row]
    single = replace(requests[4], n=1, seed=requests[4].seed + 2)
    assert engine.generate([single])[0][0].text == completions[4][2].text


def test_iterate_may_be_left_early(engine):
    requests = make_requests(60)
    stream = engine.iterate(requests)
    next(stream)
    stream.close()
    few = make_requests(2)
    assert [len(row) for row in engine.generate(few)] == [3, 3]


def test_greedy_answers_are_those_of_the_transformers_engine(engine, reference):
    requests = make_requests(200, n=1, temperature=0.0, max_new_tokens=64)
    ours, theirs = (list(chain(*one.generate(requests))) for one in (engine, reference))
    for our, their in zip(ours, theirs, strict=True):
        assert (our.text, our.num_tokens) == (their.text, their.num_tokens)
        assert our.finish_reason == their.finish_reason
        assert our.num_prompt_tokens == their.num_prompt_tokens
        for name in MEASURES:
            assert getattr(our, name) == pytest.approx(getattr(their, name), abs=1e-3), name
    copies = engine.generate([replace(requests[0], n=3)])[0]
    assert [(c.index, c.text) for c in copies] == [(i, ours[0].text) for i in range(3)]


def test_scores_are_those_of_the_transformers_engine(engine, reference):
    pairs = [(problem.messages, f"x = {i}\nprint(x)") for i, problem in enumerate(PROBLEMS[:40])]
    pairs.append((PROBLEMS[0].messages, ""))
    for our, their in zip(engine.score(pairs), reference.score(pairs), strict=True):
        assert our.logprobs == pytest.approx(their.logprobs, abs=1e-3)
        assert our.entropies == pytest.approx(their.entropies, abs=1e-3)
        assert our.self_certainties == pytest.approx(their.self_certainties, abs=1e-3)
        assert our.error is None


def test_drawing_follows_temperature_top_k_and_top_p(engine):
    free, top_k, top_p, warm = (
        Counter(c.text for c in engine.generate(make_requests(1, n=64, **fields))[0])
        for fields in ({}, {"top_k": 1}, {"top_p": 1e-6}, {"temperature": 2.0})
    )
    assert len(top_k) == len(top_p) == 1
    assert 1 < len(free) < len(warm)
    # Log-probabilities are of the model's own distribution, however a sample was drawn.
    (greedy,) = engine.generate(make_requests(1, n=1, temperature=0.0))[0]
    for c in engine.generate(make_requests(1, n=2, top_k=1, temperature=0.5))[0]:
        assert c.sum_logprob == pytest.approx(greedy.sum_logprob, abs=1e-3)


def test_stop_texts_end_a_sample_and_are_not_part_of_it(engine, reference):
    requests = make_requests(n=1, temperature=0.0, stop=("print", "zzz"))
    for (our,), (their,) in zip(
        engine.generate(requests), reference.generate(requests), strict=True
    ):
        assert our.text and "print" not in our.text and our.finish_reason == "stop"
        assert (our.text, our.num_tokens) == (their.text, their.num_tokens)


def test_structures_are_followed_and_scored_without_them(engine):
    schema = {
        "type": "object",
        "properties": {"good": {"type": "boolean"}, "score": {"enum": [1, 2]}},
        "required": ["good", "score"],
        "additionalProperties": False,
    }
    structures = [
        Structure(choices=("yes", "no")),
        Structure(json_schema=json.dumps(schema)),
        Structure(regex="[ab]{3}c"),
    ]
    (request,) = make_requests(1, n=4, temperature=2.0)
    rows = engine.generate([replace(request, structure=own) for own in structures])
    assert {c.text for c in rows[0]} <= {"yes", "no"}
    for c in rows[1]:
        found = json.loads(c.text)
        assert found.keys() == {"good", "score"} and found["score"] in (1, 2)
    for c in rows[2]:
        assert len(c.text) == 4 and set(c.text[:3]) <= {"a", "b"} and c.text[3] == "c"
    for c in chain(*rows):
        assert c.finish_reason == "stop" and c.error is None
        # This model is sure to write a program, so its own distribution dislikes all of them.
        assert c.mean_logprob < -3 and c.min_logprob < -6
        assert c.mean_entropy > 0 and c.mean_self_certainty > 0


def test_a_request_that_cannot_be_served_is_an_error_of_its_own(engine):
    long, hot, *bad, fine = make_requests(7)
    broken = [
        Structure(regex="("),
        Structure(json_schema="{"),
        Structure(json_schema='{"type": "nonsense"}'),
        Structure(json_schema="[]"),
    ]
    requests = [
        replace(long, max_new_tokens=100_000),
        replace(hot, temperature=3.0, structure=Structure(choices=("a", "b"))),
        *(replace(request, structure=own) for request, own in zip(bad, broken, strict=True)),
        fine,
    ]
    progress = []
    found = engine.generate(requests, lambda *numbers: progress.append(numbers))
    kinds = [{c.error and c.error.partition(":")[0] for c in row} for row in found]
    assert kinds == [{"context_overflow"}, {"refused"}, *[{"invalid_structure"}] * 4, {None}]
    assert [(c.index, c.finish_reason, c.text) for c in found[0]] == [
        (i, "error", "") for i in range(3)
    ]
    assert progress[-1] == (21, 21)
    unread, read = engine.score([(long.messages, "x" * 3000), (long.messages, "x")])
    assert unread.error.startswith("context_overflow") and unread.logprobs == []
    assert read.error is None
    assert engine.generate([]) == [] and engine.score([]) == []


@pytest.mark.slow  # the other engine has the same code for it
def test_a_killed_worker_is_started_again_and_goes_on(engine):
    requests = make_requests(100)
    before, found = engine.num_restarts, []
    for request, row in engine.iterate(requests):
        found.append(request.id)
        assert [c.seed for c in row] == [request.seed + i for i in range(3)]
        if len(found) == 1:
            os.kill(engine.pid, signal.SIGKILL)
    assert engine.num_restarts == before + 1
    assert sorted(found) == sorted(request.id for request in requests)


@pytest.mark.slow
def test_an_adapter_is_served_and_part_of_the_weights(vllm_installed, reference, tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    settings = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"])
    adapted: Any = get_peft_model(AutoModelForCausalLM.from_pretrained(MODEL), settings)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    adapted.save_pretrained(tmp_path / "adapter")
    merged = shutil.copytree(MODEL, tmp_path / "merged")
    whole: Any = adapted.merge_and_unload
    whole().save_pretrained(merged)

    requests = make_requests(20, n=1, temperature=0.0)
    pairs = [(request.messages, "print(1)") for request in requests]
    with open_engine("transformers", merged) as engine:
        expected = engine.score(pairs)
    plain = reference.score(pairs)
    with open_engine("vllm", MODEL, {**OPTIONS, "lora_path": str(tmp_path / "adapter")}) as engine:
        found = engine.score(pairs)
        assert engine.weight_hash not in (weight_hash(MODEL), weight_hash(merged))
    for own, merged_own, plain_own in zip(found, expected, plain, strict=True):
        assert own.logprobs == pytest.approx(merged_own.logprobs, abs=1e-3)
        assert own.logprobs != pytest.approx(plain_own.logprobs, abs=1e-2)


@pytest.mark.slow
def test_a_folder_that_does_not_load_shows_the_end_of_the_traceback(
    vllm_installed, tiny_llama, tmp_path
):
    folder = shutil.copytree(tiny_llama, tmp_path / "broken")
    (folder / "config.json").write_text('{"model_type": "no-such-family"}')
    with pytest.raises(EngineError, match="no-such-family") as caught:
        open_engine("vllm", folder)
    assert "last lines of the worker" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_threads": 0}, "num_threads"),
        ({"no_such_option": 1}, "no_such_option"),
        ({"extra": {"trust_remote_code": True}}, "never run"),
        ({"extra": {"dtype": "float32"}}, "option of its own"),
    ],
)
def test_options_are_refused_before_a_process_starts(monkeypatch, options, message):
    monkeypatch.setattr("tasks.engines.vllm_engine.check_vllm", lambda: None)
    with pytest.raises(OptionError, match=message):
        check_engine("vllm", options)


def test_a_missing_adapter_is_refused_before_a_process_starts(monkeypatch, tmp_path):
    monkeypatch.setattr("tasks.engines.vllm_engine.check_vllm", lambda: None)
    with pytest.raises(ModelFolderError, match=r"adapter_config\.json"):
        open_engine("vllm", MODEL, {"lora_path": str(tmp_path)})


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setattr("tasks.engines.vllm_engine.find_spec", lambda name: None)
    for call in (check_engine, lambda name: open_engine(name, MODEL)):
        with pytest.raises(MissingPackageError, match="extra `vllm`"):
            call("vllm")
    with pytest.raises(MissingPackageError):
        VllmEngine(MODEL)


def test_a_folder_named_vllm_is_not_the_package(monkeypatch, tmp_path):
    (tmp_path / "vllm").mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.delitem(__import__("sys").modules, "vllm", raising=False)
    with pytest.raises(MissingPackageError):
        check_vllm()
