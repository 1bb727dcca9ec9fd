"""Selection: which samples become training rows, as SQL files that can be run by hand.

`SELECTIONS` make rows of `examples`, `pairs` or `labels`; those whose name begins with `reference`
need reference answers, the others don't. `FILTERS` drop candidates before them. A .sql file of your
own does either: its header declares its parameters and the columns that it writes, and
`check_selections` tries it on empty tables before a run. By hand: connect to `selfloom.duckdb`, run
`candidates.sql`, the selection, and the file that its header names under `Before`; then look at
`decisions` and `selected`.
"""

from tasks.selection.plans import FILTERS, SELECTIONS, Selection, selection_table
from tasks.selection.rules import check_selections
from tasks.selection.select import AskedFor, Selected, SelectionReport, select

__all__ = [
    "FILTERS",
    "SELECTIONS",
    "AskedFor",
    "Selected",
    "Selection",
    "SelectionReport",
    "check_selections",
    "select",
    "selection_table",
]
