"""Tables of what a run explored and learned, round by round; a dash where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.report.rounds import RoundFacts, percent

Cells = dict[str, str]


def metric_rows(rounds: Sequence[RoundFacts]) -> list[Cells]:
    """Returns one row per round; a column that no round has measured is left out.

    Args:
        rounds: Rounds of one run.
    """
    largest = max((int(k) for f in rounds for k in f.metrics.pass_at_k), default=0)
    return _with_something([_metrics_of(facts, largest) for facts in rounds], ("round",))


def yield_rows(rounds: Sequence[RoundFacts]) -> list[Cells]:
    """Returns one row per round and difficulty, from the first round on.

    Args:
        rounds: Rounds of one run.
    """
    rows = [
        {
            "round": str(facts.round),
            "difficulty": "-" if level == "None" else level,
            "prompts": f"{own['num_prompts']:,}",
            "samples": f"{own['num_samples']:,}",
            "samples right": percent(own["sample_accuracy"]),
            "training rows": f"{own['num_selected']:,}",
            "prompts used": percent(own["used_share"]),
            "labels right": percent(own["label_accuracy"]),
        }
        for facts in rounds
        for level, own in facts.metrics.by_difficulty.items()
    ]
    return _with_something(rows, ("round",))


def _metrics_of(facts: RoundFacts, largest: int) -> Cells:
    m = facts.metrics
    before, after = m.heldout.get("before", {}), m.heldout.get("after", {})
    return {
        "round": str(facts.round),
        "pass@1": percent(m.pass_at_k.get("1")),
        f"pass@{largest}": percent(m.pass_at_k.get(str(largest))),
        "distinct answers": _number(m.distinct_answers_per_prompt, 2),
        "disputed prompts": percent(m.disputed_share),
        "vote entropy": _number(m.vote_entropy),
        "distinct-1": _number(m.distinct_1),
        "distinct-2": _number(m.distinct_2),
        "labels by votes right": percent(m.majority_accuracy),
        "rewards right": percent(m.reward_accuracy),
        "verification gap": _points(m.generation_verification_gap),
        "held-out labels right": _change(before, after, "label_accuracy"),
        "held-out rewards right": _change(before, after, "reward_accuracy"),
        "held-out vote entropy": _numbers(before, after, "vote_entropy"),
        "log p chosen": _pair(m.chosen_logprob_start, m.chosen_logprob_end),
        "log p rejected": _pair(m.rejected_logprob_start, m.rejected_logprob_end),
    }


def _with_something(rows: list[Cells], always: Sequence[str]) -> list[Cells]:
    names = [n for row in rows[:1] for n in row]
    kept = [n for n in names if n in always or any(row[n] != "-" for row in rows)]
    return [{name: row[name] for name in kept} for row in rows] if len(kept) > len(always) else []


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f}"


def _pair(start: float | None, end: float | None) -> str:
    return "-" if start is None or end is None else f"{start:.3f} → {end:.3f}"


def _numbers(
    before: Mapping[str, float | None], after: Mapping[str, float | None], name: str
) -> str:
    return _pair(before.get(name), after.get(name))


def _change(
    before: Mapping[str, float | None], after: Mapping[str, float | None], name: str
) -> str:
    start, end = before.get(name), after.get(name)
    return "-" if start is None or end is None else f"{percent(start)} → {percent(end)}"
