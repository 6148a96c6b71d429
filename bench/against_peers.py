"""The platform against what a team would otherwise pick, in turn, on the same database: writes docs/performance.md.

Run: python bench/against_peers.py PEERS [CYCLES]

PEERS holds the peers, with an environment of their own. `PEERS/run.sh full` loads and builds everything from nothing,
once by dlt and dbt, by pandas and by bare SQL. `PEERS/run.sh day` adds a business day to the database `source`
of their server and brings all that up to date. Both leave `PEER_WORK/results.tsv`: step, seconds, and more figures.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from statistics import median

import psutil
import psycopg
from psycopg import sql

from adventureworks.cli.reading import services
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.settings import Settings
from bench.new_day import Cycle, measure
from bench.waterfall import picture

HOST, PORT, LOGIN = "127.0.0.1", os.environ.get("PEER_PORT", "55611"), "peer"
POLLED_S = "2"
SCHEMAS = ("HumanResources", "Person", "Production", "Purchasing", "Sales")
PEERS = {
    "dlt + dbt, tests included": ("peer.dlt", "peer.dbt_build"),
    "pandas, no checks": ("pandas",),
    "bare SQL, no checks": ("limit.load_and_marts", "limit.refresh"),
}
"""The steps of which a peer's figure is the sum."""
ORDERS, SAMPLE = "SalesOrderHeader", "2014-01-01"
RESULT = Path(__file__).parents[1] / "docs" / "performance.md"
PICTURE = RESULT.parent / "images" / "new-day.svg"
SETTLED_S, IDLE_S = 15.0, 60.0
"""Seconds until nothing follows the last day any more, and for which an idle platform is measured."""


def url_of(database: str) -> str:
    """The URL of a database of the peers' server."""
    return f"postgresql://{LOGIN}:{LOGIN}@{HOST}:{PORT}/{database}"


def peers_figures(peers: Path, work: Path, what: str) -> dict[str, float]:
    """Seconds of each peer."""
    environment = {**os.environ, "PEER_WORK": str(work), "PEER_CYCLES": "1"}
    subprocess.run(["bash", str(peers / "run.sh"), what], env=environment, check=True, stdout=subprocess.DEVNULL)
    took: dict[str, float] = defaultdict(float)
    for line in (work / "results.tsv").read_text().splitlines():
        step, seconds, *_ = line.split("\t")
        took[step] += float(seconds)
    return {peer: sum(took.get(step, 0.0) for step in steps) for peer, steps in PEERS.items()}


def copy_source() -> None:
    """Makes the database `ours` from the peers' `source`, with the original names of the schemas."""
    with psycopg.connect(url_of("postgres"), autocommit=True) as connection:
        connection.execute("drop database if exists ours")
        connection.execute("create database ours template source")
    with psycopg.connect(url_of("ours")) as connection:
        for schema in SCHEMAS:
            statement = sql.SQL("alter schema {} rename to {}")
            connection.execute(statement.format(sql.Identifier(schema.lower()), sql.Identifier(schema)))


def add_day() -> None:
    """Commits one business day at the source: 96 online and 4 reseller orders with their lines, like earlier ones."""
    with psycopg.connect(url_of("ours")) as connection:
        connection.execute(
            f"""
            create temp table copied on commit drop as
            select x.old, last.id + row_number() over (order by x.old) as new, last.day, last.modified
            from (
                select "SalesOrderID" as old, "OnlineOrderFlag" as online,
                    row_number() over (partition by "OnlineOrderFlag" order by random()) as place
                from "Sales"."{ORDERS}" where "OrderDate" >= '{SAMPLE}' and "OrderDate" < '2014-07-01'
            ) as x, (
                select max("SalesOrderID") as id, max("OrderDate") + interval '1 day' as day,
                    max("ModifiedDate") + interval '1 day' as modified from "Sales"."{ORDERS}"
            ) as last
            where x.place <= case when x.online then 96 else 4 end"""
        )
        changed = {
            "SalesOrderID": "c.new",
            "OrderDate": "c.day",
            "DueDate": "c.day + interval '12 days'",
            "ShipDate": "c.day + interval '7 days'",
            "SalesOrderNumber": "'SO' || c.new",
            "ModifiedDate": "c.modified",
            "rowguid": "gen_random_uuid()",
            "SalesOrderDetailID": '(select max("SalesOrderDetailID") from "Sales"."SalesOrderDetail")'
            ' + row_number() over (order by x."SalesOrderDetailID")',
        }
        for name in (ORDERS, "SalesOrderDetail"):
            described = connection.execute(f'select * from "Sales"."{name}" limit 0').description or ()
            columns = [column.name for column in described]
            values = ", ".join(changed.get(column, f'x."{column}"') for column in columns)
            listed = ", ".join(f'"{column}"' for column in columns)
            connection.execute(
                f'insert into "Sales"."{name}" ({listed}) select {values} from "Sales"."{name}" as x'
                ' join copied as c on c.old = x."SalesOrderID"'
            )


def environment_of(home: Path) -> dict[str, str]:
    """The environment of a platform with its own home."""
    return {**os.environ, "ADVENTUREWORKS_HOME": str(home), "ADVENTUREWORKS_WATCH_SECONDS": POLLED_S}


@contextmanager
def running(home: Path) -> Iterator[tuple[float, int]]:
    """A platform that follows the source; gives the seconds until it was ready, and its process."""
    began = time.monotonic()
    command = [sys.executable, "-m", "adventureworks.cli", "run", "--source", url_of("ours")]
    with subprocess.Popen(command, env=environment_of(home), stdout=subprocess.PIPE, text=True) as platform:
        assert platform.stdout is not None
        for line in platform.stdout:
            if line.startswith("Stays up"):
                break
        else:
            raise RuntimeError("the platform ended")
        try:
            yield time.monotonic() - began, platform.pid
        finally:
            platform.terminate()
            platform.communicate(timeout=60)


def from_nothing(home: Path) -> float:
    """Seconds of a first run that ends when everything is fresh, reports included."""
    began = time.monotonic()
    command = [sys.executable, "-m", "adventureworks.cli", "run", "--once", "--source", url_of("ours")]
    subprocess.run(command, env=environment_of(home), check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def idle(home: Path, platform: int) -> tuple[float, float]:
    """The share of a processor and the gigabytes of memory that a platform takes which only watches the source.

    Memory that processes share is counted once.
    """
    server = EmbeddedPostgres(home).pid()

    def added(figure: Callable[[psutil.Process], float]) -> float:
        total = 0.0
        for first in (platform, server):
            for process in (psutil.Process(first), *psutil.Process(first).children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    total += figure(process)
        return total

    def seconds(process: psutil.Process) -> float:
        # Its parent has the time of a process that ended.
        return sum(process.cpu_times()[:4])

    time.sleep(SETTLED_S)
    before, began = added(seconds), time.monotonic()
    time.sleep(IDLE_S)
    share = (added(seconds) - before) / (time.monotonic() - began)
    return share, added(lambda process: process.memory_full_info().pss) / 1e9


def table(headings: list[str], rows: dict[str, list[str]]) -> str:
    """A table in Markdown."""
    lines = [["", *headings], ["---"] * (len(headings) + 1), *([name, *cells] for name, cells in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def written(
    whole: dict[str, float], days: list[dict[str, float]], ready: float, rest: tuple[float, float], cycles: list[Cycle]
) -> str:
    """The page: a table, and the waterfall of the last day."""
    names = ["ours", *PEERS]

    def cells(figures: list[dict[str, float]]) -> list[str]:
        return [f"{median(of_run[name] for of_run in figures):.1f} s" for name in names]

    first = median(cycle.moment_of("daily_sales") for cycle in cycles)
    rows = {
        "everything from nothing, installed": cells([whole]),
        "one new business day (100 orders) → last mart": cells(days),
        "… → `daily_sales`": [f"{first:.1f} s", *("" for _ in PEERS)],
        "second start → ready": [f"{ready:.1f} s", *("" for _ in PEERS)],
        "idle: processor, memory": [f"{rest[0]:.0%} of one, {rest[1]:.1f} GB", *("" for _ in PEERS)],
    }
    return f"""# Performance

`make bench PEERS=DIR` writes this page: the peers and the platform run in turn on one machine, on the same PostgreSQL
database with the real data. Ours includes detection (the source is asked every {POLLED_S} seconds), the gates and
Airflow, and in the first row the reports. The peers are started by hand; our idle platform runs beside
their days. {os.cpu_count()} processors; medians of {len(cycles)} days.

{table(names, rows)}

One of these days:

![When each task of a day waited and ran](images/{PICTURE.name})

The same in figures: the published versions, then every task (`.` waited for a free worker, `#` ran, four to a second).

```
{re.sub(r"[ ]+$", "", str(cycles[-1]), flags=re.MULTILINE)}
```
"""


def main() -> None:
    """Measures in turn, prints the page and writes it."""
    peers, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory(prefix="adventureworks-bench-") as folder:
        home, work = Path(folder, "home"), Path(os.environ.get("PEER_WORK") or Path(folder, "peers"))
        print("The peers, from nothing", flush=True)
        whole = peers_figures(peers, work, "full")
        copy_source()
        print("The platform, from nothing", flush=True)
        whole["ours"] = from_nothing(home)
        days, cycles = [], []
        with running(home) as (ready, process), services(Settings(home=home)) as ends:
            stated = Settings(home=home, warehouse_url=ends.warehouse_url)
            measured = partial(measure, stated, ends.metadata_url.get_secret_value())
            for number in range(count):
                print(f"Day {number + 1} of {count}", flush=True)
                cycles.append(measured(add_day))
                days.append({**peers_figures(peers, work, "day"), "ours": cycles[-1].last_mart})
            print("The platform, idle", flush=True)
            rest = idle(home, process)
    page = written(whole, days, ready, rest, cycles)
    print(page)
    PICTURE.write_text(picture(cycles[-1]), encoding="utf-8")
    RESULT.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
