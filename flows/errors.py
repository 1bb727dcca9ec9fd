"""What flows refuse, and why; every class is also a builtin error."""

from __future__ import annotations


class FlowError(Exception):
    """Base of the errors of this room."""


class UnknownRecipeError(FlowError, KeyError):
    """There is no such recipe."""

    __str__ = Exception.__str__


class RunConflictError(FlowError, ValueError):
    """A run of this name exists with other settings, or is being worked on."""


class SettingError(FlowError, ValueError):
    """A setting is unknown or out of range."""


class ServerStartError(FlowError, RuntimeError):
    """A Prefect server did not come up, or none answers where one should."""


class ApprovalTimeoutError(FlowError, TimeoutError):
    """Nobody decided on a promotion in time."""
