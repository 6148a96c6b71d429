"""Incidents of the messaging itself, reported to the platform's owner."""

from __future__ import annotations

from adventureworks.errors import Step
from adventureworks.incidents import events, ledger
from adventureworks.incidents.ledger import Connection, Finding

ASSET = "messages"
ROUTES, INCIDENTS, READERS, SWEEP = (
    "routes_are_valid",
    "incident_messages_are_created",
    "reader_messages_are_created",
    "sweep_is_complete",
)
_EVENTS = {
    ROUTES: events.routes_invalid,
    INCIDENTS: events.incident_messages_failed,
    READERS: events.reader_messages_failed,
    SWEEP: events.sweep_failed,
}


def record(records: Connection, rule: str, cause: str, next_step: Step | None = None) -> bool:
    """Open or count the incident of this rule, or resolve it if `cause` is empty. Return whether its state changed."""
    known = {incident.rule for incident in ledger.open_incidents(records, ASSET)}
    if not cause:
        return rule in known and bool(ledger.resolve(records, ASSET, keep=known - {rule}))
    finding = Finding(asset=ASSET, rule=rule, event=_EVENTS[rule](cause, next_step or Step()))
    return bool(ledger.report(records, [finding]))
