"""Runs test code whose calls are answered in another cell, and reports each test.

What a report says is the word of the test code. The parent believes no more of it than that the
tests passed: how often they called the solution, and what came back, it saw itself.
"""

import sys
import types
from typing import Any

from sandbox.cell.channel import Channel
from sandbox.cell.encoding import encode
from sandbox.cell.frames import RecordKind
from sandbox.cell.handles import EntryPoint
from sandbox.cell.proxies import Remote, solution_module
from sandbox.cell.testing import Counter, TestsInvalid, fresh_namespace, run_defined, run_source

_MAX_NOTE = 500
# A mistake in the test itself: no value that the solution returns can cause it.
_OWN_MISTAKES = (NameError, ImportError, SyntaxError)
_FAILURES = ("Failed",)  # `pytest.fail`, and `pytest.raises` around something that does not raise.


class Examiner:
    """Runs the tests of one job.

    Args:
        told: `entry_points`, names; `classes`, those that are classes; `support`, source of the
            problem's own code; `tests`, sources; `modules`, names beside `solution` from which
            tests may import the entry points.
        channel: The way to the parent.
    """

    def __init__(self, told: dict[str, Any], channel: Channel) -> None:
        self._told = told
        self._channel = channel
        self._remote = Remote(channel, told["classes"])

    def run(self) -> None:
        """Run all tests, one report each; stop when the solution is gone."""
        for index, source in enumerate(self._told["tests"]):
            report = self._examine(source)
            if self._remote.gone:
                return
            self._channel.send(RecordKind.TEST, index, encode(report))

    def _examine(self, source: str) -> dict[str, Any]:
        self._remote.begin()
        counter = Counter()
        try:
            self._run(source, counter)
            outcome, note = "passed", ""
        except BaseException as error:
            outcome, note = self._explain(error)
        if self._remote.stopped is not None:
            outcome, note = self._remote.stopped
        if self._remote.unwritten and outcome != "passed":
            note += " (changes of arguments are passed on only where None is returned)"
        return {"outcome": outcome, "note": note, "asserts": counter.asserts}

    def _run(self, source: str, counter: Counter) -> None:
        names = fresh_namespace("tests")
        try:
            exec(compile(self._told["support"], "support.py", "exec", dont_inherit=True), names)
        except BaseException as error:
            raise TestsInvalid(f"support: {type(error).__name__}") from error
        entry_points = self._told["entry_points"]
        # The first is what the tests are about, so it is never anything but a way to the solution.
        names[entry_points[0]] = EntryPoint(self._remote, entry_points[0])
        names.update({name: self._remote.stand_in(name) for name in entry_points[1:]})
        for name in ("solution", *self._told.get("modules", ())):
            known = {key: value for key, value in names.items() if not key.startswith("__")}
            sys.modules[name] = solution_module(self._remote, name, known)
        tree = run_source(source, "tests.py", names, counter)
        candidate = names[entry_points[0]]
        names.setdefault("candidate", candidate)
        run_defined(tree, names, candidate)

    def _explain(self, error: BaseException) -> tuple[str, str]:
        name = type(error).__name__[:80]
        try:
            text = f"{name}: {error}"[:_MAX_NOTE] if str(error) else name
        except BaseException:
            text = name
        if isinstance(error, TestsInvalid):
            return "invalid", str(error)[:_MAX_NOTE]
        if any(error is raised for raised in self._remote.raised):
            return "raised", text
        if isinstance(error, AssertionError) or name in _FAILURES:
            return "failed", text
        if isinstance(error, _OWN_MISTAKES) or not isinstance(error, Exception):
            return "invalid", name
        return ("invalid", "skipped") if name == "SkipTest" else ("error", text)


def examine(module: types.ModuleType, told: dict[str, object], channel: Channel) -> None:
    """Run the tests of one job.

    Args:
        module: Of the job's source, which is empty.
        told: See `Examiner`.
        channel: Where calls and reports go to, and replies come from.
    """
    Examiner(told, channel).run()
