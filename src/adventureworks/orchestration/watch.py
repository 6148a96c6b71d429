"""The watch: starts what is due, sweeps for unreported failures, sends messages and metrics, and drops old data.

It also writes the notes of runs in Airflow's UI.

It needs Airflow's connections, but neither its scheduler nor its database: if those stop, the watch reports it.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg

from adventureworks.errors import PlatformError, ServiceUnavailable, Step
from adventureworks.incidents.freshness import promises
from adventureworks.incidents.sweep import Sweep, SweepResult
from adventureworks.marts.plan import decide_now
from adventureworks.messaging import self_incidents
from adventureworks.monitoring import figures
from adventureworks.monitoring.figures import Figure
from adventureworks.monitoring.telemetry import Read, Telemetry
from adventureworks.orchestration import notify, run_notes
from adventureworks.orchestration.dispatch import Dispatcher
from adventureworks.orchestration.retention import RetentionThread
from adventureworks.settings import WATCH_HEARTBEAT, Settings
from adventureworks.texts import language
from adventureworks.warehouse import layout, open_records, open_warehouse

METRICS_MAX_AGE_SECONDS = 300.0
"""If the metrics cannot be read for this long, they are no longer sent, rather than sent with outdated values."""
DISPATCH_SECONDS = 1.0
"""Interval at which the dispatcher checks what is due."""
PAUSE_AFTER_FAILURE_SECONDS = 5.0
HANGS_AFTER_SECONDS = 1800.0
"""A round that takes longer than this hangs. One that sends messages may wait ten minutes for a slow mail server."""

log = logging.getLogger(__name__)


def watch(settings: Settings, metadata_url: str, every: float, once: bool) -> None:
    """Run a round every `every` seconds until a signal ends it; with `once`, run one round and raise its errors.

    `metadata_url`: the URL of Airflow's database.
    """
    # As in Airflow's own commands: connections may come from its database, and runs are started there.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    sweep = Sweep(datetime.now(UTC), promises(settings), settings.ingestion_interval)
    notes = NoteWriter(settings, metadata_url)
    telemetry = Telemetry(max(METRICS_MAX_AGE_SECONDS, 3 * every), settings.environment)
    readers = _figure_readers(settings, metadata_url, sweep.since)
    if once:
        _run_round(settings, metadata_url, sweep)
        notes.write()
        telemetry.refresh(*readers)
        telemetry.close()
        return
    load_airflow()
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    dispatch = DispatchThread(settings, metadata_url, end)
    dispatch.start()
    RetentionThread(settings, metadata_url, end).start()
    while not end.is_set():
        try:
            _run_round(settings, metadata_url, sweep)
        except PlatformError as error:
            log.warning("%s", error)
        except Exception:
            log.exception("This round of the watch failed.")
        notes.write()
        dispatch.note_round()
        telemetry.refresh(*readers)
        end.wait(every)
    telemetry.close()


def load_airflow() -> None:
    """Import what reads connections and starts runs, and map Airflow's tables, before threads do it.

    SQLAlchemy imports some of Airflow's modules while it maps tables, and importing these modules maps tables. Two
    threads that start at different ends would deadlock.
    """
    from airflow.api.common import trigger_dag  # noqa: F401
    from airflow.models import import_all_models
    from sqlalchemy.orm import configure_mappers

    import_all_models()
    configure_mappers()


class DispatchThread(threading.Thread):
    """Thread that starts what is due until `end` is set. A failure is logged once and retried."""

    def __init__(self, settings: Settings, metadata_url: str, end: threading.Event) -> None:
        super().__init__(name="dispatch", daemon=True)
        self._settings, self._metadata_url, self._end = settings, metadata_url, end
        self._last_round_of_watch = time.monotonic()

    def note_round(self) -> None:
        """Note that the main thread has completed a round."""
        self._last_round_of_watch = time.monotonic()

    def _beat(self) -> None:
        """Touch the heartbeat, unless the main thread hangs. It goes on while a database does not answer."""
        if time.monotonic() - self._last_round_of_watch < HANGS_AFTER_SECONDS:
            self._settings.home.mkdir(parents=True, exist_ok=True)
            (self._settings.home / WATCH_HEARTBEAT).touch()

    def run(self) -> None:
        """Run a round every `DISPATCH_SECONDS`; reconnect after a failure."""
        dispatcher, logged = Dispatcher(self._settings), ""
        while not self._end.is_set():
            self._beat()
            try:
                with open_warehouse(self._settings).connect("dispatch") as session:
                    layout.prepare(session)
                with (
                    open_warehouse(self._settings).connect("dispatch") as session,
                    _airflow(self._metadata_url) as airflow,
                ):
                    while not self._end.wait(DISPATCH_SECONDS):
                        dispatcher.round(session, airflow, datetime.now(UTC))
                        session.rollback()
                        airflow.rollback()
                        self._beat()
                        logged = ""
            except Exception as error:
                failure = f"Runs that are due cannot be started: {notify.cause_of(error)}"
                if failure != logged:
                    log.warning("%s", failure)
                logged = failure
                self._end.wait(PAUSE_AFTER_FAILURE_SECONDS)


class NoteWriter:
    """Writes the notes of runs.

    A failure, such as a missing permission in Airflow's database, is logged once. If only some notes cannot be written,
    the log names one run for each cause.
    """

    def __init__(self, settings: Settings, metadata_url: str) -> None:
        self._settings, self._metadata_url = settings, metadata_url
        self._language = language(settings.report_languages[0])
        self._logged: frozenset[str] = frozenset()

    def write(self) -> None:
        """Write the notes of runs that have ended; never raises."""
        try:
            with (
                open_records(self._settings).connect("notes of runs") as records,
                _airflow(self._metadata_url, read_only=False) as airflow,
            ):
                errors = run_notes.write(records, airflow, self._language, datetime.now(UTC))
            failures = {notify.cause_of(error): f"The note of {run} cannot be written" for run, error in errors.items()}
        except Exception as error:
            failures = {notify.cause_of(error): "The notes of runs cannot be written"}
        for cause, failure in failures.items():
            if cause not in self._logged:
                log.warning("%s: %s", failure, cause)
        self._logged = frozenset(failures)


def _run_round(settings: Settings, metadata_url: str, sweep: Sweep) -> None:
    """Sweep, then compose and send all messages; only then raise the error that stopped the sweep, if any."""
    now = datetime.now(UTC)
    with open_warehouse(settings).connect("watch") as session:
        layout.prepare(session)
    result, error = _run_sweep(settings, metadata_url, sweep, now)
    notify.notify_owners(result.opened, result.resolved)
    notify.notify_readers()
    if error:
        raise error


def _run_sweep(
    settings: Settings, metadata_url: str, sweep: Sweep, now: datetime
) -> tuple[SweepResult, Exception | None]:
    """Return what the sweep found and the error that stopped it, if any."""
    warehouse = open_warehouse(settings)
    try:
        with warehouse.connect("watch") as session, _airflow(metadata_url) as airflow:
            result = sweep.run(session.records, airflow, decide_now(settings, session).behind, now)
            self_incidents.record(session.records, self_incidents.SWEEP, "")
            return result, None
    except _AirflowUnreachable as unreachable:
        with warehouse.connect("watch") as session:
            return sweep.run_without_airflow(session.records, now), unreachable
    except ServiceUnavailable:
        raise
    except Exception as error:
        with warehouse.connect("watch") as session:
            self_incidents.record(session.records, self_incidents.SWEEP, notify.cause_of(error))
        return SweepResult(), error


class _AirflowUnreachable(ServiceUnavailable):
    """Airflow's database does not answer."""


def _figure_readers(settings: Settings, metadata_url: str, since: datetime) -> tuple[Read, Read]:
    def of_warehouse() -> list[Figure]:
        with open_warehouse(settings).connect("metrics") as session:
            decided = decide_now(settings, session)
            return list(
                figures.of_warehouse(session.records, decided, promises(settings), since=since, now=datetime.now(UTC))
            )

    def of_airflow() -> list[Figure]:
        with _airflow(metadata_url) as airflow:
            return list(figures.of_airflow(airflow, datetime.now(UTC)))

    return of_warehouse, of_airflow


@contextmanager
def _airflow(url: str, *, read_only: bool = True) -> Iterator[psycopg.Connection]:
    unreachable = _AirflowUnreachable("Airflow's database does not answer.", Step("Check:", "adventureworks doctor"))
    try:
        connection = psycopg.connect(
            url, connect_timeout=10, application_name="adventureworks watch", tcp_user_timeout=60_000
        )
    except psycopg.OperationalError:
        raise unreachable from None
    with connection:
        connection.read_only = read_only
        try:
            yield connection
        except psycopg.OperationalError:
            if connection.broken:
                raise unreachable from None
            raise
