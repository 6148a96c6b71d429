"""The command line in separate processes, forked from one that has already imported its libraries.

Starting Python and importing them takes two seconds of processor time, and the tests run about a hundred commands.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from adventureworks.cli import main
from adventureworks.settings import settings

_PROCESSES = get_context("forkserver")
# They must not be used before the fork, because thread pools do not survive it.
_PROCESSES.set_forkserver_preload(
    [f"adventureworks.cli.{command}" for command in ("backup", "environment", "quarantine", "report", "sql", "status")]
)


def run(
    *arguments: str, environment: Mapping[str, str] = os.environ, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would, without standard input, and return its result when it has ended."""
    with TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        process = _PROCESSES.Process(target=_run, args=(arguments, dict(environment), output, errors))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(arguments, timeout)
        return subprocess.CompletedProcess(arguments, process.exitcode, output.read_text(), errors.read_text())


def _run(arguments: tuple[str, ...], environment: dict[str, str], output: Path, errors: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    # The tests of chaos have modules preloaded, too, of which one reads the settings.
    settings.cache_clear()
    for path, stream in ((output, sys.stdout), (errors, sys.stderr)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    sys.argv = ["adventureworks", *arguments]
    main()
