"""Compares the platform with common alternatives on the same database and writes docs/performance.md.

Run: python bench/against_peers.py PEERS [CYCLES]

PEERS contains the alternatives (peers) and their environment. `PEERS/run.sh full` loads and builds everything from
scratch, once each with dlt and dbt, with pandas and with plain SQL. `PEERS/run.sh day` adds a business day to the
database `source` of their server and updates their results. Both write `PEER_WORK/results.tsv`: step, seconds, and more
figures.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median

import psutil
import psycopg
from psycopg import sql

from adventureworks.embedded.home import Home
from adventureworks.embedded.postgres import EmbeddedPostgres
from bench.growth import SCALE, Growth, measure_growth
from bench.new_day import Cycle
from bench.pages import page_times
from bench.platform_runs import POLLED_S, first_run, measured_days, running, table
from bench.waterfall import picture

HOST, PORT, LOGIN = "127.0.0.1", os.environ.get("PEER_PORT", "55611"), "peer"
SCHEMAS = ("HumanResources", "Person", "Production", "Purchasing", "Sales")
PEERS = {
    "dlt + dbt, tests included": ("peer.dlt", "peer.dbt_build"),
    "pandas, no checks": ("pandas",),
    "bare SQL, no checks": ("limit.load_and_marts", "limit.refresh"),
}
"""Peer -> the steps whose times are added up."""
RESULT = Path(__file__).parents[1] / "docs" / "performance.md"
PICTURE = RESULT.parent / "images" / "new-day.svg"
SETTLED_S, IDLE_S = 15.0, 60.0
"""Seconds to wait after the last day until the platform is idle, and seconds for which it is then measured."""


def url_of(database: str) -> str:
    """Return the URL of a database on the peers' server."""
    return f"postgresql://{LOGIN}:{LOGIN}@{HOST}:{PORT}/{database}"


def measure_peers(peers: Path, work: Path, what: str) -> dict[str, float]:
    """Run the peers and return the seconds that each of them took."""
    environment = {**os.environ, "PEER_WORK": str(work), "PEER_CYCLES": "1"}
    subprocess.run(["bash", str(peers / "run.sh"), what], env=environment, check=True, stdout=subprocess.DEVNULL)
    seconds_of: dict[str, float] = defaultdict(float)
    for line in (work / "results.tsv").read_text().splitlines():
        step, seconds, *_ = line.split("\t")
        seconds_of[step] += float(seconds)
    return {peer: sum(seconds_of.get(step, 0.0) for step in steps) for peer, steps in PEERS.items()}


def copy_source() -> None:
    """Create the database `ours` from the peers' `source`, with the original schema names."""
    with psycopg.connect(url_of("postgres"), autocommit=True) as connection:
        connection.execute("drop database if exists ours")
        connection.execute("create database ours template source")
    with psycopg.connect(url_of("ours")) as connection:
        for schema in SCHEMAS:
            statement = sql.SQL("alter schema {} rename to {}")
            connection.execute(statement.format(sql.Identifier(schema.lower()), sql.Identifier(schema)))


def measure_idle(home: Path, platform: int) -> tuple[float, float]:
    """Return the share of a processor and the gigabytes of memory that an idle platform uses.

    The memory is the sum of the proportional set sizes (PSS) of the processes: each page counts once, divided among the
    processes that share it. PostgreSQL is a child of the platform, or of none if another command started it first.
    """
    first = [psutil.Process(pid) for pid in (platform, EmbeddedPostgres(home).pid())]

    def total(figure: Callable[[psutil.Process], float]) -> float:
        value = 0.0
        for process in {*first, *(child for one in first for child in one.children(recursive=True))}:
            with suppress(psutil.NoSuchProcess):
                value += figure(process)
        return value

    def seconds(process: psutil.Process) -> float:
        # The time of processes that ended is included in that of their parent.
        return sum(process.cpu_times()[:4])

    time.sleep(SETTLED_S)
    before, began = total(seconds), time.monotonic()
    time.sleep(IDLE_S)
    share = (total(seconds) - before) / (time.monotonic() - began)
    return share, total(lambda process: process.memory_full_info().pss) / 1e9


def page_of(
    whole: dict[str, float],
    days: list[dict[str, float]],
    ready: float,
    idle: tuple[float, float],
    cycles: list[Cycle],
    growth: Growth,
    pages: Mapping[str, float],
) -> str:
    """Return the page: a table, the waterfall of the last day, and the times of the dashboard's pages."""
    names = ["ours", *PEERS]

    def cells(figures: list[dict[str, float]]) -> list[str]:
        return [f"{median(of_run[name] for of_run in figures):.1f} s" for name in names]

    first = median(cycle.moment_of("daily_sales") for cycle in cycles)
    rows = {
        "first load, software already installed": cells([whole]),
        "one new business day (100 orders) → last mart": cells(days),
        "… → `daily_sales`": [f"{first:.1f} s", *("" for _ in PEERS)],
        "second start → ready": [f"{ready:.1f} s", *("" for _ in PEERS)],
        "idle: processor, memory (PSS)": [f"{idle[0]:.0%} of one, {idle[1]:.1f} GB", *("" for _ in PEERS)],
    }
    return f"""# Performance

`make bench PEERS=DIR` generates this page. The peers and the platform run in turn on one machine, on the same
PostgreSQL database with the real data. The platform's figures ("ours") include detection (the source is polled every
{POLLED_S} seconds), the gates and Airflow, and in the first row the reports. The peers are started manually. The
platform keeps running, idle, while they process their days. {os.cpu_count()} processors; medians of {len(cycles)} days.

{table(names, rows)}

The same with ten times the business, whose sources are generated (`bench/growth.py`):

{growth}

Timeline of one of these days:

![When each task of a day waited and ran](images/{PICTURE.name})

The same day in figures: the published versions, then every task. Each character is a quarter of a second: `.` waiting
for a worker, `#` running.

```
{re.sub(r"[ ]+$", "", str(cycles[-1]), flags=re.MULTILINE)}
```

The dashboard on the same data: milliseconds from the click to the first content in Chromium, medians of five visits
after a first one.

{table(["first content"], {f"`{name}`": [f"{time:.0f} ms"] for name, time in pages.items()})}
"""


def main() -> None:
    """Measure the peers and the platform in turn, then print and write the page."""
    peers, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory(prefix="adventureworks-bench-") as folder:
        # Started by root, the peers' server runs as another user.
        os.chmod(folder, 0o755)
        home, work = Path(folder, "home"), Path(os.environ.get("PEER_WORK") or Path(folder, "peers"))
        print("The peers, from scratch", flush=True)
        whole = measure_peers(peers, work, "full")
        copy_source()
        print("The platform, from scratch", flush=True)
        whole["ours"] = first_run(home, url_of("ours"))
        days, cycles = [], []
        with running(home, url_of("ours")) as (ready, process):
            for cycle in measured_days(home, url_of("ours"), count):
                cycles.append(cycle)
                days.append({**measure_peers(peers, work, "day"), "ours": cycle.last_mart})
            print("The dashboard", flush=True)
            pages = page_times(Home(home))
            print("The platform, idle", flush=True)
            idle = measure_idle(home, process)
    print("The platform on generated sources", flush=True)
    growth = measure_growth(SCALE, count)
    page = page_of(whole, days, ready, idle, cycles, growth, pages)
    print(page)
    PICTURE.write_text(picture(cycles[-1]), encoding="utf-8")
    RESULT.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
