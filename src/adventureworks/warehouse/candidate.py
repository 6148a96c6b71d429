"""What is staged for an asset: rows and digest as they were loaded or built, so that nothing else can be published.

A crash of PostgreSQL empties staging tables, and on every engine another run may replace them. So their contents are
recorded in `ops.candidate` by the transaction that makes them. A verdict counts only if the contents are still the
recorded ones when it has been reached, and a publication only if they are when it is about to be committed.

Comparing afterwards is enough: a staging table that was emptied or replaced never becomes what it was by itself.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection
from typing import TypeVar

from adventureworks.catalog import Mart, SourceTable
from adventureworks.columns import columns_of, key_of
from adventureworks.errors import CandidateLost, ServiceUnavailable
from adventureworks.warehouse import staging
from adventureworks.warehouse.postgres import WarehouseConnection

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_TRIES = 3
"""How often a candidate is staged again before the task gives up and is retried later."""

Contents = dict[str, list[int | str]]
"""Rows and digest of each part: a mart's months; a table's rows to write (`rows`) and keys to delete (`gone`)."""


def staged_again(step: Callable[[], T], stage: Callable[[], T | None]) -> T:
    """Return what a step returns; where it finds its candidate lost, `stage` makes it anew and the step is tried again.

    If `stage` returns something, there is nothing left to do, and that is returned. Raises ServiceUnavailable where the
    candidate is lost again and again.
    """
    for _ in range(MOST_TRIES):
        try:
            return step()
        except CandidateLost as lost:
            log.warning("%s", lost)
            ended = stage()
            if ended is not None:
                return ended
    raise ServiceUnavailable("Staged rows were lost again and again.", "It is tried again.")


def record(connection: WarehouseConnection, run_id: str, entry: SourceTable | Mart) -> None:
    """Notes what a run staged for an asset. Only the last run's note is kept."""
    _note(connection, run_id, entry, _contents(connection, entry))


def shrink(connection: WarehouseConnection, run_id: str, entry: SourceTable, removed: int) -> None:
    """Notes the contents after the gate took rows out. Raises CandidateLost if more is missing than these rows."""
    recorded, found = _recorded(connection, run_id, entry), _contents(connection, entry)
    if recorded is None or _rows(recorded) - removed != _rows(found):
        raise CandidateLost(f"The staged rows of {entry.asset} are not those that were loaded.")
    _note(connection, run_id, entry, found)


def lost(
    connection: WarehouseConnection, run_id: str, entries: Collection[SourceTable] | Collection[Mart]
) -> tuple[str, ...]:
    """Return the assets whose staged contents are not what the run recorded."""
    return tuple(
        entry.asset
        for entry in entries
        if (recorded := _recorded(connection, run_id, entry)) is None or recorded != _contents(connection, entry)
    )


def _note(connection: WarehouseConnection, run_id: str, entry: SourceTable | Mart, contents: Contents) -> None:
    connection.execute(
        "insert into ops.candidate (asset, run_id, contents) values (%s, %s, %s)"
        " on conflict (asset) do update set run_id = excluded.run_id, contents = excluded.contents",
        (entry.asset, run_id, json.dumps(contents)),
    )


def _recorded(connection: WarehouseConnection, run_id: str, entry: SourceTable | Mart) -> Contents | None:
    row = connection.execute(
        "select contents from ops.candidate where asset = %s and run_id = %s", (entry.asset, run_id)
    ).fetchone()
    return json.loads(row[0]) if row else None


def _contents(connection: WarehouseConnection, entry: SourceTable | Mart) -> Contents:
    columns = [column.name for column in columns_of(entry)]
    rows = staging.rows_table(entry.asset)
    if isinstance(entry, Mart):
        return connection.contents("staging", rows, columns, by_month_of=entry.dated)
    to_write = connection.contents("staging", rows, [*columns, staging.SAME])
    to_delete = connection.contents("staging", staging.gone_table(entry.asset), key_of(entry))
    return {part: of_all[""] for part, of_all in (("rows", to_write), ("gone", to_delete)) if of_all}


def _rows(contents: Contents) -> int:
    return sum(int(rows) for rows, _ in contents.values())
