"""The verdict on a batch of staged tables: which may be published, which keep their last good version, and why.

In this order: references set single rows aside, a share too large blocks the table, checks on the candidates block it,
a table takes its publish unit with it. What is blocked changes what the others may refer to, so this goes on until
nothing more is blocked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from graphlib import CycleError, TopologicalSorter

from adventureworks.catalog import SOURCE_TABLES, unit_of
from adventureworks.errors import TableBlocked
from adventureworks.gate import results
from adventureworks.gate.checks import CheckOutcome, Reference, references, run_checks
from adventureworks.gate.load import mark_blocked
from adventureworks.settings import Settings
from adventureworks.warehouse import open_warehouse, staging
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.sql import quoted, table

EARLIEST = datetime(1, 1, 1)  # noqa: DTZ001 - the source's dates have no zone


@dataclass(frozen=True)
class StagedTable:
    """A table of the batch, as the load left it."""

    asset: str
    newest_change: datetime | None


def judge(settings: Settings, run_id: str) -> None:
    """Writes the verdict on every staged table of a run into `ops.change` and `ops.check_result`."""
    with open_warehouse(settings).connect("check") as connection:
        batch = _staged(connection, run_id)
        blocked = _blocked(connection, run_id)
        results.forget(connection, run_id)
        for entry in SOURCE_TABLES.values():
            if entry.asset not in batch:
                staging.show_published(connection, entry)
        _block_units(connection, run_id, batch, blocked)
    unchecked = set(batch)
    while True:
        before = set(blocked)
        with open_warehouse(settings).connect("check") as connection:
            _show(connection, batch, blocked)
            for asset in _parents_first(settings, set(batch) - blocked):
                _set_aside_orphans(settings, connection, asset, run_id)
            _block_large_shares(settings, connection, run_id, set(batch) - blocked, blocked)
            _block_vanished_parents(settings, connection, run_id, set(batch) - blocked, blocked)
            _block_units(connection, run_id, batch, blocked)
            _show(connection, batch, blocked)
        outcomes = _check(settings, run_id, (unchecked & set(batch)) - blocked, batch)
        with open_warehouse(settings).connect("check") as connection:
            results.remember(connection, run_id, outcomes)
            for outcome in outcomes:
                if outcome.outcome in {"fail", "error"} and outcome.table not in blocked:
                    _block(connection, run_id, outcome.table, outcome.rule, outcome.message, blocked)
            _block_units(connection, run_id, batch, blocked)
        # What was checked against a candidate that is now blocked has to be checked again.
        unchecked = _children(settings, blocked - before) & (set(batch) - blocked)
        if blocked == before:
            return


def _staged(connection: Connection, run_id: str) -> dict[str, StagedTable]:
    rows = connection.execute(
        "select asset, newest_change from ops.change where run_id = %s and status = 'staged'", (run_id,)
    ).fetchall()
    return {asset: StagedTable(asset, newest) for asset, newest in rows}


def _blocked(connection: Connection, run_id: str) -> set[str]:
    rows = connection.execute("select asset from ops.change where run_id = %s and status = 'blocked'", (run_id,))
    return {row[0] for row in rows.fetchall()}


def _show(connection: Connection, batch: Iterable[str], blocked: set[str]) -> None:
    for asset in batch:
        entry = SOURCE_TABLES[asset]
        if asset in blocked:
            staging.show_published(connection, entry)
        else:
            staging.show_candidate(connection, entry)


def _parents_first(settings: Settings, assets: set[str]) -> list[str]:
    """The tables so that a parent comes before its children: a row set aside takes its children with it."""
    order = TopologicalSorter(
        {asset: {r.parent for r in _references(settings, asset)} & assets - {asset} for asset in sorted(assets)}
    )
    try:
        return list(order.static_order())
    except CycleError:
        return sorted(assets)


def _references(settings: Settings, asset: str) -> tuple[Reference, ...]:
    return references(settings.checks_folder / "source", asset)


def _children(settings: Settings, parents: set[str]) -> set[str]:
    """The tables that refer to any of these."""
    return {name for name in SOURCE_TABLES if any(r.parent in parents for r in _references(settings, name))}


def _orphan(reference: Reference, alias: str) -> str:
    """The condition that a row refers to a parent that the candidate does not have."""
    given = " and ".join(f"{alias}.{quoted(column)} is not null" for column in reference.columns)
    pairs = zip(reference.parent_columns, reference.columns, strict=True)
    match = " and ".join(f"p.{quoted(theirs)} = {alias}.{quoted(ours)}" for theirs, ours in pairs)
    return f"({given} and not exists (select 1 from {table('staging', reference.parent)} as p where {match}))"


def _set_aside_orphans(settings: Settings, connection: Connection, asset: str, run_id: str) -> None:
    for reference in _references(settings, asset):
        message = f"{', '.join(reference.columns)} is in {reference.parent}"
        staging.set_aside(connection, SOURCE_TABLES[asset], _orphan(reference, "r"), reference.rule, message, run_id)


def _block_large_shares(
    settings: Settings, connection: Connection, run_id: str, assets: set[str], blocked: set[str]
) -> None:
    rows = connection.execute(
        "select asset, count(*) from ops.quarantined_row where status = 'open' and asset = any(%s) group by asset",
        (sorted(assets),),
    ).fetchall()
    for asset, bad in rows:
        good = _count(connection, f"select count(*) from {table('staging', asset)}")
        if bad > settings.set_aside_limit * (good + bad):
            cause = (
                f"{bad:,} of {good + bad:,} rows break a rule, more than {settings.set_aside_limit:.1%}:"
                f" {_rules_broken(connection, asset)}."
            )
            _block(connection, run_id, asset, "few_rows_are_set_aside", cause, blocked)


def _rules_broken(connection: Connection, asset: str) -> str:
    rows = connection.execute(
        "select message, count(*) as n from ops.quarantined_row where asset = %s and status = 'open'"
        " group by message order by n desc, message limit 3",
        (asset,),
    ).fetchall()
    return ", ".join(f"{message} ({count:,})" for message, count in rows)


def _block_vanished_parents(
    settings: Settings, connection: Connection, run_id: str, assets: set[str], blocked: set[str]
) -> None:
    """Blocks a table that lost rows to which rows of other tables still refer."""
    shrunk = {
        a for a in assets if _count(connection, f"select count(*) from {table('staging', staging.gone_table(a))}")
    }
    for child in sorted(_children(settings, shrunk)):
        for reference in _references(settings, child):
            if reference.parent not in shrunk:
                continue
            orphans = _count(
                connection, f"select count(*) from {table('staging', child)} as c where {_orphan(reference, 'c')}"
            )
            if orphans:
                cause = f"rows vanished to which {orphans:,} rows of {child} refer by {', '.join(reference.columns)}."
                _block(connection, run_id, reference.parent, "referenced_rows_are_there", cause, blocked)


def _block(connection: Connection, run_id: str, asset: str, rule: str, cause: str, blocked: set[str]) -> None:
    if asset not in blocked:
        mark_blocked(connection, run_id, TableBlocked(asset, rule, cause))
        blocked.add(asset)


def _block_units(connection: Connection, run_id: str, batch: Iterable[str], blocked: set[str]) -> None:
    """Tables that make sense only together are published together or not at all."""
    for asset in sorted(set(batch) - blocked):
        mates = sorted(unit_of(asset) & blocked)
        if mates:
            cause = f"waits for {', '.join(mates)}, with which it is published together."
            _block(connection, run_id, asset, "unit_is_whole", cause, blocked)


def _check(settings: Settings, run_id: str, assets: set[str], batch: dict[str, StagedTable]) -> list[CheckOutcome]:
    """Runs the check files of these tables on their candidates."""
    if not assets:
        return []
    variables: dict[str, str] = {}
    warehouse = open_warehouse(settings)
    with warehouse.connect("check") as connection:
        for asset in assets:
            published = _count(connection, f"select count(*) from {table('raw', asset)}")
            variables[f"least_rows_{asset}"] = str(int(published * settings.least_share_of_rows))
            last = connection.execute("select newest_change from ops.watermark where asset = %s", (asset,)).fetchone()
            newest = last[0] if last and last[0] else EARLIEST + timedelta(days=settings.stale_after_days)
            stale = max(newest - timedelta(days=settings.stale_after_days), EARLIEST)
            variables[f"stale_before_{asset}"] = stale.isoformat(sep=" ")
    return run_checks(warehouse.url(), settings.checks_folder / "source", sorted(assets), variables)


def _count(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
