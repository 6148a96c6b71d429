"""A PostgreSQL database as the source: what changed, and the rows of one consistent snapshot as Arrow batches.

Names are AdventureWorks' original ones ("Sales"."SalesOrderHeader"), or the same in another case, as PostgreSQL folds
them (sales.salesorderheader). The login needs only USAGE on the schemas and SELECT on the tables, and BYPASSRLS if
policies hide rows. The available columns are read from the source's own catalogue.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.rows import dict_row
from pydantic import SecretStr

from adventureworks import key_ranges
from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.columns import key_of
from adventureworks.errors import PlatformError, TableBlocked
from adventureworks.key_ranges import KeyRanges
from adventureworks.postgres_address import LATER_TIMEOUTS, WITHOUT_TIMEOUTS
from adventureworks.postgres_arrow import connect_arrow
from adventureworks.postgres_sql import literal, quoted
from adventureworks.source import GRANT, ChangedKeys, TableState
from adventureworks.source.addresses import PostgresAddress
from adventureworks.source.declared import digest_of
from adventureworks.source.editions import identity_with
from adventureworks.source.postgres_columns import (
    RELATIONS_QUERY,
    Columns,
    PostgresColumn,
    catalogue_query,
    columns_from,
    contract_columns,
    key_columns,
    modified_column,
    present_columns,
)
from adventureworks.source.postgres_errors import translated

_STATE_TIMEOUT_MS = 120_000
_LOCK_TIMEOUT_MS = 30_000
_READ_TIMEOUT_MS = 3_600_000
"""A stream takes as long as its reader does; this only ends abandoned ones."""

LOAD_ID_PREFIX = "filled "
"""Prefix of the load ID that a load of the embedded source leaves as a comment on the schema `dbo`."""

_SNAPSHOT = """
select case when not pg_is_in_recovery() then concat(txid_current_snapshot(), pg_postmaster_start_time()) end as moment
"""
"""Returns the same text as before only if no transaction with writes has ended on the server since.

NULL on a standby, where the snapshot does not list the running transactions.
"""

_READER = "adventureworks source reader"
"""The `application_name` of the sessions of this module, none of which writes."""

_OTHER_SESSIONS = f"""
select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
    and not coalesce(usename = session_user and application_name = '{_READER}', false) limit 1
"""

_COUNTERS = """
select concat_ws(' ', datid, d.stats_reset, w.stats_reset, pg_postmaster_start_time()) as counted_since,
    concat_ws(' ', tup_inserted, tup_updated, tup_deleted) as counters
from pg_stat_database as d cross join pg_stat_bgwriter as w
where datname = current_database() and current_setting('track_counts')::boolean and not pg_is_in_recovery()
"""
"""Returns the same text as before only if nothing has been written in this database since, its catalogue included.

A session reports its writes late, but at the latest before it disappears from `_OTHER_SESSIONS`, so this only holds
while there are none. A crash of the server resets the counters and `w.stats_reset`. A database that replaces another
of the same name has another `datid`; its counters may be equal, such as after the same dump with other values. A server
that was restored from a copy of its files has the counters of that copy, and one that was copied has those of the
original, but each has started at a time of its own.
A standby has no row here, because it counts nothing that its primary writes.
"""
_MARKS = """
select n.nspname::text as schema_name, c.relname::text as table_name,
    concat_ws(' ', n.xmin, c.oid, c.xmin, c.relfilenode,
        (select string_agg(a.xmin::text, ' ' order by a.attnum) from pg_attribute as a
            where a.attrelid = c.oid and a.attnum > 0),
        pg_stat_get_tuples_inserted(c.oid), pg_stat_get_tuples_updated(c.oid), pg_stat_get_tuples_deleted(c.oid)
    ) as mark
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where c.relkind = 'r' and not c.relhassubclass
"""
"""Returns for each table the same text as before only if nothing has been written in it since.

It must be counted since the same moment (`counted_since`). `TRUNCATE`, a change of the table or of its columns, and a
grant write in the catalogue.
"""
_HASHED_RECORDS = 140_000
"""The first version of the server that has a hash of records."""
_RELIABLE_COUNTERS = 150_000
"""The first version of the server whose counters cannot lose a report."""


@dataclass(frozen=True)
class _Moment:
    """What tells whether a database may have changed since another moment."""

    snapshot: str | None
    counters: str | None
    """None if other sessions are connected to the database, which may not have reported what they wrote."""
    counted_since: str | None = None
    """The database and the start of its server, and when its counters began."""

    def is_unchanged_since(self, earlier: _Moment) -> bool:
        """Return whether nothing has been written in the database since."""
        if self.snapshot is None:
            return False
        return self.snapshot == earlier.snapshot or (
            self.counters is not None
            and (self.counters, self.counted_since) == (earlier.counters, earlier.counted_since)
        )


@dataclass(frozen=True)
class _Scan:
    """When the tables of a database were last read in this process."""

    moment: _Moment
    began: float
    """In seconds of `time.monotonic`."""
    states: dict[str, TableState]
    """By asset: the states of the scanned tables whose rows are in the database."""
    marks: dict[str, str]
    """By asset: what tells whether such a table may have changed since (`_MARKS`), where that is known."""


_scanned: dict[PostgresAddress, _Scan] = {}

_ASK_SECONDS = 0.25
_KEPT_SECONDS = 2.0
"""How long a session that only waits is kept: DROP DATABASE gives up after waiting five seconds for sessions to end."""

_LOAD_ID = "obj_description(to_regnamespace('dbo')::oid, 'pg_namespace')"

_STREAM_BYTES = 4 << 20
_KEYS_AT_A_TIME = 10_000
_EARLIEST, _LATEST = "0001-01-01", "9999-12-31"
"""Modification dates outside this range (infinity) cannot serve as a watermark."""


class PostgresSource:
    """The AdventureWorks tables in a PostgreSQL database, version 11 or newer. Never written to."""

    how_to_offer = GRANT

    def __init__(self, url: SecretStr, batch_rows: int) -> None:
        """Parse the URL without connecting. Raises `PlatformError` if `url` is not a PostgreSQL URL."""
        self._address = PostgresAddress.of(url)
        self._batch_rows = batch_rows
        self.description = f"PostgreSQL database {self._address.name}"

    def identity(self) -> str:
        """Return the load ID of an embedded source, whose port may change; otherwise host, port and database.

        An edition other than the full database is named after it.
        """
        with self._connected() as connection, translated(self._address):
            row = connection.execute(f"select {_LOAD_ID} as load_id").fetchone()
            relations = connection.execute(RELATIONS_QUERY).fetchall()
        load_id = str(row["load_id"] or "") if row else ""
        if load_id.startswith(LOAD_ID_PREFIX):
            return load_id
        return identity_with(f"postgresql {self._address.name}", [relation["name"] for relation in relations])

    def relations(self) -> list[str]:
        """Return `schema.name` of every table and view that the login may use."""
        with self._connected() as connection, translated(self._address):
            rows = connection.execute(RELATIONS_QUERY).fetchall()
        return [row["name"] for row in rows]

    def state(self, table: SourceTable, known: str | None = None) -> TableState:
        """Return the row count, the newest change, and a fingerprint of keys, modification dates and columns.

        Inserts, deletes and updates with a new modification date change the fingerprint; an update that leaves the
        modification date unchanged does not. Costs one scan of the table.
        """
        state = self.states([table])[table.asset]
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

        Tables are not scanned again if this process did it before and nothing has been written in the database since,
        or in the table, where the source tells that. Nor is a table that has the same mark as in `marks`: only its
        fingerprint is known then, that in `known`.
        """
        wanted = list(tables)
        known, recorded = known or {}, marks or {}
        states: dict[str, TableState | TableBlocked] = {}
        with self._connected() as connection:
            with translated(self._address):
                # Read before the states, which may therefore be newer, but never older.
                moment = _moment(connection)
                before = last = _scanned.get(self._address)
                if last is None or not moment.is_unchanged_since(last.moment):
                    # Never replaced without a scan: something may be written between the queries for a moment, so that
                    # one of its values is the same as before and the other already includes the change.
                    last = _scanned[self._address] = _Scan(moment, time.monotonic(), {}, {})
                unchanged = last.states
                unknown = [table for table in wanted if table.asset not in unchanged]
                found = _marks(connection, moment) if unknown else {}
                catalogue = connection.execute(catalogue_query()).fetchall() if unknown else []
            columns = columns_from(catalogue, unknown)
            for table in unknown:
                mark = None
                if table.asset in columns and (mark := found.get(columns[table.asset].relation)):
                    mark = last.marks[table.asset] = f"{mark} {digest_of(columns[table.asset])}"
                    if before and before.marks.get(table.asset) == mark and table.asset in before.states:
                        unchanged[table.asset] = before.states[table.asset]
                        continue
                    if table.asset in known and recorded.get(table.asset) == mark:
                        states[table.asset] = TableState(known[table.asset], None, None, mark)
                        continue
                try:
                    states[table.asset] = state = replace(self._state(connection, table, columns), mark=mark)
                except TableBlocked as blocked:
                    states[table.asset] = blocked
                else:
                    if all(column.is_stored for column in columns[table.asset].values()):
                        unchanged[table.asset] = state
        return {table.asset: states.get(table.asset) or unchanged[table.asset] for table in wanted}

    def awaits_write(self, pause: float, seconds: float) -> bool | None:
        """Return True as soon as the counters show that something was written since the last scan, see `Source`.

        False while other sessions are connected to the database. None if this process has not scanned it yet.
        """
        last = _scanned.get(self._address)
        if last is None:
            return None
        now = time.monotonic()
        if last.began + pause > now:
            time.sleep(min(last.began + pause - now, seconds, _KEPT_SECONDS))
            return False
        end = now + min(seconds, _KEPT_SECONDS)
        with self._connected() as connection, translated(self._address):
            if connection.info.server_version < _RELIABLE_COUNTERS:
                return None
            while True:
                moment = _moment(connection)
                if moment.counters is not None and not moment.is_unchanged_since(last.moment):
                    return True
                if (left := end - time.monotonic()) <= 0:
                    return False
                time.sleep(min(left, _ASK_SECONDS))

    @contextmanager
    def snapshot(self) -> Iterator[PostgresSnapshot]:
        """Open one transaction, REPEATABLE READ and READ ONLY: all tables as of the same moment."""
        with translated(self._address):
            connection = connect_arrow(self._address.conninfo, autocommit=False)
        with closing(connection):
            with translated(self._address), connection.cursor() as cursor:
                cursor.execute("set transaction isolation level repeatable read, read only")
                for setting in _session_settings(_READ_TIMEOUT_MS):
                    cursor.execute(setting)
                cursor.execute(catalogue_query())
                columns = columns_from(cursor.fetch_arrow_table().to_pylist(), SOURCE_TABLES.values())
                cursor.execute("select localtimestamp, current_setting('server_version_num')::int")
                clock, version = cursor.fetchone()
            yield PostgresSnapshot(connection, columns, self._address, self._batch_rows, clock, version)

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        with translated(self._address):
            connection = psycopg.connect(
                self._address.conninfo.get_secret_value(), autocommit=True, row_factory=dict_row
            )
        with closing(connection):
            with translated(self._address):
                connection.execute("; ".join(_session_settings(_STATE_TIMEOUT_MS)).encode())
            yield connection

    def _state(
        self, connection: psycopg.Connection[dict[str, Any]], table: SourceTable, columns: Columns
    ) -> TableState:
        query = _state_query(table, columns, connection.info.server_version)
        with translated(self._address, table):
            row = connection.execute(query).fetchone() or {}
        fingerprint = f"{row['rows']}-{row['newest']}-{row['digest']}-{digest_of(columns[table.asset])}"
        return TableState(fingerprint, row["rows"], row["newest"])


class PostgresSnapshot:
    """One transaction on the source. Read a stream to its end, or close it, before starting the next."""

    complete = False
    spent = False

    def __init__(
        self,
        connection: Any,
        columns: Columns,
        address: PostgresAddress,
        batch_rows: int,
        clock: datetime,
        server_version: int,
    ) -> None:
        self.clock = clock
        self._connection = connection
        self._columns = columns
        self._address = address
        self._batch_rows = batch_rows
        self._server_version = server_version

    def rows(
        self, table: SourceTable, since: datetime | None = None, within: Collection[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Return the contract's columns of rows changed at or after `since`, and of rows without a modification date.

        Decimals are exact; UUIDs, bytes and XML are text. Columns that the contract does not name are ignored.
        Raises `TableBlocked` if the table or a column is missing, or if the login may not read it.
        """
        conditions = []
        if since is not None:
            modified = modified_column(table, self._columns).reference
            moment = f"timestamp {literal(since.isoformat(sep=' '))}"
            conditions.append(f"({modified} >= {moment} or {modified} is null)")
        return self._stream(table, contract_columns(table, self._columns), self._from(table, conditions, within))

    def lacks(self, table: SourceTable) -> frozenset[str]:
        """Return the contract's columns that this edition of the source does not offer."""
        stored = self._columns.get(table.asset)
        return stored.lacks if stored else frozenset()

    def key_ranges(self, table: SourceTable, since: datetime) -> KeyRanges | None:
        """Return a summary of the keys of every row by range; None if the key is not made of integers and dates."""
        key, modified = key_columns(table, self._columns), modified_column(table, self._columns)
        are_comparable = key[0].is_integer and all(column.is_integer or column.is_date for column in key)
        if not are_comparable or self._server_version < _HASHED_RECORDS:
            return None
        as_compared = [
            key_ranges.as_number(column.reference) if column.is_integer else key_ranges.as_time(column.reference)
            for column in key
        ]
        relation = f"{self._columns[table.asset].relation} t"
        query = key_ranges.query(
            relation, as_compared, key_ranges.as_time(modified.reference), since.isoformat(sep=" ")
        )
        with self._spent_on_error(), translated(self._address, table), self._connection.cursor() as cursor:
            cursor.execute(query)
            return key_ranges.summarized(cursor.fetchall())

    def keys(self, table: SourceTable, within: Collection[int] | None = None) -> Iterator[pa.RecordBatch]:
        """Return key columns and modification date of every row, typed as in `rows`."""
        selected = present_columns(table, self._columns, dict.fromkeys([*key_of(table), table.modified]))
        return self._stream(table, selected, self._from(table, [], within))

    def rows_by_key(self, table: SourceTable, keys: pa.Table) -> Iterator[pa.RecordBatch]:
        """Yield the rows with these keys, each once; keys that are not in the table are ignored."""
        selected = contract_columns(table, self._columns)
        key = present_columns(table, self._columns, key_of(table))
        distinct = keys.select(list(key_of(table))).group_by(list(key_of(table))).aggregate([])
        for start in range(0, distinct.num_rows, _KEYS_AT_A_TIME):
            wanted = distinct.slice(start, _KEYS_AT_A_TIME)
            yield from self._stream(
                table, selected, f"from {self._columns[table.asset].relation} t {_join(key, wanted)}"
            )

    def tracks(self, table: SourceTable) -> bool:
        """Return False: PostgreSQL has no list of changed rows that an ordinary login can read."""
        return False

    def changed_keys(self, table: SourceTable, known: str, most: int) -> ChangedKeys | None:
        """Raise `TypeError`: see `tracks`."""
        raise TypeError("A PostgreSQL source does not track changes: compare keys() instead.")

    def _from(self, table: SourceTable, conditions: Sequence[str], within: Collection[int] | None) -> str:
        """Return the FROM clause for the rows that meet the conditions; `within`: in these ranges of keys, if given."""
        if within is not None:
            first = key_columns(table, self._columns)[0].reference
            conditions = [*conditions, key_ranges.within(first, within)]
        where = f" where {' and '.join(conditions)}" if conditions else ""
        return f"from {self._columns[table.asset].relation} t{where}"

    def _stream(
        self, table: SourceTable, selected: Sequence[PostgresColumn], from_clause: str
    ) -> Iterator[pa.RecordBatch]:
        """Run the query and yield its rows as they arrive."""
        names = [column.name for column in selected]
        expressions = ", ".join(f"{column.expression} as {quoted(column.name)}" for column in selected)
        with self._spent_on_error(), translated(self._address, table), self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_STREAM_BYTES)})
            cursor.execute(f"select {expressions} {from_clause}")
            for batch in cursor.fetch_record_batch():
                arrays = [column.to_arrow(batch.column(i), table.asset) for i, column in enumerate(selected)]
                typed = pa.RecordBatch.from_arrays(arrays, names=names)
                for start in range(0, typed.num_rows, self._batch_rows):
                    yield typed.slice(start, self._batch_rows)

    @contextmanager
    def _spent_on_error(self) -> Iterator[None]:
        try:
            yield
        except PlatformError:
            # The transaction is aborted, so any further query would fail.
            self.spent = True
            raise


def _moment(connection: psycopg.Connection[dict[str, Any]]) -> _Moment:
    snapshot = (connection.execute(_SNAPSHOT).fetchone() or {})["moment"]
    counted: Mapping[str, Any] = {}
    if connection.info.server_version >= _RELIABLE_COUNTERS and connection.execute(_OTHER_SESSIONS).fetchone() is None:
        counted = connection.execute(_COUNTERS).fetchone() or {}
    return _Moment(snapshot, counted.get("counters"), counted.get("counted_since"))


def _marks(connection: psycopg.Connection[dict[str, Any]], moment: _Moment) -> dict[str, str]:
    """Return by quoted name what tells whether a plain table has changed; empty if the counters are not exact."""
    if moment.counters is None:
        return {}
    return {
        f"{quoted(row['schema_name'])}.{quoted(row['table_name'])}": f"{moment.counted_since} {row['mark']}"
        for row in connection.execute(_MARKS)
    }


def _session_settings(timeout_ms: int) -> tuple[str, ...]:
    """Return the settings that make results independent of the server's and the login's defaults."""
    return (
        f"set application_name to '{_READER}'",
        "set search_path to pg_catalog",
        "set standard_conforming_strings to on",
        "set timezone to 'UTC'",
        "set datestyle to 'ISO, YMD'",
        f"set lock_timeout to {_LOCK_TIMEOUT_MS}",
        # Otherwise, rows that a policy hides from the login would look deleted.
        "set row_security to off",
        f"set statement_timeout to {timeout_ms}",
        # The snapshot's transaction is idle while the gate processes the rows of a table.
        *(f"set {name} to {value}" for name, value in WITHOUT_TIMEOUTS.items()),
        LATER_TIMEOUTS,
    )


def _state_query(table: SourceTable, columns: Columns, server_version: int) -> str:
    """Return a query that counts rows and sums a hash of key and modification date: row order does not matter."""
    modified = modified_column(table, columns).reference
    key = [column.reference for column in key_columns(table, columns)]
    row = f"row({', '.join([*key, modified])})"
    hashed = (
        f"hash_record_extended({row}, 0)" if server_version >= _HASHED_RECORDS else f"hashtextextended({row}::text, 0)"
    )
    return (
        f"select count(*) as rows, sum({hashed})::text as digest, "
        f"max({modified}) filter (where {modified} between '{_EARLIEST}' and '{_LATEST}')::timestamp as newest "
        f"from {columns[table.asset].relation} t"
    )


def _join(key: Sequence[PostgresColumn], wanted: pa.Table) -> str:
    """Return a join with the wanted keys, which are passed in the query as one array per column."""
    names = [f"k{index}" for index in range(len(key))]
    arrays = [f"{literal(_array(wanted[column.name]))}::pg_catalog.{column.delivered_type}[]" for column in key]
    conditions = [_equal(column, f"wanted.{name}") for column, name in zip(key, names, strict=True)]
    return f"join unnest({', '.join(arrays)}) as wanted({', '.join(names)}) on {' and '.join(conditions)}"


def _equal(column: PostgresColumn, wanted: str) -> str:
    """Return a test for equality; in a nullable column, NULL equals NULL."""
    equal = f"{column.expression} = {wanted}"
    return f"({equal} or ({column.expression} is null and {wanted} is null))" if column.nullable else equal


def _array(values: pa.ChunkedArray) -> str:
    """Return the values as a PostgreSQL array literal."""
    texts = pc.cast(values, pa.string()).to_pylist()
    return "{" + ",".join("NULL" if text is None else _array_element(text) for text in texts) + "}"


def _array_element(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
