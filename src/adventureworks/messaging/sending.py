"""Handing the messages that are due to the channels, each in a transaction of its own."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from adventureworks.messaging import store
from adventureworks.messaging.store import Connection, Message

MOST_FAILURES = 2
"""A channel that fails so often in a row is left alone until the next time: one message may be at fault, not two."""

_REQUESTS_TO_END = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger(__name__)


class NotTaken(Exception):
    """A channel did not take a message. `pause`: when it wants to be asked again; None: it does not say.

    `doubtful`: all of the message was handed over, and no answer came. It may have been taken.
    """

    def __init__(self, reason: str, pause: timedelta | None = None, doubtful: bool = False) -> None:
        super().__init__(reason)
        self.pause = pause
        self.doubtful = doubtful


class Channel(Protocol):
    """A way to reach people."""

    def send(self, message: Message) -> None:
        """Sends one message; raises NotTaken if it was not taken."""
        ...


def send_due(
    connect: Callable[[], AbstractContextManager[Connection]],
    channels: Mapping[str, Channel],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    environment: str = "",
) -> int:
    """Sends what is due over these channels (name -> channel), and returns how many messages were taken.

    Letters that come from an `environment` say so.
    """
    failures = dict.fromkeys(channels, 0)
    tried: set[str] = set()
    sent = 0
    with connect() as connection, connect() as notes:
        while working := [name for name, count in failures.items() if count < MOST_FAILURES]:
            with _uninterrupted():
                message = store.take_due(connection, working, now(), tried)
                if message is None:
                    break
                tried.add(message.message_id)
                if message.interrupted:
                    log.warning(
                        "The %s message %r was being sent at %s by a process that ended: it may arrive twice.",
                        message.channel,
                        message.content.subject,
                        message.interrupted,
                    )
                store.mark_in_transit(notes, message)
                content = message.content.of_environment(environment)
                refusal = _refusal(channels[message.channel], replace(message, content=content))
                if refusal is None:
                    failures[message.channel] = 0
                    store.mark_sent(connection, message)
                    sent += 1
                else:
                    # A server that does not answer holds up this process for minutes each time.
                    failures[message.channel] += MOST_FAILURES if refusal.doubtful else 1
                    store.postpone(connection, message, str(refusal), now(), refusal.pause, refusal.doubtful)
                connection.commit()
    return sent


def _refusal(channel: Channel, message: Message) -> NotTaken | None:
    """Sends one message; None if it was taken."""
    try:
        channel.send(message)
    except NotTaken as refusal:
        log.warning("No %s message %r: %s. It is tried again later.", message.channel, message.content.subject, refusal)
        return refusal
    return None


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Somebody who asks this process to end waits until the message at hand is sent and noted."""
    if threading.current_thread() is not threading.main_thread():
        # Python runs signal handlers in the main thread: this one is not interrupted anyway.
        yield
        return
    asked: list[int] = []
    # Handlers, not a mask: a masked signal would go to any other thread of the process.
    before = {number: signal.signal(number, lambda got, _: asked.append(got)) for number in _REQUESTS_TO_END}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for request in asked:
            signal.raise_signal(request)
