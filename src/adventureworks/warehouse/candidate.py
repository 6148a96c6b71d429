"""Records of what is staged for an asset, and by which attempt, so that nothing else can be published.

An attempt of a task that Airflow has given up may still be running beside its retry. So each attempt that stages rows
takes a number first (`begin`), and every transaction in which it writes makes sure that no other attempt has begun
(`require`). It holds the number until it ends, so that the other attempt waits for what is being written.

A crash of PostgreSQL empties staging tables, and on every engine another run may replace them. So the transaction that
fills them records their contents in `ops.candidate`. A verdict counts only if the contents still match the record once
the verdict has been reached, and a publication is committed only if they still match just before the commit.

The builds of marts that depend on a part of an input also record the contents of that part, so that a later build can
tell whether it has changed since.

Comparing afterwards is enough: a staging table that was emptied or replaced never returns to its earlier contents
without being staged again, by another attempt.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from adventureworks.catalog import Mart, Part, SourceTable
from adventureworks.columns import columns_of
from adventureworks.errors import CandidateLost, Overtaken, ServiceUnavailable
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.session import Contents, Data, Session
from adventureworks.warehouse.staging import SAME, StagedTable, rows_table

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_ATTEMPTS = 3
"""How often a step is tried, with its candidate staged again each time, before the task fails and is retried later."""

Staged = dict[str, Contents]
"""What was written of each part: the rows of a mart or table (`rows`), and the keys to delete of a table (`gone`)."""


def with_restaging(step: Callable[[], T], stage: Callable[[], T | None]) -> T:
    """Run a step and return its result; if its candidate was lost, call `stage` to build it again, and retry the step.

    If `stage` returns something, there is nothing left to do, and that is returned. Raises `ServiceUnavailable` if the
    candidate is lost on every attempt.
    """
    for _ in range(MAX_ATTEMPTS):
        try:
            return step()
        except CandidateLost as lost:
            log.warning("%s", lost)
            result = stage()
            if result is not None:
                return result
    raise ServiceUnavailable("Staged rows were lost repeatedly.", "The task is retried automatically.")


@dataclass(frozen=True)
class Attempt:
    """An attempt of a run to stage or judge assets, with its number for each."""

    run_id: str
    numbers: Mapping[str, int]


def begin(records: Connection, run_id: str, assets: Collection[str]) -> Attempt:
    """Begin an attempt that may stage these assets; from now on, no earlier one may write anything of them."""
    rows = records.execute(
        "insert into ops.candidate as c (asset, run_id, attempt)"
        " select asset, %s, 1 from unnest(%s::varchar[]) as a (asset)"
        " on conflict (asset) do update set attempt = c.attempt + 1, run_id = excluded.run_id,"
        " contents = case when c.run_id = excluded.run_id then c.contents end returning asset, attempt",
        (run_id, sorted(assets)),
    ).fetchall()
    return Attempt(run_id, dict(rows))


def hold(records: Connection, run_id: str, assets: Collection[str]) -> Attempt:
    """Return the last attempt at those of these assets that the run staged or judged last.

    None of these assets can be staged by another attempt before this transaction ends.
    """
    rows = records.execute(
        # In the order of `begin`, whatever the collation of the database.
        'select asset, run_id, attempt from ops.candidate where asset = any(%s) order by asset collate "C" for update',
        (sorted(assets),),
    ).fetchall()
    return Attempt(run_id, {asset: number for asset, owner, number in rows if owner == run_id})


def require(records: Connection, attempt: Attempt, *assets: str) -> None:
    """Raise `Overtaken` if another attempt has begun at its assets, or at these of them; none can until the commit."""
    numbers = {asset: attempt.numbers[asset] for asset in assets or attempt.numbers}
    if hold(records, attempt.run_id, numbers).numbers != numbers:
        cause = f"Another attempt has begun to stage or judge what {attempt.run_id} stages or judges."
        raise Overtaken(cause, "No action is needed: that one continues.")


def record(session: Session, attempt: Attempt, *entries: SourceTable | Mart) -> None:
    """Record what an attempt staged for these assets."""
    require(session.records, attempt, *(entry.asset for entry in entries))
    _save(session.records, {entry.asset: _staged(session.data, entry) for entry in entries})


def shrink(session: Session, attempt: Attempt, entry: SourceTable, removed: int) -> None:
    """Record the contents after the gate removed rows. Raises `CandidateLost` if more than these rows are missing."""
    require(session.records, attempt, entry.asset)
    recorded = _recorded(session.records, attempt.run_id, [entry]).get(entry.asset)
    found = _staged(session.data, entry)
    if recorded is None or _rows(recorded) - removed != _rows(found):
        raise CandidateLost(f"The staged rows of {entry.asset} are not the rows that were loaded.")
    _save(session.records, {entry.asset: found})


def lost(session: Session, run_id: str, entries: Collection[SourceTable] | Collection[Mart]) -> tuple[str, ...]:
    """Return the assets whose staged contents differ from what the run recorded."""
    recorded = _recorded(session.records, run_id, entries)
    return tuple(
        entry.asset
        for entry in entries
        if entry.asset not in recorded or recorded[entry.asset] != _staged(session.data, entry)
    )


def contents_of(data: Data, part: Part) -> Contents:
    """Return row count and digest of a part of an input."""
    return data.contents("staging", part.view, part.columns)


def record_part(records: Connection, run_id: str, mart: Mart, version: int, contents: Contents) -> None:
    """Record what a run computes a mart from: the version of the input and the contents of the part that it reads."""
    records.execute(
        "insert into ops.candidate (asset, run_id, contents) values (%s, %s, %s)"
        " on conflict (asset) do update set run_id = excluded.run_id, contents = excluded.contents",
        (_part_name(mart), run_id, json.dumps({str(version): contents})),
    )


def is_part_published(records: Connection, mart: Mart, version: int, contents: Contents) -> bool:
    """Return whether the newest version of a mart was computed from, or confirmed with, these contents of its part.

    `version`: the version of the input that it was computed from. False if that is not known.
    """
    row = records.execute(
        "select c.contents from ops.publication as p join ops.candidate as c"
        " on c.asset = %s and c.run_id in (p.run_id, p.confirmed_by) where p.asset = %s"
        " and p.version = (select max(n.version) from ops.publication as n where n.asset = p.asset)"
        " and c.contents is not null",
        (_part_name(mart), mart.name),
    ).fetchone()
    return row is not None and json.loads(row[0]) == {str(version): contents}


def forget_part(records: Connection, mart: Mart) -> None:
    """Have the next run compute and check a mart, even if the part of an input on which it depends stays the same."""
    withdraw(records, [_part_name(mart)])


def _part_name(mart: Mart) -> str:
    return f"{mart.name}__part"


def withdraw(records: Connection, assets: Collection[str]) -> None:
    """Have the run in progress, if there is one, stage these assets again before it publishes them."""
    # Locked in the order of `begin`, because attempts may be in progress.
    records.execute(
        "with locked as materialized"
        ' (select asset from ops.candidate where asset = any(%s) order by asset collate "C" for update)'
        " update ops.candidate as c set contents = null from locked as l where l.asset = c.asset",
        (list(assets),),
    )


def _save(records: Connection, contents: Mapping[str, Staged]) -> None:
    records.execute(
        "update ops.candidate as c set contents = s.contents from unnest(%s::varchar[], %s::varchar[])"
        " as s (asset, contents) where c.asset = s.asset",
        (list(contents), [json.dumps(found) for found in contents.values()]),
    )


def _recorded(
    records: Connection, run_id: str, entries: Collection[SourceTable] | Collection[Mart]
) -> dict[str, Staged]:
    """Return the recorded contents of those of these assets that the run staged, by asset."""
    rows = records.execute(
        "select asset, contents from ops.candidate where asset = any(%s) and run_id = %s and contents is not null",
        ([entry.asset for entry in entries], run_id),
    ).fetchall()
    return {asset: json.loads(contents) for asset, contents in rows}


def _staged(data: Data, entry: SourceTable | Mart) -> Staged:
    if isinstance(entry, Mart):
        return {"rows": data.written("staging", rows_table(entry.asset), [one.name for one in columns_of(entry)])}
    staged = StagedTable(entry)
    return {
        "rows": data.written("staging", staged.rows_table, [*staged.column_names, SAME]),
        "gone": data.written("staging", staged.gone_table, staged.key),
    }


def _rows(staged: Staged) -> int:
    return sum(int(rows) for rows, _ in staged.values())
