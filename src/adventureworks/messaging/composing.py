"""From incidents and notices to the outbox: render what each recipient has not been notified of yet.

Every function runs in the caller's transaction and does not commit: a notification is recorded only together with its
outbox message.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import groupby

import psycopg

from adventureworks.errors import is_failure
from adventureworks.incidents import ledger
from adventureworks.incidents.ledger import HELD, RESOLVED, Connection, Incident
from adventureworks.messaging import RenderedMessage, incident_messages, notices, store
from adventureworks.messaging.incident_messages import Kind
from adventureworks.messaging.notices import Notice
from adventureworks.messaging.recipients import Recipient, Recipients
from adventureworks.messaging.routes import last_time, not_before

STORM = timedelta(minutes=10)
"""More messages to one recipient within this time than the routes allow are a storm."""
MIN_REMINDER_INTERVAL = timedelta(hours=4)
"""A recipient notified less than this before the reminder time gets the first reminder on the next day."""

_ORDER: Mapping[Kind, int] = {"recovered": 0, "worsened": 1, "opened": 2}

log = logging.getLogger(__name__)


def compose(records: Connection, recipients: Recipients, now: datetime, only: str = "") -> list[BaseException]:
    """Add the messages due for each recipient to the outbox: new, worse or resolved incidents, reminders, notices.

    A message that cannot be rendered for one recipient does not delay the others: it is retried in the next round, and
    the errors are returned. `only`: restricts them to the incidents of this asset.
    """
    if not recipients.channels:
        return []
    pending = [incident for incident in ledger.take_pending(records) if only in {"", incident.asset}]
    states: dict[str, dict[str, str]] = {incident.incident_id: {} for incident in pending}
    errors: list[BaseException] = []
    for recipient, incidents in _by_recipient(recipients, pending):
        try:
            with _savepoint(records):
                queued = _queue_messages(records, recipients, recipient, incidents, now)
        except psycopg.Error:
            raise
        except BaseException as error:
            if not is_failure(error):
                raise
            log.exception("A message about incidents could not be created.")
            errors.append(error)
            queued = {one.incident_id: HELD for one in incidents if one.must_notify(recipient.key)}
        for incident_id, state in queued.items():
            states[incident_id][recipient.key] = state
    for incident in pending:
        _record(records, recipients, incident, states[incident.incident_id], now)
    return errors if only else [*errors, *_compose_notices(records, recipients)]


def _by_recipient(recipients: Recipients, incidents: Sequence[Incident]) -> Iterator[tuple[Recipient, list[Incident]]]:
    """Yield each recipient with their incidents, in order. The first group of a recipient determines the language."""
    found: dict[str, tuple[Recipient, list[Incident]]] = {}
    for incident in incidents:
        for channel in recipients.channels:
            for recipient in recipients.of_owner(incident.owner, channel):
                relevant = found.setdefault(recipient.key, (recipient, []))[1]
                if incident not in relevant[-1:]:
                    relevant.append(incident)
    yield from found.values()


def _queue_messages(
    records: Connection, recipients: Recipients, recipient: Recipient, incidents: Sequence[Incident], now: datetime
) -> dict[str, str]:
    """Queue one recipient's messages. Return the state sent for each incident id, or `held` if it is to wait."""
    news = [one for one in incidents if one.must_notify(recipient.key)]
    queued = _queue_news(records, recipients, recipient, news, now)
    return queued | _queue_reminder(
        records, recipients, recipient, [one for one in incidents if one.incident_id not in queued], now
    )


def _queue_news(
    records: Connection, recipients: Recipients, recipient: Recipient, news: Sequence[Incident], now: datetime
) -> dict[str, str]:
    queued: dict[str, str] = {}
    prefix, limit = "incident/", recipients.routes.incidents.most_at_once
    recent = store.count_recent(records, recipient.address, prefix, now - STORM)
    ordered = sorted(news, key=lambda one: _ORDER[_kind(one, recipient)])
    for kind, group in groupby(ordered, key=lambda one: _kind(one, recipient)):
        batch = list(group)
        fits = recent + len(batch) <= limit
        if not fits and store.count_recent(records, recipient.address, f"{prefix}storm/{kind}/", now - STORM):
            queued |= {one.incident_id: HELD for one in batch}
            continue
        for bundle in [[incident] for incident in batch] if fits else [batch]:
            event = _event(bundle[0], kind) if fits else f"storm/{kind}/{now.isoformat()}"
            store.add(
                records,
                incident_messages.incident_message(
                    bundle,
                    kind,
                    recipients.ui_url,
                    recipient.language,
                    recipient.time_zone,
                    recipients.routes,
                    for_operators=recipient.is_operator,
                ),
                channel=recipient.channel,
                recipient=recipient.address,
                dedup_key=f"{prefix}{event}/{recipient.key}",
                thread=bundle[0].incident_id if fits else "",
                not_before=_not_before(recipients, recipient, bundle, now),
            )
            recent += 1
        queued |= {one.incident_id: _state(one) for one in batch}
    return queued


def _queue_reminder(
    records: Connection, recipients: Recipients, recipient: Recipient, incidents: Sequence[Incident], now: datetime
) -> dict[str, str]:
    """Queue one message about all open incidents, once a day at the reminder time in the recipient's time zone."""
    due = last_time(recipients.routes.incidents.reminder_at, recipient.time_zone, now)
    known = [one for one in incidents if one.status == "open" and one.was_notified(recipient.key)]
    overdue = [one for one in known if one.last_notified_at(recipient.key) <= due - MIN_REMINDER_INTERVAL]
    if overdue:
        store.add(
            records,
            incident_messages.incident_message(
                overdue,
                "reminder",
                recipients.ui_url,
                recipient.language,
                recipient.time_zone,
                recipients.routes,
                for_operators=recipient.is_operator,
            ),
            channel=recipient.channel,
            recipient=recipient.address,
            dedup_key=f"reminder/{due.isoformat()}/{overdue[0].incident_id}/{recipient.key}",
            not_before=_not_before(recipients, recipient, overdue, now),
        )
    return {one.incident_id: _state(one) for one in overdue}


@contextmanager
def _savepoint(records: Connection) -> Iterator[None]:
    """Undo only what was written inside the block if it fails."""
    records.execute("savepoint messages")
    try:
        yield
    except Exception as error:
        if not isinstance(error, psycopg.OperationalError):
            records.execute("rollback to savepoint messages")
        raise
    records.execute("release savepoint messages")


def _record(
    records: Connection, recipients: Recipients, incident: Incident, states: Mapping[str, str], now: datetime
) -> None:
    ended: dict[str, str] = {}
    if incident.status == "resolved":
        # Includes former recipients: otherwise the incident would be examined in every round.
        ended = {key: RESOLVED for key in incident.notified if key.partition("/")[0] in recipients.channels}
    sent = {key: state for key, state in states.items() if state != HELD}
    # A recipient whose message is held keeps the state sent before.
    held = {key: incident.state_sent_to(key) or HELD for key in states if key not in sent}
    notified = {**incident.notified, **ended, **sent, **held}
    notified_at = {**incident.notified_at, **dict.fromkeys(sent, now)}
    if (notified, notified_at) != (incident.notified, incident.notified_at):
        ledger.record_notified(records, incident, notified, notified_at)


def _compose_notices(records: Connection, recipients: Recipients) -> list[BaseException]:
    errors: list[BaseException] = []
    for channel in recipients.channels:
        for notice in notices.take_pending(records, channel):
            try:
                with _savepoint(records):
                    _queue_notice(records, recipients, channel, notice)
            except psycopg.Error:
                raise
            except BaseException as error:
                if not is_failure(error):
                    raise
                log.exception("The message for a notice could not be created.")
                errors.append(error)
    return errors


def _queue_notice(records: Connection, recipients: Recipients, channel: str, notice: Notice) -> None:
    rendered: dict[tuple[str, bool], RenderedMessage] = {}
    for recipient in recipients.of_owner(notice.owner, channel):
        variant = recipient.language, recipient.is_operator
        if variant not in rendered:
            rendered[variant] = incident_messages.notice_message(
                notice, recipients.ui_url, recipient.language, for_operators=recipient.is_operator
            )
        store.add(
            records,
            rendered[variant],
            channel=channel,
            recipient=recipient.address,
            dedup_key=f"notice/{notice.notice_id}/{channel}/{recipient.address}",
        )
    notices.mark_queued(records, channel, notice)


def _not_before(
    recipients: Recipients, recipient: Recipient, incidents: Sequence[Incident], now: datetime
) -> datetime | None:
    """Return when quiet hours allow the message; if one incident can be sent now, all of them are."""
    quiet = recipients.routes.incidents.quiet_hours
    ends = [not_before(quiet, one.severity, recipient.time_zone, now) for one in incidents]
    return None if None in ends else min(end for end in ends if end)


def _kind(incident: Incident, recipient: Recipient) -> Kind:
    if incident.status == "resolved":
        return "recovered"
    return "worsened" if incident.was_notified(recipient.key) else "opened"


def _event(incident: Incident, kind: Kind) -> str:
    """Identify the event, to distinguish its message from earlier ones about the same incident."""
    event = f"{kind}/{incident.incident_id}"
    return f"{event}/{incident.times_worse}" if kind == "worsened" else event


def _state(incident: Incident) -> str:
    return RESOLVED if incident.status == "resolved" else incident.severity
