"""Score rows from answers: what a sample answered, and whether that is the reference answer.

The same functions serve a round (rows for `scores`) and one batch in memory (a reward function).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from storage import content_id
from tasks.checks.answers import ANSWERS_VERSION, canonical_map

Parse = Callable[[str], str | None]
Canonical = Callable[[str], str | None]


@dataclass(frozen=True)
class Answered:
    """A sample to be scored.

    Attributes:
        sample_id: The sample.
        text: Where its answer is to be found: the completion, or what its program printed. None
            where a program printed nothing usable (it crashed): the sample then has no answer.
        reference: The reference answer of its prompt, or None where none is known.
        outage: Why it can't be judged by fault of ours (a sandbox that failed); never a score.
        is_right: Whether it is right where that is not decided by comparing answers (hidden tests).
        detail: What to keep beside the answer's score, e.g. the verdict.
    """

    sample_id: str
    text: str | None
    reference: str | None = None
    outage: str | None = None
    is_right: bool | None = None
    detail: dict[str, str] | None = None


def score_answers(
    samples: Iterable[Answered],
    parse: Parse,
    canonical: Canonical,
    *,
    run: str,
    round: int,
    version: str = ANSWERS_VERSION,
) -> Iterator[dict[str, object]]:
    """Yield rows for `scores`: `answer` for every sample, `reference` where there is one.

    The `answer` row's label is the canonical answer, null where none was found. The `reference`
    row's value is 1.0 if that equals the canonical reference, else 0.0, also for a sample without
    an answer. After an outage both have the status `error` and neither value nor label.

    Args:
        samples: The samples; held in memory, so call this per shard.
        parse: Finds the raw answer in a text (`environment.parse_answer`).
        canonical: Makes it canonical (`environment.canonical`); called once per distinct answer.
        run: The run that the rows belong to.
        round: Its round.
        version: The version of parser and canonical form.
    """
    shard = list(samples)
    raws = [None if one.text is None else parse(one.text) for one in shard]
    compared = [one.reference for one in shard if one.is_right is None]
    forms = canonical_map([*raws, *compared], canonical)
    for one, raw in zip(shard, raws, strict=True):
        answer = None if raw is None else forms[raw]
        detail = dict(one.detail or {})
        if raw is not None and raw != answer:
            detail["raw"] = raw
        yield _row(run, round, one, "answer", version) | {
            "label": None if one.outage else answer,
            "detail": {} if one.outage else detail,
        }
        if one.reference is not None:
            if one.is_right is None:
                reference = forms[one.reference]
                is_right = answer is not None and answer == reference
                said = {"reference": reference}
            else:
                is_right, said = one.is_right, {}
            yield _row(run, round, one, "reference", version) | {
                "value": None if one.outage else float(is_right),
                "detail": {} if one.outage else said,
            }


def grade(
    texts: Sequence[str], references: Sequence[str | None], parse: Parse, canonical: Canonical
) -> list[float | None]:
    """Rewards of a batch: 1.0 where the answer is the reference, else 0.0; None without one.

    Args:
        texts: num_texts completions.
        references: num_texts reference answers, None where unknown.
        parse: Finds the raw answer in a text.
        canonical: Makes it canonical.

    Returns:
        list[num_texts] of float in {0, 1} or None.
    """
    samples = [
        Answered(str(index), text, reference)
        for index, (text, reference) in enumerate(zip(texts, references, strict=True))
    ]
    rows = score_answers(samples, parse, canonical, run="batch", round=0)
    rewards = {row["sample_id"]: row["value"] for row in rows if row["check"] == "reference"}
    return [rewards.get(one.sample_id) for one in samples]  # type: ignore[misc]


def _row(run: str, round: int, one: Answered, check: str, version: str) -> dict[str, object]:
    return {
        "id": content_id("score", run, round, one.sample_id, check, version),
        "sample_id": one.sample_id,
        "check": check,
        "version": version,
        "value": None,
        "label": None,
        "status": "error" if one.outage else "ok",
        "error": one.outage,
    }
