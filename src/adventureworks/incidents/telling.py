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
from adventureworks.incidents import ledger, messages, notices
from adventureworks.incidents.ledger import HELD, TOLD_OF_THE_END, Connection, Incident
from adventureworks.incidents.messages import Kind
from adventureworks.incidents.notices import Notice
from adventureworks.outbox import Letter, post
from adventureworks.outbox.desk import Address, Desk
from adventureworks.outbox.routes import last_time, not_before

STORM = timedelta(minutes=10)
"""More messages than the routes allow for one recipient in this time are a storm."""
REMINDED_AFTER = timedelta(hours=4)
"""Who heard of an incident so shortly before the hour of reminders is reminded the next day."""

_ORDER: Mapping[Kind, int] = {"recovered": 0, "worsened": 1, "opened": 2}

log = logging.getLogger(__name__)


def compose(connection: Connection, desk: Desk, now: datetime, only: str = "") -> list[BaseException]:
    """Puts into the outbox what each recipient has to hear: news of incidents, reminders, notices.

    What cannot be worded for one recipient does not keep the others waiting: it stays untold, and its errors are
    returned. `only`: nothing but the incidents of this asset.
    """
    if not desk.channels:
        return []
    live = [incident for incident in ledger.take_live(connection) if only in {"", incident.asset}]
    told: dict[str, dict[str, str]] = {incident.incident_id: {} for incident in live}
    errors: list[BaseException] = []
    for address, incidents in _by_recipient(desk, live):
        try:
            with _whole_or_not_at_all(connection):
                said = _tell(connection, desk, address, incidents, now)
        except psycopg.Error:
            raise
        except BaseException as error:
            if not is_failure(error):
                raise
            log.exception("No message about incidents could be made for a recipient.")
            errors.append(error)
            said = {one.incident_id: HELD for one in incidents if one.is_news_for(address.who)}
        for incident_id, what in said.items():
            told[incident_id][address.who] = what
    for incident in live:
        _note(connection, desk, incident, told[incident.incident_id], now)
    return errors if only else [*errors, *_compose_notices(connection, desk)]


def _by_recipient(desk: Desk, incidents: Sequence[Incident]) -> Iterator[tuple[Address, list[Incident]]]:
    """Each recipient with the incidents that concern him, in their order; in one language, if groups share him."""
    found: dict[str, tuple[Address, list[Incident]]] = {}
    for incident in incidents:
        for channel in desk.channels:
            for address in desk.addresses(incident.owner, channel):
                concerned = found.setdefault(address.who, (address, []))[1]
                if incident not in concerned[-1:]:
                    concerned.append(incident)
    yield from found.values()


def _tell(
    connection: Connection, desk: Desk, address: Address, incidents: Sequence[Incident], now: datetime
) -> dict[str, str]:
    """Puts the messages for one recipient; gives what he was told of which incident (its id), `held` if he waits."""
    news = [one for one in incidents if one.is_news_for(address.who)]
    said = _tell_news(connection, desk, address, news, now)
    return said | _remind(connection, desk, address, [one for one in incidents if one.incident_id not in said], now)


def _tell_news(
    connection: Connection, desk: Desk, address: Address, news: Sequence[Incident], now: datetime
) -> dict[str, str]:
    said: dict[str, str] = {}
    prefix, most = "incident/", desk.routes.incidents.most_at_once
    told = post.recent(connection, address.recipient, prefix, now - STORM)
    ordered = sorted(news, key=lambda one: _ORDER[_kind(one, address)])
    for kind, group in groupby(ordered, key=lambda one: _kind(one, address)):
        batch = list(group)
        fits = told + len(batch) <= most
        if not fits and post.recent(connection, address.recipient, f"{prefix}storm/{kind}/", now - STORM):
            said |= {one.incident_id: HELD for one in batch}
            continue
        for bundle in [[incident] for incident in batch] if fits else [batch]:
            about = _about(bundle[0], kind) if fits else f"storm/{kind}/{now.isoformat()}"
            post.put(
                connection,
                messages.letter_about(bundle, kind, desk.ui_url, address.language, address.time_zone),
                channel=address.channel,
                recipient=address.recipient,
                told=f"{prefix}{about}/{address.who}",
                thread=bundle[0].incident_id if fits else "",
                not_before=_not_before(desk, address, bundle, now),
            )
            told += 1
        said |= {one.incident_id: _state(one) for one in batch}
    return said


def _remind(
    connection: Connection, desk: Desk, address: Address, incidents: Sequence[Incident], now: datetime
) -> dict[str, str]:
    """One message about what is still open, once a day at the hour of reminders where the recipient is."""
    due = last_time(desk.routes.incidents.reminder_at, address.time_zone, now)
    known = [one for one in incidents if one.status == "open" and one.is_known_to(address.who)]
    overdue = [one for one in known if one.heard_by(address.who) <= due - REMINDED_AFTER]
    if overdue:
        post.put(
            connection,
            messages.letter_about(overdue, "reminder", desk.ui_url, address.language, address.time_zone),
            channel=address.channel,
            recipient=address.recipient,
            told=f"reminder/{due.isoformat()}/{overdue[0].incident_id}/{address.who}",
            not_before=_not_before(desk, address, overdue, now),
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


def _note(connection: Connection, desk: Desk, incident: Incident, told: Mapping[str, str], now: datetime) -> None:
    ended: dict[str, str] = {}
    if incident.status == "resolved":
        # Also who is no longer among the recipients: else it would be looked at for ever.
        ended = {who: TOLD_OF_THE_END for who in incident.notified if who.partition("/")[0] in desk.channels}
    said = {who: what for who, what in told.items() if what != HELD}
    # Who waits knows what he knew before.
    waits = {who: incident.told_to(who) or HELD for who in told if who not in said}
    notified = {**incident.notified, **ended, **said, **waits}
    heard = {**incident.heard, **dict.fromkeys(said, now)}
    if (notified, heard) != (incident.notified, incident.heard):
        ledger.note_told(connection, incident, notified, heard)


def _compose_notices(connection: Connection, desk: Desk) -> list[BaseException]:
    errors: list[BaseException] = []
    for channel in desk.channels:
        for notice in notices.take_untold(connection, channel):
            try:
                with _whole_or_not_at_all(connection):
                    _tell_notice(connection, desk, channel, notice)
            except psycopg.Error:
                raise
            except BaseException as error:
                if not is_failure(error):
                    raise
                log.exception("No message could be made of a notice.")
                errors.append(error)
    return errors


def _tell_notice(connection: Connection, desk: Desk, channel: str, notice: Notice) -> None:
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


def _not_before(desk: Desk, address: Address, incidents: Sequence[Incident], now: datetime) -> datetime | None:
    """When the quiet hours of all of them are over; one that may be told now takes the others along."""
    quiet = desk.routes.incidents.quiet_hours
    waits = [not_before(quiet, one.severity, address.time_zone, now) for one in incidents]
    return None if None in waits else min(wait for wait in waits if wait)


def _kind(incident: Incident, address: Address) -> Kind:
    if incident.status == "resolved":
        return "recovered"
    return "worsened" if incident.is_known_to(address.who) else "opened"


def _about(incident: Incident, kind: Kind) -> str:
    """What tells a message from an earlier one about the same incident."""
    about = f"{kind}/{incident.incident_id}"
    return f"{about}/{incident.times_worse}" if kind == "worsened" else about


def _state(incident: Incident) -> str:
    return TOLD_OF_THE_END if incident.status == "resolved" else incident.severity
