"""Adding digests that are due and announcements of monthly reports to the outbox.

Every function runs in the caller's transaction and does not commit: a report is recorded as announced only together
with its outbox messages. A message that cannot be created is rolled back separately and becomes an incident of the
platform; the others are sent.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from psycopg.rows import dict_row

from adventureworks import incidents
from adventureworks.errors import PlatformError, Step, is_failure
from adventureworks.incidents import Event, Finding, events
from adventureworks.messaging import Attachment, RenderedMessage, incident_messages, store
from adventureworks.messaging.recipients import EMAIL, SLACK, Recipients
from adventureworks.messaging.routes import DigestRoute, Group, last_due
from adventureworks.reports import month as months
from adventureworks.reports.delivery import MEDIA_TYPES, Change, Delivery, File, Folder, describe_error, files
from adventureworks.reports.digests import digest_named, monthly_report
from adventureworks.reports.digests.monthly_report import ReportFiles
from adventureworks.texts import language
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.session import Session

SETTLE_TIME = timedelta(minutes=2)
"""Delivering many restated months takes a while; waiting this long allows announcing them together."""
MAX_RESTATED = 3
"""More restated months than this are combined into one mail."""
BATCHED = ("restated", "refreshed", "withdrawn")
"""The statuses that many months may have at once."""
ASSET = "reports"
"""Asset of the incidents about messages that could not be created."""

log = logging.getLogger(__name__)

Failures = dict[str, BaseException]
"""The errors of messages that could not be created, by the rule of their incident."""


def compose(session: Session, recipients: Recipients, folder: Folder, now: datetime) -> None:
    """Add the digests and report announcements that are due to the outbox."""
    if not recipients.channels:
        return
    failures: Failures = {}
    for name, route in recipients.routes.digests.items():
        for group_name in route.to:
            with _savepoint(session.records, f"digest_{name}", failures):
                _compose_digest(session, recipients, name, route, recipients.routes.groups[group_name], now)
    waiting = _announce_reports(session, recipients, folder, now, failures)
    _report(session.records, failures, waiting)


@contextmanager
def _savepoint(records: Connection, rule: str, failures: Failures) -> Iterator[None]:
    """Undo what was written inside the block if it fails, and collect the error for its incident."""
    records.execute("savepoint message")
    try:
        yield
    except BaseException as error:
        if not is_failure(error):
            raise
        # If the connection is lost, this fails too and ends the round.
        records.execute("rollback to savepoint message")
        failures[rule] = error
    records.execute("release savepoint message")


def _report(records: Connection, failures: Failures, waiting: set[str]) -> None:
    """Open an incident per failure, and resolve the others except those of announcements still pending."""
    findings = [Finding(asset=ASSET, rule=rule, event=_event(rule, error)) for rule, error in failures.items()]
    for incident in incidents.report(records, findings):
        log.error("%s", incident_messages.log_line(incident))
    incidents.resolve(records, ASSET, keep=set(failures) | waiting)


def _event(rule: str, error: BaseException) -> Event:
    # The messages of other errors may contain data.
    known = error if isinstance(error, PlatformError) else PlatformError(describe_error(error))
    kind, _, name = rule.partition("_")
    if kind == "digest":
        return events.digest_failed(name, known.cause, known.next_step)
    if kind == "month":
        return events.announcement_failed(name, known.cause, known.next_step)
    return events.announcements_failed(known.cause, known.next_step)


def _compose_digest(
    session: Session, recipients: Recipients, name: str, route: DigestRoute, group: Group, now: datetime
) -> None:
    digest = digest_named(name)
    row = session.records.execute(
        "select max(version) from ops.publication where asset = %s", (digest.mart,)
    ).fetchone()
    if row is None or row[0] is None:
        return
    due = last_due(route, group.time_zone, now)
    prefix = f"digest/{name}/"
    channels = [channel for channel in recipients.channels if channel == EMAIL or route.slack]
    waiting = [
        recipient
        for channel in channels
        for recipient in recipients.of_group(group, channel)
        if not store.count_recent(session.records, recipient.address, prefix, due)
        and not store.was_added(session.records, f"{prefix}{row[0]}/{recipient.channel}/{recipient.address}")
    ]
    if not waiting:
        return
    rendered = digest.message(session, language(group.language), recipients.ui_url)
    if rendered is None:
        return
    for recipient in waiting:
        store.add(
            session.records,
            rendered,
            channel=recipient.channel,
            recipient=recipient.address,
            dedup_key=f"{prefix}{row[0]}/{recipient.channel}/{recipient.address}",
        )


def _announce_reports(
    session: Session, recipients: Recipients, folder: Folder, now: datetime, failures: Failures
) -> set[str]:
    """Announce new, restated and withdrawn reports; return the incident rules of announcements still pending."""
    with session.records.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "select * from ops.monthly_report where not announced order by month for update skip locked"
        ).fetchall()
    waiting = {_rule(row["month"]) for row in rows}
    if any(row["status"] in BATCHED and now - row["delivered_at"] < SETTLE_TIME for row in rows):
        rows = [row for row in rows if row["status"] not in BATCHED]
    deliveries = [_delivery(session.records, row) for row in rows]
    # Months of which only the comparisons changed are mentioned in the mails about the months that changed.
    refreshed = [one.month for one in deliveries if one.status == "refreshed"]
    changed = [one for one in deliveries if one.status in ("restated", "withdrawn")]
    combined = changed if len(changed) > MAX_RESTATED else []
    announced: set[str] = set()
    if combined:
        newest = max(row["delivered_at"] for row in rows)
        with _savepoint(session.records, "many_months", failures):
            if _queue(
                session.records,
                recipients,
                f"restated/{newest.isoformat()}",
                partial(_render_summary, combined, recipients.ui_url, refreshed),
            ):
                announced |= {one.month for one in combined}
    for delivery in deliveries:
        if delivery in combined or delivery.status == "refreshed":
            continue
        with _savepoint(session.records, _rule(delivery.month), failures):
            render_in = partial(_render_report, session, folder, delivery, recipients.ui_url, refreshed)
            if _queue(session.records, recipients, f"{delivery.month}/{delivery.revision}", render_in):
                announced.add(delivery.month)
    if all(one.month in announced for one in changed):
        announced.update(refreshed)
    _mark_announced(session.records, announced)
    return waiting - {_rule(month) for month in announced}


def _mark_announced(records: Connection, announced: set[str]) -> None:
    """Record the filed figures of these months as announced; for a withdrawn month there are none."""
    for month in sorted(announced):
        records.execute(
            "update ops.monthly_report set announced = true,"
            " announced_figures = case when status = 'withdrawn' then null else figures end where month = %s",
            (month,),
        )


def _rule(month: str) -> str:
    return f"month_{month}"


def _queue(
    records: Connection, recipients: Recipients, event: str, render_in: Callable[[str], RenderedMessage]
) -> bool:
    """Queue a message for all recipients of monthly reports; return False if none of them has a configured channel."""
    rendered: dict[str, RenderedMessage] = {}
    wanted = [
        recipient
        for name in recipients.routes.monthly_report
        for channel in (EMAIL, SLACK)
        # The platform's own Slack channel is for failures only.
        if channel == EMAIL or recipients.routes.groups[name].slack
        for recipient in recipients.of_group(recipients.routes.groups[name], channel)
    ]
    reached = [recipient for recipient in wanted if recipient.channel in recipients.channels]
    for recipient in reached:
        if recipient.language not in rendered:
            rendered[recipient.language] = render_in(recipient.language)
        store.add(
            records,
            rendered[recipient.language],
            channel=recipient.channel,
            recipient=recipient.address,
            dedup_key=f"report/{event}/{recipient.channel}/{recipient.address}",
        )
    return bool(reached) or not wanted


def _render_report(
    session: Session, folder: Folder, delivery: Delivery, ui_url: str, refreshed: Sequence[str], code: str
) -> RenderedMessage:
    also = [month for month in refreshed if months.shows_any(month, (delivery.month,))]
    if delivery.status == "withdrawn":
        return monthly_report.withdrawal(delivery, language(code), ui_url, also)
    found = months.read(session, delivery.month)
    return monthly_report.message(delivery, found, language(code), _filed(folder, delivery, code), ui_url, also)


def _render_summary(
    deliveries: Sequence[Delivery], ui_url: str, refreshed: Sequence[str], code: str
) -> RenderedMessage:
    return monthly_report.summary(deliveries, language(code), ui_url, refreshed)


def _filed(folder: Folder, delivery: Delivery, code: str) -> ReportFiles:
    """Return this revision's files in a language, or in another one if there are none."""
    present = [file for file in delivery.files if file.revision == delivery.revision]
    chosen = next((one for one in (code, *(file.language for file in present)) if _of(present, one)), code)
    return ReportFiles(
        language=chosen,
        files=tuple(_attachment(folder, file) for file in _of(present, chosen)),
        places=tuple(str(folder / file.path) for file in _of(present, chosen)),
    )


def _of(present: Sequence[File], code: str) -> list[File]:
    return [file for file in present if file.language == code]


def _attachment(folder: Folder, file: File) -> Attachment:
    try:
        content = (folder / file.path).read_bytes()
    except OSError:
        raise PlatformError(
            f"{folder / file.path} cannot be read.",
            Step("Create it again:", "airflow dags trigger financial_reporting"),
        ) from None
    return Attachment(file.name, MEDIA_TYPES[file.kind], content)


def _delivery(records: Connection, row: dict[str, Any]) -> Delivery:
    return Delivery(
        month=row["month"],
        status=row["status"],
        revision=row["revision"],
        is_partial=row["is_partial"],
        changes=tuple(_changes(json.loads(row["changes"]))),
        files=tuple(files(records, row["month"])),
    )


def _changes(stored: Sequence[dict[str, str]]) -> list[Change]:
    return [
        Change(one["part"], one["name"], one["measure"], Decimal(one["before"]), Decimal(one["after"]))
        for one in stored
    ]
