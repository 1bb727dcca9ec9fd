"""Byte layouts of everything that crosses the wall of a cell, in both directions.

To the cell: headers and limits, and payloads that process 1 moves on to the program's process
without reading them. From the cell: frames of captured output, and one `DONE` frame per job with
what the kernel said. What the program itself reports travels as opaque bytes in `RECORD` frames;
the parent parses it, and gives it no more weight than that of a claim.
"""

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

HEADER = struct.Struct("<4sQ")
"""To the cell: magic, payload length in bytes."""

# Bound here: a program that patches `len` does not change how it is reported.
_len = len

JOB_MAGIC = b"SLJ2"
"""A new job: `JOB_LIMITS` follows the header, then the payload."""

INPUT_MAGIC = b"SLI1"
"""More for the running job: the payload goes on to its process; an empty one closes its channel."""

JOB_LIMITS = struct.Struct("<BddIIII")
"""Mode; wall s, CPU s; memory MiB, stdout KiB, stderr KiB, records KiB."""

PAYLOAD_HEADER = struct.Struct("<16sBII")
"""Nonce, Mode, length of the source, length of the rest; then both."""

MESSAGE_HEADER = struct.Struct("<16siI")
"""Nonce, number and body length of one message to a running job."""

FRAME_HEADER = struct.Struct("<BI")
"""Kind, body length in bytes."""

DONE_BODY = struct.Struct("<iBBHQQQ")
"""Wait status, Killed, Seen, left-over processes, wall ns, CPU ns, peak RSS in KiB."""

RECORD_HEADER = struct.Struct("<16sBiI")
"""Nonce, RecordKind, number (an exit code in an ending), body length."""

MAX_FRAME = 1 << 20
MAX_NOTE = 200
MAX_BODY = 1 << 20
"""Bytes of one value, one call or one test result that cross the wall."""

PLAIN_RECORDS_KIB = 4
TALK_RECORDS_KIB = 1 << 16


class Mode(IntEnum):
    """What the program's process does with its source.

    `RUN` runs it as `__main__`; the rest of the payload is its standard input. `SERVE` imports it
    and answers calls of its functions. `EXAMINE` runs test code whose calls are answered elsewhere.
    In both of the latter the rest of the payload is JSON.
    """

    RUN = 0
    SERVE = 1
    EXAMINE = 2


class Kind(IntEnum):
    """Kind of a frame from the cell."""

    READY = 1
    STDOUT = 2
    STDERR = 3
    RECORD = 4
    DONE = 5
    FATAL = 6


class Killed(IntEnum):
    """Why process 1 stopped the program, if it did."""

    NO = 0
    WALL = 1
    CPU = 2
    MEMORY = 3
    OUTPUT = 4


class Seen(IntFlag):
    """What process 1 noticed beside the wait status."""

    NOTHING = 0
    STDOUT_CUT = 1
    STDERR_CUT = 2
    DIRTY = 4
    FILES = 8


class RecordKind(IntEnum):
    """Kind of a record; the first four are endings, written after exit hooks and flushes.

    `STARTED` is written right before the first line: without it the sandbox failed and the program
    did not. `REPLY` answers one message, `CALL` asks for one call, `TEST` reports one test.
    """

    END = 0
    EXCEPTION = 1
    EXIT = 2
    NOT_COMPILED = 3
    STARTED = 4
    REPLY = 5
    CALL = 6
    TEST = 7


ENDINGS = frozenset(
    {RecordKind.END, RecordKind.EXCEPTION, RecordKind.EXIT, RecordKind.NOT_COMPILED}
)


class Done(NamedTuple):
    """The body of a `DONE` frame."""

    status: int
    killed: int
    seen: int
    leftovers: int
    wall_ns: int
    cpu_ns: int
    peak_kib: int


class Record(NamedTuple):
    """One record of a program's process; a claim, never a proof."""

    nonce: bytes
    kind: RecordKind
    number: int
    body: bytes

    @property
    def note(self) -> str:
        """The body of an ending as text."""
        return self.body.decode("utf-8", "replace")


class Message(NamedTuple):
    """One message to a running job."""

    nonce: bytes
    number: int
    body: bytes


class MalformedRecordError(ValueError):
    """What came through a report pipe is no record."""


def pack_frame(kind: Kind, body: bytes) -> bytes:
    """Return a whole frame.

    Example:
        >>> pack_frame(Kind.READY, b"x").hex()
        '010100000078'
    """
    return FRAME_HEADER.pack(kind, len(body)) + body


def pack_payload(nonce: bytes, mode: Mode, source: bytes, rest: bytes) -> bytes:
    """Return what the program's process reads first."""
    return PAYLOAD_HEADER.pack(nonce, mode, len(source), len(rest)) + source + rest


def pack_message(message: Message) -> bytes:
    """Return one message as the program's process reads it."""
    return MESSAGE_HEADER.pack(*message[:2], len(message.body)) + message.body


def pack_input(data: bytes) -> bytes:
    """Return more bytes for the running job as they go down the control channel."""
    return HEADER.pack(INPUT_MAGIC, len(data)) + data


def pack_record(nonce: bytes, kind: RecordKind, number: int, body: bytes = b"") -> bytes:
    """Return a record."""
    return RECORD_HEADER.pack(nonce, kind, number, _len(body)) + body


def take_record(data: bytearray) -> Record | None:
    """Remove and return the first record of `data`, None while it is incomplete.

    Raises:
        MalformedRecordError: No record starts like this.
    """
    if len(data) < RECORD_HEADER.size:
        return None
    nonce, code, number, length = RECORD_HEADER.unpack_from(data)
    if code not in _RECORD_KINDS:
        raise MalformedRecordError(f"a record of kind {code}")
    kind = RecordKind(code)
    if length > (MAX_NOTE if kind in ENDINGS or kind == RecordKind.STARTED else MAX_BODY):
        raise MalformedRecordError(f"a record of {length} bytes")
    end = RECORD_HEADER.size + length
    if len(data) < end:
        return None
    record = Record(nonce, kind, number, bytes(data[RECORD_HEADER.size : end]))
    del data[:end]
    return record


_RECORD_KINDS = frozenset(RecordKind)
