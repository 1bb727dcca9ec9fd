"""The two ways to judge a function: by cases, or by test code."""

from sandbox.function_cases import CasesExchange
from sandbox.function_tests import TestsExchange
from sandbox.programs import FunctionCases, FunctionTests

__all__ = ["CasesExchange", "TestsExchange", "check_function_job"]


def check_function_job(job: FunctionCases | FunctionTests) -> None:
    """Refuse a job whose values cannot be sent or compared.

    Raises:
        SandboxUsageError: Says which case and why.
    """
    if isinstance(job, FunctionCases):
        CasesExchange(job)
    else:
        TestsExchange(job)
