"""Notes on the runs in Airflow's UI: what a run published and why, or why it computed nothing.

The watch writes them when a run has ended. They contain counts, months and names of tables, marts and tasks, and no
values from the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import OperationalError
from psycopg.errors import LockNotAvailable

from adventureworks.airflow_tables import Connection, EndedRun, unnoted_runs, write_note
from adventureworks.catalog import ANALYSES, INGESTION, MARTS, marts_of
from adventureworks.due import NO_REASON, NothingToDo
from adventureworks.messaging.dependants import shortened
from adventureworks.months import first_day
from adventureworks.texts import Language, Phrases, phrase
from adventureworks.texts.plain import cut
from adventureworks.warehouse import publication
from adventureworks.warehouse.cause import cause_of
from adventureworks.warehouse.postgres import WarehouseConnection
from adventureworks.warehouse.publication import Publication
from adventureworks.warehouse.state import blocked_by
from adventureworks.warehouse.steps import shown_task
from adventureworks.warehouse.subject import NOT_OF_TASK

AUTHOR = "adventureworks watch"
"""Marks the notes of the platform. A note that a person wrote or edited is not replaced."""
KEY = "nothing_to_do"
"""The key under which a task leaves the reason for a skipped run, because no record of the platform has it."""
LONGEST = 200
LOOKBACK = timedelta(hours=1)
"""Runs that ended earlier get no note, such as those from before an upgrade."""
LOCK_TIMEOUT_MS = 2000
"""How long a note may wait for a lock in Airflow's database. It is written in a later round then."""
MOST = 3
"""The number of tables, marts or months that a note names."""


@dataclass(frozen=True)
class Outcome:
    """What a run did."""

    published: tuple[Publication, ...] = ()
    changes: tuple[Publication, ...] = ()
    """The versions of inputs because of which its marts were computed."""
    others: Phrases = NO_REASON
    """Other reasons for which they were computed."""
    is_confirmed: bool = False
    """Whether it computed marts again and no row changed."""
    blocked: tuple[str, ...] = ()
    """The tables or marts that it could not publish."""
    failed: tuple[str, ...] = ()
    """Its tasks that failed, each with the step that failed if it has several."""
    nothing_to_do: NothingToDo | None = None


def message(step: NothingToDo) -> dict[str, Any]:
    """Return why a run computes nothing, as a task leaves it under `KEY`."""
    # The reason for a rollback names a person.
    reason = phrase("rolled back") if step.is_rolled_back else step.reason
    return {"reason": reason.stored, "waits": step.waits}


def write(
    records: WarehouseConnection, airflow: Connection, language: Language, now: datetime
) -> Mapping[str, Exception]:
    """Write the notes of runs that ended lately, in a transaction of Airflow's database that the caller commits.

    Returns the errors of runs whose note could not be written, by `<dag>/<run>`. Raises `psycopg.OperationalError` if a
    database does not answer.
    """
    errors: dict[str, Exception] = {}
    airflow.execute(f"set local lock_timeout = {LOCK_TIMEOUT_MS}")
    for run in unnoted_runs(airflow, [INGESTION, *ANALYSES], now - LOOKBACK, KEY, AUTHOR):
        try:
            with records.transaction(), airflow.transaction():
                if content := worded(run.dag, _outcome(records, run), language):
                    write_note(airflow, run, content, AUTHOR)
        except LockNotAvailable:
            # This note and those after it are written in a later round.
            break
        except OperationalError:
            raise
        except Exception as error:
            errors[f"{run.dag}/{run.run_id}"] = error
    return errors


def worded(dag: str, outcome: Outcome, language: Language) -> str:
    """Return the note on a run, of at most `LONGEST` characters; empty if there is nothing to say."""
    done = _computed(outcome, language) if dag in ANALYSES else _ingested(outcome, language)
    trouble = cut(_trouble(outcome, language), LONGEST)
    # What is blocked or failed is named even if the reasons before it do not fit.
    room = LONGEST - len(f" {trouble}") if trouble else LONGEST
    return " ".join(filter(None, (cut(done, room) if room > 0 else "", trouble)))


def _trouble(outcome: Outcome, language: Language) -> str:
    if outcome.blocked:
        return language.text("Blocked: {assets}.", assets=shortened(outcome.blocked, language, MOST))
    if outcome.failed:
        return language.text("Failed: {tasks}.", tasks=shortened(outcome.failed, language, MOST))
    return ""


def _ingested(outcome: Outcome, language: Language) -> str:
    if outcome.published:
        return f"{_changed(outcome.published, language)}."
    return "" if outcome.blocked or outcome.failed else language.text("No table changed.")


def _computed(outcome: Outcome, language: Language) -> str:
    text, step = language.text, outcome.nothing_to_do
    if step is not None:
        reason = step.reason.shown(language)
        if step.waits:
            return text("Waiting: {reason}.", reason=reason)
        return text("Nothing to compute: {reason}.", reason=reason)
    if outcome.published:
        whys = (_changed(outcome.changes, language) if outcome.changes else "", outcome.others.shown(language))
        why, months = text("; ").join(filter(None, whys)), _months(outcome.published, language)
        if why:
            return text("{why}: {months} computed again.", why=why[0].upper() + why[1:], months=months)
        marts = [version.asset for version in outcome.published]
        return text("Computed {marts}: {months}.", marts=shortened(marts, language, MOST), months=months)
    return text("No row changed.") if outcome.is_confirmed else ""


def _changed(versions: Sequence[Publication], language: Language) -> str:
    """Return how many rows of which tables or marts changed, those with the most changed rows first."""
    rows: dict[str, int] = {}
    for version in versions:
        rows[version.asset] = rows.get(version.asset, 0) + version.changed_rows
    assets = shortened(sorted(rows, key=lambda asset: (-rows[asset], asset)), language, MOST)
    count = sum(rows.values())
    if count == 0:
        # Rows were only set aside, or left quarantine.
        return language.text("New version of {assets} with the same rows", assets=assets)
    if count == 1:
        return language.text("1 row of {assets} changed", assets=assets)
    return language.text("{count} rows of {assets} changed", count=language.number(count), assets=assets)


def _months(versions: Sequence[Publication], language: Language) -> str:
    months: set[str] = set()
    for version in versions:
        if version.months is None:
            return language.text("all months")
        months.update(version.months)
    return shortened([language.month(first_day(month)) for month in sorted(months)], language, MOST)


def _outcome(records: WarehouseConnection, run: EndedRun) -> Outcome:
    run_id = f"{run.dag}/{run.run_id}"
    published = tuple(publication.of_run(records, run_id))
    if run.dag == INGESTION:
        blocked = tuple(asset for asset, _, _ in blocked_by(records, run_id))
        return Outcome(published, blocked=blocked, failed=run.failed)
    changes, others = _causes(records, run.dag, published)
    return Outcome(
        published,
        changes,
        others,
        is_confirmed=bool(publication.confirmed_by(records, run_id)),
        blocked=_refused_marts(records, run.dag, run_id),
        failed=tuple(shown_task(records, run.dag, run_id, task, run.ended_at) for task in run.failed),
        nothing_to_do=_nothing_to_do(run.message) if run.message else None,
    )


def _causes(
    records: WarehouseConnection, dag: str, published: Sequence[Publication]
) -> tuple[tuple[Publication, ...], Phrases]:
    """Return why marts were computed: versions of what other DAGs publish, and other reasons."""
    changes: dict[tuple[str, int], Publication] = {}
    others = NO_REASON
    for version in published:
        before = publication.version_of(records, version.asset, version.version - 1)
        if before is None:
            continue
        cause = cause_of(records, version, before)
        others += cause.others
        for change in cause.changes:
            read = change.publication
            if read.asset not in MARTS or MARTS[read.asset].dag != dag:
                changes[read.asset, read.version] = read
    return tuple(changes.values()), others


def _nothing_to_do(message: Any) -> NothingToDo:
    return NothingToDo(Phrases.restored(message["reason"]), waits=message["waits"])


def _refused_marts(records: WarehouseConnection, dag: str, run_id: str) -> tuple[str, ...]:
    rows = records.execute(
        "select distinct asset from ops.incident where run_id = %s and severity = 'error' and status <> 'resolved'"
        f" and asset = any(%s) and {NOT_OF_TASK} order by asset",
        (run_id, [mart.name for mart in marts_of(dag)]),
    ).fetchall()
    return tuple(asset for (asset,) in rows)
