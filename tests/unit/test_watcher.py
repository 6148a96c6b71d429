"""When the watcher polls the source: after the interval, or as soon as the source shows that something was written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from adventureworks import source
from adventureworks.errors import ServiceUnavailable
from adventureworks.gate import detect
from adventureworks.orchestration import connections
from adventureworks.orchestration.watcher import SourceChanged
from adventureworks.settings import Settings, settings


class FakeSource:
    """Gives each of the answers once."""

    def __init__(self, *answers: bool | Exception | None) -> None:
        self._answers = list(answers)

    def awaits_write(self, pause: float, seconds: float) -> bool | None:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the seconds for which the watcher sleeps, which take no time here."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


def first_event(
    monkeypatch: pytest.MonkeyPatch, asked: FakeSource, differences: Iterator[str | Exception | None]
) -> Any:
    """Return the payload of the first event, if the polls find these differences."""
    monkeypatch.setattr(connections, "with_source", lambda stated: stated)
    monkeypatch.setattr(source, "open_source", lambda stated: asked)

    def difference(stated: Settings) -> str | None:
        found = next(differences)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(detect, "difference", difference)

    async def event() -> Any:
        return (await anext(SourceChanged().run())).payload

    return asyncio.run(event())


def test_a_write_is_polled_at_once(monkeypatch: pytest.MonkeyPatch, rests: list[float]) -> None:
    found = first_event(monkeypatch, FakeSource(False, False, True), iter((None, "change")))
    assert found == {"difference": "change"}
    assert rests == []


@pytest.mark.parametrize("answer", [None, ServiceUnavailable("The source does not answer.", "Wait.")])
def test_a_source_that_does_not_tell_is_polled_after_the_interval(
    monkeypatch: pytest.MonkeyPatch, rests: list[float], answer: Exception | None
) -> None:
    found = first_event(monkeypatch, FakeSource(answer), iter((None, "change")))
    assert found == {"difference": "change"}
    assert rests == [pytest.approx(settings().watch_seconds, abs=5)]


def test_a_poll_that_fails_is_repeated_after_the_interval(monkeypatch: pytest.MonkeyPatch, rests: list[float]) -> None:
    failure = ServiceUnavailable("The warehouse does not answer.", "Wait.")
    assert first_event(monkeypatch, FakeSource(), iter((failure, "change"))) == {"difference": "change"}
    assert rests == [settings().watch_seconds]
