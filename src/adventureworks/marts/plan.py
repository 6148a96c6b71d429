"""What an analysis has to compute: the versions that it consumed last against those published now.

Events only wake; what is to be done is read from `ops.publication`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from adventureworks.catalog import MARTS, Mart, marts_of, outside_inputs
from adventureworks.marts import models
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_warehouse, publication
from adventureworks.warehouse.postgres import Connection


@dataclass(frozen=True)
class Plan:
    """What an analysis has to compute, and from what."""

    inputs: Mapping[str, int]
    """Version of each input, as read."""
    months: tuple[str, ...] | None
    """The months to compute ('YYYY-MM'); None: all."""
    as_of: date
    """The business date: nothing later counts."""


@dataclass(frozen=True)
class NothingToDo:
    """Why an analysis has nothing to compute; `waits`: for an input that is about to be published."""

    reason: str
    waits: bool = False


def plan(settings: Settings, dag: str) -> Plan | NothingToDo:
    """Compares the versions that an analysis consumed with those published now."""
    with open_warehouse(settings).connect(f"plan {dag}") as connection:
        layout.prepare(connection)
        return plan_now(settings, connection, dag)


def plan_now(settings: Settings, connection: Connection, dag: str) -> Plan | NothingToDo:
    """The plan, as the connection's transaction sees the versions."""
    inputs = outside_inputs(dag)
    versions = publication.newest_versions(connection, inputs)
    missing = [asset for asset in inputs if asset not in versions]
    if missing:
        return NothingToDo(f"{', '.join(missing)} {'was' if len(missing) == 1 else 'were'} never published")
    due = [asset for asset in inputs if asset in MARTS and _is_due(settings, connection, MARTS[asset])]
    if due:
        return NothingToDo(f"{', '.join(due)} will be published first, and that starts this analysis again", waits=True)
    marts = marts_of(dag)
    last = _last_build(connection, marts[-1])
    as_of = _as_of(settings, connection)
    if last is None or last.model != models.digest(marts):
        return Plan(versions, None, as_of)
    changed = [asset for asset in inputs if versions[asset] > last.inputs.get(asset, 0)]
    if not changed and as_of == last.as_of:
        return NothingToDo("no input changed since the last run")
    # A business date that moved brings or takes the days in between.
    months = set(months_between(as_of, last.as_of)) if as_of != last.as_of else set()
    for asset in changed:
        for version in publication.since(connection, asset, last.inputs.get(asset, 0)):
            if version.months is None:
                return Plan(versions, None, as_of)
            months.update(version.months)
    return Plan(versions, tuple(sorted(months)), as_of)


@dataclass(frozen=True)
class _LastBuild:
    inputs: Mapping[str, int]
    model: str
    as_of: date


def _last_build(connection: Connection, mart: Mart) -> _LastBuild | None:
    row = connection.execute(
        "select inputs, model, as_of from ops.publication where asset = %s order by version desc limit 1", (mart.name,)
    ).fetchone()
    return _LastBuild(json.loads(row[0]), row[1], row[2]) if row else None


def _as_of(settings: Settings, connection: Connection) -> date:
    """The business date: configured, or that of the newest order."""
    if settings.as_of:
        return settings.as_of
    row = connection.execute('select max("OrderDate")::date from raw."Sales_SalesOrderHeader"').fetchone()
    return row[0] if row and row[0] else date.min


def months_between(one: date, other: date) -> list[str]:
    """The months ('YYYY-MM') from one day to the other, both included."""
    first, last = (day.year * 12 + day.month - 1 for day in sorted((one, other)))
    return [f"{month // 12:04}-{month % 12 + 1:02}" for month in range(first, last + 1)]


def _is_due(settings: Settings, connection: Connection, mart: Mart) -> bool:
    """Whether a mart's own analysis has something to compute, or waits for one that has."""
    step = plan_now(settings, connection, mart.dag)
    return isinstance(step, Plan) or step.waits
