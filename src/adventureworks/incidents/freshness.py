"""The freshness that the catalogue promises (`fresh_within`), and whether it is kept.

A promise is about changes, not about age: a table without changes at the source stays fresh. The clock of a source
table starts when a change is detected that is then refused, that of a mart when an input is published. Whether the
source is checked for changes often enough is a rule of the ingestion (`runs_in_time`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from adventureworks.catalog import MARTS, SOURCE_TABLES, fresh_within
from adventureworks.due import Behind
from adventureworks.incidents import ledger
from adventureworks.incidents.ledger import LATE, Connection
from adventureworks.settings import Settings
from adventureworks.warehouse.state import refused_since


@dataclass(frozen=True)
class Freshness:
    """The freshness promised for a table or mart, and whether the promise is missed."""

    within: timedelta
    since: datetime | None
    """Since when a change has been waiting; None if there is none, or if that is unknown, as for a changed model."""
    missed: bool


def promises(settings: Settings) -> dict[str, timedelta]:
    """Return how soon each table and mart should be published; the setting replaces the catalogue for marts."""
    found = {asset: fresh_within(asset) for asset in (*SOURCE_TABLES, *MARTS)}
    if settings.late_after_minutes is not None:
        found.update(dict.fromkeys(MARTS, timedelta(minutes=settings.late_after_minutes)))
    return found


def freshness(
    promised: Mapping[str, timedelta],
    records: Connection,
    behind: Mapping[str, Behind],
    now: datetime,
    watched_since: datetime | None = None,
) -> dict[str, Freshness]:
    """Return the promise of each table and mart, and whether it is missed. `behind`: stale marts, from `due`.

    With `watched_since`, the clock starts then at the earliest, also for a change whose time is unknown. Without it,
    such a change is late if the sweep has opened an incident.
    """
    reported = () if watched_since else ledger.open_incidents(records)
    late = {incident.asset for incident in reported if incident.rule == LATE}
    waiting = {**refused_since(records), **{mart: cause.since for mart, cause in behind.items()}}
    found = {}
    for asset, within in promised.items():
        since = waiting.get(asset) or (watched_since if asset in waiting else None)
        start = max(filter(None, (since, watched_since))) if since else now
        found[asset] = Freshness(within, since, missed=now - start > within or (asset in waiting and asset in late))
    return found
