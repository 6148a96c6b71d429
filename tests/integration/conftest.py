"""What the suites on real processes share."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Adventureworks = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def adventureworks(tmp_path: Path) -> Adventureworks:
    """Runs the command line on a home of its own, as a user would."""

    def call(*arguments: str, home: Path = tmp_path / "home", timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "adventureworks.cli", *arguments],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            env={**os.environ, "ADVENTUREWORKS_HOME": str(home)},
        )

    return call
