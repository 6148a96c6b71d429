"""The local platform of a home, PostgreSQL and Airflow together: its first start and every later one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import IO

from adventureworks.embedded import airflow
from adventureworks.embedded.airflow_api import AirflowApi, Metadata
from adventureworks.embedded.home import ANOTHER_HOME, Home, write_note
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.embedded.services import Endpoints, endpoints
from adventureworks.embedded.supervisor import Say, Service, Supervisor, last_line
from adventureworks.errors import PlatformError
from adventureworks.settings import Settings

READERS_OF_DAGS = ("api-server", "dag-processor")
"""Services that start no runs."""
RUNNERS_OF_DAGS = ("api-server", "scheduler")
"""Services that run the DAGs that Airflow's database already knows."""


class Platform:
    """PostgreSQL and Airflow of a home. `tick()` must be called about every second while it is up."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self.settings = settings
        self.home = Home(settings.home)
        self.postgres = EmbeddedPostgres(settings.home, tied=True)
        self._say = say
        self._supervisor = Supervisor(self.home, self.postgres, say)
        self._lock: IO[str] | None = None
        self._port = 0
        self._variables: dict[str, str] = {}
        self._started: set[str] = set()

    @property
    def url(self) -> str:
        """The address of the UI."""
        return airflow.ui_url(self._port)

    @property
    def endpoints(self) -> Endpoints:
        """The databases; PostgreSQL must be running."""
        return endpoints(self.postgres, self.settings)

    def api(self) -> AirflowApi:
        """Return a client of Airflow's REST API."""
        return AirflowApi(self.url, airflow.USER, airflow.password(self.home))

    def metadata(self) -> Metadata:
        """Return a reader of Airflow's database."""
        return Metadata(self.endpoints.metadata_url)

    def start_postgres(self, port: int | None) -> None:
        """Lock the home, end the processes that an interrupted run left, and start PostgreSQL.

        `port` is the UI's. Raises `PlatformError` if the platform is already running or the port is in use.
        """
        self.home.prepare()
        self._lock_home()
        left = self._supervisor.end_leftovers()
        if left:
            self._say(f"Ended {left} {'process' if left == 1 else 'processes'} that an interrupted run had left.")
        self._port = airflow.choose_port(self.home, port)
        self._note_owner()
        self.home.remember("ui_port", self._port)
        self.postgres.start()
        self._supervisor.watch_postgres()

    def prepare_airflow(self, source: Mapping[str, str]) -> None:
        """Bring Airflow's database up to date; `source` holds the variables that name the source."""
        self._variables = airflow.environment(self.home, self.settings, self.endpoints, source, self._port)
        airflow.prepare_folder(self.home)
        self._supervisor.prepare_forks(self._variables)
        airflow.prepare_database(self.home, self.endpoints, self._variables)
        airflow.mark_jobs_failed(self.endpoints)

    def start_airflow(self, only: tuple[str, ...] | None = None) -> None:
        """Start Airflow's services that are not running yet, or only some of them."""
        for service in airflow.services(self.home, self._variables):
            if service.name not in self._started and (only is None or service.name in only):
                if service.name == "scheduler":
                    service.before_restart = lambda: airflow.mark_jobs_failed(self.endpoints, "SchedulerJob")
                self._started.add(service.name)
                self._supervisor.start(service)

    def command(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Run a command of this platform beside the services; its output goes to `logs/<first argument>.log`."""
        program = [sys.executable, "-m", "adventureworks.cli", *arguments]
        variables = {**os.environ, "ADVENTUREWORKS_HOME": str(self.home.path)}
        return self._supervisor.spawn(Service(arguments[0], program, variables, self.home.logs / f"{arguments[0]}.log"))

    def last_log_line(self, service: str) -> str:
        """Return the last line of a service's log."""
        return last_line(self.home.logs / f"{service}.log")

    def tick(self) -> None:
        """Restart what died. Raises `PlatformError` if a service dies repeatedly."""
        self._supervisor.tick()

    def stop(self) -> None:
        """Stop everything in order."""
        if self._lock is None:
            return
        self._supervisor.stop()
        self.postgres.stop(for_all=True)
        self._release()

    def kill(self) -> None:
        """Stop everything at once. PostgreSQL is still given the time to write committed data."""
        if self._lock is None:
            return
        self._supervisor.kill()
        self.postgres.stop(for_all=True)
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _lock_home(self) -> None:
        self._lock = self.home.hold("run", {"url": "(starting)"})
        if self._lock is not None:
            return
        owner = self.home.holder("run") or {"pid": "?"}
        if "task" in owner:
            raise PlatformError(
                f"{owner['task'].capitalize()} is in progress: process {owner['pid']}.",
                "Start the platform when it has finished.",
            )
        raise PlatformError(
            f"The platform is already running: process {owner['pid']}, UI {owner.get('url', '?')}.",
            f"Stop it with Ctrl-C. To start a second one: {ANOTHER_HOME.split(': ')[1]}",
        )

    def _note_owner(self) -> None:
        if self._lock is not None:
            write_note(self._lock, {"url": self.url})
