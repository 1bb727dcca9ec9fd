"""Runs one program in a freshly forked child of process 1 and reports how it ended.

Everything here happens in the program's own process, so nothing here is secret and nothing that it
reports is proof: it tells an early exit from a finished program, no more. Functions are bound to
module globals at import so that a program that patches `os` does not change how it is reported.

Three modes: a whole program, a module whose functions are called from outside, and test code whose
calls are answered from outside.
"""

import ast
import atexit
import builtins
import gc
import json
import linecache
import os
import signal
import sys
import threading
import traceback
import types
from collections.abc import Callable
from typing import NamedTuple

from sandbox.cell import calls, examine, hooks
from sandbox.cell.channel import Channel, read_exactly
from sandbox.cell.frames import MAX_NOTE, PAYLOAD_HEADER, Mode, RecordKind

_exit, _getpid = os._exit, os.getpid
_compile, _exec = builtins.compile, builtins.exec
_print_exception = traceback.print_exception
_shut_threads = threading._shutdown  # type: ignore[attr-defined]
_run_exit_hooks = atexit._run_exitfuncs
_default_hook = sys.excepthook
_stdout = sys.stdout

# What a source that is no program can make the compiler raise.
_NOT_COMPILED = (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError)


class Job(NamedTuple):
    """What a program's process is told."""

    nonce: bytes
    mode: Mode
    source: bytes
    rest: bytes


class Ending(NamedTuple):
    """How a program ended; becomes its last record."""

    kind: RecordKind
    exit_code: int = 0
    note: str = ""


def receive_job(fd: int) -> Job:
    """Return the job waiting on `fd`."""
    header = read_exactly(fd, PAYLOAD_HEADER.size)
    nonce, mode, source_length, rest_length = PAYLOAD_HEADER.unpack(header)
    source = read_exactly(fd, source_length)
    return Job(nonce, Mode(mode), source, read_exactly(fd, rest_length))


def give_stdin(data: bytes) -> None:
    """Put `data` behind descriptor 0: a file in memory, so no write end is left anywhere.

    Also when there is none: flags and locks that a program puts on a shared /dev/null would meet
    the next one.
    """
    fd = os.memfd_create("stdin")
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    os.dup2(fd, 0)
    os.close(fd)


def last_leaf(tree: ast.Module) -> ast.stmt | None:
    """Return the statement after which nothing is left to run on the straight path."""
    body: list[ast.stmt] = tree.body
    statement: ast.stmt | None = None
    while body:
        statement = body[-1]
        if isinstance(statement, ast.With) or (
            isinstance(statement, ast.If) and not statement.orelse
        ):
            body = statement.body
        else:
            break
    return statement


def exits_at_end(source: str, trace: types.TracebackType | None) -> bool:
    """Whether a `SystemExit` left the program at its last statement.

    `sys.exit(main())` on the last line is how many programs end; the same call with statements
    after it, or inside a function, ended something early.
    """
    if trace is None or trace.tb_next is not None:
        return False
    leaf = last_leaf(ast.parse(source))
    return leaf is not None and trace.tb_lineno >= leaf.lineno


def _exit_code(error: SystemExit) -> int:
    code = error.code
    if code is None:
        return 0
    if isinstance(code, int):
        return int(code) & 0xFF
    print(code, file=sys.stderr)
    return 1


def _note(error: BaseException) -> str:
    try:
        if isinstance(error, MemoryError):
            return "MemoryError"
        name = type(error).__name__
        if isinstance(error, ModuleNotFoundError) and error.name:
            name += ":" + error.name
        # A program may call a class of its own what it likes.
        return "Exception" if name == "MemoryError" else str(name)
    except BaseException:
        return "unprintable"


def _show(error: BaseException, trace: types.TracebackType | None) -> None:
    """Print a traceback as the interpreter would, through the program's own hook if it set one."""
    try:
        if sys.excepthook is _default_hook:
            # As the interpreter limits it; a hundred thousand frames take seconds to print.
            _print_exception(type(error), error, trace, limit=-1000, file=sys.stderr)
        else:
            sys.excepthook(type(error), error, trace)
    except BaseException:
        # A program that breaks its own error message has still failed, which is all we say.
        return


def _prepare(name: str, file: str, source: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(__file__=file, __builtins__=builtins)
    sys.modules[name] = module
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    sys.argv = [file]
    # The zygote ignores what process 1 must ignore; a program expects Python's own handler.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.enable()
    hooks.release()
    return module


def _run(name: str, source_bytes: bytes, then: Callable[[types.ModuleType], None] | None) -> Ending:
    """Run a source as the module `name`, then what follows; say how that ended."""
    file = "main.py" if name == "__main__" else f"{name}.py"
    try:
        source = source_bytes.decode("utf-8").removeprefix("\ufeff")
        code = _compile(source, file, "exec", dont_inherit=True)
    except _NOT_COMPILED as error:
        _show(error, None)
        return Ending(RecordKind.NOT_COMPILED, 1, _note(error))
    module = _prepare(name, file, source)
    try:
        _exec(code, module.__dict__)
        if then is not None:
            then(module)
    except SystemExit as error:
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        status = _exit_code(error)
        if status == 0 and then is None and exits_at_end(source, trace):
            return Ending(RecordKind.END)
        return Ending(RecordKind.EXIT, status)
    except BaseException as error:
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        _show(error, trace)
        return Ending(RecordKind.EXCEPTION, 1, _note(error))
    return Ending(RecordKind.END)


def _do(job: Job, channel: Channel) -> Ending:
    if job.mode is Mode.RUN:
        return _run("__main__", job.source, None)
    told = json.loads(job.rest)
    if job.mode is Mode.SERVE:
        # Imported, not run: what stands below a main guard is not part of a function's task.
        return _run("solution", job.source, lambda module: calls.serve(module, told, channel))
    return _run("tests", job.source, lambda module: examine.examine(module, told, channel))


def _drop_globals() -> None:
    """Let go of what the program's module holds, so that `__del__` methods run and may print."""
    names = sys.modules["__main__"].__dict__
    if names.get("__file__") != "main.py":
        return  # Not a whole program, or it never started.
    for name in list(names):
        if name != "__builtins__":
            names[name] = None
    gc.collect()


def _close_down() -> bool:
    """Do what the interpreter does at exit; return whether standard output was written out."""
    try:
        _shut_threads()
        _run_exit_hooks()
        _drop_globals()
    except BaseException as error:
        _show(error, error.__traceback__)
    written = True
    for stream in (sys.stdout, _stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BaseException:
            written = written and stream is not _stdout
    return written


def run_program(job_fd: int, record_fd: int, before: Callable[[], None]) -> None:
    """Run the job waiting on `job_fd` and leave the process; never returns.

    Args:
        job_fd: Read end of the pipe with the payload; a plain program's is closed before it starts.
        record_fd: Where records go.
        before: Called when the job was read, right before the program starts.
    """
    job = receive_job(job_fd)
    channel = Channel(job_fd, record_fd, job.nonce)
    if job.mode is Mode.RUN:
        os.close(job_fd)
        give_stdin(job.rest)
    before()
    pid = _getpid()
    channel.send(RecordKind.STARTED, 0)
    ending = _do(job, channel)
    written = _close_down()
    kind, exit_code, note = ending
    # A program that forks without exec comes through here once per process; only the first counts.
    if _getpid() == pid:
        if not written and kind == RecordKind.END:
            kind, exit_code, note = RecordKind.EXCEPTION, 120, "unflushed output"
        try:
            body = note.encode("utf-8", "backslashreplace")[:MAX_NOTE]
            channel.send(kind, exit_code, body)
        except OSError:
            exit_code = exit_code or 0  # It closed our descriptor: no record, an early exit.
    _exit(exit_code)
