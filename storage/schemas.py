"""The tables: one documented Arrow schema each.

Field metadata:
    doc: what the column holds; the catalog shows it as the column's comment.
    measured: "true" where a clock or a meter made the value, or where it says what was in the
        warehouse before. Two runs of the same work have the same tables when all other columns are
        equal.
    format: "json" for a string column that holds one JSON document.
    values: the allowed words, separated by "|".
"""

from __future__ import annotations

from typing import Final, Literal

import pyarrow as pa

SCHEMA_VERSION: Final = 1
"""Changes when a column changes its name, type or meaning; a new nullable column does not count."""

TRAINING_TABLES: Final = ("examples", "pairs", "labels")
"""The tables that a trainer reads; their columns have TRL's names."""

# Parquet's own name for list items, so that a schema read back is the same one.
_ITEM: Final = "element"

MESSAGES: Final = pa.list_(
    pa.field(_ITEM, pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())]))
)
"""Chat messages, TRL's conversational format."""

_STRING = pa.string()
_INT = pa.int32()
_LONG = pa.int64()
_DOUBLE = pa.float64()
_BOOL = pa.bool_()
_STRINGS = pa.list_(pa.field(_ITEM, pa.string()))


def _column(
    name: str,
    kind: pa.DataType,
    doc: str,
    *,
    null: bool = False,
    measured: bool = False,
    values: str = "",
    json: bool = False,
) -> pa.Field:
    metadata = {"doc": doc}
    if measured:
        metadata["measured"] = "true"
    if values:
        metadata["values"] = values
    if json:
        metadata["format"] = "json"
    return pa.field(name, kind, nullable=null, metadata=metadata)


def _table(doc: str, id_doc: str, *columns: pa.Field) -> pa.Schema:
    keys = [
        _column("id", _STRING, id_doc),
        _column("run", _STRING, "Run that wrote the row; also the first partition key."),
        _column("round", _INT, "Round of the run, 0 for what came before it; second key."),
    ]
    return pa.schema([*keys, *columns], metadata={"doc": doc})


def _status(of: str) -> list[pa.Field]:
    return [
        _column(
            "status",
            _STRING,
            f"'error' where {of} failed for reasons of ours; never a score of 0.",
            values="ok|error",
        ),
        _column("error", _STRING, "What went wrong, null when status is 'ok'.", null=True),
    ]


def _sources(*columns: pa.Field) -> list[pa.Field]:
    return [
        *columns,
        _column("sample_ids", _STRINGS, "Samples whose text is in the row; voters: see vote_ids."),
        _column("score_ids", _STRINGS, "Every score that decided about the row."),
        _column("vote_ids", _STRINGS, "Every vote that decided about the row."),
    ]


TABLES: Final[dict[str, pa.Schema]] = {
    "prompts": _table(
        "One problem, given or self-made.",
        "Content id of the prompt.",
        _column("environment", _STRING, "Environment that the prompt belongs to, e.g. 'gsm8k'."),
        _column("messages", MESSAGES, "Chat messages that the model is asked with."),
        _column("reference", _STRING, "Gold answer, null where there is none.", null=True),
        _column(
            "source",
            _STRING,
            "Where it comes from: 'seed', 'self_instruct', 'rephrase', …",
        ),
        _column("parent_ids", _STRINGS, "Prompts or samples that it was derived from."),
        _column("split", _STRING, "Split of the environment, e.g. 'train' or 'heldout'."),
        _column("difficulty", _INT, "Level given by the environment, e.g. steps.", null=True),
        _column("metadata", _STRING, "What else the environment knows, as JSON.", json=True),
        _column(
            "suite",
            _STRING,
            "Suite that a held-out problem belongs to; null: the environment's own held-out set.",
            null=True,
        ),
    ),
    "samples": _table(
        "One model output of any role.",
        "Content id of the sample.",
        _column("prompt_id", _STRING, "Prompt that the model was asked."),
        _column("parent_ids", _STRINGS, "Samples, or prompts, that this one was conditioned on."),
        _column("role", _STRING, "'answer', 'program', 'test', 'critique', 'judgement', …"),
        _column(
            "purpose",
            _STRING,
            "What it was drawn for; only 'train' and 'imported' can become training rows.",
            values="train|evaluate|imported",
        ),
        _column("turn", _INT, "Turn of a dialog, from 0."),
        _column(
            "index",
            _INT,
            "Position among the samples of the same prompt, parents, role and turn.",
        ),
        _column(
            "policy_id",
            _STRING,
            "Model that wrote it (models.id), or the name it came with.",
        ),
        _column("weight_hash", _STRING, "Hash of the weights that wrote it."),
        _column("engine", _STRING, "Engine that generated it: 'transformers', 'vllm', …"),
        _column("sampling", _STRING, "Sampling parameters, as JSON.", json=True),
        _column("seed", _LONG, "Seed of the random numbers that drew it."),
        _column(
            "text",
            _STRING,
            "The completion; where the model went on with an answer that was begun, the whole "
            "answer, and sampling.begun_characters says how much of it was given.",
        ),
        _column("num_tokens", _INT, "Tokens of the completion, end token included."),
        _column("finish_reason", _STRING, "'stop', 'length', or 'error'."),
        _column(
            "sum_logprob",
            _DOUBLE,
            "Sum of the token log-probabilities, nats.",
            null=True,
        ),
        _column("mean_logprob", _DOUBLE, "Mean token log-probability, nats.", null=True),
        _column("min_logprob", _DOUBLE, "Smallest token log-probability, nats.", null=True),
        _column("mean_entropy", _DOUBLE, "Mean entropy of the next token, nats.", null=True),
        _column(
            "mean_self_certainty",
            _DOUBLE,
            "Mean KL(uniform || next token) over the tokens, nats; see Kang et al. 2025.",
            null=True,
        ),
        _column("num_prompt_tokens", _INT, "Tokens of the prompt.", null=True),
        _column(
            "request_digest",
            _STRING,
            "Hash of what the engine was asked: weights, tokenizer, options, messages, parameters; "
            "all that the completion follows from beside its seed.",
            null=True,
        ),
        _column(
            "reused_from",
            _STRING,
            "Sample of the same request that it is a copy of; null where it was drawn.",
            null=True,
            measured=True,
        ),
        *_status("the engine"),
    ),
    "executions": _table(
        "One run of a program in the sandbox.",
        "Content id of the execution.",
        _column("sample_id", _STRING, "Sample that the program came from."),
        _column("test_ids", _STRINGS, "Samples or tests that it was run against."),
        _column("verdict", _STRING, "What the sandbox says: 'accepted', 'wrong_answer', …"),
        _column("exit_code", _INT, "Exit code, null when it ended otherwise.", null=True),
        _column("signal", _INT, "Signal that ended it, else null.", null=True),
        _column("stdout", _STRING, "Standard output, cut at the sandbox's limit."),
        _column("stderr", _STRING, "Standard error, cut at the sandbox's limit."),
        _column("stdout_truncated", _BOOL, "Whether stdout was cut."),
        _column("stderr_truncated", _BOOL, "Whether stderr was cut."),
        _column("wall_ms", _DOUBLE, "Wall time, ms.", measured=True),
        _column("cpu_ms", _DOUBLE, "CPU time, ms.", measured=True),
        _column("peak_memory_mib", _DOUBLE, "Peak memory, MiB.", null=True, measured=True),
        _column("backend", _STRING, "Sandbox backend, e.g. 'namespaces'."),
        _column("isolation", _STRING, "What separated the program from the host."),
        _column("limits_enforced_by", _STRING, "What held the limits: cgroups, rlimits, …"),
        _column("image_digest", _STRING, "Digest of the container image, if any.", null=True),
        _column("flags", _STRINGS, "Observations beside the verdict, e.g. 'near_limit'."),
        _column("attempts", _INT, "Times it was started; more than 1 after a sandbox fault."),
        _column(
            "feedback", _STRING, "How it failed, for its author; null if it did not.", null=True
        ),
    ),
    "scores": _table(
        "One check's opinion of one sample.",
        "Content id of the score.",
        _column("sample_id", _STRING, "Sample that was judged."),
        _column("check", _STRING, "Check that judged: 'answer', 'reference', 'judge', …"),
        _column(
            "version",
            _STRING,
            "Version of the check; another version is another opinion.",
        ),
        _column(
            "value",
            _DOUBLE,
            "The score; null where the check gives no number.",
            null=True,
        ),
        _column("label", _STRING, "The canonical answer or class, null if none.", null=True),
        _column("detail", _STRING, "What else the check has to say, as JSON.", json=True),
        *_status("the check"),
    ),
    "votes": _table(
        "One candidate answer of one prompt; losers are kept.",
        "Content id of the vote.",
        _column("prompt_id", _STRING, "Prompt that was voted on."),
        _column("answer", _STRING, "Canonical answer."),
        _column("count", _INT, "Samples that gave this answer."),
        _column("weight", _DOUBLE, "Sum of their weights; the count where all weigh 1."),
        _column(
            "share",
            _DOUBLE,
            "Count over num_samples, 0 to 1; samples without an answer count too.",
        ),
        _column("rank", _INT, "1 for the most voted answer of the prompt."),
        _column("num_samples", _INT, "Samples of the prompt, with and without an answer."),
    ),
    "examples": _table(
        "One row of supervised fine-tuning.",
        "Content id of the example.",
        _column("prompt_id", _STRING, "Prompt that the row is about."),
        _column("prompt", MESSAGES, "The prompt's messages."),
        _column("completion", MESSAGES, "What the model learns to answer."),
        *_sources(_column("weight", _DOUBLE, "Weight in the loss.")),
    ),
    "pairs": _table(
        "One preference pair.",
        "Content id of the pair.",
        _column("prompt_id", _STRING, "Prompt that the row is about."),
        _column("prompt", MESSAGES, "The prompt's messages."),
        _column("chosen", MESSAGES, "The preferred completion."),
        _column("rejected", MESSAGES, "The other completion."),
        _column("weight", _DOUBLE, "Weight in the loss."),
        _column("margin", _DOUBLE, "Score of the chosen less that of the rejected sample."),
        _column("soft_label", _DOUBLE, "Probability that the chosen one is better, 0 to 1."),
        _column(
            "chosen_win_rate",
            _DOUBLE,
            "Probability that the chosen one beats a sample of the policy; null if unknown.",
            null=True,
        ),
        _column(
            "rejected_win_rate",
            _DOUBLE,
            "Probability that the rejected one beats a sample of the policy; null if unknown.",
            null=True,
        ),
        _column("chosen_sample_id", _STRING, "Sample that became the chosen completion."),
        _column("rejected_sample_id", _STRING, "Sample that became the rejected completion."),
        *_sources(),
    ),
    "labels": _table(
        "One completion labeled good or bad (KTO).",
        "Content id of the labeled row.",
        _column("prompt_id", _STRING, "Prompt that the row is about."),
        _column("prompt", MESSAGES, "The prompt's messages."),
        _column("completion", MESSAGES, "The completion that was labeled."),
        _column("label", _BOOL, "Whether it is a desired completion."),
        *_sources(_column("weight", _DOUBLE, "Weight in the loss.")),
    ),
    "rejections": _table(
        "One row that a filter dropped, and why.",
        "Content id of the rejection.",
        _column("row_table", _STRING, "Table of the dropped row, e.g. 'samples'."),
        _column("row_id", _STRING, "Id of the dropped row in that table."),
        _column("filter", _STRING, "Filter that dropped it."),
        _column("reason", _STRING, "Why, in words that a person understands."),
        _column("detail", _STRING, "The numbers behind the reason, as JSON.", json=True),
    ),
    "models": _table(
        "One checkpoint, in one state of its life.",
        "Id of the model; also the name of its folder.",
        _column("parent_id", _STRING, "Model that training started from.", null=True),
        _column(
            "recipe",
            _STRING,
            "Recipe that trained it, 'base' for a model from outside.",
        ),
        _column("recipe_hash", _STRING, "Hash of the recipe and its settings."),
        _column("snapshot_hash", _STRING, "Hash of the training rows it saw.", null=True),
        _column("path", _STRING, "Folder, relative to the warehouse; absolute if outside."),
        _column("weight_hash", _STRING, "Hash of its weights."),
        _column(
            "status",
            _STRING,
            "What became of it.",
            values="candidate|promoted|rejected|rolled_back|base",
        ),
        _column(
            "metrics",
            _STRING,
            "Training metrics, as JSON; where rows of several rounds were mixed, rows_by_round "
            "({round: rows}) and training_table, which learned_from() reads.",
            json=True,
        ),
    ),
    "evaluations": _table(
        "One metric of one model on one suite.",
        "Content id of the evaluation.",
        _column("model_id", _STRING, "Model that was evaluated."),
        _column("weight_hash", _STRING, "Hash of its weights."),
        _column("suite", _STRING, "Suite of problems."),
        _column("split", _STRING, "'heldout'; 'skills' for the suites of evaluation.suites."),
        _column(
            "difficulty",
            _INT,
            "Level that the value is about; null for all.",
            null=True,
        ),
        _column("metric", _STRING, "'pass@1 greedy', 'pass@k', 'maj@k', …"),
        _column("k", _INT, "Samples per problem that the metric counts with.", null=True),
        _column("value", _DOUBLE, "Value of the metric."),
        _column("n", _INT, "Problems that it was measured on."),
        _column("ci_low", _DOUBLE, "Lower end of the 95% interval.", null=True),
        _column("ci_high", _DOUBLE, "Upper end of the 95% interval.", null=True),
    ),
    "rounds": _table(
        "One round of a run.",
        "Content id of the round.",
        _column("parent_model_id", _STRING, "Model that the round started with."),
        _column("child_model_id", _STRING, "Model that it trained, if any.", null=True),
        _column("recipe", _STRING, "Recipe of the round."),
        _column("recipe_hash", _STRING, "Hash of the recipe and its settings."),
        _column("config", _STRING, "All settings, as JSON.", json=True),
        _column("counts", _STRING, "Rows per stage, as JSON.", json=True),
        _column(
            "metrics",
            _STRING,
            "Exploration and exploitation metrics, as JSON.",
            json=True,
        ),
        _column("seconds", _STRING, "Seconds per stage, as JSON.", json=True, measured=True),
        _column(
            "tokens",
            _STRING,
            "Generated tokens by purpose, as JSON; those of reused samples apart ('train_reused').",
            json=True,
            measured=True,
        ),
        _column(
            "estimate",
            _STRING,
            "What a probe promised of tokens, seconds and disk and what it took, as JSON.",
            null=True,
            json=True,
            measured=True,
        ),
        _column(
            "gate_verdict",
            _STRING,
            "What the gate decided about the child.",
            values="promoted|rejected|stopped|none",
        ),
        _column("gate_reasons", _STRINGS, "The gate's reasons."),
        _column("monitor_findings", _STRINGS, "What the monitors saw."),
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
]
"""The names of the tables, for type checkers."""


def doc_of(field: pa.Field) -> str:
    """Returns what a column holds, in words."""
    return bytes((field.metadata or {}).get(b"doc", b"")).decode()


def unmeasured_columns(schema: pa.Schema) -> list[str]:
    """Returns the columns that the same work always fills with the same values."""
    return [f.name for f in schema if (f.metadata or {}).get(b"measured") != b"true"]
