"""Who reads a column of a table or mart: the marts, reports, digests and pages that a change affects first."""

from __future__ import annotations

from adventureworks.catalog import MARTS
from adventureworks.catalog.readers import READERS
from adventureworks.lineage import origins


def all_readers() -> dict[str, dict[str, list[str]]]:
    """Return, by table or mart and by column, the names of everything that reads the column directly.

    The readers of a whole table or mart are those of the column ''.
    """
    found: dict[str, dict[str, list[str]]] = {}

    def add(reader: str, asset: str, columns: set[str]) -> None:
        for column in ("", *sorted(columns)):
            found.setdefault(asset, {}).setdefault(column, []).append(reader)

    for mart in MARTS.values():
        read = origins.columns_read(mart.name)
        for asset in mart.inputs:
            add(mart.name, asset, {column for name, column in read if name == asset})
    for reader in READERS:
        for asset, columns in reader.reads.items():
            add(f"{reader.kind} {reader.name}", asset, set(columns))
    return found
