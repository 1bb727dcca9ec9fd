"""Stand-ins for what stays in the solution's process: its functions, classes and their objects.

An object of a class under test is used through a handle. Two handles are never compared, because
only the solution's own process could say whether the objects are equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sandbox.cell.values import Reference

if TYPE_CHECKING:
    from sandbox.cell.proxies import Remote


class SolutionError(Exception):
    """The solution raised something that is no exception of Python's own."""


class IsMethod(Exception):
    """What was read is a method."""


class EntryPoint:
    """A function or class of the solution."""

    def __init__(self, remote: Remote, name: str, owner: Handle | None = None) -> None:
        self._remote = remote
        self._owner = owner
        self.__name__ = self.__qualname__ = name

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Return what the solution returns."""
        if self._owner is not None:
            method = self.__name__.rpartition(".")[2]
            self._remote.check_question(self._owner, method, (*args, *kwargs.values()))
        return self._remote.ask("call", self.__name__, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        path = f"{self.__name__}.{name}"
        try:
            return self._remote.ask("get", path)
        except IsMethod:
            return EntryPoint(self._remote, path)

    def __instancecheck__(self, value: object) -> bool:
        return isinstance(value, Handle) and bool(
            self._remote.ask("operate", "isinstance", (value, self))
        )

    def __repr__(self) -> str:
        return f"<{self.__name__} of the solution>"


class Handle:
    """Something that stays in the solution's process."""

    __slots__ = ("_origin", "_reference", "_remote")

    def __init__(self, remote: Remote, reference: Reference, origin: str = "returned") -> None:
        object.__setattr__(self, "_remote", remote)
        object.__setattr__(self, "_reference", reference)
        object.__setattr__(self, "_origin", origin)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Handle):
            return False
        return reference_of(self).number == reference_of(other).number or _compare(self, other)

    def __hash__(self) -> int:
        return hash(reference_of(self).number)

    def __reduce_ex__(self, protocol: object) -> Any:
        raise TypeError(f"{self!r} cannot be copied")

    def __repr__(self) -> str:
        reference = reference_of(self)
        return f"<{reference.name} {reference.number} of the solution>"


def reference_of(handle: Handle) -> Reference:
    """Return what a handle stands for."""
    found: Reference = object.__getattribute__(handle, "_reference")
    return found


def origin_of(handle: Handle) -> str:
    """Return where a handle came from.

    `made` by a call of a class under test, `itself` when a method returned its own object,
    `returned` otherwise.
    """
    found: str = object.__getattribute__(handle, "_origin")
    return found


def _ask(handle: Handle, verb: str, target: str, *args: Any) -> Any:
    remote: Remote = object.__getattribute__(handle, "_remote")
    return remote.ask(verb, target, args)


def _call(handle: Handle, /, *args: Any, **kwargs: Any) -> Any:
    remote: Remote = object.__getattribute__(handle, "_remote")
    return remote.ask("call", f"#{reference_of(handle).number}", args, kwargs)


def _compare(first: Handle, second: object) -> bool:
    if not isinstance(second, Handle):
        raise TypeError(f"{first!r} is not comparable with a {type(second).__name__}")
    remote: Remote = object.__getattribute__(first, "_remote")
    raise remote.stop("invalid", "compares_objects")


class CallableHandle(Handle):
    """A function that the solution returned; nothing but a call of it means anything."""

    __slots__ = ()

    __call__ = _call


class IteratorHandle(Handle):
    """An iterator of the solution, one question per item, so it may be infinite."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        remote: Remote = object.__getattribute__(self, "_remote")
        try:
            return _ask(self, "operate", "next", self)
        except SolutionError as error:
            if type(error).__name__ == "StopIteration":
                remote.raised.remove(error)
                raise StopIteration from None
            raise


class ObjectHandle(IteratorHandle):
    """An object of a class under test; what it answers is what is tested."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        found: Iterator[Any] = _ask(self, "operate", "iter", self)
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        remote: Remote = object.__getattribute__(self, "_remote")
        reference = reference_of(self)
        path = f"#{reference.number}.{name}"
        if remote.is_method(reference, name):
            return EntryPoint(remote, path, self)
        try:
            return remote.ask("get", path)
        except IsMethod:
            remote.note_method(reference, name)
            return EntryPoint(remote, path, self)

    def __setattr__(self, name: str, value: object) -> None:
        _ask(self, "set", f"#{reference_of(self).number}.{name}", value)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Return what the object returns when it is called."""
        remote: Remote = object.__getattribute__(self, "_remote")
        remote.check_question(self, "call", (*args, *kwargs.values()))
        return _call(self, *args, **kwargs)

    def __enter__(self) -> Any:
        return _ask(self, "operate", "enter", self)

    def __exit__(self, *error: Any) -> Any:
        return _ask(self, "operate", "exit", self, None, None, None)

    def __bool__(self) -> bool:
        return bool(_ask(self, "operate", "bool", self))

    def __str__(self) -> str:
        return str(_ask(self, "operate", "str", self))

    __lt__ = __le__ = __gt__ = __ge__ = _compare


def _operation(name: str, *, swapped: bool = False, tells: bool = True) -> Any:
    def operate(self: ObjectHandle, *args: Any) -> Any:
        if tells:
            remote: Remote = object.__getattribute__(self, "_remote")
            remote.check_question(self, "operator", args)
        return _ask(self, "operate", name, *((*args, self) if swapped else (self, *args)))

    return operate


# A place in an object says nothing of what is expected there.
for _name in ("len", "getitem", "delitem", "abs", "float", "int", "round"):
    setattr(ObjectHandle, f"__{_name}__", _operation(_name, tells=False))
for _name in ("setitem", "contains"):
    setattr(ObjectHandle, f"__{_name}__", _operation(_name))
for _name in ("neg", "pos", "invert"):
    setattr(ObjectHandle, f"__{_name}__", _operation(_name))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"):
    setattr(ObjectHandle, f"__{_name}__", _operation(_name))
    setattr(ObjectHandle, f"__r{_name}__", _operation(_name, swapped=True))
for _name in ("and", "or", "xor"):
    _operator = _name if _name == "xor" else _name + "_"
    setattr(ObjectHandle, f"__{_name}__", _operation(_operator))
    setattr(ObjectHandle, f"__r{_name}__", _operation(_operator, swapped=True))
