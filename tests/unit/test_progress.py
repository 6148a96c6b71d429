"""What the screen shows while the platform starts and works."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from itertools import count
from typing import cast

import pytest
from rich.console import Console

from adventureworks.airflow_tables import Run, Step
from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.cli import progress
from adventureworks.cli.progress import Progress, Screen, Standing, loaded, seconds_left, shown_time
from adventureworks.cli.status import NO_INCIDENTS, incident_line, print_summary
from adventureworks.incidents import events
from adventureworks.incidents.ledger import Incident

TABLES = len(SOURCE_TABLES)


def incident(incident_id: str, rule: str = "file_is_there") -> Incident:
    return Incident(
        incident_id=incident_id,
        asset="Production_Product",
        rule=rule,
        owner="production",
        severity="error",
        status="open",
        event=events.blocked("there is no file.", has_version=False),
        failed=None,
        total=None,
        examples=(),
        run_id="ingest_source/1",
        first_seen=datetime(2026, 11, 23, 0, 15, tzinfo=UTC),
        last_seen=datetime(2026, 11, 23, 0, 15, tzinfo=UTC),
        resolved_at=None,
        seen_count=1,
        notified={},
    )


def test_without_a_terminal_stages_and_now_and_then_the_current_work_are_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = count(0, 5)
    with Progress(lambda: next(clock)) as shown:
        shown.show("Starting PostgreSQL")
        shown.done("PostgreSQL")
        shown.note("UI:    http://127.0.0.1:8080")
        for marts in (1, 2, 3, 4, 4, 4, 4):
            shown.show(f"marts {marts}/20", detail=f"task {marts}")
    assert capsys.readouterr().out.splitlines() == [
        "  10 s  PostgreSQL ✔ 10 s",
        "UI:    http://127.0.0.1:8080",
        "  15 s  marts 1/20",
        "  30 s  marts 4/20",
    ]


def test_a_terminal_shows_time_so_far_and_left_and_the_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=200, _environ={})
    monkeypatch.setattr(progress, "console", lambda: terminal)
    monkeypatch.delenv("CI", raising=False)
    clock = iter([0.0, 31.0, 75.0])
    with Progress(lambda: next(clock)) as shown:
        shown.done("Airflow")
        shown.show("marts 6/20", "build", left=49.6)
    assert isinstance(terminal.file, io.StringIO)
    assert "1 min 15 s · about 50 s left · Airflow ✔ 31 s · marts 6/20 · build" in terminal.file.getvalue()


def test_a_status_line_that_comes_back_leaves_what_was_printed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=20, _environ={})
    monkeypatch.setattr(progress, "console", lambda: terminal)
    monkeypatch.delenv("CI", raising=False)
    with Progress() as shown:
        shown.show("a status that needs several lines of this terminal")
        shown.clear()
        shown.note("Finished.")
        shown.show("Stopping")
    assert isinstance(terminal.file, io.StringIO)
    [_, after] = terminal.file.getvalue().split("Finished.")
    cursor_up = "\x1b[1A"
    assert cursor_up not in after[: after.index("Stopping")]


def test_time_left_follows_from_the_pace_so_far() -> None:
    assert seconds_left(30, 0.05, 0.05) is None, "too early to tell"
    assert seconds_left(30, 0.25, 0.25) == 90
    assert seconds_left(30, 0.25, 0.5) == 60, "what was done before is not part of the pace"
    assert seconds_left(30, 0.5, 1) is None


class Shown:
    """A progress display that keeps what it is given."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.left: list[float | None] = []

    def show(self, text: str, detail: str = "", left: float | None = None) -> None:
        self.left.append(left)

    def note(self, text: str, style: str | None = None) -> None:
        self.notes.append(text)


def screen(shown: Shown) -> Screen:
    """Return a screen on which ten seconds pass between two displays."""
    clock = count(0, 10)
    return Screen(cast(Progress, shown), "http://ui", lambda: next(clock))


def test_a_first_load_shows_the_time_left() -> None:
    shown = Shown()
    on_screen = screen(shown)
    for published in (Standing(), Standing(TABLES), Standing(TABLES, len(MARTS))):
        on_screen.show((published, []), 0, "load")
    assert [left is None for left in shown.left] == [True, False, False]


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (Standing(TABLES, 3), Standing(TABLES, len(MARTS))),
        (Standing(), Standing(TABLES, 9, blocked=1)),
        (Standing(), Standing(TABLES, 9, not_offered=1)),
    ],
)
def test_no_time_left_is_shown_if_the_work_is_not_a_whole_first_load(first: Standing, later: Standing) -> None:
    shown = Shown()
    on_screen = screen(shown)
    for published in (first, later):
        on_screen.show((published, []), 0, "build")
    assert shown.left == [None, None]


def test_incidents_are_printed_once_and_those_open_at_the_start_only_at_the_end() -> None:
    shown = Shown()
    on_screen = screen(shown)
    old, new = incident("old"), incident("new")
    for found in (None, (Standing(), [old]), (Standing(1), [old, new]), None, (Standing(2), [old, new])):
        on_screen.show(found, 0, "load")
    assert shown.notes == [incident_line(new)]
    assert on_screen.printed == {"new"}


def test_the_summary_leaves_out_incidents_that_were_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary([], [incident("old", "keeps_most_of_its_rows"), incident("new")], printed={"new"})
    lines = capsys.readouterr().out
    assert "keeps_most_of_its_rows" in lines
    assert "file_is_there" not in lines
    assert NO_INCIDENTS not in lines


def test_the_share_grows_with_what_is_read_and_published() -> None:
    steps = (Step("detect", 1, 1, running=False), Step("load", TABLES // 2, TABLES, running=True))
    reading = loaded([Run("ingest_source", "r", steps), Run("daily_sales_etl", "r", (Step("load", 9, 9, False),))])
    assert reading == TABLES // 2
    everything = Standing(TABLES, len(MARTS), reports=38, months=38)
    shares = [
        Standing().share(0),
        Standing().share(reading),
        Standing(TABLES).share(0),
        Standing(TABLES, 6).share(0),
        Standing(TABLES, 6, reports=3, months=38).share(0),
        everything.share(TABLES),
    ]
    assert shares == sorted(set(shares))
    assert (shares[0], shares[-1]) == (0, pytest.approx(1))


def test_what_is_published_is_counted_in_words() -> None:
    assert str(Standing()) == f"tables 0/{TABLES} · marts 0/{len(MARTS)} · 0 blocked"
    assert (
        str(Standing(TABLES, 6, 2, 38, 1))
        == f"tables {TABLES}/{TABLES} · marts 6/{len(MARTS)} · reports 2/38 · 1 blocked"
    )


@pytest.mark.parametrize(("seconds", "text"), [(4.4, "4 s"), (59.7, "1 min 00 s"), (125, "2 min 05 s")])
def test_durations_are_short(seconds: float, text: str) -> None:
    assert shown_time(seconds) == text
