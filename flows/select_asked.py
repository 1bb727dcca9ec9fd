"""Train on what was said in a stage that asks: judgements, critiques, refinements, questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.ask_stage import rows_of
from flows.errors import SettingError
from tasks.ask import asked_messages, find_link, sampling_text
from tasks.engines import Messages
from tasks.selection import AskedFor, Selection, SelectionReport, select

if TYPE_CHECKING:
    from flows.stages import Stages


@task(name="select what was asked for", cache_policy=NO_CACHE)
def select_asked(
    stages: Stages, name: str, selections: Sequence[Selection], role: str = ""
) -> SelectionReport:
    """Run selections over the samples of a stage; doing it again writes the same rows.

    The samples of one question compete: those about the same prompt and the same parents. The
    prompt of a training row is the question as the model was asked it. What the settings put in
    place of the recipe's selection is about answers, and so are filters and dedup.

    Args:
        stages: The round.
        name: The stage's name, or a judge's.
        selections: What to run.
        role: Which link of a chain; empty: the last one.

    Raises:
        SettingError: If no stage of that name asked in this round.
        DataFormatError: If the stage did not ask for the role.
    """
    if name not in stages.asked:
        raise SettingError(
            f"select_asked({name!r}): the stages that asked so far are "
            f"{', '.join(stages.asked) or 'none'}; select after `ask` or `judge`, by its name"
        )
    asked = stages.asked[name]
    link = find_link(asked.chain, role)
    sample = asked.chain.links[link]

    def messages(ids: Sequence[str]) -> Mapping[str, Messages]:
        with rows_of(stages, asked) as source:
            return asked_messages(
                stages.warehouse,
                asked.chain,
                link,
                source,
                ids,
                run=stages.run,
                round=stages.number,
            )

    return select(
        stages.warehouse,
        selections,
        run=stages.run,
        round=stages.number,
        seed=stages.config.seed,
        allow_references=stages.recipe.allow_references,
        asked=AskedFor(name, sample.role, sampling_text(sample), messages),
        memory_gib=stages.config.selection.memory_gib,
    )
