"""What the screen shows while something starts or works: stages, time so far and left, what is ready."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.status import Status

from adventureworks.airflow_tables import Run
from adventureworks.catalog import INGESTION, MARTS, SOURCE_TABLES
from adventureworks.cli.output import console
from adventureworks.cli.status import incident_line
from adventureworks.incidents.ledger import Incident
from adventureworks.warehouse import publication
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.state import blocked_since

TABLES_SHARE, MARTS_SHARE, REPORTS_SHARE = 0.15, 0.3, 0.55
"""Shares of the time of a first run, without the start of the services; measured once on the sample data of the tour,
so rough with other data."""
LEAST_SHARE = 0.1
"""Before this share of the work is done, the time left is not estimated."""
LINE_EVERY_SECONDS = 15.0
"""Minimum time between two lines about the current work where there is no terminal."""


class Progress:
    """A status line that begins with the time so far, updated in place on a terminal.

    Elsewhere, each stage that ends is a line, and the current work is one at most every `LINE_EVERY_SECONDS`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console()
        self._live = self._console.is_terminal and "CI" not in os.environ
        self._status: Status | None = None
        self._clock = clock
        self._begin = self._stage_begin = self._printed_at = clock()
        self._stages: list[str] = []
        self._printed = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def restart(self) -> None:
        """Count the time from now on, and forget the stages that have ended."""
        self._begin = self._stage_begin = self._printed_at = self._clock()
        self._stages = []

    def show(self, text: str, detail: str = "", left: float | None = None) -> None:
        """Show the current work. Only a terminal shows its details, and about how many seconds are left."""
        now = self._clock()
        if self._live:
            remaining = "" if left is None else f"about {shown_time(left)} left"
            parts = (shown_time(now - self._begin), remaining, *self._stages, text, detail)
            shown = escape(" · ".join(filter(None, parts)))
            if self._status is None:
                # Not the last one again: it would first remove as many lines as it had, which others are in now.
                self._status = self._console.status(shown)
                self._status.start()
            else:
                self._status.update(shown)
        elif text != self._printed and now - self._printed_at >= LINE_EVERY_SECONDS:
            self._printed, self._printed_at = text, now
            print(f"{now - self._begin:4.0f} s  {text}", flush=True)

    def done(self, stage: str) -> None:
        """End a stage: keep it in the status line, with the time since the last one ended."""
        now = self._clock()
        self._stages.append(f"{stage} ✔ {shown_time(now - self._stage_begin)}")
        self._stage_begin = now
        if not self._live:
            print(f"{now - self._begin:4.0f} s  {self._stages[-1]}", flush=True)

    def note(self, text: str, style: str | None = None) -> None:
        """Print a line that stays on the screen."""
        # A command in a wrapped line could not be copied whole.
        self._console.print(text, markup=False, style=style, soft_wrap=True)

    def clear(self) -> None:
        """Remove the status line."""
        if self._status is not None:
            self._status.stop()
            self._status = None


@dataclass(frozen=True)
class Standing:
    """How much is published."""

    tables: int = 0
    marts: int = 0
    reports: int = 0
    months: int = 0
    """The number of months that get a report; 0 if it is not known yet."""
    blocked: int = 0
    not_offered: int = 0
    """The number of tables that the source does not offer."""

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
        not_offered=len(publication.not_offered(records)),
    )


class Screen:
    """Shows the work, and prints at once what a user should know: problems, and that there are figures to look at."""

    def __init__(self, progress: Progress, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.printed = set[str]()
        """The ids of the incidents that were printed."""
        self._progress = progress
        self._url = url
        self._clock = clock
        self._begin = 0.0
        self._first: Standing | None = None
        self._first_share = 0.0
        self._published: Standing | None = None
        self._open_at_start = set[str]()
        self._has_figures = False

    def show(self, found: tuple[Standing, Sequence[Incident]] | None, loaded: int, tasks: str) -> None:
        """Show how much is published, about how long the rest takes, and what is running (`tasks`).

        `found`: how much is published, and the open incidents; None if it cannot be read now. `loaded`: tables that the
        ingestion has read so far.
        """
        if found is not None:
            self._published, incidents = found
            if self._first is None:
                self._first, self._first_share = self._published, self._published.share(loaded)
                self._begin = self._clock()
                self._open_at_start = {incident.incident_id for incident in incidents}
            self._print_news(self._published, incidents)
        if self._published is None:
            self._progress.show(tasks)
        else:
            self._progress.show(str(self._published), tasks, self._seconds_left(self._published, loaded))

    def _print_news(self, published: Standing, incidents: Sequence[Incident]) -> None:
        for incident in incidents:
            if incident.incident_id not in self.printed | self._open_at_start:
                self.printed.add(incident.incident_id)
                self._progress.note(incident_line(incident), "red" if incident.severity == "error" else "yellow")
        if published.marts and not self._has_figures:
            self._has_figures = True
            self._progress.note(f"Figures can be looked at as they are published: {self._url}/dashboard/overview")

    def _seconds_left(self, published: Standing, loaded: int) -> float | None:
        """Return the time left; None if this is not a first load, or cannot become complete."""
        is_first_load = self._first is not None and not (self._first.tables or self._first.marts)
        if not is_first_load or published.blocked or published.not_offered:
            return None
        share = published.share(loaded)
        return seconds_left(self._clock() - self._begin, share - self._first_share, share)


def loaded(runs: Sequence[Run]) -> int:
    """Return how many tables the running ingestion has read."""
    return sum(step.done for run in runs if run.dag == INGESTION for step in run.steps if step.task == "load")


def seconds_left(elapsed: float, gained: float, share: float) -> float | None:
    """Return the time left if the rest continues at the same pace; None if too little, or everything, is done.

    `gained`: how much of `share` was done in the time `elapsed`.
    """
    return elapsed * (1 - share) / gained if gained >= LEAST_SHARE and share < 1 else None


def shown_time(seconds: float) -> str:
    """Return a duration: `45 s`, `2 min 05 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
