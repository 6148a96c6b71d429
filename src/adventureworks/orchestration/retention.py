"""Retention: drops old records of the platform, old Airflow runs and old task logs."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg

from adventureworks.errors import PlatformError
from adventureworks.gate import detect, results
from adventureworks.incidents import ledger
from adventureworks.marts import plan
from adventureworks.messaging import notices, store
from adventureworks.orchestration import notify
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, memo, open_warehouse, publication, use

CONTENTS_KEPT = timedelta(days=30)
FIRST_SECONDS, EVERY_SECONDS = 60.0, 86_400.0
"""The first run comes soon after the start, because a platform may be up for only minutes each night."""
AIRFLOW_TABLES = (
    "asset_event,callback,celery_taskmeta,celery_tasksetmeta,dag_run,deadline,import_error,job,log,revoked_token,"
    "task_instance,task_instance_history,task_reschedule,trigger,xcom"
)
"""Without `dag` and `dag_version`, which hold the paused state and do not grow with the number of runs."""
AIRFLOW_TIMEOUT_SECONDS = 3600.0
LOG_FOLDER = "AIRFLOW__LOGGING__BASE_LOG_FOLDER"

log = logging.getLogger(__name__)


class RetentionThread(threading.Thread):
    """Thread that drops old data once a day until `end` is set. A failure is logged and retried the next day."""

    def __init__(self, settings: Settings, metadata_url: str, end: threading.Event) -> None:
        super().__init__(name="retention", daemon=True)
        self._settings, self._metadata_url, self._end = settings, metadata_url, end

    def run(self) -> None:
        """Drop old data soon after the start and then once a day."""
        steps: dict[str, Callable[[datetime], None]] = {
            "records": partial(drop_records, self._settings),
            "runs": partial(drop_runs, self._settings, self._metadata_url),
            "logs": partial(drop_logs, self._settings),
        }
        pause = FIRST_SECONDS
        while not self._end.wait(pause):
            pause = EVERY_SECONDS
            for what, drop in steps.items():
                try:
                    drop(datetime.now(UTC))
                except Exception as error:
                    log.warning("Old %s could not be dropped: %s", what, notify.cause_of(error))


def drop_records(settings: Settings, now: datetime) -> None:
    """Drop the platform's records that are older than `keep_days`, except those that are still needed for decisions."""
    before = now - timedelta(days=settings.keep_days)
    with open_warehouse(settings).connect("retention") as session:
        layout.prepare(session)
        records = session.records
        store.drop_contents(records, now - min(CONTENTS_KEPT, timedelta(days=settings.keep_days)))
        for clear in (results.clear, use.clear, memo.clear, detect.clear, ledger.clear, notices.clear):
            clear(records, before)
        store.delete_finished(records, before)
        publication.clear(records, before, plan.oldest_consumed(records))


def drop_runs(settings: Settings, metadata_url: str, now: datetime) -> None:
    """Drop Airflow's records of runs that are older than `keep_days`, except the last run of each DAG.

    Raises PlatformError if Airflow's own command fails.
    """
    before = now - timedelta(days=settings.keep_days)
    with psycopg.connect(metadata_url, connect_timeout=10) as airflow:
        query = (
            "select 1 from dag_run as r where run_after < %s"
            " and exists (select 1 from dag_run as later where later.dag_id = r.dag_id and later.id > r.id) limit 1"
        )
        if airflow.execute(query, (before,)).fetchone() is None:
            # Avoid the command below, which takes seconds to start.
            return
    command = [sys.executable, "-m", "airflow", "db", "clean", "--yes", "--skip-archive", "--error-on-cleanup-failure"]
    options = ["--tables", AIRFLOW_TABLES, "--clean-before-timestamp", before.isoformat()]
    done = subprocess.run(
        [*command, *options],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=AIRFLOW_TIMEOUT_SECONDS,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PlatformError(f"`airflow db clean` failed: {last}", "Check: adventureworks doctor")


def drop_logs(settings: Settings, now: datetime) -> None:
    """Drop files in Airflow's log folder, if this process can see it, that were not written to for `keep_days`."""
    top = os.environ.get(LOG_FOLDER)
    if top is None:
        return
    before = (now - timedelta(days=settings.keep_days)).timestamp()
    yesterday = (now - timedelta(days=1)).timestamp()
    for folder, _, files in os.walk(top, topdown=False):
        for file in (Path(folder, name) for name in files):
            with suppress(FileNotFoundError):
                if file.lstat().st_mtime < before:
                    file.unlink()
        # A new folder may belong to a task that is about to write. A folder emptied just now is removed tomorrow.
        if folder != top and Path(folder).stat().st_mtime < yesterday:
            with suppress(OSError):  # It is not empty.
                Path(folder).rmdir()
