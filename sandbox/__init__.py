"""Runs untrusted programs and says what happened; knows nothing of models, tables or Prefect.

Programs run in *cells*: jails without network, host files or environment, whose first process is a
warm Python that forks once per program. The verdict is decided out here. Where no backend isolates,
`open_sandbox` raises `SandboxUnavailableError`; nothing ever runs unprotected.

Example:
    with open_sandbox("auto", workers=2) as box:
        for execution in box.run([Program(id="a", source="print(1 + 1)", expected_stdout="2")]):
            print(execution.verdict)
"""

from sandbox.cache import run_cached
from sandbox.cross import PassMatrix, cross_execute
from sandbox.doctor import Diagnosis, diagnose
from sandbox.environment import Environment
from sandbox.errors import (
    SandboxCacheError,
    SandboxClosedError,
    SandboxError,
    SandboxUnavailableError,
    SandboxUsageError,
)
from sandbox.flaky import Rechecker, run_rechecked
from sandbox.limits import Limits
from sandbox.opening import open_sandbox
from sandbox.pool import Sandbox
from sandbox.programs import (
    Case,
    CaseResult,
    Execution,
    FunctionCases,
    FunctionTests,
    Job,
    Program,
    Runner,
    Verdict,
)
from sandbox.result_cache import ResultCache

__all__ = [
    "Case",
    "CaseResult",
    "Diagnosis",
    "Environment",
    "Execution",
    "FunctionCases",
    "FunctionTests",
    "Job",
    "Limits",
    "PassMatrix",
    "Program",
    "Rechecker",
    "ResultCache",
    "Runner",
    "Sandbox",
    "SandboxCacheError",
    "SandboxClosedError",
    "SandboxError",
    "SandboxUnavailableError",
    "SandboxUsageError",
    "Verdict",
    "cross_execute",
    "diagnose",
    "open_sandbox",
    "run_cached",
    "run_rechecked",
]
