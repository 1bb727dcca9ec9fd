"""Answers of mathematics, equal where they have the same value: LaTeX, sets, intervals, formulas.

An answer's class is a text that depends on the answer alone, not on what it is compared with: so
votes group by it, the order of samples and shards does not matter, and equality is transitive,
which a pairwise comparison with tolerances is not. `math-verify` parses the LaTeX; what can't be
parsed is compared as text, as :func:`tasks.checks.answers.canonical_answer` does.
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO

from tasks.checks.answers import canonical_answer
from tasks.child_process import Child, end_child, read_tail, start_child
from tasks.errors import EngineError

MAX_CHARACTERS = 1_000  # longer answers are run-away samples; compared as text
START_LIMIT_S = 120.0  # importing the parser takes seconds, on a busy machine many
WALL_FACTOR = 20.0  # a worker that sleeps or waits uses no CPU time and is ended by the clock

_CLASS = ("≡ ", "≈ ")  # what the worker's classes begin with; see math_form.py
_WORDS = re.compile(r"[^\W\d_]+(?:[ '-][^\W\d_]+)*")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+|/[0-9]+)?")
_log = logging.getLogger(__name__)


class MathAnswers:
    """The classes of mathematical answers, each distinct answer worked out once.

    Numbers and plain words are settled here. All else goes to a worker process, which is started
    when it is first needed. Simplifying a formula can take forever (`5^{5^{5^{5^5}}}`) and can't be
    interrupted from inside, so the worker is killed when one answer has cost `limit_s` of CPU time,
    and another takes over; that answer is then compared as text. CPU time, not time by the clock:
    how busy the machine is must not decide what is equal.

    Args:
        limit_s: Seconds of CPU time for one answer.
        memory_mib: Memory of the worker in MiB; an answer that needs more is compared as text.

    Attributes:
        num_given_up: Distinct answers that were too hard and are compared as text.

    Example:
        >>> with MathAnswers() as math:
        ...     math(r"\\frac{2}{4}"), math(r"\\{3, 1, 2\\}"), math(r"\\sqrt{8}"), math("Paris.")
        ('0.5', '≡ {1, 2, 3}', '≈ 2.82842712474619', 'paris')
    """

    def __init__(self, limit_s: float = 2.0, memory_mib: int = 2048) -> None:
        self.limit_s, self.memory_mib = limit_s, memory_mib
        self.num_given_up = 0
        self._classes: dict[str, str | None] = {}
        self._lock = threading.Lock()
        self._worker: Child | None = None
        self._printed: IO[bytes] | None = None

    def __call__(self, raw: str) -> str | None:
        """The class of a raw answer: equal texts for equal answers, None for an empty one.

        Raises:
            EngineError: The worker can't be started.
        """
        with self._lock:
            if raw not in self._classes:
                self._classes[raw] = self._find(raw)
            return self._classes[raw]

    def many(self, raws: Iterable[str | None]) -> dict[str, str | None]:
        """The class of every distinct answer of a table.

        Raises:
            EngineError: The worker can't be started.
        """
        return {raw: self(raw) for raw in dict.fromkeys(raws) if raw is not None}

    def close(self) -> None:
        """End the worker; a later answer starts another one."""
        if self._worker is not None:
            end_child(self._worker)
            self._worker = None
        if self._printed is not None:
            self._printed.close()
            self._printed = None

    def __enter__(self) -> MathAnswers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self.__dict__.get("_worker") is not None:
            self.close()

    def _find(self, raw: str) -> str | None:
        if raw.startswith(_CLASS):
            return raw
        text = canonical_answer(raw)
        if text is None or len(raw) > MAX_CHARACTERS:
            return text
        is_plain = _NUMBER.fullmatch(text) or _WORDS.fullmatch(text)
        if is_plain and not raw.rstrip(" .$").endswith("!"):  # 5! is not 5
            return text
        return self._ask(raw) or text

    def _ask(self, raw: str) -> str | None:
        worker = self._worker or self._start()
        assert worker.stdin is not None and worker.stdout is not None
        try:
            worker.stdin.write(json.dumps(raw).encode() + b"\n")
            worker.stdin.flush()
            line = self._read_line(worker, worker.stdout)
        except BrokenPipeError:
            line = b""
        if not line.endswith(b"\n"):
            # Too slow, or it died: of memory, or of a bug in a parser that took hostile text.
            self.num_given_up += 1
            _log.warning("an answer was too hard and is compared as text: %.80r", raw)
            self.close()
            return None
        found: str | None = json.loads(line)
        return found

    def _start(self) -> Child:
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the worker is)
        worker = start_child(
            "tasks.checks.math_form", [str(self.memory_mib)], 1, stderr=self._printed, talk=True
        )
        self._worker = worker
        assert worker.stdout is not None
        ready, _, _ = select.select([worker.stdout], [], [], START_LIMIT_S)
        if not ready or worker.stdout.readline() != b"ready\n":
            reason = read_tail(self._printed) or "it printed nothing"
            self.close()
            raise EngineError(
                f"the worker that compares mathematical answers did not start: {reason}; is "
                "math-verify installed (pip install 'math-verify>=0.9,<0.10')?"
            )
        return worker

    def _read_line(self, worker: Child, stdout: IO[bytes]) -> bytes:
        cpu_limit = _cpu_seconds(worker.pid) + self.limit_s
        wall_limit = time.monotonic() + WALL_FACTOR * self.limit_s
        while time.monotonic() < wall_limit and _cpu_seconds(worker.pid) < cpu_limit:
            ready, _, _ = select.select([stdout], [], [], 0.05)
            if ready:
                return stdout.readline()
        return b""


def _cpu_seconds(pid: int) -> float:
    """CPU seconds that a process has used; infinitely many if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("inf")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
