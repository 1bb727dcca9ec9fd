"""Process 1 of a cell: takes jobs, forks a child for each, measures it, sweeps up after it.

It never reads what a program is or what it prints: the job and the captured output are moved
between pipes by `splice`, so that a forked child finds nothing of other jobs in its memory.
"""

import contextlib
import fcntl
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from typing import Any, NamedTuple, NoReturn

from sandbox.cell import frames, runner
from sandbox.cell.channel import read_exactly
from sandbox.cell.feed import Feed
from sandbox.cell.fixed import fix_what_varies
from sandbox.cell.frames import Killed, Kind, Mode, Seen
from sandbox.cell.lockdown import lock_down
from sandbox.cell.meter import measure_cell, withheld_ns
from sandbox.cell.scratch import Scratch

_exit = os._exit
_TICK_MS = 40
_QUIET_MS = 8
_CHUNK = 1 << 16
# Times the wall limit that a program may take on a machine that does not let it run.
_PATIENCE = 4
_MIB = 1 << 20
# stderr is cut at its limit; only a flood of this many times the limit ends the program.
_STDERR_FLOOD = 16


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class JobLimits(NamedTuple):
    """What stands beside a job; see `frames.JOB_LIMITS`."""

    mode: int
    wall_s: float
    cpu_s: float
    memory_mib: int
    stdout_kib: int
    stderr_kib: int
    records_kib: int


class Stream:
    """One captured pipe of the running program."""

    def __init__(self, kind: Kind, limit: int) -> None:
        self.kind = kind
        self.limit = limit
        self.total = 0
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        self.open = True


class Zygote:
    """The server loop of process 1.

    Args:
        config: Written by the backend; see `sandbox.backends.process_one.zygote_config`.
        control_in: Descriptor that jobs come from.
        control_out: Descriptor that frames go to.
    """

    def __init__(self, config: dict[str, Any], control_in: int, control_out: int) -> None:
        self.config = config
        self.control_in = control_in
        self.control_out = control_out
        self.null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self.relay_out, self.relay_in = os.pipe()
        self.record_fd = int(config["open_files"]) - 1
        self.uid: int | None = config["uid"]
        self.scratch = Scratch(self._become_program)
        self.stalled_ns = 0
        self.job: JobLimits
        with open("/proc/self/statm") as file:
            self._mapped = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")

    def _address_space(self) -> int:
        """Bound one process even where a cgroup bounds them all: a huge lazy allocation must
        fail with `MemoryError` instead of passing untouched."""
        memory = self.job.memory_mib * _MIB
        # Threads and allocator arenas map much more than they use.
        slack = memory + 256 * _MIB if self.config["cgroup"] else 64 * _MIB
        return self._mapped + memory + slack

    def _become_program(self) -> None:
        if self.uid is not None:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)

    def _limit_program(self) -> None:
        cpu = int(self.job.cpu_s) + 2  # A backstop: process 1 watches the exact limit.
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
        size = int(self.config["file_mib"]) * _MIB
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        space = self._address_space()
        resource.setrlimit(resource.RLIMIT_AS, (space, space))

    def serve(self) -> NoReturn:
        """Run jobs until the parent closes the channel."""
        _write_all(self.control_out, frames.pack_frame(Kind.READY, b""))
        while True:
            magic, length = self._read_header()
            if magic == frames.INPUT_MAGIC:
                self._move(length, self.null)  # For a job that ended while it was on its way.
                continue
            if magic != frames.JOB_MAGIC:
                raise ValueError(f"a job starts with {magic!r}, expected {frames.JOB_MAGIC!r}")
            limits = read_exactly(self.control_in, frames.JOB_LIMITS.size)
            self.job = JobLimits(*frames.JOB_LIMITS.unpack(limits))
            self._serve_one(length)

    def _read_header(self) -> tuple[bytes, int]:
        header = read_exactly(self.control_in, frames.HEADER.size)
        if len(header) < frames.HEADER.size:
            os._exit(0)
        magic, length = frames.HEADER.unpack(header)
        return magic, length

    def _serve_one(self, length: int) -> None:
        stdout = Stream(Kind.STDOUT, self.job.stdout_kib << 10)
        stderr = Stream(Kind.STDERR, self.job.stderr_kib << 10)
        record = Stream(Kind.RECORD, self.job.records_kib << 10)
        streams = (stdout, stderr, record)
        job_out, job_in = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._be_child(job_out, streams)
        os.close(job_out)
        for stream in streams:
            os.close(stream.write_fd)
        feed = Feed(self.control_in, job_in, self.null)
        try:
            self._move(length, job_in)
            if self.job.mode == Mode.RUN:
                feed.close()
            started = time.monotonic_ns()
            killed = self._watch(pid, streams, feed, started)
            usage = self._end(pid)
            wall_ns = time.monotonic_ns() - started - self.stalled_ns
            for stream in streams:
                while stream.open and self._relay(stream):
                    pass
        finally:
            feed.close()
            for stream in streams:
                os.close(stream.read_fd)
        feed.discard_rest()
        self._report(usage, killed, self._seen(stdout, stderr), wall_ns)

    def _be_child(self, job_out: int, streams: tuple[Stream, ...]) -> NoReturn:
        try:
            with contextlib.suppress(OSError):
                # When the cell's memory is full, the program goes first.
                adjust = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
                os.write(adjust, b"500")
            stdout, stderr, record = streams
            job_fd = 3
            # Above the other descriptors first: they may sit on the numbers that are needed.
            os.dup2(record.write_fd, self.record_fd, inheritable=False)
            os.dup2(stdout.write_fd, 1)
            os.dup2(stderr.write_fd, 2)
            if job_out != job_fd:
                os.dup2(job_out, job_fd, inheritable=False)
            os.closerange(4, self.record_fd)
            # Else `killpg(0)` reaches whatever shares the group, outside of the cell too.
            os.setsid()
            self._become_program()
            runner.run_program(job_fd, self.record_fd, self._limit_program)
        finally:
            _exit(70)

    def _move(self, length: int, target: int) -> None:
        while length:
            try:
                moved = os.splice(self.control_in, target, min(length, 1 << 20))
            except BrokenPipeError:
                target = self.null  # The child died; the rest of its job must leave the channel.
                continue
            if moved == 0:
                os._exit(0)
            length -= moved

    def _relay(self, stream: Stream) -> bool:
        """Move what is waiting on a stream to the parent; return whether more may come now."""
        try:
            # Through a private pipe: only then is the length known, whoever else reads the first.
            size = os.splice(stream.read_fd, self.relay_in, _CHUNK, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return False
        if size == 0:
            stream.open = False
            return False
        keep = max(0, min(size, stream.limit - stream.total))
        stream.total += size
        before = time.monotonic_ns()
        if keep:
            _write_all(self.control_out, frames.FRAME_HEADER.pack(stream.kind, keep))
        self._drain_relay(keep, self.control_out)
        self._drain_relay(size - keep, self.null)
        # A parent that is busy elsewhere must not use up the program's time.
        self.stalled_ns += time.monotonic_ns() - before
        return True

    def _drain_relay(self, size: int, target: int) -> None:
        while size:
            size -= os.splice(self.relay_out, target, size)

    def _watch(self, pid: int, streams: tuple[Stream, ...], feed: Feed, started: int) -> Killed:
        """Wait for the end of the program or of its patience; return why it has to be killed."""
        pidfd = os.pidfd_open(pid)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        self.stalled_ns = 0
        try:
            if feed.open:
                return self._watch_closely(poller, pidfd, streams, feed, started)
            # Most programs end at once and print less than a pipe holds: one wake-up is enough.
            poller.register(self.control_in, 0)
            if any(fd == pidfd for fd, _ in poller.poll(_QUIET_MS)):
                return Killed.NO
            return self._watch_closely(poller, pidfd, streams, feed, started)
        finally:
            os.close(pidfd)

    def _watch_closely(
        self,
        poller: select.poll,
        pidfd: int,
        streams: tuple[Stream, ...],
        feed: Feed,
        started: int,
    ) -> Killed:
        by_fd = {stream.read_fd: stream for stream in streams}
        for fd in by_fd:
            poller.register(fd, select.POLLIN)
        deadline = started + int(self.job.wall_s * 1e9)
        next_look = started + _TICK_MS * 1_000_000
        while True:
            feed.watch(poller)
            for fd, event in poller.poll(_TICK_MS):
                if fd == pidfd:
                    return Killed.NO
                if fd in by_fd:
                    stream = by_fd[fd]
                    if not self._relay(stream) and not stream.open:
                        poller.unregister(fd)
                    if self._flooded(stream):
                        return Killed.OUTPUT
                elif fd == self.control_in and not event & select.POLLIN:
                    os._exit(0)  # The parent is gone; the whole cell goes with process 1.
                else:
                    feed.move()
            now = time.monotonic_ns()
            if now >= deadline + self.stalled_ns and now >= self._patient_deadline(deadline):
                return Killed.WALL
            if now >= next_look:
                next_look = now + _TICK_MS * 1_000_000
                if (reason := self._over_limit()) is not Killed.NO:
                    return reason

    def _patient_deadline(self, deadline: int) -> int:
        """Return the deadline plus the time that other processes kept the program waiting."""
        most = int(self.job.wall_s * 1e9 * (_PATIENCE - 1))
        return deadline + min(self.stalled_ns + withheld_ns(own_pid=1), most)

    def _flooded(self, stream: Stream) -> bool:
        factor = _STDERR_FLOOD if stream.kind == Kind.STDERR else 1
        return stream.total > stream.limit * factor

    def _over_limit(self) -> Killed:
        cpu_s, memory_bytes = measure_cell(own_pid=1)
        if cpu_s > self.job.cpu_s:
            return Killed.CPU
        counted_here = not self.config["cgroup"] or self.job.memory_mib < self.config["memory_mib"]
        if counted_here and memory_bytes > self.job.memory_mib * _MIB:
            return Killed.MEMORY
        return Killed.NO

    def _end(self, pid: int) -> tuple[int, int, int, int]:
        """Kill whatever lives, reap it; return status, number of others, CPU ns, peak KiB."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        _, status, used = os.wait4(pid, 0)
        cpu, peak, others = used.ru_utime + used.ru_stime, used.ru_maxrss, 0
        # Zombies of daemons hang on process 1 and count against the limit of processes.
        while True:
            try:
                _, _, used = os.wait4(-1, 0)
            except ChildProcessError:
                return status, others, int(cpu * 1e9), peak
            others += 1
            cpu += used.ru_utime + used.ru_stime
            peak = max(peak, used.ru_maxrss)

    def _seen(self, stdout: Stream, stderr: Stream) -> Seen:
        seen = Seen.NOTHING
        if stdout.total > stdout.limit:
            seen |= Seen.STDOUT_CUT
        if stderr.total > stderr.limit:
            seen |= Seen.STDERR_CUT
        left_files, clean = self.scratch.sweep()
        if left_files:
            seen |= Seen.FILES
        if not clean:
            seen |= Seen.DIRTY
        return seen

    def _report(
        self, usage: tuple[int, int, int, int], killed: Killed, seen: Seen, wall_ns: int
    ) -> None:
        status, others, cpu_ns, peak = usage
        body = frames.DONE_BODY.pack(
            status, killed, seen, min(others, 0xFFFF), wall_ns, cpu_ns, peak
        )
        _write_all(self.control_out, frames.pack_frame(Kind.DONE, body))


def _take_control() -> tuple[int, int]:
    """Move the control channel away from descriptors 0 and 1 and put /dev/null there."""
    control_in = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 10)
    control_out = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 10)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return control_in, control_out


def _warm_up(config: dict[str, Any]) -> None:
    # Process 1 ignores signals that have their default action; a handler would open it to them.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.chdir("/tmp")
    # bwrap adds PWD.
    os.environ.clear()
    os.environ.update(config["environment"])
    sys.path[:] = [path for path in sys.path if path != config["code_path"]]
    sys.path.extend(config["packages"])
    for name in config["preload"]:
        importlib.import_module(name)
    fix_what_varies(config["seed"])
    for stream, errors in ((sys.stdin, "strict"), (sys.stdout, "strict")):
        stream.reconfigure(encoding="utf-8", errors=errors)  # type: ignore[union-attr]
    sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    for name in [name for name in sys.modules if name.split(".")[0] == "sandbox"]:
        del sys.modules[name]


def main() -> NoReturn:
    """Set process 1 up and serve; the configuration is the first argument, as JSON."""
    config = json.loads(sys.argv[1])
    control_in, control_out = _take_control()
    try:
        if config["mount_scratch"]:
            from sandbox.cell.root import mount_scratch

            mount_scratch("", config["tmp_mib"], config["tmp_inodes"])
        _warm_up(config)
        lock_down(
            switch_uid=config["uid"] is not None,
            open_files=config["open_files"],
            processes=config["processes"],
        )
        zygote = Zygote(config, control_in, control_out)
        os.dup2(zygote.null, 2)
        gc.collect()
        gc.freeze()
        gc.disable()
        zygote.serve()
    except BaseException:
        text = traceback.format_exc().encode("utf-8", "replace")
        with contextlib.suppress(OSError):
            _write_all(control_out, frames.pack_frame(Kind.FATAL, text[-8192:]))
        os._exit(71)
