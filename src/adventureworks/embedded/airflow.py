"""The local Airflow on the local PostgreSQL: how its services and the watch are configured and started.

Everything listens on 127.0.0.1. Secrets reach the services through their environment, never on a command line.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version

from adventureworks.embedded.home import Home, write_private
from adventureworks.embedded.postgres import HOST, free_port
from adventureworks.embedded.services import Endpoints
from adventureworks.embedded.supervisor import Service
from adventureworks.errors import PlatformError, ServiceUnavailable
from adventureworks.settings import WATCH_HEARTBEAT, Settings

USER = "admin"
USUAL_PORT = 8080
PASSWORDS_FILE = "airflow-passwords.json"
SERVICES = {
    # It takes the longest to start.
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
WATCH = "watch"
AIRFLOW = "adventureworks.embedded.service"
"""The module that runs Airflow's commands."""
STOP_SECONDS = {
    # It finishes the message that it is sending.
    WATCH: 5.0,
    # Running tasks may finish; those that do not are restarted at the next start.
    "scheduler": 15.0,
    # These have nothing to finish: what they change in the database, they change in transactions.
    "dag-processor": 0.0,
    "triggerer": 0.0,
    "api-server": 0.0,
}
"""Seconds that a service has to stop when asked to."""

TUNING = {
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "5",
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    # One event may start most analyses. They must be queued together, or workers take the short ones first.
    "AIRFLOW__SCHEDULER__MAX_DAGRUNS_TO_CREATE_PER_LOOP": "30",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "120",
    # Changed files are noticed soon; unchanged ones need not be parsed repeatedly on a laptop.
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
    # Nothing here draws DAGs with it, and `airflow dags` would advise to install it.
    "PYTHONWARNINGS": "ignore:Could not import graphviz",
    "SCARF_ANALYTICS": "false",
    "DO_NOT_TRACK": "1",
}
"""Default settings, which the caller's environment may override."""


def choose_port(home: Home, wanted: int | None) -> int:
    """Return the port of the UI: the wanted one, else the one used last, else the usual one, else any free one.

    Raises `PlatformError` if the wanted port is in use.
    """
    if wanted is not None:
        if not _is_free(wanted):
            raise PlatformError(
                f"Port {wanted} on {HOST} is in use.",
                "Choose another with --port N, or leave out --port to use a free one.",
            )
        return wanted
    candidates = [home.remembered("ui_port"), USUAL_PORT]
    return next((port for port in candidates if isinstance(port, int) and _is_free(port)), 0) or free_port()


def ui_url(port: int) -> str:
    """Return the address of the UI."""
    return f"http://{HOST}:{port}"


def password(home: Home) -> str:
    """Return the password of the UI's user."""
    passwords = json.loads(home.secret(PASSWORDS_FILE, lambda: json.dumps({USER: secrets.token_urlsafe(18)})))
    return str(passwords[USER])


def environment(
    home: Home, settings: Settings, endpoints: Endpoints, source: Mapping[str, str], port: int
) -> dict[str, str]:
    """Return the environment of the services, and so of every task. It contains secrets."""
    password(home)
    metadata = endpoints.metadata_url.get_secret_value().replace("postgresql://", "postgresql+psycopg2://", 1)
    replaced = ("ADVENTUREWORKS_SOURCE", "ADVENTUREWORKS_SOURCE_URL")
    inherited = {name: value for name, value in os.environ.items() if name not in replaced}
    return {
        **TUNING,
        **inherited,
        **_without_proxy(),
        "AIRFLOW_HOME": str(home.path / "airflow"),
        "AIRFLOW__CORE__EXECUTOR": "adventureworks.embedded.executor.WarmLocalExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(settings.dags_folder.absolute()),
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home.secrets / PASSWORDS_FILE),
        "AIRFLOW__CORE__FERNET_KEY": home.secret("airflow-fernet", _fernet_key),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{ui_url(port)}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": ui_url(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": home.secret("airflow-api"),
        "AIRFLOW__API_AUTH__JWT_SECRET": home.secret("airflow-jwt", lambda: secrets.token_urlsafe(64)),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home.logs / "airflow"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home.logs / "airflow" / "dag-processor"),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "ADVENTUREWORKS_HOME": str(home.path),
        "ADVENTUREWORKS_WAREHOUSE_URL": endpoints.warehouse_url.get_secret_value(),
        "ADVENTUREWORKS_UI_URL": ui_url(port),
        **source,
        # Process titles must not overwrite the environment, where the supervisor looks for its mark.
        "SPT_NOENV": "1",
        "PYTHONUNBUFFERED": "1",
    }


def prepare_folder(home: Home) -> None:
    """Create Airflow's folder with a file of settings that sets nothing, unless there is one.

    Otherwise, the first process that imports Airflow writes all defaults there, while others may already read the file.
    """
    folder = home.path / "airflow"
    folder.mkdir(mode=0o700, exist_ok=True)
    settings = folder / "airflow.cfg"
    if not settings.exists():
        write_private(settings, "# Own settings of Airflow may be added here; the environment takes precedence.\n")


def prepare_database(home: Home, endpoints: Endpoints, variables: Mapping[str, str]) -> bool:
    """Migrate Airflow's database to the installed version. Return False if it was already up to date."""
    import psycopg

    installed = f"airflow {version('apache-airflow')}"
    question = "select shobj_description(oid, 'pg_database') from pg_database where datname = current_database()"
    with psycopg.connect(endpoints.metadata_url.get_secret_value()) as connection:
        if connection.execute(question).fetchone() == (installed,):
            return False
    log = home.logs / "migration.log"
    with log.open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", AIRFLOW, "db", "migrate"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=variables,
        )
    if done.returncode != 0:
        raise PlatformError("Airflow's database could not be prepared.", f"Its log: {log}")
    with psycopg.connect(endpoints.metadata_url.get_secret_value()) as connection:
        connection.execute(f"comment on database {connection.info.dbname} is '{installed}'")
    return True


def mark_jobs_failed(endpoints: Endpoints, kind: str | None = None) -> None:
    """Mark the jobs of dead services (of all kinds, or of one) as failed: the next scheduler takes over their tasks.

    Call it only when none of these services is alive. Without it, Airflow would wait until heartbeats are missed.
    Raises `ServiceUnavailable` if the database does not answer.
    """
    import psycopg

    from adventureworks import airflow_tables

    try:
        with psycopg.connect(endpoints.metadata_url.get_secret_value()) as connection:
            airflow_tables.mark_jobs_failed(connection, kind)
    except psycopg.OperationalError:
        raise ServiceUnavailable("Airflow's database does not answer.") from None


def services(home: Home, variables: Mapping[str, str]) -> list[Service]:
    """Return the four services of Airflow and the watch."""
    return [
        *_airflow_services(home, variables),
        Service(
            WATCH,
            ["adventureworks.cli", "watch"],
            variables,
            home.logs / f"{WATCH}.log",
            stop_seconds=STOP_SECONDS[WATCH],
            heartbeat=home.path / WATCH_HEARTBEAT,
            is_forked=True,
        ),
    ]


def _airflow_services(home: Home, variables: Mapping[str, str]) -> list[Service]:
    return [
        Service(
            name,
            [AIRFLOW, *arguments],
            variables,
            home.logs / f"{name}.log",
            stop_seconds=STOP_SECONDS[name],
            # Tasks report their state through it.
            ends_last=name == "api-server",
            is_forked=True,
        )
        for name, arguments in SERVICES.items()
    ]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii")


def _without_proxy() -> dict[str, str]:
    """Return the variables that exclude local addresses from a proxy."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = ",".join([*filter(None, given.split(",")), HOST, "localhost"])
    return {"no_proxy": hosts, "NO_PROXY": hosts}
