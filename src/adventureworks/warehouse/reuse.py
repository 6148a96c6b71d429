"""Environments that reuse what another environment, by default production, has published.

An asset is reused if it was published for the columns of the current contracts: then it is a view on the other
environment's table, and the records of it are copied. `layout.own` turns the view into a table when the environment
publishes a version of its own. So an environment reads and computes only what differs.
"""

from __future__ import annotations

from collections.abc import Mapping

from adventureworks.catalog import MARTS, SOURCE_TABLES, Mart, SourceTable
from adventureworks.columns import columns_of, digest_of_columns
from adventureworks.errors import PlatformError
from adventureworks.postgres_sql import quoted
from adventureworks.warehouse import layout, publication
from adventureworks.warehouse.environments import SCHEMAS, schema_of
from adventureworks.warehouse.postgres import WarehouseConnection
from adventureworks.warehouse.publication import Publication
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.sql import names, table

_RECORDS = {
    "publication": "p.asset = any(%(reused)s) and p.version > coalesce("
    "(select max(version) from {own} as n where n.asset = p.asset), 0)",
    "watermark": "p.asset = any(%(reused)s)",
    "check_result": "p.asset = any(%(reused)s) and not exists"
    " (select 1 from {own} as n where n.asset = p.asset and n.run_id = p.run_id)",
    "column_profile": "p.asset = any(%(reused)s) and p.version is not null and not exists"
    " (select 1 from {own} as n where n.asset = p.asset and n.run_id = p.run_id)",
    "quarantined_row": "p.asset = any(%(reused)s) and p.status = 'open'",
    "memo": "not exists (select 1 from {own} as n where n.key = p.key)",
}
"""The records that are copied, with the condition on those (`p`) that this environment does not have yet."""
_REPLACED = ("watermark", "quarantined_row")
"""The tables in which the records of reused assets are replaced."""


def reuse(base: Session, here: Session) -> set[str]:
    """Bring an environment to the state of `base`, except for the assets that it has published itself.

    Returns the names of the reused assets. Both sessions are with the same PostgreSQL database.
    """
    reused = _show(base.records, here.records, _reusable(base.records))
    base.commit()
    layout.prepare(here)
    here.commit()
    for name in _RECORDS:
        _copy(base.records, here.records, name, reused)
    return reused


def _reusable(base: WarehouseConnection) -> dict[str, SourceTable | Mart]:
    """Return the assets of `base` that were published for the current columns; none if it has not been laid out."""
    present = {schema: base.columns_in(schema) for schema in (*layout.PUBLISHED, "ops")}
    if "watermark" not in present["ops"]:
        return {}
    read_for: dict[str, str] = dict(base.execute("select asset, columns_digest from ops.watermark").fetchall())
    published = {asset for (asset,) in base.execute("select distinct asset from ops.publication")}
    entries: list[SourceTable | Mart] = [*SOURCE_TABLES.values(), *MARTS.values()]
    return {
        entry.asset: entry
        for entry in entries
        if entry.asset in published
        and present[layout.published_schema(entry)].get(entry.asset, set()) >= {one.name for one in columns_of(entry)}
        and (isinstance(entry, Mart) or read_for.get(entry.asset) == digest_of_columns(entry))
    }


def _show(base: WarehouseConnection, here: WarehouseConnection, reusable: Mapping[str, SourceTable | Mart]) -> set[str]:
    """Show these assets as views on those of `base`, unless they are tables already; return the names of the views."""
    present = {schema: here.columns_in(schema) for schema in layout.PUBLISHED}
    views = {schema: here.views_in(schema) for schema in layout.PUBLISHED}
    if reusable:
        for schema in SCHEMAS:
            # Statements run on `base`, because `here` would take its own schemas for those of `base`.
            base.execute(f"create schema if not exists {_schema(here, schema)}".encode())
    shown = set()
    outdated = [(schema, asset) for schema, found in views.items() for asset in found - reusable.keys()]
    for schema, asset in outdated:
        base.execute(f"drop view {_schema(here, schema)}.{quoted(asset)} cascade".encode())
        base.execute(f"delete from {_schema(here, 'ops')}.publication where asset = %s".encode(), (asset,))
    changed = bool(outdated)
    for asset, entry in reusable.items():
        schema = layout.published_schema(entry)
        if asset in present[schema] and asset not in views[schema]:
            continue
        shown.add(asset)
        if present[schema].get(asset) != {column.name for column in columns_of(entry)}:
            view = f"{_schema(here, schema)}.{quoted(asset)}"
            base.execute(f"drop view if exists {view} cascade".encode())
            base.execute(f"create view {view} as {layout.published_rows(entry)}".encode())
            changed = True
    if changed and here.columns_in("ops"):
        base.execute(f"delete from {_schema(here, 'ops')}.layout".encode())
    return shown


def _copy(base: WarehouseConnection, here: WarehouseConnection, name: str, reused: set[str]) -> None:
    """Copy the records of the reused assets, in the columns that both environments have."""
    own = f"{_schema(here, 'ops')}.{quoted(name)}"
    if name in _REPLACED:
        base.execute(f"delete from {own} where asset = any(%(reused)s)".encode(), {"reused": sorted(reused)})
    columns = ", ".join(quoted(one) for one in sorted(base.columns_in("ops")[name] & here.columns_in("ops")[name]))
    base.execute(
        f"insert into {own} ({columns}) select {columns} from {table('ops', name)} as p"
        f" where {_RECORDS[name].format(own=own)}".encode(),
        {"reused": sorted(reused)},
    )


def _schema(here: WarehouseConnection, schema: str) -> str:
    return quoted(schema_of(here.environment, schema))


def promote(base: Session, here: Session, run_id: str) -> tuple[Publication, ...]:
    """Publish in `base` what an environment that reuses it has computed, and return the new versions.

    Marts that report on the state of an environment are left out. Raises `PlatformError` if the environment read the
    source itself, or if `base` has published newer versions since.
    """
    environment = here.records.environment
    layout.prepare(base)
    tables = sorted(here.records.columns_in("raw").keys() - here.records.views_in("raw"))
    if tables:
        raise PlatformError(
            f"{environment} holds its own version of {', '.join(tables[:3])}, which production must read itself.",
            f"Once it has, drop the environment, then: adventureworks environment build {environment}",
        )
    own = [MARTS[name] for name in MARTS if name not in here.records.views_in("marts") and not MARTS[name].tolerant]
    computed = {mart.name: found for mart in own if (found := publication.newest(here.records, mart.name))}
    newest = publication.newest_versions(base.records, [*SOURCE_TABLES, *MARTS])
    read = {asset: number for one in computed.values() for asset, number in one.inputs.items() if asset not in computed}
    moved = {asset for asset, number in read.items() if newest.get(asset) != number}
    moved |= {name for name in computed if newest.get(name, 0) != _reused_version(here.records, name)}
    if moved:
        raise PlatformError(
            f"Since {environment} was built, newer versions were published: {', '.join(sorted(moved)[:3])}.",
            f"Build it again: adventureworks environment build {environment}",
        )
    numbers = {name: newest.get(name, 0) + 1 for name in computed}
    for mart in own:
        if mart.name in computed:
            _promote_mart(base.records, here.records, mart, computed[mart.name], numbers, run_id)
            layout.show_published(base.data, mart)
    return tuple(publication.of_run(base.records, run_id))


def _promote_mart(
    base: WarehouseConnection,
    here: WarehouseConnection,
    mart: Mart,
    computed: Publication,
    numbers: Mapping[str, int],
    run_id: str,
) -> None:
    columns, published = names(column.name for column in columns_of(mart)), table("marts", mart.name)
    removed = base.execute(f"delete from {published}".encode()).rowcount
    added = base.execute(
        f"insert into {published} ({columns}) select {columns}"
        f" from {_schema(here, 'marts')}.{quoted(mart.name)}".encode()
    ).rowcount
    versions = publication.since(here, mart.name, numbers[mart.name] - 1)
    months = [month for version in versions for month in version.months or ()]
    publication.record(
        base,
        asset=mart.name,
        rows=added,
        changed_rows=max(removed, added),
        months=None if any(version.months is None for version in versions) else sorted(set(months)),
        set_aside=computed.set_aside,
        verdict=computed.verdict,
        run_id=run_id,
        inputs={asset: numbers.get(asset, number) for asset, number in computed.inputs.items()},
        model=computed.model,
        as_of=computed.as_of,
    )


def _reused_version(here: WarehouseConnection, mart: str) -> int:
    """Return the newest version of a mart that an environment reused; 0 if it reused none."""
    row = here.execute(
        "select coalesce(max(version), 0) from ops.publication where asset = %s"
        " and version < coalesce((select min(p.version) from ops.publication as p"
        " where p.asset = %s and p.run_id like '%%/environment\\_%%'), 0)",
        (mart, mart),
    ).fetchone()
    return int(row[0]) if row else 0
