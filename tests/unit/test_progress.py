"""What the screen shows while the platform starts and works."""

from __future__ import annotations

import io
from itertools import count

import pytest
from rich.console import Console

from adventureworks.airflow_tables import Run, Step
from adventureworks.catalog import MARTS, SOURCE_TABLES
from adventureworks.cli import progress
from adventureworks.cli.progress import Progress, Standing, loaded, seconds_left, shown_time

TABLES = len(SOURCE_TABLES)


def test_without_a_terminal_each_change_is_a_line_with_the_time_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    clock = count(0, 4)
    with Progress(lambda: next(clock)) as shown:
        shown.show("Starting PostgreSQL")
        shown.show("Starting PostgreSQL")
        shown.done("PostgreSQL")
        shown.note("UI:    http://127.0.0.1:8080")
    assert capsys.readouterr().out.splitlines() == [
        "   4 s  Starting PostgreSQL",
        "   8 s  PostgreSQL ✔ 8 s",
        "UI:    http://127.0.0.1:8080",
    ]


def test_a_terminal_shows_time_so_far_and_left_and_the_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=200, _environ={})
    monkeypatch.setattr(progress, "console", lambda: terminal)
    monkeypatch.delenv("CI", raising=False)
    clock = iter([0.0, 31.0, 75.0])
    with Progress(lambda: next(clock)) as shown:
        shown.done("Airflow")
        shown.show("marts 6/20", left=49.6)
    assert isinstance(terminal.file, io.StringIO)
    assert "1 min 15 s · about 50 s left · Airflow ✔ 31 s · marts 6/20" in terminal.file.getvalue()


def test_time_left_follows_from_the_share_that_is_done() -> None:
    assert seconds_left(30, 0.05) is None, "too early to tell"
    assert seconds_left(30, 0.25) == 90
    assert seconds_left(30, 1) is None


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
