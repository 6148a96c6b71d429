"""Interventions: what people did to published data, in `ops.intervention`, with who, why and when.

Every function runs in the caller's transaction and does not commit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from adventureworks.catalog import MARTS, SOURCE_TABLES, published_with
from adventureworks.warehouse.postgres import Connection, WarehouseConnection

Kind = Literal["backfill", "rollback", "release", "approval"]


@dataclass(frozen=True)
class Intervention:
    """One intervention."""

    number: int
    kind: Kind
    asset: str
    who: str
    reason: str
    run_id: str
    """The last run that used an approval, or that published the rows of a rollback; empty: none yet."""
    detail: Mapping[str, Any]
    begun_at: datetime
    ended_at: datetime | None
    """None: it is in force."""

    @property
    def version(self) -> int:
        """The version that a rollback gives readers of its asset."""
        return int(self.detail["versions"][self.asset])

    @property
    def as_rollback(self) -> str:
        """The state of the assets that a rollback concerns, as a phrase."""
        reason = f": {self.reason}" if self.reason else ""
        return f"rolled back to version {self.version} of {self.asset} by {self.who}{reason}"


_COLUMNS = "number, kind, asset, who, reason, run_id, detail, begun_at, ended_at"


def record(
    records: Connection, kind: Kind, asset: str, who: str, reason: str, detail: Mapping[str, Any], *, in_force: bool
) -> None:
    """Record an intervention; `in_force`: it has an effect until it is ended."""
    records.execute(
        "insert into ops.intervention (kind, asset, who, reason, detail, ended_at)"
        " values (%s, %s, %s, %s, %s, case when %s then null else current_timestamp end)",
        (kind, asset, who, reason, json.dumps(dict(detail), sort_keys=True), in_force),
    )


def rolled_back(records: WarehouseConnection) -> dict[str, Intervention]:
    """Return the rollbacks in force, by asset. A rollback covers everything that is published with its asset."""
    if not _has_table(records):
        return {}
    found = _select(records, "kind = 'rollback' and ended_at is null")
    # A table or mart may have been renamed or removed since.
    return {name: one for one in found if one.asset in {**SOURCE_TABLES, **MARTS} for name in published_with(one.asset)}


def held_tables(records: WarehouseConnection) -> frozenset[str]:
    """Return the source tables that are rolled back, so that nothing newer of them is published."""
    return frozenset(rolled_back(records).keys() & SOURCE_TABLES.keys())


def end(records: Connection, number: int) -> None:
    """Record that an intervention is no longer in force."""
    records.execute("update ops.intervention set ended_at = current_timestamp where number = %s", (number,))


def approvals(records: Connection) -> list[Intervention]:
    """Return the approvals in force, oldest first."""
    return _select(records, "kind = 'approval' and ended_at is null")


def use(records: Connection, number: int, run_id: str) -> None:
    """Record that a run uses an approval, or has published the rows of a rollback."""
    records.execute("update ops.intervention set run_id = %s where number = %s", (run_id, number))


def of_asset(records: WarehouseConnection, asset: str, most: int) -> list[Intervention]:
    """Return the newest interventions on an asset, newest first."""
    return _select(records, "asset = %s", (asset,))[: -most - 1 : -1] if _has_table(records) else []


def _has_table(records: WarehouseConnection) -> bool:
    """Return whether there are such records; a command may read those of the previous release."""
    return bool(records.layout) or records.has_table("ops", "intervention")


def _select(records: Connection, condition: str, values: Sequence[Any] = ()) -> list[Intervention]:
    rows = records.execute(
        f"select {_COLUMNS} from ops.intervention where {condition} order by number".encode(), values
    ).fetchall()
    return [
        Intervention(number, kind, asset, who, reason, run_id, json.loads(detail), begun_at, ended_at)
        for number, kind, asset, who, reason, run_id, detail, begun_at, ended_at in rows
    ]


def clear(records: Connection, before: datetime) -> None:
    """Delete the interventions that ended before a moment."""
    records.execute("delete from ops.intervention where ended_at < %s", (before,))
