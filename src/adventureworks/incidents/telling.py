"""From the ledger to the outbox: what its owners do not know yet of incidents and notices, worded for each of them.

Every function works inside the caller's transaction and leaves the commit to it: what is noted as told is in the
outbox.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

from adventureworks.incidents import ledger, messages, notices
from adventureworks.incidents.ledger import TOLD_OF_THE_END, Connection, Incident
from adventureworks.incidents.messages import Kind
from adventureworks.outbox import Letter, post
from adventureworks.outbox.desk import Address, Desk
from adventureworks.outbox.routes import not_before

STORM = timedelta(minutes=10)
"""More messages than the routes allow for one recipient in this time are a storm."""


def compose(connection: Connection, desk: Desk, now: datetime) -> None:
    """Puts into the outbox what each channel has to tell: news of incidents, reminders, notices."""
    for channel in desk.channels:
        _compose_news(connection, desk, channel, now)
        _compose_notices(connection, desk, channel)
    _compose_reminders(connection, desk, now)


def _compose_news(connection: Connection, desk: Desk, channel: str, now: datetime) -> None:
    news = ledger.take_news(connection, channel)
    if not news:
        return
    held: set[str] = set()
    for address, incidents in _by_address(desk, channel, news):
        held |= _tell(connection, desk, address, incidents, now)
    # What is held back for the summary of a storm stays untold.
    ledger.mark_told(connection, channel, [one for one in news if one.incident_id not in held])


def _tell(
    connection: Connection, desk: Desk, address: Address, incidents: Sequence[Incident], now: datetime
) -> set[str]:
    """Puts the messages for one recipient; gives the ids of the incidents that have to wait until a storm is over."""
    held: set[str] = set()
    prefix, most = "incident/", desk.routes.incidents.most_at_once
    told = post.recent(connection, address.recipient, prefix, now - STORM)
    for kind, group in groupby(incidents, key=lambda one: _kind(one, address.channel)):
        batch = list(group)
        if told + len(batch) <= most:
            bundles = [[incident] for incident in batch]
        elif post.recent(connection, address.recipient, f"{prefix}storm/{kind}/", now - STORM):
            held |= {incident.incident_id for incident in batch}
            continue
        else:
            bundles = [batch]
        for bundle in bundles:
            first = bundle[0]
            several = len(bundle) > 1 or told + len(batch) > most
            about = f"storm/{kind}/{now.isoformat()}" if several else f"{kind}/{first.incident_id}/{_state(first)}"
            waits = [
                not_before(desk.routes.incidents.quiet_hours, one.severity, address.time_zone, now) for one in bundle
            ]
            post.put(
                connection,
                messages.letter_about(bundle, kind, desk.ui_url, address.language),
                channel=address.channel,
                recipient=address.recipient,
                told=f"{prefix}{about}/{address.channel}/{address.recipient}",
                thread="" if several else first.incident_id,
                # One that may be told now takes the others along.
                not_before=None if None in waits else min(wait for wait in waits if wait),
            )
            told += 1
    return held


def _compose_reminders(connection: Connection, desk: Desk, now: datetime) -> None:
    at = desk.routes.incidents.reminder_at
    due = now.astimezone(UTC).replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    if due > now:
        due -= timedelta(days=1)
    if not desk.channels:
        return
    overdue = ledger.take_overdue(connection, due)
    for channel in desk.channels:
        known = [incident for incident in overdue if channel in incident.notified]
        for address, incidents in _by_address(desk, channel, known):
            post.put(
                connection,
                messages.letter_about(incidents, "reminder", desk.ui_url, address.language),
                channel=channel,
                recipient=address.recipient,
                told=f"reminder/{due.isoformat()}/{incidents[0].incident_id}/{channel}/{address.recipient}",
            )


def _compose_notices(connection: Connection, desk: Desk, channel: str) -> None:
    for notice in notices.take_untold(connection, channel):
        letters: dict[str, Letter] = {}
        for address in desk.addresses(notice.owner, channel):
            if address.language not in letters:
                letters[address.language] = messages.letter_of_notice(notice, desk.ui_url, address.language)
            post.put(
                connection,
                letters[address.language],
                channel=channel,
                recipient=address.recipient,
                told=f"notice/{notice.notice_id}/{channel}/{address.recipient}",
            )
        notices.mark_told(connection, channel, notice)


def _by_address(desk: Desk, channel: str, incidents: Iterable[Incident]) -> Iterator[tuple[Address, list[Incident]]]:
    """Each recipient with what he has to hear; recoveries first, then errors, as the ledger gives them."""
    found: dict[Address, list[Incident]] = {}
    for incident in incidents:
        for address in desk.addresses(incident.owner, channel):
            found.setdefault(address, []).append(incident)
    order = {"recovered": 0, "worsened": 1, "opened": 2}
    for address, of_address in found.items():
        yield address, sorted(of_address, key=lambda one: order[_kind(one, channel)])


def _kind(incident: Incident, channel: str) -> Kind:
    if incident.status == "resolved":
        return "recovered"
    return "worsened" if channel in incident.notified else "opened"


def _state(incident: Incident) -> str:
    """What tells a message from an earlier one about the same incident."""
    return TOLD_OF_THE_END if incident.status == "resolved" else f"{incident.severity}.{incident.seen_count}"
