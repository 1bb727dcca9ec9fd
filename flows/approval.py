"""A person's word on a promotion: the round waits on the page of its run until somebody answers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from pydantic import Field

from flows.errors import ApprovalTimeoutError

_POLL_S = 5  # how often the waiting process looks for an answer


class Promotion(RunInput):
    """The form that a waiting round shows under Resume."""

    decision: Literal["promote", "refuse"] = Field(
        description="Promote the candidate, or keep the incumbent and go on with the loop."
    )
    by: str = Field(min_length=1, description="Who decides; kept in the tables.")
    reason: str = Field(default="", description="Why; kept in the tables.")


@dataclass(frozen=True)
class Approval:
    """What somebody decided on a promotion.

    Attributes:
        decision: `promote` or `refuse`.
        by: Who.
        reason: Why, may be empty.
        at: When, UTC.
    """

    decision: str
    by: str
    reason: str
    at: str

    def sentence(self) -> str:
        """The decision as one of the gate's reasons."""
        verb = "approved" if self.decision == "promote" else "refused"
        return f"The promotion was {verb} by {self.by}" + (f": {self.reason}" * bool(self.reason))


def ask_for_approval(model_id: str, headline: str, reasons: list[str], hours: float) -> Approval:
    """Pause the surrounding flow run until somebody answers the form on its page.

    Args:
        model_id: The candidate.
        headline: What decided at the gate, in one line.
        reasons: The gate's sentences.
        hours: How long to wait.

    Raises:
        ApprovalTimeoutError: Nobody answered in time; the round can be run again, and asks again.
    """
    lines = "\n".join(f"- {line}" for line in reasons)
    form = Promotion.with_initial_data(description=f"**{model_id}**: {headline}\n\n{lines}")
    try:
        # A key of its own: a round that is run again asks again.
        answer = pause_flow_run(form, int(hours * 3600), _POLL_S, key=str(uuid4()))
    except FlowPauseTimeout as error:
        raise ApprovalTimeoutError(
            f"nobody decided on the promotion of {model_id} within {hours:g} hours; Retry, or the "
            "same command, asks again without repeating any work"
        ) from error
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Approval(answer.decision, answer.by, answer.reason, now)
