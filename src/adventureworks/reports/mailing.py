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
from adventureworks.outbox import Enclosure, Letter, post
from adventureworks.outbox.desk import EMAIL, SLACK, Desk
from adventureworks.outbox.routes import DigestRoute, Group, last_moment
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


def compose(connection: Connection, desk: Desk, folder: Folder, now: datetime) -> None:
    """Puts into the outbox what readers are to get at this moment."""
    if not desk.channels:
        return
    failures: Failures = {}
    for name, route in desk.routes.digests.items():
        for group_name in route.to:
            with _apart(connection, f"digest_{name}", failures):
                _compose_digest(connection, desk, name, route, desk.routes.groups[group_name], now)
    waiting = _announce_reports(connection, desk, folder, now, failures)
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
    connection: Connection, desk: Desk, name: str, route: DigestRoute, group: Group, now: datetime
) -> None:
    digest = digest_called(name)
    row = connection.execute("select max(version) from ops.publication where asset = %s", (digest.mart,)).fetchone()
    if row is None or row[0] is None:
        return
    due = last_moment(route, group.time_zone, now)
    prefix = f"digest/{name}/"
    channels = [channel for channel in desk.channels if channel == EMAIL or route.slack]
    waiting = [
        address
        for channel in channels
        for address in desk.of_group(group, channel)
        if not post.recent(connection, address.recipient, prefix, due)
        and not post.was_told(connection, f"{prefix}{row[0]}/{address.channel}/{address.recipient}")
    ]
    if not waiting:
        return
    letter = digest.letter(connection, language(group.language), desk.ui_url)
    if letter is None:
        return
    for address in waiting:
        post.put(
            connection,
            letter,
            channel=address.channel,
            recipient=address.recipient,
            told=f"{prefix}{row[0]}/{address.channel}/{address.recipient}",
        )


def _announce_reports(
    connection: Connection, desk: Desk, folder: Folder, now: datetime, failures: Failures
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
                connection, desk, f"restated/{newest.isoformat()}", partial(_summary, together, desk.ui_url, refreshed)
            ):
                told |= {one.month for one in together}
    for delivery in deliveries:
        if delivery in together or delivery.status == "refreshed":
            continue
        with _apart(connection, _rule(delivery.month), failures):
            word = partial(_letter, connection, folder, delivery, desk.ui_url, refreshed)
            if _tell(connection, desk, f"{delivery.month}/{delivery.revision}", word):
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


def _tell(connection: Connection, desk: Desk, about: str, letter_in: Callable[[str], Letter]) -> bool:
    """Puts a letter for all who get the monthly reports; False if none of them can be reached now."""
    letters: dict[str, Letter] = {}
    addresses = [
        address
        for name in desk.routes.monthly_report
        for channel in (EMAIL, SLACK)
        # The platform's own channel is for what went wrong.
        if channel == EMAIL or desk.routes.groups[name].slack
        for address in desk.of_group(desk.routes.groups[name], channel)
    ]
    reached = [address for address in addresses if address.channel in desk.channels]
    for address in reached:
        if address.language not in letters:
            letters[address.language] = letter_in(address.language)
        post.put(
            connection,
            letters[address.language],
            channel=address.channel,
            recipient=address.recipient,
            told=f"report/{about}/{address.channel}/{address.recipient}",
        )
    return bool(reached) or not addresses


def _letter(
    connection: Connection, folder: Folder, delivery: Delivery, ui_url: str, refreshed: Sequence[str], code: str
) -> Letter:
    also = [month for month in refreshed if months.shows(month, (delivery.month,))]
    if delivery.status == "withdrawn":
        return monthly_report.withdrawal(delivery, language(code), ui_url, also)
    found = months.read(connection, delivery.month)
    return monthly_report.letter(delivery, found, language(code), _filed(folder, delivery, code), ui_url, also)


def _summary(deliveries: Sequence[Delivery], ui_url: str, refreshed: Sequence[str], code: str) -> Letter:
    return monthly_report.summary(deliveries, language(code), ui_url, refreshed)


def _filed(folder: Folder, delivery: Delivery, code: str) -> Filed:
    """The files of this revision in a language; in another one where they are not made in this."""
    present = [file for file in delivery.files if file.revision == delivery.revision]
    chosen = next((one for one in (code, *(file.language for file in present)) if _of(present, one)), code)
    return Filed(
        language=chosen,
        files=tuple(_enclosed(folder, file) for file in _of(present, chosen)),
        places=tuple(str(folder / file.path) for file in _of(present, chosen)),
    )


def _of(present: Sequence[File], code: str) -> list[File]:
    return [file for file in present if file.language == code]


def _enclosed(folder: Folder, file: File) -> Enclosure:
    try:
        content = (folder / file.path).read_bytes()
    except OSError:
        raise PlatformError(
            f"{folder / file.path} cannot be read.",
            "Make it again: airflow dags trigger financial_reporting.",
        ) from None
    return Enclosure(file.name, MEDIA_TYPES[file.kind], content)


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
