"""Finds and runs the tests in one source of test code: asserts, `check`, functions, classes."""

import ast
import builtins
import functools
import linecache
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

_ASSERTED = "__assert_is_next__"
_COUNTED = "__counted__"
_CHECKING = ("assert", "raises", "fail")


class TestsInvalid(Exception):
    """The test code cannot be used as it is."""

    __test__ = False


class Counter:
    """Number of checks that test code came to.

    Attributes:
        asserts: `assert` statements, and calls of what checks by its name.
    """

    def __init__(self) -> None:
        self.asserts = 0

    def assert_is_next(self) -> None:
        """Count an assert statement that is about to run."""
        self.asserts += 1

    def counted(self, check: Any) -> Any:
        """Count a call of what checks; return it."""
        self.asserts += 1
        return check


class _Instrument(ast.NodeTransformer):
    """Adds the counting of checks to test code."""

    def __init__(self) -> None:
        self.raises = False

    def visit_Assert(self, node: ast.Assert) -> list[ast.AST]:
        self.generic_visit(node)
        call = ast.Call(ast.Name(_ASSERTED, ast.Load()), [], [])
        return [ast.copy_location(ast.Expr(call), node), node]

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
        if isinstance(name, str) and name.startswith(_CHECKING):
            node.func = ast.Call(ast.Name(_COUNTED, ast.Load()), [node.func], [])
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        # `if f(1) != 2: raise ...` is a check that leaves no trace when it holds.
        self.raises = True
        return self.generic_visit(node)


def run_source(source: str, file: str, names: dict[str, Any], counter: Counter) -> ast.Module:
    """Run a source of test code with its checks counted; return its tree.

    Args:
        source: Python source.
        file: For tracebacks.
        names: Namespace to run it in.
        counter: Counts checks.

    Raises:
        TestsInvalid: It does not compile.
        BaseException: Whatever the code raises.
    """
    try:
        tree = ast.parse(source, file)
        found = ast.parse(source, file)
        instrument = _Instrument()
        code = compile(
            ast.fix_missing_locations(instrument.visit(tree)), file, "exec", dont_inherit=True
        )
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise TestsInvalid(type(error).__name__) from None
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    counter.asserts += instrument.raises
    names[_ASSERTED] = counter.assert_is_next
    names[_COUNTED] = counter.counted
    exec(code, names)
    return found


def run_defined(tree: ast.Module, names: dict[str, Any], candidate: object) -> None:
    """Run everything in a namespace that is a test.

    Args:
        tree: Of the source, to see whether it runs `check` itself.
        names: What its code left.
        candidate: Given to functions that take one argument.

    Raises:
        TestsInvalid: A test was skipped, or needs something that is not there.
        BaseException: Whatever the first failing test raises.
    """
    called = _called_at_top(tree)
    for name in _defined_at_top(tree):
        found = names.get(name)
        if isinstance(found, type):
            _run_class(found, candidate)
        elif name == "check" and name not in called:
            _run(lambda: names["check"](candidate))
        elif name.startswith("test") and name not in called and callable(found):
            for call in _calls(found, candidate):
                _run(call)


def _defined_at_top(tree: ast.Module) -> list[str]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return list(dict.fromkeys(node.name for node in tree.body if isinstance(node, kinds)))


def _called_at_top(tree: ast.Module) -> set[str]:
    """Return the names of functions that the source calls itself."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {
        node.func.id
        for statement in tree.body
        if not isinstance(statement, kinds) and not _is_main_guard(statement)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def _is_main_guard(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and "__name__" in ast.dump(statement.test)


def _run(call: Callable[[], Any]) -> None:
    result = call()
    if isinstance(result, types.CoroutineType):
        import asyncio

        asyncio.run(result)


def _calls(function: Any, candidate: object) -> Iterator[Callable[[], Any]]:
    """Yield one call per set of parameters that pytest's marks give, or the only one."""
    code = getattr(function, "__code__", None)
    if code is None:
        raise TestsInvalid("decorated")
    defaults = function.__defaults__ or ()
    first = 1 if isinstance(function, types.MethodType) else 0
    needed = code.co_varnames[first : code.co_argcount - len(defaults)]
    sets: list[dict[str, Any]] = [{}]
    for mark in getattr(function, "pytestmark", []):
        if mark.name != "parametrize":
            raise TestsInvalid(f"marked {mark.name}")
        sets = [{**given, **more} for given in sets for more in _parameters(*mark.args[:2])]
    for given in sets:
        rest = [name for name in needed if name not in given]
        if len(rest) == 1 and not given:
            given = {rest[0]: candidate}
        elif rest:
            raise TestsInvalid(f"needs {rest[0]}")
        yield functools.partial(function, **given)


def _parameters(names: Any, values: Any) -> Iterator[dict[str, Any]]:
    keys = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    for value in values:
        if type(value).__name__ == "ParameterSet":
            if value.marks:
                raise TestsInvalid("marked parameters")
            value = value.values
            yield dict(zip(keys, value, strict=True))
        else:
            yield dict(zip(keys, [value] if len(keys) == 1 else value, strict=True))


def _run_class(found: type, candidate: object) -> None:
    unittest = sys.modules.get("unittest")
    if unittest is not None and issubclass(found, unittest.TestCase):
        _run_test_case(unittest, found)
    elif found.__name__.startswith("Test"):
        for name in [name for name in dir(found) if name.startswith("test")]:
            instance = found()
            for call in _calls(getattr(instance, name), candidate):
                if (set_up := getattr(instance, "setup_method", None)) is not None:
                    set_up()
                _run(call)


def _run_test_case(unittest: Any, found: type) -> None:
    errors: list[BaseException] = []

    class Result(unittest.TestResult):  # type: ignore[misc]
        def addError(self, test: Any, error: Any) -> None:
            errors.append(error[1])

        addFailure = addError

        def addSubTest(self, test: Any, subtest: Any, error: Any) -> None:
            if error is not None:
                errors.append(error[1])

    result = Result()
    unittest.defaultTestLoader.loadTestsFromTestCase(found).run(result)
    if errors:
        raise errors[0]
    if result.skipped or result.expectedFailures or result.unexpectedSuccesses:
        raise TestsInvalid("skipped")


def fresh_namespace(name: str) -> dict[str, Any]:
    """Return the namespace of a new module that importing by this name finds."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    names = module.__dict__
    names.update(__builtins__=builtins, __file__=f"{name}.py")
    return names
