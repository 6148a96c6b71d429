"""The health and the runs of the local Airflow, over HTTP and from its database.

Runs are started through the REST API, as they would be anywhere. Progress is read from the metadata database, which
takes next to no processor time on a laptop with two cores.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

import psycopg
from pydantic import SecretStr

from adventureworks.errors import PlatformError, ServiceUnavailable

_DONE = ("success", "failed")
_direct = build_opener(ProxyHandler({}))


class AirflowApi:
    """Client of the local Airflow's REST API, as its only user."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._credentials = {"username": user, "password": password}
        self._token = ""

    def unhealthy(self) -> list[str]:
        """Return the parts of Airflow that are not up yet; empty if all are."""
        try:
            health = self._ask("/api/v2/monitor/health")
        except ServiceUnavailable:
            return ["api-server"]
        return [part for part, state in health.items() if (state or {}).get("status") != "healthy"]

    def trigger(self, dag: str) -> str:
        """Start a run and return its id."""
        run = self._ask(f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None}, authenticated=True)
        return str(run["dag_run_id"])

    def _ask(self, path: str, body: dict[str, Any] | None = None, authenticated: bool = False) -> Any:
        headers = {"Content-Type": "application/json"}
        if authenticated:
            if not self._token:
                self._token = str(self._ask("/auth/token", self._credentials)["access_token"])
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._url + path, data=data, headers=headers)  # noqa: S310 - always http://127.0.0.1
        try:
            with _direct.open(request, timeout=20) as answer:
                return json.load(answer)
        except HTTPError as error:
            raise PlatformError(f"Airflow rejected {path}: {error.code} {error.reason}.") from None
        except (URLError, OSError) as error:
            raise ServiceUnavailable(f"Airflow does not answer at {self._url}: {error}.") from None


@dataclass(frozen=True)
class Step:
    """One task of a run; if it is mapped, it counts several task instances."""

    task: str
    done: int
    total: int
    running: bool


@dataclass(frozen=True)
class Run:
    """A run that is queued or running."""

    dag: str
    run_id: str
    steps: tuple[Step, ...]

    @property
    def started(self) -> bool:
        """Whether any of its tasks has begun."""
        return any(step.done or step.running for step in self.steps)

    def __str__(self) -> str:
        shown = [_step(step) for step in self.steps if step.done or step.running]
        return f"{self.dag}: {' · '.join(shown) or 'queued'}"


@dataclass(frozen=True)
class FailedTask:
    """A task that failed in a failed run."""

    dag: str
    run_id: str
    task: str
    log: Path


class Metadata:
    """Airflow's database, opened only for reading."""

    def __init__(self, url: SecretStr, log_folder: Path) -> None:
        self._url = url
        self._logs = log_folder

    def knows(self, dag: str) -> bool:
        """Return whether the DAG processor has read a DAG."""
        with self.connect() as connection:
            return (
                connection.execute("select 1 from dag where dag_id = %s and not is_stale", (dag,)).fetchone()
                is not None
            )

    def import_errors(self) -> list[str]:
        """Return the DAG files that cannot be read, each with the last line of its error."""
        with self.connect() as connection:
            rows = connection.execute("select filename, stacktrace from import_error order by filename").fetchall()
        return [f"{name}: {(trace or '').strip().splitlines()[-1:] or ['?']}" for name, trace in rows]

    def active(self, after: int = 0) -> list[Run]:
        """Return the runs (those newer than run number `after`) that are running or about to run, oldest first.

        Runs queued for a paused DAG are left out: they wait for a user, and have not done anything yet.
        """
        runs = """
            select dag_id, run_id from dag_run where id > %s and (state = 'running' or state = 'queued'
                and not exists (select from dag where dag.dag_id = dag_run.dag_id and dag.is_paused))
            order by id
        """
        tasks = """
            select task_id, count(*) filter (where state = any(%s)), count(*),
                coalesce(bool_or(state = 'running'), false)
            from task_instance where dag_id = %s and run_id = %s
            group by task_id order by min(start_date) nulls last
        """
        with self.connect() as connection:
            found = connection.execute(runs, (after,)).fetchall()
            return [
                Run(
                    dag,
                    run,
                    tuple(
                        Step(task, done, total, running)
                        for task, done, total, running in connection.execute(tasks, (list(_DONE), dag, run))
                    ),
                )
                for dag, run in found
            ]

    def pending_events(self) -> int:
        """Return how many events have not started a run yet."""
        query = """
            select count(*) from asset_dag_run_queue as queue join dag on dag.dag_id = queue.target_dag_id
            where not dag.is_paused and not dag.is_stale
        """
        with self.connect() as connection:
            row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def newest_run(self) -> int:
        """Return the number of the newest run. Numbers only grow, so later runs have higher ones."""
        with self.connect() as connection:
            row = connection.execute("select coalesce(max(id), 0) from dag_run").fetchone()
        return int(row[0]) if row else 0

    def failed(self, after: int) -> list[FailedTask]:
        """Return the failed tasks of runs newer than number `after` whose DAG has not succeeded since."""
        query = """
            select task.dag_id, task.run_id, task.task_id, task.map_index, task.try_number
            from task_instance task join dag_run run using (dag_id, run_id)
            where task.state = 'failed' and run.state = 'failed' and run.id > %s
            and not exists (
                select from dag_run later
                where later.dag_id = run.dag_id and later.id > run.id and later.state = 'success'
            )
            order by run.id, task.task_id, task.map_index
        """
        with self.connect() as connection:
            rows = connection.execute(query, (after,)).fetchall()
        return [
            FailedTask(dag, run, task, self._log(dag, run, task, index, tries)) for dag, run, task, index, tries in rows
        ]

    def _log(self, dag: str, run_id: str, task: str, map_index: int, tries: int) -> Path:
        folder = self._logs / f"dag_id={dag}" / f"run_id={run_id}" / f"task_id={task}"
        if map_index >= 0:
            folder /= f"map_index={map_index}"
        return folder / f"attempt={tries}.log"

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection]:
        """Provide a read-only connection. Raises `ServiceUnavailable` if the database does not answer."""
        try:
            with psycopg.connect(self._url.get_secret_value(), connect_timeout=10) as connection:
                connection.read_only = True
                yield connection
        except psycopg.OperationalError as error:
            raise ServiceUnavailable(f"Airflow's database does not answer: {str(error).splitlines()[0]}.") from None


def _step(step: Step) -> str:
    count = f" {step.done}/{step.total}" if step.total > 1 else ""
    return f"{step.task}{count}{' …' if step.running and not count else ''}"
