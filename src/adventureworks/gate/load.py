"""From the source into staging: a table's changed rows, batch by batch, bad rows into quarantine on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa

from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.columns import columns_of, key_of
from adventureworks.errors import TableBlocked
from adventureworks.gate.contract import Verdict, hold_against, with_whole_key
from adventureworks.settings import Settings
from adventureworks.source import Snapshot, open_source
from adventureworks.warehouse import open_warehouse, staging
from adventureworks.warehouse.postgres import Append, Connection, PostgresWarehouse

# Beyond this many rows in quarantine by one run the table is blocked anyway, and more would only fill the disk.
MOST_BAD_ROWS = 100_000

# Beyond this many keys to look up one by one, reading the table whole is quicker, and takes no memory for keys.
MOST_LATE_ROWS = 50_000

_NUMBER_OR_DATE = re.compile(r"-?\d{1,10}(?:[-: T.]\d{1,6})*")


def load(settings: Settings, run_id: str, assets: Sequence[str]) -> dict[str, int]:
    """Stages the changes of these tables, read from one snapshot; returns the rows read of each.

    A table that cannot be read as its contract says is marked blocked; the others go on. A lost connection raises
    ServiceUnavailable: run it again, staging starts anew.
    """
    warehouse, source = open_warehouse(settings), open_source(settings)
    counts: dict[str, int] = {}
    with source.snapshot() as snapshot, warehouse.bulk_loader() as append:
        for asset in assets:
            try:
                counts[asset] = _load_table(settings, warehouse, snapshot, append, run_id, SOURCE_TABLES[asset])
            except TableBlocked as blocked:
                with warehouse.connect("load") as connection:
                    mark_blocked(connection, run_id, blocked)
    return counts


def mark_blocked(connection: Connection, run_id: str, blocked: TableBlocked) -> None:
    """Remembers why a table of this run may not be published."""
    connection.execute(
        "update ops.change set status = 'blocked', blocked_rule = %s, blocked_cause = %s"
        " where run_id = %s and asset = %s",
        (blocked.rule, blocked.detail, run_id, blocked.table),
    )


def _load_table(
    settings: Settings,
    warehouse: PostgresWarehouse,
    snapshot: Snapshot,
    append: Append,
    run_id: str,
    entry: SourceTable,
) -> int:
    with warehouse.connect("load") as connection:
        connection.execute("delete from ops.quarantined_row where asset = %s and run_id = %s", (entry.asset, run_id))
        staging.start(connection, entry)
        watermark = _watermark(connection, entry.asset)
    whole = snapshot.complete or watermark is None
    since = None if whole or watermark is None else watermark - timedelta(minutes=settings.overlap_minutes)
    read = bad = 0
    keys_unknown = False
    for batch in _batches(warehouse, snapshot, append, entry, since):
        verdict = hold_against(entry, batch)
        append("staging", staging.rows_table(entry.asset), protected(entry, verdict.good))
        read += batch.num_rows
        bad += verdict.bad.height
        if verdict.rejections:
            with warehouse.connect("load") as connection:
                keys_unknown |= _put_in_quarantine(connection, entry, verdict, run_id)
            if bad > MOST_BAD_ROWS:
                raise TableBlocked(
                    entry.asset, "few_rows_are_set_aside", f"{bad:,} of {read:,} rows break the contract."
                )
    with warehouse.connect("load") as connection:
        staging.merge_repeats(connection, entry.asset, run_id)
        staging.set_aside_duplicates(connection, entry, run_id)
        staging.settle(connection, entry, whole=whole, find_gone=not keys_unknown, run_id=run_id)
        connection.execute(
            "update ops.change set status = 'staged', rows_read = %s, keys_unknown = %s, blocked_rule = null,"
            " blocked_cause = null where run_id = %s and asset = %s",
            (read, keys_unknown, run_id, entry.asset),
        )
    return read


def _watermark(connection: Connection, asset: str) -> datetime | None:
    """Up to which modification date the table is published; None where it never was."""
    row = connection.execute("select newest_change from ops.watermark where asset = %s", (asset,)).fetchone()
    return row[0] if row else None


def _batches(
    warehouse: PostgresWarehouse, snapshot: Snapshot, append: Append, entry: SourceTable, since: datetime | None
) -> Iterator[pa.RecordBatch]:
    """Everything, or what changed: rows from `since` on, and those that the comparison of keys finds besides."""
    if since is None:
        yield from snapshot.rows(entry)
        return
    names = staging.key_columns(entry)
    for batch in snapshot.keys(entry):
        frame = pl.DataFrame(batch)
        columns = [pl.col(column.name).cast(column.dtype) for column in names]
        append(
            "staging",
            staging.keys_table(entry.asset),
            with_whole_key(entry, frame.select(*columns, pl.col(entry.modified).alias("__modified"))),
        )
    with warehouse.connect("load") as connection:
        late = staging.keys_to_read(connection, entry, since.isoformat(sep=" "), MOST_LATE_ROWS)
    if late is None:
        yield from snapshot.rows(entry)
        return
    yield from snapshot.rows(entry, since)
    if late.num_rows:
        yield from snapshot.rows_by_key(entry, late)


def protected(entry: SourceTable, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame as the warehouse may hold it: secret columns cut down to what the catalogue allows."""
    columns = []
    for name, protection in entry.protected.items():
        text = pl.col(name).cast(pl.String)
        shown = pl.concat_str(pl.lit("…"), text.str.tail(4)) if protection == "last_four" else pl.lit("withheld")
        columns.append(pl.when(text.is_null()).then(None).otherwise(shown).alias(name))
    return frame.with_columns(columns) if columns else frame


def _put_in_quarantine(connection: Connection, entry: SourceTable, verdict: Verdict, run_id: str) -> bool:
    """Writes the bad rows of a batch; True if one of them does not tell its key."""
    key = key_of(entry)
    readable = {column.name: column.dtype for column in columns_of(entry)}
    rows = []
    unknown = False
    for row, rejection in zip(verdict.bad.iter_rows(named=True), verdict.rejections, strict=True):
        identity = {name: _shown(entry, row[name], readable[name]) for name in key}
        unknown |= any(value is None for value in identity.values()) or rejection.rule in {
            f"{name}_is_readable" for name in key
        }
        data = {name: _shown(entry, value, readable[name]) for name, value in row.items()}
        rows.append((entry.asset, row_key(identity), rejection.rule, rejection.message, _json(data), run_id))
    with (
        connection.cursor() as cursor,
        cursor.copy("copy ops.quarantined_row (asset, row_key, rule, message, row_data, run_id) from stdin") as copy,
    ):
        for values in rows:
            copy.write_row(values)
    return unknown


def _shown(entry: SourceTable, value: Any, dtype: pl.DataType) -> str | None:
    """A value of a bad row as quarantine may hold it.

    In a table with secrets a shifted row may carry one in any column: there, only short numbers and dates are kept.
    """
    text = as_text(value)
    if text is None or not entry.protected:
        return text
    harmless = dtype != pl.String and _NUMBER_OR_DATE.fullmatch(text)
    return text if harmless else f"({len(text)} characters withheld)"


def as_text(value: Any) -> str | None:
    """A value the way the warehouse casts it to text, so that keys compare."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        text = value.isoformat(sep=" ")
        return text.rstrip("0") if "." in text else text
    return str(value)


def row_key(identity: dict[str, str | None]) -> str:
    """A row's identity as the warehouse writes it (`jsonb`: short names first), so that keys compare as text."""
    return _json({name: identity[name] for name in sorted(identity, key=lambda name: (len(name), name))})


def _json(values: dict[str, str | None]) -> str:
    # PostgreSQL's text takes no NUL character.
    return json.dumps(values, ensure_ascii=False).replace("\\u0000", "�")
