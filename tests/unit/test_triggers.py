"""The triggerer sends the events of triggers at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from airflow.jobs.triggerer_job_runner import TriggerRunner, messages
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from adventureworks.embedded.triggers import send_events_at_once


class Thrice(BaseEventTrigger):
    """Fires an event when the last one was received."""

    def __init__(self) -> None:
        super().__init__()
        self.received = asyncio.Event()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        for number in range(3):
            yield TriggerEvent(number)
            await self.received.wait()
            self.received.clear()


class Supervisor:
    """Receives what the runner sends."""

    def __init__(self, trigger: Thrice) -> None:
        self.trigger = trigger
        self.received: list[object] = []

    async def asend(self, message: messages.TriggerStateChanges) -> messages.TriggerStateSync:
        self.received += [entry.event.payload for entry in message.events or ()]
        self.trigger.received.set()
        return messages.TriggerStateSync(to_create=[], to_cancel=set())


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have events sent at once; Airflow's class is restored after the test."""
    monkeypatch.setattr(TriggerRunner, "__init__", TriggerRunner.__init__)
    send_events_at_once()


@pytest.mark.usefixtures("at_once")
def test_each_event_is_sent_before_the_runners_next_round() -> None:
    async def received() -> list[object]:
        trigger, runner = Thrice(), TriggerRunner()
        supervisor = Supervisor(trigger)
        runner.comms_decoder = cast("Any", supervisor)
        runner.triggers[1] = {"task": cast("Any", None), "is_watcher": True, "name": "thrice", "events": 0}
        # Only the trigger runs: rounds of the runner would send its events, too.
        await asyncio.wait_for(runner.run_trigger(1, trigger), timeout=10)
        return supervisor.received

    assert asyncio.run(received()) == [0, 1, 2]
