"""A PostgreSQL database as the source: what changed, and the rows of one consistent snapshot as Arrow batches.

Names are the original ones of AdventureWorks ("Sales"."SalesOrderHeader"), or those in another case, as PostgreSQL
folds them (sales.salesorderheader). The login needs nothing but USAGE on the schemas and SELECT on the tables, and
BYPASSRLS where policies hide rows. What columns there are, the source's own catalogue says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.rows import dict_row
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.columns import key_of
from adventureworks.errors import PlatformError, TableBlocked
from adventureworks.postgres_address import LATER_TIMEOUTS, WITHOUT_TIMEOUTS
from adventureworks.postgres_arrow import connect_arrow
from adventureworks.source import TableState
from adventureworks.source.declared import digest_of
from adventureworks.source.postgres_columns import (
    Columns,
    PostgresColumn,
    catalogue_query,
    columns_from,
    contract_columns,
    literal,
    modified_column,
    present_columns,
    quoted,
)
from adventureworks.source.postgres_errors import Address, translated

_STATE_TIMEOUT_MS = 120_000
_LOCK_TIMEOUT_MS = 30_000
_READ_TIMEOUT_MS = 3_600_000
"""A stream takes as long as its reader; this only ends one that nobody reads any more."""

FILLED = "filled "
"""How the mark begins that a filling of the embedded source leaves on its schema `dbo`: as a comment."""

FILLING = "obj_description(to_regnamespace('dbo')::oid, 'pg_namespace')"

_STREAM_BYTES = 4 << 20
_KEYS_AT_A_TIME = 10_000
_EARLIEST, _LATEST = "0001-01-01", "9999-12-31"
"""Modification dates beyond these (infinity) cannot be a watermark."""


class PostgresSource:
    """The tables of AdventureWorks in a PostgreSQL database, version 11 or newer. Only ever read."""

    def __init__(self, url: SecretStr, batch_rows: int) -> None:
        """Connects to nothing yet. Raises PlatformError where `url` is no PostgreSQL URL."""
        self._address = Address.of(url)
        self._batch_rows = batch_rows
        self.description = f"PostgreSQL database {self._address.name}"

    def identity(self) -> str:
        """The filling of an embedded source, which survives a change of port; else host, port and database."""
        with self._connected() as connection, translated(self._address):
            row = connection.execute(f"select {FILLING} as filling").fetchone()
        filling = str(row["filling"] or "") if row else ""
        return filling if filling.startswith(FILLED) else f"postgresql {self._address.name}"

    def state(self, table: SourceTable, known: str | None = None) -> TableState:
        """Number of rows, newest change, and a fingerprint over keys, modification dates and the table's columns.

        Inserts, deletes and updates with a new modification date change the fingerprint; an update that leaves its
        modification date as it was does not. Costs one scan of the table.
        """
        state = self.states([table])[table.asset]
        if isinstance(state, TableBlocked):
            raise state
        return state

    def states(
        self, tables: Iterable[SourceTable], known: Mapping[str, str] | None = None
    ) -> dict[str, TableState | TableBlocked]:
        """The state of each table, by asset, over one connection; a blocked table's error stands in its place."""
        wanted = list(tables)
        states: dict[str, TableState | TableBlocked] = {}
        with self._connected() as connection:
            with translated(self._address):
                columns = columns_from(connection.execute(catalogue_query(wanted)).fetchall(), wanted)
            for table in wanted:
                try:
                    states[table.asset] = self._state(connection, table, columns)
                except TableBlocked as blocked:
                    states[table.asset] = blocked
        return states

    @contextmanager
    def snapshot(self) -> Iterator[PostgresSnapshot]:
        """One transaction, REPEATABLE READ and READ ONLY: all tables as they are at one moment."""
        with translated(self._address):
            connection = connect_arrow(self._address.conninfo, autocommit=False)
        with closing(connection):
            with translated(self._address), connection.cursor() as cursor:
                cursor.execute("set transaction isolation level repeatable read, read only")
                for setting in _session_settings(_READ_TIMEOUT_MS):
                    cursor.execute(setting)
                cursor.execute(catalogue_query(SOURCE_TABLES.values()))
                columns = columns_from(cursor.fetch_arrow_table().to_pylist(), SOURCE_TABLES.values())
                cursor.execute("select localtimestamp")
                (clock,) = cursor.fetchone()
            yield PostgresSnapshot(connection, columns, self._address, self._batch_rows, clock)

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        with translated(self._address):
            connection = psycopg.connect(
                self._address.conninfo.get_secret_value(), autocommit=True, row_factory=dict_row
            )
        with closing(connection):
            with translated(self._address):
                for setting in _session_settings(_STATE_TIMEOUT_MS):
                    connection.execute(setting)
            yield connection

    def _state(
        self, connection: psycopg.Connection[dict[str, Any]], table: SourceTable, columns: Columns
    ) -> TableState:
        question = _state_query(table, columns, connection.info.server_version)
        with translated(self._address, table):
            row = connection.execute(question).fetchone() or {}
        fingerprint = f"{row['rows']}-{row['newest']}-{row['digest']}-{digest_of(columns[table.asset])}"
        return TableState(fingerprint, row["rows"], row["newest"])


class PostgresSnapshot:
    """One transaction on the source. Read one stream to its end, or close it, before the next begins."""

    complete = False
    spent = False

    def __init__(self, connection: Any, columns: Columns, address: Address, batch_rows: int, clock: datetime) -> None:
        self.clock = clock
        self._connection = connection
        self._columns = columns
        self._address = address
        self._batch_rows = batch_rows

    def rows(self, table: SourceTable, since: datetime | None = None) -> Iterator[pa.RecordBatch]:
        """The contract's columns of the rows changed at or after `since`, and of those without a modification date.

        Decimals are exact; uuids, bytes and XML are text. Columns that the contract does not name are left out.
        Raises TableBlocked where the table, or a column, is missing or may not be read.
        """
        condition = ""
        if since is not None:
            modified = modified_column(table, self._columns).reference
            moment = f"timestamp {literal(since.isoformat(sep=' '))}"
            condition = f" where {modified} >= {moment} or {modified} is null"
        selected = contract_columns(table, self._columns)
        return self._stream(table, selected, f"from {self._columns[table.asset].relation} t{condition}")

    def keys(self, table: SourceTable) -> Iterator[pa.RecordBatch]:
        """Key columns and modification date of every row, typed as in `rows`."""
        selected = present_columns(table, self._columns, dict.fromkeys([*key_of(table), table.modified]))
        return self._stream(table, selected, f"from {self._columns[table.asset].relation} t")

    def rows_by_key(self, table: SourceTable, keys: pa.Table) -> Iterator[pa.RecordBatch]:
        """The rows with these keys, each once; keys that the table does not have are passed over."""
        selected = contract_columns(table, self._columns)
        key = present_columns(table, self._columns, key_of(table))
        distinct = keys.select(list(key_of(table))).group_by(list(key_of(table))).aggregate([])
        for start in range(0, distinct.num_rows, _KEYS_AT_A_TIME):
            wanted = distinct.slice(start, _KEYS_AT_A_TIME)
            yield from self._stream(
                table, selected, f"from {self._columns[table.asset].relation} t {_join(key, wanted)}"
            )

    def tracks(self, table: SourceTable) -> bool:
        """PostgreSQL keeps no list of changed rows that a login may read: never."""
        return False

    def changed_keys(self, table: SourceTable, known: str, most: int) -> pa.Table | None:
        """Not offered: see `tracks`."""
        raise TypeError("A PostgreSQL source does not track changes: compare keys().")

    def _stream(
        self, table: SourceTable, selected: Sequence[PostgresColumn], from_clause: str
    ) -> Iterator[pa.RecordBatch]:
        """Runs the query and gives its rows while they arrive."""
        names = [column.name for column in selected]
        expressions = ", ".join(f"{column.expression} as {quoted(column.name)}" for column in selected)
        with self._ended_by_refusals(), translated(self._address, table), self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_STREAM_BYTES)})
            cursor.execute(f"select {expressions} {from_clause}")
            for batch in cursor.fetch_record_batch():
                arrays = [column.to_arrow(batch.column(i), table.asset) for i, column in enumerate(selected)]
                typed = pa.RecordBatch.from_arrays(arrays, names=names)
                for start in range(0, typed.num_rows, self._batch_rows):
                    yield typed.slice(start, self._batch_rows)

    @contextmanager
    def _ended_by_refusals(self) -> Iterator[None]:
        try:
            yield
        except PlatformError:
            # The transaction is aborted: there is no other answer from it.
            self.spent = True
            raise


def _session_settings(timeout_ms: int) -> tuple[str, ...]:
    """What makes a session's answers independent of the server's and the login's own settings."""
    return (
        "set search_path to pg_catalog",
        "set standard_conforming_strings to on",
        "set timezone to 'UTC'",
        "set datestyle to 'ISO, YMD'",
        f"set lock_timeout to {_LOCK_TIMEOUT_MS}",
        # Else rows that a policy hides from the login would look like deleted ones.
        "set row_security to off",
        f"set statement_timeout to {timeout_ms}",
        # The snapshot idles in its transaction while the gate works on the rows of a table.
        *(f"set {name} to {value}" for name, value in WITHOUT_TIMEOUTS.items()),
        LATER_TIMEOUTS,
    )


def _state_query(table: SourceTable, columns: Columns, server_version: int) -> str:
    """Counts the rows and adds up one hash per row, of key and modification date: the order of rows does not matter."""
    modified = modified_column(table, columns).reference
    key = [column.reference for column in present_columns(table, columns, key_of(table))]
    row = f"row({', '.join([*key, modified])})"
    hashed = f"hash_record_extended({row}, 0)" if server_version >= 140_000 else f"hashtextextended({row}::text, 0)"
    return (
        f"select count(*) as rows, sum({hashed})::text as digest, "
        f"max({modified}) filter (where {modified} between '{_EARLIEST}' and '{_LATEST}')::timestamp as newest "
        f"from {columns[table.asset].relation} t"
    )


def _join(key: Sequence[PostgresColumn], wanted: pa.Table) -> str:
    """A join with the wanted keys, which stand in the query as one array per column."""
    names = [f"k{place}" for place in range(len(key))]
    arrays = [f"{literal(_array(wanted[column.name]))}::pg_catalog.{column.delivered_type}[]" for column in key]
    conditions = [_equal(column, f"wanted.{name}") for column, name in zip(key, names, strict=True)]
    return f"join unnest({', '.join(arrays)}) as wanted({', '.join(names)}) on {' and '.join(conditions)}"


def _equal(column: PostgresColumn, wanted: str) -> str:
    """Equality; where the column may be NULL, NULL equals NULL."""
    equal = f"{column.expression} = {wanted}"
    return f"({equal} or ({column.expression} is null and {wanted} is null))" if column.nullable else equal


def _array(values: pa.ChunkedArray) -> str:
    """The values as PostgreSQL writes an array."""
    texts = pc.cast(values, pa.string()).to_pylist()
    return "{" + ",".join("NULL" if text is None else _array_element(text) for text in texts) + "}"


def _array_element(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
