"""Airflow's LocalExecutor with warm workers, and a scheduler that rests while there is nothing to do.

A task process is a fork of the scheduler's. What the scheduler has imported, a task need not import again: on two cores
this takes a change from its detection to its mart in half the time.
"""

from __future__ import annotations

import time
from http.client import HTTPException
from multiprocessing.connection import wait
from urllib.request import ProxyHandler, build_opener

from airflow.executors.base_executor import get_execution_api_server_url
from airflow.executors.local_executor import LocalExecutor

from adventureworks.orchestration.warm import warm_up

BUSY_SECONDS = 3.0
"""For so long after a task began or ended the scheduler goes on at full pace: the next step takes several loops."""
REST_SECONDS = 0.5
"""Longest rest in each loop of a scheduler with nothing to do. The end of a task ends it at once."""


def _wait_for_api_server() -> None:
    """Returns when the API server answers tasks: one that begins before fails at once."""
    health = get_execution_api_server_url().rstrip("/") + "/health"
    direct = build_opener(ProxyHandler({}))
    while True:
        try:
            direct.open(health, timeout=5).close()
        except (OSError, HTTPException):
            time.sleep(0.1)
        else:
            return


class WarmLocalExecutor(LocalExecutor):
    """A LocalExecutor whose workers start with everything imported."""

    _moved = 0.0
    _known: tuple[int, int] = (0, 0)

    def start(self) -> None:
        """Warms up and waits for the API server, then forks the workers."""
        warm_up()
        _wait_for_api_server()
        super().start()

    def sync(self) -> None:
        """Takes results as Airflow does; before, waits for one if nothing has happened for a while.

        The scheduler calls this in each loop. Ten loops a second of an idle platform cost a third of a core.
        """
        now = time.monotonic()
        load = (len(self.running), len(self.queued_tasks))
        if load != self._known:
            self._known, self._moved = load, now
        elif not self.queued_tasks and now - self._moved > BUSY_SECONDS:
            wait([self.result_queue._reader], timeout=REST_SECONDS)  # type: ignore[attr-defined]
        super().sync()
