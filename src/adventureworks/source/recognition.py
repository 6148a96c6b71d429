"""Recognizes what database or folder a source is, before anything is started for it."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from adventureworks.catalog import ANALYSES, SOURCE_TABLES, marts_of, needed_tables, required_tables
from adventureworks.errors import PlatformError, Step
from adventureworks.source import Source
from adventureworks.source.editions import edition_in, feeds_in
from adventureworks.source.files_names import without_suffix
from adventureworks.texts.plain import listed

_WAREHOUSE = "factinternetsales"
"""A table that only AdventureWorksDW has."""
_SHOWN = 3


@dataclass(frozen=True)
class Offer:
    """What a source offers."""

    tables: int
    """How many of the platform's tables it fills."""
    lacks: str = ""
    """What it does not offer of the tables that marts need, and the marts that stay empty, as sentences."""


def require_tables(source: Source, *, allow_missing: bool = False, named: str = "") -> Offer:
    """Return what the source offers.

    `named`: the source as a command has to name it, where it is neither configured nor the one used last.
    Raises `PlatformError` if it is another database, if it has none of them, or (unless `allow_missing`) if it lacks
    one that a mart needs, and `ServiceUnavailable` if it does not answer.
    """
    names = source.relations()
    edition = edition_in(names)
    # A table for which several names stand is there. It is blocked when it is read, and the message names them.
    found = feeds_in(names).keys()
    missing = needed_tables() - found
    # The other databases share a table or two with this one, such as dbo.ErrorLog.
    if missing == needed_tables():
        _refuse_other_database(source, names)
    if not found:
        raise _without_tables(source, names)
    lacks, advice = "", source.how_to_offer
    if missing:
        lacks = f"does not offer {len(missing)} of the tables that marts need: {', '.join(sorted(missing))}"
        if edition:
            lacks = f"is {edition.name}, whose tables fill {len(found)} of the platform's {len(SOURCE_TABLES)}"
            advice = "Name the full (OLTP) AdventureWorks database instead"
        empty = ", ".join(marts_without(missing))
        if not allow_missing:
            option = f"--source {shlex.quote(named)} " if named else ""
            raise PlatformError(
                f"The source ({source.description}) {lacks}. These marts would stay empty: {empty}.",
                Step(f"{advice}; or do without these marts:", f"adventureworks run {option}--allow-missing"),
            )
        lacks = f"It {lacks}. These marts stay empty: {empty}."
    return Offer(len(found), lacks)


def marts_without(missing: Collection[str]) -> list[str]:
    """Return the marts that cannot be computed without these tables."""
    stopped = [dag for dag in ANALYSES if not required_tables(dag).isdisjoint(missing)]
    return [mart.name for dag in stopped for mart in marts_of(dag)]


def _refuse_other_database(source: Source, names: Collection[str]) -> None:
    # Names of files, such as SalesLT_SalesOrderHeader.csv, are compared as those of tables are.
    full = {without_suffix(name).casefold().replace("_", ".") for name in names}
    if _WAREHOUSE in full | {name.rpartition(".")[2] for name in full}:
        raise PlatformError(
            f"The source ({source.description}) is AdventureWorksDW, the data warehouse sample: it holds facts and"
            " dimensions, not the company's own tables.",
            "Restore the OLTP AdventureWorks database and name it instead.",
        )
    edition = edition_in(full)
    if edition and not edition_in(names):
        raise PlatformError(
            f"The source ({source.description}) has files of {edition.name}, which can only be read from a database.",
            "Restore that database, or the full (OLTP) AdventureWorks, and name it instead.",
        )


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
