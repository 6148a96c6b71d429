"""What an analysis has to compute: the versions that it consumed last against those published now.

Events only wake; what is to be done is read from `ops.publication`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from adventureworks.catalog import MARTS, Mart, feeds_of, marts_of, outside_inputs
from adventureworks.columns import columns_of
from adventureworks.marts import models
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_warehouse, publication
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.sql import table

Months = tuple[str, ...] | None
"""The months of a mart to compute ('YYYY-MM'); None: all of it."""


@dataclass(frozen=True)
class Plan:
    """What an analysis has to compute, and from what."""

    inputs: Mapping[str, int]
    """Version of each input from outside the analysis, as read."""
    months: Mapping[str, Months]
    """The marts that have to be computed, each with its months."""
    as_of: date
    """The business date: nothing later counts."""


@dataclass(frozen=True)
class NothingToDo:
    """Why an analysis has nothing to compute; `waits`: for an input that is about to be published, or that is `stuck`:
    its gate refused it, and it needs a change."""

    reason: str
    waits: bool = False
    stuck: bool = False


def plan(settings: Settings, dag: str) -> Plan | NothingToDo:
    """Compares the versions that an analysis consumed with those published now."""
    with open_warehouse(settings).connect(f"plan {dag}") as connection:
        layout.prepare(connection)
        return plan_now(settings, connection, dag)


def plan_now(settings: Settings, connection: Connection, dag: str) -> Plan | NothingToDo:
    """The plan, as the connection's transaction sees the versions."""
    return _Planner(settings, connection).plan(dag)


@dataclass(frozen=True)
class _LastBuild:
    inputs: Mapping[str, int]
    model: str
    as_of: date


@dataclass(frozen=True)
class _Change:
    """A mart has to follow its inputs, if only by noting that none of its months changed."""

    months: Months


class _Planner:
    """Plans of one moment; an analysis that several others wait for is planned once."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._connection = connection
        self._as_of = _as_of(settings, connection)
        self._plans: dict[str, Plan | NothingToDo] = {}

    def plan(self, dag: str) -> Plan | NothingToDo:
        if dag not in self._plans:
            self._plans[dag] = self._compare(dag)
        return self._plans[dag]

    def _compare(self, dag: str) -> Plan | NothingToDo:
        inputs = outside_inputs(dag)
        versions = publication.newest_versions(self._connection, inputs)
        tolerant = all(mart.tolerant for mart in marts_of(dag))
        missing = [asset for asset in inputs if asset not in versions]
        if missing and not (tolerant and versions):
            return NothingToDo(f"{', '.join(missing)} {'was' if len(missing) == 1 else 'were'} never published")
        waits = [wait for asset in inputs if asset in MARTS and (wait := self._wait_for(MARTS[asset], inputs))]
        if tolerant:
            waits = [wait for wait in waits if not wait.stuck]
        if waits:
            reasons = "; ".join(dict.fromkeys(wait.reason for wait in waits))
            return NothingToDo(reasons, waits=True, stuck=all(wait.stuck for wait in waits))
        months: dict[str, Months] = {}
        for mart in marts_of(dag):
            change = self._change(mart, versions, months)
            if change:
                months[mart.name] = change.months
        if not months:
            return NothingToDo("no input changed since the last run")
        return Plan(versions, months, self._as_of)

    def _wait_for(self, mart: Mart, shared: tuple[str, ...]) -> NothingToDo | None:
        """Why a reader of this mart has to wait, who reads these inputs himself too; None if he has not."""
        step = self.plan(mart.dag)
        if isinstance(step, NothingToDo):
            return step if step.waits else None
        if mart.name not in step.months:
            return None
        last = self._last_build(mart)
        moved = {a for a in feeds_of(mart) if last is None or step.inputs.get(a) != last.inputs.get(a)}
        if last and not moved and last.as_of == self._as_of:
            # Only its model is another one: no event tells of that, and the last version agrees with everything.
            return None
        if not self._was_refused(mart.dag, step):
            return NothingToDo(f"{mart.name} will be published first, and that starts this analysis again", waits=True)
        # A new version will not come before something else changes. The last good one may be read meanwhile, unless
        # its readers would see it beside inputs that are newer than those it was made of.
        if last is None or last.as_of != self._as_of or moved & set(shared):
            reason = f"{mart.name} was refused by its gate, and would not agree with newer inputs"
            return NothingToDo(reason, waits=True, stuck=True)
        return None

    def _was_refused(self, dag: str, step: Plan) -> bool:
        """Whether the gate refused just what would be computed again."""
        row = self._connection.execute(
            "select inputs, model, as_of from ops.build where dag = %s and refused", (dag,)
        ).fetchone()
        if row is None:
            return False
        return (json.loads(row[0]), row[1], row[2]) == (dict(step.inputs), models.digest_of(dag), step.as_of)

    def _last_build(self, mart: Mart) -> _LastBuild | None:
        row = self._connection.execute(
            "select inputs, model, as_of from ops.publication where asset = %s order by version desc limit 1",
            (mart.name,),
        ).fetchone()
        return _LastBuild(json.loads(row[0]), row[1], row[2]) if row else None

    def _change(self, mart: Mart, versions: Mapping[str, int], own: Mapping[str, Months]) -> _Change | None:
        """What of a mart has to be computed; `own`: the same of the marts of its analysis that come before it."""
        last = self._last_build(mart)
        if last is None or last.model != models.digest(mart):
            return _Change(None)
        news = [own[name] for name in mart.inputs if name in own]
        for asset in mart.inputs:
            # An input that was not there yet had no version.
            known = last.inputs.get(asset, 0)
            since = publication.since(self._connection, asset, known) if asset in versions else []
            news += [version.months if asset in mart.by_month else None for version in since]
        if self._as_of != last.as_of:
            # A business date that moved brings or takes the days in between.
            news.append(tuple(months_between(self._as_of, last.as_of)))
        if mart.tolerant and self._was_judged_since(mart):
            news.append(None)
        if not news:
            return None
        months = [change for change in news if change is not None]
        if not mart.incremental or len(months) < len(news):
            return _Change(None)
        return _Change(tuple(sorted(self._with_echoes(mart, {month for change in months for month in change}))))

    def _was_judged_since(self, mart: Mart) -> bool:
        """Whether a table was read or a mart checked since, be it that it was blocked and so has no new version."""
        row = self._connection.execute(
            "select exists (select 1 from ops.watermark where read_at > p.at) or exists (select 1 from ops.check_result"
            " where asset <> %(mart)s and checked_at > p.at)"
            " from (select max(published_at) as at from ops.publication where asset = %(mart)s) as p",
            {"mart": mart.name},
        ).fetchone()
        return bool(row and row[0])

    def _with_echoes(self, mart: Mart, months: set[str]) -> set[str]:
        if any(column.name == "is_partial" for column in columns_of(mart)):
            months = months | self._months_that_turned(mart)
        return months | {later(month, echo) for month in months for echo in mart.echoes}

    def _months_that_turned(self, mart: Mart) -> set[str]:
        """Months that are partial now and were not, or the reverse, as their neighbours or the business date decide."""
        rows = self._connection.execute(
            f"select distinct to_char(m.month, 'YYYY-MM') from {table('marts', mart.name)} as m"
            " left join staging.sales_month as s on s.month = m.month where m.is_partial is distinct from s.is_partial"
        ).fetchall()
        return {row[0] for row in rows}


def _as_of(settings: Settings, connection: Connection) -> date:
    """The business date: configured, or that of the newest order."""
    if settings.as_of:
        return settings.as_of
    # Versions that were published before they told of it do not tell.
    return publication.business_date(connection) or publication.newest_order(connection) or date.min


def months_between(one: date, other: date) -> list[str]:
    """The months ('YYYY-MM') from one day to the other, both included."""
    first, last = (day.year * 12 + day.month - 1 for day in sorted((one, other)))
    return [f"{month // 12:04}-{month % 12 + 1:02}" for month in range(first, last + 1)]


def later(month: str, months: int) -> str:
    """The month ('YYYY-MM') so many months later."""
    place = int(month[:4]) * 12 + int(month[5:]) - 1 + months
    return f"{place // 12:04}-{place % 12 + 1:02}"
