"""Read the facts from which `due` decides what an analysis has to compute.

Events only start runs; what there is to do is read from `ops.publication`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from psycopg.rows import dict_row

from adventureworks.catalog import MARTS, SOURCE_TABLES, Mart
from adventureworks.columns import columns_of
from adventureworks.due import (
    NO_BUSINESS_DATE,
    Check,
    Decisions,
    Facts,
    Months,
    NothingToDo,
    Plan,
    Refusal,
    Version,
    decide,
    step_of,
)
from adventureworks.incidents.ledger import BUILDING, LATE, task_of, task_rule
from adventureworks.marts import models
from adventureworks.marts.reads import absent_columns
from adventureworks.postgres_sql import quoted
from adventureworks.settings import Settings
from adventureworks.warehouse import intervention, layout, open_warehouse, publication
from adventureworks.warehouse.numbers import NUMBER, order_of
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.session import Data, Session
from adventureworks.warehouse.sql import equal, names, table

ORDERS = "Sales_SalesOrderHeader"


def plan(settings: Settings, dag: str) -> Plan | NothingToDo:
    """Return what an analysis has to compute, by the versions that it consumed and those published now."""
    with open_warehouse(settings).connect(f"plan {dag}") as session:
        layout.prepare(session)
        return plan_now(settings, session, dag)


def plan_now(
    settings: Settings, session: Session, dag: str, requested: Mapping[str, Months] | None = None
) -> Plan | NothingToDo:
    """Return the plan of an analysis, from the versions that the connection's transaction sees.

    `requested`: months of its marts to compute in any case.
    """
    facts = replace(read_facts(settings, session), requested=requested or {})
    step = step_of(facts, dag)
    if isinstance(step, NothingToDo):
        # Return before the data is queried: an idle check must not resume a warehouse that is billed by the minute.
        return step
    changed = {name: _months_with_changed_completeness(session.data, MARTS[name]) for name in step.months}
    return step_of(replace(facts, completeness_changed=changed), dag) if any(changed.values()) else step


def decide_now(settings: Settings, session: Session) -> Decisions:
    """Return the decision for every analysis. Its plans may lack months that became partial or complete."""
    return decide(read_facts(settings, session))


def runnable(settings: Settings) -> frozenset[str]:
    """Return the analyses that can run now."""
    with open_warehouse(settings).connect("plan") as session:
        return frozenset(decide_now(settings, session).runnable)


def read_facts(settings: Settings, session: Session) -> Facts:
    """Return the facts of one moment, except the months that became partial or complete."""
    versions = _versions(session.records)
    orders = versions.get(ORDERS)
    as_of = (
        settings.as_of
        # A version may be older than the column `as_of`. Only then is the data queried.
        or (orders[-1].as_of or publication.newest_order(session.data) if orders else None)
        or NO_BUSINESS_DATE
    )
    offered = publication.offer(session.records)
    open_rules = session.records.execute("select asset, rule from ops.incident where status <> 'resolved'").fetchall()
    stopped = {LATE, *map(task_rule, BUILDING)}
    return Facts(
        as_of=as_of,
        versions=versions,
        models=models.digests(settings.checks_folder / "marts"),
        as_of_since=None if settings.as_of else _first_version_of(session.records, as_of),
        refusals=_refusals(session.records),
        checks=_last_checks(session.records),
        in_trouble=frozenset(asset for asset, rule in open_rules if rule in stopped),
        undelivered=frozenset(asset for asset, rule in open_rules if task_of(rule)[1]),
        not_offered=offered.not_offered,
        absent_columns=absent_columns(offered.lacking, settings.checks_folder / "marts"),
        rolled_back={
            MARTS[name].dag: found.as_rollback
            for name, found in intervention.rolled_back(session.records).items()
            if name in MARTS
        },
    )


def oldest_consumed(records: Connection) -> dict[str, int]:
    """Return, by asset, the oldest version from which any mart's newest version was computed.

    Later versions may still be needed.
    """
    return _oldest_consumed(_newest(records))


def _newest(records: Connection) -> dict[str, tuple[Version, ...]]:
    found = _select_versions(
        records,
        "select p.* from unnest(%s::varchar[]) as n (asset) cross join lateral"
        " (select * from ops.publication as p where p.asset = n.asset order by version desc limit 1) as p",
        [*SOURCE_TABLES, *MARTS],
    )
    return {asset: (version,) for asset, version in found}


def _versions(records: Connection) -> dict[str, tuple[Version, ...]]:
    """Return, by asset, its newest version and those after the oldest one from which a mart was computed."""
    versions = _newest(records)
    consumed = _oldest_consumed(versions)
    missed = {asset: number for asset, number in consumed.items() if number < versions[asset][-1].number - 1}
    if missed:
        older: dict[str, list[Version]] = defaultdict(list)
        found = _select_versions(
            records,
            "select p.* from ops.publication as p"
            " join unnest(%s::varchar[], %s::bigint[]) as c (asset, version) using (asset)"
            " where p.version > c.version order by p.asset, p.version",
            list(missed),
            list(missed.values()),
        )
        for asset, version in found:
            older[asset].append(version)
        versions |= {asset: tuple(found) for asset, found in older.items()}
    return versions


def _select_versions(records: Connection, query: str, *values: Sequence[Any]) -> list[tuple[str, Version]]:
    with records.cursor(row_factory=dict_row) as cursor:
        return [(row["asset"], _version(row)) for row in cursor.execute(query.encode(), values).fetchall()]


def _version(row: Mapping[str, Any]) -> Version:
    return Version(
        row["version"],
        row["published_at"],
        None if row["months"] is None else tuple(json.loads(row["months"])),
        json.loads(row["inputs"] or "{}"),
        row["model"],
        row["as_of"],
        # A command may read the records of the previous release.
        json.loads(row.get("checks") or "{}"),
    )


def _oldest_consumed(versions: Mapping[str, tuple[Version, ...]]) -> dict[str, int]:
    """Return, by asset, the oldest version from which any mart's newest version was computed."""
    oldest: dict[str, int] = {}
    for name in MARTS:
        for version in versions.get(name, ()):
            for asset, number in version.inputs.items():
                if asset in versions:
                    oldest[asset] = min(number, oldest.get(asset, number))
    return oldest


def _first_version_of(records: Connection, as_of: date) -> datetime | None:
    row = records.execute(
        "select min(published_at) from ops.publication where asset = %s and as_of = %s", (ORDERS, as_of)
    ).fetchone()
    return row[0] if row else None


def _refusals(records: Connection) -> dict[str, Refusal]:
    with records.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("select * from ops.build where refused").fetchall()
    return {
        # A command may read the records of the previous release.
        row["dag"]: Refusal(
            json.loads(row["inputs"]), row["model"], row["as_of"], json.loads(row.get("checks") or "{}")
        )
        for row in rows
    }


def _last_checks(records: Connection) -> dict[str, Check]:
    """Return the last reading or check of each table, and the last check of each mart that is not tolerant."""
    if order_of(records, "check_result") != NUMBER:
        # The records are those of the previous release. Tolerant marts are due anyway: their model has changed.
        return {}
    rows = records.execute(
        "select n.asset, concat(extract(epoch from w.read_at), '/', c.number), greatest(w.read_at, c.checked_at)"
        " from unnest(%s::varchar[]) as n (asset) left join ops.watermark as w on w.asset = n.asset"
        " left join lateral (select number, checked_at from ops.check_result as r where r.asset = n.asset"
        " order by number desc limit 1) as c on true where w.asset is not null or c.number is not null",
        ([*SOURCE_TABLES, *(mart.name for mart in MARTS.values() if not mart.tolerant)],),
    ).fetchall()
    return {asset: Check(mark, at) for asset, mark, at in rows}


def _months_with_changed_completeness(data: Data, mart: Mart) -> frozenset[str]:
    """Return the months that became partial or complete because their neighbours or the business date changed."""
    columns = {column.name for column in columns_of(mart)}
    if mart.compares:
        differing = _differently_compared(mart, mart.compares)
    elif "is_partial" in columns:
        view, key = ("channel_month", ("month", "channel")) if "channel" in columns else ("sales_month", ("month",))
        shown = f"select distinct {names(key)}, is_partial from {table('marts', mart.name)}"
        differing = (
            f"select m.month from ({shown}) as m left join {table('staging', view)} as s on {equal(key, 's', 'm')}"
            " where m.is_partial is distinct from s.is_partial"
        )
    else:
        return frozenset()
    rows = data.execute(f"select distinct to_char(d.month, 'YYYY-MM') from ({differing}) as d").fetchall()
    return frozenset(row[0] for row in rows)


def _differently_compared(mart: Mart, column: str) -> str:
    """Return a SELECT of the months that are compared but should not be, or should be but are not, in a channel."""
    shown = f"select month, channel, max(case when {quoted(column)} is null then 0 else 1 end) as is_compared"
    shown += f" from {table('marts', mart.name)} group by month, channel"
    a_year_before = "b.channel = m.channel and b.month = cast(m.month - interval '12 months' as date)"
    return (
        f"with shown as ({shown}), complete as (select month, channel from staging.channel_month where not is_partial)"
        " select coalesce(due.month, shown.month) as month from ("
        f"select distinct m.month, m.channel from complete as m join complete as b on {a_year_before}"
        # Where nothing was sold in either month, nothing is compared.
        " join shown as s on s.channel = m.channel and s.month in (m.month, b.month)"
        ") as due full join shown on shown.month = due.month and shown.channel = due.channel"
        " where coalesce(shown.is_compared, 0) <> case when due.month is null then 0 else 1 end"
    )
