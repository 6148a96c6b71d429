"""Publication of staged tables: one transaction for the whole batch, then incidents and states for the UI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from adventureworks import incidents
from adventureworks.catalog import SOURCE_TABLES, SourceTable
from adventureworks.errors import CandidateLost, TableBlocked
from adventureworks.gate import losses
from adventureworks.gate.checks import readable_references
from adventureworks.gate.containment import contained, retry_without_faulty
from adventureworks.gate.judge import judge
from adventureworks.gate.load import note_blocked
from adventureworks.gate.profiling import publish_profiles
from adventureworks.incidents import Finding, Incident, events
from adventureworks.incidents.ledger import SHAPE_RULES
from adventureworks.settings import Settings
from adventureworks.warehouse import candidate, decisions, layout, open_warehouse, publication, quarantine, staging
from adventureworks.warehouse.postgres import Connection, reuse_connections
from adventureworks.warehouse.publication import NOT_OFFERED, Publication
from adventureworks.warehouse.session import Data, Session

ORDERS = "Sales_SalesOrderHeader"
"""The table whose newest row is the business date."""

# Rules that a table breaks only because another table is blocked.
_CONSEQUENCES = frozenset({"unit_is_whole", "parent_is_published"})


@reuse_connections()
def publish(settings: Settings, run_id: str) -> list[Publication]:
    """Publish every staged table of a run that is not blocked, and return the versions to announce to consumers.

    They include older versions that were never announced. A repeated call publishes nothing twice. Tables whose staged
    rows differ from those that were judged are loaded and judged again. Raises ServiceUnavailable if staged rows are
    lost repeatedly.
    """

    def skip(fault: TableBlocked) -> None:
        note_blocked(open_warehouse(settings), run_id, fault)
        # Tables that refer to this one, or are published together with it, were judged as if it were published.
        judge(settings, run_id)

    def step() -> list[Publication]:
        return retry_without_faulty(partial(_publish, settings, run_id), skip)

    return candidate.with_restaging(step, partial(judge, settings, run_id))


def _publish(settings: Settings, run_id: str) -> list[Publication]:
    with open_warehouse(settings).connect("publish") as session:
        rows = session.records.execute(
            "select asset, status, publishing or resumes from ops.change where run_id = %s order by asset", (run_id,)
        ).fetchall()
        if session.commits_twice:
            # Recorded before anything is published: if the process dies between the two commits, the data has no record
            # of its publication. The next attempt or run then announces all of it.
            session.records.execute(
                "update ops.change set publishing = true where run_id = %s and status = 'staged'", (run_id,)
            )
            session.commit()
        for asset, status, interrupted in rows:
            with contained(asset, "can_be_published", "published"):
                if status == "staged":
                    _publish_table(session, asset, run_id, interrupted=interrupted)
                if status == "blocked":
                    quarantine.block(session.data, asset)
                if status in {"staged", "blocked", NOT_OFFERED}:
                    _advance_watermark(session, run_id, asset, status)
        lost = candidate.lost(session, run_id, [SOURCE_TABLES[a] for a, status, _ in rows if status == "staged"])
        if lost:
            raise CandidateLost(f"The staged rows of {', '.join(lost)} differ from those that were judged.")
        session.records.execute(
            "update ops.change set publishing = false where publishing and asset in ("
            "select asset from ops.change where run_id = %s and status in ('published', 'unchanged'))",
            (run_id,),
        )
        decisions.finish_replays(session.records, run_id)
        unannounced = publication.unannounced(session.records, list(SOURCE_TABLES))
    # Views are created after the commit, because creating a view commits on some engines; until then, the candidates
    # show the same rows. If a reader's lock prevents the creation of a view, the next run creates it.
    with suppress(TableBlocked), open_warehouse(settings).connect("publish") as session:
        for asset, *_ in rows:
            with contained(asset, "can_be_published", "shown"):
                layout.show_published(session.data, SOURCE_TABLES[asset])
    return unannounced


@dataclass(frozen=True)
class Conclusion:
    """The incidents that a batch opened and resolved. `states`: by asset, what its page in the UI shows."""

    opened: tuple[Incident, ...]
    resolved: tuple[Incident, ...]
    states: Mapping[str, Mapping[str, Any]]


@reuse_connections()
def conclude(settings: Settings, run_id: str) -> Conclusion:
    """Open and resolve incidents, and record that the batch was announced. Call it after the events are emitted."""
    faults: dict[str, TableBlocked] = {}
    return retry_without_faulty(
        lambda: _conclude(settings, run_id, faults), lambda fault: faults.update({fault.table: fault})
    )


def _conclude(settings: Settings, run_id: str, faults: Mapping[str, TableBlocked]) -> Conclusion:
    """Open and resolve incidents; `faults` are the tables whose verdict could not be looked up, and why."""
    with open_warehouse(settings).connect("notify") as session:
        rows = session.records.execute(
            "select asset, status, blocked_rule, blocked_cause from ops.change where run_id = %s order by asset",
            (run_id,),
        ).fetchall()
        waiting = _waiting_rows(session, settings.checks_folder / "source", run_id)
        findings: list[Finding] = []
        resolved: list[Incident] = []
        states: dict[str, Mapping[str, Any]] = {}
        for asset, status, rule, cause in rows:
            if asset in faults:
                findings.append(_unknown_verdict(faults[asset], run_id))
                continue
            with contained(asset, "verdict_is_told", "looked up"):
                found = _findings(session, run_id, asset, status, rule, cause, waiting.get(asset, {}))
                findings += found
                if rule not in _CONSEQUENCES:
                    keep = {finding.rule for finding in found} | _rules_with_open_rows(session.data, asset)
                    resolved += incidents.resolve(session.records, asset, keep=keep, run_id=run_id)
                states[asset] = _state(session.records, run_id, asset, status, rule, cause)
        opened = incidents.report(session.records, findings)
        # Only one ingestion runs at a time, so the publish task of this run announced the newest versions.
        publication.mark_announced(session.records, publication.newest_versions(session.records, list(SOURCE_TABLES)))
    return Conclusion(tuple(opened), tuple(resolved), states)


def _unknown_verdict(fault: TableBlocked, run_id: str) -> Finding:
    return Finding(
        asset=fault.table,
        rule=fault.rule,
        event=events.verdict_unknown(fault.detail, fault.next_step),
        run_id=run_id,
    )


def _state(
    records: Connection, run_id: str, asset: str, status: str, rule: str | None, cause: str | None
) -> Mapping[str, Any]:
    newest = publication.newest(records, asset)
    verdict: dict[str, Any] = dict(newest.as_extra()) if newest else {"version": None}
    verdict.pop("months", None)
    if status == "blocked":
        verdict["verdict"] = f"blocked: {rule}: {cause}"
    if status == NOT_OFFERED:
        verdict["verdict"] = NOT_OFFERED
    outcomes = records.execute(
        "select outcome, count(*) from ops.check_result where run_id = %s and asset = %s group by outcome",
        (run_id, asset),
    ).fetchall()
    verdict["checks"] = {str(outcome): int(count) for outcome, count in outcomes}
    row = records.execute("select newest_change from ops.watermark where asset = %s", (asset,)).fetchone()
    watermark = row[0].isoformat(sep=" ") if row and row[0] else None
    return {"verdict": verdict, "watermark": {"newest_change": watermark}}


def _publish_table(session: Session, asset: str, run_id: str, *, interrupted: bool) -> None:
    """Merge a staged table and record the version. `interrupted`: a process died while it was publishing the table."""
    entry = SOURCE_TABLES[asset]
    layout.own(session.data, entry)
    effect, months = publication.merge(session.data, entry)
    _end_decisions(session, entry)
    newest = publication.newest(session.records, asset)
    set_aside = quarantine.open_rows(session.data, asset)
    # Rows may have been discarded since the last version.
    is_new = effect.any or interrupted or newest is None or newest.set_aside != set_aside
    if is_new:
        publication.record(
            session.records,
            asset=asset,
            rows=publication.source_table_rows(session.data, asset),
            changed_rows=effect.upserts + effect.deletes,
            months=None if interrupted else months,
            set_aside=set_aside,
            verdict="passed with warnings" if set_aside or _warnings(session.records, asset, run_id) else "passed",
            run_id=run_id,
            as_of=_business_date(session, run_id) if asset == ORDERS else None,
        )
        publish_profiles(session.records, asset, run_id)
    session.records.execute(
        "update ops.change set status = %s, set_aside = %s where run_id = %s and asset = %s",
        ("published" if is_new else "unchanged", quarantine.open_rows(session.data, asset, run_id), run_id, asset),
    )


def _end_decisions(session: Session, entry: SourceTable) -> None:
    """End the decisions on rows that are no longer at the source, or no longer discarded."""
    discarded = decisions.keys(session.records, entry.asset, decisions.DISCARDED)
    if discarded:
        left = discarded - quarantine.row_keys(session.data, entry.asset, "discarded")
        decisions.end(session.records, entry.asset, decisions.DISCARDED, left, "left quarantine")
    corrected = decisions.keys(session.records, entry.asset, decisions.CORRECTED)
    if corrected:
        published = staging.published_keys(session.data, entry, sorted(corrected))
        gone = corrected - published - quarantine.row_keys(session.data, entry.asset, "open", "discarded")
        decisions.end(session.records, entry.asset, decisions.CORRECTED, gone, "gone")


def _business_date(session: Session, run_id: str) -> date | None:
    return publication.newest_order(session.data, publication.latest_change(session.records, run_id, ORDERS))


def _warnings(records: Connection, asset: str, run_id: str) -> bool:
    row = records.execute(
        "select 1 from ops.check_result where run_id = %s and asset = %s and outcome = 'warn' limit 1", (run_id, asset)
    ).fetchone()
    return row is not None


def _advance_watermark(session: Session, run_id: str, asset: str, status: str) -> None:
    """Record the state that was read; the watermark advances only if the table was published."""
    latest = publication.latest_change(session.records, run_id, asset)
    newest = publication.newest_change(session.data, SOURCE_TABLES[asset], latest) if status == "staged" else None
    session.records.execute(
        "insert into ops.watermark as w (asset, fingerprint, columns_digest, newest_change, blocked, source)"
        " select asset, fingerprint, columns_digest, %(newest)s, %(blocked)s, source from ops.change"
        " where run_id = %(run)s and asset = %(asset)s"
        " on conflict (asset) do update set fingerprint = excluded.fingerprint,"
        " columns_digest = excluded.columns_digest, blocked = excluded.blocked,"
        " read_at = current_timestamp,"
        " newest_change = case when not excluded.blocked then excluded.newest_change"
        # A table that had to be read whole, because its source or columns changed, must still be read whole.
        " when not (select whole from ops.change where run_id = %(run)s and asset = %(asset)s) then w.newest_change"
        " end, source = excluded.source",
        {"newest": newest, "blocked": status == "blocked", "run": run_id, "asset": asset},
    )


def _waiting_rows(session: Session, folder: Path, run_id: str) -> Mapping[str, Mapping[str, int]]:
    """Return by table how many rows of which other tables are held back because they refer to rows that it lacks."""
    waiting: dict[str, dict[str, int]] = {}
    held = session.data.execute(
        "select asset, rule, count(*) from ops.quarantined_row where status in ('open', 'blocked') group by asset, rule"
    ).fetchall()
    for child, broken, rows in held:
        for parent in {r.parent for r in readable_references(folder, child) if r.rule == broken}:
            of_parent = waiting.setdefault(parent, {})
            of_parent[child] = of_parent.get(child, 0) + int(rows)
    blocked = session.records.execute(
        "select asset, blocked_rule, rows_read from ops.change where run_id = %s and status = 'blocked'", (run_id,)
    ).fetchall()
    missing = {asset for asset, *_ in blocked} - publication.newest_versions(
        session.records, list(SOURCE_TABLES)
    ).keys()
    for child, rule, rows in blocked:
        if rule == "parent_is_published":
            for parent in missing & {reference.parent for reference in readable_references(folder, child)}:
                waiting.setdefault(parent, {})[child] = int(rows)
    return waiting


def _findings(
    session: Session,
    run_id: str,
    asset: str,
    status: str,
    rule: str | None,
    cause: str | None,
    waiting: Mapping[str, int],
) -> list[Finding]:
    """Return the findings for a table's owner: that it is blocked, or which of its rows were set aside.

    `waiting`: the rows of other tables that are held back as a result, by table.
    """
    if status == NOT_OFFERED:
        return []
    total = publication.source_table_rows(session.data, asset)
    if status == "blocked":
        if rule is None or rule in _CONSEQUENCES:
            return []
        accept = losses.accept_command(asset) if rule in losses.RULES | SHAPE_RULES else ""
        failed, examples = _evidence(session, run_id, asset, rule)
        return [
            Finding(
                asset=asset,
                rule=rule,
                event=events.blocked(cause or "", has_version=total > 0, waiting=waiting, accept=accept),
                failed=failed,
                total=total,
                examples=examples,
                run_id=run_id,
            )
        ]
    rows = session.data.execute(
        "select rule, min(message), count(*) from ops.quarantined_row"
        " where asset = %s and status = 'open' group by rule order by count(*) desc, rule",
        (asset,),
    ).fetchall()
    set_aside = [
        Finding(
            asset=asset,
            rule=broken,
            severity="warning",
            event=events.rows_set_aside(message, total, waiting),
            failed=count,
            total=total + count,
            examples=quarantine.example_keys(session.data, asset, "open", broken),
            run_id=run_id,
        )
        for broken, message, count in rows
    ]
    return set_aside + _shape_warnings(session.records, run_id, asset, total)


def _shape_warnings(records: Connection, run_id: str, asset: str, total: int) -> list[Finding]:
    """Return the warnings about the shape of a published change, for the owner to look at."""
    rows = records.execute(
        "select distinct rule, failed, message from ops.check_result"
        " where run_id = %s and asset = %s and kind = 'profile' and outcome = 'warn' order by rule",
        (run_id, asset),
    ).fetchall()
    return [
        Finding(
            asset=asset,
            rule=rule,
            severity="warning",
            event=events.unusual_change(message),
            failed=failed,
            total=total,
            run_id=run_id,
        )
        for rule, failed, message in rows
    ]


def _evidence(session: Session, run_id: str, asset: str, rule: str) -> tuple[int | None, tuple[str, ...]]:
    """Return how many rows broke the rule that blocked a table, and the keys of some of them."""
    row = session.records.execute(
        "select failed, examples from ops.check_result where run_id = %s and asset = %s and rule = %s"
        " order by checked_at desc limit 1",
        (run_id, asset, rule),
    ).fetchone()
    if row:
        return row[0], tuple(json.loads(row[1]))
    count = session.data.execute(
        "select count(*) from ops.quarantined_row where asset = %s and status = 'blocked'", (asset,)
    ).fetchone()
    return (count[0] or None if count else None), quarantine.example_keys(session.data, asset, "blocked")


def _rules_with_open_rows(data: Data, asset: str) -> set[str]:
    rows = data.execute(
        "select distinct rule from ops.quarantined_row where asset = %s and status = 'open'", (asset,)
    ).fetchall()
    return {row[0] for row in rows}
