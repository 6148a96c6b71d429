"""Small pieces of SQL text from which statements are assembled. Names are quoted, values are always bound."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from adventureworks.catalog import Mart, MonthOf, SourceTable
from adventureworks.months import first_day, shifted
from adventureworks.postgres_sql import quoted


def table(schema: str, name: str) -> str:
    """Return a table's full name."""
    return f"{quoted(schema)}.{quoted(name)}"


def published_schema(entry: SourceTable | Mart) -> str:
    """Return the schema of a published table."""
    return "raw" if isinstance(entry, SourceTable) else "marts"


def published(entry: SourceTable | Mart) -> str:
    """Return the full name of a published table."""
    return table(published_schema(entry), entry.asset)


def names(columns: Iterable[str], alias: str = "") -> str:
    """Return a list of columns, prefixed with a table alias if given."""
    prefix = f"{alias}." if alias else ""
    return ", ".join(prefix + quoted(column) for column in columns)


def equal(columns: Iterable[str], left: str, right: str) -> str:
    """Return the SQL condition that two rows have the same key."""
    return " and ".join(f"{left}.{quoted(column)} = {right}.{quoted(column)}" for column in columns)


def same(columns: Iterable[str], left: str, right: str) -> str:
    """Return the SQL condition that two rows do not differ, where NULL equals NULL."""
    pairs = [f"{left}.{quoted(column)} is not distinct from {right}.{quoted(column)}" for column in columns]
    return " and ".join(pairs) or "true"


def in_months(column: str, months: Iterable[str]) -> str:
    """Return the SQL condition that a date or timestamp is in one of these months ('YYYY-MM'), as ranges of dates.

    The dates are literals, because a view cannot hold a parameter. Raises `ValueError` if a month is malformed.
    """
    ranges: list[tuple[date, date]] = []
    for first in sorted({first_day(month) for month in months}):
        # Each range costs two comparisons for every row.
        begin = ranges.pop()[0] if ranges and ranges[-1][1] == first else first
        ranges.append((begin, shifted(first, 1)))
    found = [f"{column} >= date '{begin}' and {column} < date '{end}'" for begin, end in ranges]
    return f"({' or '.join(found)})" if found else "false"


def month_queries(entry: SourceTable | Mart, relation: str, staged_parents: str = "") -> list[str]:
    """Return queries for the business months of rows of a table or mart, as `month`; none if it has no months.

    The parent that has the date may be published or staged. `staged_parents`: a relation with those parents that rows
    of `relation` have in the candidate, if there is one that can be read faster.
    """
    month = MonthOf(entry.dated) if isinstance(entry, Mart) else entry.month
    if month is None:
        return []
    if month.parent is None:
        return [f"select x.{quoted(month.column)} as month from ({relation}) as x"]
    return [
        f"select h.{quoted(month.column)} as month from ({relation}) as x join {parents} as h"
        f" on {equal([str(month.parent_key)], 'h', 'x')}"
        for parents in (staged_parents or table("staging", month.parent), table("raw", month.parent))
    ]


def in_order(key: Iterable[str]) -> list[str]:
    """Return the names of a key in the order in which quarantine writes them: shortest first."""
    return sorted(key, key=lambda name: (len(name), name))
