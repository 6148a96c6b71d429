"""`adventureworks shell`: run a command, such as `airflow`, in the environment of this home's Airflow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from adventureworks.cli.run import choose_source, source_variables, with_remembered_permission
from adventureworks.embedded import airflow
from adventureworks.embedded.home import Home
from adventureworks.embedded.services import services
from adventureworks.settings import Settings


def shell(settings: Settings, command: Sequence[str]) -> int:
    """Run a command, or an interactive shell if it is empty, and return its exit status.

    The databases are started for the command unless they are running. Raises `PlatformError` if they cannot be.
    """
    home = Home(settings.home)
    with services(settings) as addresses:
        chosen = choose_source(settings, None)
        source = source_variables(with_remembered_permission(settings, chosen), chosen, addresses)
        port = home.remembered("ui_port") or airflow.USUAL_PORT
        variables = airflow.environment(home, settings, addresses, source, int(port))
        airflow.prepare_database(home, addresses, variables)
        programs = str(Path(sys.executable).parent)
        variables["PATH"] = os.pathsep.join([programs, variables.get("PATH", os.defpath)])
        # Ctrl-C is for the command. A handler, unlike SIG_IGN, is not inherited by it.
        signal.signal(signal.SIGINT, lambda *_: None)
        arguments = list(command) or [os.environ.get("SHELL") or "/bin/sh"]
        return subprocess.run(arguments, env=variables, check=False).returncode
