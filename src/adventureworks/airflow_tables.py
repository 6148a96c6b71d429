"""Airflow's own tables: every statement of the platform that reads or changes them is here.

They are not an interface that Airflow keeps stable, so an upgrade of Airflow has to be checked against this module.
Each function takes a connection to Airflow's database.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]
Waiting = tuple[int, datetime | None]
"""The number of items in a queue, and since when the oldest one has been waiting."""

CLEANED_TABLES = (
    "asset_event,callback,celery_taskmeta,celery_tasksetmeta,dag_run,deadline,import_error,job,log,revoked_token,"
    "task_instance,task_instance_history,task_reschedule,trigger,xcom"
)
"""The tables for `airflow db clean`, without `dag` and `dag_version`, which hold the paused state and do not grow with
the number of runs."""

_DONE = ("success", "failed")
_ENDED = (*_DONE, "skipped", "upstream_failed", "removed")
_OF_PAUSED_DAG = "exists (select from dag where dag.dag_id = w.dag_id and dag.is_paused)"


@dataclass(frozen=True)
class DagState:
    """The state of a DAG."""

    is_paused: bool
    is_active: bool
    """Whether a run is queued or running."""
    has_event: bool = False
    """Whether an event was sent that starts a run."""
    failed_at: datetime | None = None
    """When the newest run ended, if it failed."""
    tried: Sequence[tuple[str, datetime | None]] = ()
    """Id and end of each run that was started because it was due."""


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
        shown = [_shown(step) for step in self.steps if step.done or step.running]
        return f"{self.dag}: {' · '.join(shown) or 'queued'}"


@dataclass(frozen=True)
class FailedTask:
    """A task that failed in a failed run."""

    dag: str
    run_id: str
    task: str
    map_index: int
    """-1 if the task is not mapped."""
    attempt: int

    def log_file(self, folder: Path) -> Path:
        """Return its log file in Airflow's log folder."""
        of_task = folder / f"dag_id={self.dag}" / f"run_id={self.run_id}" / f"task_id={self.task}"
        of_instance = of_task / f"map_index={self.map_index}" if self.map_index >= 0 else of_task
        return of_instance / f"attempt={self.attempt}.log"


@dataclass(frozen=True)
class TaskEnd:
    """The newest run in which an instance of a task succeeded or failed."""

    dag: str
    task: str
    run_id: str
    failed_at: datetime | None
    """When its last instance failed; None if none did."""
    failed_for: timedelta | None
    """How long ago that was, by the clock of Airflow's database."""
    succeeded: bool
    """Whether all its instances succeeded, and no instance is at work or waits for another attempt in any run."""


@dataclass(frozen=True)
class EndedRun:
    """A run that succeeded or failed."""

    number: int
    dag: str
    run_id: str
    ended_at: datetime
    failed: tuple[str, ...]
    """Its tasks that failed."""
    message: Any
    """The value that a task of the run left as an XCom; None if there is none."""


def knows_dag(airflow: Connection, dag: str) -> bool:
    """Return whether the DAG processor has read a DAG."""
    return airflow.execute("select 1 from dag where dag_id = %s and not is_stale", (dag,)).fetchone() is not None


def import_errors(airflow: Connection) -> list[str]:
    """Return the DAG files that cannot be read, each with the last line of its error."""
    rows = airflow.execute("select filename, stacktrace from import_error order by filename").fetchall()
    return [f"{name}: {((trace or '').strip() or '?').splitlines()[-1]}" for name, trace in rows]


def dag_states(airflow: Connection, dags: Collection[str], run_id_prefix: str) -> Mapping[str, DagState]:
    """Return the state of each DAG that Airflow knows. `run_id_prefix` marks the runs that `DagState.tried` lists."""
    rows = airflow.execute(
        "select d.dag_id, d.is_paused, exists (select from dag_run as r where r.dag_id = d.dag_id"
        " and r.state in ('queued', 'running')),"
        " exists (select from asset_dag_run_queue as e where e.target_dag_id = d.dag_id),"
        " (select case when r.state = 'failed' then r.end_date end"
        " from dag_run as r where r.dag_id = d.dag_id order by r.id desc limit 1),"
        " array(select r.run_id from dag_run as r where r.dag_id = d.dag_id and starts_with(r.run_id, %(prefix)s)"
        " order by r.id desc limit 20),"
        " array(select r.end_date from dag_run as r where r.dag_id = d.dag_id and starts_with(r.run_id, %(prefix)s)"
        " order by r.id desc limit 20)"
        " from dag as d where d.dag_id = any(%(dags)s) and not d.is_stale",
        {"prefix": run_id_prefix, "dags": list(dags)},
    ).fetchall()
    return {
        dag: DagState(paused, active, has_event, failed_at, tuple(zip(run_ids, ends, strict=True)))
        for dag, paused, active, has_event, failed_at, run_ids, ends in rows
    }


def waiting_event(airflow: Connection, dag: str) -> datetime | None:
    """Return when the newest event was sent that is to start a DAG, if it is neither paused nor has an active run."""
    row = airflow.execute(
        "select max(e.created_at) from asset_dag_run_queue as e join dag as d on d.dag_id = e.target_dag_id"
        " where d.dag_id = %s and not d.is_paused and not d.is_stale and not exists (select from dag_run as r"
        " where r.dag_id = d.dag_id and r.state in ('queued', 'running'))",
        (dag,),
    ).fetchone()
    return row[0] if row else None


def active_dags(airflow: Connection) -> frozenset[str]:
    """Return the DAGs that have a queued or running run."""
    rows = airflow.execute("select distinct dag_id from dag_run where state in ('queued', 'running')").fetchall()
    return frozenset(row[0] for row in rows)


def active_runs(airflow: Connection, after: int = 0) -> list[Run]:
    """Return the runs (those newer than run number `after`) that are running or about to run, oldest first.

    Runs queued for a paused DAG are left out: they wait for a user, and have not done anything yet.
    """
    runs = airflow.execute(
        "select dag_id, run_id from dag_run as w where id > %s"
        f" and (state = 'running' or state = 'queued' and not {_OF_PAUSED_DAG}) order by id",
        (after,),
    ).fetchall()
    return [Run(dag, run, _steps(airflow, dag, run)) for dag, run in runs]


def _steps(airflow: Connection, dag: str, run_id: str) -> tuple[Step, ...]:
    rows = airflow.execute(
        "select task_id, count(*) filter (where state = any(%s)), count(*), coalesce(bool_or(state = 'running'), false)"
        " from task_instance where dag_id = %s and run_id = %s group by task_id order by min(start_date) nulls last",
        (list(_DONE), dag, run_id),
    )
    return tuple(Step(task, done, total, running) for task, done, total, running in rows)


def pending_events(airflow: Connection) -> int:
    """Return how many events have not started a run yet."""
    row = airflow.execute(
        "select count(*) from asset_dag_run_queue as queue join dag on dag.dag_id = queue.target_dag_id"
        " where not dag.is_paused and not dag.is_stale"
    ).fetchone()
    return int(row[0]) if row else 0


def has_work(airflow: Connection) -> bool:
    """Return whether the scheduler has something to do: an active run, an event, or a run that its calendar starts."""
    row = airflow.execute(
        "select exists (select from dag left join dag_run as run using (dag_id)"
        " left join asset_dag_run_queue as event on event.target_dag_id = dag.dag_id"
        " where not dag.is_paused and not dag.is_stale and (run.state in ('queued', 'running')"
        " or event.target_dag_id is not null or dag.next_dagrun_create_after <= now()))"
    ).fetchone()
    return bool(row and row[0])


def waiting_runs(airflow: Connection) -> Waiting:
    """Return the queued runs, without those of paused DAGs."""
    query = f"select count(*), min(queued_at) from dag_run as w where state = 'queued' and not {_OF_PAUSED_DAG}"
    return _waiting(airflow, query)


def waiting_tasks(airflow: Connection) -> Waiting:
    """Return the scheduled and queued tasks, without those of paused DAGs."""
    query = (
        "select count(*), min(coalesce(queued_dttm, scheduled_dttm)) from task_instance as w"
        f" where state in ('scheduled', 'queued') and not {_OF_PAUSED_DAG}"
    )
    return _waiting(airflow, query)


def heartbeats(airflow: Connection, kinds: Collection[str]) -> Mapping[str, datetime]:
    """Return the last heartbeat of the services of these kinds, by kind; one that never started is absent."""
    query = "select job_type, max(latest_heartbeat) from job where job_type = any(%s) group by job_type"
    return dict(airflow.execute(query, (list(kinds),)).fetchall())


def paused_dags(airflow: Connection) -> frozenset[str]:
    """Return the DAGs that are paused."""
    return frozenset(dag for (dag,) in airflow.execute("select dag_id from dag where is_paused").fetchall())


def last_start(airflow: Connection, dag: str) -> tuple[bool, datetime | None] | None:
    """Return whether a DAG is paused, and when its last run was started or queued; None if Airflow does not know it."""
    row = airflow.execute(
        "select d.is_paused, max(coalesce(r.start_date, r.queued_at)) from dag as d"
        " left join dag_run as r using (dag_id) where d.dag_id = %s group by d.is_paused",
        (dag,),
    ).fetchone()
    return (row[0], row[1]) if row else None


def last_ends(airflow: Connection, within: timedelta) -> list[TaskEnd]:
    """Return how each task ended that succeeded or failed within this time, by the clock of Airflow's database."""
    rows = airflow.execute(
        "select distinct on (dag_id, task_id) dag_id, task_id, run_id, failed_at, now() - failed_at,"
        " succeeded and not at_work from ("
        "select dag_id, task_id, run_id, max(end_date) filter (where state = any(%(done)s)) as ended_at,"
        # Any instance of a mapped task: the success of others does not make up for one failure.
        " max(end_date) filter (where state = 'failed') as failed_at,"
        " bool_and(coalesce(state = 'success', false)) as succeeded,"
        # An instance that waits for its first attempt has no end; one that waits for a retry or was cleared has one.
        " bool_or(bool_or(coalesce(state, '') <> all(%(ended)s)"
        " and (end_date is not null or coalesce(state in ('running', 'restarting'), false))))"
        " over (partition by dag_id, task_id) as at_work"
        " from task_instance where end_date > now() - %(within)s or coalesce(state, '') <> all(%(ended)s)"
        " group by dag_id, task_id, run_id"
        ") as known where ended_at is not null order by dag_id, task_id, ended_at desc",
        {"done": list(_DONE), "ended": list(_ENDED), "within": within},
    ).fetchall()
    return [TaskEnd(*row) for row in rows]


def newest_run(airflow: Connection) -> int:
    """Return the number of the newest run. Numbers only grow, so later runs have higher ones."""
    row = airflow.execute("select coalesce(max(id), 0) from dag_run").fetchone()
    return int(row[0]) if row else 0


def failed_tasks(airflow: Connection, after: int) -> list[FailedTask]:
    """Return the failed tasks of runs newer than number `after` whose DAG has not succeeded since."""
    rows = airflow.execute(
        "select task.dag_id, task.run_id, task.task_id, task.map_index, task.try_number"
        " from task_instance as task join dag_run as run using (dag_id, run_id)"
        " where task.state = 'failed' and run.state = 'failed' and run.id > %s"
        " and not exists (select from dag_run as later"
        " where later.dag_id = run.dag_id and later.id > run.id and later.state = 'success')"
        " order by run.id, task.task_id, task.map_index",
        (after,),
    ).fetchall()
    return [FailedTask(*row) for row in rows]


def unnoted_runs(airflow: Connection, dags: Collection[str], since: datetime, key: str, author: str) -> list[EndedRun]:
    """Return the runs of these DAGs that ended after a moment and have no note yet, oldest first.

    A note by `author` from before a run was cleared and ended again counts as none. `key`: of the XCom to read.
    """
    rows = airflow.execute(
        "select run.id, run.dag_id, run.run_id, run.end_date,"
        " array(select distinct task_id from task_instance as task where task.dag_id = run.dag_id"
        " and task.run_id = run.run_id and task.state = 'failed' order by task_id),"
        " (select value from xcom where xcom.dag_run_id = run.id and xcom.key = %(key)s"
        " order by timestamp desc limit 1)"
        " from dag_run as run left join dag_run_note as note on note.dag_run_id = run.id"
        " where run.state in ('success', 'failed') and run.end_date > %(since)s and run.dag_id = any(%(dags)s)"
        " and (note.dag_run_id is null or note.user_id = %(author)s and note.updated_at < run.end_date)"
        " order by run.id",
        {"key": key, "since": since, "dags": list(dags), "author": author},
    ).fetchall()
    return [EndedRun(number, dag, run, at, tuple(failed), value) for number, dag, run, at, failed, value in rows]


def write_note(airflow: Connection, run: EndedRun, content: str, author: str) -> None:
    """Write the note of a run; a note by anybody but `author` stays."""
    airflow.execute(
        "insert into dag_run_note (dag_run_id, user_id, content, created_at, updated_at)"
        " values (%(run)s, %(author)s, %(content)s, %(at)s, %(at)s) on conflict (dag_run_id) do update"
        " set content = excluded.content, updated_at = excluded.updated_at"
        " where dag_run_note.user_id = excluded.user_id",
        {"run": run.number, "author": author, "content": content, "at": run.ended_at},
    )


def has_old_runs(airflow: Connection, before: datetime) -> bool:
    """Return whether a DAG has a run from before a moment that is not its last one."""
    row = airflow.execute(
        "select 1 from dag_run as r where run_after < %s"
        " and exists (select 1 from dag_run as later where later.dag_id = r.dag_id and later.id > r.id) limit 1",
        (before,),
    ).fetchone()
    return row is not None


def drop_former_aliases(airflow: Connection) -> None:
    """Delete the asset aliases through which earlier versions of the platform sent events; the events stay."""
    airflow.execute("delete from asset_alias where name = 'source_tables' or starts_with(name, 'settled_by_')")


def mark_jobs_failed(airflow: Connection, kind: str | None = None) -> None:
    """Mark the running jobs (of all kinds, or of one) as failed."""
    airflow.execute(
        "update job set state = 'failed', end_date = now()"
        " where state = 'running' and job_type = coalesce(%s, job_type)",
        (kind,),
    )


def _waiting(airflow: Connection, query: str) -> Waiting:
    count, oldest = airflow.execute(query.encode()).fetchone() or (0, None)
    return count, oldest


def _shown(step: Step) -> str:
    count = f" {step.done}/{step.total}" if step.total > 1 else ""
    return f"{step.task}{count}{' …' if step.running and not count else ''}"
