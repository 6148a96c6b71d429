"""Checks that a source still has the columns that a table's contract names."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from adventureworks.catalog import SourceTable
from adventureworks.columns import source_columns_of
from adventureworks.errors import TableBlocked

log = logging.getLogger(__name__)


def matched(wanted: Iterable[str], present: Sequence[str]) -> dict[str, str]:
    """Return the wanted names that are present, each mapped to its name in `present`.

    An exact match comes first; failing that, the only name that differs just in case or in surrounding blanks.
    """
    found = {}
    for name in wanted:
        candidates = [other for other in present if other == name] or [
            other for other in present if _normalized(other) == _normalized(name)
        ]
        if len(candidates) == 1:
            found[name] = candidates[0]
    return found


def require_columns(table: SourceTable, present: Sequence[str], where: str) -> dict[str, str]:
    """Return the contract's columns, each mapped to its name in `where`. Columns that can be computed may be absent.

    Raises `TableBlocked` if one is missing or occurs more than once.
    """
    wanted = [column.name for column in source_columns_of(table)]
    found = matched(wanted, present)
    repeated = [name for name in wanted if name not in found and _normalized(name) in map(_normalized, present)]
    if repeated:
        raise TableBlocked(
            table.asset, "columns_are_there", f"{where} has column {', '.join(repeated)} more than once."
        )
    computed = {column.name for column in source_columns_of(table) if column.computed is not None}
    missing = [name for name in wanted if name not in found and name not in computed]
    if missing:
        unknown = unknown_columns(table, present)
        names = [_with_suggestion(name, unknown) for name in missing]
        raise TableBlocked(table.asset, "columns_are_there", f"{where} has no column {', '.join(names)}.")
    return found


def unknown_columns(table: SourceTable, present: Sequence[str]) -> list[str]:
    """Return the columns that the contract does not name; they are ignored."""
    known = {_normalized(column.name) for column in source_columns_of(table)}
    return [name for name in present if _normalized(name) not in known]


def warn_about_unknown(table: SourceTable, present: Sequence[str], where: str) -> None:
    """Log the columns that are ignored."""
    unknown = unknown_columns(table, present)
    if unknown:
        log.warning("%s: columns of %s not in the contract are ignored: %s", table.asset, where, ", ".join(unknown))


def _normalized(name: str) -> str:
    return name.strip().casefold()


def _with_suggestion(name: str, unknown: Sequence[str]) -> str:
    close = get_close_matches(_normalized(name), [_normalized(other) for other in unknown], n=1, cutoff=0.8)
    suggestion = next((other for other in unknown if close and _normalized(other) == close[0]), None)
    return f"{name} (found the similar name {suggestion})" if suggestion else name
