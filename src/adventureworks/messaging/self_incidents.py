"""Incidents of the messaging itself, reported to the platform's owner."""

from __future__ import annotations

from adventureworks.incidents import ledger
from adventureworks.incidents.ledger import Connection, Finding

ASSET = "messages"
ROUTES, INCIDENTS, READERS, SWEEP = "routes_are_right", "incidents_are_told", "readers_are_told", "sweep_is_whole"
READ_LOGS = "Read the log of the watch, or of the task that sends messages. Then: adventureworks watch --once"
_WHAT = {
    ROUTES: "The routes are invalid: no new messages are created until they are corrected.",
    INCIDENTS: "Messages about incidents could not be created; they will be retried.",
    READERS: "Digests or report announcements could not be created; they will be retried.",
    SWEEP: "The watch could not check for unreported failures.",
}


def record(connection: Connection, rule: str, cause: str, next_step: str = "") -> bool:
    """Open or count the incident of this rule, or resolve it if `cause` is empty. Return whether its state changed."""
    known = {incident.rule for incident in ledger.open_incidents(connection, ASSET)}
    if not cause:
        return rule in known and bool(ledger.resolve(connection, ASSET, keep=known - {rule}))
    finding = Finding(
        asset=ASSET,
        rule=rule,
        summary=f"{_WHAT[rule]} {cause}",
        next_step=next_step or READ_LOGS,
        cause=cause,
    )
    return bool(ledger.report(connection, [finding]))
