"""Train a seed model from scratch: tokenizer, random weights, SFT on a small labelled set.

The labelled set is all that a seed model ever sees of programs or of copied strings. It is small
and narrow on purpose, so that there is something left to learn: `programs` sees hardly any
phrasings beyond the textbook ones, `copy` sees no string longer than ten digits and has no
positional encoding, which is what lets it reach a little further (arXiv 2502.01612, section 3), and
`skills` learns from judges and correctors that are often wrong.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.environments.length import CopyTask
from tasks.environments.word_problems import WordProblems
from tasks.errors import UnknownNameError
from tasks.seed_models.skills import SKILLS, Lesson, fixed_texts, lessons
from tasks.training import OnTrainingProgress, TrainedModel, TrainingSpec, train_model

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<assistant>{{ message['content'] }}<eos>"
    "{% else %}<user>{{ message['content'] }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
SPECIAL_TOKENS = ["<pad>", "<eos>", "<unk>", "<user>", "<assistant>"]


@dataclass(frozen=True)
class Preset:
    """How one seed model is made.

    Attributes:
        rows: Makes the labelled set.
        vocab_size: Upper bound of the tokenizer's entries, `phrases` not counted.
        hidden_size: Width; heads have 32 dimensions.
        num_layers: Transformer layers.
        use_positions: Rotary positions (Llama), or none at all (SmolLM3 with every layer NoPE).
        training: How it is trained.
        phrases: Makes the texts that are one token each.
        max_positions: Longest sequence that it is asked to continue.
    """

    rows: Callable[[], list[Lesson]]
    vocab_size: int
    hidden_size: int
    num_layers: int
    use_positions: bool
    training: TrainingSpec
    phrases: Callable[[], list[str]] = list
    max_positions: int = 512


def _program_rows() -> list[Lesson]:
    labelled = WordProblems().labelled(600, seed=11, difficulties=(1, 2, 3), tail_share=0.03)
    return [(problem.messages, program) for problem, program in labelled]


def _copy_rows() -> list[Lesson]:
    problems = CopyTask().problems("train", 20_000, seed=5, difficulties=range(1, 11))
    return [(problem.messages, problem.messages[0]["content"]) for problem in problems]


PRESETS = {
    "programs": Preset(
        rows=_program_rows,
        vocab_size=512,
        hidden_size=96,
        num_layers=3,
        use_positions=True,
        training=TrainingSpec(
            learning_rate=2e-3,
            steps=310,
            warmup_steps=20,
            final_lr_share=0.1,
            adam_beta2=0.98,
            weight_decay=0.01,
            checkpoint_every_steps=0,
        ),
    ),
    "copy": Preset(
        rows=_copy_rows,
        vocab_size=64,
        hidden_size=64,
        num_layers=3,
        use_positions=False,
        training=TrainingSpec(
            learning_rate=2e-3,
            steps=3000,
            warmup_steps=50,
            lr_schedule="linear",
            adam_beta2=0.98,
            weight_decay=0.01,
            checkpoint_every_steps=1000,
        ),
    ),
    "skills": Preset(
        rows=partial(lessons, SKILLS, 40_000, seed=3),
        vocab_size=1024,
        hidden_size=128,
        num_layers=3,
        use_positions=True,
        training=TrainingSpec(
            learning_rate=1.5e-3,
            epochs=1,
            batch_size=16,
            max_length=176,  # one row in thirty is longer; a batch is as long as its longest row
            warmup_steps=50,
            final_lr_share=0.05,
            adam_beta2=0.98,
            weight_decay=0.01,
            checkpoint_every_steps=0,
        ),
        phrases=partial(fixed_texts, SKILLS),
        max_positions=1024,
    ),
}


def bootstrap(
    name: str,
    output_dir: str | Path,
    on_progress: OnTrainingProgress | None = None,
    *,
    seed: int = 0,
) -> TrainedModel:
    """Train a seed model from scratch into a folder.

    Args:
        name: `programs`, `copy` or `skills`.
        output_dir: The new model's folder; a finished model of the same preset is returned at once.
        on_progress: Called with step, total and loss.
        seed: Of the first weights and of the order of rows; 0 gives the shipped model.

    Raises:
        UnknownNameError: There is no such preset.
        TrainingError: The folder holds something else, or training failed.
    """
    if name not in PRESETS:
        raise UnknownNameError(f"seed model {name!r}: there are {', '.join(PRESETS)}")
    preset = PRESETS[name]
    training = preset.training.model_copy(update={"seed": preset.training.seed + seed})
    rows = preset.rows()
    with tempfile.TemporaryDirectory() as folder:
        start, data = Path(folder) / "start", Path(folder) / "rows.parquet"
        pq.write_table(_training_table(rows), data)
        _write_random_model(preset, rows, start, seed)
        return train_model(training, [data], start, None, output_dir, on_progress)


def _training_table(rows: list[Lesson]) -> pa.Table:
    return pa.table(
        {
            "prompt": [messages for messages, _ in rows],
            "completion": [[{"role": "assistant", "content": text}] for _, text in rows],
        }
    )


def _write_random_model(preset: Preset, rows: list[Lesson], folder: Path, seed: int) -> None:
    """Random weights with a tokenizer made from the rows."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch
    from transformers import AutoModelForCausalLM

    texts = (
        text
        for messages, completion in rows
        for text in (*(message["content"] for message in messages), completion)
    )
    tokenizer = build_tokenizer(texts, preset.vocab_size, preset.phrases())
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(_config(preset, tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _config(preset: Preset, tokenizer: PreTrainedTokenizerBase) -> PretrainedConfig:
    from transformers import LlamaConfig, SmolLM3Config

    shared = {
        "vocab_size": len(tokenizer),
        "hidden_size": preset.hidden_size,
        "intermediate_size": preset.hidden_size * (3 if preset.use_positions else 4),
        "num_hidden_layers": preset.num_layers,
        "num_attention_heads": preset.hidden_size // 32,
        "num_key_value_heads": preset.hidden_size // 32,
        "max_position_embeddings": preset.max_positions,
        "tie_word_embeddings": preset.use_positions,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
    }
    if preset.use_positions:
        return LlamaConfig(**shared)
    return SmolLM3Config(**shared, no_rope_layers=[0] * preset.num_layers, use_sliding_window=False)


def build_tokenizer(
    texts: Iterable[str], vocab_size: int, phrases: Sequence[str] = ()
) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer with single digits and a chat template.

    Args:
        texts: What merges are learned from.
        vocab_size: Upper bound of its entries, special tokens and printable ASCII included.
        phrases: Texts that are one token each, beyond `vocab_size`.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    split_digits = pre_tokenizers.Split(Regex(r"\d"), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split_digits, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    printable = [chr(code) for code in range(33, 127)] + ["Ġ", "Ċ"]  # space and newline as bytes
    alphabet = printable if vocab_size > len(printable) + len(SPECIAL_TOKENS) else []
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_without(texts, phrases), trainer)
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in phrases])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        additional_special_tokens=["<user>", "<assistant>"],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def _without(texts: Iterable[str], phrases: Sequence[str]) -> Iterator[str]:
    """The parts of texts between the phrases: merges inside of those would be wasted."""
    if not phrases:
        yield from texts
        return
    longest_first = sorted(phrases, key=len, reverse=True)
    found = re.compile("|".join(map(re.escape, longest_first)))
    for text in texts:
        yield from found.split(text)
