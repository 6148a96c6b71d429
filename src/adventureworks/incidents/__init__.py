"""Incidents: what failed, since when, and whether it is resolved.

`ledger` keeps one open incident per cause in `ops.incident`, `events` says what each one is about, `sweep` finds
failures that nothing reported, `privacy` removes personal data and secrets from texts. `adventureworks.messaging`
notifies the owners.
"""

from adventureworks.incidents.events import Event
from adventureworks.incidents.ledger import Finding, Incident, Severity, open_incidents, report, resolve

__all__ = ["Event", "Finding", "Incident", "Severity", "open_incidents", "report", "resolve"]
