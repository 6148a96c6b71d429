"""`adventureworks run`: start the platform, bring every mart up to date, and keep it running."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from pydantic import SecretStr

from adventureworks import airflow_tables
from adventureworks.airflow_tables import FailedTask
from adventureworks.catalog import INGESTION
from adventureworks.cli.output import console
from adventureworks.cli.progress import Progress, Screen, Standing, loaded, shown_time, standing
from adventureworks.cli.status import print_summary
from adventureworks.embedded import airflow
from adventureworks.embedded.airflow_api import Metadata
from adventureworks.embedded.home import ANOTHER_HOME, Home
from adventureworks.embedded.platform import READERS_OF_DAGS, RUNNERS_OF_DAGS, Platform
from adventureworks.embedded.services import Endpoints
from adventureworks.errors import PROGRAM, PlatformError, ServiceUnavailable, as_typed
from adventureworks.incidents.ledger import Incident, open_incidents
from adventureworks.marts.plan import decide_now
from adventureworks.messaging.routes import routes
from adventureworks.settings import Settings
from adventureworks.source import CHOICES, Kind, Source, kind_of, open_source, unsupported
from adventureworks.source.addresses import FORM
from adventureworks.source.files_addresses import is_in_store, is_local, local_path, names_connection, require_store
from adventureworks.source.recognition import require_tables
from adventureworks.starts import next_starts, states_of
from adventureworks.warehouse import migrations
from adventureworks.warehouse.postgres import Connection, PostgresWarehouse, Records, WarehouseConnection
from adventureworks.warehouse.session import Session
from adventureworks.warehouse.state import (
    AssetState,
    asset_states,
    is_laid_out,
)
from adventureworks.warehouse.steps import shown_task

SAMPLE = "sample"
ALLOW_MISSING = "allow_missing"
"""Under this name, a home remembers whether the source that it remembers may lack tables that marts need."""
UP_WITHIN_SECONDS = 300.0
STALLED_AFTER_SECONDS = 1800.0
QUIET_SECONDS = 2.0
"""How long nothing must be queued or running before the work counts as done: an event takes a moment to start a run."""
RETRIES_WITHIN = timedelta(minutes=3)
"""How long `--once` waits for the next retry of a failed analysis: longer than the first two pauses (30 seconds and two
minutes, see `starts`), shorter than the last one (eight minutes)."""
UNAVAILABLE = (ServiceUnavailable, psycopg.OperationalError)
"""The errors of a database that does not answer. The supervisor restarts an embedded one."""


@dataclass(frozen=True)
class Outcome:
    """What is published and what is wrong after the marts were brought up to date."""

    states: list[AssetState]
    incidents: list[Incident]
    failed: list[FailedTask]
    printed: Set[str] = frozenset()
    """The ids of the incidents that were printed when they were opened."""

    @property
    def stale(self) -> list[str]:
        """The marts that are not computed from the newest versions of their inputs, although the source offers them."""
        marts = [state for state in self.states if state.kind == "mart" and state.is_obtainable]
        return [state.asset for state in marts if not state.fresh]

    @property
    def succeeded(self) -> bool:
        """Whether every mart that can be computed is fresh, no incident is open, and no task failed."""
        return not (self.stale or self.incidents or self.failed)


def run(settings: Settings, source: str | None, once: bool, port: int | None, allow_missing: bool) -> int:
    """Start the platform, bring every mart up to date, and keep running unless `once`. Return the exit status.

    `allow_missing`: the source may lack tables that marts need.
    """
    begin = time.monotonic()
    chosen = choose_source(settings, source)
    if source is None:
        settings = with_remembered_permission(settings, chosen)
    settings = settings.model_copy(update={"allow_missing": settings.allow_missing or allow_missing})
    # Reject an invalid address now, rather than when the first message is sent to it.
    routes(settings)
    with Progress() as progress:
        warn_of_another_source(settings, chosen, progress)
        _check_source(settings, chosen, progress, named=source is not None)
        platform = Platform(settings, progress.note)
        try:
            retries_within = RETRIES_WITHIN if once else timedelta()
            outcome = bring_up_to_date(platform, chosen, port, progress, retries_within)
            progress.clear()
            _print_outcome(platform, outcome, time.monotonic() - begin, stays_up=not once)
            if not once:
                _keep_running(platform)
        finally:
            progress.clear()
            stop(platform, progress)
    return 0 if outcome.succeeded or not once else 1


def choose_source(settings: Settings, wanted: str | None) -> str:
    """Return the source: `sample`, the absolute path of a folder or an archive, a URL, or an Airflow connection.

    It is the wanted source, else the configured one, else the one used last, else `sample`. Raises `PlatformError` if
    it is none of these.
    """
    configured = settings.source_url.get_secret_value() if settings.source_url else settings.source
    chosen = str(wanted or configured or Home(settings.home).remembered("source") or SAMPLE)
    if chosen == SAMPLE:
        return chosen
    kind = kind_of(chosen)
    if kind is None:
        raise unsupported(chosen)
    if kind is not Kind.FILES or not is_local(chosen):
        return chosen
    path = local_path(chosen)
    if path.exists():
        return str(path)
    if "=" in chosen and ";" in chosen:
        raise PlatformError("The source is a connection string, not a URL.", f"For SQL Server, write {FORM}. {CHOICES}")
    if "@" in chosen or "=" in chosen:
        # It may hold a password, so it is not shown.
        raise PlatformError("The source is neither a path nor a valid URL.", CHOICES)
    raise PlatformError(f"The source {chosen} does not exist.", CHOICES)


def with_remembered_permission(settings: Settings, chosen: str) -> Settings:
    """Return the settings, which allow missing tables if the last `run` of this source did."""
    home = Home(settings.home)
    is_allowed = home.remembered("source") == chosen and bool(home.remembered(ALLOW_MISSING))
    return settings.model_copy(update={"allow_missing": settings.allow_missing or is_allowed})


def warn_of_another_source(settings: Settings, chosen: str, progress: Progress) -> None:
    """Show what happens to another database in a home that has read a source before, if this one is another source.

    It is not refused: the same database may have moved, or be read from files.
    """
    if Home(settings.home).remembered("source") in (None, chosen):
        return
    progress.note(
        "The last run in this home read another source. If this is not the same database, press Ctrl-C: most tables"
        f" would be blocked, because their rows would count as lost or changed. {ANOTHER_HOME}",
        "yellow",
    )


def _check_source(settings: Settings, chosen: str, progress: Progress, *, named: bool) -> None:
    """Refuse a source that cannot be used before anything is started for it, and show what was recognized.

    `named`: the command names the source, so one that the refusal proposes has to name it too.
    A home that has used the source before starts all the same, since its figures can be read meanwhile. An Airflow
    connection can only be looked up once Airflow is up.
    """
    if chosen == SAMPLE:
        return
    progress.show("Looking at the source")
    try:
        if is_in_store(chosen):
            require_store(chosen)
        if names_connection(chosen):
            return
        opened = open_source(_with_source(settings, chosen))
        # A URL may hold a password, so it is not shown.
        shown = ("URL" if "://" in chosen else chosen) if named else ""
        offer = require_tables(opened, allow_missing=settings.allow_missing, named=shown)
        progress.note(f"Source: {form_of(opened, offer.tables)}")
        if offer.lacks:
            progress.note(offer.lacks, "yellow")
    except PlatformError as error:
        if Home(settings.home).remembered("source") != chosen:
            raise
        progress.note(f"{error.cause} Starting anyway: the ingestion will retry. {error.next_step}".strip())


def form_of(source: Source, tables: int) -> str:
    """Return what was recognized: `zip archive with 71 tables, Parquet: /data/adventureworks.zip`."""
    from adventureworks.source.files import FileSource

    if isinstance(source, FileSource):
        return f"{source.form()}: {source.place.address}"
    return f"{source.description}, with {tables} {'table' if tables == 1 else 'tables'}"


def _with_source(settings: Settings, chosen: str) -> Settings:
    """Return the settings with this URL or folder as the source."""
    if "://" in chosen:
        return settings.model_copy(update={"source": "", "source_url": SecretStr(chosen)})
    return settings.model_copy(update={"source": chosen, "source_url": None})


def source_variables(settings: Settings, chosen: str, endpoints: Endpoints) -> dict[str, str]:
    """Return the environment variables that pass the source to the tasks."""
    allowed = {"ADVENTUREWORKS_ALLOW_MISSING": str(settings.allow_missing)}
    if chosen == SAMPLE:
        return {**allowed, "ADVENTUREWORKS_SOURCE_URL": endpoints.source_url.get_secret_value()}
    if "://" in chosen:
        return {**allowed, "ADVENTUREWORKS_SOURCE_URL": chosen}
    return {**allowed, "ADVENTUREWORKS_SOURCE": chosen}


def bring_up_to_date(
    platform: Platform,
    source: str,
    port: int | None,
    progress: Progress,
    retries_within: timedelta,
    scale: float = 1,
) -> Outcome:
    """Start the platform, and return when nothing is left to do.

    `retries_within`: how soon a retry must be due to be waited for; zero if the platform keeps running. `scale`: the
    size of the sample data if the source is the sample and still empty. Raises `PlatformError` if a service does not
    start, or if there is no progress.
    """
    progress.show("Starting PostgreSQL")
    platform.start_postgres(port)
    platform.home.remember("source", source)
    platform.home.remember(ALLOW_MISSING, platform.settings.allow_missing)
    progress.done("PostgreSQL")
    filling = _fill_if_empty(platform, scale, progress) if source == SAMPLE else None
    progress.show("Preparing Airflow's database")
    platform.prepare_airflow(source_variables(platform.settings, source, platform.endpoints))
    metadata = platform.metadata()
    before = metadata.read(airflow_tables.newest_run)
    # Start the rest later: five services starting at once on two cores delay the API server.
    knows_dags = metadata.read(airflow_tables.knows_dag, INGESTION)
    platform.start_airflow(only=_first_services(source_is_filled=filling is None, knows_dags=knows_dags))
    if filling is not None:
        _wait_for_sample(platform, filling, progress)
        progress.done("sample data")
    unhealthy = platform.api().unhealthy
    _wait_until_up(platform, lambda: [service for service in unhealthy() if service == "api-server"], progress)
    progress.note(login_line(platform))
    # The first ingestion does not need the watch. But a platform that stops after it could stop before a first round.
    platform.start_airflow(only=None if retries_within else tuple(airflow.SERVICES))
    _wait_for_dags(platform, metadata, progress)
    _start_ingestion(platform, metadata, before)
    quiet = Quiet(metadata)
    _wait_until_up(platform, unhealthy, progress, meanwhile=quiet.look)
    progress.done("Airflow")
    platform.start_airflow()
    printed = _wait_until_quiet(platform, metadata, quiet, progress, retries_within)
    return _outcome(platform, metadata, before, printed)


def _first_services(*, source_is_filled: bool, knows_dags: bool) -> tuple[str, ...]:
    """Return the services to start first. A run that starts before the source is filled would publish empty tables."""
    return RUNNERS_OF_DAGS if source_is_filled and knows_dags else READERS_OF_DAGS


def _fill_if_empty(platform: Platform, scale: float, progress: Progress) -> subprocess.Popen[bytes] | None:
    """Start to generate the sample data if the embedded source is empty."""
    from adventureworks.source.embedded import is_empty, prepare

    progress.show("Preparing the embedded source")
    prepare(platform.endpoints.source_owner_url)
    if not is_empty(platform.endpoints.source_owner_url):
        return None
    return platform.command("source", "generate", "--scale", f"{scale:g}", "--seed", "1")


def _wait_for_sample(platform: Platform, filling: subprocess.Popen[bytes], progress: Progress) -> None:
    while filling.poll() is None:
        progress.show(f"Generating sample data: {platform.last_log_line('source')}")
        platform.tick()
        time.sleep(0.5)
    if filling.returncode != 0:
        raise PlatformError(f"The sample data could not be generated: {platform.last_log_line('source')}")


def _wait_until_up(
    platform: Platform,
    awaited: Callable[[], list[str]],
    progress: Progress,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    deadline = time.monotonic() + UP_WITHIN_SECONDS
    while missing := awaited():
        meanwhile()
        progress.show(f"Starting Airflow: waiting for {', '.join(missing)}")
        _tick_before(platform, deadline, f"Airflow's {', '.join(missing)} did not start.")


def _wait_for_dags(platform: Platform, metadata: Metadata, progress: Progress) -> None:
    deadline = time.monotonic() + UP_WITHIN_SECONDS
    while not metadata.read(airflow_tables.knows_dag, INGESTION):
        progress.show("Starting Airflow: reading the DAGs")
        errors = metadata.read(airflow_tables.import_errors)
        if errors:
            raise PlatformError(f"A DAG file cannot be read: {errors[0]}.", f"Its log: {platform.home.logs}")
        _tick_before(platform, deadline, f"The DAG {INGESTION} was not found in {platform.settings.dags_folder}.")


def _tick_before(platform: Platform, deadline: float, problem: str) -> None:
    if time.monotonic() > deadline:
        raise PlatformError(problem, f"The logs: {platform.home.logs}")
    platform.tick()
    time.sleep(0.3)


def _start_ingestion(platform: Platform, metadata: Metadata, before: int) -> None:
    """Start an ingestion, unless its schedule or the watcher has already done so."""
    deadline = time.monotonic() + UP_WITHIN_SECONDS
    while not any(run.dag == INGESTION for run in metadata.read(airflow_tables.active_runs, before)):
        try:
            platform.api().trigger(INGESTION)
        except ServiceUnavailable:
            # It responds late while other services start.
            _tick_before(platform, deadline, "Airflow's API server does not answer.")
        else:
            return


class Quiet:
    """Since when nothing has been queued or running in Airflow, as far as `look` has seen."""

    def __init__(self, metadata: Metadata) -> None:
        self.runs: list[airflow_tables.Run] = []
        """The runs that were active at the last look."""
        self._metadata = metadata
        self._since: float | None = None

    def look(self) -> bool:
        """Look again, and return whether nothing has been queued or running for `QUIET_SECONDS`."""
        try:
            with self._metadata.connect() as connection:
                self.runs, pending = airflow_tables.active_runs(connection), airflow_tables.pending_events(connection)
        except UNAVAILABLE:
            self.end()
            return False
        if self.runs or pending:
            self.end()
            return False
        if self._since is None:
            self._since = time.monotonic()
        return time.monotonic() - self._since >= QUIET_SECONDS

    def end(self) -> None:
        """Count from the next look again."""
        self._since = None


def _wait_until_quiet(
    platform: Platform, metadata: Metadata, quiet: Quiet, progress: Progress, retries_within: timedelta
) -> Set[str]:
    """Show what runs and what is published until nothing is queued, running, or due to start within `retries_within`.

    Incidents are printed as they are opened; return the ids of these. Raises `PlatformError` if there is no progress.
    """
    screen = Screen(progress, platform.url)
    seen, progressed_at, retry = "", time.monotonic(), ""
    while True:
        platform.tick()
        try:
            if quiet.look():
                starts = _next_starts(platform, metadata, retries_within)
                if not starts:
                    return screen.printed
                # The dispatcher will start them.
                retry = f"waiting for the next retry of {', '.join(starts)}"
                quiet.end()
        except UNAVAILABLE:
            quiet.end()
        found, runs = _look(platform, quiet.runs)
        now = " | ".join(str(run) for run in runs if run.started)
        retry = "" if runs else retry
        screen.show(found, loaded(runs), now or retry or "waiting for the next step")
        if now != seen:
            seen, progressed_at = now, time.monotonic()
        if time.monotonic() - progressed_at > STALLED_AFTER_SECONDS:
            raise PlatformError(
                f"There was no progress for {STALLED_AFTER_SECONDS / 60:.0f} minutes: {now or 'no task is running'}.",
                f"UI: {platform.url}",
            )
        time.sleep(0.5)


def _look(
    platform: Platform, runs: Sequence[airflow_tables.Run]
) -> tuple[tuple[Standing, list[Incident]] | None, Sequence[airflow_tables.Run]]:
    """Return how much is published with the open incidents, and the runs with the steps that analyses are in.

    While the warehouse cannot be read, the first is None, and the runs are those that are given.
    """
    try:
        with _reading(platform) as session:
            if not _is_ready(session.records):
                return None, runs
            named = [_with_step(session.records, run) for run in runs]
            return (standing(session), open_incidents(session.records)), named
    except UNAVAILABLE:
        return None, runs


def _with_step(records: Connection, run: airflow_tables.Run) -> airflow_tables.Run:
    def named(step: airflow_tables.Step) -> airflow_tables.Step:
        return replace(step, task=shown_task(records, run.dag, f"{run.dag}/{run.run_id}", step.task))

    return replace(run, steps=tuple(named(step) if step.running else step for step in run.steps))


def _is_ready(records: WarehouseConnection) -> bool:
    """Return whether the platform's tables are those of this version: the first ingestion creates or migrates them."""
    return is_laid_out(records) and migrations.is_current(records)


def _next_starts(platform: Platform, metadata: Metadata, retries_within: timedelta) -> list[str]:
    """Return the analyses that the dispatcher starts now or within `retries_within`."""
    with _reading(platform) as session:
        if not _is_ready(session.records):
            return []
        decisions = decide_now(platform.settings, session)
        starts = next_starts(decisions, metadata.read(states_of, decisions.runnable))
    return [dag for dag, start in starts.items() if start.is_within(datetime.now(UTC) + retries_within)]


def _outcome(platform: Platform, metadata: Metadata, before: int, printed: Set[str]) -> Outcome:
    failed = metadata.read(airflow_tables.failed_tasks, before)
    with _reading(platform) as session:
        if not _is_ready(session.records):
            return Outcome([], [], failed)
        decided = decide_now(platform.settings, session)
        return Outcome(asset_states(session.records, decided), open_incidents(session.records), failed, printed)


def _reading(platform: Platform) -> AbstractContextManager[Session]:
    """Return a session of the reader with the platform's warehouse."""
    return PostgresWarehouse(Records(platform.endpoints.reader_url, platform.settings.environment)).connect("run")


def _print_outcome(platform: Platform, outcome: Outcome, seconds: float, stays_up: bool) -> None:
    out = console()
    for task in outcome.failed:
        log = task.log_file(platform.home.logs / "airflow")
        out.print(f"{task.dag}: the task {task.task} failed. Its log: {log}", style="red", markup=False)
    if outcome.stale:
        out.print(f"Not fresh: {', '.join(outcome.stale)}.", style="red", markup=False)
    print_summary(outcome.states, outcome.incidents, printed=outcome.printed)
    took = f"after {shown_time(seconds)}; logs: {platform.home.logs}."
    if stays_up:
        out.print(login_line(platform), markup=False)
    if shutil.which(PROGRAM) is None:
        out.print(f"First: . {Path(sys.prefix, 'bin', 'activate')}", markup=False)
    commands = ("adventureworks status", 'adventureworks sql "select * from marts.daily_sales limit 5"')
    out.print(f"Try:   {', '.join(map(as_typed, commands))}", markup=False)
    out.print(
        f"Up and following the source {took} Press Ctrl-C to stop." if stays_up else f"Finished {took}", markup=False
    )


def login_line(platform: Platform) -> str:
    """Return the address of the UI and how to log in. Only a terminal shows the password, other outputs its file."""
    shown = f"{airflow.password(platform.home)}, kept in " if sys.stdout.isatty() else "in "
    file = platform.home.secrets / airflow.PASSWORDS_FILE
    return f"UI:    {platform.url}  user {airflow.USER}, password {shown}{file}"


def _keep_running(platform: Platform) -> None:
    """Keep everything running until Ctrl-C, which is the normal way to stop and therefore not a failure."""
    try:
        while True:
            platform.tick()
            time.sleep(1)
    except SystemExit:
        return


def stop(platform: Platform, progress: Progress) -> None:
    """Stop in order. A second Ctrl-C stops everything at once; a third one is ignored."""
    progress.show("Stopping")
    try:
        platform.stop()
    except SystemExit:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        platform.kill()
    progress.clear()
