"""The small pieces of SQL text that statements are put together from. Names are quoted, values are always bound."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta


def quoted(name: str) -> str:
    """An identifier, exactly as written."""
    return '"' + name.replace('"', '""') + '"'


def table(schema: str, name: str) -> str:
    """A table's full name."""
    return f"{quoted(schema)}.{quoted(name)}"


def names(columns: Iterable[str], alias: str = "") -> str:
    """A list of columns, all of one table alias if given."""
    prefix = f"{alias}." if alias else ""
    return ", ".join(prefix + quoted(column) for column in columns)


def equal(columns: Iterable[str], left: str, right: str) -> str:
    """The condition that two rows have the same key."""
    return " and ".join(f"{left}.{quoted(column)} = {right}.{quoted(column)}" for column in columns)


def same(columns: Iterable[str], left: str, right: str) -> str:
    """The condition that two rows do not differ, NULL being equal to NULL."""
    pairs = [f"{left}.{quoted(column)} is not distinct from {right}.{quoted(column)}" for column in columns]
    return " and ".join(pairs) or "true"


def in_months(column: str, months: Iterable[str]) -> str:
    """The condition that a date or timestamp lies in one of these months ('YYYY-MM'), in a form that is cheap to test.

    Literal: a view cannot hold a parameter. Raises ValueError where a month is nothing of the kind.
    """
    ranges = []
    for month in months:
        first = date.fromisoformat(f"{month}-01")
        after = (first + timedelta(days=31)).replace(day=1)
        ranges.append(f"{column} >= date '{first}' and {column} < date '{after}'")
    return f"({' or '.join(ranges)})" if ranges else "false"


def in_order(key: Iterable[str]) -> list[str]:
    """The names of a key in the order in which quarantine writes them: short ones first."""
    return sorted(key, key=lambda name: (len(name), name))
