"""The verdict on a batch of staged tables: which may be published, which keep their last good version, and why.

In this order: too many vanished rows block a table, references set single rows aside, a share too large blocks it,
checks on the candidates block it. What is blocked changes what the others may refer to, so this is repeated until
nothing changes any more. `verdict.decide` decides from what is read here.
"""

from __future__ import annotations

from collections.abc import Collection
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
from adventureworks.gate.verdict import Batch, Findings, Limits, SetAside, decide, failed_elsewhere, too_many
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
        judging = _Judge(settings, run_id, connection, faulty)
        judging.block(connection, Findings(losses=judging.find_losses(connection)))
    # What readers would see of these tables is not checked yet.
    unchecked = judging.batch.passing
    while unchecked:
        settled = None
        while settled != judging.batch.blocked:
            # A table that is blocked may leave rows of others without a parent.
            settled = judging.batch.blocked
            with warehouse.connect("check") as connection:
                unchecked |= judging.set_orphans_aside(connection)
                judging.block(connection, judging.find_rows(connection))
            unchecked |= judging.batch.blocked - settled
        found = judging.check(unchecked)
        with warehouse.connect("check") as connection:
            judging.keep(connection, found)
            judging.block(connection, found)
        # A table that is blocked shows its published rows again: what refers to it has to be checked against those.
        unchecked = judging.batch.blocked - settled


class _Judge:
    """Reads what `verdict.decide` asks of the tables of one run, and writes what it decides."""

    def __init__(self, settings: Settings, run_id: str, connection: Connection, faulty: Collection[str]) -> None:
        self.settings = settings
        self.run_id = run_id
        self.folder = settings.checks_folder / "source"
        self.limits = Limits(settings.set_aside_limit, settings.set_aside_floor)
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
        self.accepted = {asset for asset, _, is_accepted in rows if is_accepted}
        # The foreign keys of a table; none where its check file cannot be read, for which it is blocked later.
        self.references = {asset: readable_references(self.folder, asset) for asset in SOURCE_TABLES}
        self.batch = Batch(
            tables=frozenset(asset for asset, status, _ in rows if status == "staged"),
            blocked=frozenset(asset for asset, status, _ in rows if status == "blocked"),
            parents={asset: {one.parent for one in found} for asset, found in self.references.items()},
            published=frozenset(publication.newest_versions(connection, sorted(SOURCE_TABLES))),
        )
        for asset in sorted(SOURCE_TABLES.keys() - set(faulty)):
            self._show(connection, asset)

    def block(self, connection: Connection, found: Findings) -> None:
        """Blocks tables for what was found, each for the first reason; they show their published rows again."""
        for reason in decide(self.batch, found, self.limits):
            if reason.evidence:
                results.remember(connection, self.run_id, [reason.evidence], kind="reference")
            if reason.table not in self.batch.blocked:
                fault = TableBlocked(reason.table, reason.rule, reason.cause)
                mark_blocked(connection, self.run_id, fault, judged=True)
                self.batch = replace(self.batch, blocked=self.batch.blocked | {reason.table})
                self._show(connection, reason.table)

    def find_losses(self, connection: Connection) -> list[CheckOutcome]:
        """Return what vanished from tables whose owner did not accept that."""
        found = []
        for asset in sorted(self.batch.passing - self.accepted):
            with _checking(asset):
                lost = losses.found_in(connection, SOURCE_TABLES[asset], self.settings.lost_limit)
            if lost:
                found.append(lost)
        return found

    def set_orphans_aside(self, connection: WarehouseConnection) -> set[str]:
        """Sets rows aside that refer to nothing; returns their tables."""
        moved = set()
        for asset in self._parents_first():
            for reference in self.references[asset]:
                with _checking(asset):
                    entry = SOURCE_TABLES[asset]
                    message = f"{', '.join(reference.columns)} is in {reference.parent}"
                    orphans = _orphan(reference, "r")
                    removed = staging.set_aside(connection, entry, orphans, reference.rule, message, self.run_id)
                    if removed:
                        candidate.shrink(connection, self.run_id, entry, removed)
                        moved.add(asset)
        return moved

    def find_rows(self, connection: WarehouseConnection) -> Findings:
        """Return what is set aside of each table, and which rows have lost their parent."""
        aside: dict[str, SetAside] = {}
        shrunk = set()
        for asset in sorted(self.batch.passing):
            with _checking(asset):
                bad, delivered = staging.share_set_aside(connection, SOURCE_TABLES[asset])
                # Which rules and rows that are is asked only where it is told.
                if too_many(bad, delivered, self.limits):
                    examples = tuple(quarantine.example_keys(connection, asset, "staged"))
                    aside[asset] = SetAside(bad, delivered, _rules_broken(connection, asset), examples)
                if _count(connection, f"select count(*) from {table('staging', staging.gone_table(asset))}"):
                    shrunk.add(asset)
        orphans: dict[str, CheckOutcome] = {}
        for child, references in sorted(self.references.items()):
            for reference in references:
                if reference.parent in shrunk and reference.parent not in orphans:
                    with _checking(child):
                        found = _orphaned(connection, child, reference)
                    if found:
                        orphans[reference.parent] = found
        return Findings(set_aside=aside, orphans=list(orphans.values()))

    def check(self, changed: frozenset[str]) -> Findings:
        """Runs the rules that read any of the tables that changed, as long as one of their tables may pass.

        A rule of a table outside the batch, or of a blocked one, is held against its published rows; its references
        are those that `find_rows` looks at.
        """
        passing = self.batch.passing
        whole = changed & passing
        only: dict[str, set[str]] = {}
        for asset in SOURCE_TABLES.keys() - whole:
            for check in self._checks_of(asset):
                if check.tables & changed and check.tables & passing and (asset in passing or check.kind == "rows"):
                    only.setdefault(asset, set()).add(check.rule)
        variables: dict[str, str] = {}
        warehouse = open_warehouse(self.settings)
        with warehouse.connect("check") as connection:
            for asset in (whole | only.keys()) & passing:
                with _checking(asset):
                    accepted = asset in self.accepted
                    expected = 0 if accepted else self._expected_rows(connection, asset)
                    variables[f"least_rows_{asset}"] = str(int(expected * self.settings.least_share_of_rows))
                    stale_before = EARLIEST if accepted else self._stale_before(connection, asset)
                    variables[f"stale_before_{asset}"] = stale_before.isoformat(sep=" ")
        checks = run_checks(warehouse, self.folder, sorted(whole | only.keys()), variables, only=only)
        broken = {(one.table, one.rule) for one in failed_elsewhere(self.batch, checks)}
        return Findings(
            checks=checks,
            reads={(c.table, c.rule): c.tables for table, _ in broken for c in self._checks_of(table)},
            published=self._broken_already(broken),
            shapes=judge_changes(self.settings, self.run_id, whole),
        )

    def keep(self, connection: Connection, found: Findings) -> None:
        """Keeps what checks found, and how changes differ from the versions before."""
        own = [one for one in found.checks if one.table in self.batch.passing]
        results.remember(connection, self.run_id, own)
        # Those that fail are kept with the tables that are blamed for it.
        others = [one for one in found.checks if one.table not in self.batch.passing and one.outcome != "fail"]
        results.remember(connection, self.run_id, others, kind="between")
        for asset in sorted({shape.table for shape in found.shapes}):
            results.forget_kind(connection, self.run_id, asset, "profile")
        results.remember(connection, self.run_id, found.shapes, kind="profile")

    def _show(self, connection: Connection, asset: str) -> None:
        """Lets checks see of a table what readers would: the candidate while it passes, else the published rows."""
        with _checking(asset):
            if asset in self.batch.passing:
                staging.show_candidate(connection, SOURCE_TABLES[asset])
            else:
                layout.show_published(connection, SOURCE_TABLES[asset])

    def _expected_rows(self, connection: Connection, asset: str) -> int:
        """The published rows without those that move to an archive."""
        return publication.source_table_rows(connection, asset) - losses.archived(connection, SOURCE_TABLES[asset])

    def _checks_of(self, asset: str) -> tuple[DeclaredCheck, ...]:
        """The checks of a table; none where their file cannot be read."""
        try:
            return declared_checks(self.folder, asset)
        except PlatformError:
            return ()

    def _broken_already(self, rules: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """By table and rule: how many of the published rows break these rules."""
        if not rules:
            return {}
        only: dict[str, set[str]] = {}
        for asset, rule in rules:
            only.setdefault(asset, set()).add(rule)
        outcomes = run_checks(open_warehouse(self.settings), self.folder, sorted(only), {}, "raw", only=only)
        return {(outcome.table, outcome.rule): outcome.failed or 0 for outcome in outcomes}

    def _stale_before(self, connection: Connection, asset: str) -> datetime:
        """The earliest newest change that a table may have: a little before that of the rows that are published."""
        tolerance = timedelta(days=self.settings.stale_after_days)
        # A false date of a row that was published before such rows were set aside does not count.
        latest = publication.latest_change(connection, self.run_id, asset)
        newest = publication.newest_change(connection, SOURCE_TABLES[asset], latest)
        return max(newest, EARLIEST + tolerance) - tolerance if newest else EARLIEST

    def _parents_first(self) -> list[str]:
        """A parent comes before its children: a row set aside takes its children with it."""
        assets = self.batch.passing
        order = TopologicalSorter({asset: {*self.batch.parents[asset]} & assets - {asset} for asset in sorted(assets)})
        try:
            return list(order.static_order())
        except CycleError:
            return sorted(assets)


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


def _orphaned(connection: Connection, child: str, reference: Reference) -> CheckOutcome | None:
    """Return how many rows still refer to vanished rows of the parent, as a finding of the parent."""
    key = shown_key_of(SOURCE_TABLES[child])
    shown = f", {names(key, 'c')}" if key else ""
    rows = connection.execute(
        f"select count(*) over (){shown} from {table('staging', child)} as c"
        f" where {_orphan(reference, 'c')} order by {names(key, 'c') or '1'} limit {EXAMPLES}"
    ).fetchall()
    if not rows:
        return None
    count = int(rows[0][0])
    refer = "row of {0} refers" if count == 1 else "rows of {0} refer"
    cause = f"rows vanished to which {count:,} {refer.format(child)} by {', '.join(reference.columns)}."
    examples = keys_as_text(key, (row[1:] for row in rows))
    return CheckOutcome(reference.parent, "referenced_rows_are_there", "fail", count, cause, examples, "referential")


def _count(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
