"""What one training run is: every choice that changes the resulting weights."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Method = Literal["sft", "dpo", "kto"]
DpoLoss = Literal["sigmoid", "ipo", "hinge", "sppo"]

TABLE_OF_METHOD: dict[str, Literal["examples", "pairs", "labels"]] = {
    "sft": "examples",
    "dpo": "pairs",
    "kto": "labels",
}
"""The training table whose rows a method learns from."""


class TrainingSpec(BaseModel):
    """The settings of one SFT, DPO or KTO run.

    The descriptions are the help texts of the form in the Prefect UI. Two runs with equal specs,
    equal rows and equal start weights give equal weights on one machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method = Field(
        "sft",
        description="sft: learn the completions; dpo: prefer chosen over rejected; kto: learn "
        "completions that are labeled good, unlearn those labeled bad",
    )
    learning_rate: float = Field(1e-5, gt=0, le=1, description="peak learning rate")
    steps: int | None = Field(
        None, ge=1, description="optimizer steps; leave empty to train for `epochs`"
    )
    epochs: float = Field(
        1.0, gt=0, le=1000, description="passes over the rows; not used when `steps` is set"
    )
    batch_size: int = Field(64, ge=1, description="rows (pairs) of one optimizer step")
    gradient_accumulation: int = Field(
        1, ge=1, description="parts a batch is computed in, to save memory; divides batch_size"
    )
    warmup_steps: int = Field(0, ge=0, description="steps of linear rise to the learning rate")
    lr_schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="how the learning rate falls after the warm-up"
    )
    final_lr_share: float = Field(
        0.0, ge=0, le=1, description="share of the learning rate that is left at the last step"
    )
    max_length: int = Field(
        1024, ge=8, description="tokens of prompt and completion; longer rows are cut at the end"
    )
    beta: float = Field(
        0.1, gt=0, le=100, description="dpo, kto: strength of the pull to the reference model"
    )
    dpo_loss: DpoLoss = Field(
        "sigmoid",
        description="dpo: sigmoid (DPO, SPIN), ipo (squared, log-ratios per token), hinge (SLiC), "
        "or sppo (squared, to what each completion's win probability asks for; beta is 1/eta, "
        "0.001 in SPPO)",
    )
    desirable_weight: float = Field(
        1.0, ge=0, le=100, description="kto: weight of the rows that are labeled good"
    )
    undesirable_weight: float = Field(
        1.0, ge=0, le=100, description="kto: weight of the rows that are labeled bad"
    )
    nll_weight: float = Field(
        0.0,
        ge=0,
        le=100,
        description="dpo: alpha, weight of the chosen completion's negative log-likelihood per "
        "token (1 in Iterative RPO and ScPO, 0 in plain DPO)",
    )
    loss_reduction: Literal["token", "sequence"] = Field(
        "token",
        description="sft: mean over all completion tokens of a batch, or mean over rows of each "
        "row's token mean (dpo is always a mean over rows)",
    )
    lora_r: int | None = Field(
        None, ge=1, le=1024, description="rank of LoRA adapters; empty: train all weights"
    )
    lora_alpha: int | None = Field(
        None, ge=1, description="scale of LoRA adapters; empty: twice the rank"
    )
    optimizer: Literal["adamw", "rmsprop", "adafactor"] = Field(
        "adamw", description="adamw, rmsprop (SPIN, SPPO), or adafactor (SelfCodeAlign)"
    )
    weight_decay: float = Field(0.0, ge=0, le=1, description="decoupled weight decay")
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="Adam's first-moment decay")
    adam_beta2: float = Field(0.999, ge=0, lt=1, description="Adam's second-moment decay")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are clipped to this norm")
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="arithmetic; bfloat16 is mixed precision with float32 master weights, for "
        "GPUs. Weights are stored in the start model's own data type",
    )
    gradient_checkpointing: bool = Field(
        False, description="recompute activations to save memory; about a third slower"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="order of the rows, dropout, LoRA start")
    num_threads: int = Field(2, ge=1, description="CPU threads of the training process")
    checkpoint_every_steps: int = Field(
        200, ge=0, description="steps between checkpoints that a killed run resumes from; 0: none"
    )

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        """Refuse settings that contradict each other, before any work begins."""
        if self.batch_size % self.gradient_accumulation:
            raise ValueError(
                f"gradient_accumulation={self.gradient_accumulation} does not divide "
                f"batch_size={self.batch_size}; choose a divisor"
            )
        if self.lora_alpha is not None and self.lora_r is None:
            raise ValueError(f"lora_alpha={self.lora_alpha} without lora_r; set lora_r too")
        self._check_method()
        self._check_optimizer()
        return self

    def _check_method(self) -> None:
        own = {
            "nll_weight": ("dpo", self.nll_weight == 0),
            "dpo_loss": ("dpo", self.dpo_loss == "sigmoid"),
            "desirable_weight": ("kto", self.desirable_weight == 1),
            "undesirable_weight": ("kto", self.undesirable_weight == 1),
        }
        for name, (method, is_default) in own.items():
            if self.method != method and not is_default:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} belongs to method {method!r}, and "
                    f"method={self.method!r}; leave it out"
                )
        if self.method == "kto" and self.batch_size < 2 * self.gradient_accumulation:
            raise ValueError(
                f"batch_size={self.batch_size} with gradient_accumulation="
                f"{self.gradient_accumulation}: kto compares the rows of a part with each other; "
                "set them so that a part has 2 or more"
            )

    def _check_optimizer(self) -> None:
        if self.optimizer == "adamw":
            return
        for name, default in (("adam_beta1", 0.9), ("adam_beta2", 0.999)):
            if getattr(self, name) != default:
                raise ValueError(
                    f"{name}={getattr(self, name)} belongs to optimizer 'adamw', and "
                    f"optimizer={self.optimizer!r}; leave it out"
                )
        if self.optimizer == "rmsprop" and self.weight_decay:
            raise ValueError(
                f"weight_decay={self.weight_decay}: rmsprop has none that is decoupled; set it to "
                "0, or take adamw"
            )

    @property
    def needed_columns(self) -> tuple[str, ...]:
        """Optional number columns that this loss can't do without."""
        sppo = self.method == "dpo" and self.dpo_loss == "sppo"
        return ("chosen_win_rate", "rejected_win_rate") if sppo else ()
