"""Polls the source for changes and starts the ingestion. It runs in the triggerer, alongside other triggers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

log = logging.getLogger(__name__)


class SourceChanged(BaseEventTrigger):
    """Trigger that fires when the source differs from what was last read, and again while that difference persists.

    `orchestration.batching` decides when. A change that the trigger misses is found by the ingestion's calendar.
    """

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments, from which the triggerer recreates it."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll the source with one cheap query per table: regularly, and when it says that it may have changed."""
        from adventureworks.errors import PlatformError
        from adventureworks.gate.detect import difference
        from adventureworks.orchestration.batching import ASK_SECONDS, Batching, Polling
        from adventureworks.orchestration.connections import with_source
        from adventureworks.settings import settings
        from adventureworks.source import Source, open_source

        known = settings()
        batching, polling = Batching(known.quiet_time), Polling(known.watch_seconds)
        clock = asyncio.get_running_loop().time
        source: Source | None = None
        while True:
            has_news = False
            try:
                if source is not None and polling.asks(clock()):
                    has_news = await asyncio.to_thread(source.has_news)
                if polling.polls(has_news, clock()):
                    # An Airflow connection may have been changed.
                    stated = await asyncio.to_thread(with_source, known)
                    found = await asyncio.to_thread(difference, stated)
                    source = open_source(stated)
                    if batching.starts(found, clock()):
                        yield TriggerEvent({"difference": found})
            except PlatformError as error:
                source = None
                log.warning("The source could not be polled for changes: %s", error)
            except Exception as error:
                # Whatever the error, the next poll may succeed. Log only the type: the message may contain an address.
                source = None
                log.warning("The source could not be polled for changes: %s", type(error).__name__)
            await asyncio.sleep(min(ASK_SECONDS, known.watch_seconds))
