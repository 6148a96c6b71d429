"""Into the outbox: the digests that are due, and what is new among the monthly reports.

Every function works inside the caller's transaction and leaves the commit to it: what is noted as told is in the
outbox. A message that cannot be made is undone by itself and becomes an incident of the platform; the others go out.
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
from adventureworks.errors import PlatformError, is_failure
from adventureworks.incidents import Finding
from adventureworks.messaging import Attachment, RenderedMessage, store
from adventureworks.messaging.recipients import EMAIL, SLACK, Recipients
from adventureworks.messaging.routes import DigestRoute, Group, last_moment
from adventureworks.reports import month as months
from adventureworks.reports.delivery import MEDIA_TYPES, Change, Delivery, File, Folder, files, in_words
from adventureworks.reports.digests import digest_called, monthly_report
from adventureworks.reports.digests.monthly_report import Filed
from adventureworks.texts import language
from adventureworks.warehouse.postgres import Connection

SETTLED = timedelta(minutes=2)
"""A change that restates many months takes a while to be delivered; then they are told of together."""
MOST_RESTATED = 3
"""More restated months than this become one mail."""
AWAITED = ("restated", "refreshed", "withdrawn")
"""What may become of many months at once."""
ASSET = "reports"
"""Of the incidents about messages that could not be made."""

log = logging.getLogger(__name__)

Failures = dict[str, BaseException]
"""What could not be made, by the rule of its incident."""


def compose(connection: Connection, recipients: Recipients, folder: Folder, now: datetime) -> None:
    """Puts into the outbox what readers are to get at this moment."""
    if not recipients.channels:
        return
    failures: Failures = {}
    for name, route in recipients.routes.digests.items():
        for group_name in route.to:
            with _apart(connection, f"digest_{name}", failures):
                _compose_digest(connection, recipients, name, route, recipients.routes.groups[group_name], now)
    waiting = _announce_reports(connection, recipients, folder, now, failures)
    _report(connection, failures, waiting)


@contextmanager
def _apart(connection: Connection, rule: str, failures: Failures) -> Iterator[None]:
    """Whatever goes wrong inside is undone and kept for its incident."""
    connection.execute("savepoint message")
    try:
        yield
    except BaseException as error:
        if not is_failure(error):
            raise
        # Where the connection is lost this fails too, and ends the round.
        connection.execute("rollback to savepoint message")
        failures[rule] = error
    connection.execute("release savepoint message")


def _report(connection: Connection, failures: Failures, waiting: set[str]) -> None:
    """Opens an incident for each failure, and resolves those of what works again; what still waits is not over."""
    findings = [
        Finding(
            asset=ASSET,
            rule=rule,
            severity="error",
            summary=_said(rule, error),
            next_step=_next_step(error),
            run_id="",
            owner="platform",
        )
        for rule, error in failures.items()
    ]
    for incident in incidents.report(connection, findings):
        log.error("%s %s", incident.summary, incident.next_step)
    incidents.resolve(connection, ASSET, keep=set(failures) | waiting)


def _said(rule: str, error: BaseException) -> str:
    kind, _, name = rule.partition("_")
    about = {"digest": f"The digest {name}", "month": f"The mail about {name}"}.get(kind, "The mail about many months")
    # Another error's words may hold rows.
    cause = error.cause if isinstance(error, PlatformError) else in_words(error)
    return f"{about} cannot be made; the others go out. {cause}"


def _next_step(error: BaseException) -> str:
    step = error.next_step if isinstance(error, PlatformError) else ""
    return (
        step or "Fix the cause; every round of adventureworks watch tries again. At once: adventureworks watch --once"
    )


def _compose_digest(
    connection: Connection, recipients: Recipients, name: str, route: DigestRoute, group: Group, now: datetime
) -> None:
    digest = digest_called(name)
    row = connection.execute("select max(version) from ops.publication where asset = %s", (digest.mart,)).fetchone()
    if row is None or row[0] is None:
        return
    due = last_moment(route, group.time_zone, now)
    prefix = f"digest/{name}/"
    channels = [channel for channel in recipients.channels if channel == EMAIL or route.slack]
    waiting = [
        recipient
        for channel in channels
        for recipient in recipients.of_group(group, channel)
        if not store.count_recent(connection, recipient.address, prefix, due)
        and not store.was_added(connection, f"{prefix}{row[0]}/{recipient.channel}/{recipient.address}")
    ]
    if not waiting:
        return
    rendered = digest.message(connection, language(group.language), recipients.ui_url)
    if rendered is None:
        return
    for recipient in waiting:
        store.add(
            connection,
            rendered,
            channel=recipient.channel,
            recipient=recipient.address,
            told=f"{prefix}{row[0]}/{recipient.channel}/{recipient.address}",
        )


def _announce_reports(
    connection: Connection, recipients: Recipients, folder: Folder, now: datetime, failures: Failures
) -> set[str]:
    """Tells what is new of the months; gives the rules of what still waits to be told."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "select * from ops.monthly_report where not announced order by month for update skip locked"
        ).fetchall()
    waiting = {_rule(row["month"]) for row in rows}
    if any(row["status"] in AWAITED and now - row["delivered_at"] < SETTLED for row in rows):
        rows = [row for row in rows if row["status"] not in AWAITED]
    deliveries = [_delivery(connection, row) for row in rows]
    # Those of which only the comparisons changed are named in the mails about those that changed.
    refreshed = [one.month for one in deliveries if one.status == "refreshed"]
    changed = [one for one in deliveries if one.status in ("restated", "withdrawn")]
    together = changed if len(changed) > MOST_RESTATED else []
    told: set[str] = set()
    if together:
        newest = max(row["delivered_at"] for row in rows)
        with _apart(connection, "many_months", failures):
            if _tell(
                connection,
                recipients,
                f"restated/{newest.isoformat()}",
                partial(_render_summary, together, recipients.ui_url, refreshed),
            ):
                told |= {one.month for one in together}
    for delivery in deliveries:
        if delivery in together or delivery.status == "refreshed":
            continue
        with _apart(connection, _rule(delivery.month), failures):
            word = partial(_render_report, connection, folder, delivery, recipients.ui_url, refreshed)
            if _tell(connection, recipients, f"{delivery.month}/{delivery.revision}", word):
                told.add(delivery.month)
    if all(one.month in told for one in changed):
        told.update(refreshed)
    _mark_told(connection, told)
    return waiting - {_rule(month) for month in told}


def _mark_told(connection: Connection, months_told: set[str]) -> None:
    """From now on readers know the figures that are filed of these months; of a withdrawn one they know none."""
    for month in sorted(months_told):
        connection.execute(
            "update ops.monthly_report set announced = true,"
            " told = case when status = 'withdrawn' then null else figures end where month = %s",
            (month,),
        )


def _rule(month: str) -> str:
    return f"month_{month}"


def _tell(
    connection: Connection, recipients: Recipients, about: str, render_in: Callable[[str], RenderedMessage]
) -> bool:
    """Puts a rendered for all who get the monthly reports; False if none of them can be reached now."""
    rendered: dict[str, RenderedMessage] = {}
    wanted = [
        recipient
        for name in recipients.routes.monthly_report
        for channel in (EMAIL, SLACK)
        # The platform's own channel is for what went wrong.
        if channel == EMAIL or recipients.routes.groups[name].slack
        for recipient in recipients.of_group(recipients.routes.groups[name], channel)
    ]
    reached = [recipient for recipient in wanted if recipient.channel in recipients.channels]
    for recipient in reached:
        if recipient.language not in rendered:
            rendered[recipient.language] = render_in(recipient.language)
        store.add(
            connection,
            rendered[recipient.language],
            channel=recipient.channel,
            recipient=recipient.address,
            told=f"report/{about}/{recipient.channel}/{recipient.address}",
        )
    return bool(reached) or not wanted


def _render_report(
    connection: Connection, folder: Folder, delivery: Delivery, ui_url: str, refreshed: Sequence[str], code: str
) -> RenderedMessage:
    also = [month for month in refreshed if months.shows(month, (delivery.month,))]
    if delivery.status == "withdrawn":
        return monthly_report.withdrawal(delivery, language(code), ui_url, also)
    found = months.read(connection, delivery.month)
    return monthly_report.message(delivery, found, language(code), _filed(folder, delivery, code), ui_url, also)


def _render_summary(
    deliveries: Sequence[Delivery], ui_url: str, refreshed: Sequence[str], code: str
) -> RenderedMessage:
    return monthly_report.summary(deliveries, language(code), ui_url, refreshed)


def _filed(folder: Folder, delivery: Delivery, code: str) -> Filed:
    """The files of this revision in a language; in another one where they are not made in this."""
    present = [file for file in delivery.files if file.revision == delivery.revision]
    chosen = next((one for one in (code, *(file.language for file in present)) if _of(present, one)), code)
    return Filed(
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
            "Make it again: airflow dags trigger financial_reporting.",
        ) from None
    return Attachment(file.name, MEDIA_TYPES[file.kind], content)


def _delivery(connection: Connection, row: dict[str, Any]) -> Delivery:
    return Delivery(
        month=row["month"],
        status=row["status"],
        revision=row["revision"],
        is_partial=row["is_partial"],
        changes=tuple(_changes(json.loads(row["changes"]))),
        files=tuple(files(connection, row["month"])),
    )


def _changes(kept: Sequence[dict[str, str]]) -> list[Change]:
    return [
        Change(one["part"], one["name"], one["measure"], Decimal(one["before"]), Decimal(one["after"])) for one in kept
    ]
