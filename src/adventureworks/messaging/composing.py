"""From the ledger to the outbox: what each recipient does not know yet of incidents and notices, worded for him.

Every function works inside the caller's transaction and leaves the commit to it: what is noted as told is in the
outbox.
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
from adventureworks.incidents.ledger import HELD, TOLD_OF_THE_END, Connection, Incident
from adventureworks.messaging import RenderedMessage, incident_messages, notices, store
from adventureworks.messaging.incident_messages import Kind
from adventureworks.messaging.notices import Notice
from adventureworks.messaging.recipients import Recipient, Recipients
from adventureworks.messaging.routes import last_time, not_before

STORM = timedelta(minutes=10)
"""More messages than the routes allow for one recipient in this time are a storm."""
REMINDED_AFTER = timedelta(hours=4)
"""Who heard of an incident so shortly before the hour of reminders is reminded the next day."""

_ORDER: Mapping[Kind, int] = {"recovered": 0, "worsened": 1, "opened": 2}

log = logging.getLogger(__name__)


def compose(connection: Connection, recipients: Recipients, now: datetime, only: str = "") -> list[BaseException]:
    """Puts into the outbox what each recipient has to hear: news of incidents, reminders, notices.

    What cannot be worded for one recipient does not keep the others waiting: it stays untold, and its errors are
    returned. `only`: nothing but the incidents of this asset.
    """
    if not recipients.channels:
        return []
    live = [incident for incident in ledger.take_live(connection) if only in {"", incident.asset}]
    told: dict[str, dict[str, str]] = {incident.incident_id: {} for incident in live}
    errors: list[BaseException] = []
    for recipient, incidents in _by_recipient(recipients, live):
        try:
            with _whole_or_not_at_all(connection):
                said = _tell(connection, recipients, recipient, incidents, now)
        except psycopg.Error:
            raise
        except BaseException as error:
            if not is_failure(error):
                raise
            log.exception("No message about incidents could be made for a recipient.")
            errors.append(error)
            said = {one.incident_id: HELD for one in incidents if one.is_news_for(recipient.key)}
        for incident_id, what in said.items():
            told[incident_id][recipient.key] = what
    for incident in live:
        _note(connection, recipients, incident, told[incident.incident_id], now)
    return errors if only else [*errors, *_compose_notices(connection, recipients)]


def _by_recipient(recipients: Recipients, incidents: Sequence[Incident]) -> Iterator[tuple[Recipient, list[Incident]]]:
    """Each recipient with the incidents that concern him, in their order; in one language, if groups share him."""
    found: dict[str, tuple[Recipient, list[Incident]]] = {}
    for incident in incidents:
        for channel in recipients.channels:
            for recipient in recipients.of_owner(incident.owner, channel):
                concerned = found.setdefault(recipient.key, (recipient, []))[1]
                if incident not in concerned[-1:]:
                    concerned.append(incident)
    yield from found.values()


def _tell(
    connection: Connection, recipients: Recipients, recipient: Recipient, incidents: Sequence[Incident], now: datetime
) -> dict[str, str]:
    """Puts the messages for one recipient; gives what he was told of which incident (its id), `held` if he waits."""
    news = [one for one in incidents if one.is_news_for(recipient.key)]
    said = _tell_news(connection, recipients, recipient, news, now)
    return said | _remind(
        connection, recipients, recipient, [one for one in incidents if one.incident_id not in said], now
    )


def _tell_news(
    connection: Connection, recipients: Recipients, recipient: Recipient, news: Sequence[Incident], now: datetime
) -> dict[str, str]:
    said: dict[str, str] = {}
    prefix, most = "incident/", recipients.routes.incidents.most_at_once
    told = store.count_recent(connection, recipient.address, prefix, now - STORM)
    ordered = sorted(news, key=lambda one: _ORDER[_kind(one, recipient)])
    for kind, group in groupby(ordered, key=lambda one: _kind(one, recipient)):
        batch = list(group)
        fits = told + len(batch) <= most
        if not fits and store.count_recent(connection, recipient.address, f"{prefix}storm/{kind}/", now - STORM):
            said |= {one.incident_id: HELD for one in batch}
            continue
        for bundle in [[incident] for incident in batch] if fits else [batch]:
            about = _about(bundle[0], kind) if fits else f"storm/{kind}/{now.isoformat()}"
            store.add(
                connection,
                incident_messages.incident_message(
                    bundle, kind, recipients.ui_url, recipient.language, recipient.time_zone
                ),
                channel=recipient.channel,
                recipient=recipient.address,
                told=f"{prefix}{about}/{recipient.key}",
                thread=bundle[0].incident_id if fits else "",
                not_before=_not_before(recipients, recipient, bundle, now),
            )
            told += 1
        said |= {one.incident_id: _state(one) for one in batch}
    return said


def _remind(
    connection: Connection, recipients: Recipients, recipient: Recipient, incidents: Sequence[Incident], now: datetime
) -> dict[str, str]:
    """One message about what is still open, once a day at the hour of reminders where the recipient is."""
    due = last_time(recipients.routes.incidents.reminder_at, recipient.time_zone, now)
    known = [one for one in incidents if one.status == "open" and one.is_known_to(recipient.key)]
    overdue = [one for one in known if one.heard_by(recipient.key) <= due - REMINDED_AFTER]
    if overdue:
        store.add(
            connection,
            incident_messages.incident_message(
                overdue, "reminder", recipients.ui_url, recipient.language, recipient.time_zone
            ),
            channel=recipient.channel,
            recipient=recipient.address,
            told=f"reminder/{due.isoformat()}/{overdue[0].incident_id}/{recipient.key}",
            not_before=_not_before(recipients, recipient, overdue, now),
        )
    return {one.incident_id: _state(one) for one in overdue}


@contextmanager
def _whole_or_not_at_all(connection: Connection) -> Iterator[None]:
    """What fails within takes nothing back that was written before."""
    connection.execute("savepoint telling")
    try:
        yield
    except Exception as error:
        if not isinstance(error, psycopg.OperationalError):
            connection.execute("rollback to savepoint telling")
        raise
    connection.execute("release savepoint telling")


def _note(
    connection: Connection, recipients: Recipients, incident: Incident, told: Mapping[str, str], now: datetime
) -> None:
    ended: dict[str, str] = {}
    if incident.status == "resolved":
        # Also who is no longer among the recipients: else it would be looked at for ever.
        ended = {who: TOLD_OF_THE_END for who in incident.notified if who.partition("/")[0] in recipients.channels}
    said = {who: what for who, what in told.items() if what != HELD}
    # Who waits knows what he knew before.
    waits = {who: incident.told_to(who) or HELD for who in told if who not in said}
    notified = {**incident.notified, **ended, **said, **waits}
    heard = {**incident.heard, **dict.fromkeys(said, now)}
    if (notified, heard) != (incident.notified, incident.heard):
        ledger.note_told(connection, incident, notified, heard)


def _compose_notices(connection: Connection, recipients: Recipients) -> list[BaseException]:
    errors: list[BaseException] = []
    for channel in recipients.channels:
        for notice in notices.take_untold(connection, channel):
            try:
                with _whole_or_not_at_all(connection):
                    _tell_notice(connection, recipients, channel, notice)
            except psycopg.Error:
                raise
            except BaseException as error:
                if not is_failure(error):
                    raise
                log.exception("No message could be made of a notice.")
                errors.append(error)
    return errors


def _tell_notice(connection: Connection, recipients: Recipients, channel: str, notice: Notice) -> None:
    rendered: dict[str, RenderedMessage] = {}
    for recipient in recipients.of_owner(notice.owner, channel):
        if recipient.language not in rendered:
            rendered[recipient.language] = incident_messages.notice_message(
                notice, recipients.ui_url, recipient.language
            )
        store.add(
            connection,
            rendered[recipient.language],
            channel=channel,
            recipient=recipient.address,
            told=f"notice/{notice.notice_id}/{channel}/{recipient.address}",
        )
    notices.mark_told(connection, channel, notice)


def _not_before(
    recipients: Recipients, recipient: Recipient, incidents: Sequence[Incident], now: datetime
) -> datetime | None:
    """When the quiet hours of all of them are over; one that may be told now takes the others along."""
    quiet = recipients.routes.incidents.quiet_hours
    waits = [not_before(quiet, one.severity, recipient.time_zone, now) for one in incidents]
    return None if None in waits else min(wait for wait in waits if wait)


def _kind(incident: Incident, recipient: Recipient) -> Kind:
    if incident.status == "resolved":
        return "recovered"
    return "worsened" if incident.is_known_to(recipient.key) else "opened"


def _about(incident: Incident, kind: Kind) -> str:
    """What tells a message from an earlier one about the same incident."""
    about = f"{kind}/{incident.incident_id}"
    return f"{about}/{incident.times_worse}" if kind == "worsened" else about


def _state(incident: Incident) -> str:
    return TOLD_OF_THE_END if incident.status == "resolved" else incident.severity
