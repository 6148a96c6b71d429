"""Retention: what bounds the size of each table, and the thread that drops old records, Airflow runs and task logs."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg

from adventureworks import rollback
from adventureworks.airflow_tables import CLEANED_TABLES, drop_former_aliases, has_old_runs
from adventureworks.errors import PlatformError, Step
from adventureworks.gate import detect, results
from adventureworks.incidents import ledger
from adventureworks.marts import plan
from adventureworks.messaging import notices, store
from adventureworks.orchestration import notify
from adventureworks.settings import Settings
from adventureworks.warehouse import decisions, intervention, kept, layout, open_warehouse, publication, use
from adventureworks.warehouse.postgres import Connection

FIRST_SECONDS, EVERY_SECONDS = 60.0, 86_400.0
"""The first run comes soon after the start, because a platform may be up for only minutes each night."""
AIRFLOW_TIMEOUT_SECONDS = 3600.0
LOG_FOLDER = "AIRFLOW__LOGGING__BASE_LOG_FOLDER"

Clear = Callable[[Connection, datetime], None]
"""Deletes the records from before a moment, except those that are still needed for decisions."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bound:
    """What keeps a table from growing without limit."""

    size: str
    """What the table holds at most."""
    clear: Clear | None = None
    """None: the table is bounded where it is written, or because it is deleted from together with another table."""
    at_most: timedelta = timedelta.max
    """The longest time that records are kept, if that is shorter than `keep_days`."""


def _clear_publications(connection: Connection, before: datetime) -> None:
    publication.clear(connection, before, plan.oldest_consumed(connection))


RECORDS: Mapping[str, Bound] = {
    "attachment": Bound("the attachments of the rows of message_content"),
    "build": Bound("the last build of each analysis"),
    "candidate": Bound("one row for each table and mart"),
    "change": Bound(
        "the changes of `keep_days`; of a blocked table, also the first one that was blocked", detect.clear
    ),
    "check_result": Bound("the results of `keep_days`, and the newest of each rule", results.clear),
    "column_profile": Bound("the profiles of the last versions of each source table"),
    "in_transit": Bound("the messages that are being sent"),
    "forgotten_person": Bound("one row for each forgotten person"),
    "forgotten_row": Bound("one row for each forgotten person, and for each of their addresses, cards and customers"),
    "incident": Bound("the unresolved incidents, and those resolved within `keep_days`", ledger.clear),
    "intervention": Bound("those in force, and those that ended within `keep_days`", intervention.clear),
    "layout": Bound("one row"),
    "message_content": Bound(
        "the contents of 30 days, and those of pending messages", store.drop_contents, timedelta(days=30)
    ),
    "migration": Bound("one row"),
    "monthly_report": Bound("one row for each month with orders"),
    "notice": Bound("the notices of `keep_days`", notices.clear),
    "outbox": Bound("the pending messages, and those of `keep_days`", store.delete_finished),
    "proof": Bound("one row for each rule of a source table"),
    "publication": Bound(
        "the versions of `keep_days`, the newest ones, and those that some mart has yet to consume", _clear_publications
    ),
    "quarantined_row": Bound(
        "the rows in quarantine, discarded ones too, and, until their table is next loaded, those that left it within"
        " `keep_days`"
    ),
    "replay": Bound("one row for each source table"),
    "report_file": Bound("one row for each file of each month with orders"),
    "row_decision": Bound(
        "the decisions in force: up to 10,000 corrections of each table, and one for each discarded row; and those that"
        " ended within `keep_days`",
        decisions.clear,
    ),
    "table_summary": Bound("one row for each large source table, and one for its candidate"),
    "warehouse_use": Bound("the sessions of `keep_days`", use.clear),
    "watermark": Bound("one row for each source table"),
}
"""By table of the `ops` schema.

The tables of other schemas grow with the source: `raw` has its rows, `marts` what follows from them (`Mart.history`
limits what earlier builds leave), and `staging` what the last run staged and what the last `keep_versions` versions of
each table and mart changed, for at most `keep_versions_days`, and one more until the next publication. `quarantine` has
only views.
"""


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
    longest = timedelta(days=settings.keep_days)
    with open_warehouse(settings).connect("retention") as session:
        layout.prepare(session)
        for bound in RECORDS.values():
            if bound.clear:
                bound.clear(session.records, now - min(longest, bound.at_most))
    # In a transaction of its own, because it waits for publications, which may wait for the records deleted above.
    with open_warehouse(settings).connect("retention") as session:
        if kept.are_kept(session):
            rollback.clear(session, now - min(longest, timedelta(days=settings.keep_versions_days)))


def drop_runs(settings: Settings, metadata_url: str, now: datetime) -> None:
    """Drop Airflow's records of runs that are older than `keep_days`, except the last run of each DAG.

    Also drops what earlier versions of the platform left in Airflow's database.
    Raises PlatformError if Airflow's own command fails.
    """
    before = now - timedelta(days=settings.keep_days)
    with psycopg.connect(metadata_url, connect_timeout=10) as airflow:
        drop_former_aliases(airflow)
        if not has_old_runs(airflow, before):
            # Avoid the command below, which takes seconds to start.
            return
    command = [sys.executable, "-m", "airflow", "db", "clean", "--yes", "--skip-archive", "--error-on-cleanup-failure"]
    options = ["--tables", CLEANED_TABLES, "--clean-before-timestamp", before.isoformat()]
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
        raise PlatformError(f"`airflow db clean` failed: {last}", Step("Check:", "adventureworks doctor"))


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
