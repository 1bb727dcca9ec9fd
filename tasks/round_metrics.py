"""What one round explored and what it could exploit, measured by SQL over the warehouse.

Exploration: how many samples, how many of them end in an answer, how different the answers are.
Exploitation: how far the samples agree, how many rows were selected, and (where references exist,
for monitoring only) how accurate the self-made labels are. The monitors judge these numbers, the
report shows them, and `rounds.metrics` keeps them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import duckdb

from tasks.sql_script import load_script, measured_rows

_SQL = Path(__file__).parent / "sql"
_METRICS = load_script(_SQL / "round_metrics.sql")
_VERDICTS = load_script(_SQL / "round_verdicts.sql")
_PASS_AT_K = load_script(_SQL / "pass_at_k.sql")
_YIELD = load_script(_SQL / "yield_by_difficulty.sql")


@dataclass(frozen=True)
class RoundMetrics:
    """Exploration and exploitation of one round; None where there was nothing to measure.

    Attributes:
        num_prompts: Prompts with at least one sample.
        num_samples: Samples drawn (or imported) for training, of any status.
        samples_per_prompt: Mean number of samples with status ok.
        error_share: Share of samples lost to an outage.
        answered_share: Share of samples from which an answer could be parsed.
        distinct_answers_per_prompt: Mean number of different canonical answers.
        disputed_share: Share of prompts with more than one canonical answer.
        vote_entropy: Mean entropy of a prompt's answers, in nats.
        distinct_1: Mean share of different words among all words of a prompt's samples.
        distinct_2: The same of pairs of neighbouring words.
        pass_at_k: Unbiased pass@k by k (as text, for JSON) = 1, 2, 4, ....
        truncated_share: Share of samples cut off at the token limit.
        repeating_share: Share of samples in which over 70% of 8-character windows were seen before.
        mean_tokens: Mean tokens per sample.
        mean_logprob: Mean over samples of the mean log-probability per token, in nats.
        num_voted_prompts: Prompts with a majority answer.
        mean_majority_share: Mean vote share of the majority answer.
        median_majority_share: Median vote share of the majority answer.
        unanimous_coverage: Share of voted prompts whose samples all agree.
        newest_difficulty: Highest difficulty in the round; its prompts are the newest slice.
        newest_majority_share: Mean majority share of the newest slice.
        newest_unanimous_coverage: Share of the newest slice's prompts, voted or not, with one
            answer.
        newest_label_accuracy: Accuracy of the majority answers of the newest slice.
        top_answer: The majority answer shared by most prompts.
        top_answer_share: Share of voted prompts with that majority answer.
        top_reference_share: The same share among references.
        sample_accuracy: Accuracy of samples.
        any_correct_share: Share of prompts with a right sample: what a checker could select from.
        majority_accuracy: Accuracy of majority answers, over all voted prompts: of the labels that
            votes would make.
        reward_accuracy: Share of samples that a vote for the majority answer rewards rightly.
        greedy_accuracy: Accuracy of greedy samples (temperature 0) of voted prompts, for training
            or evaluation.
        majority_gain: Majority minus greedy accuracy on prompts that have both.
        num_examples: Rows selected for SFT.
        num_pairs: Rows selected for preference training.
        num_labels: Rows selected with a binary label.
        selected_coverage: Share of prompts with at least one selected row.
        selected_accuracy: Accuracy of selected completions (of the chosen ones in pairs).
        generation_verification_gap: `selected_accuracy` less `sample_accuracy`.
        by_difficulty: Yield by difficulty (as text): prompts, samples, rows, accuracies.
        chosen_logprob: Mean log-probability per token of the chosen samples, of the model that
            drew them.
        rejected_logprob: The same of the rejected ones.
        chosen_tokens: Mean tokens of the chosen samples.
        rejected_tokens: Mean tokens of the rejected samples.
        lost_score_share: Share of scores that a check's outage left without a value.
        verdicts: Number of programs by verdict.
        chosen_logprob_start: Mean log-probability of chosen completions before training, from
            training.
        chosen_logprob_end: The same after training.
        rejected_logprob_start: Mean log-probability of rejected completions before training.
        rejected_logprob_end: The same after training.
        heldout: Held-out metrics of the incumbent (`before`) and the candidate (`after`).
        judges: Statistics of every judge, by its name, level and measure; see `tasks.judging`.
        rewards: What implicit rewards are of, and how far two rounds' rankings agree (`tau`).
    """

    num_prompts: int = 0
    num_samples: int = 0
    samples_per_prompt: float | None = None
    error_share: float | None = None
    answered_share: float | None = None
    distinct_answers_per_prompt: float | None = None
    disputed_share: float | None = None
    vote_entropy: float | None = None
    distinct_1: float | None = None
    distinct_2: float | None = None
    pass_at_k: Mapping[str, float] = field(default_factory=dict)
    truncated_share: float | None = None
    repeating_share: float | None = None
    mean_tokens: float | None = None
    mean_logprob: float | None = None
    num_voted_prompts: int = 0
    mean_majority_share: float | None = None
    median_majority_share: float | None = None
    unanimous_coverage: float | None = None
    newest_difficulty: int | None = None
    newest_majority_share: float | None = None
    newest_unanimous_coverage: float | None = None
    newest_label_accuracy: float | None = None
    top_answer: str | None = None
    top_answer_share: float | None = None
    top_reference_share: float | None = None
    sample_accuracy: float | None = None
    any_correct_share: float | None = None
    majority_accuracy: float | None = None
    reward_accuracy: float | None = None
    greedy_accuracy: float | None = None
    majority_gain: float | None = None
    num_examples: int = 0
    num_pairs: int = 0
    num_labels: int = 0
    selected_coverage: float | None = None
    selected_accuracy: float | None = None
    generation_verification_gap: float | None = None
    by_difficulty: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    chosen_logprob: float | None = None
    rejected_logprob: float | None = None
    chosen_tokens: float | None = None
    rejected_tokens: float | None = None
    lost_score_share: float | None = None
    verdicts: Mapping[str, int] = field(default_factory=dict)
    chosen_logprob_start: float | None = None
    chosen_logprob_end: float | None = None
    rejected_logprob_start: float | None = None
    rejected_logprob_end: float | None = None
    heldout: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    judges: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    rewards: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_selected(self) -> int:
        """Training rows of any kind."""
        return self.num_examples + self.num_pairs + self.num_labels

    def to_dict(self) -> dict[str, object]:
        """Returns a JSON-serialisable form for `rounds.metrics`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> RoundMetrics:
        """Returns the metrics kept in `rounds.metrics`; keys of other parts are ignored.

        Args:
            values: Parsed JSON with any subset of the fields.
        """
        known = {f.name for f in fields(cls)}
        chosen: dict[str, Any] = {key: values[key] for key in values if key in known}
        return cls(**chosen)


def round_metrics(con: duckdb.DuckDBPyConnection, run: str, round: int) -> RoundMetrics:
    """Returns the metrics of one round from the warehouse's views.

    Args:
        con: A connection from `Warehouse.connect()`.
        run: Name of the run.
        round: Number of the round.

    Returns:
        Metrics without what only training, evaluation and the stages know (log-probabilities
        after it, held-out metrics, judges, rewards); counts are 0 for a round that wrote nothing.
    """
    parameters = {"run": run, "round": round}
    (row,) = measured_rows(con, _METRICS, parameters)
    verdicts = dict(con.execute(_VERDICTS.bind(con, parameters)).fetchall())
    solved = {str(one["k"]): one["value"] for one in measured_rows(con, _PASS_AT_K, parameters)}
    yields = {str(one.pop("difficulty")): one for one in measured_rows(con, _YIELD, parameters)}
    others = {"verdicts": verdicts, "pass_at_k": solved, "by_difficulty": yields}
    return RoundMetrics.from_dict(row | others)


def earlier_rounds(
    con: duckdb.DuckDBPyConnection, run: str, round: int
) -> list[tuple[int, RoundMetrics]]:
    """Returns number and metrics of the run's finished rounds before `round`, oldest first.

    Args:
        con: A connection from `Warehouse.connect()`.
        run: Name of the run.
        round: Rounds below this number are returned.
    """
    rows = con.execute(
        "SELECT round, metrics FROM rounds WHERE run = $run AND round < $round ORDER BY round",
        {"run": run, "round": round},
    ).fetchall()
    return [(number, RoundMetrics.from_dict(json.loads(text or "{}"))) for number, text in rows]
