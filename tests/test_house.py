"""The rules of the house that no linter knows."""

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

PROJECT = Path(__file__).parents[1]
ROOMS = ("flows", "tasks", "sandbox", "storage")
MAX_LINES = 400
NAMELESS = {"common", "helper", "helpers", "misc", "util", "utils"}


def sources(*folders: str) -> list[Path]:
    """All Python files under the folders, relative to the project."""
    found = [path for folder in folders for path in (PROJECT / folder).rglob("*.py")]
    return sorted(path.relative_to(PROJECT) for path in found)


def parse(path: Path) -> ast.Module:
    return ast.parse((PROJECT / path).read_text(encoding="utf-8"), filename=str(path))


def imports_at_module_level(tree: ast.Module) -> Iterator[str]:
    """Full names of what importing the module imports; function bodies run later."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            pending += ast.iter_child_nodes(node)


def assigned_names(tree: ast.Module) -> set[str]:
    """Names that the module assigns at its top level."""
    names: set[str] = set()
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def recipe_files() -> list[Path]:
    return [path for path in sources("flows/recipes") if "RECIPE" in assigned_names(parse(path))]


def modules_with_examples() -> list[str]:
    with_examples = [p for p in sources(*ROOMS) if ">>>" in (PROJECT / p).read_text("utf-8")]
    return [".".join(path.with_suffix("").parts) for path in with_examples]


def test_imports_obey_the_contracts_of_pyproject(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(config_filename=str(PROJECT / "pyproject.toml"), no_cache=True)
    assert status == 0, capsys.readouterr().out


def test_every_room_is_a_typed_package() -> None:
    missing = [
        f"{room}/{name}"
        for room in ROOMS
        for name in ("__init__.py", "py.typed")
        if not (PROJECT / room / name).is_file()
    ]
    assert missing == []


def test_no_file_is_too_long_to_read() -> None:
    lengths = {
        str(path): (PROJECT / path).read_text(encoding="utf-8").count("\n")
        for path in sources(*ROOMS, "tests", "benchmarks")
    }
    assert {path: n for path, n in lengths.items() if n > MAX_LINES} == {}


def test_every_module_has_a_name_that_says_something() -> None:
    files = sources(*ROOMS, "tests", "benchmarks")
    assert [str(p) for p in files if NAMELESS & {p.stem, *p.parts}] == []


def test_tests_are_no_packages() -> None:
    # With an __init__.py, tests/tasks would be imported instead of tasks.
    assert [str(path) for path in sources("tests") if path.name == "__init__.py"] == []


def test_vllm_is_imported_only_where_it_is_used() -> None:
    # Modules of the engine's own process, and a benchmark of it; whoever imports them needs vLLM.
    served = {
        f"tasks/engines/vllm_{name}.py": f"tasks.engines.vllm_{name}"
        for name in ("copies", "distributions", "model", "params", "queue")
    }
    allowed = {*served, "benchmarks/vllm_throughput.py"}
    needs = {"vllm", *served.values()}
    eager = {
        str(path)
        for path in sources(*ROOMS, "tests", "benchmarks")
        if any(
            name in needs or name.startswith("vllm.")
            for name in imports_at_module_level(parse(path))
        )
    }
    assert eager == allowed


def test_the_docs_list_every_recipe() -> None:
    # docs/methods.md is made of the recipes; a row begins with the name of one.
    docs = (PROJECT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)`", docs, re.M)) == {path.stem for path in recipe_files()}
    assert "docs/methods.md" in (PROJECT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("module", modules_with_examples())
def test_examples_in_docstrings_are_true(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0
