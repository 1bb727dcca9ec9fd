"""A sandbox that answers at once, for what is built around one."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sandbox import CaseResult, Environment, Execution, Job, Limits, Verdict

ENVIRONMENT = Environment(
    seed=0,
    preload=(),
    image_digest=None,
    python="3.11",
    system="x86_64",
    vector_units=["avx"],
    flags="none",
    packages={"numpy": "2.4"},
    package_files="ab",
    variables={"TZ": "UTC"},
    cell_code="cd",
    cpus=1,
    folder="/tmp",
    encoding="utf-8",
)


class FixedBox:
    """A sandbox that answers from a list, and counts."""

    def __init__(self, **described: object) -> None:
        self.environment: Environment | None = ENVIRONMENT
        self.limits = Limits()
        self.described = {
            "backend": "b", "isolation": "jail", "limits_enforced_by": "c", "comparator": "lines",
        } | described  # fmt: skip
        self.ran: list[str] = []
        self.verdicts: dict[str, list[Verdict]] = {}

    def describe(self) -> dict[str, object]:
        return self.described

    def run(self, jobs: Iterable[Job]) -> Iterator[Execution]:
        for job in jobs:
            self.ran.append(job.id)
            verdicts = self.verdicts.get(job.source, [Verdict.ACCEPTED])
            verdict = verdicts.pop(0) if len(verdicts) > 1 else verdicts[0]
            yield replace(EXECUTION, id=job.id, verdict=verdict, stdout=job.source)


EXECUTION = Execution(
    id="a",
    verdict=Verdict.ACCEPTED,
    exit_code=0,
    signal=None,
    stdout="é\\udc80\0",
    stderr="",
    stdout_truncated=False,
    stderr_truncated=False,
    wall_ms=1.5,
    cpu_ms=1.25,
    peak_memory_mib=None,
    backend="b",
    isolation="jail",
    limits_enforced_by="c",
    image_digest=None,
    flags=("left_files",),
    attempts=1,
    results=(CaseResult(Verdict.WRONG_ANSWER, "1", "not 2"),),
)
