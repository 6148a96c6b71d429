"""Approvals: one-time permission from a person to publish a blocked delivery despite its failed checks.

An approval of a table includes the blocked tables of its publish unit. For each of them, it holds for the delivery with
this fingerprint and for the rules that it failed. It ends when the delivery is published, or when the table has changed
at the source. What cannot be read or staged, and single rows that break their contract, stay out. Texts that were
decoded wrongly are an exception: if a table is blocked by too many bad rows, approving it publishes such texts as they
are, in the columns in which they were found, since the source has no others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from adventureworks.catalog import INGESTION, SOURCE_TABLES, unit_of
from adventureworks.errors import PlatformError, Step
from adventureworks.gate.contract import KEY_IS_UNIQUE, is_about_decoding
from adventureworks.gate.verdict import CONSEQUENCES, FAILED, FEW_ROWS_ARE_SET_ASIDE
from adventureworks.settings import Settings
from adventureworks.warehouse import intervention, layout, open_warehouse, publication, quarantine
from adventureworks.warehouse.intervention import Intervention
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.session import Data


def command_for(asset: str) -> str:
    """Return the command that approves the refused content of a table or mart."""
    return f'adventureworks approve {asset} --reason "…"'


def offer(records: Connection, asset: str) -> str:
    """Return the command that approves the blocked delivery of a source table; empty if it cannot be approved."""
    try:
        _failed_rules(records, asset)
    except PlatformError:
        return ""
    return command_for(asset)


def approve(settings: Settings, asset: str, who: str, reason: str) -> tuple[str, ...]:
    """Approve the blocked deliveries of a source table and its publish unit; return the failed rules as `table: rule`.

    Raises `PlatformError` if the table is not blocked or is rolled back, or if one of them is blocked for a reason that
    cannot be approved.
    """
    with open_warehouse(settings).connect(f"approve {asset}") as session:
        layout.prepare(session)
        # A rollback at the same moment ends the approvals that it finds.
        publication.lock(session.records, INGESTION, shared=True)
        if asset in intervention.held_tables(session.records):
            raise PlatformError(
                f"{asset} is rolled back to an earlier version.",
                Step("Release it:", f"adventureworks rollback {asset} --release"),
            )
        failed = _failed_rules(session.records, asset)
        rules = {
            table: [*broken, *_of_damaged_texts(session.data, table, broken)] for table, (_, broken) in failed.items()
        }
        for table, (fingerprint, _) in failed.items():
            detail = {"rules": rules[table], "fingerprint": fingerprint}
            intervention.record(session.records, "approval", table, who, reason, detail, in_force=True)
    return tuple(f"{table}: {rule}" for table, broken in rules.items() for rule in broken)


def _of_damaged_texts(data: Data, table: str, broken: list[str]) -> list[str]:
    """Return the rules on the decoding of texts that rows break, if too many bad rows blocked the table."""
    if FEW_ROWS_ARE_SET_ASIDE not in broken:
        return []
    return sorted(filter(is_about_decoding, quarantine.blocked_rules(data, table)))


def _failed_rules(records: Connection, asset: str) -> dict[str, tuple[str, list[str]]]:
    """Return the fingerprint and the failed rules of each table that was blocked in one run of a publish unit.

    Raises `PlatformError` as `approve` does.
    """
    details = Step("Details:", f"adventureworks status {asset}")
    newest = records.execute(
        "select run_id, status, blocked_rule, blocked_cause from ops.change where asset = %s"
        " order by number desc limit 1",
        (asset,),
    ).fetchone()
    if newest is None or newest[1] != "blocked":
        raise PlatformError(f"{asset} is not blocked.", details)
    run_id, _, blocked_by, why = newest
    if blocked_by in CONSEQUENCES:
        raise PlatformError(f"{asset} is blocked only because it {why}", "Approve the tables that it waits for.")
    blocked = records.execute(
        "select asset, judged, blocked_rule, blocked_cause, fingerprint from ops.change"
        " where run_id = %s and status = 'blocked' and asset = any(%s) order by asset",
        (run_id, sorted(unit_of(asset))),
    ).fetchall()
    found: dict[str, tuple[str, list[str]]] = {}
    for table, judged, rule, cause, fingerprint in blocked:
        rows = records.execute(
            "select rule, outcome, message from ops.check_result"
            " where run_id = %s and asset = %s and outcome = any(%s) order by rule",
            (run_id, table, sorted(FAILED)),
        ).fetchall()
        for name, outcome, message in rows:
            if outcome == "error" or name == KEY_IS_UNIQUE:
                raise PlatformError(f"{table} fails {name}, which cannot be approved: {message}", details)
        # A fault outside the data has no fingerprint.
        if not judged or not fingerprint:
            raise PlatformError(f"{table} is blocked by {rule}, which cannot be approved: {cause}", details)
        rules = sorted({rule, *(name for name, *_ in rows)} - CONSEQUENCES)
        if rules:
            found[table] = (fingerprint, rules)
    return found


def waiting(records: Connection) -> list[Intervention]:
    """Return the approvals of tables that no run has used to reach a verdict yet."""
    found = _of_tables(records)
    judged = records.execute(
        "select run_id, asset from ops.change where status in ('published', 'unchanged', 'blocked')"
        " and run_id = any(%s)",
        ([one.run_id for one in found],),
    ).fetchall()
    return [one for one in found if (one.run_id, one.asset) not in judged]


def use(records: Connection, run_id: str, fingerprints: Mapping[str, str]) -> frozenset[str]:
    """Let a run use the approvals of the deliveries that are still there, and end those of deliveries that are not.

    `fingerprints`: the state at the source of each table that could be read; the approvals of others wait. Return the
    approved tables.
    """
    approved = set[str]()
    for one in _of_tables(records):
        if one.asset not in fingerprints:
            continue
        if fingerprints[one.asset] == one.detail["fingerprint"]:
            intervention.use(records, one.number, run_id)
            approved.add(one.asset)
        else:
            intervention.end(records, one.number)
    return frozenset(approved)


def withdraw(records: Connection, assets: Collection[str]) -> None:
    """End the approvals of these tables, because an earlier version of them is published instead."""
    for one in _of_tables(records):
        if one.asset in assets:
            intervention.end(records, one.number)


def _of_tables(records: Connection) -> list[Intervention]:
    return [one for one in intervention.approvals(records) if one.asset in SOURCE_TABLES]


def rules_of(records: Connection, run_id: str) -> dict[str, frozenset[str]]:
    """Return by table the rules that it may break in a run."""
    found: dict[str, frozenset[str]] = {}
    for one in intervention.approvals(records):
        if one.run_id == run_id:
            found[one.asset] = found.get(one.asset, frozenset()) | frozenset(one.detail["rules"])
    return found


def admitted_rules(records: Connection, run_id: str, asset: str) -> frozenset[str]:
    """Return the approved rules that single rows of this table may break in a run: those on the decoding of texts."""
    return frozenset(rule for rule in rules_of(records, run_id).get(asset, ()) if is_about_decoding(rule))


def end(records: Connection, run_id: str, asset: str) -> bool:
    """End the approvals that a run has used to publish a table; return whether there are any."""
    used = [one for one in intervention.approvals(records) if one.asset == asset and one.run_id == run_id]
    for one in used:
        intervention.end(records, one.number)
    return bool(used)
