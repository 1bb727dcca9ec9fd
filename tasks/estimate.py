"""What a round will take, from a probe: its first problems, drawn and checked as all others are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

PROBE_SHARE = 0.01
# Fewer samples would not fill an engine's batch, and its speed would not be that of the round.
MIN_PROBE_SAMPLES = 256
# A round of fewer probes than this is over before an estimate is of use.
MIN_PROBES_PER_ROUND = 4


def probe_size(num_problems: int, num_samples: int) -> int:
    """How many problems of a round are its probe: 1%, but enough to fill a batch; 0 for no probe.

    Args:
        num_problems: Problems of the round.
        num_samples: Samples per problem.

    Example:
        >>> probe_size(100_000, 8), probe_size(400, 8), probe_size(40, 4)
        (1000, 32, 0)
    """
    size = max(-(-num_problems // round(1 / PROBE_SHARE)), -(-MIN_PROBE_SAMPLES // num_samples))
    return size if num_problems >= MIN_PROBES_PER_ROUND * size else 0


class Pace:
    """Start-up and seconds per sample of an engine, from the progress that it reports.

    The time to the first report has the start-up in it (compiling, warming up), so the seconds
    per sample are those after it, where there is a second report.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the clock."""
        self._clock, self._start = clock, clock()
        self._reports: list[tuple[float, int]] = []

    def __call__(self, done: int, total: int) -> None:
        """Note that `done` samples are finished."""
        del self._reports[1:]  # the first and the last one count
        self._reports.append((self._clock() - self._start, done))

    @property
    def per_sample_s(self) -> float:
        """Seconds per sample once the engine is warm; 0 before the first report."""
        if not self._reports:
            return 0.0
        (first_s, first), (last_s, last) = self._reports[0], self._reports[-1]
        return (last_s - first_s) / (last - first) if last > first else last_s / max(1, last)

    @property
    def startup_s(self) -> float:
        """What the first report took longer than later ones, in seconds."""
        if not self._reports:
            return 0.0
        first_s, first = self._reports[0]
        return max(0.0, first_s - first * self.per_sample_s)


@dataclass(frozen=True)
class Probe:
    """What the first problems of a round took.

    Attributes:
        num_samples: Their samples.
        num_tokens: Tokens of these.
        num_bytes: Bytes of their rows in samples, executions and scores.
        startup_s: Seconds until the engine was open and warm.
        sample_s: Seconds of the engine per sample.
        check_s: Seconds of the check per sample.
    """

    num_samples: int
    num_tokens: int
    num_bytes: int
    startup_s: float
    sample_s: float
    check_s: float

    def tokens(self, num_samples: int) -> int:
        """Tokens of so many samples."""
        return round(self.num_tokens / self.num_samples * num_samples)

    def mib(self, num_samples: int) -> float:
        """MiB of their rows."""
        return self.num_bytes / self.num_samples * num_samples / 2**20

    def seconds(self, num_samples: int, shard_samples: int) -> float:
        """Seconds to draw and check so many samples, shards of `shard_samples` of them at a time.

        The slower of the two decides, and the other one adds a shard at its end: the first shard
        can't be checked before it is drawn, and the last one is checked when nothing is drawn.
        """
        slow, fast = max(self.sample_s, self.check_s), min(self.sample_s, self.check_s)
        return self.startup_s + slow * num_samples + fast * min(shard_samples, num_samples)


@dataclass(frozen=True)
class Costs:
    """Tokens, seconds and MiB of a round: expected or real.

    Attributes:
        tokens: Generated tokens by purpose.
        seconds: Seconds by stage; a stage that nothing is known of is left out.
        mib: MiB of disk, by `tables` and `model`.
    """

    tokens: Mapping[str, int]
    seconds: Mapping[str, float]
    mib: Mapping[str, float]

    def to_dict(self) -> dict[str, object]:
        """Returns a JSON-serialisable form for `rounds.estimate`."""
        return asdict(self)


def compare(expected: Costs, actual: Costs) -> list[dict[str, str]]:
    """One row per number of both: what it is, the estimate, what it took, and the difference.

    Example:
        >>> compare(Costs({"train": 100}, {"train": 2.0}, {}), Costs({"train": 90}, {}, {}))
        [{'what': 'train tokens', 'estimate': '100', 'took': '90', 'difference': '-10%'}]
    """
    groups = (
        ("tokens", expected.tokens, actual.tokens),
        ("s", expected.seconds, actual.seconds),
        ("MiB", expected.mib, actual.mib),
    )
    return [
        {
            "what": f"{name} {unit}",
            "estimate": _shown(before[name]),
            "took": _shown(after[name]),
            "difference": f"{after[name] / before[name] - 1:+.0%}" if before[name] else "-",
        }
        for unit, before, after in groups
        for name in before
        if name in after
    ]


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
