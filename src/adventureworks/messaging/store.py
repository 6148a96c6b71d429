"""The messages in `ops.outbox`. Every function works inside the caller's transaction and leaves the commit to it.

A message is put there in the transaction that notes what it tells of, and marked as sent in the transaction that holds
its lock while it is sent: a process that dies on the way leaves it waiting. That it is on its way is noted outside of
that transaction (`take_off`), so the next process sees that a try was interrupted. Whether the server took it then,
nobody knows: it is sent again, a mail with the same Message-ID.
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
LONGEST_PAUSE = timedelta(minutes=10)
REFUSED_PAUSE = timedelta(hours=1)
"""A message that a server refuses for what it is, not for the state of the server, need not be tried often."""
DOUBTFUL_PAUSE = timedelta(hours=1)
"""What a server may have taken without saying so is sent again, ever more rarely: each time it may arrive once more."""
LONGEST_DOUBTFUL_PAUSE = timedelta(days=1)
KEPT_DAYS = 7
"""What no channel took for so long is no longer news."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """A content for one recipient over one channel; `thread` is empty or names what it is about."""

    message_id: str
    channel: str
    recipient: str
    thread: str
    attempts: int
    content: RenderedMessage
    interrupted: datetime | None = None
    """Since when a process was sending it that ended before it knew the outcome."""


def add(
    connection: Connection,
    content: RenderedMessage,
    *,
    channel: str,
    recipient: str,
    told: str,
    thread: str = "",
    not_before: datetime | None = None,
) -> bool:
    """Puts a content for one recipient into the outbox; False if that was told (`told`) before.

    What waits for its hour in the same thread is sent no later: it would hold back a content that may not wait.
    """
    row = connection.execute(
        "insert into ops.outbox (message_id, told, thread, channel, recipient, letter_id, not_before)"
        " values (%s, %s, %s, %s, %s, %s, coalesce(%s, current_timestamp)) on conflict (told) do nothing"
        " returning letter_id, number, not_before",
        (str(uuid4()), told, thread, channel, recipient, _digest(content), not_before),
    ).fetchone()
    if row is None:
        return False
    letter_id, number, due = row
    _store_content(connection, letter_id, content)
    if thread:
        connection.execute(
            "update ops.outbox set not_before = %s where thread = %s and channel = %s and recipient = %s"
            # What was tried already waits for the server, not for its hour.
            " and number < %s and not_before > %s and attempts = 0 and sent_at is null and given_up_at is null",
            (due, thread, channel, recipient, number, due),
        )
    return True


def count_recent(connection: Connection, recipient: str, prefix: str, since: datetime) -> int:
    """How many messages of a kind (`told` begins with `prefix`) were put for a recipient since then."""
    row = connection.execute(
        "select count(*) from ops.outbox where recipient = %s and starts_with(told, %s) and created >= %s",
        (recipient, prefix, since),
    ).fetchone()
    return int(row[0]) if row else 0


def was_added(connection: Connection, told: str) -> bool:
    """Whether a message that tells this was ever put into the outbox."""
    return connection.execute("select 1 from ops.outbox where told = %s", (told,)).fetchone() is not None


def take_due(
    connection: Connection, channels: Collection[str], now: datetime, left_alone: Collection[str] = ()
) -> Message | None:
    """The oldest message that is due over these channels, locked until the transaction ends; None if there is none.

    What another process is sending just now is left to it, and so is what would overtake an older message of the same
    thread to the same recipient. `left_alone` are ids of messages to pass over. A message that cannot be read is given
    up.
    """
    query = """
        select o.message_id, o.channel, o.recipient, o.thread, o.attempts, o.letter_id,
            (select f.since from ops.flight as f where f.message_id = o.message_id)
        from ops.outbox as o
        where o.sent_at is null and o.given_up_at is null and o.not_before <= %(now)s
            and o.channel = any(%(channels)s) and not o.message_id = any(%(left_alone)s)
            and (o.thread = '' or not exists (
                select 1 from ops.outbox as e
                where e.thread = o.thread and e.channel = o.channel and e.recipient = o.recipient
                    and e.number < o.number and e.sent_at is null and e.given_up_at is null
            ))
        order by o.number limit 1 for update of o skip locked
    """
    values = {"now": now, "channels": list(channels), "left_alone": list(left_alone)}
    while row := connection.execute(query, values).fetchone():
        message_id, channel, recipient, thread, attempts, letter_id, interrupted = row
        try:
            content = _read_content(connection, letter_id)
        except (LookupError, TypeError, ValueError) as error:
            log.error("The message %s cannot be read and is given up: %s", message_id, error)
            _give_up(connection, message_id, f"it cannot be read: {error}")
            continue
        return Message(message_id, channel, recipient, thread, attempts, content, interrupted)
    return None


def mark_in_transit(notes: Connection, message: Message) -> None:
    """Notes that the message is on its way; `notes` is not the connection that holds it, and is committed at once."""
    notes.execute(
        "insert into ops.flight (message_id) values (%s)"
        " on conflict (message_id) do update set since = clock_timestamp()",
        (message.message_id,),
    )
    notes.commit()


def mark_sent(connection: Connection, message: Message) -> None:
    """The channel took it."""
    connection.execute(
        "update ops.outbox set sent_at = clock_timestamp(), attempts = attempts + 1, last_error = null,"
        " doubtful_at = coalesce(%s, doubtful_at) where message_id = %s",
        (message.interrupted, message.message_id),
    )
    _clear_in_transit(connection, message)


def postpone(
    connection: Connection,
    message: Message,
    reason: str,
    now: datetime,
    pause: timedelta | None = None,
    doubtful: bool = False,
) -> None:
    """The channel did not take it: it is tried again after `pause`, else after ever longer ones; after days no more.

    `doubtful`: the channel may have taken it, but did not say so.
    """
    growth = 2 ** min(message.attempts, 20)
    usual = (
        min(DOUBTFUL_PAUSE * growth, LONGEST_DOUBTFUL_PAUSE) if doubtful else min(FIRST_PAUSE * growth, LONGEST_PAUSE)
    )
    connection.execute(
        "update ops.outbox set attempts = attempts + 1, last_error = %(reason)s, not_before = %(next)s,"
        " doubtful_at = coalesce(%(doubtful)s, doubtful_at),"
        " given_up_at = case when created < %(oldest)s then current_timestamp end where message_id = %(id)s",
        {
            "reason": reason,
            "next": now + (pause if pause is not None else usual),
            "doubtful": now if doubtful else message.interrupted,
            "oldest": now - timedelta(days=KEPT_DAYS),
            "id": message.message_id,
        },
    )
    _clear_in_transit(connection, message)


def delete_finished(connection: Connection, before: datetime) -> None:
    """Forgets messages from before a moment that are on their way to nobody any more."""
    connection.execute(
        "delete from ops.outbox where created < %s and (sent_at is not null or given_up_at is not null)", (before,)
    )


def drop_contents(connection: Connection, before: datetime) -> None:
    """Drops the content of letters that are on their way to nobody any more. That they were told stays noted."""
    connection.execute(
        """
        with over as (
            delete from ops.letter as l where created < %s and not exists (
                select 1 from ops.outbox as o
                where o.letter_id = l.letter_id and o.sent_at is null and o.given_up_at is null
            ) returning letter_id
        )
        delete from ops.enclosure where letter_id in (select letter_id from over)
        """,
        (before,),
    )


def _clear_in_transit(connection: Connection, message: Message) -> None:
    connection.execute("delete from ops.flight where message_id = %s", (message.message_id,))


def _give_up(connection: Connection, message_id: str, reason: str) -> None:
    connection.execute(
        "update ops.outbox set given_up_at = clock_timestamp(), last_error = %s where message_id = %s",
        (reason, message_id),
    )


def _store_content(connection: Connection, letter_id: str, content: RenderedMessage) -> None:
    new = connection.execute(
        "insert into ops.letter (letter_id, subject, html, text, summary, blocks) values (%s, %s, %s, %s, %s, %s)"
        " on conflict (letter_id) do nothing returning letter_id",
        (letter_id, content.subject, content.html, content.text, content.summary, json.dumps(content.blocks)),
    ).fetchone()
    if new is None:
        return
    for position, (file, is_image) in enumerate(_files_of(content)):
        connection.execute(
            "insert into ops.enclosure (letter_id, position, name, media_type, is_image, content)"
            " values (%s, %s, %s, %s, %s, %s)",
            (letter_id, position, file.name, file.media_type, is_image, file.content),
        )


def _read_content(connection: Connection, letter_id: str) -> RenderedMessage:
    with connection.cursor(row_factory=dict_row) as cursor:
        kept = cursor.execute("select * from ops.letter where letter_id = %s", (letter_id,)).fetchone()
        if kept is None:
            raise LookupError(f"The content {letter_id} is gone.")
        parts = cursor.execute(
            "select * from ops.enclosure where letter_id = %s order by position", (letter_id,)
        ).fetchall()

    def files_of_kind(is_image: bool) -> tuple[Attachment, ...]:
        return tuple(
            Attachment(part["name"], part["media_type"], bytes(part["content"]))
            for part in parts
            if part["is_image"] is is_image
        )

    return RenderedMessage(
        subject=kept["subject"],
        html=kept["html"],
        text=kept["text"],
        images=files_of_kind(True),
        attachments=files_of_kind(False),
        summary=kept["summary"],
        blocks=tuple(json.loads(kept["blocks"])),
    )


def _files_of(content: RenderedMessage) -> Iterable[tuple[Attachment, bool]]:
    yield from ((image, True) for image in content.images)
    yield from ((attachment, False) for attachment in content.attachments)


def _digest(content: RenderedMessage) -> str:
    """The same content to many is kept once."""
    digest = hashlib.sha256()
    for text in (content.subject, content.html, content.text, content.summary, json.dumps(content.blocks)):
        digest.update(text.encode() + b"\0")
    for file, is_image in _files_of(content):
        digest.update(f"{file.name}\0{file.media_type}\0{is_image}\0".encode() + file.content)
    return digest.hexdigest()
