"""What went wrong, who is told, and when it is over.

`ledger` keeps one incident per cause that is not over in `ops.incident`, `notices` keeps what is to be told though
nothing went wrong, `messages` words both for Slack and e-mail, `privacy` keeps persons and secrets out of them.
Sending is the orchestration's part (`adventureworks.orchestration.notify`).
"""

from adventureworks.incidents.ledger import Finding, Incident, Severity, open_incidents, report, resolve

__all__ = ["Finding", "Incident", "Severity", "open_incidents", "report", "resolve"]
