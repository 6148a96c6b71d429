"""Settings of the garbage collector."""

from __future__ import annotations

import gc


def collect_rarely() -> None:
    """Run the garbage collector about 70 times less often, in this process and its forks.

    Imported modules stay in memory. Scanning them repeatedly slows every start (docs/decisions/0004).
    """
    gc.set_threshold(50_000, 20, 20)
