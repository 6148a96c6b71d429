"""What is dropped when it is old: the platform's records, Airflow's runs, and the logs of tasks."""

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
from adventureworks.warehouse import layout, memo, open_records, publication, use

CONTENTS_KEPT = timedelta(days=30)
FIRST_SECONDS, EVERY_SECONDS = 60.0, 86_400.0
"""The first time comes soon: a platform may only be up for minutes each night."""
AIRFLOWS_TABLES = (
    "asset_event,callback,celery_taskmeta,celery_tasksetmeta,dag_run,deadline,import_error,job,log,revoked_token,"
    "task_instance,task_instance_history,task_reschedule,trigger,xcom"
)
"""Not `dag` and `dag_version`: they hold what is paused, and do not grow with the runs."""
AIRFLOW_SECONDS = 3600.0
LOG_FOLDER = "AIRFLOW__LOGGING__BASE_LOG_FOLDER"

log = logging.getLogger(__name__)


class Tidying(threading.Thread):
    """Drops what is old once a day until `end` is set. A failure is logged; the next day tries again."""

    def __init__(self, settings: Settings, metadata_url: str, end: threading.Event) -> None:
        super().__init__(name="tidy", daemon=True)
        self._settings, self._metadata_url, self._end = settings, metadata_url, end

    def run(self) -> None:
        """Waits, tidies, and waits again."""
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
                    log.warning("Old %s are not dropped: %s", what, notify.cause_of(error))


def drop_records(settings: Settings, now: datetime) -> None:
    """Drops the platform's records that are older than `keep_days`, but for those that a decision still needs."""
    before = now - timedelta(days=settings.keep_days)
    with open_records(settings).connect("tidy") as connection:
        layout.prepare(connection)
        store.drop_contents(connection, now - min(CONTENTS_KEPT, timedelta(days=settings.keep_days)))
        for clear in (results.clear, use.clear, memo.clear, detect.clear, ledger.clear, notices.clear):
            clear(connection, before)
        store.delete_finished(connection, before)
        publication.clear(connection, before, plan.oldest_consumed(connection))


def drop_runs(settings: Settings, metadata_url: str, now: datetime) -> None:
    """Drops what Airflow keeps of runs that are older than `keep_days`, but for the last run of each DAG.

    Raises PlatformError where Airflow's own command fails.
    """
    before = now - timedelta(days=settings.keep_days)
    with psycopg.connect(metadata_url, connect_timeout=10) as airflow:
        question = (
            "select 1 from dag_run as r where run_after < %s"
            " and exists (select 1 from dag_run as later where later.dag_id = r.dag_id and later.id > r.id) limit 1"
        )
        if airflow.execute(question, (before,)).fetchone() is None:
            # The command below takes seconds to start.
            return
    command = [sys.executable, "-m", "airflow", "db", "clean", "--yes", "--skip-archive", "--error-on-cleanup-failure"]
    options = ["--tables", AIRFLOWS_TABLES, "--clean-before-timestamp", before.isoformat()]
    done = subprocess.run(
        [*command, *options],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=AIRFLOW_SECONDS,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PlatformError(f"`airflow db clean` failed: {last}", "Check: adventureworks doctor")


def drop_logs(settings: Settings, now: datetime) -> None:
    """Drops files of Airflow's log folder, where this process sees it, that nobody wrote to for `keep_days`."""
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
        # A young folder may be that of a task which is about to write. One that was emptied just now goes tomorrow.
        if folder != top and Path(folder).stat().st_mtime < yesterday:
            with suppress(OSError):  # It holds something.
                Path(folder).rmdir()
