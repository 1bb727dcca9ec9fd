"""The control channel of a container: its standard streams, as the engine passes them on."""

import errno
import os
import select
import threading

_HEADER_SIZE = 8
_STDOUT, _STDERR = 1, 2
_MAX_COMPLAINT = 8192


class Demultiplexer:
    """Takes apart what the engine mixes: frames of a container's output and error output.

    A frame is its stream's number, three zeros, its length (big endian) and so many bytes; frames
    and reads do not begin and end together.

    Example:
        >>> demultiplexer = Demultiplexer()
        >>> demultiplexer.feed(b"\\x01\\0\\0\\0\\0\\0\\0\\x03ab")
        b'ab'
        >>> demultiplexer.feed(b"c\\x02\\0\\0\\0\\0\\0\\0\\x02no\\x01\\0")
        b'c'
        >>> demultiplexer.errors
        bytearray(b'no')
    """

    def __init__(self) -> None:
        self.errors = bytearray()
        """The beginning of what came on standard error."""
        self._header = b""
        self._stream = _STDOUT
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """Return the part of `data` that came on standard output.

        Raises:
            OSError: This is no engine's stream.
        """
        length = int.from_bytes(data[4:_HEADER_SIZE], "big")
        # Nearly always: one whole frame.
        between_frames = not self._left and not self._header
        if between_frames and data[0] == _STDOUT and length == len(data) - _HEADER_SIZE:
            return data[_HEADER_SIZE:]
        output = bytearray()
        start = 0
        while start < len(data):
            if not self._left:
                end = start + _HEADER_SIZE - len(self._header)
                self._header += data[start:end]
                if len(self._header) == _HEADER_SIZE:
                    self._stream, self._left = (
                        self._header[0],
                        int.from_bytes(self._header[4:], "big"),
                    )
                    self._header = b""
                    if self._stream not in (_STDOUT, _STDERR):
                        raise OSError(errno.EPROTO, f"a frame of the stream {self._stream}")
            else:
                end = start + self._left
                part = data[start:end]
                self._left -= len(part)
                if self._stream == _STDOUT:
                    output += part
                elif len(self.errors) < _MAX_COMPLAINT:
                    self.errors += part
            start = end
        return bytes(output)


class Attachment:
    """A channel whose descriptors can be waited for before the container is there.

    `connect` and `fail` may come from another thread than the rest.
    """

    def __init__(self) -> None:
        # Pollable itself: readable as soon as what is registered in it later is.
        self._poller = select.epoll()
        self._failed = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poller.register(self._failed, select.EPOLLIN)
        # Holds the number that the socket gets; nobody writes before the cell is ready.
        self.write_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.read_fd = self._poller.fileno()
        self._streams = Demultiplexer()
        self._lock = threading.Lock()
        self._reason = ""
        self._connected = False
        self.closed = False

    def connect(self, connection: int) -> None:
        """Use a connected stream socket, of which a copy is kept."""
        with self._lock:
            if self.closed:
                return
            os.dup2(connection, self.write_fd, inheritable=False)
            os.set_blocking(self.write_fd, False)
            self._poller.register(self.write_fd, select.EPOLLIN)
            self._connected = True

    def fail(self, reason: str) -> None:
        """Make the channel one that ended."""
        with self._lock:
            self._reason = reason
            if not self.closed:
                os.eventfd_write(self._failed, 1)

    @property
    def ended(self) -> bool:
        """Whether nothing can come any more."""
        if self._reason or self.closed:
            return True
        poller = select.poll()
        poller.register(self.write_fd, select.POLLRDHUP)
        return self._connected and bool(poller.poll(0))

    def read(self, max_bytes: int) -> bytes:
        """Return bytes of the container's standard output; empty when it ended.

        Raises:
            BlockingIOError: Nothing is there yet.
            OSError: The channel broke.
        """
        if self._reason:
            return b""
        if not self._connected:
            raise BlockingIOError(errno.EAGAIN, "the container is not there yet")
        data = os.read(self.write_fd, max_bytes)
        if not data:
            return b""
        output = self._streams.feed(data)
        if not output:
            raise BlockingIOError(errno.EAGAIN, "nothing but a header, or standard error")
        return output

    def write(self, data: memoryview) -> int:
        """Send a part of `data` to the container's standard input; return its length.

        Raises:
            BlockingIOError: The channel takes nothing now.
            OSError: The channel broke.
        """
        if not self._connected:
            raise BlockingIOError(errno.EAGAIN, "the container is not there yet")
        return os.write(self.write_fd, data)

    def complaint(self) -> str:
        """Return why the channel failed, and what the container wrote to standard error."""
        errors = self._streams.errors[:_MAX_COMPLAINT].decode("utf-8", "replace").strip()
        return "\n".join(part for part in (self._reason, errors) if part)

    def close(self) -> None:
        """Close everything; the engine then closes the container's standard input."""
        with self._lock:
            if not self.closed:
                self.closed = True
                self._poller.close()
                os.close(self._failed)
                os.close(self.write_fd)
