"""When changes of the source start the ingestion, decided from the polls of the source alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from adventureworks.orchestration.batching import Batching
from adventureworks.settings import Settings

POLL = 10


def starts(quiet: float, seconds: int, difference: Callable[[int], str | None]) -> list[int]:
    """Return when the ingestion starts if the source, polled every ten seconds, differs like this from its reading."""
    batching = Batching(quiet)
    return [now for now in range(0, seconds, POLL) if batching.starts(difference(now), now)]


def test_without_a_quiet_time_every_change_starts_the_ingestion_at_once() -> None:
    assert starts(0, 40, lambda now: f"change {now}") == [0, 10, 20, 30]
    assert starts(0, 600, lambda now: None) == []


def test_a_change_waits_until_the_source_is_quiet() -> None:
    assert starts(300, 600, lambda now: "one" if now >= 50 else None)[0] == 350
    assert starts(300, 700, lambda now: None if now < 50 else "one" if now < 200 else "one, two")[0] == 500


def test_a_source_that_is_never_quiet_is_ingested_every_three_quiet_times() -> None:
    published: list[int] = []

    def trickle(now: int) -> str:
        return f"changes from {published[-1] if published else 0} to {now}"

    batching = Batching(300)
    for now in range(0, 3600, POLL):
        if batching.starts(trickle(now), now):
            published.append(now)
    assert published[0] == 900
    assert {later - earlier for earlier, later in pairwise(published)} == {910}


def test_an_ingestion_that_fails_is_repeated_at_increasing_intervals() -> None:
    repeated = starts(0, 4000, lambda now: "remains")
    assert [later - earlier for earlier, later in pairwise(repeated)][:6] == [
        70, 130, 250, 490, 910, 910
    ]  # fmt: skip


def test_a_failed_ingestion_is_not_repeated_before_the_quiet_time_is_over() -> None:
    repeated = starts(300, 3000, lambda now: "remains")
    assert [later - earlier for earlier, later in pairwise(repeated)] == [310, 610, 910]


def test_what_is_taken_back_is_not_ingested() -> None:
    assert starts(300, 1200, lambda now: "one" if now < 200 else None) == []


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"warehouse": "postgres"}, 0),
        ({"warehouse": "snowflake"}, 300),
        ({"warehouse": "snowflake", "quiet_seconds": 0}, 0),
        ({"warehouse": "postgres", "quiet_seconds": 60}, 60),
    ],
)
def test_only_snowflake_has_a_quiet_time_by_default(given: dict[str, object], seconds: float) -> None:
    assert Settings.model_validate(given).quiet_time == seconds
