"""Recognizes what database or folder a source is, before anything is started for it."""

from __future__ import annotations

from collections.abc import Collection

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.errors import PlatformError
from adventureworks.source import Source
from adventureworks.source.columns import matched

_OTHERS = {
    "saleslt.salesorderheader": (
        "is AdventureWorksLT, the light sample database of 12 tables in the schema SalesLT",
        "Restore the full (OLTP) AdventureWorks database and name it instead.",
    ),
    "factinternetsales": (
        "is AdventureWorksDW, the data warehouse sample: it holds facts and dimensions, not the company's own tables",
        "Restore the OLTP AdventureWorks database and name it instead.",
    ),
}
"""Other databases by a table that only they have: what they are, and what to do."""
_SHOWN = 3


def require_tables(source: Source) -> int:
    """Return how many of the platform's tables the source has.

    Raises `PlatformError` if it has none, and `ServiceUnavailable` if it does not answer.
    """
    names = source.relations()
    found = matched((f"{table.schema}.{table.name}" for table in SOURCE_TABLES.values()), names)
    if found:
        return len(found)
    raise _unusable(source.description, names)


def _unusable(description: str, names: Collection[str]) -> PlatformError:
    simple = {name.casefold() for name in names} | {name.casefold().rpartition(".")[2] for name in names}
    for sign, (what, next_step) in _OTHERS.items():
        if sign in simple:
            return PlatformError(f"The source ({description}) {what}.", next_step)
    if not names:
        return PlatformError(
            f"The source ({description}) has no tables that this login can see.",
            "Fill it, grant SELECT on its tables to the login, or name another source.",
        )
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    shown = ", ".join(sorted(names)[:_SHOWN]) + more
    return PlatformError(
        f"The source ({description}) has none of the {len(SOURCE_TABLES)} AdventureWorks tables. What it has: {shown}.",
        "Name a source with AdventureWorks' own tables, such as Sales.SalesOrderHeader or sales.salesorderheader.",
    )
