"""A training job as a TRL trainer that is ready to train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl import DPOConfig, KTOConfig, SFTConfig

from tasks.engines.chat_format import EncodedRow, encode_rows
from tasks.errors import DataFormatError
from tasks.training.checkpoints import MarkCompleteCheckpoints
from tasks.training.job import TrainingJob
from tasks.training.spec import TrainingSpec
from tasks.training.training_data import (
    TrainingRows,
    needed_rows,
    planned_steps,
    read_training_rows,
)
from tasks.training.weighted_dpo import (
    PAIR_COLUMNS,
    PairCollator,
    WeightedDPOTrainer,
    reference_logps,
)
from tasks.training.weighted_kto import (
    LabelCollator,
    WeightedKTOTrainer,
    with_mismatched,
    with_reference,
)
from tasks.training.weighted_sft import ExampleCollator, WeightedSFTTrainer

Report = Callable[[dict[str, float]], None]
AnyTrainer = WeightedSFTTrainer | WeightedDPOTrainer | WeightedKTOTrainer


class _ReportProgress(TrainerCallback):
    """Hands every log entry on as a progress report."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        entry = {name: float(value) for name, value in (logs or {}).items()}
        if "loss" in entry:
            self._report({"step": state.global_step, "total": state.max_steps, **entry})


def build_trainer(job: TrainingJob, report: Report) -> AnyTrainer:
    """Load model and rows of a job and set its trainer up.

    Args:
        job: The run.
        report: Called with step, total, loss and the method's own numbers.

    Raises:
        DataFormatError: If the rows changed since the job was made, or none fits max_length.
    """
    spec = job.spec
    rows = read_training_rows(spec.method, job.data_files, spec.needed_columns)
    if rows.data_hash != job.data_hash:
        raise DataFormatError(
            f"the rows of {job.data_files} have hash {rows.data_hash}, expected {job.data_hash}; "
            "they changed while training was being started"
        )
    tokenizer = AutoTokenizer.from_pretrained(
        job.start_from, local_files_only=True, trust_remote_code=False
    )
    positions = needed_rows(rows.num_rows, spec)
    total = planned_steps(rows.num_rows, spec)
    trainer = BUILDERS[spec.method](job, rows, positions, total, tokenizer)
    trainer.lr_schedule = spec.lr_schedule
    trainer.final_lr_share = spec.final_lr_share
    trainer.num_rows = len(positions)
    trainer.add_callback(MarkCompleteCheckpoints())
    trainer.add_callback(_ReportProgress(report))
    return trainer


def _build_sft(
    job: TrainingJob,
    rows: TrainingRows,
    positions: list[int],
    total: int,
    tokenizer: PreTrainedTokenizerBase,
) -> WeightedSFTTrainer:
    """A trainer on examples; rows whose prompt alone fills max_length are dropped."""
    spec, columns = job.spec, rows.columns
    encoded = encode_rows(
        tokenizer,
        [columns["prompt"][i] for i in positions],
        [columns["completion"][i] for i in positions],
    )
    examples = [
        {
            "input_ids": [*row.prompt, *row.completion][: spec.max_length],
            "labels": ([-100] * len(row.prompt) + row.completion)[: spec.max_length],
            "weight": columns["weight"][position],
        }
        for position, row in zip(positions, encoded, strict=True)
        if len(row.prompt) < spec.max_length
    ]
    arguments = SFTConfig(**_arguments(job, total), max_length=None, shuffle_dataset=False)
    trainer = WeightedSFTTrainer(
        model=_load(job.start_from),
        args=arguments,
        train_dataset=_dataset(examples, spec),
        data_collator=ExampleCollator(pad_token_id=_pad_token(tokenizer)),
        processing_class=tokenizer,
        peft_config=_lora(spec),
    )
    trainer.loss_reduction = spec.loss_reduction
    return trainer


def _build_dpo(
    job: TrainingJob,
    rows: TrainingRows,
    positions: list[int],
    total: int,
    tokenizer: PreTrainedTokenizerBase,
) -> WeightedDPOTrainer:
    """A trainer on pairs, with the reference model's log-probabilities computed beforehand."""
    spec, columns = job.spec, rows.columns
    prompts = [columns["prompt"][i] for i in positions]
    chosen = encode_rows(tokenizer, prompts, [columns["chosen"][i] for i in positions])
    rejected = encode_rows(tokenizer, prompts, [columns["rejected"][i] for i in positions])
    pairs = [
        {
            **_pair(better, worse),
            **{name: columns[name][position] for name in PAIR_COLUMNS},
        }
        for position, better, worse in zip(positions, chosen, rejected, strict=True)
        if len(better.prompt) < spec.max_length
    ]
    dataset = _dataset(pairs, spec)
    collator = PairCollator(pad_token_id=_pad_token(tokenizer), max_length=spec.max_length)
    reference = _load_reference(job)
    # One pass over the rows costs less than a second forward pass in every step, and the
    # reference model's memory is free before training starts.
    sums = reference_logps(reference, dataset, collator, _part_size(spec))
    del reference
    dataset = dataset.add_column("ref_chosen_logps", sums[0])
    dataset = dataset.add_column("ref_rejected_logps", sums[1])
    arguments = DPOConfig(
        **_arguments(job, total),
        max_length=spec.max_length,
        beta=spec.beta,
        precompute_ref_log_probs=True,
    )
    trainer = WeightedDPOTrainer(
        model=_load(job.start_from),
        args=arguments,
        train_dataset=dataset,
        data_collator=collator,
        processing_class=tokenizer,
        peft_config=_lora(spec),
    )
    trainer.pair_loss, trainer.nll_weight = spec.dpo_loss, spec.nll_weight
    return trainer


def _build_kto(
    job: TrainingJob,
    rows: TrainingRows,
    positions: list[int],
    total: int,
    tokenizer: PreTrainedTokenizerBase,
) -> WeightedKTOTrainer:
    """A trainer on labeled completions, with the reference model's numbers computed beforehand."""
    spec, columns = job.spec, rows.columns
    encoded = encode_rows(
        tokenizer,
        [columns["prompt"][i] for i in positions],
        [columns["completion"][i] for i in positions],
    )
    labeled: list[dict[str, Any]] = [
        {
            "prompt_ids": row.prompt,
            "completion_ids": row.completion,
            "label": columns["label"][position] == 1,
            "weight": columns["weight"][position],
        }
        for position, row in zip(positions, encoded, strict=True)
        if len(row.prompt) < spec.max_length
    ]
    collator = LabelCollator(pad_token_id=_pad_token(tokenizer), max_length=spec.max_length)
    labeled = with_mismatched(labeled, _part_size(spec))
    reference = _load_reference(job)
    labeled = with_reference(reference, labeled, collator, _part_size(spec))
    del reference
    arguments = KTOConfig(
        **_arguments(job, total),
        max_length=spec.max_length,
        beta=spec.beta,
        precompute_ref_log_probs=True,
    )
    trainer = WeightedKTOTrainer(
        model=_load(job.start_from),
        args=arguments,
        train_dataset=_dataset(labeled, spec),
        data_collator=collator,
        processing_class=tokenizer,
        peft_config=_lora(spec),
    )
    trainer.good_weight, trainer.bad_weight = spec.desirable_weight, spec.undesirable_weight
    return trainer


BUILDERS: dict[str, Callable[..., AnyTrainer]] = {
    "sft": _build_sft,
    "dpo": _build_dpo,
    "kto": _build_kto,
}


def _pair(chosen: EncodedRow, rejected: EncodedRow) -> dict[str, list[int]]:
    """The token columns of a pair; both completions start at the same token."""
    start = min(len(chosen.prompt), len(rejected.prompt))
    return {
        "prompt_ids": chosen.prompt[:start],
        "chosen_ids": [*chosen.prompt, *chosen.completion][start:],
        "rejected_ids": [*rejected.prompt, *rejected.completion][start:],
    }


def _arguments(job: TrainingJob, total: int) -> dict[str, Any]:
    """The trainer arguments that all methods share."""
    spec = job.spec
    # The library's own default is AdamW, fused where that is possible.
    other = {} if spec.optimizer == "adamw" else {"optim": spec.optimizer}
    return {
        **other,
        "output_dir": str(Path(job.work_dir) / "checkpoints"),
        "max_steps": total,
        "per_device_train_batch_size": _part_size(spec),
        "gradient_accumulation_steps": spec.gradient_accumulation,
        "learning_rate": spec.learning_rate,
        "warmup_steps": spec.warmup_steps,
        "weight_decay": spec.weight_decay,
        "adam_beta1": spec.adam_beta1,
        "adam_beta2": spec.adam_beta2,
        "max_grad_norm": spec.max_grad_norm,
        "bf16": spec.dtype == "bfloat16",
        "gradient_checkpointing": spec.gradient_checkpointing,
        "seed": spec.seed,
        "data_seed": spec.seed,
        "save_strategy": "steps" if spec.checkpoint_every_steps else "no",
        "save_steps": spec.checkpoint_every_steps or total,
        "save_total_limit": 2,
        "logging_steps": max(1, total // 100),
        "logging_first_step": True,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "use_cpu": not torch.cuda.is_available(),
    }


def _dataset(rows: list[dict[str, Any]], spec: TrainingSpec) -> Dataset:
    """The encoded rows in memory."""
    if not rows:
        raise DataFormatError(
            f"every row's prompt has at least max_length={spec.max_length} tokens, so nothing of "
            "a completion is left to learn; raise max_length"
        )
    return Dataset.from_list(rows)


def _load(path: str) -> PreTrainedModel:
    """A model in single precision, from disk only."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, local_files_only=True, trust_remote_code=False
    )
    return model


def _load_reference(job: TrainingJob) -> PreTrainedModel:
    """The reference model, on the accelerator where there is one."""
    reference = _load(job.reference or job.start_from)
    if torch.cuda.is_available():
        torch.nn.Module.to(reference, torch.device("cuda"))
    return reference


def _part_size(spec: TrainingSpec) -> int:
    """Rows that are computed together."""
    return max(1, spec.batch_size // spec.gradient_accumulation)


def _pad_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """The padding token; padding is masked, so any token does where there is none."""
    if tokenizer.pad_token_id is not None:
        return int(tokenizer.pad_token_id)
    return int(tokenizer.eos_token_id or 0)


def _lora(spec: TrainingSpec) -> LoraConfig | None:
    """Adapters on every linear layer but the output head."""
    if spec.lora_r is None:
        return None
    return LoraConfig(
        r=spec.lora_r,
        lora_alpha=spec.lora_alpha if spec.lora_alpha is not None else 2 * spec.lora_r,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
