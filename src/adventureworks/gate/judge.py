"""The verdict on a batch of staged tables: which may be published, which keep their last good version, and why.

In this order: too many vanished rows block a table, references set single rows aside, a share too large blocks it,
checks on the candidates block it, a table takes its publish unit with it. What is blocked changes what the others may
refer to, so this is repeated until nothing changes any more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from graphlib import CycleError, TopologicalSorter

from adventureworks.catalog import SOURCE_TABLES, unit_of
from adventureworks.columns import keys_as_text, shown_key_of
from adventureworks.errors import CandidateLost, PlatformError, TableBlocked
from adventureworks.gate import losses, results
from adventureworks.gate.check_files import DeclaredCheck, declared_checks
from adventureworks.gate.checks import CheckOutcome, Reference, readable_references, run_checks
from adventureworks.gate.containment import contained, without_faulty
from adventureworks.gate.contract import EXAMPLES
from adventureworks.gate.load import load, mark_blocked, note_blocked
from adventureworks.gate.profiling import judge_changes
from adventureworks.settings import Settings
from adventureworks.warehouse import Warehouse, candidate, layout, open_warehouse, publication, quarantine, staging
from adventureworks.warehouse.postgres import Connection, WarehouseConnection, connections_kept
from adventureworks.warehouse.sql import names, quoted, table

EARLIEST = datetime(1, 1, 1)  # noqa: DTZ001 - the source's dates have no zone


@connections_kept()
def judge(settings: Settings, run_id: str) -> None:
    """Writes the verdict on every staged table of a run into `ops.change` and `ops.check_result`.

    Tables whose staged rows were lost meanwhile are loaded again, and the batch is judged again. Raises
    ServiceUnavailable where that happens again and again.
    """

    def load_again() -> None:
        load(settings, run_id, sorted(_lost(settings, run_id)))

    def step() -> None:
        _judge(settings, run_id)
        lost = _lost(settings, run_id)
        if lost:
            raise CandidateLost(f"The staged rows of {', '.join(sorted(lost))} are not those that were loaded.")

    candidate.staged_again(step, load_again)


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
        batch = _Batch(settings, run_id, connection, faulty)
        batch.block_losses(connection)
        batch.block_units(connection)
    # What readers would see of these tables is not checked yet.
    unchecked = set(batch.passing)
    while unchecked:
        settled = None
        while settled != batch.blocked:
            # A table that is blocked may leave rows of others without a parent.
            settled = set(batch.blocked)
            with warehouse.connect("check") as connection:
                unchecked |= batch.settle(connection)
            unchecked |= batch.blocked - settled
        outcomes = batch.check(unchecked)
        shapes = judge_changes(settings, run_id, unchecked & batch.passing)
        with warehouse.connect("check") as connection:
            batch.block_failed(connection, outcomes)
            batch.block_misshapen(connection, shapes)
        # A table that is blocked shows its published rows again: what refers to it has to be checked against those.
        unchecked = batch.blocked - settled


class _Batch:
    """The tables of one run, and those of them that are blocked so far."""

    def __init__(self, settings: Settings, run_id: str, connection: Connection, faulty: Collection[str]) -> None:
        self.settings = settings
        self.run_id = run_id
        self.folder = settings.checks_folder / "source"
        results.forget(connection, run_id)
        # A check task that is tried again judges anew.
        connection.execute(
            "update ops.change set status = 'staged', judged = false, blocked_rule = null, blocked_cause = null"
            " where run_id = %s and status = 'blocked' and judged",
            (run_id,),
        )
        rows = connection.execute(
            "select asset, status, is_accepted from ops.change where run_id = %s", (run_id,)
        ).fetchall()
        self.batch = {asset for asset, status, _ in rows if status == "staged"}
        self.blocked = {asset for asset, status, _ in rows if status == "blocked"}
        self.accepted = {asset for asset, _, is_accepted in rows if is_accepted}
        for asset, entry in SOURCE_TABLES.items():
            if asset not in self.batch and asset not in faulty:
                with _checking(asset):
                    layout.show_published(connection, entry)

    @property
    def passing(self) -> set[str]:
        """The tables that may still be published."""
        return self.batch - self.blocked

    def references_of(self, asset: str) -> tuple[Reference, ...]:
        """The foreign keys of a table; none where its check file cannot be read, for which it is blocked later."""
        return readable_references(self.folder, asset)

    def children_of(self, parents: set[str]) -> set[str]:
        """The tables that refer to any of these."""
        return {name for name in SOURCE_TABLES if any(r.parent in parents for r in self.references_of(name))}

    def settle(self, connection: WarehouseConnection) -> set[str]:
        """Everything but the check files; returns the tables of which rows were set aside."""
        self._show(connection)
        moved = set()
        for asset in self._parents_first():
            with _checking(asset):
                if not self._waits_for_parent(connection, asset) and self._set_orphans_aside(connection, asset):
                    moved.add(asset)
        for asset in sorted(self.passing):
            with _checking(asset):
                self._block_large_share(connection, asset)
        self._block_vanished_parents(connection)
        self.block_units(connection)
        self._show(connection)
        return moved

    def _set_orphans_aside(self, connection: WarehouseConnection, asset: str) -> int:
        """Sets aside the staged rows of a table that refer to nothing; returns how many."""
        entry, found = SOURCE_TABLES[asset], 0
        for reference in self.references_of(asset):
            message = f"{', '.join(reference.columns)} is in {reference.parent}"
            orphans = _orphan(reference, "r")
            removed = staging.set_aside(connection, entry, orphans, reference.rule, message, self.run_id)
            if removed:
                candidate.shrink(connection, self.run_id, entry, removed)
                found += removed
        return found

    def block(self, connection: Connection, asset: str, rule: str, cause: str) -> None:
        """Blocks a table, for the first reason found."""
        if asset not in self.blocked:
            mark_blocked(connection, self.run_id, TableBlocked(asset, rule, cause), judged=True)
            self.blocked.add(asset)

    def block_found(self, connection: Connection, found: CheckOutcome, kind: str) -> None:
        """Blocks a table for what was found of it, which is kept as evidence."""
        results.remember(connection, self.run_id, [found], kind=kind)
        self.block(connection, found.table, found.rule, f"{found.message}{_for_example(found.examples)}")

    def block_units(self, connection: Connection) -> None:
        """Tables that make sense only together are published together or not at all."""
        for asset in sorted(self.passing):
            mates = sorted(unit_of(asset) & self.blocked)
            if mates:
                cause = f"waits for {', '.join(mates)}, with which it is published together."
                self.block(connection, asset, "unit_is_whole", cause)

    def block_losses(self, connection: Connection) -> None:
        """Blocks tables of which more vanished than usual business explains, unless its owner accepts that."""
        self._show(connection)
        for asset in sorted(self.passing - self.accepted):
            with _checking(asset):
                found = losses.found_in(connection, SOURCE_TABLES[asset], self.settings.lost_limit)
                if found:
                    self.block_found(connection, found, kind="reference")

    def block_failed(self, connection: Connection, outcomes: list[CheckOutcome]) -> None:
        """Keeps what checks found, and blocks the tables that failed, or could not be evaluated."""
        passing = self.passing
        own = [outcome for outcome in outcomes if outcome.table in passing]
        results.remember(connection, self.run_id, own)
        for outcome in own:
            if outcome.outcome in {"fail", "error"}:
                cause = f"{outcome.message}{_for_example(outcome.examples)}"
                self.block(connection, outcome.table, outcome.rule, cause)
        others = [outcome for outcome in outcomes if outcome.table not in passing]
        # A rule of another table that cannot be evaluated says nothing of this batch.
        failed = [outcome for outcome in others if outcome.outcome == "fail"]
        results.remember(connection, self.run_id, [one for one in others if one not in failed], kind="between")
        for outcome in self._broken_by_batch(failed):
            check = next(c for c in declared_checks(self.folder, outcome.table) if c.rule == outcome.rule)
            message = f"with it, {outcome.table} breaks {outcome.rule}: {outcome.message}"
            for asset in sorted(check.tables & passing):
                self.block_found(connection, replace(outcome, table=asset, message=message), kind="reference")
        self.block_units(connection)

    def block_misshapen(self, connection: Connection, shapes: list[CheckOutcome]) -> None:
        """Keeps how changes differ from the versions before, and blocks the tables where that cannot be business."""
        for asset in sorted({shape.table for shape in shapes}):
            results.forget_kind(connection, self.run_id, asset, "profile")
        results.remember(connection, self.run_id, shapes, kind="profile")
        for shape in shapes:
            if shape.outcome in {"fail", "error"}:
                self.block(connection, shape.table, shape.rule, shape.message)
        self.block_units(connection)

    def check(self, changed: set[str]) -> list[CheckOutcome]:
        """Runs the rules that read any of the tables that changed, as long as one of their tables may pass.

        A rule of a table outside the batch, or of a blocked one, is held against its published rows; its references
        are those that `_block_vanished_parents` looks at.
        """
        whole = changed & self.passing
        only: dict[str, set[str]] = {}
        for asset in SOURCE_TABLES.keys() - whole:
            mine = asset in self.passing
            for check in self._checks_of(asset):
                if check.tables & changed and check.tables & self.passing and (mine or check.kind == "rows"):
                    only.setdefault(asset, set()).add(check.rule)
        variables: dict[str, str] = {}
        warehouse = open_warehouse(self.settings)
        with warehouse.connect("check") as connection:
            for asset in (whole | only.keys()) & self.passing:
                with _checking(asset):
                    accepted = asset in self.accepted
                    expected = 0 if accepted else self._expected_rows(connection, asset)
                    variables[f"least_rows_{asset}"] = str(int(expected * self.settings.least_share_of_rows))
                    stale_before = EARLIEST if accepted else self._stale_before(connection, asset)
                    variables[f"stale_before_{asset}"] = stale_before.isoformat(sep=" ")
        return run_checks(warehouse, self.folder, sorted(whole | only.keys()), variables, only=only)

    def _expected_rows(self, connection: Connection, asset: str) -> int:
        """The published rows without those that move to an archive."""
        return publication.source_table_rows(connection, asset) - losses.archived(connection, SOURCE_TABLES[asset])

    def _checks_of(self, asset: str) -> tuple[DeclaredCheck, ...]:
        """The checks of a table; none where their file cannot be read."""
        try:
            return declared_checks(self.folder, asset)
        except PlatformError:
            return ()

    def _broken_by_batch(self, failed: list[CheckOutcome]) -> list[CheckOutcome]:
        """Those rules of other tables that the published rows keep, or break less often."""
        if not failed:
            return []
        only: dict[str, set[str]] = {}
        for outcome in failed:
            only.setdefault(outcome.table, set()).add(outcome.rule)
        before = {
            (outcome.table, outcome.rule): outcome.failed or 0
            for outcome in run_checks(open_warehouse(self.settings), self.folder, sorted(only), {}, "raw", only=only)
        }
        return [one for one in failed if (one.failed or 0) > before.get((one.table, one.rule), 0)]

    def _stale_before(self, connection: Connection, asset: str) -> datetime:
        """The earliest newest change that a table may have: a little before that of the rows that are published."""
        tolerance = timedelta(days=self.settings.stale_after_days)
        # A false date of a row that was published before such rows were set aside does not count.
        latest = publication.latest_change(connection, self.run_id, asset)
        newest = publication.newest_change(connection, SOURCE_TABLES[asset], latest)
        return max(newest, EARLIEST + tolerance) - tolerance if newest else EARLIEST

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
        bad, delivered = staging.share_set_aside(connection, SOURCE_TABLES[asset])
        if too_many(bad, delivered, self.settings.set_aside_limit, self.settings.set_aside_floor):
            examples = _for_example(quarantine.example_keys(connection, asset, "staged"))
            cause = (
                f"{bad:,} of {delivered:,} rows break a rule, more than {self.settings.set_aside_limit:.1%}:"
                f" {_rules_broken(connection, asset)}.{examples}"
            )
            self.block(connection, asset, "few_rows_are_set_aside", cause)

    def _block_vanished_parents(self, connection: Connection) -> None:
        """Blocks a table that lost rows to which rows of other tables still refer."""
        shrunk = set()
        for asset in sorted(self.passing):
            with _checking(asset):
                if _count(connection, f"select count(*) from {table('staging', staging.gone_table(asset))}"):
                    shrunk.add(asset)
        for child in sorted(self.children_of(shrunk)):
            for reference in self.references_of(child):
                if reference.parent in shrunk and reference.parent not in self.blocked:
                    with _checking(child):
                        self._block_if_orphaned(connection, child, reference)

    def _block_if_orphaned(self, connection: Connection, child: str, reference: Reference) -> None:
        key = shown_key_of(SOURCE_TABLES[child])
        shown = f", {names(key, 'c')}" if key else ""
        rows = connection.execute(
            f"select count(*) over (){shown} from {table('staging', child)} as c"
            f" where {_orphan(reference, 'c')} order by {names(key, 'c') or '1'} limit {EXAMPLES}"
        ).fetchall()
        if rows:
            count = int(rows[0][0])
            refer = "row of {0} refers" if count == 1 else "rows of {0} refer"
            cause = f"rows vanished to which {count:,} {refer.format(child)} by {', '.join(reference.columns)}."
            examples = keys_as_text(key, (row[1:] for row in rows))
            rule = "referenced_rows_are_there"
            found = CheckOutcome(reference.parent, rule, "fail", count, cause, examples, "referential")
            self.block_found(connection, found, kind="reference")


def too_many(bad: int, delivered: int, limit: float, floor: int) -> bool:
    """Whether so many rows of those delivered are set aside that the table cannot be trusted.

    `limit` is the share that may be, and `floor` the number that may be in any table, so long as most rows are good.
    """
    return bad > limit * delivered and (bad > floor or 2 * bad > delivered)


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


def _for_example(examples: Sequence[str]) -> str:
    return f" For example {'; '.join(examples)}." if examples else ""


def _count(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
