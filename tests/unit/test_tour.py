"""The tour without a platform: what its steps wait for, what they say, and what they refuse."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from adventureworks import cli
from adventureworks.airflow_tables import FailedTask
from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.cli import tour as of_tour
from adventureworks.cli.progress import Progress
from adventureworks.cli.run import Outcome
from adventureworks.cli.tour import (
    LIMIT_SECONDS,
    MARK,
    TourContext,
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
    command_for,
    with_quantity,
)
from adventureworks.embedded.home import Home
from adventureworks.errors import PlatformError, ServiceUnavailable
from adventureworks.errors import Step as NextStep
from adventureworks.settings import Settings
from tests import command_line
from tests.states import state

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
def test_a_part_ends_once_the_platform_has_reacted_and_is_idle(part: Part, before: Snapshot, after: Snapshot) -> None:
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
        self.context = TourContext(
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
    # While a database restarts, there is nothing to look at, before the act and after it.
    down = ServiceUnavailable("PostgreSQL does not answer."), psycopg.OperationalError("connection refused")
    fake = Fake(tmp_path / "tour", *down, SETTLED, SETTLED, *down, BLOCKED)
    play(3, Step("A table is blocked", (part,)), fake.context)
    assert (acted, fake.pauses) == ([fake.context.settings], 1)
    assert [line for line in capsys.readouterr().out.splitlines() if line] == [
        f"Step 3 of {len(STEPS)}: A table is blocked",
        "Delete rates.",
        "It is blocked. This took 3 seconds.",
        "  The figures: http://127.0.0.1:8080/dashboard/overview",
        f"  Why: ADVENTUREWORKS_HOME={tmp_path} adventureworks tour status {RATES}",
    ]


def test_every_command_of_the_tour_runs_on_its_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def act(_: Settings) -> None:
        print("See: adventureworks status")

    for part in PARTS:
        assert "adventureworks" not in part.what
        shown = replace(part, act=act, is_reached=lambda *_: True, seen=lambda *_: "Seen.")
        play(1, Step("A step", (shown,)), Fake(tmp_path / "tour").context)
    commands = [line for line in capsys.readouterr().out.splitlines() if "adventureworks" in line]
    assert len(commands) >= len(PARTS)
    assert all(f"ADVENTUREWORKS_HOME={tmp_path} adventureworks tour " in line for line in commands)


def test_the_default_home_needs_no_variable() -> None:
    default = Settings.model_fields["home"].default
    assert command_for(default / "tour", "status") == "adventureworks tour status"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (psycopg.OperationalError("connection refused\nIs it up?"), "The database answered: connection refused. See"),
        (
            PlatformError("It is empty.", NextStep("Fill it first:", "adventureworks source generate")),
            "This failed: Delete rates. It is empty. Fill it first: adventureworks source generate",
        ),
        (PlatformError("No order is left.", "Delete the folder."), "No order is left. Delete the folder."),
    ],
)
def test_a_failed_act_ends_the_tour_with_the_next_step(tmp_path: Path, error: Exception, message: str) -> None:
    def act(_: Settings) -> None:
        raise error

    part = Part("Delete rates.", act, "it is blocked", PARTS[4].is_reached, lambda *_: "", ())
    with pytest.raises(PlatformError, match=message):
        play(3, Step("A table is blocked", (part,)), Fake(tmp_path / "tour").context)


def test_an_expectation_that_is_not_met_in_time_ends_the_tour(tmp_path: Path) -> None:
    fake = Fake(tmp_path / "tour")
    with pytest.raises(PlatformError) as raised:
        wait_for(fake.context, "the row is set aside", lambda _: False)
    assert fake.now > LIMIT_SECONDS
    assert str(raised.value) == (
        "After 10 minutes, this has not happened yet: the row is set aside. Airflow: no run is active."
        f" See what is wrong: ADVENTUREWORKS_HOME={tmp_path} adventureworks tour status"
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
    collectors = {"OPENLINEAGE_URL", "OPENLINEAGE__TRANSPORT__TYPE", "OTEL_EXPORTER_OTLP_ENDPOINT"}
    environment |= dict.fromkeys({"AIRFLOW_CONN_SMTP_DEFAULT", *collectors}, "http://production")
    environment["ADVENTUREWORKS_DAGS_FOLDER"] = str(tmp_path)
    for _ in range(2):
        here = own_settings(Settings(home=tmp_path))
        assert (here.home, here.dags_folder) == (tmp_path / "tour", tmp_path)
        assert (here.source_url, here.warehouse_url) == (None, None)
        assert not environment.keys() & {"AIRFLOW_CONN_SMTP_DEFAULT", *collectors}
        step = str(NextStep("See:", "adventureworks status"))
        assert step == f"See: ADVENTUREWORKS_HOME={tmp_path} adventureworks tour status"


def test_a_home_that_the_tour_did_not_create_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "tour")
    home.postgres.mkdir(parents=True)
    with pytest.raises(PlatformError, match="was used for something other than the tour"):
        own_settings(Settings(home=tmp_path))
    home.prepare()
    home.remember(MARK, True)
    home.remember("source", "postgresql://u@h/d")
    with pytest.raises(PlatformError, match="was used for something other than the tour"):
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


def test_commands_on_the_tours_data_ignore_the_settings_of_the_user(tmp_path: Path) -> None:
    variables = {
        **os.environ,
        "ADVENTUREWORKS_HOME": str(tmp_path),
        "ADVENTUREWORKS_WAREHOUSE_URL": "postgresql://u@127.0.0.1:1/warehouse",
        "ADVENTUREWORKS_SOURCE_URL": "postgresql://u@127.0.0.1:1/source",
    }
    before = command_line.run("tour", "status", environment=variables)
    assert (before.returncode, before.stdout) == (1, "")
    start = f"Start it: ADVENTUREWORKS_HOME={tmp_path} adventureworks tour\n"
    assert before.stderr == f"There is no tour in {tmp_path / 'tour'} yet. {start}"
    home = Home(tmp_path / "tour")
    home.prepare()
    home.remember(MARK, True)
    after = command_line.run("tour", "status", environment=variables)
    # The warehouse of the user does not answer; the tour's home has none yet. The next step concerns the tour as well.
    expected = f"Nothing is published yet. Start: ADVENTUREWORKS_HOME={tmp_path} adventureworks tour run\n"
    assert (after.returncode, after.stdout, after.stderr) == (0, expected, "")


def test_options_of_a_command_are_not_those_of_the_tour(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run_command(_: Settings, command: list[str]) -> None:
        ran.append(command)
        raise SystemExit

    monkeypatch.setattr(of_tour, "run_command", run_command)
    CliRunner().invoke(cli.app, ["tour", "forget", "291", "--yes"])
    assert ran == [["forget", "291", "--yes"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--step", "2", "status"], "Give a command's own options after it: adventureworks tour status --all"),
        (["--yes", "run"], "--step and --yes are options of the tour"),
        (["tour"], "A tour cannot be started on the data of the tour"),
    ],
)
def test_what_a_command_on_the_tours_data_would_ignore_is_refused(arguments: list[str], message: str) -> None:
    refused = CliRunner().invoke(cli.app, ["tour", *arguments]).exception
    assert isinstance(refused, PlatformError)
    assert message in str(refused)


class FakePlatform:
    """A platform that does nothing."""

    started: FakePlatform

    def __init__(self, settings: Settings, _: Callable[[str], None]) -> None:
        self.settings, self.url, self.endpoints = settings, "http://127.0.0.1:8080", None
        self.stopped = False
        FakePlatform.started = self

    def tick(self) -> None:
        pass

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def fake_tour(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Callable[[Outcome], None]:
    """A function that lets the tour find an outcome of its first run, on a platform that is settled."""
    monkeypatch.setattr(of_tour, "Platform", FakePlatform)
    monkeypatch.setattr(of_tour, "look", lambda *_: SETTLED)

    def found(outcome: Outcome) -> None:
        monkeypatch.setattr(of_tour, "bring_up_to_date", lambda *_: outcome)

    found(Outcome(list(SETTLED.states.values()), [], []))
    return found


def steps_that(act: Callable[[Settings], None]) -> tuple[Step, ...]:
    return (Step("A step", (Part("Do it.", act, "it is done", lambda *_: True, lambda *_: "Done.", ()),)),)


REPAIRS = "If the source was left broken, the next tour repairs it: ADVENTUREWORKS_HOME={} adventureworks tour"


def test_the_tour_plays_its_steps_and_stops_the_platform(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fake_tour: Callable[[Outcome], None],
) -> None:
    acted: list[Path] = []
    monkeypatch.setattr(of_tour, "STEPS", steps_that(lambda settings: acted.append(settings.home)))
    tour(Settings(home=tmp_path), None, yes=True)
    assert acted == [tmp_path / "tour"]
    assert FakePlatform.started.stopped
    lines = capsys.readouterr().out
    assert f"To continue with its data: ADVENTUREWORKS_HOME={tmp_path} adventureworks tour run." in lines
    assert REPAIRS.format(tmp_path) not in lines


@pytest.mark.parametrize("error", [SystemExit(128 + signal.SIGINT), PlatformError("The row was not found.")])
def test_a_tour_that_ends_within_a_step_says_who_repairs_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fake_tour: Callable[[Outcome], None],
    error: BaseException,
) -> None:
    def act(_: Settings) -> None:
        raise error

    monkeypatch.setattr(of_tour, "STEPS", steps_that(act))
    with pytest.raises(type(error)):
        tour(Settings(home=tmp_path), None, yes=True)
    assert FakePlatform.started.stopped
    assert REPAIRS.format(tmp_path) in capsys.readouterr().out


def test_a_tour_that_is_interrupted_before_its_steps_has_broken_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fake_tour: Callable[[Outcome], None],
) -> None:
    def interrupt(*_: object) -> Outcome:
        raise SystemExit(128 + signal.SIGINT)

    monkeypatch.setattr(of_tour, "bring_up_to_date", interrupt)
    with pytest.raises(SystemExit):
        tour(Settings(home=tmp_path), None, yes=True)
    assert FakePlatform.started.stopped
    assert REPAIRS.format(tmp_path) not in capsys.readouterr().out


def test_what_failed_before_the_steps_is_named_at_once(tmp_path: Path, fake_tour: Callable[[Outcome], None]) -> None:
    states = [*changed("daily_sales", fresh=False).states.values()]
    fake_tour(Outcome(states, [], [FailedTask("daily_sales_etl", "run", "gate", -1, 1)]))
    expected = (
        r"failed: gate of daily_sales_etl\. These marts are not fresh: daily_sales\. See .* adventureworks tour status"
    )
    with pytest.raises(PlatformError, match=expected):
        tour(Settings(home=tmp_path), None, yes=True)
    assert FakePlatform.started.stopped


def test_the_services_are_kept_alive_until_enter_is_pressed_at_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard, screen = os.openpty()
    ticks: list[int] = []

    def tick() -> None:
        if not ticks:
            os.write(keyboard, b"now\n")
        ticks.append(1)

    real_select = select.select
    with open(keyboard, "wb", closefd=True), open(screen) as terminal:
        os.write(keyboard, b"too early\n")
        real_select([terminal], [], [])
        monkeypatch.setattr(select, "select", lambda read, write, failed, _: real_select(read, write, failed, 0))
        monkeypatch.setattr(sys, "stdin", terminal)
        of_tour._wait_for_enter(tick)
    assert ticks, "the line that was typed before the prompt is ignored"
