"""Two tiny models, engines that serve them, and what their logits say in float64."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from storage import Warehouse, content_id
from tasks.engines import Engine, Messages, open_engine

PROMPTS: dict[str, Messages] = {
    "p0": [{"role": "user", "content": "2+2?"}],
    "p1": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Name a {answer} prime."},
    ],
}
# (prompt, text, finish reason): ended, cut off, empty.
SAMPLES = [
    ("p0", "four", "stop"),
    ("p0", "It is 4, bec", "length"),
    ("p1", "7 {question} (A)", "stop"),
    ("p1", "", "stop"),
]


@pytest.fixture(scope="session")
def tiny_reference(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama after some training, or so its weights look; do not write into it."""
    folder = shutil.copytree(tiny_llama, tmp_path_factory.mktemp("tiny") / "reference")
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(1)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.05 * torch.randn_like(weights))
    model.save_pretrained(folder)
    return Path(folder)


@pytest.fixture(scope="session")
def engine(tiny_llama: Path) -> Iterator[Engine]:
    with open_engine("transformers", tiny_llama, {"num_threads": 1}) as opened:
        yield opened


@pytest.fixture(scope="session")
def reference_engine(tiny_reference: Path) -> Iterator[Engine]:
    with open_engine("transformers", tiny_reference, {"num_threads": 1}) as opened:
        yield opened


@dataclass
class Direct:
    """A model in float64, one text at a time, without padding, cache or the code under test."""

    model: Any
    tokenizer: Any

    def distributions(self, messages: Messages, text: str) -> tuple[list[int], torch.Tensor]:
        """Ids of the completion's tokens and of the end; log-probabilities (tokens, vocab)."""
        rendered = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        prompt = self.tokenizer(rendered, add_special_tokens=False)["input_ids"]
        own = [*self.tokenizer(text, add_special_tokens=False)["input_ids"], 1]
        with torch.no_grad():
            logits = self.model(torch.tensor([prompt + own])).logits[0]
        assert logits.dtype == torch.float64
        return own, logits[len(prompt) - 1 : -1].log_softmax(dim=-1)

    def logprobs(self, messages: Messages, text: str, end: bool) -> list[float]:
        own, table = self.distributions(messages, text)
        chosen = [table[place, token].item() for place, token in enumerate(own)]
        return chosen if end else chosen[:-1]


def load_direct(folder: Path) -> Direct:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    return Direct(model, AutoTokenizer.from_pretrained(folder))


@pytest.fixture(scope="session")
def direct(tiny_llama: Path) -> Direct:
    return load_direct(tiny_llama)


@pytest.fixture(scope="session")
def direct_reference(tiny_reference: Path) -> Direct:
    return load_direct(tiny_reference)


def sample_row(prompt: str, text: str, reason: str, **fields: object) -> dict[str, object]:
    return {
        "id": content_id("sample", prompt, text),
        "prompt_id": prompt,
        "parent_ids": [],
        "role": "answer",
        "purpose": "train",
        "turn": 0,
        "index": 0,
        "policy_id": "m",
        "weight_hash": "h",
        "engine": "transformers",
        "sampling": {},
        "seed": 0,
        "text": text,
        "num_tokens": 3,
        "finish_reason": reason,
        "status": "ok",
        **fields,
    }


MakeHouse = Callable[..., Warehouse]


@pytest.fixture
def make_house(tmp_path: Path) -> MakeHouse:
    """Makes a warehouse with the prompts, and a `samples` part of these rows."""

    def make(*rows: dict[str, object]) -> Warehouse:
        house = Warehouse.open(tmp_path / "w")
        prompts = [
            {
                "id": id,
                "environment": "e",
                "messages": messages,
                "source": "seed",
                "parent_ids": [],
                "split": "train",
                "metadata": {},
            }
            for id, messages in PROMPTS.items()
        ]
        house.write("prompts", prompts, run="r", round=0, part="all")
        samples = list(rows) or [sample_row(*sample) for sample in SAMPLES]
        house.write("samples", samples, run="r", round=1, part="sample-0000")
        return house

    return make
