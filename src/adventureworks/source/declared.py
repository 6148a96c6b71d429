"""Looks up the columns that a contract needs among those that a source database declares, for any kind of server."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from adventureworks.catalog import SourceTable
from adventureworks.columns import key_of, source_columns_of
from adventureworks.errors import Step, TableBlocked
from adventureworks.source.columns import matched, standing_for
from adventureworks.source.editions import feeds_in
from contracts.editions import Feed


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


@dataclass(frozen=True)
class StoredTable(Mapping[str, Column]):
    """A table of the source, with its columns under their names in the contract."""

    relation: str
    """What a query selects from: the quoted name, or a subquery if only some rows of that table belong to this one."""
    columns: Mapping[str, Column]
    rivals: tuple[str, ...] = ()
    """The names that map to the table, if there are several; nothing else is then known about it."""
    lacks: frozenset[str] = frozenset()
    """The contract's columns that this edition of the source does not offer."""

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


def stored_tables(
    rows: Iterable[Mapping[str, Any]],
    tables: Iterable[SourceTable],
    quoted: Callable[[str], str],
    column_of: Callable[[str, Mapping[str, Any]], Column],
) -> dict[str, StoredTable[Column]]:
    """Return the stored tables from the rows of a query on the server's catalogue, by asset.

    The rows have `schema_name`, `table_name` and `column_name`. `column_of` makes a column from its name in the
    contract and its row. Columns are matched as tables are.
    """
    described: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        described.setdefault(f"{row['schema_name']}.{row['table_name']}", {})[row["column_name"]] = row
    feeds = feeds_in(described)
    found = {}
    for table in tables:
        feed, names = feeds.get(table.asset, (None, []))
        if feed is not None:
            found[table.asset] = (
                StoredTable[Column]("", {}, tuple(names))
                if len(names) > 1
                else _stored_table(table, feed, described[names[0]], quoted, column_of)
            )
    return found


def _stored_table(
    table: SourceTable,
    feed: Feed,
    described: Mapping[str, Mapping[str, Any]],
    quoted: Callable[[str], str],
    column_of: Callable[[str, Mapping[str, Any]], Column],
) -> StoredTable[Column]:
    """Return a table as a feed fills it. `described`: the catalogue's rows on the feed's table, by column."""
    wanted = {column.name: feed.renamed.get(column.name, column.name) for column in source_columns_of(table)}
    there = matched([*wanted.values(), *filter(None, (feed.filled, feed.empty))], described)
    columns = {name: there[theirs] for name, theirs in wanted.items() if theirs in there and name not in feed.lacks}
    others = {name: name for name in described if name not in columns.values()}
    row = next(iter(described.values()))
    relation = f"{quoted(row['schema_name'])}.{quoted(row['table_name'])}"
    tests = [(feed.filled, "is not null"), (feed.empty, "is null")]
    conditions = [f"{quoted(there.get(name, name))} {test}" for name, test in tests if name]
    return StoredTable(
        f"(select * from {relation} where {' and '.join(conditions)})" if conditions else relation,
        {name: column_of(name, described[stored]) for name, stored in {**others, **columns}.items()},
        lacks=feed.lacks,
    )


class ColumnLookup(Generic[Column]):
    """Finds the columns of a table in the catalogue of one kind of server."""

    def __init__(self, relation: Callable[[SourceTable], str], restore: Callable[[SourceTable], Step]) -> None:
        """`relation`: the table's quoted name; `restore`: what to do if the login sees no such table."""
        self._relation = relation
        self._restore = restore

    def present(
        self, table: SourceTable, columns: Mapping[str, StoredTable[Column]], names: Iterable[str]
    ) -> list[Column]:
        """Return the named columns of the table.

        Raises `TableBlocked` if the table or one of them is missing, or if several names stand for it.
        """
        present = columns.get(table.asset)
        if present is None:
            raise TableBlocked(
                table.asset,
                "table_is_there",
                f"the source has no table {self._relation(table)} that this login can see.",
                self._restore(table),
            )
        if present.rivals:
            raise TableBlocked(
                table.asset,
                "table_is_unambiguous",
                f"the source has {' and '.join(present.rivals)}, and none is spelled {self._relation(table)}.",
                "Drop or rename all but one.",
            )
        wanted = list(names)
        missing = [name for name in wanted if name not in present]
        rivals = [f"{' and '.join(found)} for {name}" for name, found in standing_for(missing, present).items()]
        if rivals:
            raise TableBlocked(
                table.asset,
                "columns_are_there",
                f"the source table has columns {', '.join(rivals)}.",
                "Drop or rename all but one.",
            )
        if missing:
            raise TableBlocked(
                table.asset, "columns_are_there", f"the source table has no column {', '.join(missing)}."
            )
        return [present[name] for name in wanted]

    def of_contract(self, table: SourceTable, columns: Mapping[str, StoredTable[Column]]) -> list[Column]:
        """Return the columns that the contract names, as the source has them; others are ignored."""
        stored = columns.get(table.asset)
        lacks = stored.lacks if stored else frozenset()
        contracted = [column for column in source_columns_of(table) if column.name not in lacks]
        # Two columns that differ only in case are ambiguous, not absent.
        found = standing_for((column.name for column in contracted), stored or {})
        wanted = [column.name for column in contracted if column.computed is None or column.name in found]
        return self.present(table, columns, wanted)

    def key(self, table: SourceTable, columns: Mapping[str, StoredTable[Column]]) -> list[Column]:
        """Return the columns of the key that the source offers. Raises `TableBlocked` as `present` does."""
        stored = columns.get(table.asset)
        return self.present(table, columns, [name for name in key_of(table) if not stored or name not in stored.lacks])

    def modified(self, table: SourceTable, columns: Mapping[str, StoredTable[Column]]) -> Column:
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
