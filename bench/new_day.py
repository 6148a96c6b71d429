"""Measures the time from a committed source change until all marts are fresh, and prints it as a waterfall.

Run: python bench/new_day.py CYCLES -- COMMAND

while `adventureworks run` is running with the same ADVENTUREWORKS_HOME. COMMAND commits one change in the source. Every
cycle prints when each table and mart was published and when each task ran, in seconds after the commit.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

import psycopg

from adventureworks.catalog import MARTS
from adventureworks.cli.reading import services
from adventureworks.marts.plan import decide_now
from adventureworks.settings import Settings, settings
from adventureworks.warehouse import open_warehouse

QUIET = 2.0
"""Seconds without anything due or running after which a cycle counts as finished."""
LIMIT = 300
"""Timeout of a cycle, in seconds."""
ACTIVE = "select count(*) from dag_run where state in ('queued', 'running')"
TASKS = """
select dag_id, task_id, map_index, state, queued_dttm, start_date, end_date from task_instance
where start_date >= to_timestamp(%s) and queued_dttm is not null and end_date is not null order by start_date
"""
PUBLISHED = """
select asset, version, extract(epoch from published_at)::float8 from ops.publication
where published_at >= to_timestamp(%s) order by 3
"""


@dataclass(frozen=True)
class Task:
    """A task of a cycle; times are in seconds after the commit."""

    name: str
    state: str
    queued: float
    started: float
    ended: float


@dataclass(frozen=True)
class Cycle:
    """The consequences of one change; times are in seconds after the commit."""

    published: tuple[tuple[str, int, float], ...]
    """Asset, version, time."""
    tasks: tuple[Task, ...]

    def moment_of(self, asset: str) -> float:
        """Return when the last new version of an asset was published, or NaN if there was none."""
        return max((at for name, _, at in self.published if name == asset), default=float("nan"))

    @property
    def last_mart(self) -> float:
        """The time at which the last mart was published."""
        return max((at for name, _, at in self.published if name in MARTS), default=float("nan"))

    def __str__(self) -> str:
        lines = [f"  {at:7.2f}  {asset} version {version}" for asset, version, at in self.published]
        for task in self.tasks:
            waited, took = task.started - task.queued, task.ended - task.started
            bar = " " * int(4 * task.started) + "." * int(4 * waited) + "#" * max(1, int(4 * took))
            lines.append(f"  {task.started:7.2f} {took:6.2f} s  {task.name:45} {task.state:8}|{bar}")
        return "\n".join(lines)


def measure(stated: Settings, metadata_url: str, change: Callable[[], object]) -> Cycle:
    """Change the source, wait until every mart is fresh, and return the times. Raises TimeoutError after `LIMIT`."""
    change()
    committed, quiet_since = time.time(), None
    with (
        psycopg.connect(metadata_url, autocommit=True) as airflow,
        open_warehouse(stated).connect("bench") as session,
    ):
        session.records.autocommit = True
        while quiet_since is None or time.time() - quiet_since < QUIET:
            time.sleep(0.25)
            if time.time() - committed > LIMIT:
                raise TimeoutError(f"not fresh after {LIMIT} s: {', '.join(decide_now(stated, session).behind)}")
            active = airflow.execute(ACTIVE).fetchone()
            ingested = session.records.execute(PUBLISHED, (committed,)).fetchone()
            is_quiet = ingested and active == (0,) and not decide_now(stated, session).behind
            quiet_since = (quiet_since or time.time()) if is_quiet else None
        published = session.records.execute(PUBLISHED, (committed,)).fetchall()
        tasks = [
            Task(
                f"{dag}.{task}{'' if index < 0 else f'[{index}]'}",
                str(state),
                *(moment.timestamp() - committed for moment in moments),
            )
            for dag, task, index, state, *moments in airflow.execute(TASKS, (committed,)).fetchall()
        ]
    return Cycle(tuple((asset, version, at - committed) for asset, version, at in published), tuple(tasks))


def main() -> None:
    """Print a waterfall of each cycle, then the medians."""
    cycles, command = int(sys.argv[1]), sys.argv[sys.argv.index("--") + 1 :]
    with services(settings()) as ends:
        stated = settings().model_copy(update={"warehouse_url": ends.warehouse_url})
        found = []
        for number in range(cycles):
            found.append(
                measure(stated, ends.metadata_url.get_secret_value(), partial(subprocess.run, command, check=True))
            )
            print(f"cycle {number + 1}: {len(found[-1].tasks)} tasks", found[-1], sep=os.linesep, flush=True)
    print(f"daily_sales: median {median(cycle.moment_of('daily_sales') for cycle in found):.1f} s")
    print(f"last mart: median {median(cycle.last_mart for cycle in found):.1f} s")


if __name__ == "__main__":
    main()
