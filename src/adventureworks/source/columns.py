"""Whether a source still has the columns that a table's contract names."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from adventureworks.catalog import SourceTable
from adventureworks.columns import source_columns_of
from adventureworks.errors import TableBlocked

log = logging.getLogger(__name__)


def matched(wanted: Iterable[str], present: Sequence[str]) -> dict[str, str]:
    """The wanted names that are present, each with the name under which it is.

    The same name comes first; without it one that differs only in case or in blanks around it, if there is just one.
    """
    found = {}
    for name in wanted:
        alike = [other for other in present if other == name] or [
            other for other in present if _plain(other) == _plain(name)
        ]
        if len(alike) == 1:
            found[name] = alike[0]
    return found


def require_columns(table: SourceTable, present: Sequence[str], where: str) -> dict[str, str]:
    """The columns of the contract, each with its name in `where`.

    Raises TableBlocked where one is missing, or is there more than once.
    """
    wanted = [column.name for column in source_columns_of(table)]
    found = matched(wanted, present)
    twice = [name for name in wanted if name not in found and _plain(name) in map(_plain, present)]
    if twice:
        raise TableBlocked(table.asset, "columns_are_there", f"{where} has column {', '.join(twice)} more than once.")
    missing = [name for name in wanted if name not in found]
    if missing:
        unknown = unknown_columns(table, present)
        said = [_with_suggestion(name, unknown) for name in missing]
        raise TableBlocked(table.asset, "columns_are_there", f"{where} has no column {', '.join(said)}.")
    return found


def unknown_columns(table: SourceTable, present: Sequence[str]) -> list[str]:
    """The columns that the contract does not name; they are left out."""
    known = {_plain(column.name) for column in source_columns_of(table)}
    return [name for name in present if _plain(name) not in known]


def warn_of_unknown(table: SourceTable, present: Sequence[str], where: str) -> None:
    """Names the columns that are left out in the log of the task."""
    unknown = unknown_columns(table, present)
    if unknown:
        log.warning("%s: %s has columns that the contract does not name: %s", table.asset, where, ", ".join(unknown))


def _plain(name: str) -> str:
    return name.strip().casefold()


def _with_suggestion(name: str, unknown: Sequence[str]) -> str:
    alike = get_close_matches(_plain(name), [_plain(other) for other in unknown], n=1, cutoff=0.8)
    near = next((other for other in unknown if alike and _plain(other) == alike[0]), None)
    return f"{name} (is {near} meant for it?)" if near else name
