"""Reading the lake: its tables and views declared in other engines (`ddl`), and queried with DuckDB (`sql`)."""


class QueryRefused(Exception):
    """What the user must change: a statement, an option, or a missing package (exit code 2). One line of text."""
