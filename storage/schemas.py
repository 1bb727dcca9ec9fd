"""The tables: one documented Arrow schema each.

Field metadata:
    doc: what the column holds; the catalog shows it as the column's comment.
    measured: "true" where a clock or a meter made the value, or where it says what was in the
        warehouse before or what befell the machine. Two runs of the same work have the same tables
        when all other columns are equal.
    format: "json" for a string column that holds one JSON document.
    values: the allowed words, separated by "|".
"""

from __future__ import annotations

from typing import Final, Literal

import pyarrow as pa

from storage.columns import (
    BOOL,
    DOUBLE,
    INT,
    LONG,
    MESSAGES,
    STRING,
    STRINGS,
    column,
    sources,
    status,
    table,
)

SCHEMA_VERSION: Final = 1
"""Changes when a column changes its name, type or meaning; a new nullable column does not count."""

TRAINING_TABLES: Final = ("examples", "pairs", "labels")
"""The tables that a trainer reads; their columns have TRL's names."""

TABLES: Final[dict[str, pa.Schema]] = {
    "prompts": table(
        "One problem, given or self-made.",
        "Content id of the prompt.",
        column("environment", STRING, "Environment that the prompt belongs to, e.g. 'gsm8k'."),
        column("messages", MESSAGES, "Chat messages that the model is asked with."),
        column("reference", STRING, "Gold answer, null where there is none.", null=True),
        column(
            "source",
            STRING,
            "Where it comes from: 'seed', 'self_instruct', 'rephrase', …",
        ),
        column("parent_ids", STRINGS, "Prompts or samples that it was derived from."),
        column("split", STRING, "Split of the environment, e.g. 'train' or 'heldout'."),
        column("difficulty", INT, "Level given by the environment, e.g. steps.", null=True),
        column("metadata", STRING, "What else the environment knows, as JSON.", json=True),
        column(
            "suite",
            STRING,
            "Suite that a held-out problem belongs to; null: the environment's own held-out set.",
            null=True,
        ),
    ),
    "samples": table(
        "One model output of any role.",
        "Content id of the sample.",
        column("prompt_id", STRING, "Prompt that the model was asked."),
        column("parent_ids", STRINGS, "Samples, or prompts, that this one was conditioned on."),
        column("role", STRING, "'answer', 'program', 'test', 'critique', 'judgement', …"),
        column(
            "purpose",
            STRING,
            "What it was drawn for; only 'train' and 'imported' can become training rows.",
            values="train|evaluate|imported",
        ),
        column("turn", INT, "Turn of a dialog, from 0."),
        column(
            "index",
            INT,
            "Position among the samples of the same prompt, parents, role and turn.",
        ),
        column(
            "policy_id",
            STRING,
            "Model that wrote it (models.id), or the name it came with.",
        ),
        column("weight_hash", STRING, "Hash of the weights that wrote it."),
        column("engine", STRING, "Engine that generated it: 'transformers', 'vllm', …"),
        column("sampling", STRING, "Sampling parameters, as JSON.", json=True),
        column("seed", LONG, "Seed of the random numbers that drew it."),
        column(
            "text",
            STRING,
            "The completion; where the model went on with an answer that was begun, the whole "
            "answer, and sampling.begun_characters says how much of it was given.",
        ),
        column("num_tokens", INT, "Tokens of the completion, end token included."),
        column("finish_reason", STRING, "'stop', 'length', or 'error'."),
        column(
            "sum_logprob",
            DOUBLE,
            "Sum of the token log-probabilities, nats.",
            null=True,
        ),
        column("mean_logprob", DOUBLE, "Mean token log-probability, nats.", null=True),
        column("min_logprob", DOUBLE, "Smallest token log-probability, nats.", null=True),
        column("mean_entropy", DOUBLE, "Mean entropy of the next token, nats.", null=True),
        column(
            "mean_self_certainty",
            DOUBLE,
            "Mean KL(uniform || next token) over the tokens, nats; see Kang et al. 2025.",
            null=True,
        ),
        column("num_prompt_tokens", INT, "Tokens of the prompt.", null=True),
        column(
            "request_digest",
            STRING,
            "Hash of what the engine was asked: weights, tokenizer, options, messages, parameters; "
            "all that the completion follows from beside its seed.",
            null=True,
        ),
        column(
            "reused_from",
            STRING,
            "Sample of the same request that it is a copy of; null where it was drawn.",
            null=True,
            measured=True,
        ),
        *status("the engine"),
    ),
    "executions": table(
        "One run of a program in the sandbox.",
        "Content id of the execution.",
        column("sample_id", STRING, "Sample that the program came from."),
        column("test_ids", STRINGS, "Samples or tests that it was run against."),
        column("verdict", STRING, "What the sandbox says: 'accepted', 'wrong_answer', …"),
        column("exit_code", INT, "Exit code, null when it ended otherwise.", null=True),
        column("signal", INT, "Signal that ended it, else null.", null=True),
        column("stdout", STRING, "Standard output, cut at the sandbox's limit."),
        column("stderr", STRING, "Standard error, cut at the sandbox's limit."),
        column("stdout_truncated", BOOL, "Whether stdout was cut."),
        column("stderr_truncated", BOOL, "Whether stderr was cut."),
        column("wall_ms", DOUBLE, "Wall time, ms.", measured=True),
        column("cpu_ms", DOUBLE, "CPU time, ms.", measured=True),
        column("peak_memory_mib", DOUBLE, "Peak memory, MiB.", null=True, measured=True),
        column("backend", STRING, "Sandbox backend, e.g. 'namespaces'."),
        column("isolation", STRING, "What separated the program from the host."),
        column("limits_enforced_by", STRING, "What held the limits: cgroups, rlimits, …"),
        column("image_digest", STRING, "Digest of the container image, if any.", null=True),
        column("flags", STRINGS, "Observations beside the verdict, e.g. 'near_limit'."),
        column(
            "attempts",
            INT,
            "Times it was started; more than 1 after a sandbox fault.",
            measured=True,
        ),
        column("feedback", STRING, "How it failed, for its author; null if it did not.", null=True),
    ),
    "scores": table(
        "One check's opinion of one sample.",
        "Content id of the score.",
        column("sample_id", STRING, "Sample that was judged."),
        column("check", STRING, "Check that judged: 'answer', 'reference', 'judge', …"),
        column(
            "version",
            STRING,
            "Version of the check; another version is another opinion.",
        ),
        column(
            "value",
            DOUBLE,
            "The score; null where the check gives no number.",
            null=True,
        ),
        column("label", STRING, "The canonical answer or class, null if none.", null=True),
        column("detail", STRING, "What else the check has to say, as JSON.", json=True),
        *status("the check"),
    ),
    "votes": table(
        "One candidate answer of one prompt; losers are kept.",
        "Content id of the vote.",
        column("prompt_id", STRING, "Prompt that was voted on."),
        column("answer", STRING, "Canonical answer."),
        column("count", INT, "Samples that gave this answer."),
        column("weight", DOUBLE, "Sum of their weights; the count where all weigh 1."),
        column(
            "share",
            DOUBLE,
            "Count over num_samples, 0 to 1; samples without an answer count too.",
        ),
        column("rank", INT, "1 for the most voted answer of the prompt."),
        column("num_samples", INT, "Samples of the prompt, with and without an answer."),
    ),
    "examples": table(
        "One row of supervised fine-tuning.",
        "Content id of the example.",
        column("prompt_id", STRING, "Prompt that the row is about."),
        column("prompt", MESSAGES, "The prompt's messages."),
        column("completion", MESSAGES, "What the model learns to answer."),
        *sources(column("weight", DOUBLE, "Weight in the loss.")),
    ),
    "pairs": table(
        "One preference pair.",
        "Content id of the pair.",
        column("prompt_id", STRING, "Prompt that the row is about."),
        column("prompt", MESSAGES, "The prompt's messages."),
        column("chosen", MESSAGES, "The preferred completion."),
        column("rejected", MESSAGES, "The other completion."),
        column("weight", DOUBLE, "Weight in the loss."),
        column("margin", DOUBLE, "Score of the chosen less that of the rejected sample."),
        column("soft_label", DOUBLE, "Probability that the chosen one is better, 0 to 1."),
        column(
            "chosen_win_rate",
            DOUBLE,
            "Probability that the chosen one beats a sample of the policy; null if unknown.",
            null=True,
        ),
        column(
            "rejected_win_rate",
            DOUBLE,
            "Probability that the rejected one beats a sample of the policy; null if unknown.",
            null=True,
        ),
        column("chosen_sample_id", STRING, "Sample that became the chosen completion."),
        column("rejected_sample_id", STRING, "Sample that became the rejected completion."),
        *sources(),
    ),
    "labels": table(
        "One completion labeled good or bad (KTO).",
        "Content id of the labeled row.",
        column("prompt_id", STRING, "Prompt that the row is about."),
        column("prompt", MESSAGES, "The prompt's messages."),
        column("completion", MESSAGES, "The completion that was labeled."),
        column("label", BOOL, "Whether it is a desired completion."),
        *sources(column("weight", DOUBLE, "Weight in the loss.")),
    ),
    "rejections": table(
        "One row that a filter dropped, and why.",
        "Content id of the rejection.",
        column("row_table", STRING, "Table of the dropped row, e.g. 'samples'."),
        column("row_id", STRING, "Id of the dropped row in that table."),
        column("filter", STRING, "Filter that dropped it."),
        column("reason", STRING, "Why, in words that a person understands."),
        column("detail", STRING, "The numbers behind the reason, as JSON.", json=True),
    ),
    "models": table(
        "One checkpoint, in one state of its life.",
        "Id of the model; also the name of its folder.",
        column("parent_id", STRING, "Model that training started from.", null=True),
        column(
            "recipe",
            STRING,
            "Recipe that trained it, 'base' for a model from outside.",
        ),
        column("recipe_hash", STRING, "Hash of the recipe and its settings."),
        column("snapshot_hash", STRING, "Hash of the training rows it saw.", null=True),
        column("path", STRING, "Folder, relative to the warehouse; absolute if outside."),
        column("weight_hash", STRING, "Hash of its weights."),
        column(
            "status",
            STRING,
            "What became of it.",
            values="candidate|promoted|rejected|rolled_back|base",
        ),
        column(
            "metrics",
            STRING,
            "Training metrics, as JSON; where rows of several rounds were mixed, rows_by_round "
            "({round: rows}) and training_table, which learned_from() reads.",
            json=True,
        ),
    ),
    "evaluations": table(
        "One metric of one model on one suite.",
        "Content id of the evaluation.",
        column("model_id", STRING, "Model that was evaluated."),
        column("weight_hash", STRING, "Hash of its weights."),
        column("suite", STRING, "Suite of problems."),
        column("split", STRING, "'heldout'; 'skills' for the suites of evaluation.suites."),
        column(
            "difficulty",
            INT,
            "Level that the value is about; null for all.",
            null=True,
        ),
        column("metric", STRING, "'pass@1 greedy', 'pass@k', 'maj@k', …"),
        column("k", INT, "Samples per problem that the metric counts with.", null=True),
        column("value", DOUBLE, "Value of the metric."),
        column("n", INT, "Problems that it was measured on."),
        column("ci_low", DOUBLE, "Lower end of the 95% interval.", null=True),
        column("ci_high", DOUBLE, "Upper end of the 95% interval.", null=True),
    ),
    "rounds": table(
        "One round of a run.",
        "Content id of the round.",
        column("parent_model_id", STRING, "Model that the round started with."),
        column("child_model_id", STRING, "Model that it trained, if any.", null=True),
        column("recipe", STRING, "Recipe of the round."),
        column("recipe_hash", STRING, "Hash of the recipe and its settings."),
        column("config", STRING, "All settings, as JSON.", json=True),
        column("counts", STRING, "Rows per stage, as JSON.", json=True),
        column(
            "metrics",
            STRING,
            "Exploration and exploitation metrics, as JSON.",
            json=True,
        ),
        column("seconds", STRING, "Seconds per stage, as JSON.", json=True, measured=True),
        column(
            "tokens",
            STRING,
            "Generated tokens by purpose, as JSON; those of reused samples apart ('train_reused').",
            json=True,
            measured=True,
        ),
        column(
            "estimate",
            STRING,
            "What a probe promised of tokens, seconds and disk and what it took, as JSON.",
            null=True,
            json=True,
            measured=True,
        ),
        column(
            "gate_verdict",
            STRING,
            "What the gate decided about the child.",
            values="promoted|rejected|stopped|none",
        ),
        column("gate_reasons", STRINGS, "The gate's reasons."),
        column("monitor_findings", STRINGS, "What the monitors saw."),
    ),
    "decisions": table(
        "One change of the promoted model by hand; rounds keep their own verdicts.",
        "Content id of the decision.",
        column("number", INT, "Decisions of the run are counted from 1 on."),
        column("action", STRING, "What was done.", values="promote|rollback"),
        column("model_id", STRING, "Model that is promoted from here on."),
        column("previous_model_id", STRING, "Model that was promoted before."),
        column("decided_by", STRING, "Who decided: the name of the user's account."),
        column("reason", STRING, "Why, in the user's words."),
        column("decided_at", STRING, "When, ISO 8601 in UTC.", measured=True),
    ),
}
"""Every table by its name; `id`, `run` and `round` come first in each."""

TableName = Literal[
    "prompts",
    "samples",
    "executions",
    "scores",
    "votes",
    "examples",
    "pairs",
    "labels",
    "rejections",
    "models",
    "evaluations",
    "rounds",
    "decisions",
]
"""The names of the tables, for type checkers."""


def doc_of(field: pa.Field) -> str:
    """Returns what a column holds, in words."""
    return bytes((field.metadata or {}).get(b"doc", b"")).decode()


def unmeasured_columns(schema: pa.Schema) -> list[str]:
    """Returns the columns that the same work always fills with the same values."""
    return [f.name for f in schema if (f.metadata or {}).get(b"measured") != b"true"]
