"""A task of Airflow, or a round of the watch, in a process of its own, with at most one fault.

It is the function that Airflow runs, with the callbacks and the retry policy of its DAG. Only the context that Airflow
would provide is made here.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import psycopg
import pytest

from adventureworks.settings import PROJECT_ROOT, settings
from adventureworks.warehouse import open_warehouse
from tests.chaos.faults import Kind
from tests.interception import before_each_use

WATCH = "watch"
SHIFT = "CHAOS_SHIFT_HOURS"
"""Variable with the number of hours by which the clock of the process is moved."""

OUTPUT = "CHAOS_OUTPUT"
"""Variable with the file for the output of the process; empty: it is shown."""

State = Literal["success", "skipped", "failed", "again"]


@dataclass(frozen=True)
class Task:
    """A task of a run; `group`: the tables of a mapped task."""

    dag: str
    name: str
    run: str
    group: tuple[str, ...] = ()
    index: int = -1

    def __str__(self) -> str:
        return f"{self.run}.{self.name}{f'[{self.index}]' if self.index >= 0 else ''}"


@dataclass(frozen=True)
class Ended:
    """How an attempt of a task ended: `again` if Airflow would try it again. `events`: the assets with an event."""

    state: State
    value: Any = None
    events: tuple[str, ...] = ()
    error: str = ""
    is_expected: bool = True
    """Whether the platform itself words the error."""


@dataclass(frozen=True)
class Strike:
    """When and how a process is hit: before its `statement`-th statement, or at its end if it sends fewer."""

    kind: Kind
    statement: int


def run(task: Task, variables: Mapping[str, str], strike: Strike | None, is_last: bool, channel: Connection) -> None:
    """Run one attempt of a task and send its end. `is_last`: there is no further attempt.

    When it is hit, it sends the strike and waits for an answer, unless it is killed.
    """
    os.environ.update(variables)
    settings.cache_clear()
    if variables[OUTPUT]:
        with Path(variables[OUTPUT]).open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    patch = pytest.MonkeyPatch()
    hit = _Hit(strike, channel)
    before_each_use(patch, hit.before_statement)
    _move_clock(patch, float(variables[SHIFT]))
    ended = _watch(patch) if task.name == WATCH else _attempt(patch, task, is_last)
    hit.at_end()
    channel.send(ended)


class _Hit:
    """Counts the statements of this process, and lets the fault happen at the chosen one."""

    def __init__(self, strike: Strike | None, channel: Connection) -> None:
        self._strike, self._channel, self._sent = strike, channel, 0

    def before_statement(self) -> None:
        self._sent += 1
        if self._strike and self._sent >= self._strike.statement:
            self.at_end()

    def at_end(self) -> None:
        if not self._strike:
            return
        strike, self._strike = self._strike, None
        self._channel.send((strike, self._sent))
        if strike.kind in {Kind.TASK_KILLED, Kind.WATCH_KILLED}:
            os.kill(os.getpid(), signal.SIGKILL)
        self._channel.recv()


def _move_clock(patch: pytest.MonkeyPatch, hours: float) -> None:
    """Move the clock for the modules that decide by it. Records have PostgreSQL's clock, and models none."""
    from adventureworks.messaging import sending
    from adventureworks.orchestration import notify, watch

    class Moved(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(hours=hours)

    for module in (notify, sending, watch) if hours else ():
        patch.setattr(module, "datetime", Moved)


@cache
def declared(dag: str) -> Any:
    """Return a DAG as its file declares it."""
    [file] = (PROJECT_ROOT / "dags").rglob(f"{dag}.py")
    spec = importlib.util.spec_from_file_location(f"chaos_{dag}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, dag)()


class _Sent:
    """The payload of an event, or the states, that a task sends for one asset."""

    extra: Mapping[str, Any]

    def set(self, key: str, value: Any) -> None:
        pass


class _Outlets:
    """Airflow's accessor to the outlets of a task."""

    def __getitem__(self, outlet: Any) -> _Sent:
        return _Sent()


def _attempt(patch: pytest.MonkeyPatch, task: Task, is_last: bool) -> Ended:
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

    from adventureworks.orchestration import analyses, ingestion, schedules

    operator = declared(task.dag).get_task(task.name)
    instance = SimpleNamespace(
        dag_id=task.dag,
        task_id=task.name,
        run_id=task.run,
        map_index=task.index,
        log_url="",
        rendered_map_index=None,
        xcom_push=lambda key, value: None,
    )
    # Half of the runs scan all tables of the source, as those that the calendar starts do.
    run_type = ("scheduled", "asset_triggered")[sum(task.run.encode()) % 2]
    dag_run = SimpleNamespace(dag_id=task.dag, run_id=task.run, run_type=run_type, conf={})
    context: dict[str, Any] = {"ti": instance, "task": operator, "dag_run": dag_run}
    for module in (analyses, ingestion, schedules):
        patch.setattr(module, "get_current_context", lambda: context)
    function = getattr(operator, "python_callable", None) or operator.partial_kwargs["python_callable"]
    provided = {"outlet_events": _Outlets(), "asset_state_store": _Outlets(), "group": list(task.group)}
    given = {name: provided[name] for name in inspect.signature(function).parameters}
    try:
        value = function(**given)
    except AirflowSkipException as skipped:
        return Ended("skipped", error=str(skipped))
    except Exception as error:
        may_retry = not isinstance(error, AirflowFailException) and _is_retried(operator, error)
        if may_retry and not is_last:
            return Ended("again", error=repr(error))
        _call(operator.on_failure_callback, {**context, "exception": error})
        return Ended("failed", error=repr(error), is_expected=may_retry or isinstance(error, AirflowFailException))
    _call(operator.on_success_callback, context)
    return Ended("success", value, tuple(outlet.name for outlet in operator.outlets))


def _call(callbacks: Any, context: Mapping[str, Any]) -> None:
    """Call the callbacks of a task; those of a mapped task are not in a list."""
    for callback in callbacks if isinstance(callbacks, list) else [callbacks]:
        callback(context)


def _is_retried(operator: Any, error: Exception) -> bool:
    from airflow.sdk import RetryAction

    return bool(operator.retry_policy.evaluate(error, 1, operator.retries).action != RetryAction.FAIL)


def _watch(patch: pytest.MonkeyPatch) -> Ended:
    """Run a round of the watch, then the dispatcher until events had their time to start what is due."""
    from adventureworks.orchestration import dispatch, watch
    from adventureworks.orchestration.dispatch import GRACE_WHILE_INPUTS_RUN, Dispatcher, Start

    known = settings()
    assert known.metadata_url is not None
    url = known.metadata_url.get_secret_value()

    def trigger(start: Start) -> bool:
        with psycopg.connect(url) as airflow:
            found = airflow.execute(
                "select 1 from dag_run where (dag_id, run_id) = (%s, %s)", (start.dag, start.run_id)
            )
            if found.fetchone():
                return False
            airflow.execute(
                "insert into dag_run (id, dag_id, run_id, state, queued_at)"
                " select coalesce(max(id), 0) + 1, %s, %s, 'queued', now() from dag_run",
                (start.dag, start.run_id),
            )
        return True

    patch.setattr(dispatch, "_trigger", trigger)
    try:
        watch.watch(known, url, every=1, once=True)
        dispatcher, started = Dispatcher(known), []
        # Long enough for every pause after a failure.
        now = datetime.now(UTC) + timedelta(hours=1)
        for moment in (now, now + GRACE_WHILE_INPUTS_RUN):
            with open_warehouse(known).connect("dispatch") as session, psycopg.connect(url) as airflow:
                started += dispatcher.round(session, airflow, moment)
    except Exception as error:
        return Ended("again", error=repr(error))
    return Ended("success", [f"{start.dag}: {start.reason}" for start in started])
