"""What goes wrong with the telling itself: incidents of the platform, so that somebody hears why nobody hears."""

from __future__ import annotations

from adventureworks.incidents import ledger
from adventureworks.incidents.ledger import Connection, Finding

ASSET = "messages"
OWNER = "platform"
ROUTES, INCIDENTS, READERS, SWEEP = "routes_are_right", "incidents_are_told", "readers_are_told", "sweep_is_whole"
READ_LOGS = "Read the log of the watch, or of the task that tells. Then: adventureworks watch --once"
_WHAT = {
    ROUTES: "The routes are wrong: no new message is written until they are corrected.",
    INCIDENTS: "Messages about incidents could not be made; they wait.",
    READERS: "Digests or news of reports could not be made; they wait.",
    SWEEP: "The watch could not look for what nobody reports.",
}


def record(connection: Connection, rule: str, cause: str, next_step: str = "") -> bool:
    """Opens or counts the incident of this rule, or resolves it where there is no cause; True if that is news."""
    known = {incident.rule for incident in ledger.open_incidents(connection, ASSET)}
    if not cause:
        return rule in known and bool(ledger.resolve(connection, ASSET, keep=known - {rule}))
    finding = Finding(
        asset=ASSET,
        rule=rule,
        severity="error",
        summary=f"{_WHAT[rule]} {cause}",
        next_step=next_step or READ_LOGS,
        run_id="",
        owner=OWNER,
        cause=cause,
    )
    return bool(ledger.report(connection, [finding]))
