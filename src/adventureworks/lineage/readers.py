"""Who reads a column of a table or mart: the marts, reports, digests and pages that a change affects."""

from __future__ import annotations

from adventureworks.catalog import MARTS, entry
from adventureworks.catalog.readers import READERS
from adventureworks.columns import columns_of
from adventureworks.lineage import origins
from adventureworks.marts.reads import columns_read


def readers_of(asset: str, column: str) -> list[str]:
    """Return the names of everything that reads a column, directly or through the columns of marts derived from it.

    An empty `column` stands for any column. A condition or join counts as reading, but does not make the mart's own
    columns derived.
    """
    affected = {(asset, one.name) for one in columns_of(entry(asset)) if column in ("", one.name)}
    names = []
    # Each mart comes after those that it reads.
    for mart in MARTS.values():
        if mart.name != asset and affected & columns_read(mart.name):
            names.append(mart.name)
            affected |= {(mart.name, one.name) for one in origins.columns(mart.name) if affected & set(one.made_of)}
    for reader in READERS:
        if any((read, name) in affected for read, columns in reader.reads.items() for name in columns):
            names.append(f"{reader.kind} {reader.name}")
    return names
