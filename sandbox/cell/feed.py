"""Passes what the parent sends during a job on to the program, without ever waiting for it."""

import os
import select

from sandbox.cell.channel import read_exactly
from sandbox.cell.frames import HEADER, INPUT_MAGIC


class Feed:
    """The way from the control channel into the channel of one job.

    A program that does not read must not keep process 1 from watching it: the pipe is filled as far
    as it goes, and the rest waits for room.

    Args:
        control_in: Where input comes from.
        job_in: Write end of the program's channel; closed by `close`.
        null: Where input goes that the program can no longer take.
    """

    def __init__(self, control_in: int, job_in: int, null: int) -> None:
        self._control_in = control_in
        self._job_in = job_in
        self._null = null
        self._rest = 0
        self._full = False
        self._watched = -1
        self.open = True

    def watch(self, poller: select.poll) -> None:
        """Have the poller wake up when there is something that `move` can do."""
        wanted = self._job_in if self._full and self.open else self._control_in
        if wanted == self._watched:
            return
        if self._watched >= 0:
            poller.unregister(self._watched)
        poller.register(wanted, select.POLLIN if wanted == self._control_in else select.POLLOUT)
        self._watched = wanted

    def move(self) -> None:
        """Pass on what is there."""
        if not self._rest:
            header = read_exactly(self._control_in, HEADER.size)
            if len(header) < HEADER.size:
                os._exit(0)
            magic, self._rest = HEADER.unpack(header)
            if magic != INPUT_MAGIC:
                raise ValueError(f"input starts with {magic!r}, expected {INPUT_MAGIC!r}")
            if not self._rest:
                self.close()
        if not self.open:
            self.discard_rest()
        elif self._rest:
            self._pass_on()

    def _pass_on(self) -> None:
        size = min(self._rest, 1 << 16)
        try:
            moved = os.splice(self._control_in, self._job_in, size, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            # Woken by data, it found no room; woken by room, it found no data.
            self._full = not self._full
            return
        except BrokenPipeError:
            self.close()
            self.discard_rest()
            return
        if moved == 0:
            os._exit(0)
        self._full = False
        self._rest -= moved

    def close(self) -> None:
        """End the program's channel; may be repeated."""
        if self.open:
            self.open = False
            os.close(self._job_in)

    def discard_rest(self) -> None:
        """Take the rest of a message that nobody reads any more out of the control channel."""
        while self._rest:
            moved = os.splice(self._control_in, self._null, self._rest)
            if moved == 0:
                os._exit(0)
            self._rest -= moved
