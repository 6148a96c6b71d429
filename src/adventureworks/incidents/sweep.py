"""Detection of failures that nothing reported: killed tasks, late analyses, stopped services.

The sweep only reads Airflow's database, and opens or resolves incidents in the warehouse. It must not run as a task: it
would then stop together with the services that it monitors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from adventureworks import airflow_tables
from adventureworks.airflow_tables import TaskEnd
from adventureworks.catalog import INGESTION, MARTS, feeds_of, marts_of, unit_of
from adventureworks.due import Behind
from adventureworks.incidents import events, ledger
from adventureworks.incidents.freshness import freshness
from adventureworks.incidents.ledger import (
    BUILDING,
    LATE,
    Connection,
    Finding,
    Incident,
    task_of,
    task_rule,
    task_rules,
)
from adventureworks.warehouse import publication
from adventureworks.warehouse.steps import REFRESH, shown_task
from adventureworks.warehouse.subject import NOT_OF_TASK

AIRFLOW = "airflow"
NOT_RUN = "runs_in_time"
METADATA = "metadata_is_alive"
SERVICES = {"SchedulerJob": "scheduler", "DagProcessorJob": "dag_processor", "TriggererJob": "triggerer"}

HEARTBEAT_TIMEOUT = timedelta(seconds=90)
"""An Airflow service without a heartbeat for this long has stopped; heartbeats are due every five seconds."""
REPORT_GRACE = timedelta(seconds=30)
"""Time allowed for a failed task to report its own failure, which it may do before Airflow records the failure."""
LOOKBACK = timedelta(days=1)
MISSED_INGESTIONS = 3
"""The ingestion is late after this many intervals of its calendar."""
_ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class SweepResult:
    """The incidents that a sweep opened and resolved."""

    opened: tuple[Incident, ...] = ()
    resolved: tuple[Incident, ...] = ()


@dataclass
class Sweep:
    """The sweeps of a watch that began at `since`; all timeouts begin then at the earliest."""

    since: datetime
    promised: Mapping[str, timedelta]
    """By table and mart, how soon a change is published (`freshness.promises`)."""
    ingestion_interval: timedelta
    """How often the calendar of the ingestion starts it."""
    answered: datetime | None = None
    """When Airflow's database last responded."""

    def run(self, records: Connection, airflow: Connection, behind: Mapping[str, Behind], now: datetime) -> SweepResult:
        """Open incidents for failures, resolve those that have ended, and return both; the caller commits.

        `behind`: the marts that are not fresh, as determined by `due`.
        """
        result = self._run(records, airflow, behind, now)
        self.answered = now
        return result

    def run_without_airflow(self, records: Connection, now: datetime) -> SweepResult:
        """Report that Airflow's database does not respond, once this has lasted too long. Replaces `run` meanwhile."""
        last = max(self.answered or self.since, self.since)
        if now - last <= HEARTBEAT_TIMEOUT:
            return SweepResult()
        silent = Finding(
            asset=AIRFLOW,
            rule=METADATA,
            event=events.database_silent(last),
        )
        return SweepResult(tuple(ledger.report(records, [silent])))

    def _run(
        self, records: Connection, airflow: Connection, behind: Mapping[str, Behind], now: datetime
    ) -> SweepResult:
        stopped = list(self._stopped(airflow, now))
        # Read before the states of the tasks: a failure that is reported later is newer than they are.
        reported_tasks = [one for one in ledger.open_incidents(records) if one.is_of_task]
        ends = airflow_tables.last_ends(airflow, LOOKBACK)
        findings = [*stopped, *_silent_failures(records, ends)]
        resolved = _recovered(records, reported_tasks, ends)
        # Incidents end when their cause does, not because the watch was started again.
        ever = replace(self, since=_ALWAYS)
        silent = {finding.rule for finding in ever._stopped(airflow, now)}
        known = {incident.rule for incident in ledger.open_incidents(records, AIRFLOW)}
        resolved += ledger.resolve_rules(records, AIRFLOW, known - silent)
        if not stopped:
            # While an Airflow service is stopped everything is late, and the platform's owner has been notified.
            late = [*self._ingestion(airflow, now), *self._assets(records, airflow, behind, now)]
            findings += late
            reported = [one for one in ledger.open_incidents(records) if one.rule in {NOT_RUN, LATE}]
            if reported:
                lasting = {finding.asset for finding in ever._ingestion(airflow, now)}
                lasting |= {finding.asset for finding in ever._assets(records, airflow, behind, now)}
                for incident in reported:
                    if incident.asset not in lasting:
                        resolved += ledger.resolve_rules(records, incident.asset, {incident.rule})
        return SweepResult(tuple(ledger.report(records, findings)), tuple(resolved))

    def _stopped(self, airflow: Connection, now: datetime) -> Iterator[Finding]:
        heartbeats = airflow_tables.heartbeats(airflow, SERVICES)
        for kind, name in SERVICES.items():
            last = max(heartbeats.get(kind, self.since), self.since)
            if now - last > HEARTBEAT_TIMEOUT:
                yield Finding(
                    asset=AIRFLOW,
                    rule=f"{name}_is_alive",
                    event=_STOPPED[name](last),
                )

    def _ingestion(self, airflow: Connection, now: datetime) -> Iterator[Finding]:
        found = airflow_tables.last_start(airflow, INGESTION)
        if found is None:
            return
        is_paused, last_start = found
        last = max(last_start or self.since, self.since)
        if now - last > MISSED_INGESTIONS * self.ingestion_interval:
            yield Finding(
                asset=INGESTION,
                rule=NOT_RUN,
                event=events.not_run(last, INGESTION, paused=is_paused),
            )

    def _assets(
        self, records: Connection, airflow: Connection, behind: Mapping[str, Behind], now: datetime
    ) -> Iterator[Finding]:
        """Yield the tables and marts whose promised freshness is missed, one for each cause."""
        known = freshness(self.promised, records, behind, now, watched_since=self.since)
        late = {asset: one for asset, one in known.items() if one.missed}
        paused = airflow_tables.paused_dags(airflow)
        known_failures = [incident for incident in ledger.open_incidents(records) if incident.rule != LATE]
        failed_dags = {incident.asset for incident in known_failures if incident.is_of_task}
        explained = {incident.asset for incident in known_failures if not incident.is_of_task}
        for asset, one in late.items():
            since = one.since or self.since
            if asset in MARTS:
                mart = MARTS[asset]
                # Skip a mart that waits for a late one, or whose failure is already known.
                feeds = feeds_of(mart)
                if mart.dag in failed_dags or {asset, *feeds} & explained or any(feed in late for feed in feeds):
                    continue
                event = events.late(since, behind[asset].reason, mart.dag, paused=mart.dag in paused)
            elif INGESTION in failed_dags or {INGESTION, *unit_of(asset)} & explained:
                continue
            else:
                event = events.promise_missed(since, int(one.within.total_seconds() // 60))
            yield Finding(asset=asset, rule=LATE, event=event)


_STOPPED = {
    "scheduler": events.scheduler_stopped,
    "dag_processor": events.dag_processor_stopped,
    "triggerer": events.triggerer_stopped,
}


def _silent_failures(records: Connection, ends: Sequence[TaskEnd]) -> Iterator[Finding]:
    """Yield the tasks whose latest finished run failed without an incident."""
    for end in ends:
        if end.failed_at is None or end.failed_for is None or end.failed_for < REPORT_GRACE:
            continue
        run_id, rule = f"{end.dag}/{end.run_id}", task_rule(end.task)
        if ledger.is_task_reported(records, end.dag, end.task, run_id, end.failed_for + REPORT_GRACE):
            continue
        if _is_published(records, rule, run_id):
            continue
        # The mart's incident covers it.
        if end.task in BUILDING and _is_blocked(records, end.dag, run_id):
            continue
        yield Finding(
            asset=end.dag,
            rule=rule,
            event=events.task_killed(shown_task(records, end.dag, run_id, end.task, end.failed_at), end.failed_at),
            run_id=run_id,
        )


def _recovered(records: Connection, reported: Sequence[Incident], ends: Sequence[TaskEnd]) -> list[Incident]:
    """Resolve the incidents of tasks that have succeeded since, if the success was not recorded when it happened."""
    # The ends of tasks that no longer exist come first.
    ordered = sorted(ends, key=lambda end: end.task == REFRESH)
    last = {(end.dag, rule): end for end in ordered for rule in task_rules(end.task)}
    resolved = []
    for one in reported:
        end = last.get((one.asset, one.rule))
        if end is None or not end.succeeded:
            newest = one.run_id if end is None or end.failed_at is None else f"{end.dag}/{end.run_id}"
            # A run that failed later than the one that has published may have published nothing.
            if not all(_is_published(records, one.rule, run_id) for run_id in {one.run_id, newest}):
                continue
        run_id = f"{end.dag}/{end.run_id}" if end and end.succeeded else ""
        resolved += ledger.resolve_rules(records, one.asset, {one.rule}, run_id)
    return resolved


def _is_published(records: Connection, rule: str, run_id: str) -> bool:
    """Return whether the rule is about a step of an analysis and this run has published its marts.

    Airflow may record a failure after that, for example because it could not send the events. The dispatcher starts
    what they would have started.
    """
    return task_of(rule)[0] in BUILDING and publication.has_published(records, run_id)


def _is_blocked(records: Connection, dag: str, run_id: str) -> bool:
    """Return whether this run has an incident for a blocked mart of the DAG."""
    row = records.execute(
        "select 1 from ops.incident where run_id = %s and asset = any(%s) and severity = 'error'"
        f" and {NOT_OF_TASK} limit 1",
        (run_id, [mart.name for mart in marts_of(dag)]),
    ).fetchone()
    return row is not None
