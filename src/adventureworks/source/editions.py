"""Finds out which edition of AdventureWorks a source is, by the names of its tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from adventureworks.catalog import SOURCE_TABLES, needed_tables
from adventureworks.source.columns import standing_for
from contracts.editions import EDITIONS, Edition, Feed

_FULL: Mapping[str, Feed] = {asset: Feed(f"{table.schema}.{table.name}") for asset, table in SOURCE_TABLES.items()}


def edition_in(present: Collection[str]) -> Edition | None:
    """Return the edition that a source with these tables (`schema.name`) is; None for the full database or any other.

    A source that has tables of the full database which marts need is that database.
    """
    if standing_for((_FULL[asset].table for asset in needed_tables()), present):
        return None
    return next((edition for edition in EDITIONS if standing_for([edition.sign], present)), None)


def identity_with(source: str, present: Collection[str]) -> str:
    """Return the identifier of a source with these tables, which names the edition if it is not the full database."""
    edition = edition_in(present)
    return edition.identity_of(source) if edition else source


def feeds_of(edition: Edition | None) -> Mapping[str, Feed]:
    """Return by asset the tables that an edition, or the full database, has for those of the contracts."""
    return edition.feeds if edition else _FULL


def feeds_in(present: Collection[str]) -> dict[str, tuple[Feed, list[str]]]:
    """Return by asset what fills each table of the contracts in a source with these tables (`schema.name`).

    With each feed come the names that stand for its table; there are several if it is ambiguous. A database that was
    created with unquoted names may have all of them in lower case.
    """
    feeds = feeds_of(edition_in(present))
    found = standing_for({feed.table for feed in feeds.values()}, present)
    return {asset: (feed, found[feed.table]) for asset, feed in feeds.items() if feed.table in found}


def schemas() -> list[str]:
    """Return the schemas of the full database and of all editions, in lower case."""
    feeds = [*_FULL.values(), *(feed for edition in EDITIONS for feed in edition.feeds.values())]
    return sorted({feed.table.partition(".")[0].lower() for feed in feeds})
