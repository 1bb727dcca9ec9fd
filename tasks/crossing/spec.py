"""What a crossing of programs and tests is, as settings, and the names of what it writes."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

RANK = "cross_rank"
"""Check of programs and tests: their rank over the best one's of the prompt, 0 to 1."""

PASSED = "cross_passed"
"""Check of programs: the share of the usable tests that they pass."""

TIMED = "timed"
"""Flag of executions that measure time: one program against all credible tests."""


class CrossSpec(BaseModel):
    """How programs and tests are run against each other and ranked.

    Source: CodeDPO (2410.05605), section 3: d = 0.85, ten iterations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tests_of: Literal["prompt", "program"] = Field(
        default="prompt",
        description="Which tests a program meets: all of its problem, or those that were asked for "
        "with it as their parent; then nothing is ranked or timed.",
    )
    damping: float = Field(
        default=0.85, ge=0, le=1, description="How much of a rank comes from the other side."
    )
    iterations: int = Field(
        default=10, ge=1, le=1000, description="How often ranks are passed to the other side."
    )
    num_timings: int = Field(
        default=3,
        ge=0,
        le=100,
        description="How often programs that pass all credible tests are timed; 0: never.",
    )
    process_per_test: bool = Field(
        default=False,
        description="Run every test in a process of its own: a program can carry nothing from one "
        "test to the next. About ten times slower.",
    )

    @property
    def version(self) -> str:
        """Version of the checks: what decides a rank."""
        parts = f"{self.tests_of} {self.damping!r} {self.iterations} {self.process_per_test}"
        return f"1-{hashlib.sha256(parts.encode()).hexdigest()[:8]}"
