"""The verdict on a batch of staged tables: which may be published, which keep their last good version, and why.

In this order: references set single rows aside, a share too large blocks the table, checks on the candidates block it,
a table takes its publish unit with it. What is blocked changes what the others may refer to, so this goes on until
nothing moves any more.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from functools import partial
from graphlib import CycleError, TopologicalSorter

from adventureworks.catalog import SOURCE_TABLES, unit_of
from adventureworks.columns import key_of
from adventureworks.errors import CandidateLost, ServiceUnavailable, TableBlocked
from adventureworks.gate import results
from adventureworks.gate.checks import CheckOutcome, Reference, readable_references, run_checks
from adventureworks.gate.containment import contained, without_faulty
from adventureworks.gate.contract import EXAMPLES
from adventureworks.gate.load import load, mark_blocked, note_blocked
from adventureworks.settings import Settings
from adventureworks.warehouse import Warehouse, candidate, layout, open_warehouse, publication, quarantine, staging
from adventureworks.warehouse.postgres import Connection, WarehouseConnection
from adventureworks.warehouse.sql import names, quoted, table

log = logging.getLogger(__name__)

EARLIEST = datetime(1, 1, 1)  # noqa: DTZ001 - the source's dates have no zone


def judge(settings: Settings, run_id: str) -> None:
    """Writes the verdict on every staged table of a run into `ops.change` and `ops.check_result`.

    Tables whose staged rows were lost meanwhile are loaded again, and the batch is judged again. Raises
    ServiceUnavailable where that happens again and again.
    """
    for _ in range(candidate.MOST_TRIES):
        with suppress(CandidateLost):
            _judge(settings, run_id)
        lost = _lost(settings, run_id)
        if not lost:
            return
        log.warning("Staged rows of %s were lost; they are loaded again.", ", ".join(sorted(lost)))
        load(settings, run_id, sorted(lost))
    raise ServiceUnavailable("Staged rows were lost again and again.", "It is tried again.")


def _lost(settings: Settings, run_id: str) -> set[str]:
    """Return the tables to load again, because what is staged of them is not what was loaded, and so was not judged."""
    with open_warehouse(settings).connect("check") as connection:
        rows = connection.execute(
            "select asset from ops.change where run_id = %s and (status = 'staged' or status = 'blocked' and judged)",
            (run_id,),
        )
        loaded = {asset for (asset,) in rows.fetchall()}
        lost = candidate.lost(connection, run_id, [SOURCE_TABLES[asset] for asset in sorted(loaded)])
    # Tables of one unit are read from one snapshot.
    return {mate for asset in lost for mate in unit_of(asset) & loaded}


def _judge(settings: Settings, run_id: str) -> None:
    """Judges what is staged. Raises CandidateLost where staged rows are missing."""
    warehouse = open_warehouse(settings)
    faulty: set[str] = set()

    def leave_out(fault: TableBlocked) -> None:
        faulty.add(fault.table)
        note_blocked(warehouse, run_id, fault)

    without_faulty(partial(_judge_batch, settings, run_id, warehouse, faulty), leave_out)


def _judge_batch(settings: Settings, run_id: str, warehouse: Warehouse, faulty: Collection[str]) -> None:
    """Raises TableBlocked for a table whose judging fails; those that are `faulty` already are left as they are."""
    with warehouse.connect("check") as connection:
        court = _Court(settings, run_id, connection, faulty)
        court.block_units(connection)
    unchecked = court.passing
    while unchecked:
        blocked = set(court.blocked)
        moved: set[str] = set()
        heard = None
        while heard != court.blocked:
            # What is blocked on the way may leave others without a parent: they are heard again, then checked.
            heard = set(court.blocked)
            with warehouse.connect("check") as connection:
                moved |= court.hear(connection)
        outcomes = court.check(unchecked & court.passing)
        with warehouse.connect("check") as connection:
            results.remember(connection, run_id, outcomes)
            court.block_failed(connection, outcomes)
        # A candidate that changed is checked again, and so is what refers to it.
        changed = court.blocked - blocked
        unchecked = (court.children_of(changed | moved) | (moved if changed else set())) & court.passing
        if not changed:
            break


class _Court:
    """The tables of one run, and those of them that are blocked so far."""

    def __init__(self, settings: Settings, run_id: str, connection: Connection, faulty: Collection[str]) -> None:
        self.settings = settings
        self.run_id = run_id
        results.forget(connection, run_id)
        # A check task that is tried again judges anew.
        connection.execute(
            "update ops.change set status = 'staged', judged = false, blocked_rule = null, blocked_cause = null"
            " where run_id = %s and status = 'blocked' and judged",
            (run_id,),
        )
        rows = connection.execute("select asset, status from ops.change where run_id = %s", (run_id,)).fetchall()
        self.batch = {asset for asset, status in rows if status == "staged"}
        self.blocked = {asset for asset, status in rows if status == "blocked"}
        for asset, entry in SOURCE_TABLES.items():
            if asset not in self.batch and asset not in faulty:
                with _checking(asset):
                    layout.show_published(connection, entry)

    @property
    def passing(self) -> set[str]:
        """The tables that may still be published."""
        return self.batch - self.blocked

    def references_of(self, asset: str) -> tuple[Reference, ...]:
        """The foreign keys of a table."""
        return readable_references(self.settings.checks_folder / "source", asset)

    def children_of(self, parents: set[str]) -> set[str]:
        """The tables that refer to any of these."""
        return {name for name in SOURCE_TABLES if any(r.parent in parents for r in self.references_of(name))}

    def hear(self, connection: WarehouseConnection) -> set[str]:
        """Everything but the check files; returns the tables of which rows were set aside."""
        self._show(connection)
        moved = set()
        for asset in self._parents_first():
            if self._waits_for_parent(connection, asset):
                continue
            for reference in self.references_of(asset):
                message = f"{', '.join(reference.columns)} is in {reference.parent}"
                orphans = _orphan(reference, "r")
                entry = SOURCE_TABLES[asset]
                removed = staging.set_aside(connection, entry, orphans, reference.rule, message, self.run_id)
                if removed:
                    candidate.shrink(connection, self.run_id, entry, removed)
                    moved.add(asset)
        for asset in sorted(self.passing):
            with _checking(asset):
                self._block_large_share(connection, asset)
        self._block_vanished_parents(connection)
        self.block_units(connection)
        self._show(connection)
        return moved

    def block(self, connection: Connection, asset: str, rule: str, cause: str) -> None:
        """Blocks a table, for the first reason found."""
        if asset not in self.blocked:
            mark_blocked(connection, self.run_id, TableBlocked(asset, rule, cause), judged=True)
            self.blocked.add(asset)

    def block_units(self, connection: Connection) -> None:
        """Tables that make sense only together are published together or not at all."""
        for asset in sorted(self.passing):
            mates = sorted(unit_of(asset) & self.blocked)
            if mates:
                cause = f"waits for {', '.join(mates)}, with which it is published together."
                self.block(connection, asset, "unit_is_whole", cause)

    def block_failed(self, connection: Connection, outcomes: list[CheckOutcome]) -> None:
        """Blocks the tables whose checks failed, or could not be evaluated."""
        for outcome in outcomes:
            if outcome.outcome in {"fail", "error"}:
                self.block(connection, outcome.table, outcome.rule, outcome.message)
        self.block_units(connection)

    def check(self, assets: set[str]) -> list[CheckOutcome]:
        """Runs the check files of these tables on their candidates."""
        variables: dict[str, str] = {}
        warehouse = open_warehouse(self.settings)
        with warehouse.connect("check") as connection:
            for asset in assets:
                with _checking(asset):
                    published = _count(connection, f"select count(*) from {table('raw', asset)}")
                    variables[f"least_rows_{asset}"] = str(int(published * self.settings.least_share_of_rows))
                    variables[f"stale_before_{asset}"] = self._stale_before(connection, asset)
        return run_checks(warehouse, self.settings.checks_folder / "source", sorted(assets), variables)

    def _stale_before(self, connection: Connection, asset: str) -> str:
        last = connection.execute(
            "select w.newest_change from ops.watermark as w join ops.change as c using (asset, source)"
            " where c.run_id = %s and asset = %s",
            (self.run_id, asset),
        ).fetchone()
        tolerance = timedelta(days=self.settings.stale_after_days)
        newest = last[0] if last and last[0] and last[0] > EARLIEST + tolerance else EARLIEST + tolerance
        latest = publication.latest_change(connection, self.run_id, asset)
        if latest and newest > latest:
            # A false date of a row that was published before such rows were set aside.
            newest = publication.newest_change(connection, SOURCE_TABLES[asset], latest) or EARLIEST + tolerance
        return str((newest - tolerance).isoformat(sep=" "))

    def _show(self, connection: Connection) -> None:
        for asset in self.batch:
            entry = SOURCE_TABLES[asset]
            with _checking(asset):
                if asset in self.blocked:
                    layout.show_published(connection, entry)
                else:
                    staging.show_candidate(connection, entry)

    def _parents_first(self) -> list[str]:
        """A parent comes before its children: a row set aside takes its children with it."""
        assets = self.passing
        order = TopologicalSorter(
            {asset: {r.parent for r in self.references_of(asset)} & assets - {asset} for asset in sorted(assets)}
        )
        try:
            return list(order.static_order())
        except CycleError:
            return sorted(assets)

    def _waits_for_parent(self, connection: Connection, asset: str) -> bool:
        """Blocks a table whose parent is blocked and was never published: its rows are not to blame."""
        parents = {reference.parent for reference in self.references_of(asset)} & self.blocked
        missing = sorted(parents - publication.newest_versions(connection, sorted(parents)).keys())
        if missing:
            cause = f"waits for {', '.join(missing)}, to which it refers and which was never published."
            self.block(connection, asset, "parent_is_published", cause)
        return bool(missing)

    def _block_large_share(self, connection: Connection, asset: str) -> None:
        bad = quarantine.expected(connection, asset)
        if not bad:
            return
        good = _count(connection, f"select count(*) from {table('staging', asset)}")
        if bad > self.settings.set_aside_limit * (good + bad):
            cause = (
                f"{bad:,} of {good + bad:,} rows break a rule, more than {self.settings.set_aside_limit:.1%}:"
                f" {_rules_broken(connection, asset)}."
            )
            self.block(connection, asset, "few_rows_are_set_aside", cause)

    def _block_vanished_parents(self, connection: Connection) -> None:
        """Blocks a table that lost rows to which rows of other tables still refer."""
        shrunk = {
            asset
            for asset in self.passing
            if _count(connection, f"select count(*) from {table('staging', staging.gone_table(asset))}")
        }
        for child in sorted(self.children_of(shrunk)):
            for reference in self.references_of(child):
                if reference.parent in shrunk and reference.parent not in self.blocked:
                    with _checking(child):
                        self._block_if_orphaned(connection, child, reference)

    def _block_if_orphaned(self, connection: Connection, child: str, reference: Reference) -> None:
        key = key_of(SOURCE_TABLES[child])
        rows = connection.execute(
            f"select count(*) over (), {names(key, 'c')} from {table('staging', child)} as c"
            f" where {_orphan(reference, 'c')} order by {names(key, 'c')} limit {EXAMPLES}"
        ).fetchall()
        if rows:
            count = int(rows[0][0])
            refer = "row of {0} refers" if count == 1 else "rows of {0} refer"
            cause = f"rows vanished to which {count:,} {refer.format(child)} by {', '.join(reference.columns)}."
            examples = tuple(
                ", ".join(f"{name}={value}" for name, value in zip(key, row[1:], strict=True)) for row in rows
            )
            rule = "referenced_rows_are_there"
            found = CheckOutcome(reference.parent, rule, "fail", count, cause, examples, "referential")
            results.remember(connection, self.run_id, [found], kind="reference")
            self.block(connection, reference.parent, rule, cause)


def _checking(asset: str) -> AbstractContextManager[None]:
    """What fails inside blocks this table, and the batch is judged without it."""
    return contained(asset, "can_be_checked", "checked")


def _orphan(reference: Reference, alias: str) -> str:
    """The condition that a row refers to a parent that the candidate does not have."""
    given = " and ".join(f"{alias}.{quoted(column)} is not null" for column in reference.columns)
    pairs = zip(reference.parent_columns, reference.columns, strict=True)
    match = " and ".join(f"p.{quoted(theirs)} = {alias}.{quoted(ours)}" for theirs, ours in pairs)
    return f"({given} and not exists (select 1 from {table('staging', reference.parent)} as p where {match}))"


def _rules_broken(connection: Connection, asset: str) -> str:
    rows = connection.execute(
        "select message, count(*) as n from ops.quarantined_row where asset = %s and status in ('staged', 'open')"
        " group by message order by n desc, message limit 3",
        (asset,),
    ).fetchall()
    return ", ".join(f"{message} ({count:,})" for message, count in rows)


def _count(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
