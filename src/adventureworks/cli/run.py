"""`adventureworks run`: the main job, from an empty folder to fresh marts, and then for as long as it is wanted."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from rich.markup import escape

from adventureworks.cli.output import console, table
from adventureworks.cli.status import incident_line
from adventureworks.embedded import airflow
from adventureworks.embedded.airflow_api import FailedTask, Metadata
from adventureworks.embedded.home import Home
from adventureworks.embedded.platform import READERS_OF_DAGS, RUNNERS_OF_DAGS, Platform
from adventureworks.embedded.services import Endpoints
from adventureworks.errors import PlatformError, ServiceUnavailable
from adventureworks.incidents.ledger import Incident, open_incidents
from adventureworks.marts.plan import decide_now
from adventureworks.messaging.routes import routes
from adventureworks.settings import Settings
from adventureworks.source import AIRFLOW, POSTGRESQL, SQL_SERVER
from adventureworks.starts import next_starts, states_of
from adventureworks.warehouse.postgres import connected
from adventureworks.warehouse.state import AssetState, asset_states, is_laid_out, summary_of_marts

INGESTION = "ingest_source"
SAMPLE = "sample"
UP_WITHIN_SECONDS = 300.0
STALLED_AFTER_SECONDS = 1800.0
QUIET_SECONDS = 2.0
"""For so long nothing may be queued or running before the work is done: an event takes a moment to wake a run."""
RETRIES_WITHIN = timedelta(minutes=3)
"""How long `--once` waits for the next try of an analysis that failed: two more tries, not the last one."""


@dataclass(frozen=True)
class Outcome:
    """How it ended: what is published, what is wrong."""

    states: list[AssetState]
    incidents: list[Incident]
    failed: list[FailedTask]

    @property
    def stale(self) -> list[str]:
        """The marts that are not computed from the newest versions of their inputs."""
        return [state.asset for state in self.states if state.kind == "mart" and not state.fresh]

    @property
    def good(self) -> bool:
        """Every mart is fresh, no incident is open, no task failed."""
        return not (self.stale or self.incidents or self.failed)


def run(settings: Settings, source: str | None, once: bool, port: int | None) -> int:
    """Starts all, ingests, waits until all is fresh; then stays, or stops with `once`. Returns the exit status."""
    begin = time.monotonic()
    chosen = choose_source(settings, source)
    # A wrong address is refused here, not by the first message that is to be sent.
    routes(settings)
    with Progress() as progress:
        platform = Platform(settings, progress.note)
        try:
            patience = RETRIES_WITHIN if once else timedelta()
            outcome = _bring_up_to_date(platform, chosen, port, progress, patience)
            progress.clear()
            _print_outcome(platform, outcome, time.monotonic() - begin, staying=not once)
            if not once:
                _stay(platform)
        finally:
            progress.clear()
            _stop(platform, progress)
    return 0 if outcome.good or not once else 1


def choose_source(settings: Settings, wanted: str | None) -> str:
    """`sample`, the absolute path of a folder, a URL, or an Airflow connection: what is wanted, else configured, else
    the last, else sample.

    Raises PlatformError where it is none of the four.
    """
    configured = settings.source_url.get_secret_value() if settings.source_url else settings.source
    chosen = wanted or configured or Home(settings.home).remembered("source") or SAMPLE
    if chosen == SAMPLE or chosen.startswith((*POSTGRESQL, *SQL_SERVER, AIRFLOW)):
        return str(chosen)
    choices = "Give --source sample, a folder of files, postgresql://…, mssql://…, or airflow:connection"
    if "://" in chosen:
        raise PlatformError(f"A source of the kind {chosen.split('://')[0]}:// cannot be read.", choices)
    if "@" in chosen:
        # It may hold a password, so it is not shown.
        raise PlatformError("The source is not a URL that can be read.", choices)
    folder = Path(chosen).expanduser().absolute()
    if not folder.is_dir():
        raise PlatformError(f"The source {chosen} is not a folder.", choices)
    return str(folder)


def source_variables(chosen: str, endpoints: Endpoints) -> dict[str, str]:
    """How the tasks are told of the source."""
    if chosen == SAMPLE:
        return {"ADVENTUREWORKS_SOURCE_URL": endpoints.source_url.get_secret_value()}
    if "://" in chosen:
        return {"ADVENTUREWORKS_SOURCE_URL": chosen}
    return {"ADVENTUREWORKS_SOURCE": chosen}


def _bring_up_to_date(
    platform: Platform, source: str, port: int | None, progress: Progress, patience: timedelta
) -> Outcome:
    progress.show("Starting PostgreSQL")
    platform.start_postgres(port)
    platform.home.remember("source", source)
    filling = _fill_if_empty(platform, progress) if source == SAMPLE else None
    progress.show("Preparing Airflow's database")
    platform.prepare_airflow(source_variables(source, platform.endpoints))
    metadata = platform.metadata()
    before = metadata.newest_run()
    # Start the rest later: five services starting at once on two cores delay the API server.
    platform.start_airflow(only=_first_services(source_is_filled=filling is None, knows_dags=metadata.knows(INGESTION)))
    if filling is not None:
        _wait_for_sample(platform, filling, progress)
    unhealthy = platform.api().unhealthy
    _wait_until_up(platform, lambda: [service for service in unhealthy() if service == "api-server"], progress)
    platform.start_airflow()
    _wait_for_dags(platform, metadata, progress)
    _start_ingestion(platform, metadata, before)
    _wait_until_up(platform, unhealthy, progress)
    _wait_until_quiet(platform, metadata, progress, patience)
    return _outcome(platform, metadata, before)


def _first_services(*, source_is_filled: bool, knows_dags: bool) -> tuple[str, ...]:
    """Return the services to start first. A run that starts before the source is filled would publish empty tables."""
    return RUNNERS_OF_DAGS if source_is_filled and knows_dags else READERS_OF_DAGS


def _fill_if_empty(platform: Platform, progress: Progress) -> subprocess.Popen[bytes] | None:
    """Starts to generate the sample data if the embedded source holds nothing."""
    from adventureworks.source.embedded import is_empty, prepare

    progress.show("Laying out the embedded source")
    prepare(platform.endpoints.source_owner_url)
    if not is_empty(platform.endpoints.source_owner_url):
        return None
    return platform.command("source", "generate", "--scale", "1", "--seed", "1")


def _wait_for_sample(platform: Platform, filling: subprocess.Popen[bytes], progress: Progress) -> None:
    while filling.poll() is None:
        progress.show(f"Generating sample data: {platform.last_word('source')}")
        platform.tick()
        time.sleep(0.5)
    if filling.returncode != 0:
        raise PlatformError(f"The sample data could not be generated: {platform.last_word('source')}")


def _wait_until_up(platform: Platform, awaited: Callable[[], list[str]], progress: Progress) -> None:
    deadline = time.monotonic() + UP_WITHIN_SECONDS
    while missing := awaited():
        progress.show(f"Starting Airflow: waiting for {', '.join(missing)}")
        _tick_before(platform, deadline, f"Airflow's {', '.join(missing)} did not come up.")


def _wait_for_dags(platform: Platform, metadata: Metadata, progress: Progress) -> None:
    deadline = time.monotonic() + UP_WITHIN_SECONDS
    while not metadata.knows(INGESTION):
        progress.show("Starting Airflow: reading the DAGs")
        errors = metadata.import_errors()
        if errors:
            raise PlatformError(f"A DAG file cannot be read: {errors[0]}.", f"Its log: {platform.home.logs}")
        _tick_before(platform, deadline, f"The DAG {INGESTION} was not found in {platform.settings.dags_folder}.")


def _tick_before(platform: Platform, deadline: float, problem: str) -> None:
    if time.monotonic() > deadline:
        raise PlatformError(problem, f"The logs: {platform.home.logs}")
    platform.tick()
    time.sleep(0.3)


def _start_ingestion(platform: Platform, metadata: Metadata, before: int) -> None:
    """Starts an ingestion, unless its calendar or the watcher has done so already."""
    deadline = time.monotonic() + UP_WITHIN_SECONDS
    while not any(run.dag == INGESTION for run in metadata.active(after=before)):
        try:
            platform.api().trigger(INGESTION)
        except ServiceUnavailable:
            # It answers late while other services start.
            _tick_before(platform, deadline, "Airflow's API server does not answer.")
        else:
            return


def _wait_until_quiet(platform: Platform, metadata: Metadata, progress: Progress, patience: timedelta) -> None:
    """Shows what runs until nothing is queued, running, or started within `patience`.

    Raises PlatformError if it stands still.
    """
    quiet_since: float | None = None
    seen, moved, retried = "", time.monotonic(), ""
    while True:
        platform.tick()
        try:
            runs, waking = metadata.active(), metadata.waking()
            if runs or waking:
                quiet_since = None
            elif quiet_since is None:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since >= QUIET_SECONDS:
                starts = _next_starts(platform, metadata, patience)
                if not starts:
                    return
                # The dispatcher will start them.
                quiet_since, retried = None, f"Waiting for the next try of {', '.join(starts)}"
        except (ServiceUnavailable, psycopg.OperationalError):
            time.sleep(1)
            continue
        now = " | ".join(str(run) for run in runs if run.started)
        retried = "" if runs else retried
        progress.show(now or retried or "Waiting for the next step")
        if now != seen:
            seen, moved = now, time.monotonic()
        if time.monotonic() - moved > STALLED_AFTER_SECONDS:
            raise PlatformError(
                f"Nothing moved for {STALLED_AFTER_SECONDS / 60:.0f} minutes: {now}.", f"UI: {platform.url}"
            )
        time.sleep(0.5)


def _next_starts(platform: Platform, metadata: Metadata, patience: timedelta) -> list[str]:
    """Return the analyses that the dispatcher starts now or within `patience`."""
    with connected(platform.endpoints.reader_url, platform.settings.environment) as warehouse:
        if not is_laid_out(warehouse):
            return []
        decisions = decide_now(platform.settings, warehouse)
        with metadata.connect() as airflow:
            starts = next_starts(decisions, states_of(airflow, decisions.startable))
    return [dag for dag, start in starts.items() if start.is_within(datetime.now(UTC) + patience)]


def _outcome(platform: Platform, metadata: Metadata, before: int) -> Outcome:
    with connected(platform.endpoints.reader_url, platform.settings.environment) as connection:
        if not is_laid_out(connection):
            return Outcome([], [], metadata.failed(before))
        behind = decide_now(platform.settings, connection).behind
        return Outcome(asset_states(connection, behind), open_incidents(connection), metadata.failed(before))


def _print_outcome(platform: Platform, outcome: Outcome, seconds: float, staying: bool) -> None:
    out = console()
    headings = ("published", "version", "rows", "set aside", "verdict")
    out.print(table(headings, _published(outcome), right=("version", "rows", "set aside")))
    for task in outcome.failed:
        out.print(f"{task.dag}: the task {task.task} failed. Its log: {task.log}", style="red", markup=False)
    for incident in outcome.incidents:
        out.print(incident_line(incident), style="red" if incident.severity == "error" else "yellow", markup=False)
    if outcome.stale:
        out.print(f"Not fresh: {', '.join(outcome.stale)}.", style="red", markup=False)
    out.print(f"{summary_of_marts(outcome.states)}, after {seconds:.0f} seconds.", markup=False)
    if staying:
        shown = f"{airflow.password(platform.home)}, kept in " if out.is_terminal else "in "
        file = platform.home.secrets / airflow.PASSWORDS_FILE
        out.print(f"UI:    {platform.url}  user {airflow.USER}, password {shown}{file}", markup=False)
    out.print(f"Logs:  {platform.home.logs}", markup=False)
    out.print(
        'Look:  adventureworks status, adventureworks sql "select * from marts.daily_sales limit 5"', markup=False
    )
    if staying:
        out.print("Stays up and follows the source. Ctrl-C stops it.", markup=False)


def _published(outcome: Outcome) -> list[tuple[str, ...]]:
    return [
        (
            state.asset,
            str(state.version),
            f"{state.rows:,}",
            f"{state.set_aside:,}" if state.set_aside else "",
            state.verdict,
        )
        for state in outcome.states
        if state.version is not None
    ]


def _stay(platform: Platform) -> None:
    """Keeps everything alive until Ctrl-C, which is the usual way to end and so no failure."""
    try:
        while True:
            platform.tick()
            time.sleep(1)
    except SystemExit:
        return


def _stop(platform: Platform, progress: Progress) -> None:
    """Stops in order; a second Ctrl-C hurries, a third one changes nothing."""
    progress.show("Stopping")
    try:
        platform.stop()
    except SystemExit:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        platform.kill()
    progress.clear()


class Progress:
    """One line that tells what happens now: in place on a terminal, as plain lines elsewhere."""

    def __init__(self) -> None:
        self._console = console()
        self._live = self._console.is_terminal and "CI" not in os.environ
        self._status = self._console.status("") if self._live else None
        self._shown = ""
        self._visible = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def show(self, text: str) -> None:
        """Says what happens now."""
        if text == self._shown:
            return
        self._shown = text
        if self._status is None:
            print(text, flush=True)
            return
        self._status.update(escape(text))
        if not self._visible:
            self._visible = True
            self._status.start()

    def note(self, text: str) -> None:
        """Says something that must stay on the screen."""
        self._console.print(text, markup=False)

    def clear(self) -> None:
        """Takes the line away."""
        if self._status is not None and self._visible:
            self._status.stop()
            self._visible = False
        self._shown = ""
