"""The tour without a platform: what its steps wait for, what they say, and what they refuse."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.cli.progress import Progress
from adventureworks.cli.tour import (
    LIMIT_SECONDS,
    MARK,
    Stage,
    numbers_of,
    own_settings,
    play,
    restore_source,
    tour,
    wait_for,
)
from adventureworks.cli.tour_steps import (
    HEADERS,
    LINES,
    RATES,
    STEPS,
    Part,
    Place,
    Snapshot,
    Step,
    with_quantity,
)
from adventureworks.due import NO_REASON
from adventureworks.embedded.home import Home
from adventureworks.errors import PlatformError, ServiceUnavailable
from adventureworks.settings import Settings
from adventureworks.warehouse.state import AssetState


def state(asset: str, **changes: Any) -> AssetState:
    found = AssetState(
        asset=asset,
        kind="mart" if asset in MARTS else "source",
        version=1,
        published_at=datetime(2014, 7, 1, tzinfo=UTC),
        newest_change=None,
        rows=10,
        set_aside=0,
        verdict="passed",
        fresh=True,
        behind=NO_REASON,
        blocked_since=None,
        reads_blocked=(),
        lacks=(),
        broken_rules=(),
    )
    return replace(found, **changes)


SETTLED = Snapshot({asset: state(asset) for asset in (*SOURCE_TABLES, *MARTS)}, 0, {"2014-05": 2}, "")


def changed(asset: str, before: Snapshot = SETTLED, **changes: Any) -> Snapshot:
    return replace(before, states={**before.states, asset: replace(before.states[asset], **changes)})


SET_ASIDE = changed(LINES, version=2, set_aside=1, verdict="passed with warnings")
CORRECTED = replace(changed(LINES, version=3), corrections=1)
BLOCKED = changed(RATES, verdict="blocked", fresh=False, broken_rules=("keeps_most_of_its_rows: 9 rows.",))
REACHED = (
    (SETTLED, changed(HEADERS, version=2)),
    (SETTLED, SET_ASIDE),
    (SET_ASIDE, CORRECTED),
    (CORRECTED, changed(LINES, version=3)),
    (SETTLED, BLOCKED),
    (BLOCKED, changed(RATES, version=2)),
    (SETTLED, changed(RATES, version=2)),
    (SETTLED, replace(changed("fact_sales", version=2), restated={"2014-05": 3})),
)
"""For each part of the tour, a snapshot before its act and one in which it has reached what it waits for."""
PARTS = [part for step in STEPS for part in step.parts]


@pytest.mark.parametrize(("part", "before", "after"), [(p, *r) for p, r in zip(PARTS, REACHED, strict=True)])
def test_a_part_ends_once_the_platform_has_reacted_and_is_at_rest(
    part: Part, before: Snapshot, after: Snapshot
) -> None:
    assert part.is_reached(before, after)
    assert not part.is_reached(before, before)
    assert not part.is_reached(before, replace(after, working="ingest_source: load 1/2"))


@pytest.mark.parametrize(
    "unsettled",
    [
        changed("daily_sales", fresh=False),
        changed("daily_sales", version=None, fresh=False),
        changed(RATES, verdict="blocked", fresh=False),
        changed(LINES, set_aside=1),
        replace(SETTLED, corrections=1),
        replace(SETTLED, working="events are starting runs"),
    ],
)
def test_nothing_may_be_left_to_compute_or_to_repair(unsettled: Snapshot) -> None:
    assert SETTLED.is_settled
    assert not unsettled.is_settled


def test_a_correction_has_the_quantity_that_the_total_implies() -> None:
    row = {"OrderQty": "0", "UnitPrice": "2024.9940", "UnitPriceDiscount": "0.1000", "LineTotal": "5467.483800"}
    assert with_quantity(row) == {**row, "OrderQty": "3"}


class Fake:
    """A platform with prepared snapshots, whose clock advances by a second per rest."""

    def __init__(self, home: Path, *snapshots: Snapshot | Exception) -> None:
        self.snapshots: Iterator[Snapshot | Exception] = iter(snapshots)
        self.now, self.pauses = 0.0, 0
        self.stage = Stage(
            Settings(home=home), "http://127.0.0.1:8080", self.look, Progress(), self.rest, self.pause, lambda: self.now
        )

    def look(self) -> Snapshot:
        found = next(self.snapshots, SETTLED)
        if isinstance(found, Exception):
            raise found
        return found

    def rest(self) -> None:
        self.now += 1

    def pause(self) -> None:
        self.pauses += 1


def test_a_step_says_what_it_does_what_happened_and_where_to_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    acted: list[Settings] = []
    places = (Place("The figures", path="/dashboard/overview"), Place("Why", command=f"status {RATES}"))
    part = Part(
        "Delete rates.", acted.append, "it is blocked", PARTS[4].is_reached, lambda *_: "It is blocked.", places
    )
    # While a database restarts, there is nothing to look at.
    fake = Fake(tmp_path, SETTLED, SETTLED, ServiceUnavailable("PostgreSQL does not answer."), BLOCKED)
    play(3, Step("A table is blocked", (part,)), fake.stage)
    assert (acted, fake.pauses) == ([fake.stage.settings], 1)
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert lines[:2] == [f"Step 3 of {len(STEPS)}: A table is blocked", "Delete rates."]
    assert "Waiting until it is blocked" in lines[2]
    assert lines[3:] == [
        "It is blocked. This took 2 seconds.",
        "  The figures: http://127.0.0.1:8080/dashboard/overview",
        f"  Why: ADVENTUREWORKS_HOME={tmp_path} adventureworks status {RATES}",
    ]


def test_an_expectation_that_is_not_met_in_time_ends_the_tour(tmp_path: Path) -> None:
    fake = Fake(tmp_path)
    with pytest.raises(PlatformError) as raised:
        wait_for(fake.stage, "the row is set aside", lambda _before, _now: False, SETTLED)
    assert fake.now > LIMIT_SECONDS
    assert str(raised.value) == (
        "In 10 minutes, this did not happen: the row is set aside. Airflow: no run is active."
        f" See what is wrong: ADVENTUREWORKS_HOME={tmp_path} adventureworks status"
    )


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A copy of the environment, from which the tour removes variables."""
    copied = dict(os.environ)
    monkeypatch.setattr(os, "environ", copied)
    return copied


def test_settings_and_connections_of_the_user_are_not_used(tmp_path: Path, environment: dict[str, str]) -> None:
    environment["ADVENTUREWORKS_SOURCE_URL"] = "postgresql://u@h/production"
    environment["ADVENTUREWORKS_WAREHOUSE_URL"] = "postgresql://u@h/warehouse"
    environment["AIRFLOW_CONN_SMTP_DEFAULT"] = "{}"
    environment["ADVENTUREWORKS_DAGS_FOLDER"] = str(tmp_path)
    for _ in range(2):
        here = own_settings(Settings(home=tmp_path))
        assert (here.home, here.dags_folder) == (tmp_path / "tour", tmp_path)
        assert (here.source_url, here.warehouse_url) == (None, None)
        assert "AIRFLOW_CONN_SMTP_DEFAULT" not in environment


def test_a_home_that_the_tour_did_not_create_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "tour")
    home.postgres.mkdir(parents=True)
    with pytest.raises(PlatformError, match="was used for something else than the tour"):
        own_settings(Settings(home=tmp_path))
    home.prepare()
    home.remember(MARK, True)
    home.remember("source", "postgresql://u@h/d")
    with pytest.raises(PlatformError, match="was used for something else than the tour"):
        own_settings(Settings(home=tmp_path))


def test_the_source_of_a_running_tour_is_left_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "tour")
    home.prepare()
    lock = home.hold("run", {})
    assert lock is not None
    with lock, pytest.raises(PlatformError, match=f"already running: process {os.getpid()}"):
        restore_source(Settings(home=home.path))


def test_steps_can_be_chosen() -> None:
    assert numbers_of(None) == [1, 2, 3, 4]
    assert numbers_of(2) == [2]
    with pytest.raises(PlatformError, match=r"There is no step 5. Choose one from 1 to 4."):
        numbers_of(5)


def test_without_a_terminal_the_tour_does_not_wait_for_enter(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="Without pauses: adventureworks tour --yes"):
        tour(Settings(home=tmp_path), None, yes=False)
