"""Rollback of an analysis: readers see an earlier version of its marts until the rollback is released.

The marts of an analysis are published together, so they are rolled back together: each to the version that readers saw
together with the requested one. A rollback is a publication with a version number of its own, so the marts that read
it follow as after any other. Until the release, `due` finds nothing to compute for the analysis.
"""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from adventureworks.catalog import MARTS, SOURCE_TABLES, Mart, mart_named, marts_of
from adventureworks.errors import PlatformError, Step
from adventureworks.settings import Settings
from adventureworks.warehouse import intervention, kept, layout, open_warehouse, publication, reuse
from adventureworks.warehouse.postgres import WarehouseConnection
from adventureworks.warehouse.publication import Publication
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.sql import table


def roll_back(settings: Settings, asset: str, version: int, who: str, reason: str) -> dict[str, Publication]:
    """Publish an earlier version of a mart, and of the marts of its analysis, in one transaction.

    Return the new versions by mart; marts without an entry had not changed since. Raises `PlatformError` if a version
    is not kept.
    """
    mart = _mart(settings, asset)
    run_id = f"{mart.dag}/rollback_{uuid4().hex[:8]}"
    with open_warehouse(settings).connect(f"rollback {asset}") as session:
        layout.prepare(session)
        reuse.require_own_tables(session.records)
    with open_warehouse(settings).connect(f"rollback {asset}") as session:
        records = session.records
        publication.lock(records, mart.dag)
        targets = _targets(records, mart, version)
        for name, target in targets.items():
            _restore(session, MARTS[name], target, run_id, settings.keep_versions)
        _release(records, mart)
        intervention.record(records, "rollback", asset, who, reason, {"versions": targets}, in_force=True)
        return {one.asset: one for one in publication.of_run(records, run_id)}


def release(settings: Settings, asset: str, who: str, reason: str) -> None:
    """End the rollback of a mart, so that its analysis is computed again. Raises `PlatformError` if there is none."""
    mart = _mart(settings, asset)
    with open_warehouse(settings).connect(f"rollback {asset}") as session:
        layout.prepare(session)
        if not _release(session.records, mart):
            raise PlatformError(f"{asset} is not rolled back.", Step("See:", f"adventureworks status {asset}"))
        intervention.record(session.records, "release", asset, who, reason, {}, in_force=False)


def clear(session: Session, before: datetime) -> None:
    """Drop the kept rows of versions that were replaced before a moment, and the records of those of former marts."""
    records = session.records
    known = [mart.name for mart in MARTS.values() if kept.has_versions(mart)]
    records.execute("update ops.publication set kept = false where kept and asset <> all(%s)", (known,))
    rows = records.execute(
        "select asset, max(version) from ops.publication where kept and published_at < %s group by asset", (before,)
    ).fetchall()
    # A rollback must not restore a version of which only some rows are left.
    for dag in sorted({MARTS[asset].dag for asset, _ in rows}):
        publication.lock(records, dag)
    for asset, version in rows:
        kept.drop(session, MARTS[asset], int(version))


def _mart(settings: Settings, asset: str) -> Mart:
    if asset in SOURCE_TABLES:
        raise PlatformError(
            f"{asset} is a source table, and only marts can be rolled back.",
            "Correct the rows at the source, or roll back the marts that read them.",
        )
    mart = mart_named(asset)
    if not kept.has_versions(mart):
        raise PlatformError(f"{asset} reports on the current state; it has no earlier versions.")
    if settings.warehouse != "postgres":
        raise PlatformError(
            "In Snowflake, the platform keeps no earlier versions.",
            "To inspect earlier rows, use Time Travel: select * from marts.fact_sales at (offset => -3600)",
        )
    return mart


def _targets(records: WarehouseConnection, mart: Mart, version: int) -> dict[str, int]:
    """Return the earlier version of each mart of the analysis that has a newer one."""
    newest = publication.newest_versions(records, [one.name for one in marts_of(mart.dag)])
    if not 0 < version < newest.get(mart.name, 0):
        shown = f"has version {newest[mart.name]}" if mart.name in newest else "was never published"
        raise PlatformError(f"{mart.name} {shown}.", _kept_versions(records, mart.name, newest))
    rows = records.execute(
        "select asset, max(version) from ops.publication where asset = any(%(marts)s) and number <"
        " (select min(number) from ops.publication where asset = any(%(marts)s) and run_id ="
        " (select run_id from ops.publication where asset = %(mart)s and version = %(next)s)) group by asset",
        {"marts": list(newest), "mart": mart.name, "next": version + 1},
    ).fetchall()
    targets = {name: int(number) for name, number in rows if int(number) < newest[name]}
    for name, target in {mart.name: version, **targets}.items():
        if target < kept.oldest(records, name):
            raise PlatformError(
                f"Version {target} of {name} is not kept any more.", _kept_versions(records, name, newest)
            )
    return targets


def _kept_versions(records: WarehouseConnection, name: str, newest: dict[str, int]) -> str:
    """Return which earlier versions of a mart are kept, as a sentence."""
    first, last = kept.oldest(records, name), newest.get(name, 0) - 1
    if first > last:
        return f"No earlier version of {name} is kept."
    shown = f"{first}" if first == last else f"{first} to {last}"
    return f"Versions of {name} that are kept: {shown}."


def _restore(session: Session, mart: Mart, target: int, run_id: str, most: int) -> None:
    records = session.records
    version = publication.newest_versions(records, [mart.name])[mart.name] + 1
    earlier = publication.version_of(records, mart.name, target)
    if earlier is None:
        raise PlatformError(f"There is no record of version {target} of {mart.name}.", "Name a later version.")
    changed, months = kept.restore(session, mart, target, version, most)
    row = session.data.execute(f"select count(*) from {table('marts', mart.name)}").fetchone()
    publication.record(
        records,
        asset=mart.name,
        rows=int(row[0]) if row else 0,
        changed_rows=changed,
        months=months if mart.incremental else None,
        set_aside=earlier.set_aside,
        verdict=earlier.verdict,
        run_id=run_id,
        inputs=earlier.inputs,
        # Without the records of all later inputs, nothing says which months to compute after the release.
        model=earlier.model if _are_recorded(records, earlier) else None,
        as_of=earlier.as_of,
        is_kept=True,
    )


def _are_recorded(records: WarehouseConnection, earlier: Publication) -> bool:
    """Return whether there is a record of each version of its inputs that was published since."""
    newest = publication.newest_versions(records, list(earlier.inputs))
    return all(
        len(publication.since(records, asset, number)) == newest[asset] - number
        for asset, number in earlier.inputs.items()
    )


def _release(records: WarehouseConnection, mart: Mart) -> bool:
    """End the rollback of a mart's analysis; return whether there was one."""
    found = intervention.rolled_back(records).get(mart.name)
    if found:
        intervention.end(records, found.number)
    return found is not None
