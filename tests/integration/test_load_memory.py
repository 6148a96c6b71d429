"""Memory does not grow with a table: what `bench/load_memory.py` measures, on a million rows."""

import re
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "bench" / "load_memory.py"
MOST_MEGABYTES = 500
# Batches cost some tens of MB over the libraries' 250; a million rows held at once add 80 %.
MOST_GROWTH = 1.6


def test_a_load_takes_batches_not_tables() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "1000000"], check=True, capture_output=True, text=True, timeout=500
    )
    peaks = re.findall(r"(\w+): \d+ MB for 100,000 rows, (\d+) MB for 1,000,000: ratio ([\d.]+)", done.stdout)
    assert [kind for kind, _, _ in peaks] == ["file", "postgres"]
    for _, megabytes, growth in peaks:
        assert int(megabytes) < MOST_MEGABYTES
        assert float(growth) < MOST_GROWTH
