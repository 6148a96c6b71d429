"""The embedded source database: creates its tables and loads them from Arrow data or a folder of files.

A load replaces the contents of the tables in a single transaction: if anything is wrong, nothing changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import polars as pl
import psycopg
import pyarrow as pa
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.columns import source_columns_of, with_computed
from adventureworks.errors import PlatformError, Step, TableBlocked
from adventureworks.postgres_sql import quoted
from adventureworks.source.addresses import PostgresAddress
from adventureworks.source.embedded_schema import missing_columns_script, schema_script
from adventureworks.source.files import FileSource
from adventureworks.source.postgres import LOAD_ID_PREFIX
from adventureworks.source.postgres_columns import relation
from adventureworks.source.postgres_errors import translated

Progress = Callable[[str, int], None]
"""Called with the asset and its number of rows once a table is loaded."""

TableData: TypeAlias = pa.Table | Iterable[pa.RecordBatch]

_BATCH_ROWS = 50_000
_LAYOUT_LOCK = 0x41_57_53  # serializes processes that create the tables at the same time
_COPY_LOCATION = re.compile(r"line (\d+)(?:, column (.+?)(?::|$))?")
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_NOTHING_CHANGED = Step("Nothing was changed. Fix it and load again:", "adventureworks source load DIR")


def prepare(url: SecretStr) -> None:
    """Create missing schemas, tables and triggers. `url` is that of the database's owner."""
    with _transaction(PostgresAddress.of(url)) as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", (_LAYOUT_LOCK,))
        connection.execute(schema_script().encode())


def is_empty(url: SecretStr) -> bool:
    """Return whether all tables are empty. The database must be prepared."""
    conditions = [f"exists (select from {relation(table)})" for table in SOURCE_TABLES.values()]
    with _transaction(PostgresAddress.of(url)) as connection:
        row = connection.execute(f"select {' or '.join(conditions)}".encode()).fetchone()
    return not (row and row[0])


def load_tables(
    url: SecretStr, tables: Iterable[tuple[str, TableData]], progress: Progress = lambda _asset, _rows: None
) -> dict[str, int]:
    """Replace the contents of the given tables (asset, data), and return their numbers of rows.

    Data has the contract's columns, typed or as text. If a value does not fit, raises `PlatformError` naming the table,
    row and column, and changes nothing.
    """
    sources = ((SOURCE_TABLES[asset], asset, data) for asset, data in tables)
    return _load(PostgresAddress.of(url), sources, progress)


def load_folder(
    url: SecretStr,
    folder: Path,
    progress: Progress = lambda _asset, _rows: None,
    allow_missing: bool = False,
) -> dict[str, int]:
    """Replace the contents of all tables with the files of a folder, and return their numbers of rows.

    Tables without a file are an error; with `allow_missing` they stay as they are. If a file or a value is invalid,
    raises `PlatformError` naming the file, row and column, and changes nothing.
    """
    source = FileSource(folder, _BATCH_ROWS)
    files, missing = _files(source)
    if missing and not (allow_missing and files):
        raise PlatformError(
            f"{folder} has no file for {len(missing)} tables: {', '.join(missing)}.",
            Step("Add them, or load only the other tables:", "adventureworks source load DIR --allow-missing"),
        )
    with source.snapshot() as snapshot:
        sources = ((table, file, snapshot.rows(table)) for table, file in files)
        return _load(PostgresAddress.of(url), sources, progress)


def _files(source: FileSource) -> tuple[list[tuple[SourceTable, str]], list[str]]:
    """Return tables with their file names, and assets without a file. Raises `PlatformError` for an invalid file."""
    files, missing = [], []
    for table in SOURCE_TABLES.values():
        try:
            delivery, _ = source.inspected(table)
            files.append((table, delivery.name))
        except TableBlocked as blocked:
            if blocked.rule != "file_is_there":
                raise _load_error(blocked) from blocked
            missing.append(table.asset)
    return files, missing


def _load(
    address: PostgresAddress, sources: Iterable[tuple[SourceTable, str, TableData]], progress: Progress
) -> dict[str, int]:
    """Load (table, name for messages, data) in one transaction."""
    loaded: dict[str, int] = {}
    with _transaction(address) as connection:
        for table, name, data in sources:
            loaded[table.asset] = _replace(connection, table, name, data)
            progress(table.asset, loaded[table.asset])
        # Rows may have changed while keeping their key and date; a new load ID makes readers read everything again.
        connection.execute(f"comment on schema dbo is '{LOAD_ID_PREFIX}{uuid4()}'".encode())
    _vacuum(address, [SOURCE_TABLES[asset] for asset in loaded])
    return loaded


def _replace(connection: psycopg.Connection, table: SourceTable, name: str, data: TableData) -> int:
    """Replace the rows. DELETE, not TRUNCATE, so that concurrent readers still see the old rows."""
    _restore_columns(connection, table)
    connection.execute(f"delete from {relation(table)}".encode())
    names = [column.name for column in source_columns_of(table)]
    statement = f"copy {relation(table)} ({', '.join(map(quoted, names))}) from stdin"
    rows = 0
    try:
        with connection.cursor().copy(statement.encode()) as copy:
            for batch in data.to_batches(_BATCH_ROWS) if isinstance(data, pa.Table) else data:
                copy.write(_copy_text(table, batch, names))
                rows += batch.num_rows
    except TableBlocked as blocked:
        raise _load_error(blocked) from blocked
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise _copy_error(error, table, name) from None
    return rows


def _restore_columns(connection: psycopg.Connection, table: SourceTable) -> None:
    """Add dropped columns again, only if there are any: ALTER TABLE waits for all readers of the table."""
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
        (relation(table),),
    )
    present = {name for (name,) in rows}
    if not present.issuperset(column.name for column in source_columns_of(table)):
        connection.execute(missing_columns_script(table).encode())


def _copy_text(table: SourceTable, batch: pa.RecordBatch, names: list[str]) -> bytes:
    """Return the batch in the text format of COPY: one line per row, whatever characters the values contain."""
    frame = pl.DataFrame(batch)
    if set(names) - set(frame.columns):
        frame = _with_computed(table, frame)
    frame = frame.select(pl.col(name).cast(pl.String) for name in names)
    special = [name for name in names if frame[name].str.contains(r"[\\\t\n\r]").any()]
    escaped = frame.with_columns(pl.col(name).str.replace_many(_ESCAPES) for name in special)
    text = escaped.write_csv(include_header=False, separator="\t", quote_style="never", null_value="\\N")
    return text.encode()


def _with_computed(table: SourceTable, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with the columns that the file left out; those that it has stay as they were delivered."""
    columns = {column.name: column for column in source_columns_of(table)}
    absent = [column for column in columns.values() if column.computed is not None and column.name not in frame.columns]
    read = {name for column in absent if column.computed is not None for name in column.computed.meta.root_names()}
    typed = frame.with_columns(pl.col(name).cast(columns[name].dtype, strict=False) for name in read)
    return frame.hstack(with_computed(table, typed).select(column.name for column in absent))


def _copy_error(error: psycopg.Error, table: SourceTable, name: str) -> PlatformError:
    """Return an error that locates a value that does not fit, and quotes it unless the table is protected."""
    location = _COPY_LOCATION.search(error.diag.context or "")
    row = f", row {location[1]}" if location else ""
    column = f", column {location[2]}" if location and location[2] else ""
    reason = "the value does not fit" if table.protected else error.diag.message_primary or "the value does not fit"
    return PlatformError(f"{name}{row}{column}: {reason}.", _NOTHING_CHANGED)


def _load_error(blocked: TableBlocked) -> PlatformError:
    return PlatformError(blocked.cause, _NOTHING_CHANGED)


def _vacuum(address: PostgresAddress, tables: list[SourceTable]) -> None:
    """Reclaim the space of deleted rows and update the planner's statistics."""
    with (
        translated(address),
        closing(psycopg.connect(address.conninfo.get_secret_value(), autocommit=True)) as connection,
    ):
        for table in tables:
            connection.execute(f"vacuum (analyze) {relation(table)}".encode())


@contextmanager
def _transaction(address: PostgresAddress) -> Iterator[psycopg.Connection]:
    """Open a transaction that commits at the end, or rolls back on an error."""
    with translated(address), psycopg.connect(address.conninfo.get_secret_value()) as connection:
        connection.execute("set client_min_messages to warning")
        yield connection
