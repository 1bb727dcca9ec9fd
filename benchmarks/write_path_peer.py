"""The work of write_path.py done by distilabel; run by it, in an environment of its own."""

import json
import sys
from pathlib import Path
from typing import Any

from distilabel.models import LLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration
from pydantic import Field


class ListedAnswers(LLM):
    """A model that has the answers of every prompt."""

    answers: dict[str, list[str]] = Field(default_factory=dict)
    path: str
    num: int

    def load(self) -> None:
        """Read the answers, in the process that needs them."""
        super().load()
        with open(self.path, encoding="utf-8") as lines:
            for _, line in zip(range(self.num), lines, strict=False):
                prompt, found = json.loads(line)
                self.answers[prompt] = found

    @property
    def model_name(self) -> str:
        """A name for its records."""
        return "null"

    def generate(self, inputs: Any, num_generations: int = 1) -> Any:
        """The answers of every prompt."""
        return [
            {
                "generations": self.answers[messages[-1]["content"]][:num_generations],
                "statistics": {
                    "input_tokens": [70] * num_generations,
                    "output_tokens": [50] * num_generations,
                },
            }
            for messages in inputs
        ]


def main() -> None:
    batch_size, texts, num_prompts, folder = sys.argv[1:]
    with open(texts, encoding="utf-8") as lines:
        data = [
            {"instruction": json.loads(line)[0]}
            for _, line in zip(range(int(num_prompts)), lines, strict=False)
        ]
    with Pipeline(name="null", cache_dir=Path(folder)) as pipeline:
        load = LoadDataFromDicts(data=data, batch_size=int(batch_size))
        ask = TextGeneration(
            llm=ListedAnswers(path=texts, num=int(num_prompts)),
            num_generations=8,
            input_batch_size=int(batch_size),
            # Its record of every request and its answer would double what is written.
            add_raw_input=False,
            add_raw_output=False,
        )
        load >> ask
    found = pipeline.run(use_cache=True)["default"]["train"]
    # One row per generation, as the default of TextGeneration has it, or one with a list of them.
    num_rows = sum(len(g) if isinstance(g, list) else 1 for g in found["generation"])
    assert num_rows == int(num_prompts) * 8, found


if __name__ == "__main__":
    main()
