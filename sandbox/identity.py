"""What makes two jobs the same job: digests of everything that decides what becomes of them."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Protocol

from sandbox.cell.encoding import ITERATORS, encode
from sandbox.cell.values import TooLargeError, UnencodableError
from sandbox.errors import SandboxUsageError
from sandbox.forms import check_job
from sandbox.limits import Limits
from sandbox.programs import Job


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


def job_digest(job: Job, limits: Limits) -> bytes:
    """Return 32 bytes that are the same only for the same job under the same limits.

    Every field counts but the id. Values count with their exact types: `1`, `1.0` and `True` are
    three values.

    Args:
        job: Any job that can be run.
        limits: Those of the sandbox, which count where the job brings none.

    Raises:
        SandboxUsageError: It is no job, or one that cannot be run as it is.

    Example:
        >>> from sandbox.programs import Program
        >>> a, b = Program("a", "print(1)"), Program("b", "print(1)")
        >>> job_digest(a, Limits()) == job_digest(b, Limits(cpu_s=2.0))
        True
    """
    limits = check_job(job, limits)
    digest = hashlib.sha256()
    try:
        _feed(digest, dataclasses.replace(job, id="", limits=limits))
    except (UnencodableError, TooLargeError) as error:
        raise SandboxUsageError(
            f"{type(job).__name__} {job.id!r}: {error}; give plain values only"
        ) from None
    return digest.digest()


def _feed(digest: _Digest, value: object) -> None:
    """Add a value with its type and length, so that no two values add the same bytes."""
    if dataclasses.is_dataclass(value):
        # All fields there are: one that is added later counts without a change here.
        fields = dataclasses.fields(value)
        digest.update(f"D{type(value).__name__} {len(fields)} ".encode())
        for field in fields:
            digest.update(f"{field.name} ".encode())
            _feed(digest, getattr(value, field.name))
    elif type(value) is tuple:
        digest.update(f"T{len(value)} ".encode())
        for part in value:
            _feed(digest, part)
    else:
        if type(value) is str:
            kind, data = "S", value.encode("utf-8", "surrogatepass")
        elif isinstance(value, Mapping):
            kind, data = "V", encode(dict(value), _refuse_iterator)
        else:
            kind, data = "V", encode(value, _refuse_iterator)
        digest.update(f"{kind}{len(data)} ".encode() + data)


def _refuse_iterator(value: object) -> None:
    if type(value) in ITERATORS:
        # Reading it here would leave nothing for the run.
        raise UnencodableError("iterator, which can be read only once; give a list")
