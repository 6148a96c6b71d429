"""What a source database declares of its tables, and what a contract needs of that: alike for every kind of server."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from adventureworks.catalog import SourceTable
from adventureworks.columns import source_columns_of
from adventureworks.errors import TableBlocked


class DeclaredColumn(Protocol):
    """A column as the server's catalogue tells it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def declared(self) -> str:
        """Its type, as the server writes it."""

    @property
    def is_date(self) -> bool:
        """Whether it can tell when a row was changed."""


Column = TypeVar("Column", bound=DeclaredColumn)


class Declared(Generic[Column]):
    """The questions to the columns of one kind of server."""

    def __init__(self, relation: Callable[[SourceTable], str], restore: Callable[[SourceTable], str]) -> None:
        """`relation`: the table's quoted name; `restore`: what to do where the login sees no such table."""
        self._relation = relation
        self._restore = restore

    def present(
        self, table: SourceTable, columns: Mapping[str, Mapping[str, Column]], names: Iterable[str]
    ) -> list[Column]:
        """The named columns of the table. Raises TableBlocked where the table or one of them is missing."""
        present = columns.get(table.asset)
        if not present:
            raise TableBlocked(
                table.asset,
                "table_is_there",
                f"the source has no table {self._relation(table)} that this login may see.",
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
        """The columns that the contract names, as the source has them; others are left out."""
        return self.present(table, columns, (column.name for column in source_columns_of(table)))

    def modified(self, table: SourceTable, columns: Mapping[str, Mapping[str, Column]]) -> Column:
        """The column that tells when a row was changed. Raises TableBlocked where it is missing or no date."""
        (column,) = self.present(table, columns, [table.modified])
        if not column.is_date:
            raise TableBlocked(
                table.asset, "column_types_are_kept", f"column {column.name} is now {column.declared}, not a date."
            )
        return column


def digest_of(columns: Mapping[str, DeclaredColumn]) -> str:
    """Changes when a column comes, goes or changes its type; not when columns change places."""
    described = ",".join(f"{name} {columns[name].declared}" for name in sorted(columns))
    return hashlib.sha256(described.encode()).hexdigest()[:16]
