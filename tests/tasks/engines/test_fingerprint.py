"""What tells completions apart: everything that they follow from, and nothing else."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tasks.engines import (
    EngineOptions,
    GenerationRequest,
    Structure,
    engine_fingerprint,
    open_engine,
    request_digest,
)
from tasks.engines.fingerprint import fingerprint_of
from tasks.engines.openai_api.options import OpenAIOptions
from tasks.engines.transformers_engine import TransformersOptions
from tasks.engines.vllm_engine import VllmOptions

REQUEST = GenerationRequest(
    "a", [{"role": "user", "content": "1+1?"}], n=4, seed=8, temperature=0.7
)
URL = "http://127.0.0.1:1/v1"


@pytest.fixture
def folder(tiny_llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_llama, tmp_path / "model"))


def of(folder: Path, options: EngineOptions | None = None, weights: str = "w") -> str:
    return fingerprint_of("transformers", folder, weights, options or TransformersOptions())


def put(name: str, **values: object) -> Callable[[Path], None]:
    """Changes some values of a JSON file."""

    def change(folder: Path) -> None:
        path = folder / name
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        path.write_text(json.dumps(before | values), encoding="utf-8")

    return change


def write(name: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    return change


@pytest.mark.parametrize(
    "change",
    [
        write("chat_template.jinja", "{{ messages }}"),
        write("additional_chat_templates/tool_use.jinja", "{{ messages }}"),
        put("tokenizer.json", added_tokens=[]),
        put("tokenizer_config.json", add_bos_token=True),
        put("special_tokens_map.json", eos_token="<pad>"),
        put("config.json", rms_norm_eps=1e-5),
        put("generation_config.json", eos_token_id=[1, 2]),
        write("vocab.txt", "a\nb"),
    ],
)
def test_a_file_that_prompts_or_tokens_follow_from_counts(
    folder: Path, change: Callable[[Path], None]
) -> None:
    before = of(folder)
    change(folder)
    assert of(folder) != before


@pytest.mark.parametrize(
    "change",
    [
        put("selfloom.json", seconds=1.0),
        put("config.json", transformers_version="4.0", _name_or_path="/elsewhere"),
        put("tokenizer_config.json", name_or_path="/elsewhere"),
        put("model.safetensors.index.json", weight_map={}),
        write("README.md", "words"),
    ],
)
def test_where_a_model_comes_from_does_not_count(
    folder: Path, change: Callable[[Path], None]
) -> None:
    put("config.json", transformers_version="5.0", _name_or_path="/here")(folder)
    put("tokenizer_config.json", name_or_path="/here")(folder)
    before = of(folder)
    change(folder)
    assert of(folder) == before


def test_weights_and_name_count_but_not_the_place(folder: Path, tiny_llama: Path) -> None:
    assert of(folder) == of(tiny_llama)
    assert of(folder, weights="v") != of(folder)
    options = TransformersOptions()
    assert fingerprint_of("vllm", folder, "w", options) != of(folder, options)


@pytest.mark.parametrize(
    ("base", "changed"),
    [
        (TransformersOptions(), {"dtype": "bfloat16"}),
        (TransformersOptions(), {"device": "cuda"}),
        (VllmOptions(), {"dtype": "float16"}),
        (VllmOptions(), {"max_model_len": 128}),
        (VllmOptions(), {"enforce_eager": True}),
        (VllmOptions(), {"tensor_parallel_size": 2}),
        (VllmOptions(), {"lora_path": "/adapter"}),
        (VllmOptions(), {"extra": {"quantization": "fp8"}}),
        (OpenAIOptions(base_urls=(URL,)), {"base_urls": (URL.replace("1/", "2/"),)}),
        (OpenAIOptions(base_urls=(URL,)), {"model": "other"}),
        (OpenAIOptions(base_urls=(URL,)), {"logprobs": False}),
        (OpenAIOptions(serve_vllm=True), {"vllm_arguments": ("--dtype", "half")}),
    ],
)
def test_an_option_that_completions_may_follow_from_counts(
    tiny_llama: Path, base: EngineOptions, changed: dict[str, Any]
) -> None:
    assert of(tiny_llama, base.model_copy(update=changed)) != of(tiny_llama, base)


@pytest.mark.parametrize(
    ("base", "changed"),
    [
        (TransformersOptions(), {"num_threads": 7, "rows_per_batch": 3, "tokens_per_batch": 9}),
        (VllmOptions(), {"max_num_seqs": 3, "gpu_memory_utilization": 0.5, "kv_cache_gib": 2.0}),
        (OpenAIOptions(base_urls=(URL,)), {"max_concurrency": 2, "max_cost": 1.0, "max_tokens": 9}),
    ],
)
def test_an_option_that_only_makes_it_faster_does_not_count(
    tiny_llama: Path, base: EngineOptions, changed: dict[str, Any]
) -> None:
    assert changed.keys() <= base.SPEED_ONLY <= type(base).model_fields.keys()
    assert of(tiny_llama, base.model_copy(update=changed)) == of(tiny_llama, base)


def test_the_version_of_the_engines_package_counts(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = of(tiny_llama)
    monkeypatch.setattr("tasks.engines.fingerprint._versions", lambda names: dict.fromkeys(names))
    assert of(tiny_llama) != before


def test_an_engine_has_the_fingerprint_that_is_known_before_it_starts(tiny_llama: Path) -> None:
    options = {"num_threads": 1}
    with open_engine("transformers", tiny_llama, options) as engine:
        known = engine_fingerprint("transformers", tiny_llama, engine.weight_hash, options)
        assert engine.fingerprint == known


@pytest.mark.parametrize(
    "changed",
    [
        {"messages": [{"role": "user", "content": "1+2?"}]},
        {"messages": [{"role": "system", "content": "1+1?"}]},
        {"temperature": 0.8},
        {"top_p": 0.9},
        {"top_k": 5},
        {"max_new_tokens": 127},
        {"stop": ("\n",)},
        {"stop": ("\n", "x")},
        {"structure": Structure(json_schema="{}")},
        {"structure": Structure(regex="{}")},
        {"structure": Structure(choices=("{}",))},
    ],
)
def test_what_is_asked_counts(changed: dict[str, Any]) -> None:
    assert request_digest("f", replace(REQUEST, **changed)) != request_digest("f", REQUEST)


def test_neither_name_nor_number_nor_seed_of_a_request_counts() -> None:
    other = replace(REQUEST, id="b", n=2, seed=9)
    assert request_digest("f", other) == request_digest("f", REQUEST)
    assert request_digest("g", other) != request_digest("f", REQUEST)


def test_where_the_chat_template_tells_the_day_another_day_is_another_request(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tomorrow(date):
        @classmethod
        def today(cls) -> "Tomorrow":
            return cls(2999, 1, 1)

    plain = of(folder)
    write("chat_template.jinja", "{{ strftime_now('%d %b %Y') }}{{ messages }}")(folder)
    dated = of(folder)
    before = [request_digest(own, REQUEST) for own in (plain, dated)]
    monkeypatch.setattr("tasks.engines.fingerprint.date", Tomorrow)
    after = [request_digest(own, REQUEST) for own in (plain, dated)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False]
