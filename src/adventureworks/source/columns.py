"""Whether a source still has the columns that a table's contract names."""

from __future__ import annotations

from adventureworks.catalog import SourceTable
from adventureworks.columns import source_columns_of
from adventureworks.errors import TableBlocked


def require_columns(table: SourceTable, present: list[str], where: str) -> None:
    """Raises TableBlocked where `present` lacks a column of the contract, or has one twice; `where` names the place."""
    wanted = [column.name for column in source_columns_of(table)]
    missing = [name for name in wanted if name not in present]
    if missing:
        raise TableBlocked(table.asset, "columns_are_there", f"{where} has no column {', '.join(missing)}.")
    twice = [name for name in wanted if present.count(name) > 1]
    if twice:
        raise TableBlocked(table.asset, "columns_are_there", f"{where} has column {', '.join(twice)} more than once.")
