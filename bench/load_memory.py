"""Compares the peak memory of loading a small and a large table, to show whether memory grows with the table.

Run: python bench/load_memory.py [ROWS]   (default 10 million; it needs about 4 GB of disk)
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from pydantic import SecretStr

from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.gate.load import load
from adventureworks.settings import Settings
from adventureworks.source import embedded
from adventureworks.warehouse import layout, open_warehouse

ASSET = "Production_TransactionHistoryArchive"


def write(folder: Path, rows: int) -> None:
    """Write a Parquet file of valid rows in chunks."""
    writer = None
    for start in range(0, rows, 500_000):
        count = min(500_000, rows - start)
        day = pl.Series(np.full(count, np.datetime64("2013-05-01", "us")))
        frame = pl.DataFrame(
            {
                "TransactionID": pl.Series(np.arange(start + 1, start + count + 1, dtype=np.int32)),
                "ProductID": pl.Series(np.full(count, 707, dtype=np.int32)),
                "ReferenceOrderID": pl.Series(np.full(count, 1, dtype=np.int32)),
                "ReferenceOrderLineID": pl.Series(np.zeros(count, dtype=np.int32)),
                "TransactionDate": day,
                "TransactionType": pl.Series(["S"] * count),
                "Quantity": pl.Series(np.full(count, 3, dtype=np.int32)),
                "ActualCost": pl.Series(np.full(count, 12, dtype=np.int64)).cast(pl.Decimal(19, 4)),
                "ModifiedDate": day,
            }
        )
        batch = frame.to_arrow()
        writer = writer or pq.ParquetWriter(folder / f"{ASSET}.parquet", batch.schema)
        writer.write_table(batch)
    if writer:
        writer.close()


def measure(warehouse: str, source: str) -> None:
    """Load the table in this process and print its peak memory in MB."""
    kind = {"source_url": SecretStr(source)} if source.startswith("postgresql://") else {"source": source}
    settings = Settings(warehouse_url=SecretStr(warehouse), **kind)  # type: ignore[arg-type]
    with open_warehouse(settings).connect("bench") as session:
        layout.prepare(session)
    load(settings, "bench", [ASSET])
    print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def peak(warehouse: str, source: str) -> int:
    """Return the peak memory in MB of a load in a separate process."""
    command = [sys.executable, __file__, "--measure", warehouse, source]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    """Compare a table of 100,000 rows with one of ROWS rows, from a file and from PostgreSQL."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    with tempfile.TemporaryDirectory() as home, EmbeddedPostgres(Path(home) / "home") as postgres:
        owner = postgres.url("source")
        embedded.prepare(SecretStr(owner))
        peaks: dict[tuple[str, int], int] = {}
        for size in (100_000, rows):
            folder = Path(home) / str(size)
            folder.mkdir()
            write(folder, size)
            peaks["file", size] = peak(postgres.url("warehouse"), str(folder))
            embedded.load_folder(SecretStr(owner), folder, allow_missing=True)
            peaks["postgres", size] = peak(postgres.url("warehouse"), postgres.url("source"))
        for kind in ("file", "postgres"):
            small, large = peaks[kind, 100_000], peaks[kind, rows]
            print(f"{kind}: {small} MB for 100,000 rows, {large} MB for {rows:,}: ratio {large / small:.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], sys.argv[3])
    else:
        main()
