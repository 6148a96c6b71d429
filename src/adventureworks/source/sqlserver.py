"""A SQL Server database as the source: what changed, and the rows of one consistent snapshot as Arrow batches.

If the database tracks changes to a table, the fingerprint is a change tracking version; otherwise it covers rows, keys
and modification dates. The login needs only SELECT, and VIEW CHANGE TRACKING to use change tracking.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.columns import key_of, source_columns_of
from adventureworks.errors import Step, TableBlocked
from adventureworks.source import GRANT, ChangedKeys, TableState
from adventureworks.source import sqlserver_queries as queries
from adventureworks.source.addresses import SqlServerAddress
from adventureworks.source.declared import digest_of
from adventureworks.source.editions import identity_with
from adventureworks.source.sqlserver_columns import (
    Columns,
    SqlServerColumn,
    by_asset,
    columns_from,
    contract_columns,
    key_columns,
    modified_column,
    present_columns,
)
from adventureworks.source.sqlserver_connection import connected, fetch_all, read_transaction
from adventureworks.source.sqlserver_errors import translated

_STATE_TIMEOUT_S = 120
_READ_TIMEOUT_S = 3_600

_KEYS_AT_A_TIME = 1_000
_UNLIMITED_ROWS = 2_000
"""The most rows held at a time if a column has no maximum length: documents, photos, XML."""


@dataclass(frozen=True)
class _TrackedFingerprint:
    """The fingerprint of a table with change tracking: the last version seen, and a digest of its columns.

    `begin` is the version at which tracking began: it differs after tracking was switched off and on, or a TRUNCATE.
    """

    version: int
    begin: int
    columns: str

    def __str__(self) -> str:
        return f"tracked-{self.version}-{self.begin}-{self.columns}"

    @classmethod
    def read(cls, fingerprint: str | None) -> _TrackedFingerprint | None:
        """Parse a fingerprint; None if it is of another kind."""
        found = re.fullmatch(r"tracked-(\d+)-(\d+)-([0-9a-f]+)", fingerprint or "")
        return cls(int(found[1]), int(found[2]), found[3]) if found else None


@dataclass(frozen=True)
class _Table:
    """What the source's catalogue says about a table."""

    readable: bool
    rows: int | None
    oldest_version: int | None
    """All changes after this version are known; None if they are not tracked or hidden from this login."""
    begin_version: int | None
    """The version at which tracking began; None if it is not tracked or hidden from this login."""
    current_version: int | None
    filtered: bool = False
    """Whether a security policy restricts the rows that a login sees."""

    def knows_changes_since(self, known: _TrackedFingerprint | None, columns: str) -> bool:
        """Return whether all changes since `known` are known; not after a clean-up, a truncation or a restore."""
        if known is None or self.oldest_version is None or self.current_version is None:
            return False
        is_same_tracking = (known.begin, known.columns) == (self.begin_version or 0, columns)
        return is_same_tracking and self.oldest_version <= known.version <= self.current_version

    @property
    def tracked(self) -> bool:
        """Whether the database tracks changes to this table and the login may see them."""
        return self.oldest_version is not None and self.current_version is not None


class SqlServerSource:
    """The AdventureWorks tables in a SQL Server database, version 2016 or newer, or Azure SQL. Never written to."""

    how_to_offer = GRANT

    def __init__(self, url: SecretStr, batch_rows: int, password: SecretStr | None = None) -> None:
        """Parse the URL without connecting. Raises `PlatformError` if `url` is not a SQL Server URL."""
        self._address = SqlServerAddress.of(url, password)
        self._batch_rows = batch_rows
        self.description = f"SQL Server database {self._address.name}"

    def identity(self) -> str:
        """Return host, port, database and the creation date of that database.

        In an availability group, return the database's identifier in the group, which is the same on every replica.
        An edition other than the full database is named after it.
        """
        with connected(self._address, _STATE_TIMEOUT_S) as connection, translated(self._address):
            database = _database(connection)
            relations = [str(row["name"]) for row in fetch_all(connection, queries.RELATIONS)]
        if database.get("group_id"):
            return identity_with(f"sqlserver {database['group_id']}", relations)
        return identity_with(f"sqlserver {self._address.name} {database.get('made', '')}".strip(), relations)

    def relations(self) -> list[str]:
        """Return `schema.name` of every table and view that the login can see."""
        with connected(self._address, _STATE_TIMEOUT_S) as connection, translated(self._address):
            return [str(row["name"]) for row in fetch_all(connection, queries.RELATIONS)]

    def state(self, table: SourceTable, known: str | None = None) -> TableState:
        """Return the state of one table, as `states` does for many."""
        state = self.states([table], {table.asset: known} if known else None)[table.asset]
        if isinstance(state, TableBlocked):
            raise state
        return state

    def states(
        self,
        tables: Iterable[SourceTable],
        known: Mapping[str, str] | None = None,
        marks: Mapping[str, str] | None = None,
    ) -> dict[str, TableState | TableBlocked]:
        """Return the state of each table, by asset, over one connection; a blocked table's error takes its place.

        A single query covers all tables with change tracking; it finds every change and reads none of the tables. Each
        other table costs one scan, which misses updates that leave the modification date unchanged.
        """
        wanted = list(tables)
        states: dict[str, TableState | TableBlocked] = {}
        with connected(self._address, _STATE_TIMEOUT_S) as connection, read_transaction(self._address, connection):
            found, columns = _catalogue(connection, self._address, wanted)
            readable: list[SourceTable] = []
            for table in wanted:
                try:
                    _require(table, found, columns)
                    self._require_whole(connection, table, found[table.asset], columns)
                    readable.append(table)
                except TableBlocked as blocked:
                    states[table.asset] = blocked
            states |= self._tracked_states(connection, readable, known or {}, found, columns)
            for table in readable:
                if table.asset not in states:
                    states[table.asset] = self._scanned_state(connection, table, columns)
        return states

    def awaits_write(self, pause: float, seconds: float) -> bool | None:
        """Return None: only tables with change tracking tell, and `states` asks all of them in one query."""
        return None

    @contextmanager
    def snapshot(self) -> Iterator[SqlServerSnapshot]:
        """Open one transaction with SNAPSHOT isolation: all tables as of the same moment."""
        with connected(self._address, _READ_TIMEOUT_S) as connection, read_transaction(self._address, connection):
            found, columns = _catalogue(connection, self._address, SOURCE_TABLES.values())
            with translated(self._address):
                moment = _database(connection).get("moment")
            clock = datetime.fromisoformat(moment) if moment else None
            yield SqlServerSnapshot(connection, found, columns, self._address, self._batch_rows, clock)

    def _require_whole(self, connection: Any, table: SourceTable, found: _Table, columns: Columns) -> None:
        """Raise `TableBlocked` if a security policy hides rows from this login."""
        if not found.filtered or found.rows is None:
            return
        with translated(self._address, table):
            (row,) = fetch_all(connection, queries.count_query(table, columns))
        seen = int(row["row_count"])
        if seen < found.rows:
            raise TableBlocked(
                table.asset,
                "all_rows_are_visible",
                f"a security policy shows the login only {seen:,} of {found.rows:,} rows. Have an administrator"
                f" change the policy's predicate to admit it: select * from sys.security_predicates where"
                f" target_object_id = object_id('{table.schema}.{table.name}')",
            )

    def _tracked_states(
        self,
        connection: Any,
        tables: Iterable[SourceTable],
        known: Mapping[str, str],
        found: Mapping[str, _Table],
        columns: Columns,
    ) -> dict[str, TableState]:
        """Return the states of the tables with change tracking, by asset."""
        earlier = {t.asset: _TrackedFingerprint.read(known.get(t.asset)) for t in tables if found[t.asset].tracked}
        digests = {asset: digest_of(columns[asset]) for asset in earlier}
        versions = {
            asset: fingerprint.version
            for asset, fingerprint in earlier.items()
            if fingerprint is not None and found[asset].knows_changes_since(fingerprint, digests[asset])
        }
        changed: set[str] = set()
        if versions:
            with translated(self._address):
                changed = {
                    row["asset"] for row in fetch_all(connection, queries.changed_tables_query(versions, columns))
                }
        states = {}
        for asset, fingerprint in earlier.items():
            entry = found[asset]
            unchanged = asset in versions and asset not in changed
            current = _TrackedFingerprint(entry.current_version or 0, entry.begin_version or 0, digests[asset])
            states[asset] = TableState(str(fingerprint if unchanged and fingerprint else current), entry.rows, None)
        return states

    def _scanned_state(self, connection: Any, table: SourceTable, columns: Columns) -> TableState | TableBlocked:
        try:
            with translated(self._address, table):
                (row,) = fetch_all(connection, queries.state_query(table, columns))
        except TableBlocked as blocked:
            return blocked
        newest = datetime.fromisoformat(row["newest"]) if row["newest"] else None
        fingerprint = f"{row['row_count']}-{row['newest']}-{row['digest']}-{digest_of(columns[table.asset])}"
        return TableState(fingerprint, int(row["row_count"]), newest)


class SqlServerSnapshot:
    """One transaction on the source. Read a stream to its end, or close it, before starting the next."""

    complete = False
    spent = False

    def __init__(
        self,
        connection: Any,
        found: Mapping[str, _Table],
        columns: Columns,
        address: SqlServerAddress,
        batch_rows: int,
        clock: datetime | None,
    ) -> None:
        self.clock = clock
        self._connection = connection
        self._found = found
        self._columns = columns
        self._address = address
        self._batch_rows = batch_rows

    def rows(
        self, table: SourceTable, since: datetime | None = None, within: Collection[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the contract's columns of rows changed at or after `since`, and of rows without a modification date.

        Decimals are exact; UUIDs, bytes, XML, hierarchyid and geography are text. Columns that the contract does not
        name are ignored. Raises `TableBlocked` if the table or a column is missing, or if the login may not read it.
        """
        selected = contract_columns(table, self._columns)
        yield from self._stream(table, selected, queries.rows_query(table, selected, self._columns, since))

    def lacks(self, table: SourceTable) -> frozenset[str]:
        """Return the contract's columns that this edition of the source does not offer."""
        stored = self._columns.get(table.asset)
        return stored.lacks if stored else frozenset()

    def key_ranges(self, table: SourceTable, since: datetime) -> None:
        """Return None: SQL Server computes other digests than the warehouse."""

    def keys(self, table: SourceTable, within: Collection[int] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield key columns and modification date of every row, typed as in `rows`."""
        selected = present_columns(table, self._columns, dict.fromkeys([*key_of(table), table.modified]))
        yield from self._stream(table, selected, queries.rows_query(table, selected, self._columns))

    def rows_by_key(self, table: SourceTable, keys: pa.Table) -> Iterator[pa.RecordBatch]:
        """Yield the rows with these keys, each once; keys that are not in the table are ignored."""
        selected = contract_columns(table, self._columns)
        key = present_columns(table, self._columns, key_of(table))
        stored = self._columns[table.asset].relation
        distinct = keys.select(list(key_of(table))).group_by(list(key_of(table))).aggregate([])
        for start in range(0, distinct.num_rows, _KEYS_AT_A_TIME):
            wanted = distinct.slice(start, _KEYS_AT_A_TIME)
            yield from self._stream(table, selected, queries.rows_by_key_query(stored, selected, key, wanted))

    def tracks(self, table: SourceTable) -> bool:
        """Return whether the database tracks changes to this table and this login may see them."""
        found = self._found.get(table.asset)
        return found is not None and found.tracked

    def changed_keys(self, table: SourceTable, known: str, most: int) -> ChangedKeys | None:
        """Return the keys of rows inserted, updated or deleted since the fingerprint `known`.

        None if the database no longer knows, or if there are more than `most`: then read the whole table.
        """
        _require(table, self._found, self._columns)
        digest = digest_of(self._columns[table.asset])
        fingerprint = _TrackedFingerprint.read(known)
        if fingerprint is None or not self._found[table.asset].knows_changes_since(fingerprint, digest):
            return None
        key = present_columns(table, self._columns, key_of(table))
        schema = pa.schema([(column.name, column.arrow_type) for column in key])
        present, deleted = (
            pa.Table.from_batches(
                self._stream(table, key, query(table, self._columns, fingerprint.version, most)), schema
            )
            for query in (queries.changed_keys_query, queries.deleted_keys_query)
        )
        return ChangedKeys(present, deleted) if present.num_rows + deleted.num_rows <= most else None

    def _stream(self, table: SourceTable, selected: Sequence[SqlServerColumn], query: str) -> Iterator[pa.RecordBatch]:
        """Run the query and yield its rows as they arrive."""
        names = [column.name for column in selected]
        unlimited = any(column.is_unlimited for column in selected)
        size = min(self._batch_rows, _UNLIMITED_ROWS) if unlimited else self._batch_rows
        with translated(self._address, table), closing(self._connection.cursor()) as cursor:
            cursor.execute(query)
            while rows := cursor.fetchmany(size):
                values = zip(*rows, strict=True)
                arrays = [column.to_arrow(given, table.asset) for column, given in zip(selected, values, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, names=names)


def _catalogue(
    connection: Any, address: SqlServerAddress, tables: Iterable[SourceTable]
) -> tuple[dict[str, _Table], Columns]:
    wanted = list(tables)
    with translated(address):
        tracks = _database(connection).get("updateability") != "READ_ONLY"
        described = by_asset(fetch_all(connection, queries.tables_query(tracks=tracks)))
        found = {
            asset: _Table(
                bool(row["readable"]),
                row["row_count"],
                row["oldest_version"],
                row["begin_version"],
                row["current_version"],
                bool(row.get("filters")),
            )
            for asset, row in described.items()
        }
        return found, columns_from(fetch_all(connection, queries.columns_query()), wanted)


def _database(connection: Any) -> dict[str, Any]:
    """Return what the server's catalogue says about the database; empty if it hides it from this login."""
    return next(iter(fetch_all(connection, queries.DATABASE)), {})


def _require(table: SourceTable, found: Mapping[str, _Table], columns: Columns) -> None:
    """Raise `TableBlocked` if the table is missing, not fully readable, or lacks keys or a modification date."""
    key_columns(table, columns)
    modified_column(table, columns)
    if not found[table.asset].readable:
        raise TableBlocked(
            table.asset,
            "table_is_readable",
            "the login has no permission to read this table.",
            Step(
                "Have an administrator run:",
                f"GRANT SELECT ON {columns[table.asset].relation} TO the login's user;",
            ),
        )
    present = columns[table.asset]
    masked = [c.name for c in source_columns_of(table) if c.name in present and present[c.name].masked]
    if masked:
        raise TableBlocked(
            table.asset,
            "all_rows_are_visible",
            f"the login sees masks instead of the values of {', '.join(masked)}. Have an administrator run:"
            " GRANT UNMASK TO the login's user;",
        )
