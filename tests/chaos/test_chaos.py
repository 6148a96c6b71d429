"""Two rounds of the chaos suite, in which every kind of fault strikes. `make chaos` plays many more."""

from __future__ import annotations

import subprocess
import sys

from tests.chaos.faults import Kind
from tests.conftest import REPOSITORY


def test_a_round_ends_as_if_nothing_had_failed() -> None:
    # The processes of tasks are forked from one of their own, which another test in this process may have started.
    command = [sys.executable, "-m", "tests.chaos", "--rounds", "2", "--seed", "0"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=REPOSITORY, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    # Not everybody may make a disk full.
    possible = [kind for kind in Kind if kind is not Kind.DISK_FULL or "No disk can be made full" not in done.stdout]
    assert [kind for kind in possible if f"  {kind}\n" not in done.stdout] == []
