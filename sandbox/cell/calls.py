"""Answers calls of a program's functions with plain values, in the program's own process.

The program can forge any answer of this process, so an answer is a claim about a value and never
about whether that value is right: what is expected does not come in here.
"""

import operator
import os
import types
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.cell.channel import Channel
from sandbox.cell.decoding import decode
from sandbox.cell.encoding import ITERATORS, encode
from sandbox.cell.frames import RecordKind
from sandbox.cell.values import Reference, TooLargeError, UnencodableError

_exit, _getpid = os._exit, os.getpid
_MAX_OBJECTS = 100_000
_MAX_TEXT = 500
_MISSING = object()
_MUTABLE_PARTS = (list, tuple, dict, set, bytearray, deque)
_CALLABLES = frozenset({types.FunctionType, types.MethodType, types.BuiltinFunctionType})

OPERATIONS: Mapping[str, Callable[..., Any]] = {
    **{
        function.__name__: function
        for function in (len, iter, next, str, repr, bool, abs, float, int, round, isinstance)
    },
    **{
        name: getattr(operator, name)
        for name in (
            *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
            *("and_", "or_", "xor", "neg", "pos", "invert"),
            *("contains", "getitem", "setitem", "delitem"),
        )
    },
    "enter": lambda manager: type(manager).__enter__(manager),
    "exit": lambda manager, *error: type(manager).__exit__(manager, *error),
}
"""What the tests may do with an object of the program beside calling its methods."""


class _MissingName(Exception):
    """The program does not define what was called."""


class _Method(Exception):
    """What was read is a method; it is called by its name."""


class Server:
    """The functions of one program, and the objects that tests made of its classes.

    Args:
        module: The program.
        told: `entry_points`, names; `talks`, whether functions and iterators may stay here and be
            used from outside, and changes of arguments are reported; `classes`, names of entry
            points whose objects may stay here too.
    """

    def __init__(self, module: types.ModuleType, told: dict[str, object]) -> None:
        self._names = module.__dict__
        self._talks = told["talks"] is True
        named = told["classes"]
        assert isinstance(named, list)
        self._named_classes = frozenset(named)
        self._classes: set[type] = set()
        self._objects: list[object] = []
        self._numbers: dict[int, int] = {}
        names = told["entry_points"]
        assert isinstance(names, list)
        self._entry_points = frozenset(names)
        for name in self._named_classes:
            self._note_class(self._names.get(name))

    def answer(self, request: bytes) -> bytes:
        """Return the encoded reply to one encoded request, whatever happens on the way."""
        try:
            asked: Any = decode(request, self._resolve, native=True)
            verb, target, args, kwargs = asked
            before = self._mutable(args, kwargs)
            value = self._do(verb, target, args, kwargs)
            return self._reply(value, before, owned=verb == "get" and target[0] == "#")
        except _MissingName as error:
            return encode(("missing", str(error)[:_MAX_TEXT]))
        except _Method:
            return encode(("method",))
        except UnencodableError as error:
            return encode(("unencodable", error.type_name[:_MAX_TEXT]))
        except TooLargeError:
            return encode(("too_large",))
        except BaseException as error:
            return _raised(error)

    # --- what is asked ------------------------------------------------------------------------

    def _do(self, verb: str, target: str, args: Sequence[Any], kwargs: dict[str, Any]) -> object:
        if verb == "call":
            return self._find(target)(*args, **kwargs)
        if verb == "operate":
            return OPERATIONS[target](*args)
        if verb == "describe":
            return _kind_of(self._names.get(target, _MISSING))
        path, _, name = target.rpartition(".")
        if not path:
            return self._find(name)
        owner = self._find(path)
        if verb == "set":
            setattr(owner, name, args[0])
            return None
        value = getattr(owner, name)
        if type(value) in _CALLABLES:
            raise _Method
        return value

    def _find(self, target: str) -> Any:
        head, *rest = target.split(".")
        if head.startswith("#"):
            found = self._objects[int(head[1:])]
        elif (found := self._names.get(head, _MISSING)) is _MISSING:
            raise _MissingName(head)
        self._note_class(found)
        for name in rest:
            if isinstance(found, type) and (not self._talks or target in self._entry_points):
                found = found()  # A method of a fresh object for every call.
                if not hasattr(found, name):
                    raise _MissingName(target)
            found = getattr(found, name)
        return found

    def _note_class(self, found: object) -> None:
        if isinstance(found, type) and self._named_classes:
            self._classes.add(found)

    def _resolve(self, reference: Reference) -> object:
        return self._find(reference.name if reference.kind == "entry" else f"#{reference.number}")

    # --- what is answered ---------------------------------------------------------------------

    def _reply(
        self, value: object, before: Mapping[int | str, tuple[Any, bytes]], owned: bool
    ) -> bytes:
        if not self._talks:
            return encode(("value", value, {}))

        def refer(found: object) -> Reference | None:
            return self._refer(found, owned)

        changed = {
            place: argument
            for place, (argument, was) in before.items()
            if encode(argument, refer) != was
        }
        return encode(("value", value, changed), refer)

    def _mutable(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> dict[int | str, tuple[Any, bytes]]:
        """Return the arguments that the program may change, each with its encoding."""
        if not self._talks:
            return {}

        def refer(found: object) -> Reference | None:
            return self._refer(found, True)

        before: dict[int | str, tuple[Any, bytes]] = {}
        places: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
        for place, argument in places:
            if isinstance(argument, _MUTABLE_PARTS) or type(argument).__name__ == "ndarray":
                before[place] = argument, encode(argument, refer)
        return before

    def _refer(self, value: object, owned: bool) -> Reference | None:
        """Keep a value here if it is of a class under test; else it has to be plain.

        An object of any other class could answer every question with yes.
        """
        kind = type(value)
        if kind in _CALLABLES:
            name = "callable"
        elif kind in ITERATORS:
            name = "iterator"
        elif any(base in self._classes for base in kind.__mro__[:-1]) or (
            owned and self._named_classes and self._names.get(kind.__name__) is kind
        ):
            name = "object"
        else:
            return None
        number = self._numbers.get(id(value))
        if number is None:
            if len(self._objects) >= _MAX_OBJECTS:
                raise TooLargeError(f"more than {_MAX_OBJECTS} objects")
            number = self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        return Reference(number, kind.__name__[:80], name)


def _kind_of(found: object) -> str | list[str]:
    """Return what a name of the program stands for; an exception by the names of its classes."""
    if isinstance(found, type):
        return _names(found) if issubclass(found, Exception) else "class"
    return "function" if callable(found) or found is _MISSING else "value"


def _names(kind: type) -> list[str]:
    return [str(base.__name__)[:80] for base in kind.__mro__[:-1]][:20]


def _raised(error: BaseException) -> bytes:
    """Return the names of an exception's classes, its arguments where they are plain, its text."""
    names = _names(type(error))
    try:
        text = str(error)[:_MAX_TEXT]
        if type(text) is not str:
            text = "unprintable"
    except BaseException:
        text = "unprintable"
    if isinstance(error, ModuleNotFoundError) and type(error.name) is str:
        text = f"No module named {error.name[:_MAX_TEXT]!r}"
    try:
        # The attribute of the base class: the object's own may lie.
        arguments = BaseException.args.__get__(error)  # type: ignore[attr-defined]
        return encode(("raised", names, arguments, text))
    except BaseException:
        return encode(("raised", names, (text,), text))


def serve(module: types.ModuleType, told: dict[str, object], channel: Channel) -> None:
    """Answer calls until there are no more.

    Args:
        module: The program, already run.
        told: See `Server`.
        channel: Where calls come from and replies go to.
    """
    server = Server(module, told)
    pid = _getpid()
    while (message := channel.receive()) is not None:
        reply = server.answer(message.body)
        if _getpid() != pid:
            _exit(0)  # A fork that came back out of the function is not who was asked.
        channel.send(RecordKind.REPLY, message.number, reply, nonce=message.nonce)
