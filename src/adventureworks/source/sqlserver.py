"""A SQL Server database as the source: what changed, and the rows of one consistent snapshot as Arrow batches.

Where the database tracks changes of a table, its fingerprint is a version of that tracking; elsewhere it covers rows,
keys and modification dates. The login needs nothing but SELECT, and VIEW CHANGE TRACKING where that is to be used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.columns import key_of, source_columns_of
from adventureworks.errors import TableBlocked
from adventureworks.source import TableState
from adventureworks.source import sqlserver_queries as queries
from adventureworks.source.declared import digest_of
from adventureworks.source.sqlserver_columns import (
    Columns,
    SqlServerColumn,
    columns_from,
    contract_columns,
    modified_column,
    present_columns,
    relation,
)
from adventureworks.source.sqlserver_connection import answer, connected, one_view
from adventureworks.source.sqlserver_errors import Address, translated

_STATE_TIMEOUT_S = 120
_READ_TIMEOUT_S = 3_600

_KEYS_AT_A_TIME = 1_000
_UNLIMITED_ROWS = 2_000
"""So many rows at most are held at a time where a column has no longest value: documents, photos, XML."""


@dataclass(frozen=True)
class _Mark:
    """The fingerprint of a table whose changes are tracked: the version up to which they are known, and its columns."""

    version: int
    columns: str

    def __str__(self) -> str:
        return f"tracked-{self.version}-{self.columns}"

    @classmethod
    def read(cls, fingerprint: str | None) -> _Mark | None:
        """None where it is no fingerprint of this kind."""
        found = re.fullmatch(r"tracked-(\d+)-([0-9a-f]+)", fingerprint or "")
        return cls(int(found[1]), found[2]) if found else None


@dataclass(frozen=True)
class _Table:
    """What the source's catalogue says of a table."""

    readable: bool
    rows: int | None
    oldest_version: int | None
    """Changes after this version are all known; None: they are not tracked, or this login may not see them."""
    current_version: int | None
    filtered: bool = False
    """Whether a security policy decides which rows a login sees."""

    def reaches(self, mark: _Mark | None, columns: str) -> bool:
        """Whether all changes since this mark are known. Not so after a clean-up, a truncation, a restored back-up."""
        if mark is None or self.oldest_version is None or self.current_version is None:
            return False
        return mark.columns == columns and self.oldest_version <= mark.version <= self.current_version

    @property
    def tracked(self) -> bool:
        """Whether the database knows the changes of this table."""
        return self.oldest_version is not None and self.current_version is not None


class SqlServerSource:
    """The tables of AdventureWorks in a SQL Server database, version 2016 or newer, or Azure SQL. Only ever read."""

    def __init__(self, url: SecretStr, batch_rows: int, password: SecretStr | None = None) -> None:
        """Connects to nothing yet. Raises PlatformError where `url` is no SQL Server URL."""
        self._address = Address.of(url, password)
        self._batch_rows = batch_rows
        self.description = f"SQL Server database {self._address.name}"

    def identity(self) -> str:
        """Host, port, database, and when that database was made."""
        with connected(self._address, _STATE_TIMEOUT_S) as connection, translated(self._address):
            rows = answer(connection, queries.DATABASE)
        made = rows[0]["made"] if rows else ""
        return f"sqlserver {self._address.name} {made}".strip()

    def state(self, table: SourceTable, known: str | None = None) -> TableState:
        """As `states`, for one table."""
        state = self.states([table], {table.asset: known} if known else None)[table.asset]
        if isinstance(state, TableBlocked):
            raise state
        return state

    def states(
        self, tables: Iterable[SourceTable], known: Mapping[str, str] | None = None
    ) -> dict[str, TableState | TableBlocked]:
        """The state of each table, by asset, over one connection; a blocked table's error stands in its place.

        Of all tables whose changes are tracked one question is asked, which reads none of them: it finds every change.
        Each other table costs one scan; there, an update that leaves its modification date as it was is not found.
        """
        wanted = list(tables)
        states: dict[str, TableState | TableBlocked] = {}
        with connected(self._address, _STATE_TIMEOUT_S) as connection, one_view(self._address, connection):
            found, columns = _catalogue(connection, self._address, wanted)
            fit: list[SourceTable] = []
            for table in wanted:
                try:
                    _require(table, found, columns)
                    self._require_whole(connection, table, found[table.asset])
                    fit.append(table)
                except TableBlocked as blocked:
                    states[table.asset] = blocked
            states |= self._tracked_states(connection, fit, known or {}, found, columns)
            for table in fit:
                if table.asset not in states:
                    states[table.asset] = self._scanned_state(connection, table, columns)
        return states

    @contextmanager
    def snapshot(self) -> Iterator[SqlServerSnapshot]:
        """One transaction with SNAPSHOT isolation: all tables as they are at one moment."""
        with connected(self._address, _READ_TIMEOUT_S) as connection, one_view(self._address, connection):
            found, columns = _catalogue(connection, self._address, SOURCE_TABLES.values())
            with translated(self._address):
                rows = answer(connection, queries.DATABASE)
            # A login may be unable to see its own database in the catalogue.
            moment = rows[0].get("moment") if rows else None
            clock = datetime.fromisoformat(moment) if moment else None
            yield SqlServerSnapshot(connection, found, columns, self._address, self._batch_rows, clock)

    def _require_whole(self, connection: Any, table: SourceTable, found: _Table) -> None:
        """Raises TableBlocked where a security policy hides rows from this login."""
        if not found.filtered or found.rows is None:
            return
        with translated(self._address, table):
            (row,) = answer(connection, queries.count_query(table))
        seen = int(row["row_count"])
        if seen < found.rows:
            raise TableBlocked(
                table.asset,
                "table_is_seen_whole",
                f"a security policy shows the login {seen:,} of {found.rows:,} rows. Let an administrator make the"
                f" policy's predicate admit it: select * from sys.security_predicates where target_object_id ="
                f" object_id('{table.schema}.{table.name}')",
            )

    def _tracked_states(
        self,
        connection: Any,
        tables: Iterable[SourceTable],
        known: Mapping[str, str],
        found: Mapping[str, _Table],
        columns: Columns,
    ) -> dict[str, TableState]:
        """The states of those tables whose changes are tracked."""
        marks = {t.asset: _Mark.read(known.get(t.asset)) for t in tables if found[t.asset].tracked}
        digests = {asset: digest_of(columns[asset]) for asset in marks}
        versions = {
            asset: mark.version
            for asset, mark in marks.items()
            if mark is not None and found[asset].reaches(mark, digests[asset])
        }
        changed: set[str] = set()
        if versions:
            with translated(self._address):
                changed = {row["asset"] for row in answer(connection, queries.changed_tables_query(versions))}
        states = {}
        for asset, mark in marks.items():
            seen = found[asset]
            same = asset in versions and asset not in changed
            now = mark if same and mark else _Mark(seen.current_version or 0, digests[asset])
            states[asset] = TableState(str(now), seen.rows, None)
        return states

    def _scanned_state(self, connection: Any, table: SourceTable, columns: Columns) -> TableState | TableBlocked:
        try:
            with translated(self._address, table):
                (row,) = answer(connection, queries.state_query(table, columns))
        except TableBlocked as blocked:
            return blocked
        newest = datetime.fromisoformat(row["newest"]) if row["newest"] else None
        fingerprint = f"{row['row_count']}-{row['newest']}-{row['digest']}-{digest_of(columns[table.asset])}"
        return TableState(fingerprint, int(row["row_count"]), newest)


class SqlServerSnapshot:
    """One transaction on the source. Read one stream to its end, or close it, before the next begins."""

    complete = False
    spent = False

    def __init__(
        self,
        connection: Any,
        found: Mapping[str, _Table],
        columns: Columns,
        address: Address,
        batch_rows: int,
        clock: datetime | None,
    ) -> None:
        self.clock = clock
        self._connection = connection
        self._found = found
        self._columns = columns
        self._address = address
        self._batch_rows = batch_rows

    def rows(self, table: SourceTable, since: datetime | None = None) -> Iterator[pa.RecordBatch]:
        """The contract's columns of the rows changed at or after `since`, and of those without a modification date.

        Decimals are exact; uuids, bytes, XML, hierarchyid and geography are text. Columns that the contract does not
        name are left out. Raises TableBlocked where the table, or a column, is missing or may not be read.
        """
        selected = contract_columns(table, self._columns)
        yield from self._stream(table, selected, queries.rows_query(table, selected, self._columns, since))

    def keys(self, table: SourceTable) -> Iterator[pa.RecordBatch]:
        """Key columns and modification date of every row, typed as in `rows`."""
        selected = present_columns(table, self._columns, dict.fromkeys([*key_of(table), table.modified]))
        yield from self._stream(table, selected, queries.rows_query(table, selected, self._columns))

    def rows_by_key(self, table: SourceTable, keys: pa.Table) -> Iterator[pa.RecordBatch]:
        """The rows with these keys, each once; keys that the table does not have are passed over."""
        selected = contract_columns(table, self._columns)
        key = present_columns(table, self._columns, key_of(table))
        distinct = keys.select(list(key_of(table))).group_by(list(key_of(table))).aggregate([])
        for start in range(0, distinct.num_rows, _KEYS_AT_A_TIME):
            wanted = distinct.slice(start, _KEYS_AT_A_TIME)
            yield from self._stream(table, selected, queries.rows_by_key_query(table, selected, key, wanted))

    def tracks(self, table: SourceTable) -> bool:
        """Whether the database tracks the changes of this table, and this login may see them."""
        found = self._found.get(table.asset)
        return found is not None and found.tracked

    def changed_keys(self, table: SourceTable, known: str, most: int) -> pa.Table | None:
        """Keys of the rows inserted or updated since the state with the fingerprint `known`.

        None where the database no longer knows, or where there are more than `most`: then read the table whole.
        """
        _require(table, self._found, self._columns)
        mark = _Mark.read(known)
        if mark is None or not self._found[table.asset].reaches(mark, digest_of(self._columns[table.asset])):
            return None
        key = present_columns(table, self._columns, key_of(table))
        question = queries.changed_keys_query(table, self._columns, mark.version, most)
        schema = pa.schema([(column.name, column.arrow_type) for column in key])
        changed = pa.Table.from_batches(self._stream(table, key, question), schema)
        return changed if changed.num_rows <= most else None

    def _stream(
        self, table: SourceTable, selected: Sequence[SqlServerColumn], question: str
    ) -> Iterator[pa.RecordBatch]:
        """Runs the query and gives its rows while they arrive."""
        names = [column.name for column in selected]
        unlimited = any(column.is_unlimited for column in selected)
        size = min(self._batch_rows, _UNLIMITED_ROWS) if unlimited else self._batch_rows
        with translated(self._address, table), closing(self._connection.cursor()) as cursor:
            cursor.execute(question)
            while rows := cursor.fetchmany(size):
                values = zip(*rows, strict=True)
                arrays = [column.to_arrow(given, table.asset) for column, given in zip(selected, values, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, names=names)


def _catalogue(
    connection: Any, address: Address, tables: Iterable[SourceTable]
) -> tuple[dict[str, _Table], dict[str, dict[str, SqlServerColumn]]]:
    wanted = list(tables)
    with translated(address):
        found = {
            f"{row['schema_name']}_{row['table_name']}": _Table(
                bool(row["readable"]),
                row["row_count"],
                row["oldest_version"],
                row["current_version"],
                bool(row.get("filters")),
            )
            for row in answer(connection, queries.tables_query(wanted))
        }
        return found, columns_from(answer(connection, queries.columns_query(wanted)))


def _require(table: SourceTable, found: Mapping[str, _Table], columns: Columns) -> None:
    """Raises TableBlocked where the table is missing, may not be read, or does not tell keys and modification dates."""
    present_columns(table, columns, key_of(table))
    modified_column(table, columns)
    if not found[table.asset].readable:
        raise TableBlocked(
            table.asset,
            "table_is_readable",
            "the login may not read this table.",
            f"Let an administrator run: GRANT SELECT ON {relation(table)} TO the login's user;",
        )
    present = columns[table.asset]
    masked = [c.name for c in source_columns_of(table) if c.name in present and present[c.name].masked]
    if masked:
        raise TableBlocked(
            table.asset,
            "table_is_seen_whole",
            f"the login is shown masks instead of {', '.join(masked)}. Let an administrator run:"
            " GRANT UNMASK TO the login's user;",
        )
