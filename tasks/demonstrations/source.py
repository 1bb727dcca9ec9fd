"""What is demonstrated: a query that gives rows and completions, and the template of the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from tasks.ask.template import Template
from tasks.errors import DataFormatError, UnknownNameError
from tasks.sql_script import SqlScript, check_names, load_script

# Read with the code: an update during a run must not give it the SQL of another version.
QUERIES = {
    path.stem: load_script(path) for path in sorted((Path(__file__).parent / "over").glob("*.sql"))
}
NEEDED = ("prompt_id", "sample_ids", "completion", "weight", "reason")


@dataclass(frozen=True)
class Demonstration:
    """Examples of one kind.

    The query sees the tables, and of its round the samples as `own` and as `graded` their
    (sample_id, answer, reference). It gives one row per possible example: `prompt_id`,
    `sample_ids` (every sample that the example shows, that of the completion last), `completion`,
    `weight`, `reason` (null for one that is used, or why it is not), and the template's columns.

    Attributes:
        over: The query: a file of `tasks/demonstrations/over`.
        template: What the model is asked in the example; a problem as it is by default.
        parameters: Parameters of the query; those left out have their defaults.
        name: Names its examples and rejections; empty: as the query.
    """

    over: str
    template: Template = field(default_factory=lambda: Template.load("as_is"))
    parameters: Mapping[str, object] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        """Take the query's name where none is given."""
        object.__setattr__(self, "name", self.name or self.over)

    def script(self) -> SqlScript:
        """The query.

        Raises:
            UnknownNameError: There is no such query or parameter.
        """
        if self.over not in QUERIES:
            raise UnknownNameError(
                f"demonstration {self.over!r}: there are {', '.join(sorted(QUERIES))}"
            )
        check_names(self.parameters, QUERIES[self.over])
        return QUERIES[self.over]


def find_rows(connection: duckdb.DuckDBPyConnection, one: Demonstration) -> None:
    """Make the temporary table `told` of the rows that a demonstration's query gives.

    Raises:
        UnknownNameError: There is no such query or parameter.
        OptionError: A parameter has the wrong type or is out of bounds.
        TemplateError: The template reads a column that the query does not give.
        DataFormatError: A column is missing, or two rows are the same example.
    """
    query = one.script().bind(connection, one.parameters).strip().rstrip(";")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE told AS {query}")
    columns = [str(row[0]) for row in connection.execute("DESCRIBE told").fetchall()]
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise DataFormatError(
            f"demonstration {one.name!r}: its rows have no {', '.join(missing)}; they need "
            f"{', '.join(NEEDED)}"
        )
    one.template.check(columns)
    ((twice,),) = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM told GROUP BY sample_ids, completion "
        "HAVING count(*) > 1)"
    ).fetchall()
    if twice:
        raise DataFormatError(
            f"demonstration {one.name!r}: {twice} examples come more than once, with the same "
            "samples and the same completion"
        )
