"""Approvals: a person lets the present delivery of a blocked table through the checks that it failed, once.

An approval holds for the delivery with this fingerprint and for these rules. It ends when the delivery is published or
the source has changed since. What cannot be read or staged, and single rows that break their contract, stay out.
"""

from __future__ import annotations

from collections.abc import Mapping

from adventureworks.catalog import unit_of
from adventureworks.errors import PlatformError
from adventureworks.gate.losses import RULES
from adventureworks.gate.verdict import CONSEQUENCES, FAILED
from adventureworks.incidents.ledger import SHAPE_RULES
from adventureworks.settings import Settings
from adventureworks.warehouse import intervention, layout, open_warehouse
from adventureworks.warehouse.intervention import Intervention
from adventureworks.warehouse.postgres import Connection


def command_for(asset: str) -> str:
    """Return the command that approves the refused content of a table or mart."""
    return f'adventureworks approve {asset} --reason "…"'


def approve(settings: Settings, asset: str, who: str, reason: str) -> tuple[str, ...]:
    """Approve the blocked delivery of a source table and return the rules that it may break.

    Raises `PlatformError` if the table is not blocked, or for a reason that cannot be approved.
    """
    with open_warehouse(settings).connect(f"approve {asset}") as session:
        layout.prepare(session)
        records = session.records
        row = records.execute(
            "select run_id, status, judged, blocked_rule, blocked_cause, fingerprint from ops.change where asset = %s"
            " order by detected_at desc limit 1",
            (asset,),
        ).fetchone()
        details = f"Details: adventureworks status {asset}"
        if row is None or row[1] != "blocked":
            raise PlatformError(f"{asset} is not blocked.", details)
        run_id, _, judged, rule, cause, fingerprint = row
        if rule in CONSEQUENCES:
            raise PlatformError(f"{asset} itself is not at fault: it {cause}", "Approve what it waits for.")
        found = records.execute(
            "select rule, outcome from ops.check_result where run_id = %s and asset = %s", (run_id, asset)
        ).fetchall()
        outcomes: dict[str, str] = dict(found)
        # A fault outside the data has no fingerprint.
        if not judged or not fingerprint or outcomes.get(rule) == "error":
            raise PlatformError(f"{asset} is blocked by {rule}, which cannot be approved: {cause}", details)
        rules = sorted({rule, *(name for name, outcome in found if outcome in FAILED)})
        detail = {"rules": rules, "fingerprint": fingerprint}
        intervention.record(records, "approval", asset, who, reason, detail, in_force=True)
        return tuple(rules)


def waiting(records: Connection) -> list[Intervention]:
    """Return the approvals of tables that no run has used yet."""
    return [one for one in intervention.approvals(records) if "fingerprint" in one.detail and not one.run_id]


def use(records: Connection, run_id: str, fingerprints: Mapping[str, str]) -> tuple[frozenset[str], frozenset[str]]:
    """Let a run use the approvals of the deliveries that are still there, and end the others.

    `fingerprints`: the state of each table at the source. Return the approved tables, and those of them, with their
    publish units, whose losses and unusual changes are accepted.
    """
    approved, accepted = set[str](), set[str]()
    for one in intervention.approvals(records):
        if "fingerprint" not in one.detail:
            continue
        if fingerprints.get(one.asset) != one.detail["fingerprint"]:
            intervention.end(records, one.number)
            continue
        intervention.use(records, one.number, run_id)
        approved.add(one.asset)
        if (RULES | SHAPE_RULES).intersection(one.detail["rules"]):
            accepted |= unit_of(one.asset)
    return frozenset(approved), frozenset(accepted)


def rules_of(records: Connection, run_id: str) -> dict[str, frozenset[str]]:
    """Return by table the rules that it may break in a run."""
    found: dict[str, frozenset[str]] = {}
    for one in intervention.approvals(records):
        if one.run_id == run_id:
            found[one.asset] = found.get(one.asset, frozenset()) | frozenset(one.detail["rules"])
    return found


def end(records: Connection, run_id: str, asset: str) -> bool:
    """End the approvals that a run has used to publish a table; return whether there are any."""
    used = [one for one in intervention.approvals(records) if one.asset == asset and one.run_id == run_id]
    for one in used:
        intervention.end(records, one.number)
    return bool(used)
