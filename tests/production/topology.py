"""Runs the services of docker-compose.yaml as processes, with their commands and environment and separate homes.

What only containers have is replaced: service names by addresses, volumes by folders, and fixed ports by free ones.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg

from adventureworks.embedded.postgres import SUPERUSER, EmbeddedPostgres, free_port, program
from tests.conftest import NOT_DURABLE, REPOSITORY
from tests.e2e.running import Databases
from tests.production.compose import Compose, image_environment, set_up, variables

FAST = {
    # A killed worker's tasks are found in half a minute instead of two.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "ADVENTUREWORKS_WATCH_SECONDS": "5",
    # Suitable for two processors.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3600",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
    "AIRFLOW__API__WORKERS": "1",
    "POLARS_MAX_THREADS": "1",
    "ADVENTUREWORKS_REPORT_LANGUAGES": '["en"]',
}


class Topology:
    """All services of the compose file. `source`: the folder that the platform reads."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder = folder
        (folder / "set-up").mkdir()
        done = set_up(folder / "set-up", str(source))
        assert done.returncode == 0, done.stderr
        self.variables = variables(folder / "set-up")
        self.services = Compose(self.variables).services
        self.postgres = EmbeddedPostgres(
            folder / "postgres", tied=True, options={**NOT_DURABLE, "max_connections": "200"}
        )
        self._databases = Databases(self.url)
        self._source = source
        self._ports = {name: free_port() for name in ("api-server", "redis", "scheduler")}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def ui(self) -> str:
        return f"http://127.0.0.1:{self._ports['api-server']}"

    def start_databases(self) -> None:
        """Start Redis and a PostgreSQL that contains only what the scripts of the compose file create."""
        self.postgres.start()
        with psycopg.connect(self.postgres.url("postgres", SUPERUSER), autocommit=True) as connection:
            for database in ("airflow", "warehouse", "source"):
                connection.execute(f"drop database {database}")
            for role in ("airflow", "warehouse", "source", "reader", "source_reader"):
                connection.execute(f"drop role {role}")
        for service in ("postgres", "warehouse"):
            self.create_databases(service)
        self.start("redis")

    def create_databases(self, service: str) -> None:
        """Run the script that PostgreSQL's image runs on an empty volume of this service."""
        own = urlsplit(self.postgres.url("postgres", SUPERUSER))
        variables = {
            **self.services[service]["environment"],
            "PATH": f"{program('psql').parent}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(own.port),
            "PGPASSWORD": str(own.password),
        }
        subprocess.run([REPOSITORY / "deploy/postgres/create-databases.sh"], check=True, env=variables, timeout=60)

    def start(self, service: str, host: str = "", *more: str) -> None:
        """Start a service under its own host name."""
        host = host or service
        command = [self._localised(part, host) for part in self.services[service]["command"]]
        with (self.folder / f"{host}.log").open("ab") as log:
            self._processes[host] = subprocess.Popen(
                [*command, *more],
                cwd=REPOSITORY,
                env=self.environment(service, host),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, service: str, *command: str, host: str = "") -> str:
        """Run a command, by default the service's own, in the environment of a service and return its output."""
        host = host or service
        own = [self._localised(part, host) for part in command or self.services[service]["command"]]
        done = subprocess.run(
            own,
            cwd=REPOSITORY,
            env=self.environment(service, host),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    def is_healthy(self, service: str, host: str = "") -> bool:
        """Return whether the service's own health check succeeds."""
        kind, *check = self.services[service]["healthcheck"]["test"]
        own = [self._localised(part, host or service) for part in check]
        command = ["sh", "-c", *own] if kind == "CMD-SHELL" else own
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=self.environment(service, host or service),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=120,
        )
        return done.returncode == 0

    def environment(self, service: str, host: str) -> dict[str, str]:
        """Return the environment of the image and the service, adapted to this machine."""
        image = image_environment() if self.services[service].get("image") == self.services["worker"]["image"] else {}
        own = {**image, **self.services[service].get("environment", {}), **(FAST if image else {})}
        return {
            **{name: self._localised(str(value), host) for name, value in own.items()},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(REPOSITORY),
            "TOPOLOGY_HOST": host,
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "tests.production.hostname.own",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self._ports["api-server"]),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": "127.0.0.1",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self._ports["scheduler"]),
            "no_proxy": "127.0.0.1,localhost",
        }

    def _localised(self, text: str, host: str) -> str:
        databases = f"127.0.0.1:{self.postgres.port()}" if "5432" in text else ""
        redis, api, health = (self._ports[name] for name in ("redis", "api-server", "scheduler"))
        home = self.folder / "homes" / host
        home.mkdir(parents=True, exist_ok=True)
        replacements = {
            "@postgres:5432": f"@{databases}",
            "@warehouse:5432": f"@{databases}",
            "@redis:6379": f"@127.0.0.1:{redis}",
            "port 6379": f"port {redis}\nbind 127.0.0.1",
            "dir /data": f"dir {home}",
            "redis-cli": f"redis-cli -p {redis}",
            "http://api-server:8080": f"http://127.0.0.1:{api}",
            "http://127.0.0.1:8080": f"http://127.0.0.1:{api}",
            "http://localhost:8080": f"http://127.0.0.1:{api}",
            "http://127.0.0.1:8974": f"http://127.0.0.1:{health}",
            "/var/lib/adventureworks": str(home),
            "/opt/adventureworks": str(REPOSITORY),
            "/data/source": str(self._source),
            "/data/": f"{self.folder}/volumes/",
            "$(hostname)": host,
        }
        # One pass, so that replacements are not replaced again.
        pattern = "|".join(re.escape(name) for name in replacements)
        return re.sub(pattern, lambda match: replacements[match[0]], text)

    def family(self, host: str) -> list[psutil.Process]:
        """Return all processes of a host."""
        first = psutil.Process(self._processes[host].pid)
        return [first, *first.children(recursive=True)]

    def all_run(self) -> bool:
        """Return True; if a service has ended, fail with its log."""
        for host, process in self._processes.items():
            assert process.poll() is None, f"{host} ended: " + (self.folder / f"{host}.log").read_text()[-3000:]
        return True

    def signal(self, host: str, number: signal.Signals) -> None:
        """Send a signal to all processes of a host, like an engine that pauses or kills a container."""
        for process in self.family(host):
            process.send_signal(number)

    def stop(self) -> None:
        """Kill all processes and stop PostgreSQL."""
        self._databases.close()
        for host, process in self._processes.items():
            if process.poll() is None:
                self.signal(host, signal.SIGKILL)
            process.wait()
        self.postgres.stop(for_all=True)

    def sql(self, database: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement that returns rows in one of the databases, as its owner."""
        return self._databases.sql(database, query, parameters)

    def url(self, database: str, role: str = "") -> str:
        """Return the URL of a database for a role whose password set-up.sh generated."""
        names = {"airflow": "AIRFLOW_DATABASE_PASSWORD", "reader": "WAREHOUSE_READER_PASSWORD"}
        password = self.variables[names.get(role or database, "WAREHOUSE_PASSWORD")]
        return f"postgresql://{role or database}:{password}@127.0.0.1:{self.postgres.port()}/{database}"

    def client(self, token: str = "") -> httpx.Client:
        """Return a client of the API server, optionally with a token; it does not follow redirects."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.ui, headers=headers, trust_env=False, timeout=120)

    def is_up(self) -> bool:
        """Return whether the API server answers."""
        try:
            return self.client().get("/api/v2/version").is_success
        except httpx.TransportError:
            return False

    def admin(self) -> httpx.Client:
        """Return a client with a token of the administrator that the service `prepare` created."""
        credentials = {
            "username": self.variables["AIRFLOW_ADMIN_NAME"],
            "password": self.variables["AIRFLOW_ADMIN_PASSWORD"],
        }
        answer = self.client().post("/auth/token", json=credentials)
        assert answer.is_success, answer.text
        return self.client(answer.json()["access_token"])

    def signed_in(self, name: str, password: str) -> httpx.Client:
        """Return a client that signed in with the form, like a browser."""
        browser = self.client()
        form = browser.get("/auth/login/").text
        csrf_token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
        assert csrf_token, form
        answer = browser.post(
            "/auth/login/", data={"csrf_token": csrf_token[1], "username": name, "password": password}
        )
        assert answer.is_redirect, answer.text
        return browser


def missing_programs() -> list[str]:
    """Return the system programs that the topology needs and that are missing."""
    return [name for name in ("redis-server", "redis-cli") if shutil.which(name) is None]
