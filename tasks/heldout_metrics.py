"""What held-out samples say of a model before and after an update (`sql/heldout_metrics.sql`).

On a round's own problems a model is asked once; held-out problems are asked of every model, so the
accuracy of its labels and of the rewards they would give can be compared across the update.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tasks.sql_script import load_script, measured_rows

_METRICS = load_script(Path(__file__).parent / "sql" / "heldout_metrics.sql")


def heldout_metrics(
    con: duckdb.DuckDBPyConnection, run: str, model_id: str
) -> dict[str, float | int | None]:
    """Returns the held-out metrics of one model by their columns; {} without drawn samples.

    Args:
        con: A connection from `Warehouse.connect()`.
        run: The run that evaluated it.
        model_id: Its id.
    """
    (found,) = measured_rows(con, _METRICS, {"run": run, "model": model_id})
    return found if found["num_problems"] else {}
