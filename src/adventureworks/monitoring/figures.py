"""The values of the metrics, read from the warehouse and from Airflow's database without writing.

Ages and delays are in seconds at the time of reading. Only the platform's own records are read, not its data, because
polling every few seconds must not resume a warehouse that is billed by the minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from adventureworks.airflow_tables import waiting_runs, waiting_tasks
from adventureworks.catalog import MARTS, SOURCE_TABLES, entry, marts_of
from adventureworks.due import Decisions
from adventureworks.incidents.freshness import freshness
from adventureworks.warehouse import use
from adventureworks.warehouse.publication import NOT_OFFERED, not_offered
from adventureworks.warehouse.state import blocked_since

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Metric:
    """A metric: its name and unit in OpenTelemetry's notation, and its meaning."""

    name: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class Figure:
    """One value of a metric."""

    metric: Metric
    value: float
    labels: Mapping[str, str]


BEHIND = Metric(
    "adventureworks.asset.behind",
    "s",
    "How long a mart has been due, or how long a refused change of a table has been waiting.",
)
AGE = Metric("adventureworks.asset.age", "s", "Age of the newest published version.")
BLOCKED = Metric("adventureworks.asset.blocked", "1", "1 if the newest data was refused, otherwise 0.")
FRESH_WITHIN = Metric("adventureworks.asset.fresh_within", "s", "How soon a change is promised to be published.")
MISSED = Metric(
    "adventureworks.asset.promise_missed", "1", "1 if a change waits for longer than promised, otherwise 0."
)
VERDICTS = Metric("adventureworks.assets", "{asset}", "Number of tables and marts by their last verdict.")
SET_ASIDE = Metric("adventureworks.rows.set_aside", "{row}", "Number of rows of a table in quarantine.")
INCIDENTS = Metric("adventureworks.incidents.open", "{incident}", "Number of unresolved incidents.")
QUEUE_AGE = Metric("adventureworks.queue.age", "s", "Age of the oldest waiting item; 0 if the queue is empty.")
QUEUE_LENGTH = Metric("adventureworks.queue.length", "{item}", "Number of waiting items.")
STATEMENTS = Metric(
    "adventureworks.warehouse.statements", "{statement}", "Number of statements sent to Snowflake in the last 24 hours."
)

METRICS = (
    BEHIND,
    FRESH_WITHIN,
    MISSED,
    AGE,
    BLOCKED,
    VERDICTS,
    SET_ASIDE,
    INCIDENTS,
    QUEUE_AGE,
    QUEUE_LENGTH,
    STATEMENTS,
)

_VERDICTS = ("passed", "passed with warnings", "blocked", "never published", NOT_OFFERED)
_SEVERITIES = ("error", "warning")


@dataclass(frozen=True)
class _Published:
    """The newest version of an asset."""

    version: int
    at: datetime
    verdict: str
    set_aside: int


def of_warehouse(
    records: Connection,
    decided: Decisions,
    promised: Mapping[str, timedelta],
    *,
    since: datetime,
    now: datetime,
) -> Iterator[Figure]:
    """Yield freshness, verdicts, rows in quarantine, incidents and waiting messages.

    `decided`: by `due`; `promised`: from `freshness.promises`; `since`: when the watch began. A promise
    counts from then at the earliest, and so does a change if it is not known since when it has been waiting.
    """
    newest = _newest(records)
    blocked = blocked_since(records)
    stopped = (mart.name for dag in decided.lacks for mart in marts_of(dag) if mart.name not in newest)
    absent = not_offered(records).union(stopped)
    fresh = freshness(promised, records, decided.behind, now, watched_since=since)
    verdicts: Counter[tuple[str, str]] = Counter()
    for asset in (*SOURCE_TABLES, *MARTS):
        last = newest.get(asset)
        kind = "source" if asset in SOURCE_TABLES else "mart"
        known = entry(asset)
        labels = {"asset": asset, "kind": kind, "group": known.group, "owner": known.owner}
        published = last.verdict if last else "never published"
        verdicts[kind, "blocked" if asset in blocked else NOT_OFFERED if asset in absent else published] += 1
        waiting = fresh[asset]
        yield Figure(BEHIND, _seconds(waiting.since, now) if waiting.since else 0.0, labels)
        yield Figure(FRESH_WITHIN, waiting.within.total_seconds(), labels)
        yield Figure(MISSED, int(waiting.missed), labels)
        yield Figure(BLOCKED, int(asset in blocked), labels)
        if last is not None:
            yield Figure(AGE, _seconds(last.at, now), labels)
        if kind == "source":
            yield Figure(SET_ASIDE, last.set_aside if last else 0, labels)
    for kind in ("source", "mart"):
        for verdict in _VERDICTS:
            yield Figure(VERDICTS, verdicts[kind, verdict], {"kind": kind, "verdict": verdict})
    yield from _incidents(records)
    yield from _messages(records, now)
    for dag, statements in use.statements_by_dag(records, now).items():
        yield Figure(STATEMENTS, statements, {"dag": dag})


def of_airflow(airflow: Connection, now: datetime) -> Iterator[Figure]:
    """Yield the runs and tasks that wait to be started, without those of paused DAGs."""
    yield from _queue("runs", waiting_runs(airflow), now)
    yield from _queue("tasks", waiting_tasks(airflow), now)


def _newest(records: Connection) -> dict[str, _Published]:
    rows = records.execute(
        "select p.asset, p.version, p.published_at, p.verdict, p.set_aside from ops.publication as p"
        " join (select asset, max(version) as version from ops.publication group by asset) as n"
        " on n.asset = p.asset and n.version = p.version"
    ).fetchall()
    return {asset: _Published(version, at, verdict, set_aside) for asset, version, at, verdict, set_aside in rows}


def _incidents(records: Connection) -> Iterator[Figure]:
    query = "select severity, count(*) from ops.incident where status <> 'resolved' group by severity"
    found = dict(_pairs(records, query))
    for severity in _SEVERITIES:
        yield Figure(INCIDENTS, found.get(severity, 0), {"severity": severity})


def _messages(records: Connection, now: datetime) -> Iterator[Figure]:
    """Yield the messages not accepted yet, without those that are only due later (quiet hours)."""
    row = records.execute(
        "select count(*), min(created) from ops.outbox where sent_at is null and given_up_at is null"
        " and (not_before <= %s or attempts > 0)",
        (now,),
    ).fetchone()
    yield from _queue("messages", row, now)


def _queue(name: str, found: tuple[Any, ...] | None, now: datetime) -> Iterator[Figure]:
    count, oldest = found or (0, None)
    yield Figure(QUEUE_LENGTH, int(count), {"queue": name})
    yield Figure(QUEUE_AGE, _seconds(oldest, now) if oldest else 0.0, {"queue": name})


def _seconds(since: datetime, now: datetime) -> float:
    # The clocks of two machines may differ slightly, but no age is negative.
    return max(0.0, (now - since).total_seconds())


def _pairs(records: Connection, query: str) -> list[tuple[str, Any]]:
    return [(row[0], row[1]) for row in records.execute(query.encode())]
