"""Airflow's LocalExecutor with warm workers, and a scheduler that sleeps while it has nothing to do.

A task process is a fork of the scheduler. What the scheduler has imported, a task need not import again: on two cores,
this halves the time from the detection of a change to its publication in a mart.
"""

from __future__ import annotations

import time
from http.client import HTTPException
from multiprocessing.connection import wait
from urllib.request import ProxyHandler, build_opener

import psycopg
from airflow.configuration import conf
from airflow.executors.base_executor import get_execution_api_server_url
from airflow.executors.local_executor import LocalExecutor

from adventureworks import airflow_tables
from adventureworks.orchestration.warm import warm_up

REST_SECONDS = 0.5
"""Longest rest in each loop of a scheduler with nothing to start. It ends as soon as a task ends."""
LONG_REST_SECONDS = 5.0
"""Longest additional rest without any active run. After it, the scheduler's heartbeat is due."""
CHECK_SECONDS = 0.1
"""Interval at which a long rest looks for new work, with one statement instead of the thirty of a loop."""


def _wait_for_api_server() -> None:
    """Wait until the API server answers: a task that starts before fails at once."""
    health = get_execution_api_server_url().rstrip("/") + "/health"
    direct = build_opener(ProxyHandler({}))
    while True:
        try:
            direct.open(health, timeout=5).close()
        except (OSError, HTTPException):
            time.sleep(0.1)
        else:
            return


class _Work:
    """Whether there is work for the scheduler, according to Airflow's database."""

    def __init__(self) -> None:
        self._url = conf.get_mandatory_value("database", "sql_alchemy_conn").replace("+psycopg2", "", 1)
        self._connection: airflow_tables.Connection | None = None

    def exists(self) -> bool:
        """Return whether there is work; also True if the database does not answer, as the scheduler handles that."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._url, autocommit=True, application_name="scheduler's rest")
            return airflow_tables.has_work(self._connection)
        except psycopg.Error:
            self._connection = None
            return True


class WarmLocalExecutor(LocalExecutor):
    """A LocalExecutor whose workers start with everything imported."""

    _work: _Work | None = None

    def start(self) -> None:
        """Import everything and wait for the API server, then fork the workers."""
        warm_up()
        _wait_for_api_server()
        super().start()

    def sync(self) -> None:
        """Process results as Airflow does; with nothing to start, first wait for a result or for new work.

        The scheduler calls this in each loop. On an idle platform, ten loops a second would use a third of a core.
        """
        if not self.queued_tasks:
            self._rest()
        super().sync()

    def _rest(self) -> None:
        ended = [self.result_queue._reader]  # type: ignore[attr-defined]
        if wait(ended, timeout=REST_SECONDS) or self.running:
            return
        self._work = self._work or _Work()
        end = time.monotonic() + LONG_REST_SECONDS
        while time.monotonic() < end and not self._work.exists() and not wait(ended, timeout=CHECK_SECONDS):
            pass
