"""The report: what a warehouse's loops did, as a standalone HTML page and as rows of a table.

The page, the terminal and the artifact in the Prefect UI show the same numbers, because all of them
come from `read_rounds`. Nothing here writes into the warehouse.
"""

from tasks.report.comparison import write_comparison
from tasks.report.page import render_report, write_report
from tasks.report.rounds import read_rounds, round_table_rows

__all__ = ["read_rounds", "render_report", "round_table_rows", "write_comparison", "write_report"]
