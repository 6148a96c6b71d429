"""Settings of the garbage collector."""

from __future__ import annotations

import gc
import os
from functools import cache


@cache
def collect_rarely() -> None:
    """Run the garbage collector about 70 times less often, in this process and its forks.

    Imported modules stay in memory. Scanning them repeatedly slows every start (docs/decisions/0004), and in a fork it
    copies the memory that it shares with its parent. Forks therefore leave out what they inherit.
    """
    gc.set_threshold(50_000, 20, 20)
    os.register_at_fork(after_in_child=gc.freeze)
