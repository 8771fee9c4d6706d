"""How the commands of the reading side say what users can mend."""

from __future__ import annotations

from typing import Any

import click


class QueryRefused(click.ClickException):
    """What users can mend, in a line (exit 2)."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """As the program's other errors."""
        click.echo(f"collector: {self.message}", file=file, err=True)


class StatementError(Exception):
    """A statement that DuckDB refuses, or that would write; told in one line (exit 2)."""
