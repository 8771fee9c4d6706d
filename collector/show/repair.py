"""What a repair found, for people and as JSON: every file by name, what was done, what that costs, what is next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from collector.lake.paths import Place
from collector.repair import Repair, exit_code
from collector.show.figures import count
from collector.show.page import Page

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_repair(repairs: Sequence[Repair], strays: Sequence[str], *, dry_run: bool, out: TextIO) -> None:
    """Write a line a workspace, a paragraph a file, and what to do next."""
    page = Page(out)
    for repair in repairs:
        page.line(
            f"{repair.workspace}: {count(repair.checked, 'file')} read whole, {len(repair.found)} not as it must be"
        )
        for found in repair.found:
            page.line(f"  {found.path}: {found.reason}", "bold yellow")
            page.line(f"    {f'moved to {found.moved_to}' if found.moved_to else 'left where it is'}; {found.lost}")
        if repair.problem is not None:
            page.line(f"  not gone through to the end: {repair.problem}", "bold red")
    for path in strays:
        page.line(f"{path}: of no workspace, and no file of the collector's; take it out of the lake", "bold yellow")
    for line in _next(repairs, dry_run):
        page.line(line)


def repair_json(repairs: Sequence[Repair], strays: Sequence[str]) -> dict[str, Any]:
    """The same as one object."""
    return {
        "exit_code": exit_code(repairs, strays),
        "workspaces": [
            {
                "name": repair.workspace,
                "checked": repair.checked,
                "problem": str(repair.problem) if repair.problem else None,
                "found": [
                    {
                        "path": found.path,
                        "kind": found.place.value,
                        "reason": found.reason,
                        "moved_to": found.moved_to,
                        "then": found.lost,
                    }
                    for found in repair.found
                ],
            }
            for repair in repairs
        ],
        "strays": list(strays),
    }


def _next(repairs: Sequence[Repair], dry_run: bool) -> list[str]:
    found = [found for repair in repairs for found in repair.found]
    lines = []
    if any(found.moved_to for found in found):
        lines.append("next: collector run. What was moved is kept until you remove it")
    if dry_run and any(found.place is not Place.FOREIGN for found in found):
        lines.append("next: collector repair moves them aside")
    if any(found.place is Place.FOREIGN and not found.moved_to for found in found):
        lines.append("next: collector repair --foreign moves foreign files aside, too")
    return lines
