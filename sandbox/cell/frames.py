"""Byte layouts of everything that crosses the wall of a cell, in both directions.

To the cell: a job header, then a payload that process 1 moves on to the program's process without
reading it. From the cell: frames of captured output, and one `DONE` frame per job with what the
kernel said. What the program itself reports travels as opaque bytes in `RECORD` frames; the parent
parses it, and gives it no more weight than that of a claim.
"""

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

JOB_MAGIC = b"SLJ1"
JOB_HEADER = struct.Struct("<4sQ")
"""Magic, payload length in bytes."""

PAYLOAD_HEADER = struct.Struct("<16sII")
"""Nonce, source length, stdin length; then the source and the stdin bytes."""

FRAME_HEADER = struct.Struct("<BI")
"""Kind, body length in bytes."""

DONE_BODY = struct.Struct("<iBBHQQQ")
"""Wait status, Killed, Seen, left-over processes, wall ns, CPU ns, peak RSS in KiB."""

RECORD_HEADER = struct.Struct("<16sBiH")
"""Nonce, Ending, exit code, length of the note that follows."""

MAX_FRAME = 1 << 20
MAX_RECORD = 4096
MAX_NOTE = 200


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


class Ending(IntEnum):
    """How a program says that it ended; written after its last line, exit hooks and flushes.

    `STARTED` is written right before its first line: without it the sandbox failed and the program
    did not.
    """

    END = 0
    EXCEPTION = 1
    EXIT = 2
    NOT_COMPILED = 3
    STARTED = 4


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
    """The end record of a program."""

    nonce: bytes
    ending: Ending
    exit_code: int
    note: str


def pack_frame(kind: Kind, body: bytes) -> bytes:
    """Return a whole frame.

    Example:
        >>> pack_frame(Kind.READY, b"x").hex()
        '010100000078'
    """
    return FRAME_HEADER.pack(kind, len(body)) + body


def pack_job(nonce: bytes, source: bytes, stdin: bytes) -> bytes:
    """Return a job as it goes down the control channel."""
    payload = PAYLOAD_HEADER.pack(nonce, len(source), len(stdin)) + source + stdin
    return JOB_HEADER.pack(JOB_MAGIC, len(payload)) + payload


def pack_record(nonce: bytes, ending: Ending, exit_code: int, note: str) -> bytes:
    """Return an end record; the note is cut to `MAX_NOTE` bytes."""
    text = note.encode("utf-8", "backslashreplace")[:MAX_NOTE]
    return RECORD_HEADER.pack(nonce, ending, exit_code, len(text)) + text


def unpack_records(data: bytes) -> list[Record] | None:
    """Return the records that `data` consists of, or None when there is anything else in it."""
    records = []
    while data:
        if len(data) < RECORD_HEADER.size:
            return None
        nonce, code, exit_code, length = RECORD_HEADER.unpack_from(data)
        note = data[RECORD_HEADER.size : RECORD_HEADER.size + length]
        if code not in set(Ending) or len(note) != length or length > MAX_NOTE:
            return None
        records.append(Record(nonce, Ending(code), exit_code, note.decode("utf-8", "replace")))
        data = data[RECORD_HEADER.size + length :]
    return records
