"""Versions: what is published, since when, and from what. A version and its rows are committed together."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, TypedDict, Unpack

from adventureworks.catalog import SOURCE_TABLES, MonthOf, SourceTable
from adventureworks.postgres_sql import quoted
from adventureworks.warehouse import quarantine
from adventureworks.warehouse.numbers import order_of
from adventureworks.warehouse.postgres import Connection, WarehouseConnection
from adventureworks.warehouse.session import Data
from adventureworks.warehouse.sql import equal, month_queries, names, table
from adventureworks.warehouse.staging import SAME, StagedTable
from contracts.editions import Edition, edition_of

NOT_OFFERED = "not offered"
"""The state of a table that the source does not have and never had: neither a fault nor a loss."""

HELD = "held"
"""The state of a change of a table that is rolled back: it is read after the release."""


@dataclass(frozen=True)
class Publication:
    """A version of an asset, as announced to its consumers."""

    asset: str
    version: int
    rows: int
    changed_rows: int
    months: tuple[str, ...] | None
    """The months ('YYYY-MM') whose rows changed; None: any month may have changed."""
    set_aside: int
    verdict: str
    inputs: Mapping[str, int] = field(default_factory=dict)
    as_of: date | None = None
    """The business date of a mart."""
    model: str | None = None
    """The digest of a mart's model, contract and checks."""

    def as_extra(self) -> dict[str, Any]:
        """Return the payload of the asset event."""
        return {
            "version": self.version,
            "rows": self.rows,
            "rows_changed": self.changed_rows,
            "months": None if self.months is None else list(self.months),
            "rows_set_aside": self.set_aside,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Record:
    """A version with the time and the run of its publication."""

    publication: Publication
    published_at: datetime
    run_id: str
    changed_at: datetime | None = None
    """When the change was detected (source table), or its newest input was published (mart); None: unknown."""


_COLUMNS = "asset, version, rows, changed_rows, months, set_aside, verdict, inputs, as_of, model"


def _publication(row: Sequence[Any]) -> Publication:
    asset, version, rows, changed, months, set_aside, verdict, inputs, as_of, model = row
    return Publication(
        asset,
        version,
        rows,
        changed,
        None if months is None else tuple(json.loads(months)),
        set_aside,
        verdict,
        json.loads(inputs) if inputs else {},
        as_of,
        model,
    )


class Provenance(TypedDict):
    """What a version of a mart was computed from, and what follows directly from it."""

    set_aside: int
    verdict: str
    inputs: Mapping[str, int]
    model: str
    as_of: date
    checks: Mapping[str, str]


def record(
    records: Connection,
    *,
    asset: str,
    rows: int,
    changed_rows: int,
    months: Sequence[str] | None,
    set_aside: int,
    verdict: str,
    run_id: str,
    inputs: Mapping[str, int] | None = None,
    model: str | None = None,
    as_of: date | None = None,
    checks: Mapping[str, str] | None = None,
    is_kept: bool = False,
) -> None:
    """Record the next version of an asset. `is_kept`: what it changed is kept."""
    records.execute(
        "insert into ops.publication (asset, version, rows, changed_rows, months, set_aside, verdict, run_id, inputs,"
        " model, as_of, checks, kept) select cast(%(asset)s as varchar), coalesce(max(version), 0) + 1, %(rows)s,"
        " %(changed)s, %(months)s, %(set_aside)s, %(verdict)s, %(run)s, %(inputs)s, %(model)s, %(as_of)s, %(checks)s,"
        " %(kept)s"
        " from ops.publication where asset = cast(%(asset)s as varchar)",
        {
            "asset": asset,
            "rows": rows,
            "changed": changed_rows,
            "months": None if months is None else json.dumps(list(months)),
            "set_aside": set_aside,
            "verdict": verdict,
            "run": run_id,
            "inputs": _json(inputs),
            "model": model,
            "as_of": as_of,
            "checks": _json(checks),
            "kept": is_kept,
        },
    )


def confirm(records: Connection, asset: str, run_id: str, **provenance: Unpack[Provenance]) -> None:
    """Record that a run recomputed the newest version of a mart from these inputs and no row changed."""
    records.execute(
        "update ops.publication set confirmed_by = %(run)s, set_aside = %(set_aside)s, verdict = %(verdict)s,"
        " inputs = %(inputs)s, model = %(model)s, as_of = %(as_of)s, checks = %(checks)s where asset = %(asset)s"
        " and version = (select max(version) from ops.publication where asset = %(asset)s)",
        {
            **provenance,
            "asset": asset,
            "run": run_id,
            "inputs": _json(provenance["inputs"]),
            "checks": _json(provenance["checks"]),
        },
    )


def _json(found: Mapping[str, int | str] | None) -> str | None:
    return json.dumps(dict(found), sort_keys=True) if found else None


def interrupt(records: Connection, tables: Collection[str]) -> None:
    """Record that rows of these source tables may be published that belong to no version: see `interrupted`."""
    order = order_of(records, "change")
    records.execute(
        f"update ops.change as c set publishing = true where (c.asset, c.{order}) in"
        f" (select n.asset, max(n.{order}) from ops.change as n where n.asset = any(%s) group by n.asset)".encode(),
        (list(tables),),
    )


def invalidate(records: Connection, marts: Collection[str]) -> None:
    """Clear the model digest of the marts' newest versions, because their rows may not belong to those versions.

    So these marts are due, are computed in full, and get new versions, whatever rows are published.
    """
    records.execute(
        "update ops.publication as p set model = null where p.asset = any(%s)"
        " and p.version = (select max(n.version) from ops.publication as n where n.asset = p.asset)",
        (list(marts),),
    )


def newest_versions(records: Connection, assets: Sequence[str]) -> dict[str, int]:
    """Return the newest version of each asset; an asset that was never published is absent."""
    rows = records.execute(
        "select asset, max(version) from ops.publication where asset = any(%s) group by asset", (list(assets),)
    ).fetchall()
    return {asset: int(version) for asset, version in rows}


def newest(records: Connection, asset: str) -> Publication | None:
    """Return the newest version of an asset, or None if it was never published."""
    row = records.execute(
        f"select {_COLUMNS} from ops.publication where asset = %s order by version desc limit 1", (asset,)
    ).fetchone()
    return _publication(row) if row else None


def newest_of(records: Connection, assets: Collection[str]) -> dict[str, Publication]:
    """Return the newest version of each asset; an asset that was never published is absent."""
    rows = records.execute(
        f"select p.* from unnest(%s::varchar[]) as n (name) cross join lateral (select {_COLUMNS} from ops.publication"
        " where asset = n.name order by version desc limit 1) as p",
        (list(assets),),
    ).fetchall()
    return {version.asset: version for version in map(_publication, rows)}


def newest_records(records: Connection, asset: str, most: int) -> list[Record]:
    """Return the newest versions of an asset, newest first."""
    rows = records.execute(
        f"select {_COLUMNS}, published_at, run_id, coalesce(detected_at, inputs_at) from"
        " (select * from ops.publication where asset = %s order by version desc limit %s) as p"
        # Both have columns of the same names.
        " left join lateral (select c.detected_at from ops.change as c where c.run_id = p.run_id and c.asset = p.asset)"
        " as c on true"
        # A version that was confirmed later has newer inputs than at its publication.
        " left join lateral (select max(i.published_at) as inputs_at"
        " from json_each_text(p.inputs::json) as e (name, read)"
        " join ops.publication as i on i.asset = e.name and i.version = e.read::bigint"
        " where i.published_at <= p.published_at) as i on true"
        " order by version desc",
        (asset, most),
    ).fetchall()
    return [Record(_publication(row[:-3]), *row[-3:]) for row in rows]


def records_between(records: Connection, after: Mapping[str, int], until: Mapping[str, int]) -> list[Record]:
    """Return the versions of these assets after one version of each, up to another, newest first."""
    assets = [asset for asset in after if asset in until]
    rows = records.execute(
        f"select {_COLUMNS}, published_at, run_id from ops.publication"
        " join unnest(%s::varchar[], %s::bigint[], %s::bigint[]) as c (asset, after, until) using (asset)"
        " where version > after and version <= until order by published_at desc, asset, version desc",
        (assets, [after[asset] for asset in assets], [until[asset] for asset in assets]),
    ).fetchall()
    return [Record(_publication(row[:-2]), *row[-2:]) for row in rows]


def version_of(records: Connection, asset: str, version: int) -> Publication | None:
    """Return a version of an asset, or None if there is no record of it."""
    row = records.execute(
        f"select {_COLUMNS} from ops.publication where asset = %s and version = %s", (asset, version)
    ).fetchone()
    return _publication(row) if row else None


def lock(records: WarehouseConnection, dag: str, *, shared: bool = False) -> None:
    """Wait until no other transaction is publishing assets of a DAG, and keep others out until this one ends.

    Transactions that share the lock only wait for those that do not.
    """
    key = f"adventureworks publish {records.environment} {dag}"
    mode = "_shared" if shared else ""
    records.execute(f"select pg_advisory_xact_lock{mode}(hashtextextended(%s, 0))".encode(), (key,))


def of_run(records: Connection, run_id: str) -> list[Publication]:
    """Return the versions that a run published."""
    rows = records.execute(f"select {_COLUMNS} from ops.publication where run_id = %s order by asset", (run_id,))
    return [_publication(row) for row in rows.fetchall()]


def has_published(records: Connection, run_id: str) -> bool:
    """Return whether a run published a version, or was the last to confirm one."""
    query = "select 1 from ops.publication where %s in (run_id, confirmed_by) limit 1"
    return records.execute(query, (run_id,)).fetchone() is not None


def confirmed_by(records: Connection, run_id: str) -> list[Publication]:
    """Return the versions that this run was the last to confirm, with no changed rows."""
    rows = records.execute(f"select {_COLUMNS} from ops.publication where confirmed_by = %s order by asset", (run_id,))
    return [replace(_publication(row), changed_rows=0, months=()) for row in rows.fetchall()]


def since(records: Connection, asset: str, version: int) -> list[Publication]:
    """Return the versions of an asset after this one, oldest first."""
    rows = records.execute(
        f"select {_COLUMNS} from ops.publication where asset = %s and version > %s order by version", (asset, version)
    ).fetchall()
    return [_publication(row) for row in rows]


def unannounced(records: Connection, assets: Sequence[str]) -> list[Publication]:
    """Return the newest version of each asset whose event may not have been sent."""
    rows = records.execute(
        f"select distinct on (asset) {_COLUMNS} from ops.publication where not announced and asset = any(%s)"
        " order by asset, version desc",
        (list(assets),),
    ).fetchall()
    return [_publication(row) for row in rows]


def interrupted(records: Connection) -> set[str]:
    """Return the source tables for which a process that died may have published rows without recording a version."""
    return {asset for (asset,) in records.execute("select distinct asset from ops.change where publishing")}


def interrupted_in(records: Connection, run_id: str) -> set[str]:
    """Return the source tables of a run for which `interrupted` holds, or held when the run detected their changes."""
    rows = records.execute(
        "select asset from ops.change where run_id = %s and (publishing or resumes)", (run_id,)
    ).fetchall()
    return {asset for (asset,) in rows}


@dataclass(frozen=True)
class Offer:
    """What the source offered when the ingestion last looked for each table."""

    not_offered: frozenset[str]
    """The tables that it did not have."""
    editions: Mapping[str, Edition]
    """The edition as which each other table was detected, by asset, unless it is the full database."""

    @property
    def lacking(self) -> dict[str, frozenset[str]]:
        """The columns that it did not have of tables that it had, by asset."""
        return {asset: lacks for asset, edition in self.editions.items() if (lacks := edition.lacks(asset))}


def offer(records: Connection) -> Offer:
    """Return what the source offered when the ingestion last looked for each table."""
    rows = records.execute(
        "select known.asset, newest.status, newest.source from unnest(%s::varchar[]) as known (asset) cross join"
        " lateral (select source, status from ops.change as c where c.asset = known.asset"
        f" order by {order_of(records, 'change')} desc limit 1) as newest".encode(),
        (list(SOURCE_TABLES),),
    ).fetchall()
    found = {asset: source for asset, status, source in rows if status != NOT_OFFERED}
    return Offer(
        frozenset(asset for asset, *_ in rows) - found.keys(),
        {asset: edition for asset, source in found.items() if (edition := edition_of(source))},
    )


def not_offered(records: Connection) -> frozenset[str]:
    """Return the tables that the source did not offer when the ingestion last looked for them."""
    return offer(records).not_offered


def mark_announced(records: Connection, versions: Mapping[str, int]) -> None:
    """Record that these versions, and all earlier ones, were announced to consumers."""
    for asset, version in versions.items():
        records.execute(
            "update ops.publication set announced = true where asset = %s and version <= %s and not announced",
            (asset, version),
        )


@dataclass(frozen=True)
class StagedEffect:
    """What publishing a staged source table would change."""

    upserts: int
    deletes: int
    newly_set_aside: int
    closed: int
    """Rows that leave quarantine because they were repaired or deleted at the source."""

    @property
    def any(self) -> bool:
        """Whether anything changes for readers or for the verdict."""
        return bool(self.upserts or self.deletes or self.newly_set_aside or self.closed)


def merge(data: Data, staged: StagedTable, parent: StagedTable | None) -> tuple[StagedEffect, tuple[str, ...] | None]:
    """Apply a staged change to the published table; return what changed, and in which months.

    `parent`: the table with the dates of its rows, if that is another one that is staged, too.
    """
    key, columns = staged.key, staged.column_names
    months = _months(data, staged, staged.entry.month, parent) if staged.entry.month else None
    newly_set_aside, closed = quarantine.publish(data, staged.asset)
    deletes = data.execute(
        f"delete from {staged.published} as p"
        f" where exists (select 1 from {staged.gone} as g where {equal(key, 'p', 'g')})"
    ).rowcount
    values = [column for column in columns if column not in key]
    update = ", ".join(f"{quoted(c)} = r.{quoted(c)}" for c in values)
    upserts = data.execute(
        f"merge into {staged.published} as p using {staged.changed} as r"
        f" on {equal(key, 'p', 'r')}"
        f" when not matched then insert ({names(columns)}) values ({names(columns, 'r')})"
        + (f" when matched then update set {update}" if values else "")
    ).rowcount
    return StagedEffect(upserts, deletes, newly_set_aside, closed), months


def _months(data: Data, staged: StagedTable, month: MonthOf, parent: StagedTable | None) -> tuple[str, ...]:
    """Return the months of the changed rows, before and after, and of rows that enter or leave quarantine."""
    key, published = staged.key, staged.published
    changed = f"select r.* from {staged.rows} as r where not r.{quoted(SAME)}"
    before = (
        f"select p.* from {published} as p where exists (select 1 from ({changed}) as r where {equal(key, 'r', 'p')})"
    )
    deleted = (
        f"select p.* from {published} as p where exists (select 1 from {staged.gone} as g where {equal(key, 'g', 'p')})"
    )
    parts = []
    for relation in (changed, before, deleted):
        parents = parent.candidate_of(str(month.parent_key), f"({relation})") if parent else ""
        parts += month_queries(staged.entry, relation, parents)
    if not quarantine.is_empty(data, staged.asset):
        parts += _month_queries_of_set_aside(staged, month)
    found = data.execute(
        f"select distinct to_char(m.month, 'YYYY-MM') from ({' union all '.join(parts)}) as m"
        " where m.month is not null order by 1",
        {"asset": staged.asset},
    ).fetchall()
    return tuple(row[0] for row in found)


def _month_queries_of_set_aside(staged: StagedTable, month: MonthOf) -> list[str]:
    """Return queries for the months of rows that enter or leave quarantine.

    The months come from good rows with the same key or parent, because a bad row's own date may be wrong.
    """
    moving = (
        "from ops.quarantined_row as q where q.asset = %(asset)s"
        " and (q.status = 'staged' or q.status in ('open', 'discarded') and q.next_status is not null)"
    )
    if month.parent is None:
        same_key = " and ".join(f"q.row_key::jsonb ->> '{name}' = p.{quoted(name)}::varchar" for name in staged.key)
        return [
            f"select p.{quoted(month.column)} as month from {rows} as p where exists (select 1 {moving} and {same_key})"
            for rows in (staged.published, staged.rows)
        ]
    parents = f"select q.row_data::jsonb ->> '{month.parent_key}' {moving}"
    return [
        f"select h.{quoted(month.column)} as month from {table(schema, month.parent)} as h"
        f" where h.{quoted(str(month.parent_key))}::varchar in ({parents})"
        for schema in ("staging", "raw")
    ]


def latest_change(records: Connection, run_id: str, asset: str) -> datetime | None:
    """Return the latest possible modification time of the rows that a run read: see `gate.load`."""
    row = records.execute(
        "select coalesce(latest_change, cast(detected_at + interval '1 day' as timestamp)) from ops.change"
        " where run_id = %s and asset = %s",
        (run_id, asset),
    ).fetchone()
    return row[0] if row else None


def newest_change(data: Data, entry: SourceTable, latest: datetime | None) -> datetime | None:
    """Return the newest modification date among the published rows of a source table, ignoring any after `latest`."""
    return _newest(data, entry.asset, entry.modified, latest)


def newest_order(data: Data, latest: datetime | None = None) -> date | None:
    """Return the day of the newest published order, ignoring any after `latest`."""
    newest = _newest(data, "Sales_SalesOrderHeader", "OrderDate", latest)
    return newest.date() if newest else None


def _newest(data: Data, asset: str, column: str, latest: datetime | None) -> datetime | None:
    # As text, because drivers represent a missing date differently.
    row = data.execute(
        f"select cast(max({quoted(column)}) as varchar) from {table('raw', asset)}"
        f" where {quoted(column)} <= %(latest)s::timestamp",
        {"latest": (latest or datetime(9999, 12, 31)).isoformat(sep=" ")},  # noqa: DTZ001 - source dates have no zone
    ).fetchone()
    return datetime.fromisoformat(row[0]) if row and row[0] else None


def clear(records: Connection, before: datetime, consumed: Mapping[str, int]) -> None:
    """Delete versions from before a moment, except the newest ones and those that some mart has yet to consume.

    `consumed`: by asset, the oldest version that a mart is made of. An asset that no mart is made of is absent.
    """
    records.execute(
        "delete from ops.publication as p where p.published_at < %(before)s"
        " and p.version < (select max(n.version) from ops.publication as n where n.asset = p.asset)"
        " and not exists (select 1 from unnest(%(assets)s::varchar[], %(versions)s::bigint[]) as c (asset, version)"
        " where c.asset = p.asset and c.version < p.version)",
        {"before": before, "assets": list(consumed), "versions": list(consumed.values())},
    )
