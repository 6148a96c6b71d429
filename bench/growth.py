"""Compares the time that one new business day takes through the platform on once and on ten times the business.

Run: PYTHONPATH=. python bench/growth.py [SCALE [DAYS]]   (default 1 and 3)

Both sizes are generated: SCALE, where 1 is the size of the real company, and ten times SCALE. The platform publishes
each, then follows it while DAYS business days of 100 orders are added, one after the other. `ten_times.py` compares the
processor time of the same steps.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg
from pydantic import SecretStr

from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres
from adventureworks.source import embedded
from adventureworks_sample import generate
from bench.platform_runs import first_run, measured_days, running, table

SCALE, TIMES, SEED = 1.0, 10, 1
SETTLED_S = 15.0
"""Seconds to wait after the start until the platform is idle."""


@dataclass(frozen=True)
class Size:
    """What one size took; times are medians in seconds."""

    rows: int
    """Rows of the source before the first day."""
    whole: float
    """The first run."""
    daily_sales: float
    """From the commit of a day to the publication of `daily_sales`."""
    last_mart: float


@dataclass(frozen=True)
class Growth:
    """What both sizes took."""

    once: Size
    more: Size

    @property
    def daily_sales(self) -> float:
        """The ratio of the times to `daily_sales`."""
        return self.more.daily_sales / self.once.daily_sales

    @property
    def last_mart(self) -> float:
        """The ratio of the times to the last mart."""
        return self.more.last_mart / self.once.last_mart

    def __str__(self) -> str:
        sizes = (self.once, self.more)
        rows = {
            "first load": [*(f"{size.whole:.1f} s" for size in sizes), f"{self.more.whole / self.once.whole:.1f}"],
            "new day → last mart": [*(f"{size.last_mart:.1f} s" for size in sizes), f"{self.last_mart:.1f}"],
            "new day → `daily_sales`": [*(f"{size.daily_sales:.1f} s" for size in sizes), f"{self.daily_sales:.1f}"],
        }
        return table([*(f"{size.rows:,} rows" for size in sizes), "ratio"], rows)


def measure_size(scale: float, days: int) -> Size:
    """Return what a scale took."""
    with tempfile.TemporaryDirectory(prefix="adventureworks-bench-") as folder:
        # Started by root, the server runs as another user.
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder, "server")) as server:
            source, home = server.url("source"), Path(folder, "home")
            embedded.prepare(SecretStr(source))
            rows = sum(embedded.load_tables(SecretStr(source), generate(scale, SEED)).values())
            # Otherwise the server does this at some moment of the days.
            with psycopg.connect(server.url("source", SUPERUSER), autocommit=True) as connection:
                connection.execute("vacuum (analyze)")
                connection.execute("checkpoint")
            whole = first_run(home, source)
            print(f"Scale {scale:g}: {rows:,} rows published in {whole:.0f} s", flush=True)
            with running(home, source):
                time.sleep(SETTLED_S)
                cycles = list(measured_days(home, source, days))
    return Size(
        rows,
        whole,
        median(cycle.moment_of("daily_sales") for cycle in cycles),
        median(cycle.last_mart for cycle in cycles),
    )


def measure_growth(scale: float, days: int) -> Growth:
    """Return what a scale and ten times that scale took."""
    return Growth(measure_size(scale, days), measure_size(scale * TIMES, days))


def main() -> None:
    """Measure both sizes, then print the comparison."""
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else SCALE
    print(measure_growth(scale, int(sys.argv[2]) if len(sys.argv) > 2 else 3))


if __name__ == "__main__":
    main()
