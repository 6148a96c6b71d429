"""Environments that reuse what another environment, by default production, has published.

An asset is reused if it was published for the columns of the current contracts: then it is a view on the other
environment's table. The records of published assets are copied. `layout.own` turns a view into a table when the
environment publishes a version of its own. So an environment reads and computes only what differs.
"""

from __future__ import annotations

from collections.abc import Mapping

from adventureworks.catalog import MARTS, SOURCE_TABLES, Mart, SourceTable
from adventureworks.columns import columns_of, digest_of_columns
from adventureworks.errors import PlatformError, Step, as_typed
from adventureworks.postgres_sql import literal, quoted
from adventureworks.warehouse import intervention, kept, layout, publication
from adventureworks.warehouse.environments import REUSES, SCHEMAS, base_of, schema_of
from adventureworks.warehouse.numbers import NUMBER, number_by_time
from adventureworks.warehouse.postgres import WarehouseConnection
from adventureworks.warehouse.publication import Publication
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.sql import names, published_schema, table

RUN_OF_BUILD = "%/environment\\_%"
"""The pattern of the run ids of `environment build`."""

_RECORDS = {
    "publication": "p.asset = any(%(copied)s) and p.version > coalesce("
    "(select max(version) from {own} as n where n.asset = p.asset), 0)",
    "watermark": "p.asset = any(%(reused)s)",
    "check_result": "p.asset = any(%(copied)s) and not exists"
    " (select 1 from {own} as n where n.asset = p.asset and n.run_id = p.run_id)",
    "column_profile": "p.asset = any(%(copied)s) and p.version is not null and not exists"
    " (select 1 from {own} as n where n.asset = p.asset and n.run_id = p.run_id)",
    "quarantined_row": "p.asset = any(%(reused)s) and p.status in ('open', 'discarded')",
    "row_decision": "p.asset = any(%(reused)s) and p.ended_at is null",
}
"""The records that are copied, with the condition on those (`p`) that this environment does not have yet."""
_REPLACED = ("watermark", "quarantined_row", "row_decision")
"""The tables in which the records of reused assets are replaced."""


def reuse(base: Session, here: Session) -> None:
    """Bring an environment to the state of `base`, except for the assets that it has published itself.

    Both sessions are with the same PostgreSQL database. Raises `PlatformError` if the environment reuses another one.
    """
    _remember_base(base.records, here.records)
    published = _published(base.records)
    if not published:
        return
    reused = _show(base, here.records, _reusable(base.records, published))
    base.commit()
    layout.prepare(here)
    here.commit()
    own = published_by_builds(here.records)
    # The copied records must belong together, whatever `base` publishes meanwhile.
    base.records.execute("set transaction isolation level repeatable read")
    values = {"copied": sorted(published - own), "reused": sorted(reused)}
    for name, condition in _RECORDS.items():
        _copy(base, here.records, name, condition, values)
    base.commit()
    # The rows of earlier versions stay with `base`.
    here.records.execute("update ops.publication set kept = false where kept")
    # What is neither reused nor published here has to be read or computed, whatever its copied version says.
    publication.invalidate(here.records, sorted(published - own - reused))


def _remember_base(base: WarehouseConnection, here: WarehouseConnection) -> None:
    """Record which environment is reused, in a new environment. Raises `PlatformError` if it is another one."""
    known = base_of(here)
    if known is None:
        here.make_schemas(["ops"])
        layout.set_revision(here)
        here.execute(f"comment on schema {_schema(here, 'ops')} is {literal(REUSES + base.environment)}".encode())
        here.commit()
    elif known != base.environment:
        raise PlatformError(
            f"{here.environment} reuses {known or 'production'}, not {base.environment or 'production'}.",
            f"Set ADVENTUREWORKS_ENVIRONMENT={known}" if known else "Unset ADVENTUREWORKS_ENVIRONMENT.",
        )


def _published(base: WarehouseConnection) -> set[str]:
    """Return the assets that `base` has published; none if it has not been laid out."""
    if not base.has_table("ops", "publication"):
        return set()
    rows = base.execute("select distinct asset from ops.publication").fetchall()
    return {asset for (asset,) in rows} & {*SOURCE_TABLES, *MARTS}


def published_by_builds(here: WarehouseConnection) -> set[str]:
    """Return the assets of which this environment has published a version itself."""
    rows = here.execute("select distinct asset from ops.publication where run_id like %s", (RUN_OF_BUILD,)).fetchall()
    return {asset for (asset,) in rows}


def _reusable(base: WarehouseConnection, published: set[str]) -> dict[str, SourceTable | Mart]:
    """Return the published assets whose rows were read or computed for the current columns."""
    present = {schema: base.columns_in(schema) for schema in layout.PUBLISHED}
    read_for: dict[str, str] = dict(base.execute("select asset, columns_digest from ops.watermark").fetchall())
    entries: list[SourceTable | Mart] = [*SOURCE_TABLES.values(), *MARTS.values()]
    return {
        entry.asset: entry
        for entry in entries
        if entry.asset in published
        and present[published_schema(entry)].get(entry.asset, set()) >= {one.name for one in columns_of(entry)}
        and (isinstance(entry, Mart) or read_for.get(entry.asset) == digest_of_columns(entry))
    }


def _show(base: Session, here: WarehouseConnection, reusable: Mapping[str, SourceTable | Mart]) -> set[str]:
    """Show these assets as views on those of `base`, unless they are tables already; return the names of the views."""
    present = {schema: here.columns_in(schema) for schema in layout.PUBLISHED}
    views = {schema: here.views_in(schema) & {*SOURCE_TABLES, *MARTS} for schema in layout.PUBLISHED}
    for schema in SCHEMAS:
        # Statements run on `base`, because `here` would take its own schemas for those of `base`.
        base.records.execute(f"create schema if not exists {_schema(here, schema)}".encode())
    changed = False
    for schema, asset in [(schema, asset) for schema, found in views.items() for asset in found - reusable.keys()]:
        base.data.execute(f"drop view {_schema(here, schema)}.{quoted(asset)} cascade")
        changed = True
    shown = set()
    for asset, entry in reusable.items():
        schema = published_schema(entry)
        if asset in present[schema] and asset not in views[schema]:
            continue
        shown.add(asset)
        if present[schema].get(asset) != {column.name for column in columns_of(entry)}:
            view = f"{_schema(here, schema)}.{quoted(asset)}"
            base.data.execute(f"drop view if exists {view} cascade")
            base.data.execute(f"create view {view} as {layout.published_rows(entry)}")
            # PostgreSQL would pass changes of the view on to the table of `base`.
            base.data.execute(f"revoke insert, update, delete on {view} from current_user")
            changed = True
    if changed:
        base.records.execute(f"delete from {_schema(here, 'ops')}.layout".encode())
    return shown


def _copy(
    base: Session,
    here: WarehouseConnection,
    name: str,
    condition: str,
    values: Mapping[str, list[str]],
) -> None:
    """Copy records of `base`, in the columns that both environments have."""
    theirs, ours = base.records.columns_in("ops").get(name, set()), here.columns_in("ops")[name]
    if not theirs:
        return
    own = f"{_schema(here, 'ops')}.{quoted(name)}"
    side = base.data if name == "quarantined_row" else base.records
    if name in _REPLACED:
        side.execute(f"delete from {own} where asset = any(%(reused)s)", values)
    values_by_column = {one: quoted(one) for one in sorted(theirs & ours)}
    if NUMBER in ours - theirs:
        # What `base` writes once it is upgraded has to be newer.
        values_by_column[NUMBER] = number_by_time(name)
    side.execute(
        f"insert into {own} ({names(values_by_column)}) overriding system value"
        f" select {', '.join(values_by_column.values())} from {table('ops', name)} as p"
        f" where {condition.format(own=own)}",
        values,
    )
    if NUMBER in ours:
        # What this environment writes itself is newer than what it copied.
        side.execute(
            "select setval(sequence, greatest(max(number), nextval(sequence)))"
            f" from {own}, pg_get_serial_sequence(%(own)s, '{NUMBER}') as sequence group by sequence",
            {"own": own},
        )


def _schema(here: WarehouseConnection, schema: str) -> str:
    return quoted(schema_of(here.environment, schema))


def require_own_tables(records: WarehouseConnection) -> None:
    """Raise `PlatformError` in an environment that reuses another one: only its builds compute and publish there."""
    if base_of(records) is not None:
        raise PlatformError(
            f"The environment {records.environment} reuses what another one has published.",
            Step("To compute what differs:", f"adventureworks environment build {records.environment}"),
        )


def promote(
    base: Session, here: Session, run_id: str, models: Mapping[str, str], keep_versions: int
) -> tuple[Publication, ...]:
    """Publish in `base` what an environment that reuses it has computed, and return the new versions.

    `models`: the current digests of the marts. `keep_versions`: how many earlier versions are kept. Marts that report
    on the state of an environment are left out. Raises `PlatformError` if the environment read changed tables, if
    `base` has published newer versions since or rolled a mart back, or if the last build of a mart was not published.
    """
    environment = here.records.environment
    again = Step(
        f"Run: {as_typed(f'adventureworks environment drop {environment}')}, then:",
        f"adventureworks environment build {environment}",
    )
    _remember_base(base.records, here.records)
    layout.prepare(base)
    own = published_by_builds(here.records)
    tables = sorted(own & SOURCE_TABLES.keys())
    if tables:
        raise PlatformError(
            f"{environment} read changes of {', '.join(tables[:3])} itself. Production has to read them first.", again
        )
    marts = [MARTS[name] for name in MARTS if name in own and not MARTS[name].tolerant]
    # What follows must not be outdated by a publication or a rollback in the meantime.
    for dag in sorted({mart.dag for mart in marts}):
        publication.lock(base.records, dag)
    computed = {mart.name: found for mart in marts if (found := publication.newest(here.records, mart.name))}
    newest = publication.newest_versions(base.records, [*SOURCE_TABLES, *MARTS])
    read = {asset: number for one in computed.values() for asset, number in one.inputs.items() if asset not in computed}
    moved = {asset for asset, number in read.items() if newest.get(asset) != number}
    moved |= {name for name in computed if newest.get(name, 0) != _reused_version(here.records, name)}
    if moved:
        raise PlatformError(
            f"Since {environment} was built, newer versions were published: {', '.join(sorted(moved)[:3])}.", again
        )
    held = sorted(intervention.rolled_back(base.records).keys() & computed.keys())
    if held:
        raise PlatformError(
            f"In production, {held[0]} is rolled back to an earlier version.",
            Step("Release it:", f"adventureworks rollback {held[0]} --release"),
        )
    outdated = sorted(name for name, found in computed.items() if found.model != models[name])
    if outdated:
        raise PlatformError(
            f"{environment} holds {', '.join(outdated[:3])} of another version of the code, or the gate refused it.",
            Step("Run:", f"adventureworks environment build {environment}"),
        )
    numbers = {name: newest.get(name, 0) + 1 for name in computed}
    for mart in marts:
        _promote_mart(base, here.records, mart, computed[mart.name], numbers, run_id, keep_versions)
    return tuple(publication.of_run(base.records, run_id))


def _promote_mart(
    base: Session,
    here: WarehouseConnection,
    mart: Mart,
    computed: Publication,
    numbers: Mapping[str, int],
    run_id: str,
    keep_versions: int,
) -> None:
    layout.own(base.data, mart)
    records = base.records
    columns, published = names(column.name for column in columns_of(mart)), table("marts", mart.name)
    rows = f"{_schema(here, 'marts')}.{quoted(mart.name)}"
    is_kept = kept.keep(base, mart, numbers[mart.name], rows, "true")
    kept.give_up(records, [mart.name], numbers[mart.name] - keep_versions)
    removed = base.data.execute(f"delete from {published}").rowcount
    added = base.data.execute(f"insert into {published} ({columns}) select {columns} from {rows}").rowcount
    versions = publication.since(here, mart.name, numbers[mart.name] - 1)
    months = [month for version in versions for month in version.months or ()]
    publication.record(
        records,
        asset=mart.name,
        rows=added,
        changed_rows=max(removed, added),
        months=None if any(version.months is None for version in versions) else sorted(set(months)),
        set_aside=computed.set_aside,
        verdict=computed.verdict,
        run_id=run_id,
        is_kept=is_kept,
        inputs={asset: numbers.get(asset, number) for asset, number in computed.inputs.items()},
        model=computed.model,
        as_of=computed.as_of,
    )
    layout.show_published(base.data, mart)


def _reused_version(here: WarehouseConnection, mart: str) -> int:
    """Return the newest version of a mart that an environment copied; 0 if it copied none."""
    row = here.execute(
        "select coalesce(max(version), 0) from ops.publication where asset = %(mart)s"
        " and version < (select min(p.version) from ops.publication as p"
        " where p.asset = %(mart)s and p.run_id like %(runs)s)",
        {"mart": mart, "runs": RUN_OF_BUILD},
    ).fetchone()
    return int(row[0]) if row else 0
