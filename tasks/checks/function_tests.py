"""Problems whose answer is a function: hidden tests as a reference, and jobs for the sandbox."""

from __future__ import annotations

import ast
import json
import warnings
from dataclasses import asdict, dataclass
from typing import Any

from sandbox import Case, FunctionCases, FunctionTests
from tasks.errors import DataFormatError


@dataclass(frozen=True)
class HiddenTests:
    """What a function is judged by; as JSON it is the reference of its problem.

    Attributes:
        entry_point: Name of the function.
        cases: (positional arguments, right result) of calls, plain JSON values; none with `tests`.
        tests: Sources of test code; none with `cases`.
        prelude: Source that comes before a completion: imports and helpers of the problem. Where
            the completion is only the body, the problem's own signature is its last part.
    """

    entry_point: str
    cases: tuple[tuple[list[Any], Any], ...] = ()
    tests: tuple[str, ...] = ()
    prelude: str = ""

    def to_json(self) -> str:
        """The reference text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> HiddenTests:
        """Read a reference text.

        Raises:
            DataFormatError: If it is no reference of a function.
        """
        try:
            fields = json.loads(text)
            cases = tuple((list(arguments), result) for arguments, result in fields["cases"])
            found = cls(fields["entry_point"], cases, tuple(fields["tests"]), fields["prelude"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataFormatError(
                f"the reference of a function is the JSON of its tests, not {text[:80]!r}: {error}"
            ) from error
        if bool(found.cases) == bool(found.tests):
            raise DataFormatError(f"{found.entry_point!r} has to have either cases or tests")
        return found

    def job(self, id: str, program: str) -> FunctionCases | FunctionTests:
        """What the sandbox is to run for one completion's program.

        Args:
            id: Comes back on the execution.
            program: The whole function, or its body where the prelude ends with its signature.
        """
        source = self.whole(program)
        if self.cases:
            cases = tuple(Case(tuple(arguments), result) for arguments, result in self.cases)
            return FunctionCases(id, source, self.entry_point, cases)
        return FunctionTests(id, source, (self.entry_point,), self.tests, support=self.prelude)

    def whole(self, program: str) -> str:
        """The function with what the problem gives before it.

        Args:
            program: The whole function, or its body where the prelude ends with its signature.
        """
        if not self.prelude:
            return program
        if not _defines(program, self.entry_point):
            return self.prelude + program
        # What stands before the signature (imports, helpers) may be used by the function.
        before = self.prelude.split(f"def {self.entry_point}(")[0]
        return f"{before}\n{program}"


def _defines(program: str, name: str) -> bool:
    """Whether a program has a function of this name at its top level."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # Not to be read as it is: a body, or nothing; what runs it says so.
        return f"def {name}(" in program
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body)
