"""Handing the messages that are due to the channels, each in a transaction of its own."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

from adventureworks.outbox import post
from adventureworks.outbox.post import Connection, Message

MOST_FAILURES = 2
"""A channel that fails so often in a row is left alone until the next time: one message may be at fault, not two."""

log = logging.getLogger(__name__)


class NotTaken(Exception):
    """A channel did not take a message. `pause`: when it wants to be asked again; None: it does not say."""

    def __init__(self, reason: str, pause: timedelta | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class Channel(Protocol):
    """A way to reach people."""

    def send(self, message: Message) -> None:
        """Sends one message; raises NotTaken if it was not taken."""
        ...


def send_due(
    connect: Callable[[], AbstractContextManager[Connection]],
    channels: Mapping[str, Channel],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> int:
    """Sends what is due over these channels (name -> channel), and returns how many messages were taken."""
    failures = dict.fromkeys(channels, 0)
    tried: set[str] = set()
    sent = 0
    with connect() as connection:
        while working := [name for name, count in failures.items() if count < MOST_FAILURES]:
            with _uninterrupted():
                message = post.take_due(connection, working, now(), tried)
                if message is None:
                    break
                tried.add(message.message_id)
                try:
                    channels[message.channel].send(message)
                except NotTaken as refusal:
                    failures[message.channel] += 1
                    post.put_off(connection, message, str(refusal), now(), refusal.pause)
                    log.warning(
                        "No %s message %r: %s. It is tried again later.",
                        message.channel,
                        message.letter.subject,
                        refusal,
                    )
                else:
                    failures[message.channel] = 0
                    post.mark_sent(connection, message)
                    sent += 1
                connection.commit()
    return sent


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Somebody who asks this process to end waits until the message at hand is sent and noted."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
