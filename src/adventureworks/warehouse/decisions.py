"""What people decided about rows in quarantine (`ops.row_decision`), and what is to be read again (`ops.replay`).

A decision concerns one row of a table, by its key, and ends when the source changes or deletes that row.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from adventureworks.warehouse.postgres import Connection, WarehouseConnection

CORRECTED, DISCARDED, WITHDRAWN, REOPENED = "corrected", "discarded", "withdrawn", "reopened"
"""The kinds of decisions. Until the row is judged again, a correction that was taken back is `withdrawn`, with its
values, and a discarded row is `reopened`. A row may have several withdrawn corrections: a run that was in progress may
have published any of them."""
MOST_CORRECTIONS = 10_000
"""The most corrections of a table that may be in force; a fault of more rows has to be fixed at the source."""


@dataclass(frozen=True)
class Correction:
    """A row that takes the place of a row of the source."""

    row: Mapping[str, str | None]
    """Its values as text, by column."""
    replaces: str
    """The digest of the source row (`gate.row_text.digest`)."""


@dataclass(frozen=True)
class Decisions:
    """The decisions in force that one person took on rows of a table for one reason."""

    asset: str
    kind: str
    decided_by: str
    reason: str
    rows: int
    decided_at: datetime
    """The time of the last one."""


def are_recorded(records: WarehouseConnection) -> bool:
    """Return whether the table of decisions exists. A warehouse that an older version used last lacks it."""
    return records.has_table("ops", "row_decision")


def correct(records: Connection, asset: str, found: Mapping[str, Correction], by: str) -> None:
    """Record corrections, by the row's key. They replace earlier ones."""
    end(records, asset, CORRECTED, found, "replaced")
    rows = [json.dumps(one.row, ensure_ascii=False) for one in found.values()]
    records.execute(
        "insert into ops.row_decision (asset, row_key, kind, decided_by, replaces, row_data)"
        " select %s, n.row_key, %s, %s, n.replaces, n.row_data"
        " from unnest(%s::varchar[], %s::varchar[], %s::varchar[]) as n (row_key, replaces, row_data)",
        (asset, CORRECTED, by, list(found), [one.replaces for one in found.values()], rows),
    )


def discard(records: Connection, asset: str, keys: Collection[str], by: str, reason: str) -> None:
    """Record that rows with these keys are discarded, who decided it, and why."""
    for kind in (DISCARDED, REOPENED):
        end(records, asset, kind, keys, "replaced")
    _add(records, asset, DISCARDED, keys, by, reason)


def withdraw(records: Connection, asset: str, keys: Collection[str], by: str, reason: str) -> None:
    """End the corrections of rows with these keys, and record who takes them back, and why."""
    records.execute(
        # Not `current_timestamp`, the start of a transaction that may have waited for an ingestion.
        "insert into ops.row_decision (asset, row_key, kind, decided_by, decided_at, reason, replaces, row_data)"
        " select asset, row_key, %s, %s, clock_timestamp(), %s, replaces, row_data from ops.row_decision"
        " where asset = %s and kind = %s and row_key = any(%s) and ended_at is null",
        (WITHDRAWN, by, reason, asset, CORRECTED, list(keys)),
    )
    end(records, asset, CORRECTED, keys, "withdrawn")


def reopen(records: Connection, asset: str, keys: Collection[str], by: str, reason: str) -> None:
    """End the discards of rows with these keys, and record who takes them back, and why."""
    end(records, asset, DISCARDED, keys, "withdrawn")
    end(records, asset, REOPENED, keys, "replaced")
    _add(records, asset, REOPENED, keys, by, reason)


def end_judged_again(records: Connection, asset: str, run_id: str) -> None:
    """End the decisions taken back before the start of a run that has judged their rows again: see `take_replays`.

    Corrected rows are published, so only a whole reading judges them again.
    """
    records.execute(
        "update ops.row_decision as d set ended_at = current_timestamp, ended_because = 'judged again'"
        " from ops.change as c where c.run_id = %(run)s and c.asset = %(asset)s and d.asset = %(asset)s"
        " and (d.kind = %(withdrawn)s and c.whole or d.kind = %(reopened)s)"
        " and d.ended_at is null and d.run_id = c.run_id",
        {"asset": asset, "withdrawn": WITHDRAWN, "reopened": REOPENED, "run": run_id},
    )


def _add(records: Connection, asset: str, kind: str, keys: Collection[str], by: str, reason: str) -> None:
    records.execute(
        "insert into ops.row_decision (asset, row_key, kind, decided_by, decided_at, reason)"
        " select %s, n.row_key, %s, %s, clock_timestamp(), %s from unnest(%s::varchar[]) as n (row_key)",
        (asset, kind, by, reason, list(keys)),
    )


def corrections(records: Connection, asset: str) -> dict[str, Correction]:
    """Return the corrections in force, by the row's key."""
    rows = records.execute(
        "select row_key, row_data, replaces from ops.row_decision where asset = %s and kind = %s and ended_at is null",
        (asset, CORRECTED),
    ).fetchall()
    return {key: Correction(json.loads(row), replaces) for key, row, replaces in rows}


def withdrawn(records: Connection, asset: str) -> list[tuple[str, dict[str, str | None]]]:
    """Return the rows of the corrections that were taken back and not judged again, each with the row's key."""
    rows = records.execute(
        "select row_key, row_data from ops.row_decision where asset = %s and kind = %s and ended_at is null",
        (asset, WITHDRAWN),
    ).fetchall()
    return [(key, json.loads(row)) for key, row in rows]


def keys(records: Connection, asset: str, kind: str) -> set[str]:
    """Return the keys of the rows with a decision of this kind in force."""
    rows = records.execute(
        "select row_key from ops.row_decision where asset = %s and kind = %s and ended_at is null", (asset, kind)
    ).fetchall()
    return {key for (key,) in rows}


def end(records: Connection, asset: str, kind: str, keys: Collection[str], because: str) -> None:
    """End the decisions of this kind on rows with these keys."""
    if keys:
        records.execute(
            "update ops.row_decision set ended_at = current_timestamp, ended_because = %s"
            " where asset = %s and kind = %s and row_key = any(%s) and ended_at is null",
            (because, asset, kind, list(keys)),
        )


def in_force(records: Connection, asset: str = "") -> list[Decisions]:
    """Return the decisions in force, of all tables or one, by table, kind, person and reason."""
    rows = records.execute(
        "select asset, kind, decided_by, reason, count(distinct row_key), max(decided_at) from ops.row_decision"
        " where ended_at is null and (%(asset)s = '' or asset = %(asset)s)"
        " group by asset, kind, decided_by, reason order by asset, kind, max(decided_at) desc",
        {"asset": asset},
    ).fetchall()
    return [Decisions(*row) for row in rows]


def clear(records: Connection, before: datetime) -> None:
    """Delete the decisions that ended before a moment."""
    records.execute("delete from ops.row_decision where ended_at < %s", (before,))


def request_replay(records: Connection, asset: str, by: str, *, whole: bool = False) -> None:
    """Ask the next ingestion to read a table's rows in quarantine again; `whole`: all of its rows."""
    records.execute(
        "insert into ops.replay as r (asset, requested_by, whole) values (%s, %s, %s) on conflict (asset) do update set"
        " requested_by = excluded.requested_by, requested_at = current_timestamp, run_id = null,"
        " whole = r.whole or excluded.whole",
        (asset, by, whole),
    )


def requested_replays(records: Connection) -> dict[str, datetime]:
    """Return the tables whose rows in quarantine are to be read again, with the time of the request."""
    return dict(records.execute("select asset, requested_at from ops.replay").fetchall())


def take_replays(records: Connection, run_id: str) -> dict[str, bool]:
    """Return the tables to read again, and whether all rows of each, and note that this run reads them.

    Also note that this run judges again the rows of decisions that were taken back.
    """
    records.execute(
        "update ops.row_decision set run_id = %s where kind = any(%s) and ended_at is null",
        (run_id, [WITHDRAWN, REOPENED]),
    )
    return dict(records.execute("update ops.replay set run_id = %s returning asset, whole", (run_id,)).fetchall())


def finish_replays(records: Connection, run_id: str) -> None:
    """Delete the requests that a run took and that nobody has repeated since."""
    records.execute("delete from ops.replay where run_id = %s", (run_id,))
