"""Programs in completions: find them, run them in the sandbox, and read their answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields

from sandbox import Execution, Job, Program, Runner, SandboxUnavailableError, Verdict
from storage import content_id
from tasks.checks.feedback import feedback
from tasks.checks.function_tests import HiddenTests
from tasks.checks.scoring import Answered

Row = Mapping[str, object]
SANDBOX_GONE = (
    "the sandbox stopped and does not start again, so the rest of this shard was not run; "
    "`selfloom sandbox doctor` says what is wrong, the same command continues"
)
_MEASURED = [field.name for field in fields(Execution) if field.name not in ("id", "results")]
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)


def extract_program(text: str) -> str:
    """The last fenced Python block of a completion, or the whole text where nothing is fenced.

    Example:
        >>> extract_program("So:\\n```python\\nprint(2)\\n```\\nDone.")
        'print(2)\\n'
        >>> extract_program("print(3)")
        'print(3)'
    """
    blocks = _FENCE.findall(text)
    return str(blocks[-1]) if blocks else text


def execute_samples(
    box: Runner,
    samples: Sequence[Row],
    *,
    run: str,
    round: int,
    tests: Mapping[str, HiddenTests] | None = None,
) -> Iterator[dict[str, object]]:
    """Run the program of every sample and yield one `executions` row each, in order.

    Args:
        box: An open sandbox.
        samples: Rows of `samples`; those that the engine failed on are left out.
        run: The run of the rows.
        round: Its round.
        tests: Hidden tests by prompt id, where the programs are functions; a function whose
            prompt has none is only defined.

    Raises:
        SandboxUnavailableError: The sandbox cannot run programs any more; those of this shard have
            to be run again.
    """
    written = (sample for sample in samples if sample.get("error") is None)
    jobs = [_job(sample, tests) for sample in written]
    for job, execution in zip(jobs, box.run(jobs), strict=True):
        if execution.verdict is Verdict.NOT_RUN and "sandbox_unavailable" in execution.flags:
            raise SandboxUnavailableError(SANDBOX_GONE)
        yield execution_row(execution, run, round) | {"feedback": feedback(job, execution)}


def answered_by_programs(
    samples: Sequence[Row], executions: Iterable[Row], references: Mapping[str, str | None]
) -> Iterator[Answered]:
    """Pair samples with what their programs printed.

    A program that did not run to its end has no answer; one that the sandbox failed on is an
    outage, never a score.

    Args:
        samples: Rows of `samples`.
        executions: Rows of `executions`, in any order, one per sample that there is a text of.
        references: Reference answer by prompt id, None where unknown.
    """
    by_sample = {str(row["sample_id"]): row for row in executions}
    for sample in samples:
        if sample.get("error") is not None:
            yield _not_drawn(sample, references)
            continue
        execution = by_sample[str(sample["id"])]
        verdict = Verdict(str(execution["verdict"]))
        yield Answered(
            sample_id=str(sample["id"]),
            text=str(execution["stdout"]) if verdict is Verdict.ACCEPTED else None,
            reference=references.get(str(sample["prompt_id"])),
            outage=_outage(verdict),
            detail={"verdict": verdict.value},
        )


def answered_by_functions(
    samples: Sequence[Row], executions: Iterable[Row], references: Mapping[str, str | None]
) -> Iterator[Answered]:
    """Pair samples with what the hidden tests of their prompts say.

    The answer of a sample is its function; one that can't be defined has none.

    Args:
        samples: Rows of `samples`.
        executions: Rows of `executions`, in any order, one per sample that there is a text of.
        references: `HiddenTests` as JSON by prompt id, None where unknown.
    """
    by_sample = {str(row["sample_id"]): row for row in executions}
    for sample in samples:
        if sample.get("error") is not None:
            yield _not_drawn(sample, references)
            continue
        verdict = Verdict(str(by_sample[str(sample["id"])]["verdict"]))
        yield Answered(
            sample_id=str(sample["id"]),
            text=None if verdict is Verdict.COMPILE_ERROR else str(sample["text"]),
            reference=references.get(str(sample["prompt_id"])),
            outage=_outage(verdict),
            is_right=verdict is Verdict.ACCEPTED,
            detail={"verdict": verdict.value},
        )


def answered_by_texts(
    samples: Sequence[Row], references: Mapping[str, str | None]
) -> Iterator[Answered]:
    """Take the completions themselves as the texts in which answers are found.

    Args:
        samples: Rows of `samples`.
        references: Reference answer by prompt id, None where unknown.
    """
    for sample in samples:
        if sample.get("error") is not None:
            yield _not_drawn(sample, references)
            continue
        yield Answered(
            sample_id=str(sample["id"]),
            text=str(sample["text"]),
            reference=references.get(str(sample["prompt_id"])),
        )


def _job(sample: Row, tests: Mapping[str, HiddenTests] | None) -> Job:
    id, program = str(sample["id"]), extract_program(str(sample["text"]))
    own = None if tests is None else tests.get(str(sample["prompt_id"]))
    return Program(id, program) if own is None else own.job(id, program)


def _outage(verdict: Verdict) -> str | None:
    return None if verdict.is_label else f"the sandbox did not judge it: {verdict.value}"


def _not_drawn(sample: Row, references: Mapping[str, str | None]) -> Answered:
    """A sample that the engine failed on: nothing to judge, and no score."""
    return Answered(
        sample_id=str(sample["id"]),
        text=None,
        reference=references.get(str(sample["prompt_id"])),
        outage=f"the engine gave no sample: {sample['error']}",
    )


def execution_row(
    execution: Execution, run: str, round: int, *, test_ids: Sequence[str] = (), key: str = ""
) -> dict[str, object]:
    """The row of `executions` that a run of a sample's program is.

    Args:
        execution: The run; its id is the sample's.
        run: The run of the row.
        round: Its round.
        test_ids: Samples that it was run against; none for the problem's own tests.
        key: Tells runs of the same program against the same tests apart.
    """
    # Not the results of cases and tests, which the verdict sums up.
    row = {name: getattr(execution, name) for name in _MEASURED}
    sample_id = execution.id
    against = (*test_ids, key) if test_ids or key else ()
    return row | {
        "id": content_id("execution", run, round, sample_id, *against),
        "sample_id": sample_id,
        "test_ids": list(test_ids),
        "verdict": execution.verdict.value,
        "flags": list(execution.flags),
    }
