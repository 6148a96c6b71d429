"""Sending the messages that are due, each in its own transaction."""

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

MAX_FAILURES = 2
"""After this many consecutive failures a channel is skipped until the next round: one failure may be the message's."""

_TERMINATION_SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger(__name__)


class NotSent(Exception):
    """A message could not be sent. `pause`: how long the server asks to wait before a retry; None: not specified.

    `maybe_sent`: the whole message was transmitted, but the server did not confirm it. It may have been accepted.
    """

    def __init__(self, reason: str, pause: timedelta | None = None, maybe_sent: bool = False) -> None:
        super().__init__(reason)
        self.pause = pause
        self.maybe_sent = maybe_sent


class Channel(Protocol):
    """A way to send messages."""

    def send(self, message: Message) -> None:
        """Send one message. Raises NotSent if the server did not accept it."""
        ...


def send_due(
    connect: Callable[[], AbstractContextManager[Connection]],
    channels: Mapping[str, Channel],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    environment: str = "",
) -> int:
    """Send the messages due on these channels (name -> channel), and return how many were sent.

    Messages from a named `environment` carry its name.
    """
    failures = dict.fromkeys(channels, 0)
    tried: set[str] = set()
    sent = 0
    with connect() as connection, connect() as transit:
        while working := [name for name, count in failures.items() if count < MAX_FAILURES]:
            with _signals_deferred():
                message = store.take_due(connection, working, now(), tried)
                if message is None:
                    break
                tried.add(message.message_id)
                if message.interrupted:
                    log.warning(
                        "A process terminated while sending the %s message %r at %s: it may arrive twice.",
                        message.channel,
                        message.content.subject,
                        message.interrupted,
                    )
                store.mark_in_transit(transit, message)
                content = message.content.with_environment(environment)
                failure = _try_to_send(channels[message.channel], replace(message, content=content))
                if failure is None:
                    failures[message.channel] = 0
                    store.mark_sent(connection, message)
                    sent += 1
                else:
                    # Each attempt at a server that does not respond blocks this process for minutes.
                    failures[message.channel] += MAX_FAILURES if failure.maybe_sent else 1
                    store.postpone(connection, message, str(failure), now(), failure.pause, failure.maybe_sent)
                connection.commit()
    return sent


def _try_to_send(channel: Channel, message: Message) -> NotSent | None:
    """Send one message; return the error if it could not be sent."""
    try:
        channel.send(message)
    except NotSent as failure:
        log.warning(
            "The %s message %r was not sent: %s. It will be retried.", message.channel, message.content.subject, failure
        )
        return failure
    return None


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Defer termination signals until the current message is sent and recorded."""
    if threading.current_thread() is not threading.main_thread():
        # Python runs signal handlers only in the main thread, so this thread is never interrupted.
        yield
        return
    received: list[int] = []
    # Handlers, not a mask: a masked signal would be delivered to another thread of the process.
    before = {number: signal.signal(number, lambda got, _: received.append(got)) for number in _TERMINATION_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for request in received:
            signal.raise_signal(request)
