"""Checks that a source still has the columns that a table's contract names."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from adventureworks.catalog import SourceTable
from adventureworks.columns import source_columns_of
from adventureworks.errors import TableBlocked

log = logging.getLogger(__name__)


def standing_for(wanted: Iterable[str], present: Iterable[str]) -> dict[str, list[str]]:
    """Map each wanted name that is present to the names that stand for it. If there are several, it is ambiguous.

    An exact match comes first; failing that, every name that differs just in case or in surrounding blanks.
    """
    exact: dict[str, list[str]] = {}
    alike: dict[str, list[str]] = {}
    for name in present:
        exact.setdefault(name, []).append(name)
        alike.setdefault(_normalized(name), []).append(name)
    found = {name: exact.get(name) or alike.get(_normalized(name), []) for name in wanted}
    return {name: names for name, names in found.items() if names}


def matched(wanted: Iterable[str], present: Iterable[str]) -> dict[str, str]:
    """Return the wanted names that are present and not ambiguous, each mapped to the name that stands for it."""
    return {name: names[0] for name, names in standing_for(wanted, present).items() if len(names) == 1}


def require_columns(table: SourceTable, present: Sequence[str], where: str) -> dict[str, str]:
    """Return the contract's columns, each mapped to its name in `where`. Columns that can be computed may be absent.

    Raises `TableBlocked` if one is missing or occurs more than once.
    """
    wanted = [column.name for column in source_columns_of(table)]
    candidates = standing_for(wanted, present)
    ambiguous = [f"{' and '.join(names)} for column {name}" for name, names in candidates.items() if len(names) > 1]
    if ambiguous:
        raise TableBlocked(table.asset, "columns_are_there", f"{where} has {', '.join(ambiguous)}.")
    found = {name: names[0] for name, names in candidates.items()}
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
