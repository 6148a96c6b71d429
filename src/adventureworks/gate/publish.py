"""Publication of staged tables: one transaction for the whole batch, then incidents and states for the UI."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from adventureworks import incidents
from adventureworks.catalog import INGESTION, SOURCE_TABLES, SourceTable
from adventureworks.errors import CandidateLost, Overtaken, TableBlocked
from adventureworks.gate import approval, forget, proofs, results
from adventureworks.gate.checks import readable_references
from adventureworks.gate.containment import contained, retry_without_faulty
from adventureworks.gate.judge import judge
from adventureworks.gate.load import begin, note_blocked
from adventureworks.gate.profiling import publish_profiles
from adventureworks.gate.verdict import CONSEQUENCES
from adventureworks.incidents import Finding, Incident, events
from adventureworks.settings import Settings
from adventureworks.warehouse import candidate, decisions, kept, layout, open_warehouse, publication, quarantine
from adventureworks.warehouse.postgres import Connection, reuse_connections
from adventureworks.warehouse.publication import HELD, NOT_OFFERED, Publication
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.sql import table
from adventureworks.warehouse.staging import StagedTable, count

ORDERS = "Sales_SalesOrderHeader"
"""The table whose newest row is the business date."""


@reuse_connections()
def publish(settings: Settings, run_id: str) -> list[Publication]:
    """Publish every staged table of a run that is not blocked, and return the versions to announce to consumers.

    The tables are judged first if there is no verdict on them. The versions include older ones that were never
    announced. A repeated call publishes nothing twice. Tables whose staged rows differ from those that were judged are
    loaded and judged again. Raises ServiceUnavailable if staged rows are lost repeatedly.
    """

    def skip(fault: TableBlocked) -> None:
        with open_warehouse(settings).connect("publish") as session:
            attempt = begin(session.records, run_id, [fault.table])
        note_blocked(open_warehouse(settings), attempt, fault)
        # Tables that refer to this one, or are published together with it, were judged as if it were published.
        judge(settings, run_id)

    def step() -> list[Publication]:
        return retry_without_faulty(partial(_publish, settings, run_id), skip)

    with open_warehouse(settings).connect("publish") as session:
        layout.prepare(session)
        is_judged = _is_judged(session.records, run_id)
    if not is_judged:
        judge(settings, run_id)
    return candidate.with_restaging(step, partial(judge, settings, run_id))


def _is_judged(records: Connection, run_id: str) -> bool:
    """Return whether there is a verdict on the changes of a run, or an earlier attempt has published them.

    Without any staged table, such as if all are rolled back, there is none: only `judge` begins an attempt at them.
    """
    [(changes, is_judged, is_published)] = records.execute(
        "select count(*), bool_and(judged) filter (where status in ('staged', 'blocked')),"
        " bool_or(status in ('published', 'unchanged') or to_conclude) from ops.change where run_id = %s",
        (run_id,),
    ).fetchall()
    return bool(not changes or is_judged or is_published)


def _publish(settings: Settings, run_id: str) -> list[Publication]:
    with open_warehouse(settings).connect("publish") as session:
        # Another attempt of the task may be publishing the batch: one that Airflow gave up may still be running.
        publication.lock(session.records, INGESTION)
        interrupted = publication.interrupted_in(session.records, run_id)
        if session.commits_twice:
            # Recorded before anything is published: if the process dies between the two commits, the data has no record
            # of its publication. The next attempt or run then announces all of it.
            session.records.execute(
                "update ops.change set publishing = true where run_id = %s and status = 'staged'", (run_id,)
            )
            session.commit()
            publication.lock(session.records, INGESTION)
        # No attempt that has begun can stage anything more. What a later run has staged is left alone.
        own = candidate.hold(session.records, run_id, SOURCE_TABLES).numbers
        attempt = candidate.begin(session.records, run_id, own)
        rows = session.records.execute(
            "select asset, status, judged from ops.change where run_id = %s order by asset", (run_id,)
        ).fetchall()
        unjudged = [asset for asset, status, is_judged in rows if status in {"detected", "staged"} and not is_judged]
        if unjudged:
            # An attempt ended after it had staged rows again, before it had judged them.
            raise CandidateLost(f"The staged rows of {', '.join(unjudged)} were not judged.")
        changes = [(SOURCE_TABLES[asset], status) for asset, status, _ in rows]
        staged = {entry.asset for entry, status in changes if status == "staged"}
        for entry, status in changes:
            if status != "staged" and entry.asset not in own:
                continue
            with contained(entry.asset, "can_be_published", "published"):
                publishing = _TablePublication(session, run_id, entry, settings.keep_versions)
                if status == "staged":
                    publishing.publish(staged, interrupted=entry.asset in interrupted)
                if status == "blocked":
                    quarantine.block(session.data, entry.asset)
                if status == HELD:
                    quarantine.discard_unpublished(session.data, entry.asset, settings.keep_days)
                if status in {"staged", "blocked", HELD, NOT_OFFERED}:
                    publishing.advance_watermark(status)
        lost = candidate.lost(session, run_id, [entry for entry, status in changes if status == "staged"])
        if lost:
            raise CandidateLost(f"The staged rows of {', '.join(lost)} differ from those that were judged.")
        forget.follow(session)
        proofs.publish(session.records, run_id)
        session.records.execute(
            "update ops.change set publishing = false where publishing and asset in ("
            "select asset from ops.change where run_id = %s and status in ('published', 'unchanged'))",
            (run_id,),
        )
        # The next batch concludes this one if it ends before it does so itself.
        session.records.execute("update ops.change set to_conclude = true where run_id = %s", (run_id,))
        decisions.finish_replays(session.records, run_id)
        unannounced = publication.unannounced(session.records, list(SOURCE_TABLES))
    # Views are created after the commit, because creating a view commits on some engines; until then, the candidates
    # show the same rows. If a reader's lock prevents the creation of a view, the next run creates it.
    with suppress(TableBlocked, Overtaken), open_warehouse(settings).connect("publish") as session:
        candidate.require(session.records, attempt)
        for entry, _ in changes:
            with contained(entry.asset, "can_be_published", "shown"):
                layout.show_published(session.data, entry)
    return unannounced


class _TablePublication:
    """The publication of one table of a run."""

    def __init__(self, session: Session, run_id: str, entry: SourceTable, keep_versions: int) -> None:
        self.session = session
        self.data = session.data
        self.records = session.records
        self.run_id = run_id
        self.entry = entry
        self.asset = entry.asset
        self.keep_versions = keep_versions

    def publish(self, together: Collection[str], *, interrupted: bool) -> None:
        """Merge the staged table and record the version.

        `together`: the tables that the run publishes. `interrupted`: a process died while it was publishing this one.
        """
        staged, month = StagedTable(self.entry), self.entry.month
        dated = month.parent if month and month.parent in together else None
        parent = StagedTable(SOURCE_TABLES[dated]) if dated else None
        layout.own(self.data, self.entry)
        newest = publication.newest(self.records, self.asset)
        version = newest.version + 1 if newest else 1
        # The first version replaces nothing that a rollback could restore.
        is_kept = (
            version > 1
            and kept.are_kept(self.session)
            and kept.keep(self.session, self.entry, version, staged.changed, staged.replaced, interrupted=interrupted)
        )
        effect, months = publication.merge(self.data, staged, parent)
        self._end_decisions(staged)
        set_aside = quarantine.open_rows(self.data, self.asset)
        # Rows may have been discarded since the last version.
        is_new = effect.any or interrupted or newest is None or newest.set_aside != set_aside
        is_approved = approval.end(self.records, self.run_id, self.asset)
        if is_new:
            has_warnings = is_approved or set_aside > 0 or self.asset in results.warned(self.records, self.run_id)
            publication.record(
                self.records,
                asset=self.asset,
                rows=count(self.data, staged.published),
                changed_rows=effect.upserts + effect.deletes,
                months=None if interrupted else months,
                set_aside=set_aside,
                verdict="passed with warnings" if has_warnings else "passed",
                run_id=self.run_id,
                as_of=publication.newest_order(self.data, self._latest_change()) if self.asset == ORDERS else None,
                is_kept=is_kept,
            )
            kept.give_up(self.records, [self.asset], version - self.keep_versions)
            publish_profiles(self.records, self.asset, self.run_id)
        self.records.execute(
            "update ops.change set status = %s, set_aside = %s where run_id = %s and asset = %s",
            (
                "published" if is_new else "unchanged",
                quarantine.open_rows(self.data, self.asset, self.run_id),
                self.run_id,
                self.asset,
            ),
        )

    def advance_watermark(self, status: str) -> None:
        """Record the state that was read; the watermark advances only if the table was published."""
        latest = self._latest_change()
        newest = publication.newest_change(self.data, self.entry, latest) if status == "staged" else None
        self.records.execute(
            "insert into ops.watermark as w (asset, fingerprint, columns_digest, newest_change, blocked, source, mark)"
            " select asset, fingerprint, columns_digest, %(newest)s, %(blocked)s, source, mark from ops.change"
            " where run_id = %(run)s and asset = %(asset)s"
            " on conflict (asset) do update set fingerprint = excluded.fingerprint,"
            " columns_digest = excluded.columns_digest, blocked = excluded.blocked,"
            " read_at = current_timestamp,"
            " newest_change = case when not excluded.blocked then excluded.newest_change"
            # A table that had to be read whole, because its source or columns changed, must still be read whole.
            " when not (select whole from ops.change where run_id = %(run)s and asset = %(asset)s) then w.newest_change"
            " end, source = excluded.source, mark = excluded.mark",
            {"newest": newest, "blocked": status == "blocked", "run": self.run_id, "asset": self.asset},
        )

    def _end_decisions(self, staged: StagedTable) -> None:
        """End the decisions on rows that are no longer at the source, or no longer discarded."""
        discarded = decisions.keys(self.records, self.asset, decisions.DISCARDED)
        if discarded:
            left = discarded - quarantine.row_keys(self.data, self.asset, "discarded")
            decisions.end(self.records, self.asset, decisions.DISCARDED, left, "left quarantine")
        corrected = decisions.keys(self.records, self.asset, decisions.CORRECTED)
        if corrected:
            published = staged.published_keys(self.data, sorted(corrected))
            gone = corrected - published - quarantine.row_keys(self.data, self.asset, "open", "discarded")
            decisions.end(self.records, self.asset, decisions.CORRECTED, gone, "gone")
        decisions.end_judged_again(self.records, self.asset, self.run_id)

    def _latest_change(self) -> datetime | None:
        return publication.latest_change(self.records, self.run_id, self.asset)


@dataclass(frozen=True)
class Conclusion:
    """The incidents that a batch opened and resolved. `verdicts`: by asset, what its page in the UI shows."""

    opened: tuple[Incident, ...]
    resolved: tuple[Incident, ...]
    verdicts: Mapping[str, Mapping[str, Any]]


@reuse_connections()
def conclude(settings: Settings, run_id: str) -> Conclusion:
    """Open and resolve incidents, record that the batch was announced, and return what was concluded.

    Call it after the events are emitted. It also concludes earlier batches that ended before they did so themselves.
    """
    return _conclude(settings, run_id, is_over=True)


@reuse_connections()
def conclude_earlier(settings: Settings, run_id: str) -> Conclusion:
    """Open and resolve the incidents of earlier batches that were not concluded, and return them.

    Call it before the batch `run_id` sets rows aside or publishes anything. Incidents follow from the rows that are set
    aside and published at that moment, so afterwards a recovery could not be distinguished from the next failure.
    `conclude` does the rest: the states for the UI, and the record that the versions were announced.
    """
    return _conclude(settings, run_id, is_over=False)


def _conclude(settings: Settings, run_id: str, *, is_over: bool) -> Conclusion:
    faults: dict[str, TableBlocked] = {}

    def step() -> Conclusion:
        with open_warehouse(settings).connect("notify") as session:
            layout.prepare(session)
            rows = [row for row in _to_conclude(session.records, run_id) if is_over or row[0] != run_id]
            conclusion = _concluded(session, settings.checks_folder / "source", rows, faults)
            if is_over:
                # Only one ingestion runs at a time, so the publish task of this run announced the newest versions.
                newest = publication.newest_versions(session.records, list(SOURCE_TABLES))
                publication.mark_announced(session.records, newest)
                session.records.execute("update ops.change set to_conclude = false where to_conclude")
        return conclusion

    return retry_without_faulty(step, lambda fault: faults.update({fault.table: fault}))


_Change: TypeAlias = tuple[str, str, str, str | None, str | None, int]
"""Run, table, status, blocking rule, its cause, rows read."""


def _concluded(
    session: Session, folder: Path, rows: Sequence[_Change], faults: Mapping[str, TableBlocked]
) -> Conclusion:
    """Open and resolve incidents; `faults` are the tables whose verdict could not be looked up, and why."""
    if not rows:
        return Conclusion((), (), {})
    waiting = _waiting_rows(session, folder, rows)
    findings: list[Finding] = []
    resolved: list[Incident] = []
    verdicts: dict[str, Mapping[str, Any]] = {}
    for of_run, asset, status, rule, cause, _ in rows:
        if asset in faults:
            findings.append(_unknown_verdict(faults[asset], of_run))
            continue
        with contained(asset, "verdict_is_known", "looked up"):
            result = _TableResult(session, of_run, asset, status, rule, cause)
            command = approval.offer(session.records, asset) if status == "blocked" else ""
            found = result.findings(waiting.get(asset, {}), command)
            findings += found
            if rule not in CONSEQUENCES:
                keep = {finding.rule for finding in found} | result.rules_with_open_rows()
                resolved += incidents.resolve(session.records, asset, keep=keep, run_id=of_run)
            verdicts[asset] = result.verdict()
    return Conclusion(tuple(incidents.report(session.records, findings)), tuple(resolved), verdicts)


def _to_conclude(records: Connection, run_id: str) -> list[_Change]:
    """Return the changes to conclude, the newest of each table."""
    return records.execute(
        "select distinct on (asset) run_id, asset, status, blocked_rule, blocked_cause, rows_read from ops.change"
        " where run_id = %s or to_conclude order by asset, number desc",
        (run_id,),
    ).fetchall()


def _unknown_verdict(fault: TableBlocked, run_id: str) -> Finding:
    return Finding(
        asset=fault.table,
        rule=fault.rule,
        event=events.verdict_unknown(fault.detail, fault.next_step),
        run_id=run_id,
    )


def _waiting_rows(session: Session, folder: Path, changes: Sequence[_Change]) -> Mapping[str, Mapping[str, int]]:
    """Return by table how many rows of which other tables are held back because they refer to rows that it lacks."""
    waiting: dict[str, dict[str, int]] = {}
    held = session.data.execute(
        f"select asset, rule, count(*) from ops.quarantined_row as q where {quarantine.SET_ASIDE} group by asset, rule"
    ).fetchall()
    for child, broken, rows in held:
        for parent in {r.parent for r in readable_references(folder, child) if r.rule == broken}:
            of_parent = waiting.setdefault(parent, {})
            of_parent[child] = of_parent.get(child, 0) + int(rows)
    blocked = [(asset, rule, rows) for _, asset, status, rule, _, rows in changes if status == "blocked"]
    missing = {asset for asset, *_ in blocked} - publication.newest_versions(
        session.records, list(SOURCE_TABLES)
    ).keys()
    for child, rule, rows in blocked:
        if rule == "parent_is_published":
            for parent in missing & {reference.parent for reference in readable_references(folder, child)}:
                waiting.setdefault(parent, {})[child] = int(rows)
    return waiting


class _TableResult:
    """What a run found about one table, for its owner and for its page in the UI."""

    def __init__(
        self, session: Session, run_id: str, asset: str, status: str, rule: str | None, cause: str | None
    ) -> None:
        self.data = session.data
        self.records = session.records
        self.run_id = run_id
        self.asset = asset
        self.status = status
        self.rule = rule
        self.cause = cause

    def verdict(self) -> Mapping[str, Any]:
        """Return what the table's page shows."""
        newest = publication.newest(self.records, self.asset)
        verdict: dict[str, Any] = dict(newest.as_extra()) if newest else {"version": None}
        verdict.pop("months", None)
        if self.status == "blocked":
            verdict["verdict"] = f"blocked: {self.rule}: {self.cause}"
        if self.status == HELD:
            verdict["verdict"] = "rolled back"
        if self.status == NOT_OFFERED:
            verdict["verdict"] = NOT_OFFERED
        outcomes = self.records.execute(
            "select outcome, count(*) from ops.check_result where run_id = %s and asset = %s group by outcome",
            (self.run_id, self.asset),
        ).fetchall()
        verdict["checks"] = {str(outcome): int(number) for outcome, number in outcomes}
        row = self.records.execute(
            "select forgotten from ops.change where run_id = %s and asset = %s", (self.run_id, self.asset)
        ).fetchone()
        if row and row[0]:
            verdict["rows_of_forgotten_people"] = int(row[0])
        row = self.records.execute("select newest_change from ops.watermark where asset = %s", (self.asset,)).fetchone()
        verdict["newest_change"] = row[0].isoformat(sep=" ") if row and row[0] else None
        return verdict

    def findings(self, waiting: Mapping[str, int], approve: str) -> list[Finding]:
        """Return the findings for the owner: that the table is blocked, or which of its rows were set aside.

        `waiting`: the rows of other tables that are held back as a result, by table. `approve`: the command that lets a
        blocked table through, if there is one.
        """
        if self.status == NOT_OFFERED:
            return []
        total = count(self.data, table("raw", self.asset))
        if self.status == "blocked":
            if self.rule is None or self.rule in CONSEQUENCES:
                return []
            failed, examples = self._evidence(self.rule)
            return [
                Finding(
                    asset=self.asset,
                    rule=self.rule,
                    event=events.blocked(self.cause or "", has_version=total > 0, waiting=waiting, accept=approve),
                    failed=failed,
                    total=total,
                    examples=examples,
                    run_id=self.run_id,
                )
            ]
        rows = self.data.execute(
            "select rule, min(message), count(*) from ops.quarantined_row"
            " where asset = %s and status = 'open' group by rule order by count(*) desc, rule",
            (self.asset,),
        ).fetchall()
        set_aside = [
            Finding(
                asset=self.asset,
                rule=broken,
                severity="warning",
                event=events.rows_set_aside(message, total, waiting),
                failed=failed,
                total=total + failed,
                examples=quarantine.example_keys(self.data, self.asset, "open", broken),
                run_id=self.run_id,
            )
            for broken, message, failed in rows
        ]
        return set_aside + self._shape_warnings(total)

    def rules_with_open_rows(self) -> set[str]:
        """Return the rules that rows in quarantine break."""
        rows = self.data.execute(
            "select distinct rule from ops.quarantined_row where asset = %s and status = 'open'", (self.asset,)
        ).fetchall()
        return {row[0] for row in rows}

    def _shape_warnings(self, total: int) -> list[Finding]:
        """Return the warnings about the shape of a published change, for the owner to look at."""
        rows = self.records.execute(
            "select distinct rule, failed, message from ops.check_result"
            " where run_id = %s and asset = %s and kind = 'profile' and outcome = 'warn' order by rule",
            (self.run_id, self.asset),
        ).fetchall()
        return [
            Finding(
                asset=self.asset,
                rule=rule,
                severity="warning",
                event=events.unusual_change(message),
                failed=failed,
                total=total,
                run_id=self.run_id,
            )
            for rule, failed, message in rows
        ]

    def _evidence(self, rule: str) -> tuple[int | None, tuple[str, ...]]:
        """Return how many rows broke the rule that blocked the table, and the keys of some of them."""
        row = self.records.execute(
            "select failed, examples from ops.check_result where run_id = %s and asset = %s and rule = %s"
            " order by number desc limit 1",
            (self.run_id, self.asset, rule),
        ).fetchone()
        if row:
            return row[0], tuple(json.loads(row[1]))
        found = self.data.execute(
            "select count(*) from ops.quarantined_row where asset = %s and status = 'blocked'", (self.asset,)
        ).fetchone()
        return (found[0] or None if found else None), quarantine.example_keys(self.data, self.asset, "blocked")
