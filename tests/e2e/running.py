"""The platform as a user runs it: `adventureworks run`, and what can be seen of it from outside."""

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

import psycopg
from pydantic import SecretStr

from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.gate.detect import difference
from adventureworks.settings import Settings

Found = TypeVar("Found")
UP_WITHIN_SECONDS = 600


@dataclass
class Inbox:
    """A mail server and a Slack webhook that keep what they get."""

    mails: list[EmailMessage] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)

    def about(self, what: str) -> tuple[list[EmailMessage], list[str]]:
        """The mails and posts that name something; others may be told of at the same time."""
        mails = [mail for mail in self.mails if what in str(mail["subject"])]
        return mails, [text for text in map(json.dumps, self.posts) if what in text]

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


class RunningPlatform:
    """A home in which the platform is up, and what it shows to the outside."""

    def __init__(self, home: Path, output: list[str]) -> None:
        self.output = output
        self._changed_at: datetime | None = None
        self.postgres = EmbeddedPostgres(home)
        self.home = home
        self.ui = next(line.split()[1] for line in output if line.startswith("UI:"))
        passwords = json.loads((home / "secrets" / "airflow-passwords.json").read_text())
        body = {"username": "admin", "password": passwords["admin"]}
        self._token = self.api("/auth/token", body, token=None)["access_token"]

    def sql(self, database: str, query: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Reads one of the databases."""
        with psycopg.connect(self.postgres.url(database)) as connection:
            return connection.execute(query, parameters or None).fetchall()

    def change(self, *statements: str) -> None:
        """Changes the source, in one transaction."""
        with psycopg.connect(self.postgres.url("source")) as connection:
            for statement in statements:
                connection.execute(statement)
            row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        self._changed_at = row[0]

    def api(self, path: str, body: dict[str, Any] | None = None, token: str | None = "own") -> dict[str, Any]:
        """Airflow's REST API, as the signed-in user."""
        request = urllib.request.Request(self.ui + path, headers={"Content-Type": "application/json"})
        if token:
            request.add_header("Authorization", f"Bearer {self._token if token == 'own' else token}")
        if body is not None:
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))

    def newest(self, asset: str) -> tuple[int, dict[str, int]]:
        """The newest version of an asset and its inputs."""
        version, inputs = self.sql(
            "warehouse",
            "select version, inputs from ops.publication where asset = %s order by version desc limit 1",
            (asset,),
        )[0]
        return version, json.loads(inputs) if inputs else {}

    def runs(self, dag: str) -> int:
        """Runs of a DAG that published something."""
        return int(
            self.sql(
                "airflow",
                "select count(*) from task_instance"
                " where dag_id = %s and task_id like 'publish%%' and state = 'success'",
                (dag,),
            )[0][0]
        )

    def quiet(self) -> bool:
        """Nothing runs or is about to: the last change was read, and every message is sent."""
        # Asked again: what the change started may have begun meanwhile.
        return self._is_idle() and self._has_read_the_last_change() and self._is_idle()

    def _is_idle(self) -> bool:
        waits = {
            "airflow": "select 1 from dag_run where state in ('queued', 'running')"
            " union all select 1 from asset_dag_run_queue limit 1",
            "warehouse": "select 1 from ops.outbox where sent_at is null and given_up_at is null limit 1",
        }
        return not any(self.sql(database, question) for database, question in waits.items())

    def _has_read_the_last_change(self) -> bool:
        # One server holds source and warehouse: one clock.
        later = "select 1 from ops.change where detected_at > %s limit 1"
        if self._changed_at is None or self.sql("warehouse", later, (self._changed_at,)):
            return True
        # `detected_at` is when a detection began; it reads what is committed after that, too.
        source, warehouse = self.postgres.url("source", "source_reader"), self.postgres.url("warehouse")
        settings = Settings(source_url=SecretStr(source), warehouse_url=SecretStr(warehouse))
        return difference(settings) is None

    def state(self) -> str:
        """What somebody needs to know who asks why something did not happen."""
        questions = {
            "now": ("airflow", "select now()"),
            "newest runs": (
                "airflow",
                "select dag_id, run_id, state, queued_at, start_date, end_date from dag_run order by id desc limit 40",
            ),
            "tasks at work": (
                "airflow",
                "select dag_id, task_id, state, try_number, queued_dttm, start_date from task_instance"
                " where state is not null and state not in ('success', 'skipped', 'removed') order by id desc limit 40",
            ),
            "alarms": ("airflow", "select * from asset_dag_run_queue"),
            "triggers": ("airflow", "select id, classpath, triggerer_id from trigger"),
            "heartbeats": ("airflow", "select job_type, state, latest_heartbeat from job order by id desc limit 8"),
            "changes": (
                "warehouse",
                "select run_id, asset, status, detected_at from ops.change order by detected_at desc limit 20",
            ),
            "incidents": ("warehouse", "select asset, rule, status from ops.incident where resolved_at is null"),
        }
        lines = [f"source changed at {self._changed_at}"]
        for name, (database, question) in questions.items():
            lines += [f"-- {name}", *(" | ".join(map(str, row)) for row in self.sql(database, question))]
        return "\n".join([*lines, "-- output", *map(str.rstrip, self.output[-30:])])


def wait_for(what: Callable[[], Found], seconds: float = 240) -> Found:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
    return found
