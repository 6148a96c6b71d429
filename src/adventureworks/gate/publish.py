"""From staging to the readers: one transaction for the whole batch; then what it means for owners and for the UI."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from adventureworks import incidents
from adventureworks.catalog import SOURCE_TABLES
from adventureworks.errors import CandidateLost, TableBlocked
from adventureworks.gate import losses
from adventureworks.gate.checks import readable_references
from adventureworks.gate.containment import contained, without_faulty
from adventureworks.gate.judge import judge
from adventureworks.gate.load import note_blocked
from adventureworks.gate.profiling import publish_profiles
from adventureworks.incidents import Finding, Incident
from adventureworks.incidents.ledger import IF_MEANT, SHAPE_RULES
from adventureworks.settings import Settings
from adventureworks.warehouse import candidate, layout, open_warehouse, publication, quarantine
from adventureworks.warehouse.postgres import Connection, connections_kept
from adventureworks.warehouse.publication import Publication

ORDERS = "Sales_SalesOrderHeader"
"""The table whose newest row is the business date."""

# A table that waits for another one is no cause of its own.
_CONSEQUENCES = frozenset({"unit_is_whole", "parent_is_published"})


@connections_kept()
def publish(settings: Settings, run_id: str) -> list[Publication]:
    """Publishes every staged table of a run that was not blocked; run again, it publishes nothing twice.

    What is no longer staged as it was judged is loaded and judged again. Returns the versions that consumers have to be
    told of, older ones that were never announced among them. Raises ServiceUnavailable where staged rows are lost
    again and again.
    """

    def leave_out(fault: TableBlocked) -> None:
        note_blocked(open_warehouse(settings), run_id, fault)
        # What refers to the table, or is published together with it, was judged as if it were published.
        judge(settings, run_id)

    def step() -> list[Publication]:
        return without_faulty(partial(_publish, settings, run_id), leave_out)

    return candidate.staged_again(step, partial(judge, settings, run_id))


def _publish(settings: Settings, run_id: str) -> list[Publication]:
    with open_warehouse(settings).connect("publish") as connection:
        rows = connection.execute(
            "select asset, status, publishing or resumes from ops.change where run_id = %s order by asset", (run_id,)
        ).fetchall()
        if connection.commits_twice:
            # Noted before anything is published: a process that dies between the two commits leaves data that no record
            # tells of. The next try, or run, then tells of all of it.
            connection.execute(
                "update ops.change set publishing = true where run_id = %s and status = 'staged'", (run_id,)
            )
            connection.commit()
        for asset, status, interrupted in rows:
            with contained(asset, "can_be_published", "published"):
                if status == "staged":
                    _publish_table(connection, asset, run_id, interrupted=interrupted)
                if status == "blocked":
                    quarantine.hold(connection, asset)
                if status in {"staged", "blocked"}:
                    _advance(connection, run_id, asset, blocked=status == "blocked")
        lost = candidate.lost(connection, run_id, [SOURCE_TABLES[a] for a, status, _ in rows if status == "staged"])
        if lost:
            raise CandidateLost(f"The staged rows of {', '.join(lost)} are not those that were judged.")
        connection.execute(
            "update ops.change set publishing = false where publishing and asset in ("
            "select asset from ops.change where run_id = %s and status in ('published', 'unchanged'))",
            (run_id,),
        )
        unannounced = publication.unannounced(connection, list(SOURCE_TABLES))
    # When all is committed: to make a view is to commit, on some engines. Until then the candidates show the same rows.
    # Where a reader's lock keeps one from being made, the next run makes it.
    with suppress(TableBlocked), open_warehouse(settings).connect("publish") as connection:
        for asset, *_ in rows:
            with contained(asset, "can_be_published", "shown"):
                layout.show_published(connection, SOURCE_TABLES[asset])
    return unannounced


@dataclass(frozen=True)
class Conclusion:
    """What a batch means for people. `states`: per asset what its page in the UI shows."""

    opened: tuple[Incident, ...]
    resolved: tuple[Incident, ...]
    states: Mapping[str, Mapping[str, Any]]


@connections_kept()
def conclude(settings: Settings, run_id: str) -> Conclusion:
    """Opens and resolves incidents, and notes that the batch was announced. Call it when the events are out."""
    faults: dict[str, TableBlocked] = {}
    return without_faulty(
        lambda: _conclude(settings, run_id, faults), lambda fault: faults.update({fault.table: fault})
    )


def _conclude(settings: Settings, run_id: str, faults: Mapping[str, TableBlocked]) -> Conclusion:
    """`faults`: the tables whose verdict could not be looked up, and why."""
    with open_warehouse(settings).connect("tell") as connection:
        rows = connection.execute(
            "select asset, status, blocked_rule, blocked_cause from ops.change where run_id = %s order by asset",
            (run_id,),
        ).fetchall()
        waiting = _waiting(connection, settings.checks_folder / "source", run_id)
        findings: list[Finding] = []
        resolved: list[Incident] = []
        states: dict[str, Mapping[str, Any]] = {}
        for asset, status, rule, cause in rows:
            if asset in faults:
                findings.append(_untold(faults[asset], run_id))
                continue
            with contained(asset, "verdict_is_told", "looked up"):
                found = _findings(connection, run_id, asset, status, rule, cause, waiting.get(asset, ""))
                findings += found
                if rule not in _CONSEQUENCES:
                    keep = {finding.rule for finding in found} | _rules_with_open_rows(connection, asset)
                    resolved += incidents.resolve(connection, asset, keep=keep, run_id=run_id)
                states[asset] = _state(connection, run_id, asset, status, rule, cause)
        opened = incidents.report(connection, findings)
        # One ingestion runs at a time: what is published now, this run's publish task has announced.
        publication.mark_announced(connection, publication.newest_versions(connection, list(SOURCE_TABLES)))
    return Conclusion(tuple(opened), tuple(resolved), states)


def _untold(fault: TableBlocked, run_id: str) -> Finding:
    return Finding(
        asset=fault.table,
        rule=fault.rule,
        severity="error",
        summary=f"{fault.table}: what came of its last reading is not known: {fault.detail}",
        next_step=fault.next_step,
        run_id=run_id,
        owner=SOURCE_TABLES[fault.table].owner,
        cause=fault.detail,
    )


def _state(
    connection: Connection, run_id: str, asset: str, status: str, rule: str | None, cause: str | None
) -> Mapping[str, Any]:
    newest = publication.newest(connection, asset)
    verdict: dict[str, Any] = dict(newest.as_extra()) if newest else {"version": None}
    verdict.pop("months", None)
    if status == "blocked":
        verdict["verdict"] = f"blocked: {rule}: {cause}"
    outcomes = connection.execute(
        "select outcome, count(*) from ops.check_result where run_id = %s and asset = %s group by outcome",
        (run_id, asset),
    ).fetchall()
    verdict["checks"] = {str(outcome): int(count) for outcome, count in outcomes}
    row = connection.execute("select newest_change from ops.watermark where asset = %s", (asset,)).fetchone()
    watermark = row[0].isoformat(sep=" ") if row and row[0] else None
    return {"verdict": verdict, "watermark": {"newest_change": watermark}}


def _publish_table(connection: Connection, asset: str, run_id: str, *, interrupted: bool) -> None:
    """Merges a staged table and notes the version. `interrupted`: what a process that died did of it is not known."""
    entry = SOURCE_TABLES[asset]
    effect, months = publication.merge(connection, entry)
    first = publication.newest(connection, asset) is None
    is_new = effect.any or first or interrupted
    if is_new:
        set_aside = quarantine.open_rows(connection, asset)
        publication.record(
            connection,
            asset=asset,
            rows=publication.source_table_rows(connection, asset),
            changed_rows=effect.upserts + effect.deletes,
            months=None if interrupted else months,
            set_aside=set_aside,
            verdict="passed with warnings" if set_aside or _warnings(connection, asset, run_id) else "passed",
            run_id=run_id,
            as_of=_business_date(connection, run_id) if asset == ORDERS else None,
        )
        publish_profiles(connection, asset, run_id)
    connection.execute(
        "update ops.change set status = %s, set_aside = %s where run_id = %s and asset = %s",
        ("published" if is_new else "unchanged", quarantine.open_rows(connection, asset, run_id), run_id, asset),
    )


def _business_date(connection: Connection, run_id: str) -> date | None:
    return publication.newest_order(connection, publication.latest_change(connection, run_id, ORDERS))


def _warnings(connection: Connection, asset: str, run_id: str) -> bool:
    row = connection.execute(
        "select 1 from ops.check_result where run_id = %s and asset = %s and outcome = 'warn' limit 1", (run_id, asset)
    ).fetchone()
    return row is not None


def _advance(connection: Connection, run_id: str, asset: str, *, blocked: bool) -> None:
    """Remembers what was read; only what was published moves the watermark."""
    latest = publication.latest_change(connection, run_id, asset)
    newest = None if blocked else publication.newest_change(connection, SOURCE_TABLES[asset], latest)
    connection.execute(
        "insert into ops.watermark as w (asset, fingerprint, newest_change, blocked, source)"
        " select asset, fingerprint, %(newest)s, %(blocked)s, source from ops.change"
        " where run_id = %(run)s and asset = %(asset)s"
        " on conflict (asset) do update set fingerprint = excluded.fingerprint, blocked = excluded.blocked,"
        " read_at = current_timestamp,"
        " newest_change = case when not excluded.blocked then excluded.newest_change"
        # A table that had to be read whole, as one of another source or of other columns has, still has to be.
        " when not (select whole from ops.change where run_id = %(run)s and asset = %(asset)s) then w.newest_change"
        " end, source = excluded.source",
        {"newest": newest, "blocked": blocked, "run": run_id, "asset": asset},
    )


def _waiting(connection: Connection, folder: Path, run_id: str) -> Mapping[str, str]:
    """By table, how many rows of others are held back because they refer to rows that it lacks."""
    waiting: dict[str, dict[str, int]] = {}
    held = connection.execute(
        "select asset, rule, count(*) from ops.quarantined_row where status in ('open', 'blocked') group by asset, rule"
    ).fetchall()
    for child, broken, rows in held:
        for parent in {r.parent for r in readable_references(folder, child) if r.rule == broken}:
            of_parent = waiting.setdefault(parent, {})
            of_parent[child] = of_parent.get(child, 0) + int(rows)
    whole = connection.execute(
        "select asset, blocked_cause, rows_read from ops.change where run_id = %s and status = 'blocked'"
        " and blocked_rule = 'parent_is_published'",
        (run_id,),
    ).fetchall()
    for child, cause, rows in whole:
        for parent in SOURCE_TABLES.keys() & re.findall(r"\w+", cause):
            waiting.setdefault(parent, {})[child] = int(rows)
    return {
        parent: f"Rows that wait for it: {', '.join(f'{rows:,} of {child}' for child, rows in sorted(held.items()))}."
        for parent, held in waiting.items()
    }


def _findings(
    connection: Connection, run_id: str, asset: str, status: str, rule: str | None, cause: str | None, waiting: str
) -> list[Finding]:
    """What the owner of a table has to know: that it is blocked, or which rows of it were set aside.

    `waiting` says which rows of other tables are held back with them.
    """
    owner = SOURCE_TABLES[asset].owner
    total = publication.source_table_rows(connection, asset)
    if status == "blocked":
        if rule is None or rule in _CONSEQUENCES:
            return []
        cause = f"{cause or ''} {waiting}".strip()
        accept = f". {IF_MEANT} {losses.how_to_accept(asset)}" if rule in losses.RULES | SHAPE_RULES else ""
        failed, examples = _evidence(connection, run_id, asset, rule)
        kept = f"The last good version stays, with {total:,} rows." if total else "Nothing of it is published yet."
        return [
            Finding(
                asset=asset,
                rule=rule,
                severity="error",
                summary=f"{asset} is blocked: {cause} {kept}",
                failed=failed,
                total=total,
                examples=examples,
                next_step=f"adventureworks status {asset}{accept}",
                run_id=run_id,
                owner=owner,
                cause=cause,
            )
        ]
    rows = connection.execute(
        "select rule, min(message), count(*) from ops.quarantined_row"
        " where asset = %s and status = 'open' group by rule order by count(*) desc, rule",
        (asset,),
    ).fetchall()
    set_aside = [
        Finding(
            asset=asset,
            rule=broken,
            severity="warning",
            summary=f"{asset}: {count:,} {'row' if count == 1 else 'rows'} set aside, {total:,} published."
            f" Rule {broken} ({message}). {waiting}".strip(),
            failed=count,
            total=total + count,
            examples=quarantine.example_keys(connection, asset, "open", broken),
            next_step=f"adventureworks quarantine show {asset}",
            run_id=run_id,
            owner=owner,
            cause=f"{message}. {waiting}" if waiting else message,
        )
        for broken, message, count in rows
    ]
    return set_aside + _warned_of_shape(connection, run_id, asset, total)


def _warned_of_shape(connection: Connection, run_id: str, asset: str, total: int) -> list[Finding]:
    """Return what a published change does that no version before did, for the owner to look at."""
    rows = connection.execute(
        "select distinct rule, failed, message from ops.check_result"
        " where run_id = %s and asset = %s and kind = 'profile' and outcome = 'warn' order by rule",
        (run_id, asset),
    ).fetchall()
    return [
        Finding(
            asset=asset,
            rule=rule,
            severity="warning",
            summary=f"{asset} is published, and its change looks unusual: {message}",
            failed=failed,
            total=total,
            examples=(),
            next_step=f"adventureworks status {asset}",
            run_id=run_id,
            owner=SOURCE_TABLES[asset].owner,
            cause=message,
        )
        for rule, failed, message in rows
    ]


def _evidence(connection: Connection, run_id: str, asset: str, rule: str) -> tuple[int | None, tuple[str, ...]]:
    """How many rows broke the rule that blocked a table, and keys of some of them."""
    row = connection.execute(
        "select failed, examples from ops.check_result where run_id = %s and asset = %s and rule = %s"
        " order by checked_at desc limit 1",
        (run_id, asset, rule),
    ).fetchone()
    if row:
        return row[0], tuple(json.loads(row[1]))
    count = connection.execute(
        "select count(*) from ops.quarantined_row where asset = %s and status = 'blocked'", (asset,)
    ).fetchone()
    return (count[0] or None if count else None), quarantine.example_keys(connection, asset, "blocked")


def _rules_with_open_rows(connection: Connection, asset: str) -> set[str]:
    rows = connection.execute(
        "select distinct rule from ops.quarantined_row where asset = %s and status = 'open'", (asset,)
    ).fetchall()
    return {row[0] for row in rows}
