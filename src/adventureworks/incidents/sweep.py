"""Detection of failures that nothing reported: killed tasks, late analyses, stopped services.

The sweep only reads Airflow's database, and opens or resolves incidents in the warehouse. It must not run as a task: it
would then stop together with the services that it monitors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from adventureworks.catalog import INGESTION, MARTS, feeds_of, marts_of
from adventureworks.due import Behind
from adventureworks.incidents import ledger
from adventureworks.incidents.ledger import LATE, READ_LOG, Connection, Finding, Incident, task_rule

AIRFLOW = "airflow"
NOT_RUN = "runs_in_time"
METADATA = "metadata_is_alive"
GATE = "gate"
"""The task of an analysis that fails when a mart is blocked; the mart's incident covers it."""
SERVICES = {"SchedulerJob": "scheduler", "DagProcessorJob": "dag_processor", "TriggererJob": "triggerer"}

HEARTBEAT_TIMEOUT = timedelta(seconds=90)
"""An Airflow service without a heartbeat for this long has stopped; heartbeats are due every five seconds."""
REPORT_GRACE = timedelta(seconds=30)
"""Time allowed for a failed task to report its own failure."""
LOOKBACK = timedelta(days=1)
INGESTION_LATE_AFTER = timedelta(minutes=45)
"""Three times the interval of the ingestion's schedule."""


@dataclass(frozen=True)
class SweepResult:
    """The incidents that a sweep opened and resolved."""

    opened: tuple[Incident, ...] = ()
    resolved: tuple[Incident, ...] = ()


@dataclass
class Sweep:
    """The sweeps of a watch that began at `since`; all timeouts begin then at the earliest."""

    since: datetime
    late_after: timedelta
    answered: datetime | None = None
    """When Airflow's database last responded."""

    def run(
        self, warehouse: Connection, airflow: Connection, behind: Mapping[str, Behind], now: datetime
    ) -> SweepResult:
        """Open incidents for failures and resolve those that have ended, in the caller's transaction without a commit.

        `behind`: the marts that are not fresh, as determined by `due`.
        """
        result = self._run(warehouse, airflow, behind, now)
        self.answered = now
        return result

    def run_without_airflow(self, warehouse: Connection, now: datetime) -> SweepResult:
        """Report that Airflow's database does not respond, once this has lasted too long. Replaces `run` meanwhile."""
        last = max(self.answered or self.since, self.since)
        if now - last <= HEARTBEAT_TIMEOUT:
            return SweepResult()
        silent = Finding(
            asset=AIRFLOW,
            rule=METADATA,
            summary=f"Airflow's database has not responded since {last:%Y-%m-%d %H:%M} UTC."
            " Airflow cannot work without it.",
            next_step="Find out why it does not respond, and restart it. Then: adventureworks status",
            since=last,
        )
        return SweepResult(tuple(ledger.report(warehouse, [silent])))

    def _run(
        self, warehouse: Connection, airflow: Connection, behind: Mapping[str, Behind], now: datetime
    ) -> SweepResult:
        stopped = list(self._stopped(airflow, now))
        findings = [*stopped, *_silent_failures(warehouse, airflow, now)]
        resolved = _resolve(warehouse, AIRFLOW, keep={finding.rule for finding in stopped})
        if not stopped:
            # While an Airflow service is stopped everything is late, and the platform's owner has been notified.
            late = [*self._ingestion(airflow, now), *self._marts(warehouse, airflow, behind, now)]
            findings += late
            found = {finding.asset for finding in late}
            for asset, rule in [(INGESTION, NOT_RUN), *((name, LATE) for name in MARTS)]:
                if asset not in found:
                    resolved += _resolve(warehouse, asset, only=rule)
        return SweepResult(tuple(ledger.report(warehouse, findings)), tuple(resolved))

    def _stopped(self, airflow: Connection, now: datetime) -> Iterator[Finding]:
        rows = airflow.execute(
            "select job_type, max(latest_heartbeat) from job where job_type = any(%s) group by job_type",
            (list(SERVICES),),
        ).fetchall()
        heartbeats: dict[str, datetime] = dict(rows)
        for kind, name in SERVICES.items():
            last = max(heartbeats.get(kind, self.since), self.since)
            if now - last > HEARTBEAT_TIMEOUT:
                yield Finding(
                    asset=AIRFLOW,
                    rule=f"{name}_is_alive",
                    summary=f"Airflow's {name} has sent no heartbeat since {last:%Y-%m-%d %H:%M} UTC."
                    f" {_CONSEQUENCE[name]}",
                    next_step="Check its log and restart it; on a single machine: adventureworks run",
                    since=last,
                )

    def _ingestion(self, airflow: Connection, now: datetime) -> Iterator[Finding]:
        row = airflow.execute(
            "select d.is_paused, max(coalesce(r.start_date, r.queued_at)) from dag as d"
            " left join dag_run as r using (dag_id) where d.dag_id = %s group by d.is_paused",
            (INGESTION,),
        ).fetchone()
        if row is None:
            return
        last = max(row[1] or self.since, self.since)
        if now - last > INGESTION_LATE_AFTER:
            paused = " The DAG is paused." if row[0] else ""
            yield Finding(
                asset=INGESTION,
                rule=NOT_RUN,
                summary=f"The source has not been checked for changes since {last:%Y-%m-%d %H:%M} UTC.{paused}",
                next_step=f"Start it: airflow dags {'unpause' if row[0] else 'trigger'} {INGESTION}",
                since=last,
            )

    def _marts(
        self, warehouse: Connection, airflow: Connection, behind: Mapping[str, Behind], now: datetime
    ) -> Iterator[Finding]:
        late = dict(self._late(behind, now))
        rows = airflow.execute("select dag_id from dag where is_paused").fetchall()
        paused = {dag for (dag,) in rows}
        explained = {incident.asset for incident in ledger.open_incidents(warehouse) if incident.rule != LATE}
        for name, since in late.items():
            mart = MARTS[name]
            causes = {name, mart.dag, *feeds_of(mart)}
            # One incident per cause: skip a mart that waits for a late one, or whose failure is already known.
            if causes & explained or any(feed in late for feed in feeds_of(mart)):
                continue
            is_paused = mart.dag in paused
            yield Finding(
                asset=name,
                rule=LATE,
                summary=f"{name} has been behind since {since:%Y-%m-%d %H:%M} UTC: {behind[name].reason}."
                f" Its DAG {mart.dag} did not run within {self.late_after.total_seconds() / 60:.0f} minutes."
                f"{' The DAG is paused.' if is_paused else ''}",
                next_step=f"Start it: airflow dags {'unpause' if is_paused else 'trigger'} {mart.dag}."
                f" To see what it is waiting for: adventureworks status {name}",
                since=since,
            )

    def _late(self, behind: Mapping[str, Behind], now: datetime) -> Iterator[tuple[str, datetime]]:
        """Yield the marts that have been behind for too long, with the start time: by default that of the watch."""
        for name, cause in behind.items():
            since = cause.since or self.since
            if now - max(since, self.since) > self.late_after:
                yield name, since


_CONSEQUENCE = {
    "scheduler": "No task is started: nothing is ingested or computed.",
    "dag_processor": "Changed DAG files are not detected.",
    "triggerer": "Changes at the source are only detected at scheduled times.",
}


def _silent_failures(warehouse: Connection, airflow: Connection, now: datetime) -> Iterator[Finding]:
    """Yield the tasks whose latest finished run failed without an incident."""
    rows = airflow.execute(
        "select distinct on (dag_id, task_id) dag_id, task_id, run_id, failed_at from ("
        " select dag_id, task_id, run_id, max(end_date) as ended_at,"
        # Any instance of a mapped task: the success of others does not make up for one failure.
        " max(end_date) filter (where state = 'failed') as failed_at from task_instance"
        " where state in ('success', 'failed') and end_date > %s group by dag_id, task_id, run_id"
        ") as ended order by dag_id, task_id, ended_at desc",
        (now - LOOKBACK,),
    ).fetchall()
    for dag, task, run, failed_at in rows:
        if failed_at is None or now - failed_at < REPORT_GRACE:
            continue
        run_id, rule = f"{dag}/{run}", task_rule(task)
        if _is_reported(warehouse, dag, rule, failed_at) or (task == GATE and _is_blocked(warehouse, dag, run_id)):
            continue
        yield Finding(
            asset=dag,
            rule=rule,
            summary=f"Task {task} ended at {failed_at:%Y-%m-%d %H:%M} UTC without a report:"
            " its process or machine was killed.",
            next_step=f"{READ_LOG}, then clear the task: it continues where it stopped.",
            run_id=run_id,
            since=failed_at,
        )


def _is_reported(warehouse: Connection, dag: str, rule: str, failed_at: datetime) -> bool:
    """Return whether the task has an open incident, or one for this failure that was resolved since.

    A task that delivers several months opens an incident for each month that fails.
    """
    row = warehouse.execute(
        "select 1 from ops.incident where asset = %(dag)s and (rule = %(rule)s or starts_with(rule, %(rule)s || ':'))"
        " and (status <> 'resolved' or last_seen >= %(at)s) limit 1",
        # The clocks of the two servers may differ slightly.
        {"dag": dag, "rule": rule, "at": failed_at - REPORT_GRACE},
    ).fetchone()
    return row is not None


def _is_blocked(warehouse: Connection, dag: str, run_id: str) -> bool:
    """Return whether this run has an incident for a blocked mart of the DAG."""
    row = warehouse.execute(
        "select 1 from ops.incident where run_id = %s and asset = any(%s) and severity = 'error' limit 1",
        (run_id, [mart.name for mart in marts_of(dag)]),
    ).fetchone()
    return row is not None


def _resolve(
    warehouse: Connection, asset: str, keep: set[str] | None = None, only: str | None = None
) -> list[Incident]:
    """Resolve the asset's incidents except those of the rules in `keep`, or `only` the one of a rule."""
    rules = {incident.rule for incident in ledger.open_incidents(warehouse, asset)}
    ended = rules - keep if keep is not None else rules & {only or ""}
    return ledger.resolve(warehouse, asset, keep=rules - ended) if ended else []
