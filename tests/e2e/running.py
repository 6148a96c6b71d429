"""The platform as started by `adventureworks run`, and access to it from outside."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg
from pydantic import SecretStr

from adventureworks.catalog import INGESTION
from adventureworks.embedded.home import Home
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.embedded.supervisor import marked_processes
from adventureworks.gate.detect import difference
from adventureworks.settings import Settings

Found = TypeVar("Found")
START_TIMEOUT_SECONDS = 600


@dataclass
class Inbox:
    """The messages received by a mail server and a Slack webhook."""

    mails: list[EmailMessage] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)

    def about(self, subject: str) -> tuple[list[EmailMessage], list[str]]:
        """Return the mails and posts about something; messages about other things may arrive at the same time."""
        mails = [mail for mail in self.mails if subject in str(mail["subject"])]
        return mails, [text for text in map(json.dumps, self.posts) if subject in text]

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


class Databases:
    """The databases of a platform. Connections stay open, because tests that wait ask them several times a second."""

    def __init__(self, url_of: Callable[[str], str]) -> None:
        self._url_of = url_of
        self._connections: dict[str, psycopg.Connection] = {}

    def sql(self, database: str, query: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run a statement that returns rows, in a transaction of its own."""
        connection = self._connections.get(database) or self._connect(database)
        try:
            return connection.execute(query, parameters or None).fetchall()
        except psycopg.OperationalError:
            if not connection.closed:
                raise
        # The server has restarted since the last statement.
        return self._connect(database).execute(query, parameters or None).fetchall()

    def _connect(self, database: str) -> psycopg.Connection:
        # Never prepared: migrations and tests change the tables.
        connection = psycopg.connect(self._url_of(database), autocommit=True, prepare_threshold=None)
        self._connections[database] = connection
        return connection

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()


class RunningPlatform:
    """A platform that is running in a home, accessed through its databases and its API."""

    def __init__(self, home: Path, output: list[str]) -> None:
        self.output = output
        self._changed_at: datetime | None = None
        self.postgres = EmbeddedPostgres(home)
        self._databases = Databases(self.postgres.url)
        self.home = home
        self.ui = next(line.split()[1] for line in output if line.startswith("UI:"))
        passwords = json.loads((home / "secrets" / "airflow-passwords.json").read_text())
        body = {"username": "admin", "password": passwords["admin"]}
        self._token = self.api("/auth/token", body, token=None)["access_token"]

    def scheduler(self) -> psutil.Process:
        """Return the process of the scheduler."""
        found = marked_processes(Home(self.home))
        [scheduler] = [one for one in found if "adventureworks scheduler" in " ".join(one.cmdline())]
        return scheduler

    def sql(self, database: str, query: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run a statement that returns rows in one of the databases."""
        return self._databases.sql(database, query, parameters)

    def close(self) -> None:
        """Close the connections with the databases."""
        self._databases.close()

    def change(self, *statements: str) -> None:
        """Change the source in one transaction."""
        with psycopg.connect(self.postgres.url("source")) as connection:
            for statement in statements:
                connection.execute(statement)
            row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        self._changed_at = row[0]

    def api(self, path: str, body: dict[str, Any] | None = None, token: str | None = "own") -> dict[str, Any]:
        """Call Airflow's REST API as the signed-in user."""
        request = urllib.request.Request(self.ui + path, headers={"Content-Type": "application/json"})
        if token:
            request.add_header("Authorization", f"Bearer {self._token if token == 'own' else token}")
        if body is not None:
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))

    def newest(self, asset: str) -> tuple[int, dict[str, int]]:
        """Return the newest version of an asset and the versions of its inputs."""
        version, inputs = self.sql(
            "warehouse",
            "select version, inputs from ops.publication where asset = %s order by version desc limit 1",
            (asset,),
        )[0]
        return version, json.loads(inputs) if inputs else {}

    def runs(self, dag: str) -> int:
        """Return the number of runs of a DAG that published something."""
        if dag == INGESTION:
            query = "select count(distinct run_id) from ops.publication where run_id like 'ingest_source/%'"
            return int(self.sql("warehouse", query)[0][0])
        return int(
            self.sql(
                "airflow",
                "select count(*) from task_instance where dag_id = %s and task_id = 'refresh' and state = 'success'",
                (dag,),
            )[0][0]
        )

    def is_idle(self) -> bool:
        """Return whether nothing is running or about to run, the last change was read, and every message is sent."""
        # Check twice: runs started by the change may have begun in the meantime.
        return self._nothing_waits() and self._has_read_the_last_change() and self._nothing_waits()

    def _nothing_waits(self) -> bool:
        waiting = {
            "airflow": "select 1 from dag_run where state in ('queued', 'running')"
            " union all select 1 from asset_dag_run_queue limit 1",
            "warehouse": "select 1 from ops.outbox where sent_at is null and given_up_at is null limit 1",
        }
        return not any(self.sql(database, query) for database, query in waiting.items())

    def _has_read_the_last_change(self) -> bool:
        # Source and warehouse are on one server and share its clock.
        later = "select 1 from ops.change where detected_at > %s limit 1"
        if self._changed_at is None or self.sql("warehouse", later, (self._changed_at,)):
            return True
        # `detected_at` is the start of a detection, which also reads changes committed later.
        source, warehouse = self.postgres.url("source", "source_reader"), self.postgres.url("warehouse")
        settings = Settings(source_url=SecretStr(source), warehouse_url=SecretStr(warehouse))
        return difference(settings) is None

    def state(self) -> str:
        """Return a summary of the platform's state that helps to find out why a test failed."""
        queries = {
            "now": ("airflow", "select now()"),
            "newest runs": (
                "airflow",
                "select dag_id, run_id, state, queued_at, start_date, end_date from dag_run order by id desc limit 40",
            ),
            "unfinished tasks": (
                "airflow",
                "select dag_id, task_id, state, try_number, queued_dttm, start_date from task_instance"
                " where state is not null and state not in ('success', 'skipped', 'removed') order by id desc limit 40",
            ),
            "queued asset events": ("airflow", "select * from asset_dag_run_queue"),
            "triggers": ("airflow", "select id, classpath, triggerer_id from trigger"),
            "heartbeats": ("airflow", "select job_type, state, latest_heartbeat from job order by id desc limit 8"),
            "changes": (
                "warehouse",
                "select run_id, asset, status, detected_at from ops.change order by detected_at desc limit 20",
            ),
            "incidents": ("warehouse", "select asset, rule, status from ops.incident where resolved_at is null"),
        }
        lines = [f"source changed at {self._changed_at}"]
        for name, (database, query) in queries.items():
            lines += [f"-- {name}", *(" | ".join(map(str, row)) for row in self.sql(database, query))]
        return "\n".join([*lines, "-- output", *map(str.rstrip, self.output[-30:])])


def wait_for(condition: Callable[[], Found], seconds: float = 240) -> Found:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.2)
    return found
