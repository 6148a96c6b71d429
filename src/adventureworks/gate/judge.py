"""The verdict on a batch of staged tables: which may be published, which keep their last good version, and why.

The steps are, in this order: a table is blocked if too many rows vanished; rows with broken references are set aside;
a table is blocked if too large a share is set aside, or if checks on the candidates fail. A blocked table changes what
other tables may refer to, so the steps are repeated until nothing changes. `verdict.decide` makes the decisions from
the findings collected here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from adventureworks.catalog import SOURCE_TABLES, unit_of
from adventureworks.columns import key_of, keys_as_text
from adventureworks.errors import CandidateLost, PlatformError, TableBlocked
from adventureworks.gate import approval, losses, proofs, results
from adventureworks.gate.check_files import DeclaredCheck, declared_checks
from adventureworks.gate.checks import CheckOutcome, Reference, readable_references, run_checks
from adventureworks.gate.containment import contained, retry_without_faulty
from adventureworks.gate.contract import EXAMPLES
from adventureworks.gate.corrections import take_back
from adventureworks.gate.detect import detect_later_changes
from adventureworks.gate.load import begin, load, mark_blocked, note_blocked
from adventureworks.gate.profiling import judge_changes
from adventureworks.gate.verdict import Batch, Findings, Limits, SetAside, decide, failed_elsewhere, too_many
from adventureworks.gate.whole import kept, published_rows
from adventureworks.postgres_sql import quoted
from adventureworks.settings import Settings
from adventureworks.warehouse import Warehouse, candidate, intervention, layout, open_warehouse, publication, quarantine
from adventureworks.warehouse.postgres import Connection, reuse_connections
from adventureworks.warehouse.session import Data, Session
from adventureworks.warehouse.sql import names, table
from adventureworks.warehouse.staging import StagedTable, count

MOST_LATER_READINGS = 2
"""How often tables that do not agree are read again for a verdict: some sources change all the time."""

EARLIEST = datetime(1, 1, 1)  # noqa: DTZ001 - the source's dates have no time zone


@reuse_connections()
def judge(settings: Settings, run_id: str) -> None:
    """Write the verdict on every staged table of a run to `ops.change` and `ops.check_result`.

    Tables that do not agree with each other, such as a row and the row that it refers to, may have been read before and
    after a change at the source. If one of them changed since the run detected its changes, they are read again, from
    one snapshot, and the batch is judged again.

    The verdict is written when it is complete, in the transaction that finds the staged rows unchanged. Tables whose
    staged rows were lost in the meantime are loaded again, and the batch is judged again. Raises ServiceUnavailable if
    that happens repeatedly, or if the source does not answer, and Overtaken if another attempt begins.
    """

    def reload_lost_tables() -> None:
        with open_warehouse(settings).connect("check") as session:
            lost = _lost_tables(session, run_id)
        load(settings, run_id, sorted(lost))

    later = 0

    def step() -> None:
        nonlocal later
        judging = _judge(settings, run_id)
        if later < MOST_LATER_READINGS:
            with open_warehouse(settings).connect("check") as session:
                disagreeing = judging.disagreeing(session.data)
            changed = detect_later_changes(settings, judging.attempt, disagreeing) if disagreeing else []
            if changed:
                later += 1
                raise CandidateLost(f"{', '.join(changed)} changed at the source after the detection.")
        with judging.session() as session:
            lost = _lost_tables(session, run_id)
            if lost:
                raise CandidateLost(f"The staged rows of {', '.join(sorted(lost))} differ from those that were loaded.")
            judging.conclude(session)

    with open_warehouse(settings).connect("check") as session:
        layout.prepare(session)
    candidate.with_restaging(step, reload_lost_tables)


def _lost_tables(session: Session, run_id: str) -> set[str]:
    """Return the tables to load, because they joined the batch or their staged rows are not those that were loaded."""
    rows = session.records.execute(
        "select asset, status from ops.change where run_id = %s and status in ('detected', 'staged')", (run_id,)
    ).fetchall()
    to_load = {asset for asset, status in rows if status == "detected"}
    loaded = {asset for asset, _ in rows} - to_load
    to_load.update(candidate.lost(session, run_id, [SOURCE_TABLES[asset] for asset in sorted(loaded)]))
    # Tables of one unit are read from one snapshot.
    return to_load | {mate for asset in to_load for mate in unit_of(asset) & loaded}


def _judge(settings: Settings, run_id: str) -> _Judge:
    """Judge the staged tables, and return the verdict. Raises CandidateLost if staged rows are missing."""
    warehouse = open_warehouse(settings)
    faulty: set[str] = set()
    with warehouse.connect("check") as session:
        # All tables, because the verdict depends on what the candidate of each one shows.
        attempt = begin(session.records, run_id, SOURCE_TABLES)

    def skip(fault: TableBlocked) -> None:
        faulty.add(fault.table)
        note_blocked(warehouse, attempt, fault)

    return retry_without_faulty(partial(_judge_batch, settings, attempt, warehouse, faulty), skip)


def _judge_batch(
    settings: Settings, attempt: candidate.Attempt, warehouse: Warehouse, faulty: Collection[str]
) -> _Judge:
    """Judge a batch, skipping the `faulty` tables. Raises TableBlocked for a table that cannot be judged."""
    with warehouse.connect("check") as session:
        candidate.require(session.records, attempt)
        judging = _Judge(settings, attempt, session, faulty)
        judging.block(session, Findings(losses=judging.find_lost_rows(session.data)))
    # The tables whose visible rows have not been checked yet.
    unchecked = judging.batch.passing
    while unchecked:
        settled = None
        while settled != judging.batch.blocked:
            # Blocking a table may leave rows of other tables without a parent.
            settled = judging.batch.blocked
            with judging.session() as session:
                unchecked |= judging.set_orphans_aside(session)
                judging.block(session, judging.find_bad_rows(session.data))
            unchecked |= judging.batch.blocked - settled
        found = judging.check(unchecked)
        with judging.session() as session:
            judging.keep(session.records, found)
            judging.block(session, found)
        # A blocked table shows its published rows again, so tables that refer to it must be checked against those.
        unchecked = judging.batch.blocked - settled
    return judging


class _Judge:
    """The collection of findings about the tables of one run for `verdict.decide`, and its decisions."""

    def __init__(
        self, settings: Settings, attempt: candidate.Attempt, session: Session, faulty: Collection[str]
    ) -> None:
        self.settings = settings
        self.attempt = attempt
        self.run_id = run_id = attempt.run_id
        self.folder = settings.checks_folder / "source"
        self.limits = Limits(settings.set_aside_limit, settings.set_aside_floor)
        self.faults: list[TableBlocked] = []
        self.outcomes: dict[tuple[str, str], CheckOutcome] = {}
        """The last outcome of each rule that was evaluated, by table and rule."""
        self._disagreeing: set[str] = set()
        """The tables between which a rule is broken, except where rows were set aside for it."""
        results.delete(session.records, run_id)
        # A table that was rolled back after this run detected its change shows what readers see.
        session.records.execute(
            "update ops.change set status = %s, blocked_rule = null, blocked_cause = null"
            " where run_id = %s and status in ('staged', 'blocked') and asset = any(%s)",
            (publication.HELD, run_id, sorted(intervention.held_tables(session.records))),
        )
        rows = session.records.execute(
            "select asset, status, is_accepted, compared_rows from ops.change where run_id = %s", (run_id,)
        ).fetchall()
        self.accepted = {asset for asset, _, is_accepted, _ in rows if is_accepted}
        self.compared_rows = {asset: compared for asset, *_, compared in rows}
        """By table: the number of rows at the source, or None if the table was read whole."""
        # The foreign keys by table; empty if its check file cannot be read, which blocks the table later.
        # References to a table, or by a column, that the source does not offer cannot be checked.
        offered = publication.offer(session.records)
        self.not_offered, self.editions = offered.not_offered, offered.editions
        self.declared = [check for asset in sorted(SOURCE_TABLES) for check in _declared(self.folder, asset)]
        unchecked = {(check.table, check.rule) for check in self.declared if self._absent(check)}
        self.references = {
            asset: [one for one in readable_references(self.folder, asset) if (asset, one.rule) not in unchecked]
            for asset in SOURCE_TABLES
        }
        self.tables = {asset: StagedTable(entry) for asset, entry in SOURCE_TABLES.items()}
        self.versions = publication.newest_versions(session.records, sorted(SOURCE_TABLES))
        self.batch = Batch(
            tables=frozenset(asset for asset, status, *_ in rows if status == "staged"),
            blocked=frozenset(asset for asset, status, *_ in rows if status == "blocked"),
            parents={asset: {one.parent for one in found} for asset, found in self.references.items()},
            published=frozenset(self.versions),
            approved=approval.rules_of(session.records, run_id),
        )
        for staged in self._sorted(SOURCE_TABLES.keys() - set(faulty)):
            self._show(session.data, staged)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session that writes, unless another attempt has begun."""
        with open_warehouse(self.settings).connect("check") as session:
            candidate.require(session.records, self.attempt)
            yield session

    def block(self, session: Session, found: Findings) -> None:
        """Block tables because of findings, each for the first reason; they show their published rows again."""
        for reason in decide(self.batch, found, self.limits):
            if reason.evidence:
                results.record(session.records, self.run_id, [reason.evidence], kind="reference")
            if reason.table not in self.batch.blocked:
                self.faults.append(TableBlocked(reason.table, reason.rule, reason.cause))
                self.batch = replace(self.batch, blocked=self.batch.blocked | {reason.table})
                self._show(session.data, self.tables[reason.table])

    def conclude(self, session: Session) -> None:
        """Record which tables are blocked, that the others may be published, and which rules no row breaks."""
        for fault in self.faults:
            mark_blocked(session.records, self.run_id, fault, judged=True)
        session.records.execute(
            "update ops.change set judged = true where run_id = %s and status = 'staged' and asset = any(%s)",
            (self.run_id, sorted(self.batch.passing)),
        )
        evaluated = {check: one for check in self.declared if (one := self.outcomes.get((check.table, check.rule)))}
        # An outcome that is a warning only because of the edition does not depend on the rows alone.
        certain = {
            check: one
            for check, one in evaluated.items()
            if (one.outcome == "pass" or (one.outcome == "warn" and not self._is_known_defect(one)))
            and not check.tables & self.batch.blocked
        }
        proofs.record(session, self.run_id, self.versions, evaluated, certain)

    def disagreeing(self, data: Data) -> set[str]:
        """Return the tables between which a rule is broken."""
        # An earlier attempt may have set rows aside.
        broken = quarantine.staged_rules(data)
        referring = {
            frozenset({asset, reference.parent})
            for asset in self.batch.tables
            for reference in self.references[asset]
            if (asset, reference.rule) in broken
        }
        return self._disagreeing.union(*referring)

    def find_lost_rows(self, data: Data) -> list[CheckOutcome]:
        """Return the losses of tables whose owner has not accepted them."""
        found = []
        for staged in self._sorted(self.batch.passing - self.accepted):
            with _checking(staged.asset):
                lost = losses.find_loss(data, staged, self.settings.lost_limit)
            if lost:
                found.append(lost)
        return found

    def set_orphans_aside(self, session: Session) -> set[str]:
        """Set aside rows whose parent is missing, and return their tables."""
        changed = set()
        for staged in self._parents_first():
            for reference in self.references[staged.asset]:
                with _checking(staged.asset):
                    message = f"{', '.join(reference.columns)} is in {reference.parent}"
                    parents = table("staging", reference.parent)
                    if reference.parent in self.batch.passing:
                        referred = f"select {names(reference.columns, 't')} from {staged.rows} as t"
                        parents = self.tables[reference.parent].candidate_with(reference.parent_columns, referred)
                    orphans = _orphan(reference, "r", parents)
                    removed = staged.set_aside(session.data, orphans, reference.rule, message, self.run_id)
                    if removed:
                        candidate.shrink(session, self.attempt, staged.entry, removed)
                        if take_back(session, staged):
                            candidate.record(session, self.attempt, staged.entry)
                        changed.add(staged.asset)
        return changed

    def find_bad_rows(self, data: Data) -> Findings:
        """Return the tables with too many rows set aside, and the rows that refer to vanished rows."""
        aside: dict[str, SetAside] = {}
        shrunk = set()
        for staged in self._sorted(self.batch.passing):
            with _checking(staged.asset):
                bad, delivered = staged.share_set_aside(data, self.compared_rows[staged.asset])
                # Rules and examples are read only for tables that will be blocked.
                if too_many(bad, delivered, self.limits):
                    examples = quarantine.example_keys(data, staged.asset, "staged")
                    aside[staged.asset] = SetAside(bad, delivered, _rules_broken(data, staged.asset), examples)
                if count(data, staged.gone):
                    shrunk.add(staged.asset)
        orphans: dict[str, CheckOutcome] = {}
        for staged in self._sorted(SOURCE_TABLES):
            for reference in self.references[staged.asset]:
                if reference.parent in shrunk and reference.parent not in orphans:
                    with _checking(staged.asset):
                        found = _orphaned(data, staged, reference)
                    if found:
                        self._disagreeing |= {staged.asset, reference.parent}
                        orphans[reference.parent] = found
        return Findings(set_aside=aside, orphans=list(orphans.values()))

    def check(self, changed: frozenset[str]) -> Findings:
        """Run the rules that read any of the changed tables and a table that is passing, and return the findings.

        Rules whose outcome for the published rows is known run only if a changed row may alter it.
        Rules of a blocked table, or of a table outside the batch, run on its published rows; `find_bad_rows` covers
        its references.
        """
        passing = self.batch.passing
        whole = changed & passing
        evaluable = [check for check in self.declared if not self._absent(check)]
        skipped = [
            CheckOutcome(check.table, check.rule, "skipped", None, _not_offered(absent), (), check.dimension)
            for check in self.declared
            if check.table in whole and (absent := self._absent(check))
        ]
        wanted = [
            check
            for check in evaluable
            if check.table in whole
            or (check.tables & changed and check.tables & passing and (check.table in passing or check.kind == "rows"))
        ]
        variables: dict[str, str] = {}
        warehouse = open_warehouse(self.settings)
        with warehouse.connect("check") as session:
            proven = proofs.known(session, wanted, self._sorted(passing))
            only: dict[str, set[str]] = {check.table: set() for check in self.declared if check.table in whole}
            for check in wanted:
                only.setdefault(check.table, set()).update(() if check in proven else [check.rule])
            for staged in self._sorted((whole | only.keys()) & passing):
                with _checking(staged.asset):
                    variables |= self._variables_of(session, staged)
                    own = [check for check in wanted if check.table == staged.asset and check not in proven]
                    proven |= kept(session, staged, own, variables)
            for check in proven:
                only[check.table].discard(check.rule)
        # A table whose check file cannot be read declares no rules; evaluating the file reports that.
        assets = sorted(asset for asset in whole | only.keys() if only.get(asset) != set())
        measured = run_checks(warehouse, self.folder, assets, variables, only=only)
        outcomes = [self._as_known(outcome) for outcome in measured] + list(proven.values())
        self.outcomes |= {(one.table, one.rule): one for one in outcomes}
        reads = {(check.table, check.rule): check.tables for check in evaluable}
        for one in outcomes:
            if one.outcome == "fail" and len(tables := reads.get((one.table, one.rule), frozenset())) > 1:
                self._disagreeing |= tables
        broken = {(one.table, one.rule) for one in failed_elsewhere(self.batch, outcomes)}
        return Findings(
            checks=[*outcomes, *skipped],
            reads=reads,
            published=self._broken_already(broken),
            shapes=judge_changes(
                self.settings,
                self.attempt,
                self._sorted(whole),
                self.accepted,
                {asset: self.tables[asset] for asset in passing},
            ),
        )

    def _absent(self, check: DeclaredCheck) -> set[str]:
        """Return the tables and columns that a rule reads and the source does not offer.

        Keys are unique without the columns that are not offered.
        """
        is_about_key = check.kind == "uniqueness" and check.columns == key_of(SOURCE_TABLES[check.table])
        columns = {
            f"{asset}.{column}"
            for asset, column in check.columns_read
            if asset in self.editions and column in self.editions[asset].lacks(asset) and not is_about_key
        }
        return columns | (check.tables & self.not_offered)

    def _as_known(self, outcome: CheckOutcome) -> CheckOutcome:
        """Return the outcome of a rule that only warns if the published data of the edition breaks it."""
        is_known = outcome.outcome == "fail" and self._is_known_defect(outcome)
        return replace(outcome, outcome="warn") if is_known else outcome

    def _is_known_defect(self, outcome: CheckOutcome) -> bool:
        edition = self.editions.get(outcome.table)
        return edition is not None and outcome.rule in edition.known_defects.get(outcome.table, ())

    def keep(self, records: Connection, found: Findings) -> None:
        """Record the outcomes of checks, and how changes differ from earlier versions."""
        own = [one for one in found.checks if one.table in self.batch.passing]
        results.record(records, self.run_id, own)
        # Failures are recorded with the tables that caused them.
        others = [one for one in found.checks if one.table not in self.batch.passing and one.outcome != "fail"]
        results.record(records, self.run_id, others, kind="between")
        for asset in sorted({shape.table for shape in found.shapes}):
            results.delete_kind(records, self.run_id, asset, "profile")
        results.record(records, self.run_id, found.shapes, kind="profile")

    def _sorted(self, assets: Collection[str]) -> list[StagedTable]:
        return [self.tables[asset] for asset in sorted(assets)]

    def _show(self, data: Data, staged: StagedTable) -> None:
        """Show checks what readers would see of a table: the candidate if it is passing, else the published rows."""
        with _checking(staged.asset):
            if staged.asset in self.batch.passing:
                staged.show_candidate(data)
            else:
                layout.show_published(data, staged.entry)

    def _variables_of(self, session: Session, staged: StagedTable) -> dict[str, str]:
        """Return the limits in the checks of a table: its least number of rows, and its earliest newest change."""
        expected, stale_before = 0, EARLIEST
        if staged.asset not in self.accepted:
            # Rows that move to an archive are not missing.
            expected = published_rows(session, staged) - losses.archived(session.data, staged)
            # Ignore a false date that was published before the gate set such rows aside.
            latest = publication.latest_change(session.records, self.run_id, staged.asset)
            newest = publication.newest_change(session.data, staged.entry, latest)
            tolerance = timedelta(days=self.settings.stale_after_days)
            if newest:
                stale_before = max(newest, EARLIEST + tolerance) - tolerance
        return {
            f"least_rows_{staged.asset}": str(int(expected * self.settings.least_share_of_rows)),
            f"stale_before_{staged.asset}": stale_before.isoformat(sep=" "),
        }

    def _broken_already(self, rules: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Return by table and rule how many published rows break these rules."""
        if not rules:
            return {}
        only: dict[str, set[str]] = {}
        for asset, rule in rules:
            only.setdefault(asset, set()).add(rule)
        outcomes = run_checks(open_warehouse(self.settings), self.folder, sorted(only), {}, "raw", only=only)
        return {(outcome.table, outcome.rule): outcome.failed or 0 for outcome in outcomes}

    def _parents_first(self) -> list[StagedTable]:
        """Return the passing tables, parents first: the children of a row that is set aside are set aside, too."""
        assets = self.batch.passing
        order = TopologicalSorter({asset: {*self.batch.parents[asset]} & assets - {asset} for asset in sorted(assets)})
        try:
            return [self.tables[asset] for asset in order.static_order()]
        except CycleError:
            return self._sorted(assets)


def _checking(asset: str) -> AbstractContextManager[None]:
    """Block this table if an error is raised within, so that the batch is judged without it."""
    return contained(asset, "can_be_checked", "checked")


def _declared(folder: Path, asset: str) -> tuple[DeclaredCheck, ...]:
    """Return the checks of a table; empty if its file cannot be read."""
    try:
        return declared_checks(folder, asset)
    except PlatformError:
        return ()


def _not_offered(tables: Collection[str]) -> str:
    return f"Not checked: the source does not offer {', '.join(sorted(tables))}."


def _orphan(reference: Reference, alias: str, parents: str) -> str:
    """Return the condition that a row refers to a parent that is not among `parents`, a relation."""
    given = " and ".join(f"{alias}.{quoted(column)} is not null" for column in reference.columns)
    pairs = zip(reference.parent_columns, reference.columns, strict=True)
    match = " and ".join(f"p.{quoted(theirs)} = {alias}.{quoted(ours)}" for theirs, ours in pairs)
    return f"({given} and not exists (select 1 from {parents} as p where {match}))"


def _rules_broken(data: Data, asset: str) -> str:
    found = quarantine.expected_messages(data, asset, EXAMPLES)
    return ", ".join(f"{message} ({number:,})" for message, number in found)


def _orphaned(data: Data, staged: StagedTable, reference: Reference) -> CheckOutcome | None:
    """Return how many rows still refer to vanished rows of the parent, as a finding about the parent."""
    key = staged.shown_key
    shown = f", {names(key, 'c')}" if key else ""
    orphaned = _orphan(reference, "c", table("staging", reference.parent))
    rows = data.execute(
        f"select count(*) over (){shown} from {staged.candidate} as c where {orphaned}"
        f" order by {names(key, 'c') or '1'} limit {EXAMPLES}"
    ).fetchall()
    if not rows:
        return None
    number = int(rows[0][0])
    refer = "row of {0} still refers" if number == 1 else "rows of {0} still refer"
    cause = f"{number:,} {refer.format(staged.asset)} to rows that vanished, by {', '.join(reference.columns)}."
    examples = keys_as_text(key, (row[1:] for row in rows))
    return CheckOutcome(reference.parent, "referenced_rows_are_there", "fail", number, cause, examples, "referential")
