"""The watch: starts what is due, sweeps for what nobody reported, sends messages, drops what is old, sends metrics.

It needs Airflow's connections, not its scheduler, and not even its database: when they stop, the watch tells of that.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg

from adventureworks.errors import PlatformError, ServiceUnavailable
from adventureworks.incidents.sweep import Sweep, Swept
from adventureworks.marts.plan import decide_now
from adventureworks.messaging import self_incidents
from adventureworks.monitoring import figures
from adventureworks.monitoring.figures import Figure
from adventureworks.monitoring.telemetry import Read, Telemetry
from adventureworks.orchestration import notify
from adventureworks.orchestration.dispatch import Dispatcher
from adventureworks.orchestration.retention import Tidying
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_records, open_warehouse

BEAT = "watch.beat"
"""A file in the home that every round of the watch touches."""
FIGURES_KEPT_SECONDS = 300.0
"""Rounds that fail for so long leave the metrics without values, rather than with those of a better time."""
DISPATCH_SECONDS = 1.0
"""How often the dispatcher looks for what is due."""
PAUSE_AFTER_TROUBLE_SECONDS = 5.0
HANGS_AFTER_SECONDS = 120.0
"""A dispatcher that has not come round for so long hangs, and the watch leaves no sign of life."""

log = logging.getLogger(__name__)


def watch(settings: Settings, metadata_url: str, every: float, once: bool) -> None:
    """Goes round every so many seconds until it is asked to end; `once`: one round, whose errors are raised."""
    # As Airflow's own commands say it: connections may come from its database too, and runs are started in it.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    sweep = Sweep(datetime.now(UTC), timedelta(minutes=settings.late_after_minutes))
    telemetry = Telemetry(max(FIGURES_KEPT_SECONDS, 3 * every), settings.environment)
    figures_of = _figures(settings, metadata_url, sweep.since)
    if once:
        _round(settings, metadata_url, sweep)
        telemetry.take(*figures_of)
        telemetry.close()
        return
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    dispatching = Dispatching(settings, metadata_url, end)
    dispatching.start()
    Tidying(settings, metadata_url, end).start()
    while not end.is_set():
        try:
            _round(settings, metadata_url, sweep)
        except PlatformError as error:
            log.warning("%s", error)
        except Exception:
            log.exception("This round of the watch broke off.")
        if dispatching.is_well():
            _beat(settings)
        telemetry.take(*figures_of)
        end.wait(every)
    telemetry.close()


class Dispatching(threading.Thread):
    """Starts what is due until `end` is set. A failure is logged once and retried."""

    def __init__(self, settings: Settings, metadata_url: str, end: threading.Event) -> None:
        super().__init__(name="dispatch", daemon=True)
        self._settings, self._metadata_url, self._end = settings, metadata_url, end
        self._moved = time.monotonic()

    def is_well(self) -> bool:
        """Whether it has come round lately, be it that a database did not answer."""
        return self.is_alive() and time.monotonic() - self._moved < HANGS_AFTER_SECONDS

    def run(self) -> None:
        """Looks every second; after a failure, it connects anew."""
        dispatcher, trouble = Dispatcher(self._settings), ""
        while not self._end.is_set():
            self._moved = time.monotonic()
            try:
                with open_warehouse(self._settings).connect("dispatch") as connection:
                    layout.prepare(connection)
                with (
                    open_records(self._settings).connect("dispatch") as records,
                    _airflow(self._metadata_url) as airflow,
                ):
                    while not self._end.wait(DISPATCH_SECONDS):
                        dispatcher.round(records, airflow, datetime.now(UTC))
                        records.rollback()
                        airflow.rollback()
                        self._moved, trouble = time.monotonic(), ""
            except Exception as error:
                found = f"What is due cannot be started: {notify.cause_of(error)}"
                if found != trouble:
                    log.warning("%s", found)
                trouble = found
                self._end.wait(PAUSE_AFTER_TROUBLE_SECONDS)


def _beat(settings: Settings) -> None:
    """Leaves a sign of life for who looks whether this process hangs: how old the file is, not what is in it."""
    settings.home.mkdir(parents=True, exist_ok=True)
    (settings.home / BEAT).touch()


def _round(settings: Settings, metadata_url: str, sweep: Sweep) -> None:
    """Sweeps, then words and sends whatever the sweep came to; raises then what went wrong with it."""
    now = datetime.now(UTC)
    with open_warehouse(settings).connect("watch") as connection:
        layout.prepare(connection)
    swept, trouble = _swept(settings, metadata_url, sweep, now)
    notify.tell(swept.opened, swept.resolved)
    notify.tell_readers()
    if trouble:
        raise trouble


def _swept(settings: Settings, metadata_url: str, sweep: Sweep, now: datetime) -> tuple[Swept, Exception | None]:
    """What the sweep found, and what kept it from looking; both are for the owner of the platform."""
    warehouse = open_warehouse(settings)
    try:
        with warehouse.connect("watch") as connection, _airflow(metadata_url) as airflow:
            swept = sweep.run(connection, airflow, decide_now(settings, connection).behind, now)
            self_incidents.record(connection, self_incidents.SWEEP, "")
            return swept, None
    except _AirflowIsAway as away:
        with warehouse.connect("watch") as connection:
            return sweep.run_blind(connection, now), away
    except ServiceUnavailable:
        raise
    except Exception as error:
        with warehouse.connect("watch") as connection:
            self_incidents.record(connection, self_incidents.SWEEP, notify.cause_of(error))
        return Swept(), error


class _AirflowIsAway(ServiceUnavailable):
    """Airflow's database does not answer."""


def _figures(settings: Settings, metadata_url: str, since: datetime) -> tuple[Read, Read]:
    def of_warehouse() -> list[Figure]:
        with open_warehouse(settings).connect("metrics") as connection:
            behind = decide_now(settings, connection).behind
            return list(figures.of_warehouse(connection, behind, since, datetime.now(UTC)))

    def of_airflow() -> list[Figure]:
        with _airflow(metadata_url) as connection:
            return list(figures.of_airflow(connection, datetime.now(UTC)))

    return of_warehouse, of_airflow


@contextmanager
def _airflow(url: str) -> Iterator[psycopg.Connection]:
    away = _AirflowIsAway("Airflow's database does not answer.", "Check: adventureworks doctor")
    try:
        connection = psycopg.connect(
            url, connect_timeout=10, application_name="adventureworks watch", tcp_user_timeout=60_000
        )
    except psycopg.OperationalError:
        raise away from None
    with connection:
        connection.read_only = True
        try:
            yield connection
        except psycopg.OperationalError:
            if connection.broken:
                raise away from None
            raise
