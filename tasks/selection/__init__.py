"""Selection: which samples become training rows, as SQL files that can be run by hand.

`confident_majority` and `vote_pairs` need no labels; `reference_correct` and `reference_pairs` do.
By hand: connect to `selfloom.duckdb`, run `candidates.sql`, the selection, and the file that its
header names under `Before`; then look at `decisions` and `selected`.
"""

from tasks.selection.select import (
    SELECTIONS,
    Selected,
    Selection,
    SelectionReport,
    check_selections,
    select,
)

__all__ = [
    "SELECTIONS",
    "Selected",
    "Selection",
    "SelectionReport",
    "check_selections",
    "select",
]
