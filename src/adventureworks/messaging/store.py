"""The messages in `ops.outbox`. Every function runs in the caller's transaction and does not commit.

A message is added in the transaction that records the event it reports. It stays locked while it is sent and is marked
as sent in that same transaction, so it stays pending if the process dies. The start of an attempt is committed
separately (`mark_in_transit`), so that the next process can detect an interrupted attempt. The server may or may not
have accepted such a message: it is sent again, a mail with the same Message-ID.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.rows import dict_row

from adventureworks.messaging.rendered import Attachment, RenderedMessage

Connection = psycopg.Connection[Any]

FIRST_PAUSE = timedelta(seconds=15)
MAX_PAUSE = timedelta(minutes=10)
REFUSED_PAUSE = timedelta(hours=1)
"""Pause after a server refused the message itself: frequent retries would not help."""
MAYBE_SENT_PAUSE = timedelta(hours=1)
"""First pause after an unconfirmed attempt; it doubles each time, because every retry may deliver a duplicate."""
MAX_MAYBE_SENT_PAUSE = timedelta(days=1)
KEPT_DAYS = 7
"""A message that could not be sent for this long is out of date and is given up."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """A rendered message for one recipient on one channel; `thread`, if any, identifies what it is about."""

    message_id: str
    channel: str
    recipient: str
    thread: str
    attempts: int
    content: RenderedMessage
    interrupted: datetime | None = None
    """When an earlier attempt began whose process terminated before the outcome was known."""


def add(
    records: Connection,
    content: RenderedMessage,
    *,
    channel: str,
    recipient: str,
    dedup_key: str,
    thread: str = "",
    not_before: datetime | None = None,
) -> bool:
    """Add a message for one recipient to the outbox. Return False if one with this `dedup_key` was added before.

    Earlier messages of the thread that are held until later are moved up to this one's time, as a thread is sent in
    order.
    """
    row = records.execute(
        "insert into ops.outbox (message_id, dedup_key, thread, channel, recipient, content_id, not_before)"
        " values (%s, %s, %s, %s, %s, %s, coalesce(%s, current_timestamp)) on conflict (dedup_key) do nothing"
        " returning content_id, number, not_before",
        (str(uuid4()), dedup_key, thread, channel, recipient, _digest(content), not_before),
    ).fetchone()
    if row is None:
        return False
    content_id, number, due = row
    _store_content(records, content_id, content)
    if thread:
        records.execute(
            "update ops.outbox set not_before = %s where thread = %s and channel = %s and recipient = %s"
            # A message that was already tried is waiting for the server, not for its time.
            " and number < %s and not_before > %s and attempts = 0 and sent_at is null and given_up_at is null",
            (due, thread, channel, recipient, number, due),
        )
    return True


def count_recent(records: Connection, recipient: str, prefix: str, since: datetime) -> int:
    """Return how many messages whose deduplication key has a prefix were added for a recipient since a time."""
    row = records.execute(
        "select count(*) from ops.outbox where recipient = %s and starts_with(dedup_key, %s) and created >= %s",
        (recipient, prefix, since),
    ).fetchone()
    return int(row[0]) if row else 0


def was_added(records: Connection, dedup_key: str) -> bool:
    """Return whether a message with this deduplication key was ever added."""
    return records.execute("select 1 from ops.outbox where dedup_key = %s", (dedup_key,)).fetchone() is not None


def take_due(
    records: Connection, channels: Collection[str], now: datetime, exclude: Collection[str] = ()
) -> Message | None:
    """Return and lock the oldest message due on these channels, or None. The lock lasts until the transaction ends.

    Messages locked by another process are skipped, as are those with an older pending message in the same thread to the
    same recipient, and those whose id is in `exclude`. A message that cannot be read is given up.
    """
    query = """
        select o.message_id, o.channel, o.recipient, o.thread, o.attempts, o.content_id,
            (select f.since from ops.in_transit as f where f.message_id = o.message_id)
        from ops.outbox as o
        where o.sent_at is null and o.given_up_at is null and o.not_before <= %(now)s
            and o.channel = any(%(channels)s) and not o.message_id = any(%(exclude)s)
            and (o.thread = '' or not exists (
                select 1 from ops.outbox as e
                where e.thread = o.thread and e.channel = o.channel and e.recipient = o.recipient
                    and e.number < o.number and e.sent_at is null and e.given_up_at is null
            ))
        order by o.number limit 1 for update of o skip locked
    """
    values = {"now": now, "channels": list(channels), "exclude": list(exclude)}
    while row := records.execute(query, values).fetchone():
        message_id, channel, recipient, thread, attempts, content_id, interrupted = row
        try:
            content = _read_content(records, content_id)
        except (LookupError, TypeError, ValueError) as error:
            log.error("Message %s cannot be read and is given up: %s", message_id, error)
            _give_up(records, message_id, f"it cannot be read: {error}")
            continue
        return Message(message_id, channel, recipient, thread, attempts, content, interrupted)
    return None


def mark_in_transit(transit: Connection, message: Message) -> None:
    """Record that the message is being sent, and commit. `transit` must not be the connection that holds its lock."""
    transit.execute(
        "insert into ops.in_transit (message_id) values (%s)"
        " on conflict (message_id) do update set since = clock_timestamp()",
        (message.message_id,),
    )
    transit.commit()


def mark_sent(records: Connection, message: Message) -> None:
    """Mark the message as sent."""
    records.execute(
        "update ops.outbox set sent_at = clock_timestamp(), attempts = attempts + 1, last_error = null,"
        " maybe_sent_at = coalesce(%s, maybe_sent_at) where message_id = %s",
        (message.interrupted, message.message_id),
    )
    _clear_in_transit(records, message)


def postpone(
    records: Connection,
    message: Message,
    reason: str,
    now: datetime,
    pause: timedelta | None = None,
    maybe_sent: bool = False,
) -> None:
    """Schedule a message for a retry after `pause`, by default with exponential back-off. Give up after `KEPT_DAYS`.

    `maybe_sent`: the server may have accepted it without confirming it.
    """
    growth = 2 ** min(message.attempts, 20)
    back_off = (
        min(MAYBE_SENT_PAUSE * growth, MAX_MAYBE_SENT_PAUSE) if maybe_sent else min(FIRST_PAUSE * growth, MAX_PAUSE)
    )
    records.execute(
        "update ops.outbox set attempts = attempts + 1, last_error = %(reason)s, not_before = %(next)s,"
        " maybe_sent_at = coalesce(%(maybe_sent)s, maybe_sent_at),"
        " given_up_at = case when created < %(oldest)s then current_timestamp end where message_id = %(id)s",
        {
            "reason": reason,
            "next": now + (pause if pause is not None else back_off),
            "maybe_sent": now if maybe_sent else message.interrupted,
            "oldest": now - timedelta(days=KEPT_DAYS),
            "id": message.message_id,
        },
    )
    _clear_in_transit(records, message)


def delete_finished(records: Connection, before: datetime) -> None:
    """Delete the messages from before a point in time that were sent or given up."""
    records.execute(
        "delete from ops.outbox where created < %s and (sent_at is not null or given_up_at is not null)", (before,)
    )


def drop_contents(records: Connection, before: datetime) -> None:
    """Delete old contents with no pending message. The outbox rows stay, so that no message is sent twice."""
    records.execute(
        """
        with over as (
            delete from ops.message_content as c where created < %s and not exists (
                select 1 from ops.outbox as o
                where o.content_id = c.content_id and o.sent_at is null and o.given_up_at is null
            ) returning content_id
        )
        delete from ops.attachment where content_id in (select content_id from over)
        """,
        (before,),
    )


def _clear_in_transit(records: Connection, message: Message) -> None:
    records.execute("delete from ops.in_transit where message_id = %s", (message.message_id,))


def _give_up(records: Connection, message_id: str, reason: str) -> None:
    records.execute(
        "update ops.outbox set given_up_at = clock_timestamp(), last_error = %s where message_id = %s",
        (reason, message_id),
    )


def _store_content(records: Connection, content_id: str, content: RenderedMessage) -> None:
    new = records.execute(
        "insert into ops.message_content (content_id, subject, html, text, summary, blocks)"
        " values (%s, %s, %s, %s, %s, %s)"
        " on conflict (content_id) do nothing returning content_id",
        (content_id, content.subject, content.html, content.text, content.summary, json.dumps(content.blocks)),
    ).fetchone()
    if new is None:
        return
    for position, (file, is_image) in enumerate(_files_of(content)):
        records.execute(
            "insert into ops.attachment (content_id, position, name, media_type, is_image, content)"
            " values (%s, %s, %s, %s, %s, %s)",
            (content_id, position, file.name, file.media_type, is_image, file.content),
        )


def _read_content(records: Connection, content_id: str) -> RenderedMessage:
    with records.cursor(row_factory=dict_row) as cursor:
        stored = cursor.execute("select * from ops.message_content where content_id = %s", (content_id,)).fetchone()
        if stored is None:
            raise LookupError(f"The content {content_id} does not exist.")
        parts = cursor.execute(
            "select * from ops.attachment where content_id = %s order by position", (content_id,)
        ).fetchall()

    def files_of_kind(is_image: bool) -> tuple[Attachment, ...]:
        return tuple(
            Attachment(part["name"], part["media_type"], bytes(part["content"]))
            for part in parts
            if part["is_image"] is is_image
        )

    return RenderedMessage(
        subject=stored["subject"],
        html=stored["html"],
        text=stored["text"],
        images=files_of_kind(True),
        attachments=files_of_kind(False),
        summary=stored["summary"],
        blocks=tuple(json.loads(stored["blocks"])),
    )


def _files_of(content: RenderedMessage) -> Iterable[tuple[Attachment, bool]]:
    yield from ((image, True) for image in content.images)
    yield from ((attachment, False) for attachment in content.attachments)


def _digest(content: RenderedMessage) -> str:
    """Identify a content, so that it is stored once however many recipients it has."""
    digest = hashlib.sha256()
    for text in (content.subject, content.html, content.text, content.summary, json.dumps(content.blocks)):
        digest.update(text.encode() + b"\0")
    for file, is_image in _files_of(content):
        digest.update(f"{file.name}\0{file.media_type}\0{is_image}\0".encode() + file.content)
    return digest.hexdigest()
