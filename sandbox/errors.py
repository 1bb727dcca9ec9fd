"""Errors of the sandbox room: each says what was given, what was expected and what to do."""


class SandboxError(Exception):
    """Base class of everything the sandbox raises on purpose."""


class SandboxUnavailableError(SandboxError, RuntimeError):
    """No backend on this machine isolates well enough; nothing was run."""


class SandboxUsageError(SandboxError, ValueError):
    """The caller passed a program, limit or option that cannot be honored."""


class SandboxClosedError(SandboxError, RuntimeError):
    """The sandbox was used after it was closed."""


class SandboxCacheError(SandboxError, RuntimeError):
    """A cache of results cannot be used; nothing that it holds is lost but time."""
