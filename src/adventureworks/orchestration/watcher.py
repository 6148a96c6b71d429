"""Asks the source for changes and wakes the ingestion. It runs in the triggerer, beside other triggers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

log = logging.getLogger(__name__)


FIRST_PAUSE_SECONDS = 60.0
LAST_PAUSE_SECONDS = 900.0


class SourceChanged(BaseEventTrigger):
    """Fires when the source differs from what was last read, and again while that difference stays.

    What it forgets when it is restarted costs one ingestion run that finds nothing; what it misses, the ingestion's
    calendar catches.
    """

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, from which the triggerer makes it again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Polls the source, with one cheap question for each table."""
        from adventureworks.errors import PlatformError
        from adventureworks.gate.detect import difference
        from adventureworks.orchestration.connections import with_source
        from adventureworks.settings import settings

        seen: str | None = None
        fired = pause = 0.0
        while True:
            try:
                found = await asyncio.to_thread(lambda: difference(with_source(settings())))
            except PlatformError as error:
                log.warning("The source could not be asked for changes: %s", error)
            except Exception as error:
                # Whatever it is, the next look may be better; its text may hold an address.
                log.warning("The source could not be asked for changes: %s", type(error).__name__)
            else:
                now = asyncio.get_running_loop().time()
                pause = FIRST_PAUSE_SECONDS if found != seen else pause
                if found and (found != seen or now - fired > pause):
                    # A difference that stays was not read: the ingestion failed. It is woken again, ever more rarely.
                    pause = min(2 * pause, LAST_PAUSE_SECONDS) if found == seen else pause
                    fired = now
                    yield TriggerEvent({"difference": found})
                seen = found
            await asyncio.sleep(settings().watch_seconds)
