"""A program's process's side of a conversation: reads messages, writes records.

Bound to the functions of `os` at import, so that a program that patches them does not change how it
is answered.
"""

import os

from sandbox.cell.frames import MESSAGE_HEADER, Message, RecordKind, pack_record

_read, _write = os.read, os.write
_len, _min, _memoryview = len, min, memoryview


def read_exactly(fd: int, size: int) -> bytes:
    """Return `size` bytes from a descriptor, fewer only at its end."""
    parts = []
    while size > 0:
        part = _read(fd, _min(size, 1 << 20))
        if not part:
            break
        parts.append(part)
        size -= _len(part)
    return b"".join(parts)


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`."""
    view = _memoryview(data)
    while view:
        view = view[_write(fd, view) :]


class Channel:
    """Messages in, records out.

    Args:
        job_fd: Where messages come from.
        record_fd: Where records go.
        nonce: Of the job; in every record that answers no message.
    """

    def __init__(self, job_fd: int, record_fd: int, nonce: bytes) -> None:
        self._job_fd = job_fd
        self._record_fd = record_fd
        self._nonce = nonce

    def receive(self) -> Message | None:
        """Wait for the next message; None when there will be no more."""
        header = read_exactly(self._job_fd, MESSAGE_HEADER.size)
        if _len(header) < MESSAGE_HEADER.size:
            return None
        nonce, number, length = MESSAGE_HEADER.unpack(header)
        return Message(nonce, number, read_exactly(self._job_fd, length))

    def send(
        self, kind: RecordKind, number: int, body: bytes = b"", nonce: bytes | None = None
    ) -> None:
        """Write one record.

        Args:
            kind: What it is.
            number: Of the call or test, or an exit code.
            body: At most `MAX_BODY` bytes, `MAX_NOTE` in an ending.
            nonce: Of the message that it answers; None for the job's own.
        """
        write_all(self._record_fd, pack_record(nonce or self._nonce, kind, number, body))
