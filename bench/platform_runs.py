"""Runs the platform on a source, for the benchmarks, and measures business days that are added to the source."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg

from adventureworks.cli.reading import services
from adventureworks.settings import Settings
from bench.new_day import Cycle, measure

POLLED_S = "2"
ORDERS, SAMPLE = "SalesOrderHeader", "2014-01-01"


def add_day(source: str) -> None:
    """Commit one business day in the source: 96 online and 4 reseller orders with their lines, like earlier ones."""
    with psycopg.connect(source) as connection:
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
    """Return the environment of a platform with its own home."""
    return {**os.environ, "ADVENTUREWORKS_HOME": str(home), "ADVENTUREWORKS_WATCH_SECONDS": POLLED_S}


@contextmanager
def running(home: Path, source: str) -> Iterator[tuple[float, int]]:
    """Run a platform that follows a source; yield the seconds until it was ready and its process id."""
    began = time.monotonic()
    command = [sys.executable, "-m", "adventureworks.cli", "run", "--source", source]
    with subprocess.Popen(command, env=environment_of(home), stdout=subprocess.PIPE, text=True) as platform:
        assert platform.stdout is not None
        for line in platform.stdout:
            if line.startswith("Up and following"):
                break
        else:
            raise RuntimeError("the platform ended")
        try:
            yield time.monotonic() - began, platform.pid
        finally:
            platform.terminate()
            platform.communicate(timeout=60)


def first_run(home: Path, source: str) -> float:
    """Return the seconds of a first run until everything is fresh, including reports."""
    began = time.monotonic()
    command = [sys.executable, "-m", "adventureworks.cli", "run", "--once", "--source", source]
    subprocess.run(command, env=environment_of(home), check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def measured_days(home: Path, source: str, count: int) -> Iterator[Cycle]:
    """Add business days to the source of the platform that runs in a home, and yield what each caused."""
    with services(Settings(home=home)) as ends:
        stated = Settings(home=home, warehouse_url=ends.warehouse_url)
        for number in range(count):
            print(f"Day {number + 1} of {count}", flush=True)
            yield measure(stated, ends.metadata_url.get_secret_value(), partial(add_day, source))


def table(headings: list[str], rows: dict[str, list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [["", *headings], ["---"] * (len(headings) + 1), *([name, *cells] for name, cells in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
