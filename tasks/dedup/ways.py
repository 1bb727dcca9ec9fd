"""The ways in which answers reach their results: a score per answer, which selections can read."""

from __future__ import annotations

import ast
import hashlib
import math
import operator
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from storage import Warehouse
from tasks.dedup.skeletons import MAX_CHARACTERS, equations, skeleton
from tasks.sql_script import connect, load_script, write_query

CHECK = "way"
WAYS = load_script(Path(__file__).parent / "ways.sql")
TOLERANCE = 1e-3  # as in RFT's code: worked solutions round
ROWS_PER_BATCH = 2_048
_NUMBERS = re.compile(r"[\d.()+\-*/]+")
_COLUMNS = pa.schema([("sample_id", pa.string()), ("way", pa.string()), ("holds", pa.bool_())])
_TEXTS = """
SELECT id, role, text FROM samples
WHERE run = $run AND round = $round AND status = 'ok'
  AND purpose IN ('train', 'imported') AND role IN ('answer', 'program')
"""
_OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def write_ways(
    warehouse: Warehouse, *, run: str, round: int, memory_gib: float | None = None
) -> int:
    """Write the check `way` of every answer into `scores`; returns the number of rows.

    A label is the hash of the answer's skeleton, null where it has none. The value is 1, or 0 for a
    text with an equation that does not hold. Doing it again writes the same rows.

    Args:
        warehouse: Holds the round's samples.
        run: The run.
        round: Its round.
        memory_gib: Memory that DuckDB may use before it spills to disk; None for its default.

    Source: RFT, arXiv 2308.01825, and its code: one path per list of equations, all of them true.
    """
    place: dict[str, object] = {"run": run, "round": round}
    with connect(warehouse, memory_gib) as connection:
        # Collected, because a connection that streams a result can't write; 100 bytes per sample.
        found = []
        reader = connection.sql(_TEXTS, params=place).to_arrow_reader(ROWS_PER_BATCH)
        for batch in reader:
            rows = zip(*(batch.column(n).to_pylist() for n in ("role", "text")), strict=True)
            ways = [_way(role, text) for role, text in rows]
            columns = [batch.column("id"), *(list(column) for column in zip(*ways, strict=True))]
            found.append(pa.table(columns, schema=_COLUMNS))
        connection.register("ways", pa.concat_tables([_COLUMNS.empty_table(), *found]))
        query = WAYS.bind(connection, place)
        return write_query(warehouse, connection, query, "scores", run=run, round=round, part=CHECK)


def equations_hold(text: str) -> bool:
    """Whether every equation of a worked solution is true; also where it has none.

    Example:
        >>> equations_hold("<<3*4=12>>12, then 12 / 5 = 2.4")
        True
        >>> equations_hold("3 + 4 = 8"), equations_hold("<<x=3>>"), equations_hold("<<2*3=6=5>>")
        (False, False, False)
    """
    return len(text) <= MAX_CHARACTERS and all(map(_holds, equations(text)))


def _way(role: str, text: str) -> tuple[str | None, bool]:
    is_program = role == "program"
    found = skeleton(text, "program" if is_program else "answer")
    digest = None if found is None else hashlib.md5(found.encode(errors="surrogatepass"))
    return None if digest is None else digest.hexdigest(), is_program or equations_hold(text)


def _holds(equation: str) -> bool:
    sides = [_value(side) for side in equation.split("=")]
    first = sides[0]
    return len(sides) > 1 and first is not None and all(
        side is not None and abs(side - first) < TOLERANCE for side in sides[1:]
    )  # fmt: skip


def _value(side: str) -> float | None:
    """The value of a sum of numbers; None where it is something else."""
    if not _NUMBERS.fullmatch(side):
        return None
    try:
        value = _evaluate(ast.parse(side, mode="eval").body)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        return None
    return value if math.isfinite(value) else None


def _evaluate(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        sign = -1 if isinstance(node.op, ast.USub) else 1
        return sign * _evaluate(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_evaluate(node.left), _evaluate(node.right))
    raise ValueError(f"{type(node).__name__} is not arithmetic")
