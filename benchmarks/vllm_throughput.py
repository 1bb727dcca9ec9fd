"""The stage `sample` with the engine vllm next to a bare `LLM.generate`, which keeps nothing.

Both get the same checkpoint, token ids, seeds and sampling settings, and are warm. The bare call is
vLLM as it comes (engine core and worker in processes of their own), with all requests at once and
encoded beforehand. The stage renders and encodes the chats, and its rows are durable at the end.

Run: python benchmarks/vllm_throughput.py --requests 2000 --samples 8 --runs 3
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from transformers import AutoTokenizer
from vllm import LLM, SamplingParams

from storage import Warehouse
from tasks.engines import Engine, open_engine
from tasks.engines.chat_format import encode_prompts
from tasks.environments import Problem
from tasks.environments.word_problems import WordProblems
from tasks.sampling import SampleKey, SamplingSpec, sample_seed, sample_shard
from tasks.seed_models import seed_model_path

GOAL = 0.95
KEY = SampleKey("benchmark", 1, "train", "program", "seed")
MODEL = seed_model_path("programs")


def bare(llm: LLM, prompts: list[list[int]], params: list[SamplingParams]) -> tuple[float, int]:
    """Return seconds and tokens of one call for all requests."""
    start = time.perf_counter()
    outputs = llm.generate(
        [{"prompt_token_ids": prompt} for prompt in prompts], params, use_tqdm=False
    )
    seconds = time.perf_counter() - start
    return seconds, sum(len(one.token_ids) for output in outputs for one in output.outputs)


def stage(engine: Engine, problems: Sequence[Problem], spec: SamplingSpec) -> tuple[float, int]:
    """Return seconds and tokens of the stage, until its rows are durable."""
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse.open(Path(folder) / "warehouse")
        start = time.perf_counter()
        sample_shard(warehouse, engine, problems, spec, KEY, seed=0, part="0000")
        seconds = time.perf_counter() - start
        rows = warehouse.read("samples", part="0000").to_pylist()
    assert len(rows) == len(problems) * spec.n and not any(row["error"] for row in rows)
    return seconds, sum(row["num_tokens"] for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--max-num-seqs", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1, help="of the stage's engine")
    parser.add_argument(
        "--bare-block-size", type=int, help="tokens per block of the bare call; default: vLLM's own"
    )
    given = parser.parse_args()
    problems = WordProblems().problems("train", given.requests, seed=3, difficulties=(1, 2, 3))
    spec = SamplingSpec(n=given.samples, temperature=1.0, max_new_tokens=64)
    tokenizer = AutoTokenizer.from_pretrained(MODEL, local_files_only=True)
    prompts = encode_prompts(tokenizer, [problem.messages for problem in problems])
    params = [
        SamplingParams(
            n=spec.n,
            seed=sample_seed(0, KEY, spec, problem.id),
            temperature=spec.temperature,
            max_tokens=spec.max_new_tokens,
            logprobs=0,
        )
        for problem in problems
    ]
    llm = LLM(
        str(MODEL),
        dtype="float32",
        max_num_seqs=given.max_num_seqs,
        kv_cache_memory_bytes=2**30,
        enforce_eager=True,
        enable_chunked_prefill=False,  # on a CPU vLLM 0.32 fails with it where samples have seeds
        block_size=given.bare_block_size,
        logprobs_mode="raw_logprobs",
        generation_config="vllm",
    )
    options = {
        "dtype": "float32",
        "max_num_seqs": given.max_num_seqs,
        "num_threads": given.threads,
    }
    times: dict[str, list[float]] = {"bare": [], "stage": []}
    with open_engine("vllm", MODEL, options) as engine:
        for run in range(given.runs + 1):
            size = len(problems) if run else min(100, len(problems))
            for name in ("bare", "stage") if run % 2 else ("stage", "bare"):
                if name == "bare":
                    seconds, tokens = bare(llm, prompts[:size], params[:size])
                else:
                    seconds, tokens = stage(engine, problems[:size], spec)
                if run:
                    times[name].append(seconds)
                print(
                    f"run {run or 'to warm up'}: {name:5} {seconds:6.1f} s, "
                    f"{size * spec.n / seconds:6.0f} samples/s, {tokens / seconds:6.0f} tokens/s",
                    flush=True,
                )
    middle = {name: statistics.median(values) for name, values in times.items()}
    share = middle["bare"] / middle["stage"]
    print(f"medians: bare {middle['bare']:.1f} s, stage {middle['stage']:.1f} s: {share:.1%}")
    sys.exit(0 if share >= GOAL else f"the stage reaches less than {GOAL:.0%} of the bare call")


if __name__ == "__main__":
    main()
