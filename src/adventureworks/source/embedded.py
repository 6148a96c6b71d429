"""The embedded source database: laid out, asked whether it is empty, and filled from Arrow data or a folder of files.

Filling replaces what the tables held, in one transaction: all of it, or, where anything is wrong, nothing.
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
from adventureworks.columns import source_columns_of
from adventureworks.errors import PlatformError, TableBlocked
from adventureworks.source.embedded_schema import missing_columns_script, schema_script
from adventureworks.source.files import FileSource
from adventureworks.source.postgres import FILLED
from adventureworks.source.postgres_columns import quoted, relation
from adventureworks.source.postgres_errors import Address, translated

Progress = Callable[[str, int], None]
"""Called with the asset and its number of rows when a table is loaded."""

TableData: TypeAlias = pa.Table | Iterable[pa.RecordBatch]

_BATCH_ROWS = 50_000
_LAYOUT_LOCK = 0x41_57_53  # two processes that lay out the database at once would trip over each other
_COPY_PLACE = re.compile(r"line (\d+)(?:, column (.+?)(?::|$))?")
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_NOTHING_CHANGED = "Nothing was changed. Mend it and load again: adventureworks source load DIR"


def prepare(url: SecretStr) -> None:
    """Creates the schemas, tables and triggers that are missing. `url` is that of the database's owner."""
    with _transaction(Address.of(url)) as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", (_LAYOUT_LOCK,))
        connection.execute(schema_script().encode())


def is_empty(url: SecretStr) -> bool:
    """Whether no table holds a row. The database must be prepared."""
    questions = [f"exists (select from {relation(table)})" for table in SOURCE_TABLES.values()]
    with _transaction(Address.of(url)) as connection:
        row = connection.execute(f"select {' or '.join(questions)}".encode()).fetchone()
    return not (row and row[0])


def load_tables(
    url: SecretStr, tables: Iterable[tuple[str, TableData]], progress: Progress = lambda _asset, _rows: None
) -> dict[str, int]:
    """Replaces the contents of the given tables (asset, data), and returns their numbers of rows.

    Data has the contract's columns, typed or as text. Raises PlatformError, naming table, row and column, where a value
    does not fit; then nothing was changed.
    """
    sources = ((SOURCE_TABLES[asset], asset, data) for asset, data in tables)
    return _load(Address.of(url), sources, progress)


def load_folder(
    url: SecretStr,
    folder: Path,
    progress: Progress = lambda _asset, _rows: None,
    allow_missing: bool = False,
) -> dict[str, int]:
    """Replaces the contents of all tables with the files of a folder, and returns their numbers of rows.

    Tables without a file are an error; with `allow_missing` they stay as they are. Raises PlatformError, naming file,
    row and column, where a file or a value is broken; then nothing was changed.
    """
    source = FileSource(folder, _BATCH_ROWS)
    files, missing = _files(source)
    if missing and not (allow_missing and files):
        raise PlatformError(
            f"{folder} has no file for {len(missing)} tables: {', '.join(missing)}.",
            "Add them, or load the others alone: adventureworks source load DIR --allow-missing",
        )
    with source.snapshot() as snapshot:
        sources = ((table, file, snapshot.rows(table)) for table, file in files)
        return _load(Address.of(url), sources, progress)


def _files(source: FileSource) -> tuple[list[tuple[SourceTable, str]], list[str]]:
    """The tables with the names of their files, and the assets without one. Raises PlatformError for a broken file."""
    files, missing = [], []
    for table in SOURCE_TABLES.values():
        try:
            delivery, _ = source.inspected(table)
            files.append((table, delivery.path.name))
        except TableBlocked as blocked:
            if blocked.rule != "file_is_there":
                raise _refused(blocked) from blocked
            missing.append(table.asset)
    return files, missing


def _load(
    address: Address, sources: Iterable[tuple[SourceTable, str, TableData]], progress: Progress
) -> dict[str, int]:
    """Loads (table, name for messages, data) in one transaction."""
    loaded: dict[str, int] = {}
    with _transaction(address) as connection:
        for table, name, data in sources:
            loaded[table.asset] = _replace(connection, table, name, data)
            progress(table.asset, loaded[table.asset])
        # Rows may now differ under an old key and date: whoever remembers the old filling has to read all of it again.
        connection.execute(f"comment on schema dbo is '{FILLED}{uuid4()}'".encode())
    _tidy(address, [SOURCE_TABLES[asset] for asset in loaded])
    return loaded


def _replace(connection: psycopg.Connection, table: SourceTable, name: str, data: TableData) -> int:
    """Deletes, rather than truncates, so that whoever reads the table now still sees it whole."""
    _restore_columns(connection, table)
    connection.execute(f"delete from {relation(table)}".encode())
    names = [column.name for column in source_columns_of(table)]
    statement = f"copy {relation(table)} ({', '.join(map(quoted, names))}) from stdin"
    rows = 0
    try:
        with connection.cursor().copy(statement.encode()) as copy:
            for batch in data.to_batches(_BATCH_ROWS) if isinstance(data, pa.Table) else data:
                copy.write(_copy_text(batch, names))
                rows += batch.num_rows
    except TableBlocked as blocked:
        raise _refused(blocked) from blocked
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise _misfit(error, table, name) from None
    return rows


def _restore_columns(connection: psycopg.Connection, table: SourceTable) -> None:
    """Adds dropped columns again. Only where there are any: changing a table waits until nobody reads it."""
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
        (relation(table),),
    )
    present = {name for (name,) in rows}
    if not present.issuperset(column.name for column in source_columns_of(table)):
        connection.execute(missing_columns_script(table).encode())


def _copy_text(batch: pa.RecordBatch, names: list[str]) -> bytes:
    """The batch in the text format of COPY: one line per row, whatever the texts hold."""
    frame = pl.DataFrame(batch).select(pl.col(name).cast(pl.String) for name in names)
    special = [name for name in names if frame[name].str.contains(r"[\\\t\n\r]").any()]
    escaped = frame.with_columns(pl.col(name).str.replace_many(_ESCAPES) for name in special)
    text = escaped.write_csv(include_header=False, separator="\t", quote_style="never", null_value="\\N")
    return text.encode()


def _misfit(error: psycopg.Error, table: SourceTable, name: str) -> PlatformError:
    """Where the value is that does not fit; the value itself only where the table holds no secrets."""
    place = _COPY_PLACE.search(error.diag.context or "")
    row = f", row {place[1]}" if place else ""
    column = f", column {place[2]}" if place and place[2] else ""
    reason = "the value does not fit" if table.protected else error.diag.message_primary or "the value does not fit"
    return PlatformError(f"{name}{row}{column}: {reason}.", _NOTHING_CHANGED)


def _refused(blocked: TableBlocked) -> PlatformError:
    return PlatformError(blocked.cause, _NOTHING_CHANGED)


def _tidy(address: Address, tables: list[SourceTable]) -> None:
    """Clears away the deleted rows and counts the new ones for the planner."""
    with (
        translated(address),
        closing(psycopg.connect(address.conninfo.get_secret_value(), autocommit=True)) as connection,
    ):
        for table in tables:
            connection.execute(f"vacuum (analyze) {relation(table)}".encode())


@contextmanager
def _transaction(address: Address) -> Iterator[psycopg.Connection]:
    """Commits at the end, or rolls back when an error passes through."""
    with translated(address), psycopg.connect(address.conninfo.get_secret_value()) as connection:
        connection.execute("set client_min_messages to warning")
        yield connection
