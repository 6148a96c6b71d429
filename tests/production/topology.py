"""The services of docker-compose.yaml as processes: their commands, their environment, homes of their own.

What containers have and processes have not is put in the place of it: addresses instead of names of services, folders
instead of volumes, ports that are free.
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
from tests.production.compose import Compose, image_environment, set_up, variables

QUICKLY = {
    # A killed worker's tasks are found in half a minute instead of two.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "ADVENTUREWORKS_WATCH_SECONDS": "5",
    # For two processors.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
    "AIRFLOW__API__WORKERS": "1",
    "ADVENTUREWORKS_REPORT_LANGUAGES": '["en"]',
}


class Topology:
    """Everything that the compose file starts. `source` is the folder that the platform reads."""

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
        self._source = source
        self._ports = {name: free_port() for name in ("api-server", "redis", "scheduler")}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def ui(self) -> str:
        return f"http://127.0.0.1:{self._ports['api-server']}"

    def start_databases(self) -> None:
        """PostgreSQL, empty but for what the scripts of the compose file make; Redis."""
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
        """Runs what PostgreSQL's image runs on an empty volume of this service."""
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
        """Starts a service under the name of a host of its own."""
        host = host or service
        command = [self._here(part, host) for part in self.services[service]["command"]]
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
        """Runs a command in the environment of a service, by default the service's own one; returns what it says."""
        host = host or service
        own = [self._here(part, host) for part in command or self.services[service]["command"]]
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
        """What the service's own health check says."""
        kind, *check = self.services[service]["healthcheck"]["test"]
        own = [self._here(part, host or service) for part in check]
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
        """The image's environment and the service's, as they are here."""
        image = image_environment() if self.services[service].get("image") == self.services["worker"]["image"] else {}
        own = {**image, **self.services[service].get("environment", {}), **(QUICKLY if image else {})}
        return {
            **{name: self._here(str(value), host) for name, value in own.items()},
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

    def _here(self, text: str, host: str) -> str:
        databases = f"127.0.0.1:{self.postgres.port()}" if "5432" in text else ""
        redis, api, health = (self._ports[name] for name in ("redis", "api-server", "scheduler"))
        home = self.folder / "homes" / host
        home.mkdir(parents=True, exist_ok=True)
        places = {
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
        # In one pass: what was put in is not looked at again.
        there = "|".join(re.escape(name) for name in places)
        return re.sub(there, lambda match: places[match[0]], text)

    def family(self, host: str) -> list[psutil.Process]:
        """The processes of a host."""
        first = psutil.Process(self._processes[host].pid)
        return [first, *first.children(recursive=True)]

    def all_run(self) -> bool:
        """True while no service has ended; the log of one that has is shown."""
        for host, process in self._processes.items():
            assert process.poll() is None, f"{host} ended: " + (self.folder / f"{host}.log").read_text()[-3000:]
        return True

    def signal(self, host: str, number: signal.Signals) -> None:
        """Sends all processes of a host a signal, as an engine does that freezes or kills a container."""
        for process in self.family(host):
            process.send_signal(number)

    def stop(self) -> None:
        """Ends everything at once."""
        for host, process in self._processes.items():
            if process.poll() is None:
                self.signal(host, signal.SIGKILL)
            process.wait()
        self.postgres.stop(for_all=True)

    def sql(self, database: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Reads one of the databases, as its owner."""
        with psycopg.connect(self.url(database)) as connection:
            return connection.execute(query, parameters or None).fetchall()

    def url(self, database: str, role: str = "") -> str:
        """The address of a database for a role that set-up made a password for."""
        names = {"airflow": "AIRFLOW_DATABASE_PASSWORD", "reader": "WAREHOUSE_READER_PASSWORD"}
        password = self.variables[names.get(role or database, "WAREHOUSE_PASSWORD")]
        return f"postgresql://{role or database}:{password}@127.0.0.1:{self.postgres.port()}/{database}"

    def visitor(self, token: str = "") -> httpx.Client:
        """Someone at the API server, who may bring a token; redirections are not followed."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.ui, headers=headers, trust_env=False, timeout=120)

    def is_up(self) -> bool:
        """Whether the API server answers."""
        try:
            return self.visitor().get("/api/v2/version").is_success
        except httpx.TransportError:
            return False

    def admin(self) -> httpx.Client:
        """The administrator whom the service `prepare` made, with a token."""
        word = {"username": self.variables["AIRFLOW_ADMIN_NAME"], "password": self.variables["AIRFLOW_ADMIN_PASSWORD"]}
        answer = self.visitor().post("/auth/token", json=word)
        assert answer.is_success, answer.text
        return self.visitor(answer.json()["access_token"])

    def signed_in(self, name: str, password: str) -> httpx.Client:
        """Someone who signed in with the form, as in a browser."""
        browser = self.visitor()
        form = browser.get("/auth/login/").text
        mark = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
        assert mark, form
        answer = browser.post("/auth/login/", data={"csrf_token": mark[1], "username": name, "password": password})
        assert answer.is_redirect, answer.text
        return browser


def missing_programs() -> list[str]:
    """What the topology needs of the system and has not."""
    return [name for name in ("redis-server", "redis-cli") if shutil.which(name) is None]
