"""What stands in for the solution where its tests run: every use asks the solution's own process.

Only plain values come back, so `==` in a test is Python's own.
"""

import builtins
import os
import threading
import types
from collections import deque
from collections.abc import Collection
from typing import Any

from sandbox.cell.channel import Channel
from sandbox.cell.decoding import decode
from sandbox.cell.encoding import encode
from sandbox.cell.frames import RecordKind
from sandbox.cell.handles import (
    CallableHandle,
    EntryPoint,
    Handle,
    IsMethod,
    IteratorHandle,
    ObjectHandle,
    SolutionError,
    origin_of,
    reference_of,
)
from sandbox.cell.values import Reference, TooLargeError, UnencodableError

_getpid = os.getpid
# Raised inside of `map` or a generator, these would end a test's loop early.
_NEVER_RAISED = (StopIteration, StopAsyncIteration)


class TestStopped(BaseException):
    """This test cannot go on, whatever it catches; see `Remote.stopped`."""

    __test__ = False


class Remote:
    """The way to the solution.

    Attributes:
        stopped: Why the current test cannot pass any more: `(outcome, note)`; None while it can.
        gone: Whether the solution's process ended.
        raised: Exceptions that the solution raised during the current test.
        unwritten: Whether a call changed an argument and returned a value, see `_write_back`.
    """

    def __init__(self, channel: Channel, classes: Collection[str]) -> None:
        self._channel = channel
        self._classes = frozenset(classes)
        self._trusted_calls: set[str] = set()
        self._lock = threading.Lock()
        self._serial = 0
        self._pid = _getpid()
        self._methods: set[tuple[str, str]] = set()
        self._kinds: dict[str, object] = {}
        self._named: dict[str, type[Exception]] = {}
        self._exceptions: dict[tuple[str, ...], type[Exception]] = {}
        self.stopped: tuple[str, str] | None = None
        self.gone = False
        self.raised: list[Exception] = []
        self.unwritten = False

    def begin(self) -> None:
        """Forget what happened in the test before."""
        self.stopped = None
        self.raised = []
        self.unwritten = False
        self._trusted_calls.clear()

    def stop(self, outcome: str, note: str) -> TestStopped:
        """Keep why the test cannot pass; return what to raise."""
        self.stopped = self.stopped or (outcome, note)
        return TestStopped(note)

    def ask(
        self,
        verb: str,
        target: str,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Return what the solution's process answers to one request.

        Raises:
            Exception: The solution raised one; the same if it is one of Python's own.
            TestStopped: There is no usable answer.
        """
        if self.gone:
            raise self.stop("gone", "the solution ended")
        if _getpid() != self._pid:
            raise RuntimeError("only the process that runs the tests can call the solution")
        try:
            request = encode((verb, target, args, kwargs or {}), self._refer)
        except UnencodableError as error:
            raise self.stop("invalid", f"unsendable:{error.type_name}") from None
        except TooLargeError as error:
            raise ValueError(f"arguments of {target}: {error}") from None
        value = self._receive(target, self._exchange(request), args, kwargs or {})
        if verb == "call" and isinstance(value, Handle):
            value = self._with_origin(value, target)
        return value

    def check_question(self, handle: Handle, name: str, args: Collection[object]) -> None:
        """Let plain values of the test only go to an object that the test itself made.

        What a function or method returned may be an object that pretends: asked for its distance
        from 2.5 it would say 0, asked whether it starts with "ab" it would say yes.

        Args:
            handle: The object that is asked.
            name: Of a method, or `operator` or `call`.
            args: What it would be told.

        Raises:
            TestStopped: The test cannot be judged.
        """
        origin = origin_of(handle)
        if origin == "made":
            self._trusted_calls.add(name)
        elif all(isinstance(value, Handle | EntryPoint) for value in args):
            return
        elif origin != "itself" or name not in self._trusted_calls:
            raise self.stop("invalid", "asks_a_result")

    def is_method(self, reference: Reference, name: str) -> bool:
        """Whether an attribute of objects of this type is known to be a method."""
        return (reference.name, name) in self._methods

    def note_method(self, reference: Reference, name: str) -> None:
        """Remember that an attribute of objects of this type is a method."""
        self._methods.add((reference.name, name))

    def stand_in(self, name: str) -> Any:
        """Return what takes the place of a name of the solution in a test.

        Only capitalised names are asked for what they are, exceptions and constants.
        """
        if not name[:1].isupper():
            return EntryPoint(self, name)
        if name not in self._kinds:
            self._kinds[name] = self.ask("describe", name)
        kind = self._kinds[name]
        if isinstance(kind, list):
            return self._named.setdefault(name, self._exception_class((name, *kind[1:])))
        return self.ask("get", name) if kind == "value" else EntryPoint(self, name)

    def _exchange(self, request: bytes) -> Any:
        with self._lock:
            self._serial += 1
            self._channel.send(RecordKind.CALL, self._serial, request)
            message = self._channel.receive()
        if message is None or message.number != self._serial:
            self.gone = True
            raise self.stop("gone", "the solution ended")
        return decode(message.body, self._resolve, native=True)

    def _receive(
        self, target: str, reply: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        kind, *rest = reply
        if kind == "value":
            value, changed = rest
            if changed:
                self._write_back(value, changed, args, kwargs)
            return value
        if kind == "method":
            raise IsMethod
        if kind == "raised":
            raise self._exception(*rest)
        if kind == "gone":
            self.gone = True
            raise self.stop("gone", str(rest[0]))
        if kind == "missing":
            raise self.stop("missing", str(rest[0]))
        if kind == "unencodable":
            raise self.stop("unencodable", str(rest[0]))
        raise self.stop("too_large", target)

    def _write_back(
        self,
        value: object,
        changed: dict[int | str, object],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        """Change the test's arguments as the solution changed its copies, if it returned nothing.

        A function that works in place returns None. One that returns a value is compared by it,
        often with something computed from the same arguments: `assert f(x) == sorted(x)` must not
        become true because `f` empties `x`.
        """
        if value is not None:
            self.unwritten = True
            return
        for place, new in changed.items():
            write_over(args[place] if isinstance(place, int) else kwargs[place], new)

    def _refer(self, value: object) -> Reference | None:
        if isinstance(value, Handle):
            return reference_of(value)
        return Reference(-1, value.__name__, "entry") if type(value) is EntryPoint else None

    def _resolve(self, reference: Reference) -> object:
        kinds: dict[str, type[Handle]] = {
            "object": ObjectHandle,
            "iterator": IteratorHandle,
            "callable": CallableHandle,
        }
        return kinds[reference.kind](self, reference)

    def _with_origin(self, handle: Handle, target: str) -> Handle:
        reference = reference_of(handle)
        if target in self._classes:
            return type(handle)(self, reference, "made")
        own = target.startswith(f"#{reference.number}.")
        return type(handle)(self, reference, "itself") if own else handle

    def _exception_class(self, names: tuple[str, ...]) -> type[Exception]:
        """Return a class that stands for one of the solution's, named by its bases too."""
        if names[0] in self._named:
            return self._named[names[0]]
        if names not in self._exceptions:
            bases: list[type[Exception]] = [SolutionError]
            for name in names:
                if (base := self._named.get(name) or self._builtin(name)) is not None:
                    bases = [base] if issubclass(base, SolutionError) else [SolutionError, base]
                    break
            if bases[-1] is Exception:
                bases.pop()
            self._exceptions[names] = type(names[0], tuple(bases), {})
        return self._exceptions[names]

    @staticmethod
    def _builtin(name: str) -> type[Exception] | None:
        found = getattr(builtins, name, None)
        if isinstance(found, type) and issubclass(found, Exception):
            return None if issubclass(found, _NEVER_RAISED) else found
        return None

    def _exception(self, names: list[str], arguments: tuple[Any, ...], text: str) -> Exception:
        kind = self._builtin(names[0])
        try:
            if kind is None:
                kind, arguments = self._exception_class(tuple(names)), (text,)
            # Past `__init__`, which wants other arguments for some.
            error = kind.__new__(kind, *arguments)
            error.args = arguments
        except (TypeError, ValueError):
            # No class can be made like this, or it takes arguments that are not plain.
            error = SolutionError(f"{names[0]}: {text}")
        self.raised.append(error)
        return error


def write_over(old: Any, new: Any) -> None:
    """Give a container the contents of another of the same type; what it holds stays the same
    object where it can."""
    if type(old) is not type(new):
        return
    if isinstance(old, (list, tuple)) and len(old) == len(new):
        for i, (was, now) in enumerate(zip(old, new, strict=True)):
            if type(was) is type(now) and isinstance(was, (list, dict, set, bytearray, deque)):
                write_over(was, now)
            elif isinstance(old, list):
                old[i] = now
    elif isinstance(old, (list, bytearray)):
        old[:] = new
    elif isinstance(old, (dict, set)):
        items = new.copy()
        old.clear()
        old.update(items)
    elif isinstance(old, deque):
        items = new.copy()
        old.clear()
        old.extend(items)
    elif type(old).__name__ == "ndarray" and old.shape == new.shape:
        old[...] = new


def solution_module(remote: Remote, name: str, known: dict[str, Any]) -> types.ModuleType:
    """Return a module whose names are those of the solution.

    Args:
        remote: The way to it.
        name: Of the module.
        known: Names that are there without asking.
    """
    module = types.ModuleType(name)
    module.__dict__.update(known)

    def find(wanted: str) -> Any:
        if wanted.startswith("__"):
            raise AttributeError(wanted)
        return remote.stand_in(wanted)

    module.__dict__["__getattr__"] = find
    return module
