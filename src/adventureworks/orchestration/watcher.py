"""Polls the source for changes and starts the ingestion. It runs in the triggerer, alongside other triggers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

if TYPE_CHECKING:
    from adventureworks.settings import Settings

log = logging.getLogger(__name__)


class SourceChanged(BaseEventTrigger):
    """Trigger that fires when the source differs from what was last read, and again while that difference persists.

    `orchestration.batching` decides when. A change that the trigger misses is found by the ingestion's calendar.
    """

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments, from which the triggerer recreates it."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll the source at intervals, and as soon as it shows that something was written."""
        from adventureworks.errors import PlatformError
        from adventureworks.gate.detect import difference
        from adventureworks.orchestration.batching import Batching
        from adventureworks.orchestration.connections import with_source
        from adventureworks.settings import settings

        batching = Batching(settings().quiet_time)
        while True:
            stated = settings()
            try:
                stated = await asyncio.to_thread(with_source, stated)
                found = await asyncio.to_thread(difference, stated)
            except PlatformError as error:
                log.warning("The source could not be polled for changes: %s", error)
            except Exception as error:
                # Whatever the error, the next poll may succeed. Log only the type: the message may contain an address.
                log.warning("The source could not be polled for changes: %s", type(error).__name__)
            else:
                if batching.starts(found, asyncio.get_running_loop().time()):
                    yield TriggerEvent({"difference": found})
                await _rest(stated)
                continue
            # What was written before may still not be polled: waiting for a write would return at once.
            await asyncio.sleep(stated.watch_seconds)


async def _rest(stated: Settings) -> None:
    """Return after `watch_seconds`, or as soon as the source shows that something was written."""
    from adventureworks.source import open_source

    clock = asyncio.get_running_loop().time
    end = clock() + stated.watch_seconds
    # Whatever the error, the next poll reports it if it persists.
    with suppress(Exception):
        source = open_source(stated)
        while (left := end - clock()) > 0:
            written = await asyncio.to_thread(source.awaits_write, stated.watch_seconds, left)
            if written:
                return
            if written is None:
                break
    await asyncio.sleep(max(0.0, end - clock()))
