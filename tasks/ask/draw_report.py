"""What a draw rule saved, counted from the samples themselves (`draw_report.sql`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from storage import Warehouse
from tasks.ask.draw import DrawRule
from tasks.sql_script import connect, load_script

_REPORT = load_script(Path(__file__).parent / "draw_report.sql")


@dataclass(frozen=True)
class DrawReport:
    """Samples drawn and saved by a draw rule.

    Attributes:
        num_groups: Groups: rows that were asked about.
        num_drawn: Samples drawn.
        num_saved: Samples that the rule made unnecessary, against the most that it allows.
        num_stopped: Groups with fewer than n samples.
        num_extended: Groups with more than n samples.
        tokens_drawn: Tokens of the samples drawn.
        tokens_saved: Tokens saved, estimated: a sample not drawn counts as the mean of its group.
    """

    num_groups: int
    num_drawn: int
    num_saved: int
    num_stopped: int
    num_extended: int
    tokens_drawn: int
    tokens_saved: int

    def to_dict(self) -> dict[str, int]:
        """Its numbers by name."""
        return asdict(self)


def draw_report(
    warehouse: Warehouse,
    rule: DrawRule,
    n: int,
    *,
    run: str,
    round: int,
    role: str,
    turn: int = 0,
    purpose: str = "train",
) -> DrawReport:
    """What a rule saved in a round whose samples are in the table.

    Args:
        warehouse: Holds the samples.
        rule: The rule that they were drawn by.
        n: Samples of a group that is neither ended early nor extended.
        run: The run.
        round: Its round.
        role: Role of the samples.
        turn: Their turn.
        purpose: What they were drawn for.
    """
    place = {"run": run, "round": round, "role": role, "turn": turn, "purpose": purpose}
    with connect(warehouse) as connection:
        query = _REPORT.bind(connection, {**place, "n": n, "n_max": rule.most(n)})
        (row,) = connection.execute(query).fetchall()
    return DrawReport(*map(int, row))
