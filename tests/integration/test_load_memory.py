"""Memory does not grow with a table: `bench/load_memory.py` with a million rows."""

import re
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "bench" / "load_memory.py"
MAX_MEGABYTES = 500
# Batches need tens of MB on top of the libraries' 250; holding a million rows at once would add 80 %.
MAX_GROWTH = 1.6


def test_a_load_holds_batches_not_tables_in_memory() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "1000000"], check=True, capture_output=True, text=True, timeout=500
    )
    peaks = re.findall(r"(\w+): \d+ MB for 100,000 rows, (\d+) MB for 1,000,000: ratio ([\d.]+)", done.stdout)
    assert [kind for kind, _, _ in peaks] == ["file", "postgres"]
    for _, megabytes, growth in peaks:
        assert int(megabytes) < MAX_MEGABYTES
        assert float(growth) < MAX_GROWTH
