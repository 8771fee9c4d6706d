"""`python -m collector`, and the console script `collector`."""

from __future__ import annotations

from collector.cli import cli


def main() -> None:
    """Run the command line."""
    cli(prog_name="collector")


if __name__ == "__main__":
    main()
