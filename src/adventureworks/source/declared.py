"""Looks up the columns that a contract needs among those that a source database declares, for any kind of server."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from adventureworks.catalog import SourceTable
from adventureworks.columns import source_columns_of
from adventureworks.errors import Step, TableBlocked


class DeclaredColumn(Protocol):
    """A column as the server's catalogue describes it."""

    @property
    def name(self) -> str:
        """The column's name."""

    @property
    def declared(self) -> str:
        """The column's type, as the server writes it."""

    @property
    def is_date(self) -> bool:
        """Whether the column can hold the time of a row's last change."""


Column = TypeVar("Column", bound=DeclaredColumn)


class ColumnLookup(Generic[Column]):
    """Finds the columns of a table in the catalogue of one kind of server."""

    def __init__(self, relation: Callable[[SourceTable], str], restore: Callable[[SourceTable], Step]) -> None:
        """`relation`: the table's quoted name; `restore`: what to do if the login sees no such table."""
        self._relation = relation
        self._restore = restore

    def present(
        self, table: SourceTable, columns: Mapping[str, Mapping[str, Column]], names: Iterable[str]
    ) -> list[Column]:
        """Return the named columns of the table. Raises `TableBlocked` if the table or one of them is missing."""
        present = columns.get(table.asset)
        if not present:
            raise TableBlocked(
                table.asset,
                "table_is_there",
                f"the source has no table {self._relation(table)} that this login can see.",
                self._restore(table),
            )
        wanted = list(names)
        missing = [name for name in wanted if name not in present]
        if missing:
            raise TableBlocked(
                table.asset, "columns_are_there", f"the source table no longer has column {', '.join(missing)}."
            )
        return [present[name] for name in wanted]

    def of_contract(self, table: SourceTable, columns: Mapping[str, Mapping[str, Column]]) -> list[Column]:
        """Return the columns that the contract names, as the source has them; others are ignored."""
        present = columns.get(table.asset, {})
        # Two columns that differ only in case are ambiguous, not absent.
        folded = {name.casefold() for name in present}
        wanted = [c.name for c in source_columns_of(table) if c.computed is None or c.name.casefold() in folded]
        return self.present(table, columns, wanted)

    def modified(self, table: SourceTable, columns: Mapping[str, Mapping[str, Column]]) -> Column:
        """Return the column with a row's modification date. Raises `TableBlocked` if it is missing or not a date."""
        (column,) = self.present(table, columns, [table.modified])
        if not column.is_date:
            raise TableBlocked(
                table.asset, "column_types_are_kept", f"column {column.name} is now {column.declared}, not a date."
            )
        return column


def digest_of(columns: Mapping[str, DeclaredColumn]) -> str:
    """Return a digest of column names and types, whatever the order of the columns."""
    described = ",".join(f"{name} {columns[name].declared}" for name in sorted(columns))
    return hashlib.sha256(described.encode()).hexdigest()[:16]
