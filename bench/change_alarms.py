"""Measures the alarms of the change profiles: false alarms on harmless deliveries, and detected injected faults.

Run: python bench/change_alarms.py FOLDER [first|months|days|harmless|seeds|simulated|faults ...]

FOLDER contains the real tables as Parquet files. Every part prints its alarms; `faults` prints what was missed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import psycopg
import pyarrow.parquet as pq
from pydantic import SecretStr

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres
from adventureworks.gate.checks import CheckOutcome
from adventureworks.months import key_of, shifted
from adventureworks.settings import Settings
from adventureworks.source import embedded
from adventureworks_sample import generate, simulate
from tests.conftest import NOT_DURABLE
from tests.integration import faults
from tests.integration.deliveries import Deliveries, typed
from tests.integration.pipeline import Pipeline

FACTS = {asset: entry.month for asset, entry in SOURCE_TABLES.items() if entry.month}
Frames = dict[str, pl.DataFrame]


class Bench:
    """The real data and a server for fresh warehouses."""

    def __init__(self, folder: Path, server: EmbeddedPostgres) -> None:
        self.folder = folder
        self.server = server
        self.number = 0
        self.tables = typed(folder, *(asset for asset in SOURCE_TABLES if asset != "dbo_ErrorLog"))

    def database(self, template: str, owner: str) -> str:
        """Create a copy of a database and return its URL."""
        self.number += 1
        name = f"{template}_{self.number}"
        with psycopg.connect(self.server.url("postgres", SUPERUSER), autocommit=True) as connection:
            connection.execute(f"create database {name} template {template} owner {owner} strategy file_copy")
        return self.server.url(name, owner)

    def warehouse(self, template: str = "warehouse") -> Deliveries:
        """Return an empty warehouse."""
        return Deliveries(Settings(warehouse_url=SecretStr(self.database(template, "warehouse"))))

    def between(self, start: date, end: date) -> Frames:
        """Return the fact rows dated in this interval, and the rows of other tables modified in it."""
        frames = {}
        for asset, table in self.tables.items():
            entry = SOURCE_TABLES[asset]
            if entry.month is None:
                column, dated = entry.modified, table
            elif entry.month.parent is None:
                column, dated = entry.month.column, table
            else:
                parent = self.tables[entry.month.parent].select(entry.month.parent_key, entry.month.column)
                column, key = entry.month.column, entry.month.parent_key
                dated = table.join(parent.rename({entry.month.column: "__day"}), on=key)
                column = "__day"
            inside = (pl.col(column) >= datetime.combine(start, datetime.min.time())) & (
                pl.col(column) < datetime.combine(end, datetime.min.time())
            )
            rows = dated.filter(inside).select(table.columns)
            if rows.height:
                frames[asset] = rows
        return frames


def alarms(found: list[CheckOutcome], label: str) -> int:
    """Print alarms and return their number."""
    for one in found:
        print(f"  {label}: {one.table} {one.rule} {one.outcome}: {one.message}")
    return len(found)


def first(bench: Bench) -> int:
    """Deliver the real data twice, and return the number of alarms."""
    warehouse = bench.warehouse()
    total = alarms(warehouse.accept(bench.tables, whole=True), "first load")
    return total + alarms(warehouse.deliver(bench.tables, whole=True), "again")


def months(bench: Bench) -> int:
    """Deliver the real data up to April 2012, then month by month, and return the number of alarms."""
    warehouse, total = bench.warehouse(), 0
    warehouse.accept(bench.between(date(1990, 1, 1), date(2012, 5, 1)))
    for number in range(27):
        month = shifted(date(2012, 5, 1), number)
        total += alarms(warehouse.accept(bench.between(month, shifted(month, 1))), key_of(month))
    return total


def days(bench: Bench) -> int:
    """Deliver the real data up to May 2013, then a hundred days one by one, and return the number of alarms."""
    warehouse, total, start = bench.warehouse(), 0, date(2013, 5, 15)
    warehouse.accept(bench.between(date(1990, 1, 1), start))
    for number in range(100):
        day = start + timedelta(days=number)
        total += alarms(warehouse.accept(bench.between(day, day + timedelta(days=1))), day.isoformat())
    return total


def harmless(bench: Bench) -> int:
    """Deliver the real data with changes that normal business causes, and return the number of alarms."""
    warehouse, total = bench.warehouse(), 0
    warehouse.accept(bench.tables, whole=True)
    for name, change in faults.HARMLESS.items():
        total += alarms(warehouse.deliver(change(bench.tables)), name)
    return total


def seeds(bench: Bench) -> int:
    """Deliver the embedded sample generated with different seeds, and return the number of alarms."""
    total, warehouse = 0, bench.warehouse()
    for seed in (1, 2, 3):
        with tempfile.TemporaryDirectory() as folder:
            for asset, table in generate(0.05, seed):
                pq.write_table(table, Path(folder, f"{asset}.parquet"))
            found = warehouse.accept(typed(Path(folder), *bench.tables), whole=True)
        total += alarms(found, f"seed {seed}")
    return total


def simulated(bench: Bench, number: int = 400) -> int:
    """Ingest simulated business days one by one and return the number of incidents of all kinds."""
    url = bench.database("source", "source")
    embedded.prepare(SecretStr(url))
    embedded.load_tables(SecretStr(url), generate(0.03, seed=7))
    warehouse = bench.database("warehouse", "warehouse")
    pipeline = Pipeline(Settings(source_url=SecretStr(url), warehouse_url=SecretStr(warehouse)), url)
    pipeline.ingest()
    for day in range(number):
        simulate(url, 1, seed=11)
        pipeline.ingest()
        if day % 50 == 49:
            print(f"  day {day + 1}", flush=True)
    rows = pipeline.published("select run_id, asset, rule, severity, parameters from ops.incident order by first_seen")
    for row in rows:
        print("  ", *row)
    return len(rows)


def injected(bench: Bench) -> int:
    """Inject faults into the real data and return how many are missed."""
    warehouse = bench.warehouse()
    warehouse.accept(bench.tables, whole=True)
    missed = _inject(warehouse, bench.tables, faults.REDELIVERED)
    day = date(2014, 5, 1)
    warehouse = bench.warehouse()
    warehouse.accept(bench.between(date(1990, 1, 1), day))
    base = bench.between(day, day + timedelta(days=1))
    missed += _inject(warehouse, base, faults.ARRIVING)
    base = bench.between(day, day + timedelta(days=7))
    return missed + _inject(warehouse, base, faults.SILENT)


def _inject(warehouse: Deliveries, tables: Frames, cases: dict[str, Callable[[Frames], Frames]]) -> int:
    missed = 0
    for name, fault in cases.items():
        frames = fault(tables)
        found = warehouse.deliver(frames)
        missed += not found
        shown = "; ".join(f"{one.outcome} {one.table} {one.rule}: {one.message}" for one in found) or "MISSED"
        print(f"  {name}: {shown}", flush=True)
    return missed


PARTS: dict[str, Callable[[Bench], int]] = {
    "first": first,
    "months": months,
    "days": days,
    "harmless": harmless,
    "seeds": seeds,
    "simulated": simulated,
    "faults": injected,
}


def main(folder: str, *parts: str) -> None:
    """Run the parts and print a figure for each."""
    with tempfile.TemporaryDirectory() as home:
        server = EmbeddedPostgres(Path(home), tied=True, options=NOT_DURABLE)
        server.start()
        try:
            bench = Bench(Path(folder), server)
            for name in parts or PARTS:
                started = time.monotonic()
                figure = PARTS[name](bench)
                print(f"{name}: {figure} in {time.monotonic() - started:.0f} s", flush=True)
        finally:
            server.stop(for_all=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
