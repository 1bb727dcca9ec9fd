"""The work of null_server.py done by a peer; run by it, in an environment of the peer's own.

Neither peer asks for several samples of a prompt, so that each prompt is given 8 times.
"""

import json
import os
import sys
from pathlib import Path

MODEL, MAX_CONCURRENCY, N = "copy", 64, 8


def run_curator(url: str, prompts: list[str], folder: Path) -> int:
    """Curator, with its cache of requests and responses on, which is its durability.

    It counts tokens with tiktoken, whose vocabulary comes from the network. Here words are counted
    instead, which costs less.
    """
    os.environ |= {
        "CURATOR_CACHE_DIR": str(folder),
        "TELEMETRY_ENABLED": "false",
        "CURATOR_DISABLE_RICH_DISPLAY": "1",
        "OPENAI_API_KEY": "none",
    }
    import tiktoken
    from bespokelabs import curator
    from datasets import Dataset

    class Words:
        def encode(self, text: str, **options: object) -> list[str]:
            return text.split()

    tiktoken.get_encoding = lambda name: Words()

    class Ask(curator.LLM):
        def prompt(self, row: dict[str, str]) -> str:
            return row["prompt"]

        def parse(self, row: dict[str, str], response: str) -> dict[str, str]:
            return {"prompt": row["prompt"], "answer": response}

    llm = Ask(
        model_name=MODEL,
        backend="openai",
        backend_params={
            "base_url": url,
            "max_requests_per_minute": 10**8,
            "max_tokens_per_minute": 10**11,
            "max_concurrent_requests": MAX_CONCURRENCY,
        },
    )
    found = llm(Dataset.from_dict({"prompt": prompts}), working_dir=str(folder))
    return len(found.dataset if hasattr(found, "dataset") else found)


def run_designer(url: str, prompts: list[str], folder: Path) -> int:
    """NeMo Data Designer; it writes a Parquet file per batch of records."""
    os.environ |= {"NEMO_TELEMETRY_ENABLED": "false", "DATA_DESIGNER_HOME": str(folder / "home")}
    import data_designer.config as dd
    import pandas
    from data_designer.interface import DataDesigner

    model = dd.ModelConfig(
        alias="null",
        model=MODEL,
        provider="null",
        inference_parameters=dd.ChatCompletionInferenceParams(
            max_parallel_requests=MAX_CONCURRENCY
        ),
    )
    builder = dd.DataDesignerConfigBuilder(model_configs=[model])
    seeds = folder / "prompts.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    pandas.DataFrame({"prompt": prompts}).to_parquet(seeds)
    builder.with_seed_dataset(dd.LocalFileSeedSource(path=str(seeds)))
    builder.add_column(
        dd.LLMTextColumnConfig(name="answer", prompt="{{ prompt }}", model_alias="null")
    )
    provider = dd.ModelProvider(name="null", endpoint=url, provider_type="openai", api_key="none")
    designer = DataDesigner(artifact_path=folder / "artifacts", model_providers=[provider])
    return len(designer.create(builder, num_records=len(prompts)).load_dataset())


def main() -> None:
    name, url, texts, num_prompts, folder = sys.argv[1:]
    with open(texts, encoding="utf-8") as lines:
        prompts = [json.loads(line) for _, line in zip(range(int(num_prompts)), lines)]  # noqa: B905
    run = {"curator": run_curator, "designer": run_designer}[name]
    found = run(url, [prompt for prompt in prompts for _ in range(N)], Path(folder))
    assert found == len(prompts) * N, found


if __name__ == "__main__":
    main()
