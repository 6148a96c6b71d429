"""Rollback of tables and marts: readers see an earlier version until the rollback is released.

What is published together is rolled back together, the marts of an analysis and the tables of a publish unit: each to
the version that readers saw together with the requested one. A rollback is a publication with a version number of its
own, so the marts that read it follow as after any other. Until the release, `due` finds nothing to compute for the
analysis, and the ingestion detects changes of the tables without reading them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from adventureworks.catalog import (
    INGESTION,
    MARTS,
    SOURCE_TABLES,
    Mart,
    SourceTable,
    entry,
    entry_named,
    published_with,
)
from adventureworks.errors import PlatformError, Step
from adventureworks.gate import approval, forget, profiling
from adventureworks.settings import Settings
from adventureworks.warehouse import (
    candidate,
    decisions,
    intervention,
    kept,
    layout,
    open_warehouse,
    publication,
    reuse,
)
from adventureworks.warehouse.intervention import Intervention
from adventureworks.warehouse.postgres import WarehouseConnection
from adventureworks.warehouse.publication import Publication
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.sql import published
from adventureworks.warehouse.staging import count


def roll_back(settings: Settings, asset: str, version: int, who: str, reason: str) -> dict[str, Publication]:
    """Publish an earlier version of a table or mart, and of what is published with it, in one transaction.

    Return the new versions by asset; assets without an entry had not changed since. Raises `PlatformError` if a version
    is not kept.
    """
    known = _restorable(asset)
    run_id = f"{_producer(known)}/rollback_{uuid4().hex[:8]}"
    with open_warehouse(settings).connect(f"rollback {asset}") as session:
        layout.prepare(session)
        reuse.require_own_tables(session.records)
    with open_warehouse(settings).connect(f"rollback {asset}") as session:
        records = session.records
        publication.lock(records, _producer(known))
        targets = _targets(records, asset, version)
        _end(records, asset)
        detail = {"versions": {name: earlier.version for name, earlier in targets.items()}}
        intervention.record(records, "rollback", asset, who, reason, detail, in_force=True)
        if isinstance(known, SourceTable):
            _hold(records, published_with(asset), targets)
        if session.commits_twice:
            # Recorded before readers see the earlier rows, because the process may die between the two commits. Until
            # the command is repeated, nothing newer is published over these rows.
            session.commit()
            publication.lock(records, _producer(known))
            # Without the lock, the versions may have been given up.
            targets = _targets(records, asset, version)
        _restore(session, targets, run_id, settings.keep_versions)
        if isinstance(known, SourceTable):
            # The restored rows may lead to people who were forgotten since.
            forget.follow(session)
        intervention.use(records, intervention.rolled_back(records)[asset].number, run_id)
        return {one.asset: one for one in publication.of_run(records, run_id)}


def release(settings: Settings, asset: str, who: str, reason: str) -> None:
    """End the rollback of an asset, so that what is due of it is published. Raises `PlatformError` if there is none."""
    known = _restorable(asset)
    with open_warehouse(settings).connect(f"rollback {asset}") as session:
        layout.prepare(session)
        publication.lock(session.records, _producer(known))
        ended = _end(session.records, asset)
        if ended is None:
            raise PlatformError(f"{asset} is not rolled back.", Step("See:", f"adventureworks status {asset}"))
        if session.commits_twice and not ended.run_id:
            # It may have restored rows that belong to no version.
            publication.interrupt(session.records, published_with(asset))
            publication.invalidate(session.records, published_with(asset))
        intervention.record(session.records, "release", asset, who, reason, {}, in_force=False)
        if isinstance(known, SourceTable):
            for name in published_with(asset):
                decisions.request_replay(session.records, name, who, whole=True)


def clear(session: Session, before: datetime) -> None:
    """Drop the kept rows of versions that were replaced before a moment, and the records of those of former assets.

    Commits the records before the rows are dropped.
    """
    records = session.records
    every: list[SourceTable | Mart] = [*SOURCE_TABLES.values(), *MARTS.values()]
    entries = {known.asset: known for known in every if kept.has_versions(known)}
    records.execute("update ops.publication set kept = false where kept and asset <> all(%s)", ([*entries],))
    rows = records.execute(
        "select asset, max(version) from ops.publication where kept and published_at < %s group by asset", (before,)
    ).fetchall()
    producers = sorted({_producer(entries[asset]) for asset, _ in rows})
    # A rollback that has found a version restorable must not lose its rows.
    _lock(records, producers)
    for asset, version in rows:
        kept.give_up(records, [asset], int(version))
    session.commit()
    _lock(records, producers)
    for asset, _ in rows:
        kept.drop(session, entries[asset])


def _lock(records: WarehouseConnection, producers: Iterable[str]) -> None:
    """Keep these DAGs from publishing, and their assets from being rolled back, until the transaction ends."""
    for producer in producers:
        publication.lock(records, producer)


def _producer(known: SourceTable | Mart) -> str:
    """Return the DAG that publishes an asset."""
    return known.dag if isinstance(known, Mart) else INGESTION


def _restorable(asset: str) -> SourceTable | Mart:
    known = entry_named(asset)
    if not kept.has_versions(known):
        raise PlatformError(f"{asset} reports on the current state; it has no earlier versions.")
    return known


def _targets(records: WarehouseConnection, asset: str, version: int) -> dict[str, Publication]:
    """Return the earlier version of each asset that is published with this one and has a newer one."""
    newest = publication.newest_versions(records, published_with(asset))
    if not 0 < version < newest.get(asset, 0):
        shown = f"has version {newest[asset]}" if asset in newest else "was never published"
        raise PlatformError(f"{asset} {shown}.", _kept_versions(records, asset, newest))
    # One transaction has one time. A run may publish in several, because it can be repeated in Airflow's UI.
    rows = records.execute(
        "select asset, max(version) from ops.publication where asset = any(%(assets)s) and number <"
        " (select min(p.number) from ops.publication as p join ops.publication as n using (run_id, published_at)"
        " where p.asset = any(%(assets)s) and n.asset = %(asset)s and n.version = %(next)s) group by asset",
        {"assets": list(newest), "asset": asset, "next": version + 1},
    ).fetchall()
    if later := sorted(newest.keys() - {name for name, _ in rows}):
        raise PlatformError(
            f"{', '.join(later)} was first published after version {version} of {asset}.",
            _kept_versions(records, later[0], newest),
        )
    numbers = {name: int(number) for name, number in rows if int(number) < newest[name]}
    for name, target in {asset: version, **numbers}.items():
        if target < kept.oldest(records, name):
            raise PlatformError(
                f"Version {target} of {name} is not kept any more.", _kept_versions(records, name, newest)
            )
    targets: dict[str, Publication] = {}
    for name, target in numbers.items():
        earlier = publication.version_of(records, name, target)
        if earlier is None:
            raise PlatformError(f"There is no record of version {target} of {name}.", "Name a later version.")
        targets[name] = earlier
    return targets


def _kept_versions(records: WarehouseConnection, name: str, newest: dict[str, int]) -> str:
    """Return which earlier versions of an asset are kept, as a sentence."""
    first, last = kept.oldest(records, name), newest.get(name, 0) - 1
    if first > last:
        return f"No earlier version of {name} is kept."
    shown = f"{first}" if first == last else f"{first} to {last}"
    return f"Versions of {name} that are kept: {shown}."


def _restore(session: Session, targets: Mapping[str, Publication], run_id: str, most: int) -> None:
    """Publish an earlier version of each asset; `most`: how many earlier versions are kept."""
    records = session.records
    newest = publication.newest_versions(records, [*targets])
    found = {
        name: kept.restore(session, entry(name), earlier.version, newest[name] + 1) for name, earlier in targets.items()
    }
    # The month of a table's row may be that of a parent that is restored or removed with it.
    of_all = set[str]().union(*(months for _, months in found.values()))
    for name, (changed, of_one) in found.items():
        known = entry(name)
        is_by_month = known.incremental if isinstance(known, Mart) else known.month is not None
        months = tuple(sorted(of_one if isinstance(known, Mart) else of_all)) if is_by_month else None
        _record(session, replace(targets[name], changed_rows=changed, months=months), run_id)
        kept.give_up(records, [name], newest[name] + 1 - most)


def _record(session: Session, restored: Publication, run_id: str) -> None:
    """Record a version with the inputs, the business date and the verdict of the one that it restores."""
    publication.record(
        session.records,
        asset=restored.asset,
        rows=count(session.data, published(entry(restored.asset))),
        changed_rows=restored.changed_rows,
        months=restored.months,
        set_aside=restored.set_aside,
        verdict=restored.verdict,
        run_id=run_id,
        inputs=restored.inputs,
        # Without the records of all later inputs, nothing says which months to compute after the release.
        model=restored.model if _are_recorded(session.records, restored) else None,
        as_of=restored.as_of,
        is_kept=True,
    )


def _are_recorded(records: WarehouseConnection, earlier: Publication) -> bool:
    """Return whether there is a record of each version of its inputs that was published since."""
    newest = publication.newest_versions(records, list(earlier.inputs))
    return all(
        len(publication.since(records, asset, number)) == newest[asset] - number
        for asset, number in earlier.inputs.items()
    )


def _hold(records: WarehouseConnection, tables: Collection[str], restored: Mapping[str, Publication]) -> None:
    """Let nothing that was read before take these tables further than the restored versions."""
    # A run in progress compared its rows with those that were published before, and rows of other tables may refer to
    # them.
    candidate.withdraw(records, SOURCE_TABLES)
    # What the later versions looked like must not count as usual.
    for name, earlier in restored.items():
        profiling.withdraw(records, name, earlier.version)
    # Nothing says which rows of the source differ from the restored ones, so the next reading is a whole one.
    records.execute("update ops.watermark set newest_change = null where asset = any(%s)", (list(tables),))
    approval.withdraw(records, tables)


def _end(records: WarehouseConnection, asset: str) -> Intervention | None:
    """End the rollback of an asset, and return it; None if there was none."""
    found = intervention.rolled_back(records).get(asset)
    if found:
        intervention.end(records, found.number)
    return found
