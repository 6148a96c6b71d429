"""What nobody reported: a task that was killed, an analysis that is late, a service that stopped.

The sweep only reads Airflow's database, and opens or resolves incidents in the warehouse. It must not run as a task:
then it would stop with what it watches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from adventureworks.catalog import MARTS, feeds_of, marts_of
from adventureworks.due import Behind
from adventureworks.incidents import ledger
from adventureworks.incidents.ledger import LATE, READ_LOG, Connection, Finding, Incident, task_rule

AIRFLOW = "airflow"
PLATFORM = "platform"
NOT_RUN = "runs_in_time"
METADATA = "metadata_is_alive"
GATE = "gate"
"""The task of an analysis that fails when a mart is blocked; the incident of the mart tells of it."""
SERVICES = {"SchedulerJob": "scheduler", "DagProcessorJob": "dag_processor", "TriggererJob": "triggerer"}

STOPPED_AFTER = timedelta(seconds=90)
"""A service of Airflow that was not heard of for so long does not run any more; it says a word every five seconds."""
SILENT_AFTER = timedelta(seconds=30)
"""So long a failed task's own report may take."""
LOOKS_BACK = timedelta(days=1)
INGESTION = "ingest_source"
INGESTION_LATE_AFTER = timedelta(minutes=45)
"""Three times the calendar of the ingestion."""


@dataclass(frozen=True)
class Swept:
    """What a sweep found: incidents that are new, and those that are over."""

    opened: tuple[Incident, ...] = ()
    resolved: tuple[Incident, ...] = ()


@dataclass
class Sweep:
    """A watch that began at `since`; what is older is held against nobody before it had its time."""

    since: datetime
    late_after: timedelta
    answered: datetime | None = None
    """When Airflow's database could be asked last."""

    def run(self, warehouse: Connection, airflow: Connection, behind: Mapping[str, Behind], now: datetime) -> Swept:
        """Reports what it finds and resolves what is over, in the warehouse's transaction; leaves the commit to it.

        `behind`: the marts that are not fresh, as `due` decides.
        """
        swept = self._run(warehouse, airflow, behind, now)
        self.answered = now
        return swept

    def run_blind(self, warehouse: Connection, now: datetime) -> Swept:
        """As `run`, while Airflow's database does not answer: reports that, when it lasts."""
        last = max(self.answered or self.since, self.since)
        if now - last <= STOPPED_AFTER:
            return Swept()
        silent = _finding(
            AIRFLOW,
            METADATA,
            f"Airflow's database has not answered since {last:%Y-%m-%d %H:%M} UTC. Without it Airflow does nothing.",
            "Find out why it does not answer, and restart it. Then: adventureworks status",
            since=last,
        )
        return Swept(tuple(ledger.report(warehouse, [silent])))

    def _run(self, warehouse: Connection, airflow: Connection, behind: Mapping[str, Behind], now: datetime) -> Swept:
        stopped = list(self._stopped(airflow, now))
        findings = [*stopped, *_silent_failures(warehouse, airflow, now)]
        over = _over(warehouse, AIRFLOW, keep={finding.rule for finding in stopped})
        if not stopped:
            # While Airflow does nothing everything is late; its owner knows why.
            late = [*self._ingestion(airflow, now), *self._marts(warehouse, airflow, behind, now)]
            findings += late
            found = {finding.asset for finding in late}
            for asset, rule in [(INGESTION, NOT_RUN), *((name, LATE) for name in MARTS)]:
                if asset not in found:
                    over += _over(warehouse, asset, only=rule)
        return Swept(tuple(ledger.report(warehouse, findings)), tuple(over))

    def _stopped(self, airflow: Connection, now: datetime) -> Iterator[Finding]:
        rows = airflow.execute(
            "select job_type, max(latest_heartbeat) from job where job_type = any(%s) group by job_type",
            (list(SERVICES),),
        ).fetchall()
        heard: dict[str, datetime] = dict(rows)
        for kind, name in SERVICES.items():
            last = max(heard.get(kind, self.since), self.since)
            if now - last > STOPPED_AFTER:
                yield _finding(
                    AIRFLOW,
                    f"{name}_is_alive",
                    f"Airflow's {name} has not been heard of since {last:%Y-%m-%d %H:%M} UTC. {_CONSEQUENCE[name]}",
                    "Look at its log and start it again; on one machine: adventureworks run",
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
            paused = " It is paused." if row[0] else ""
            yield _finding(
                INGESTION,
                NOT_RUN,
                f"The source was not asked for changes since {last:%Y-%m-%d %H:%M} UTC.{paused}",
                f"Start it: airflow dags {'unpause' if row[0] else 'trigger'} {INGESTION}",
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
            # One incident per cause: a mart that waits for another one, or whose failure is known, is no news.
            if causes & explained or any(feed in late for feed in feeds_of(mart)):
                continue
            is_paused = mart.dag in paused
            yield _finding(
                name,
                LATE,
                f"{name} has been behind since {since:%Y-%m-%d %H:%M} UTC: {behind[name].reason}. Its DAG {mart.dag} "
                f"did not run within {self.late_after.total_seconds() / 60:.0f} minutes."
                f"{' It is paused.' if is_paused else ''}",
                f"Start it: airflow dags {'unpause' if is_paused else 'trigger'} {mart.dag}."
                f" What it waits for: adventureworks status {name}",
                owner=mart.owner,
                since=since,
            )

    def _late(self, behind: Mapping[str, Behind], now: datetime) -> Iterator[tuple[str, datetime]]:
        """The marts that are behind for too long, each with since when: at worst since the watch began."""
        for name, cause in behind.items():
            since = cause.since or self.since
            if now - max(since, self.since) > self.late_after:
                yield name, since


_CONSEQUENCE = {
    "scheduler": "No task is started: nothing is ingested or computed.",
    "dag_processor": "Changed DAG files are not seen.",
    "triggerer": "Changes of the source are only noticed by the calendar.",
}


def _silent_failures(warehouse: Connection, airflow: Connection, now: datetime) -> Iterator[Finding]:
    """Tasks that failed in the newest run in which they ended, and of which no incident tells."""
    rows = airflow.execute(
        "select distinct on (dag_id, task_id) dag_id, task_id, run_id, failed_at from ("
        " select dag_id, task_id, run_id, max(end_date) as ended_at,"
        # Any instance of a mapped task: those that ended well do not make up for one that did not.
        " max(end_date) filter (where state = 'failed') as failed_at from task_instance"
        " where state in ('success', 'failed') and end_date > %s group by dag_id, task_id, run_id"
        ") as ended order by dag_id, task_id, ended_at desc",
        (now - LOOKS_BACK,),
    ).fetchall()
    for dag, task, run, failed_at in rows:
        if failed_at is None or now - failed_at < SILENT_AFTER:
            continue
        run_id, rule = f"{dag}/{run}", task_rule(task)
        if _is_told(warehouse, dag, rule, failed_at) or (task == GATE and _is_blocked(warehouse, dag, run_id)):
            continue
        marts = marts_of(dag)
        yield _finding(
            dag,
            rule,
            f"Task {task} ended at {failed_at:%Y-%m-%d %H:%M} UTC without a report: its process or machine was killed.",
            f"{READ_LOG}, then clear the task: it continues where it stopped.",
            owner=marts[0].owner if marts else PLATFORM,
            run_id=run_id,
            since=failed_at,
        )


def _is_told(warehouse: Connection, dag: str, rule: str, failed_at: datetime) -> bool:
    """Whether an incident of this task is open, or one tells of this failure that is over since.

    A task that delivers several months opens an incident for each that fails.
    """
    row = warehouse.execute(
        "select 1 from ops.incident where asset = %(dag)s and (rule = %(rule)s or starts_with(rule, %(rule)s || ':'))"
        " and (status <> 'resolved' or last_seen >= %(at)s) limit 1",
        # The clocks of two servers are never quite the same.
        {"dag": dag, "rule": rule, "at": failed_at - SILENT_AFTER},
    ).fetchone()
    return row is not None


def _is_blocked(warehouse: Connection, dag: str, run_id: str) -> bool:
    """Whether this run blocked a mart of the DAG, and its owner hears of that."""
    row = warehouse.execute(
        "select 1 from ops.incident where run_id = %s and asset = any(%s) and severity = 'error' limit 1",
        (run_id, [mart.name for mart in marts_of(dag)]),
    ).fetchone()
    return row is not None


def _over(warehouse: Connection, asset: str, keep: set[str] | None = None, only: str | None = None) -> list[Incident]:
    """Resolves the asset's incidents but those of `keep`, or `only` that of one rule."""
    rules = {incident.rule for incident in ledger.open_incidents(warehouse, asset)}
    ended = rules - keep if keep is not None else rules & {only or ""}
    return ledger.resolve(warehouse, asset, keep=rules - ended) if ended else []


def _finding(
    asset: str, rule: str, summary: str, next_step: str, *, since: datetime, owner: str = PLATFORM, run_id: str = ""
) -> Finding:
    return Finding(
        asset=asset,
        rule=rule,
        severity="error",
        summary=summary,
        next_step=next_step,
        run_id=run_id,
        owner=owner,
        since=since,
    )
