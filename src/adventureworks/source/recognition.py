"""Recognizes what database or folder a source is, before anything is started for it."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence

from adventureworks.catalog import ANALYSES, SOURCE_TABLES, marts_of, needed_tables, required_tables
from adventureworks.errors import PlatformError, Step
from adventureworks.source import Source
from adventureworks.source.columns import standing_for
from adventureworks.source.files_names import without_suffix
from adventureworks.texts.plain import listed

_OTHERS = {
    "saleslt.salesorderheader": (
        "is AdventureWorksLT, the light sample database of 12 tables in the schema SalesLT. No mart can be computed"
        " from them: products have neither a cost history nor subcategories, and orders have no territory, salesperson,"
        " credit card or special offer",
        "Restore the full (OLTP) AdventureWorks database and name it instead.",
    ),
    "factinternetsales": (
        "is AdventureWorksDW, the data warehouse sample: it holds facts and dimensions, not the company's own tables",
        "Restore the OLTP AdventureWorks database and name it instead.",
    ),
}
"""Other databases by a table that only they have: what they are, and what to do."""
_SHOWN = 3


def require_tables(source: Source, *, allow_missing: bool = False, named: str = "") -> int:
    """Return how many of the platform's tables the source has.

    `named`: the source as a command has to name it, where it is neither configured nor the one used last.
    Raises `PlatformError` if it is another database, if it has none of them, or (unless `allow_missing`) if it lacks
    one that a mart needs, and `ServiceUnavailable` if it does not answer.
    """
    names = source.relations()
    stored = {f"{table.schema}.{table.name}": asset for asset, table in SOURCE_TABLES.items()}
    # A table for which several names stand is there. It is blocked when it is read, and the message names them.
    found = {stored[name] for name in standing_for(stored, names)}
    missing = needed_tables() - found
    # The other databases share a table or two with this one, such as dbo.ErrorLog.
    other = None if missing < needed_tables() else _other_database(names)
    if other:
        what, next_step = other
        raise PlatformError(f"The source ({source.description}) {what}.", next_step)
    if not found:
        raise _without_tables(source, names)
    if missing and not allow_missing:
        option = f"--source {shlex.quote(named)} " if named else ""
        raise PlatformError(
            f"The source ({source.description}) does not offer {len(missing)} of the tables that marts need:"
            f" {', '.join(sorted(missing))}. These marts would stay empty: {', '.join(marts_without(missing))}.",
            Step(f"{source.how_to_offer}; or do without these marts:", f"adventureworks run {option}--allow-missing"),
        )
    return len(found)


def marts_without(missing: Collection[str]) -> list[str]:
    """Return the marts that cannot be computed without these tables."""
    stopped = [dag for dag in ANALYSES if not required_tables(dag).isdisjoint(missing)]
    return [mart.name for dag in stopped for mart in marts_of(dag)]


def _other_database(names: Collection[str]) -> tuple[str, str] | None:
    # Names of files, such as SalesLT_SalesOrderHeader.csv, are compared as those of tables are.
    full = {without_suffix(name).casefold().replace("_", ".") for name in names}
    simple = full | {name.rpartition(".")[2] for name in full}
    return next((known for sign, known in _OTHERS.items() if sign in simple), None)


def _without_tables(source: Source, names: Sequence[str]) -> PlatformError:
    if not names:
        return PlatformError(
            f"The source ({source.description}) has no tables.", f"{source.how_to_offer}; or name another source."
        )
    shown = listed(sorted(names), _SHOWN)
    return PlatformError(
        f"The source ({source.description}) has none of the {len(SOURCE_TABLES)} AdventureWorks tables. What it has:"
        f" {shown}.",
        "Name a source with AdventureWorks' own tables, such as Sales.SalesOrderHeader or sales.salesorderheader.",
    )
