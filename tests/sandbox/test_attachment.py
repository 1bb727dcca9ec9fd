import os
import select
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.backends.attachment import Attachment, Demultiplexer


def frame(stream: int, body: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(body).to_bytes(4, "big") + body


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300))),
    st.lists(st.integers(1, 50), min_size=1),
)
def test_frames_are_put_together_however_they_are_cut(
    frames: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(frame(*part) for part in frames)
    streams, output, turn = Demultiplexer(), b"", 0
    while stream:
        cut = cuts[turn % len(cuts)]
        output += streams.feed(stream[:cut])
        stream, turn = stream[cut:], turn + 1
    assert output == b"".join(body for kind, body in frames if kind == 1)
    errors = b"".join(body for kind, body in frames if kind == 2)
    assert errors.startswith(streams.errors) and len(streams.errors) >= min(len(errors), 8192)


def test_a_stream_that_is_no_engines_is_refused() -> None:
    with pytest.raises(OSError, match="stream 72"):
        Demultiplexer().feed(b"HTTP/1.1 500 Internal")


def readable(channel: Attachment) -> bool:
    return bool(select.select([channel.read_fd], [], [], 0)[0])


def test_a_channel_can_be_waited_for_before_it_is_connected() -> None:
    ours, engine = socket.socketpair()
    channel = Attachment()
    assert not readable(channel) and not channel.ended
    with pytest.raises(BlockingIOError):
        channel.read(100)
    channel.connect(ours.fileno())
    ours.close()
    assert not readable(channel)
    with pytest.raises(BlockingIOError):
        channel.read(100)
    engine.sendall(frame(1, b"hello")[:10])
    assert readable(channel) and channel.read(100) == b"he"
    assert channel.write(memoryview(b"job")) == 3 and engine.recv(10) == b"job"
    engine.sendall(frame(1, b"hello")[10:] + frame(2, b"oh"))
    assert (channel.read(100), channel.complaint()) == (b"llo", "oh")
    engine.close()
    assert readable(channel) and channel.ended and channel.read(100) == b""
    channel.close()


def test_a_container_that_never_came_is_a_channel_that_ended() -> None:
    channel = Attachment()
    channel.fail("no such image")
    assert readable(channel) and channel.ended
    assert (channel.read(100), channel.complaint()) == (b"", "no such image")
    channel.close()


def test_closing_frees_every_descriptor_and_a_late_container_is_ignored() -> None:
    before = len(os.listdir("/proc/self/fd"))
    ours, engine = socket.socketpair()
    channel = Attachment()
    channel.close()
    channel.connect(ours.fileno())
    channel.fail("too late")
    channel.close()
    ours.close()
    engine.close()
    assert len(os.listdir("/proc/self/fd")) == before
