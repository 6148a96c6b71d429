"""What the screen shows while something starts or works: stages, time so far and left, what is ready."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.markup import escape

from adventureworks.airflow_tables import Run
from adventureworks.catalog import INGESTION, MARTS, SOURCE_TABLES
from adventureworks.cli.output import console
from adventureworks.warehouse import publication
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.state import blocked_since

TABLES_SHARE, MARTS_SHARE, REPORTS_SHARE = 0.4, 0.4, 0.2
"""Shares of the time of a first run, without the start of the services; measured on the sample data."""
LEAST_SHARE = 0.1
"""Before this share of the work is done, the time left is not estimated."""


class Progress:
    """A status line that begins with the time so far: updated in place on a terminal, plain lines elsewhere."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console()
        self._live = self._console.is_terminal and "CI" not in os.environ
        self._status = self._console.status("") if self._live else None
        self._clock = clock
        self._begin = self._stage_begin = clock()
        self._stages: list[str] = []
        self._shown = ""
        self._visible = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def restart(self) -> None:
        """Count the time from now on, and forget the stages that have ended."""
        self._begin = self._stage_begin = self._clock()
        self._stages = []

    def show(self, text: str, left: float | None = None) -> None:
        """Show what is happening now, and about how many seconds are left."""
        if self._status is not None:
            remaining = "" if left is None else f"about {shown_time(left)} left"
            parts = (shown_time(self._clock() - self._begin), remaining, *self._stages, text)
            self._status.update(escape(" · ".join(filter(None, parts))))
            if not self._visible:
                self._visible = True
                self._status.start()
        elif text != self._shown:
            print(f"{self._clock() - self._begin:4.0f} s  {text}", flush=True)
        self._shown = text

    def done(self, stage: str) -> None:
        """End a stage: keep it in the status line, with the time since the last one ended."""
        now = self._clock()
        self._stages.append(f"{stage} ✔ {shown_time(now - self._stage_begin)}")
        self._stage_begin = now
        if self._status is None:
            print(f"{now - self._begin:4.0f} s  {self._stages[-1]}", flush=True)

    def note(self, text: str, style: str | None = None) -> None:
        """Print a line that stays on the screen."""
        self._console.print(text, markup=False, style=style)

    def clear(self) -> None:
        """Remove the status line."""
        if self._status is not None and self._visible:
            self._status.stop()
            self._visible = False
        self._shown = ""


@dataclass(frozen=True)
class Standing:
    """How much is published."""

    tables: int = 0
    marts: int = 0
    reports: int = 0
    months: int = 0
    """The number of months that get a report; 0 if it is not known yet."""
    blocked: int = 0

    def share(self, loaded: int) -> float:
        """Return the share of a first run's work that is done. `loaded`: tables that the ingestion has read so far."""
        tables = max(self.tables, loaded) / len(SOURCE_TABLES)
        reports = self.reports / self.months if self.months else 0.0
        return TABLES_SHARE * tables + MARTS_SHARE * self.marts / len(MARTS) + REPORTS_SHARE * min(reports, 1.0)

    def __str__(self) -> str:
        reports = f"reports {self.reports}/{self.months}" if self.months else ""
        tables, marts = f"tables {self.tables}/{len(SOURCE_TABLES)}", f"marts {self.marts}/{len(MARTS)}"
        return " · ".join(filter(None, (tables, marts, reports, f"{self.blocked} blocked")))


def standing(session: Session) -> Standing:
    """Return how much is published. The platform's tables must exist."""
    records = session.records
    versions = publication.newest_versions(records, [*SOURCE_TABLES, *MARTS])
    months = "select count(distinct month) from marts.monthly_profit"
    return Standing(
        tables=len(versions.keys() & SOURCE_TABLES.keys()),
        marts=len(versions.keys() & MARTS.keys()),
        reports=records.execute("select count(*) from ops.monthly_report where status <> 'withdrawn'").fetchall()[0][0],
        months=session.data.execute(months).fetchall()[0][0] if "monthly_profit" in versions else 0,
        blocked=len(blocked_since(records)),
    )


def loaded(runs: Sequence[Run]) -> int:
    """Return how many tables the running ingestion has read."""
    return sum(step.done for run in runs if run.dag == INGESTION for step in run.steps if step.task == "load")


def seconds_left(elapsed: float, share: float) -> float | None:
    """Return the time left if the rest goes on at the same pace; None if too little, or everything, is done."""
    return elapsed * (1 - share) / share if LEAST_SHARE <= share < 1 else None


def shown_time(seconds: float) -> str:
    """Return a duration: `45 s`, `2 min 05 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
