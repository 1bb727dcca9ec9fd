"""The verbs of `selfloom recipes`: list them, explain one."""

from __future__ import annotations

from typing import Annotated

import typer

recipes_app = typer.Typer(
    invoke_without_command=True,
    help="List the recipes: paper, labels needed, switches; `show` explains one.",
    epilog="selfloom recipes\n\nselfloom recipes show scpo\n\n"
    "selfloom recipes --settings scpo > scpo.json",
)


@recipes_app.callback()
def recipes(
    context: typer.Context,
    settings: Annotated[
        str | None,
        typer.Option(metavar="RECIPE", help="Print all settings of this recipe as JSON."),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/methods.md.")
    ] = False,
) -> None:
    """List the recipes, or print settings or the page of methods; its help is the app's."""
    if context.invoked_subcommand is None:
        from flows.show_recipes import show_recipes

        show_recipes(settings, markdown)


@recipes_app.command(epilog="selfloom recipes show scpo")
def show(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe; see `selfloom recipes`.")],
) -> None:
    """Explain a recipe: algorithm, paper, labels, published numbers, switches, stages, tables."""
    from flows.show_recipes import show_recipe

    show_recipe(recipe)
