"""What commands about models print."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import typer

from flows.show import print_rows
from storage import Warehouse
from tasks.evaluation.recorded import compare_recorded
from tasks.models import resolve_model


def show_comparison(
    warehouse: Path, first: str, second: str, num_samples: int | None, *, as_json: bool
) -> None:
    """Print the paired comparison of two models, a line per suite.

    Args:
        warehouse: Folder of the warehouse.
        first: The first model, as `resolve_model` takes it.
        second: The other one.
        num_samples: Samples per problem that count; None for the greedy answer.
        as_json: Print one JSON object instead.

    Raises:
        ModelFolderError: There is no such model.
        EvaluationError: They have no answered problem in common.
    """
    house = Warehouse.open(warehouse, create=False)
    models = [resolve_model(house, reference) for reference in (first, second)]
    with house.connect() as con:
        hashes = [model.weight_hash for model in models]
        found = compare_recorded(con, hashes[0], hashes[1], num_samples)
    if as_json:
        names = {"first": models[0].id, "second": models[1].id}
        typer.echo(json.dumps(names | {"suites": [asdict(one) for one in found]}, indent=2))
        return
    rows = [
        {
            "suite": one.name,
            "problems": str(one.num_problems),
            "first": f"{100 * one.incumbent_accuracy:.1f}%",
            "second": f"{100 * one.candidate_accuracy:.1f}%",
            "change": f"{100 * one.difference:+.1f}",
            "bound": f"{100 * one.lower_bound:+.1f}",
            "wins": str(one.wins),
            "losses": str(one.losses),
            "p": f"{one.p_value:.3g}",
        }
        for one in found
    ]
    print_rows(rows, f"{models[1].id} against {models[0].id}")
    typer.echo("bound: lower 95% bound of the change; p: one-sided exact paired test of a gain")
