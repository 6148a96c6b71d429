"""How `adventureworks run` waits for the work to end, with fakes for the databases and the clock."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import psycopg
import pytest

from adventureworks.airflow_tables import Run, Step
from adventureworks.cli import run
from adventureworks.cli.progress import Progress, Standing
from adventureworks.cli.run import STALLED_AFTER_SECONDS
from adventureworks.embedded.airflow_api import Metadata
from adventureworks.embedded.home import Home
from adventureworks.embedded.platform import Platform
from adventureworks.errors import PlatformError, ServiceUnavailable

REFRESH = Run("daily_sales_etl", "1", (Step("refresh", 0, 1, running=True),))


class Fake:
    """A platform whose clock advances only by sleeping, and its Airflow. `runs`: those that are active at each look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, runs: list[list[Run]], airflow_up: bool = True) -> None:
        self.now = 0.0
        self._runs, self._airflow_up = iter(runs), airflow_up
        self.url = "http://127.0.0.1:8080"
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self._sleep)
        monkeypatch.setattr(run, "time", clock)
        monkeypatch.setattr(run.airflow_tables, "active_runs", lambda *_: next(self._runs, runs[-1]))
        monkeypatch.setattr(run.airflow_tables, "pending_events", lambda *_: 0)
        monkeypatch.setattr(run, "_next_starts", lambda *_: [])

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def tick(self) -> None:
        pass

    @contextmanager
    def connect(self) -> Iterator[Any]:
        if not self._airflow_up:
            raise ServiceUnavailable("PostgreSQL does not answer.")
        yield None

    def wait(self) -> None:
        metadata = cast(Metadata, self)
        run._wait_until_quiet(cast(Platform, self), metadata, run.Quiet(metadata), Progress(), timedelta())


def refuse(*_: object) -> Any:
    raise psycopg.OperationalError("connection refused")


def test_the_tasks_are_shown_while_the_warehouse_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    fake = Fake(monkeypatch, [[REFRESH], []])
    monkeypatch.setattr(run, "_reading", refuse)
    # Only a terminal shows details.
    monkeypatch.setattr(Progress, "show", lambda _self, text, detail="", left=None: shown.append(text))
    fake.wait()
    assert shown[0] == "daily_sales_etl: refresh …"


@pytest.mark.parametrize("airflow_up", [True, False])
def test_work_that_does_not_progress_is_given_up_although_a_database_is_down(
    monkeypatch: pytest.MonkeyPatch, airflow_up: bool
) -> None:
    fake = Fake(monkeypatch, [[REFRESH]], airflow_up)
    monkeypatch.setattr(run, "_reading", refuse)
    with pytest.raises(PlatformError, match="There was no progress for 30 minutes"):
        fake.wait()
    assert fake.now > STALLED_AFTER_SECONDS


@pytest.mark.parametrize(("retries_within", "early"), [(timedelta(), False), (run.RETRIES_WITHIN, True)])
def test_the_watch_starts_last_unless_the_platform_stops_when_the_work_is_done(
    monkeypatch: pytest.MonkeyPatch, retries_within: timedelta, early: bool
) -> None:
    for name in ("_wait_for_dags", "_start_ingestion", "_wait_until_quiet", "_outcome", "login_line"):
        monkeypatch.setattr(run, name, lambda *_: None)
    platform, seen = MagicMock(), list[bool]()

    def has_watch() -> bool:
        chosen = [call.kwargs.get("only") for call in platform.start_airflow.call_args_list]
        return any(only is None or "watch" in only for only in chosen)

    monkeypatch.setattr(run, "_wait_until_up", lambda *_, **__: seen.append(has_watch()))
    run.bring_up_to_date(platform, "folder", None, Progress(), retries_within)
    assert seen == [False, early]
    assert has_watch()


def test_records_of_an_older_version_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, [[REFRESH], []])
    records = SimpleNamespace(has_table=lambda *_: True, execute=lambda *_: SimpleNamespace(fetchone=lambda: ("0001",)))

    @contextmanager
    def reading(_: object) -> Iterator[Any]:
        yield SimpleNamespace(records=records)

    def standing(_: object) -> Standing:
        pytest.fail("the records were read")

    monkeypatch.setattr(run, "_reading", reading)
    monkeypatch.setattr(run, "standing", standing)
    fake.wait()


@pytest.mark.parametrize("is_found", [True, False])
def test_the_environment_is_named_where_the_shell_does_not_find_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, is_found: bool
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if is_found:
        (tmp_path / "adventureworks").touch(mode=0o755)
    platform = cast(Platform, SimpleNamespace(home=Home(tmp_path)))
    run._print_outcome(platform, run.Outcome([], [], []), 1.0, stays_up=False)
    assert (f"First: . {sys.prefix}/bin/activate" in capsys.readouterr().out) is not is_found
