"""The local Airflow: no task starts before the API server answers, and the omitted services are not needed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from airflow.sdk.execution_time.supervisor import ActivitySubprocess

from adventureworks.cli.run import _first_services
from adventureworks.embedded import executor
from adventureworks.orchestration import warm

EXECUTION_API = """
import sys
from adventureworks.embedded.service import BeforeExecutionApi
sys.meta_path.insert(0, BeforeExecutionApi())
from airflow.api_fastapi.execution_api.app import create_task_execution_api_app
from airflow.api_fastapi.execution_api import versions
assert len(versions.bundle.versions) == 1, "generating the older ones takes seconds"
from airflow.sdk.api.datamodels._generated import API_VERSION
from starlette.testclient import TestClient
client = TestClient(create_task_execution_api_app())
response = client.get(f"/openapi.json?version={API_VERSION}")
assert response.is_success, response.text
print(*sorted(response.json()["paths"]))
"""


def test_executor_waits_until_the_api_server_is_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    class ApiServer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, 503 if len(asked) < 2 else 200))
            self.send_response(asked[-1][1])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), ApiServer)
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", f"http://127.0.0.1:{server.server_port}/execution/")
    starting = threading.Timer(0.2, server.serve_forever)
    starting.start()
    forked: list[int] = []
    monkeypatch.setattr(executor, "warm_up", lambda: None)
    monkeypatch.setattr(executor.LocalExecutor, "start", lambda self: forked.append(len(asked)))
    executor.WarmLocalExecutor().start()
    server.shutdown()
    server.server_close()
    starting.join()
    assert asked == [("/execution/health", 503), ("/execution/health", 503), ("/execution/health", 200)]
    assert forked == [3], "workers are forked only after that"


def test_end_of_a_task_that_closed_its_sockets_is_noticed_before_the_next_heartbeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []

    def select(timeout: float) -> list[Any]:
        waits.append(timeout)
        return []

    supervised: Any = SimpleNamespace(
        _open_sockets={"stdout"},
        selector=SimpleNamespace(select=select),
        _check_subprocess_exit=lambda **_: None,
    )
    monkeypatch.setattr(ActivitySubprocess, "_service_subprocess", ActivitySubprocess._service_subprocess)
    monkeypatch.setattr(ActivitySubprocess, "_on_child_started", ActivitySubprocess._on_child_started)
    warm._relieve_supervisors()
    ActivitySubprocess._service_subprocess(supervised, max_wait_time=5.0)
    supervised._open_sockets.clear()
    ActivitySubprocess._service_subprocess(supervised, max_wait_time=5.0)
    assert waits == [5.0, warm.ENDING_SECONDS]


def test_start_of_a_task_counts_as_its_first_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[UUID] = []
    supervised: Any = SimpleNamespace(
        id=UUID(int=1),
        _last_heartbeat_attempt=0.0,
        _last_successful_heartbeat=time.monotonic(),
        _terminal_state=None,
        _process=SimpleNamespace(pid=1),
        client=SimpleNamespace(task_instances=SimpleNamespace(heartbeat=lambda task, pid: sent.append(task))),
    )
    monkeypatch.setattr(ActivitySubprocess, "_service_subprocess", ActivitySubprocess._service_subprocess)
    monkeypatch.setattr(ActivitySubprocess, "_on_child_started", lambda self, **_: None)
    warm._relieve_supervisors()
    ActivitySubprocess._on_child_started(supervised)  # type: ignore[call-arg]
    ActivitySubprocess._send_heartbeat_if_needed(supervised)
    assert sent == []
    supervised._last_heartbeat_attempt -= 3600
    ActivitySubprocess._send_heartbeat_if_needed(supervised)
    assert sent == [supervised.id]


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The timeouts of the waits for a task to end. None ends, and no time passes otherwise."""
    timeouts: list[float] = []

    def waited(_: object, timeout: float) -> list[object]:
        timeouts.append(timeout)
        return []

    monkeypatch.setattr(executor, "wait", waited)
    monkeypatch.setattr(executor.time, "monotonic", lambda: sum(timeouts))
    monkeypatch.setattr(executor.LocalExecutor, "sync", lambda self: None)
    return timeouts


def executor_with(work: list[bool], queued: int = 0, running: int = 0) -> Any:
    """An executor whose checks for work in Airflow's database return these answers, and then False."""
    own: Any = executor.WarmLocalExecutor()
    own.result_queue = SimpleNamespace(_reader=None)
    own.queued_tasks = dict.fromkeys(range(queued))
    own.running = set(range(running))
    answers = iter(work)
    own._work = SimpleNamespace(exists=lambda: next(answers, False))
    return own


def test_scheduler_does_not_rest_with_tasks_to_start(rests: list[float]) -> None:
    executor_with([False], queued=1).sync()
    assert rests == []


@pytest.mark.parametrize(("work", "running"), [([], 1), ([True], 0)], ids=["a task is running", "a run is active"])
def test_scheduler_rests_shortly_while_there_is_work(rests: list[float], work: list[bool], running: int) -> None:
    executor_with(work, running=running).sync()
    assert rests == [executor.REST_SECONDS]


def test_idle_scheduler_rests_until_there_is_work(rests: list[float]) -> None:
    executor_with([False, False, True]).sync()
    assert rests == [executor.REST_SECONDS, executor.CHECK_SECONDS, executor.CHECK_SECONDS]


def test_idle_scheduler_returns_in_time_for_its_heartbeat(rests: list[float]) -> None:
    executor_with([]).sync()
    longest = executor.REST_SECONDS + executor.LONG_REST_SECONDS
    assert sum(rests) == pytest.approx(longest, abs=executor.CHECK_SECONDS)


def test_scheduler_handles_a_database_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql+psycopg2://airflow@127.0.0.1:1/airflow")
    assert executor._Work().exists(), "so that the scheduler tries, and reports it"


@pytest.mark.parametrize(
    ("source_is_filled", "knows_dags", "scheduler"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_nothing_runs_before_the_source_is_filled_and_the_dags_are_known(
    source_is_filled: bool, knows_dags: bool, scheduler: bool
) -> None:
    first = _first_services(source_is_filled=source_is_filled, knows_dags=knows_dags)
    assert first[0] == "api-server"
    assert ("scheduler" in first) is scheduler


def test_api_server_offers_the_version_that_tasks_use(tmp_path: Path) -> None:
    variables = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite://",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
    }
    done = subprocess.run(
        [sys.executable, "-c", EXECUTION_API], env=variables, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    paths = set(done.stdout.splitlines()[-1].split())
    assert {"/task-instances/{task_instance_id}/run", "/xcoms/{dag_id}/{run_id}/{task_id}/{key}"} <= paths
