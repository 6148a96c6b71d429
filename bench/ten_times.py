"""Compares the processor time of one new business day on once and on ten times the business, step by step.

Run: PYTHONPATH=. python bench/ten_times.py [SCALE [DAYS]]   (default 1 and 3)

Both sizes are generated: SCALE, where 1 is the size of the real company, and ten times SCALE. Each is loaded and
published in a server of its own by the steps of `pipeline.py`, without Airflow. Then a business day of 100 orders is
added DAYS times. Prints a table in Markdown (medians of the days), then the statements whose elapsed time grows most.
The table compares processor time, which depends less on other programs on the machine than elapsed time.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median

import psutil
import psycopg
from pydantic import SecretStr

from adventureworks import pipeline
from adventureworks.catalog import ANALYSES
from adventureworks.due import NothingToDo
from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres
from adventureworks.gate import detect, judge, load
from adventureworks.gate import publish as gate_publish
from adventureworks.marts import build, gate, publish
from adventureworks.marts.gate import MartRefused
from adventureworks.marts.plan import runnable
from adventureworks.settings import Settings
from adventureworks.source import embedded
from adventureworks.warehouse.postgres import reuse_connections
from adventureworks_sample import generate
from bench.platform_runs import add_day, table

TIMES = 10
SEED = 1
SHOWN = 12
"""Number of statements to print."""
STATISTICS = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.max": "20000"}
INGESTION = ("detect", "load", "judge", "publish tables", "conclude")


@dataclass(frozen=True)
class Cost:
    """Seconds of processor time."""

    own: float = 0.0
    """Of this process."""
    postgres: float = 0.0
    """Of all processes of the server."""

    @property
    def total(self) -> float:
        return self.own + self.postgres

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.own + other.own, self.postgres + other.postgres)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.own - other.own, self.postgres - other.postgres)


@dataclass(frozen=True)
class Measured:
    """What one size cost."""

    rows: int
    """Rows of the source before the first day."""
    days: list[dict[str, Cost]]
    """Step -> cost, for each day."""
    statements: dict[str, float]
    """Statement -> elapsed seconds per day."""

    def cost_of(self, *steps: str) -> Cost:
        """Return the median cost of steps together, each part by itself."""
        of_days = [sum((day[step] for step in steps if step in day), Cost()) for day in self.days]
        return Cost(median(cost.own for cost in of_days), median(cost.postgres for cost in of_days))

    @property
    def steps(self) -> set[str]:
        return {step for day in self.days for step in day}


class Platform:
    """A source, a warehouse, and the cost of each step between them."""

    def __init__(self, server: EmbeddedPostgres, home: Path) -> None:
        self._server = server
        self.source = server.url("source")
        self.settings = Settings(
            home=home, source_url=SecretStr(self.source), warehouse_url=SecretStr(server.url("warehouse"))
        )
        self._costs: dict[str, Cost] = defaultdict(Cost)
        self._numbers = count(1)

    def fill(self, scale: float) -> int:
        """Generate the source and publish everything; return the number of rows of the source."""
        url = SecretStr(self.source)
        embedded.prepare(url)
        rows = sum(embedded.load_tables(url, generate(scale, SEED)).values())
        pipeline.ingest(self.settings, self._run_of("ingest_source"))
        for dag, outcome in pipeline.analyse_until_settled(self.settings, self._run_of):
            if isinstance(outcome, MartRefused):
                raise RuntimeError(f"{dag} was refused: {outcome}")
        # Otherwise the server does this at some moment of the days.
        for database in ("source", "warehouse"):
            with self._superuser(database) as connection:
                connection.execute("vacuum (analyze)")
                connection.execute("checkpoint")
        with self._superuser("postgres") as connection:
            connection.execute("create extension pg_stat_statements")
        return rows

    def day(self) -> dict[str, Cost]:
        """Add a business day, publish it and all marts, and return the cost of each step."""
        add_day(self.source)
        self._costs.clear()
        with reuse_connections():
            self._ingest(self._run_of("ingest_source"))
            done = ["ingest_source"]
            while done:
                due = self._due()
                done = [dag for dag in ANALYSES if dag in due and self._analyse(dag, self._run_of(dag))]
        return dict(self._costs)

    def statements(self, reset: bool = False) -> dict[str, float]:
        """Return elapsed seconds by statement since the last reset."""
        with self._superuser("postgres") as connection:
            if reset:
                connection.execute("select pg_stat_statements_reset()")
            found = connection.execute(
                "select query, sum(total_exec_time + total_plan_time) / 1000 from pg_stat_statements group by 1"
            )
            return {" ".join(query.split()): float(seconds) for query, seconds in found}

    def _ingest(self, run_id: str) -> None:
        with self._step("detect"):
            groups = detect.detect(self.settings, run_id)
        for group in groups:
            with self._step("load"):
                load.load(self.settings, run_id, group)
        with self._step("judge"):
            judge.judge(self.settings, run_id)
        with self._step("publish tables"):
            published = {version.asset for version in gate_publish.publish(self.settings, run_id)}
        with self._step("conclude"):
            gate_publish.conclude(self.settings, run_id)
        if "Sales_SalesOrderHeader" not in published:
            raise RuntimeError("the new orders were not published")

    def _due(self) -> frozenset[str]:
        with self._step("plan"):
            return runnable(self.settings)

    def _analyse(self, dag: str, run_id: str) -> bool:
        """Build, gate and publish an analysis; return whether something was computed."""
        with self._step(f"{dag}: build"):
            built = build.build(self.settings, dag, run_id, None)
        if isinstance(built, NothingToDo):
            return False
        with self._step(f"{dag}: gate"):
            gate.gate(self.settings, dag, run_id, None)
        with self._step(f"{dag}: publish"):
            publish.publish(self.settings, dag, run_id, None)
        return True

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        before = self._spent()
        yield
        self._costs[name] += self._spent() - before

    def _spent(self) -> Cost:
        own = resource.getrusage(resource.RUSAGE_SELF)
        pid = self._server.pid()
        assert pid is not None
        server, postgres = psutil.Process(pid), 0.0
        for process in (server, *server.children()):
            try:
                # The time of processes that ended is included in that of their parent.
                postgres += sum(process.cpu_times()[:4])
            except psutil.NoSuchProcess:
                continue
        return Cost(own.ru_utime + own.ru_stime, postgres)

    def _run_of(self, dag: str) -> str:
        return f"{dag}/{next(self._numbers)}"

    def _superuser(self, database: str) -> psycopg.Connection:
        return psycopg.connect(self._server.url(database, SUPERUSER), autocommit=True)


def measure(scale: float, days: int) -> Measured:
    """Return what a day costs at a scale."""
    with tempfile.TemporaryDirectory(prefix="adventureworks-bench-") as folder:
        # Started by root, the server runs as another user.
        Path(folder).chmod(0o755)
        home = Path(folder, "home")
        with EmbeddedPostgres(home, options=STATISTICS) as server:
            platform, began = Platform(server, home), time.monotonic()
            rows = platform.fill(scale)
            print(f"Scale {scale:g}: {rows:,} rows published in {time.monotonic() - began:.0f} s", flush=True)
            platform.statements(reset=True)
            costs = [platform.day() for _ in range(days)]
            return Measured(rows, costs, {query: spent / days for query, spent in platform.statements().items()})


def report(once: Measured, more: Measured) -> str:
    """Return the table of the steps, with totals, as Markdown."""
    analyses = [step for dag in ANALYSES for step in _steps_of(dag) if step in once.steps | more.steps]
    rows: dict[str, tuple[str, ...]] = {
        "**all**": (*INGESTION, "plan", *analyses),
        "**ingestion**": INGESTION,
        "**builds**": tuple(step for step in analyses if step.endswith(": build")),
        "**gates**": tuple(step for step in analyses if step.endswith(": gate")),
        "**publications of marts**": tuple(step for step in analyses if step.endswith(": publish")),
        **{step: (step,) for step in (*INGESTION, "plan", *analyses)},
    }

    def cells(small: Cost, large: Cost) -> list[str]:
        ratio = f"{large.total / small.total:.1f}" if small.total else ""
        return [*(f"{part:.2f}" for cost in (small, large) for part in (cost.own, cost.postgres)), ratio]

    headings = ["own, once", "PostgreSQL, once", f"own, {TIMES} times", f"PostgreSQL, {TIMES} times", "ratio"]
    return table(headings, {name: cells(once.cost_of(*steps), more.cost_of(*steps)) for name, steps in rows.items()})


def growing(once: Mapping[str, float], more: Mapping[str, float]) -> str:
    """Return the statements whose time grows most, with the seconds at both sizes."""
    growth = {query: seconds - once.get(query, 0.0) for query, seconds in more.items()}
    most = sorted(growth, key=lambda query: growth[query], reverse=True)[:SHOWN]
    return "\n".join(f"{once.get(query, 0.0):6.2f} s -> {more[query]:6.2f} s  {query[:400]}" for query in most)


def _steps_of(dag: str) -> tuple[str, ...]:
    return (f"{dag}: build", f"{dag}: gate", f"{dag}: publish")


def main() -> None:
    """Measure both sizes, then print the comparison."""
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    days = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    once, more = (measure(scale * times, days) for times in (1, TIMES))
    print(f"\nSeconds of processor time per day, {once.rows:,} and {more.rows:,} rows, medians of {days} days\n")
    print(report(once, more), growing(once.statements, more.statements), sep="\n\n")


if __name__ == "__main__":
    main()
