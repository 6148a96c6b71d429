"""Into the outbox: the digests that are due, and what is new among the monthly reports.

Every function works inside the caller's transaction and leaves the commit to it: what is noted as told is in the
outbox.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from psycopg.rows import dict_row

from adventureworks.outbox import Enclosure, Letter, post
from adventureworks.outbox.desk import EMAIL, SLACK, Desk
from adventureworks.outbox.routes import DigestRoute, Group, last_moment
from adventureworks.reports import month as months
from adventureworks.reports.delivery import MEDIA_TYPES, Change, Delivery, Folder, files
from adventureworks.reports.digests import DIGESTS, monthly_report
from adventureworks.texts import language
from adventureworks.warehouse.postgres import Connection

SETTLED = timedelta(minutes=2)
"""A change that restates many months takes a while to be delivered; then they are told of together."""
MOST_RESTATED = 3
"""More restated months than this become one mail."""


def compose(connection: Connection, desk: Desk, folder: Folder, now: datetime) -> None:
    """Puts into the outbox what readers are to get at this moment."""
    if not desk.channels:
        return
    for name, route in desk.routes.digests.items():
        for group_name in route.to:
            _compose_digest(connection, desk, name, route, desk.routes.groups[group_name], now)
    _announce_reports(connection, desk, folder, now)


def _compose_digest(
    connection: Connection, desk: Desk, name: str, route: DigestRoute, group: Group, now: datetime
) -> None:
    row = connection.execute(
        "select max(version) from ops.publication where asset = %s", (DIGESTS[name].mart,)
    ).fetchone()
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
    letter = DIGESTS[name].letter(connection, language(group.language), desk.ui_url)
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


def _announce_reports(connection: Connection, desk: Desk, folder: Folder, now: datetime) -> None:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "select * from ops.monthly_report where not announced order by month for update skip locked"
        ).fetchall()
    restated = [row for row in rows if row["status"] == "restated"]
    if any(now - row["delivered_at"] < SETTLED for row in restated):
        rows = [row for row in rows if row["status"] != "restated"]
        restated = []
    deliveries = [_delivery(connection, row) for row in rows]
    together = [one for one in deliveries if one.status == "restated"] if len(restated) > MOST_RESTATED else []
    for group_name in desk.routes.monthly_report:
        group = desk.routes.groups[group_name]
        speech = language(group.language)
        if together:
            newest = max(row["delivered_at"] for row in restated)
            letter = monthly_report.summary(together, speech, desk.ui_url)
            _put(connection, desk, group, letter, f"restated/{newest.isoformat()}")
        for delivery in deliveries:
            if delivery not in together:
                letter = _letter(connection, folder, delivery, group.language, desk.ui_url)
                _put(connection, desk, group, letter, f"{delivery.month}/{delivery.revision}")
    connection.execute(
        "update ops.monthly_report set announced = true where month = any(%s)", ([one.month for one in deliveries],)
    )


def _put(connection: Connection, desk: Desk, group: Group, letter: Letter, about: str) -> None:
    for channel in desk.channels:
        if channel == SLACK and not group.slack:
            # The platform's own channel is for what went wrong.
            continue
        for address in desk.of_group(group, channel):
            post.put(
                connection,
                letter,
                channel=channel,
                recipient=address.recipient,
                told=f"report/{about}/{channel}/{address.recipient}",
            )


def _letter(connection: Connection, folder: Folder, delivery: Delivery, code: str, ui_url: str) -> Letter:
    found = months.read(connection, delivery.month)
    enclosed = [
        Enclosure(file.name, MEDIA_TYPES[file.kind], (folder / file.path).read_bytes())
        for file in delivery.files
        if file.language == code
    ]
    return monthly_report.letter(delivery, found, language(code), enclosed, ui_url)


def _delivery(connection: Connection, row: dict[str, object]) -> Delivery:
    key = str(row["month"])
    return Delivery(
        month=key,
        status=row["status"],  # type: ignore[arg-type]
        revision=int(str(row["revision"])),
        is_partial=bool(row["is_partial"]),
        changes=tuple(_changes(json.loads(str(row["changes"])))),
        files=tuple(files(connection, key)),
    )


def _changes(kept: Sequence[dict[str, str]]) -> list[Change]:
    return [
        Change(one["part"], one["name"], one["measure"], Decimal(one["before"]), Decimal(one["after"])) for one in kept
    ]
