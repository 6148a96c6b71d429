"""The tables of Airflow's database that the platform uses, without Airflow."""

from __future__ import annotations

from typing import Any

import psycopg

USED = {
    "dag": ("dag_id", "is_paused", "is_stale", "next_dagrun_create_after"),
    "dag_run": ("id", "dag_id", "run_id", "state", "queued_at", "end_date", "start_date"),
    "asset_dag_run_queue": ("target_dag_id", "created_at"),
    "task_instance": ("dag_id", "task_id", "run_id", "state", "end_date"),
    "job": ("job_type", "latest_heartbeat"),
    "xcom": ("dag_run_id", "key", "value", "timestamp"),
    "dag_run_note": ("dag_run_id", "user_id", "content", "created_at", "updated_at"),
}


def create(url: str) -> None:
    """Create the tables in an empty database, with the columns that are used and the types of Airflow's models."""
    from airflow.jobs.job import Job
    from airflow.models import DagModel, DagRun, TaskInstance
    from airflow.models.asset import AssetDagRunQueue
    from airflow.models.dagrun import DagRunNote
    from airflow.models.xcom import XComModel
    from sqlalchemy.dialects.postgresql import dialect

    models: list[Any] = [DagModel, DagRun, AssetDagRunQueue, TaskInstance, Job, XComModel, DagRunNote]
    with psycopg.connect(url) as connection:
        for model in models:
            table = model.__table__
            types = {name: table.columns[name].type.compile(dialect=dialect()) for name in USED[table.name]}
            columns = ", ".join(f"{name} {kind}" for name, kind in types.items())
            connection.execute(f"create table {table.name} ({columns})")
        connection.execute("alter table dag_run_note add primary key (dag_run_id)")
