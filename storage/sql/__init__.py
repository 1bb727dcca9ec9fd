"""SQL over the warehouse: the views and macros beside this file, and read-only queries.

Every `.sql` file here says in its header what it selects and which columns it has; it can be read,
and run by hand over the table views.
"""

from storage.sql.query import FORMATS, Format, QueryResult, run_sql

__all__ = ["FORMATS", "Format", "QueryResult", "run_sql"]
