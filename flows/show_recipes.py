"""What `selfloom recipes` prints: the list, one recipe in full, and the page of all methods."""

from __future__ import annotations

import inspect
import json
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flows.recipes import RECIPES, Recipe, find_recipe
from flows.recipes.config import RecipeConfig
from flows.recorded_stages import ROUND_TABLES, recorded
from flows.show import WIDTH, print_rows

# What a method's labels rest on, in the order in which the groups are shown.
GROUPS = {
    "votes": "Votes: no labels, samples agree or don't",
    "references": "References: the answers of train problems are known",
    "judge": "Judges: a model scores samples",
    "execution": "Execution: programs and tests that the model wrote",
    "none": "Neither: nothing says which sample is better",
}
PAGE_HEAD = """# Methods

Made by `selfloom recipes --markdown > docs/methods.md`; a test compares the two.
`selfloom recipes show NAME` prints a method's algorithm, its switches and its stages.

"As published": the recipe's docstring names no difference from the paper. Published numbers are the
papers' own, measured with the models that they name.
"""


def show_recipes(settings: str | None, markdown: bool) -> None:
    """Print the recipes, all settings of one of them, or the page of methods."""
    if settings is not None:
        config = find_recipe(settings).config()
        typer.echo(json.dumps(config.model_dump(mode="json"), indent=2))
    elif markdown:
        sys.stdout.write(methods_page())
    else:
        list_recipes()


def list_recipes() -> None:
    """Print a table of recipes for each kind of label, then their titles and numbers."""
    for kind, title in GROUPS.items():
        own = [recipe for recipe in RECIPES.values() if recipe.labels_from == kind]
        print_rows([_list_row(recipe) for recipe in own], title)
    for recipe in RECIPES.values():
        typer.echo(recipe.name)
        typer.echo(_filled("    ", recipe.title))
        typer.echo(_filled("    reported: ", recipe.reported))
    typer.echo(
        "\n`selfloom recipes show RECIPE` explains one; `selfloom recipes --settings RECIPE`"
    )
    typer.echo("prints all its switches; --set changes them.")


def show_recipe(name: str) -> None:
    """Print one recipe: algorithm, paper, labels, numbers, switches, stages, tables.

    Raises:
        UnknownRecipeError: There is none of that name.
    """
    recipe = find_recipe(name)
    calls = recorded(recipe)
    tables = dict.fromkeys(table for call in calls for table in call.tables)
    typer.echo(f"{algorithm(recipe)}\n")
    typer.echo(_filled("Paper:          ", f"{recipe.title}, arXiv {recipe.paper}"))
    typer.echo(f"Labels needed:  {recipe.labels}")
    typer.echo(f"Labels from:    {recipe.labels_from}")
    typer.echo(_filled("Reported:       ", recipe.reported))
    typer.echo(_filled("Stages:         ", " -> ".join(map(str, calls))))
    typer.echo(_filled("Tables:         ", ", ".join([*tables, *ROUND_TABLES])))
    typer.echo("\nSwitches of its own, and shared ones that its paper sets:")
    for path, value, description in switches(recipe):
        typer.echo(_filled("  ", f"{path} = {json.dumps(value)}", "    "))
        if description:
            typer.echo(_filled("      ", description))
    typer.echo(f"\nRun it:  selfloom run {recipe.name} --set FIELD=VALUE")


def algorithm(recipe: Recipe) -> str:
    """The docstring of the recipe's module."""
    return inspect.cleandoc(inspect.getmodule(recipe.compose).__doc__ or "")


def switches(recipe: Recipe) -> Iterator[tuple[str, Any, str]]:
    """(path, default, description) of the settings that a recipe adds or sets otherwise."""
    yield from _switches(recipe.config, recipe.config(), RecipeConfig(), "")


def _switches(
    model: type[BaseModel], own: BaseModel, shared: BaseModel | None, prefix: str
) -> Iterator[tuple[str, Any, str]]:
    for name, field in model.model_fields.items():
        value = getattr(own, name)
        known = getattr(shared, name, None)
        if shared is not None and name in type(shared).model_fields and value == known:
            continue
        if isinstance(value, BaseModel):
            base = known if isinstance(known, BaseModel) else None
            yield from _switches(type(value), value, base, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _plain(value), _description(model, name, field)


def _plain(value: object) -> Any:
    return json.loads(json.dumps(value, default=lambda one: one.model_dump(mode="json")))


def _description(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    """A field's own help, or that of the field it overrides."""
    if field.description:
        return field.description
    inherited = (
        base.model_fields.get(name) for base in model.__mro__[1:-1] if issubclass(base, BaseModel)
    )
    return next((one.description for one in inherited if one and one.description), "")


def _filled(label: str, text: str, indent: str | None = None) -> str:
    """Lines of text after a label, the later ones indented like the first where nothing is said."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=label,
        subsequent_indent=" " * len(label) if indent is None else indent,
        break_on_hyphens=False,
    )


def _list_row(recipe: Recipe) -> dict[str, str]:
    config = recipe.config()
    trains = config.training.method
    return {
        "recipe": recipe.name,
        "arXiv": recipe.paper,
        "labels": recipe.labels,
        "trains": trains,
        "start from": config.start_from,
        "reference": "-" if trains == "sft" else config.reference,
        "mix": config.mix.rounds,
        "samples": f"{config.sampling.n} at T {config.sampling.temperature:g}",
    }


def methods_page() -> str:
    """The text of docs/methods.md: a table of methods for each kind of label."""
    parts = [PAGE_HEAD]
    for kind, title in GROUPS.items():
        own = sorted(
            (recipe for recipe in RECIPES.values() if recipe.labels_from == kind),
            key=lambda recipe: recipe.name,
        )
        if own:
            parts.append(f"\n## {title}\n\n")
            parts.append("| method | paper | labels needed | stages | status | published |\n")
            parts.append("| --- | --- | --- | --- | --- | --- |\n")
            parts += map(_page_row, own)
    return "".join(parts)


def _page_row(recipe: Recipe) -> str:
    differs = "differs from the paper" in algorithm(recipe).casefold()
    cells = (
        f"`{recipe.name}`: {recipe.title}",
        f"[{recipe.paper}](https://arxiv.org/abs/{recipe.paper})",
        recipe.labels,
        " → ".join(map(str, recorded(recipe))),
        "with differences" if differs else "as published",
        recipe.reported,
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
