"""Detection of unreported failures: killed tasks, late marts, an ingestion that did not run, stopped services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from adventureworks.airflow_tables import Run, Step
from adventureworks.catalog import INGESTION
from adventureworks.cli.run import _with_step
from adventureworks.due import Behind
from adventureworks.errors import PlatformError, ServiceUnavailable
from adventureworks.incidents import ledger
from adventureworks.incidents.freshness import freshness, promises
from adventureworks.incidents.ledger import LATE
from adventureworks.incidents.sweep import SERVICES, Sweep, SweepResult
from adventureworks.messaging.wording import words
from adventureworks.settings import settings
from adventureworks.texts import verbatim
from adventureworks.warehouse.state import blocked_since
from tests.conftest import FreshDatabase
from tests.integration.channels import Inbox, use_mail
from tests.integration.test_notify import FINDING, SET_ASIDE, failed_task, platform, report, still_open, succeeded

__all__ = ["platform"]

READ = {
    "job": ("job_type", "latest_heartbeat"),
    "dag": ("dag_id", "is_paused"),
    "dag_run": ("dag_id", "run_id", "start_date", "queued_at"),
    "task_instance": ("dag_id", "task_id", "run_id", "map_index", "state", "end_date"),
}
"""The columns that the sweep reads from Airflow's database."""
UNREACHABLE = "postgresql://airflow@127.0.0.1:1/airflow"


def minutes_ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


class Airflow:
    """The part of Airflow's database that the sweep reads, with the column types of Airflow's own models."""

    def __init__(self, url: str) -> None:
        from airflow.jobs.job import Job
        from airflow.models import DagModel, DagRun, TaskInstance
        from sqlalchemy.dialects.postgresql import dialect

        self.url = url
        models: list[Any] = [Job, DagModel, DagRun, TaskInstance]
        for model in models:
            table = model.__table__
            types = {name: table.columns[name].type.compile(dialect=dialect()) for name in READ[table.name]}
            self.run(f"create table {table.name} ({', '.join(f'{name} {kind}' for name, kind in types.items())})")
        self.all_alive()
        self.run("insert into dag values (%s, false)", INGESTION)

    def run(self, query: str, *values: object) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(query, values)

    def all_alive(self) -> None:
        self.run("delete from job")
        for kind in SERVICES:
            self.run("insert into job values (%s, now() - interval '1 hour'), (%s, now())", kind, kind)

    def set_clock(self, minutes: float) -> None:
        """Let the clock of the database be this many minutes ahead."""
        self.run(
            "create function public.now() returns timestamptz language sql"
            f" as $$ select pg_catalog.now() + interval '{minutes} minutes' $$"
        )
        name = urlsplit(self.url).path.removeprefix("/")
        self.run(f'alter database "{name}" set search_path = public, pg_catalog')

    def ended(self, dag: str, task: str, state: str, *, run: str = "r1", ago: float = 2, index: int = -1) -> None:
        self.run(
            "insert into task_instance (dag_id, task_id, run_id, map_index, state, end_date)"
            " values (%s, %s, %s, %s, %s, %s)",
            *(dag, task, run, index, state, minutes_ago(ago)),
        )


@pytest.fixture
def airflow(platform: str, fresh_database: FreshDatabase) -> Airflow:
    return Airflow(fresh_database("source"))


def sweep(
    url: str, airflow: Airflow, since: float = 0, behind: Mapping[str, Behind] | None = None, hours: float = 0
) -> SweepResult:
    """Sweep with a clock that is this many hours ahead."""
    with psycopg.connect(url) as warehouse, psycopg.connect(airflow.url) as metadata:
        watch = Sweep(minutes_ago(since), promises(settings()), timedelta(minutes=15))
        return watch.run(warehouse, metadata, behind or {}, datetime.now(UTC) + timedelta(hours=hours))


def names(found: SweepResult) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    return [(one.asset, one.rule) for one in found.opened], [(one.asset, one.rule) for one in found.resolved]


NOTHING: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])


def test_killed_task_is_reported_once_and_recovers_when_it_succeeds(platform: str, airflow: Airflow) -> None:
    from adventureworks.orchestration.notify import on_task_success

    airflow.ended(INGESTION, "publish_tables", "failed", ago=0.1)
    assert names(sweep(platform, airflow)) == NOTHING, "its own report may take a while"
    airflow.run("update task_instance set end_date = %s", minutes_ago(2))
    # Other incidents of the same run do not cover it.
    report(platform, replace(SET_ASIDE, run_id=f"{INGESTION}/r1"), replace(FINDING, run_id=f"{INGESTION}/r1"))
    found = sweep(platform, airflow)
    assert names(found)[0] == [(INGESTION, "task_publish_tables")]
    assert found.opened[0].run_id == f"{INGESTION}/r1"
    assert names(sweep(platform, airflow)) == NOTHING
    instance = SimpleNamespace(dag_id=INGESTION, task_id="publish_tables", run_id="r2", map_index=-1)
    on_task_success({**succeeded("publish_tables"), "ti": instance})
    assert {incident.rule for incident in still_open(platform)} == {SET_ASIDE.rule, FINDING.rule}
    assert names(sweep(platform, airflow)) == NOTHING, "a resolved failure is not reported again"
    airflow.ended(INGESTION, "publish_tables", "failed", run="r3", ago=0.6)
    assert names(sweep(platform, airflow))[0] == [(INGESTION, "task_publish_tables")], "it was killed again"


def test_killed_delivery_is_reported_unless_a_month_has_an_incident(platform: str, airflow: Airflow) -> None:
    dag = "financial_reporting"
    airflow.ended(dag, "deliver", "failed", ago=5)
    report(platform, replace(FINDING, asset=dag, rule="task_deliver:2014-05"))
    assert names(sweep(platform, airflow)) == NOTHING, "the month's incident covers it"
    with psycopg.connect(platform) as connection:
        connection.execute("delete from ops.incident")
    assert names(sweep(platform, airflow))[0] == [(dag, "task_deliver")]


def test_killed_instance_of_a_mapped_task_is_reported_despite_successful_others(
    platform: str, airflow: Airflow
) -> None:
    airflow.ended(INGESTION, "load", "failed", index=0, ago=5)
    airflow.ended(INGESTION, "load", "success", index=1, ago=1)
    assert names(sweep(platform, airflow))[0] == [(INGESTION, "task_load")]


def test_task_that_succeeded_in_a_newer_run_is_not_reported(platform: str, airflow: Airflow) -> None:
    airflow.ended(INGESTION, "load", "failed", index=7, ago=9)
    airflow.ended(INGESTION, "load", "success", index=0, ago=2, run="r2")
    assert names(sweep(platform, airflow)) == NOTHING


@pytest.mark.parametrize("hours", [-24, 24])
def test_killed_task_is_reported_although_the_clock_of_the_watch_is_wrong(
    platform: str, airflow: Airflow, hours: float
) -> None:
    airflow.ended(INGESTION, "load", "failed")
    assert (INGESTION, "task_load") in names(sweep(platform, airflow, hours=hours))[0]


def test_failure_that_airflow_records_after_a_run_published_is_none(platform: str, airflow: Airflow) -> None:
    from adventureworks.orchestration.notify import on_task_failure

    dag = "daily_sales_etl"
    with psycopg.connect(platform) as connection:
        connection.execute(
            "insert into ops.publication (asset, version, rows, changed_rows, verdict, run_id, confirmed_by)"
            " values ('daily_sales', 1, 1, 1, 'passed', %s, null), ('fact_sales', 1, 1, 1, 'passed', 'x', %s)",
            (f"{dag}/r1", f"{dag}/r2"),
        )
    for run in ("r1", "r2"):
        airflow.ended(dag, "refresh", "failed", run=run)
        assert names(sweep(platform, airflow)) == NOTHING
    context = failed_task(ConnectionError("The state of the asset cannot be stored."), task="refresh")
    context["ti"].run_id = "r2"
    on_task_failure(context)
    assert names(sweep(platform, airflow)) == ([], [(dag, "task_refresh")])
    assert names(sweep(platform, airflow)) == NOTHING
    airflow.ended(dag, "refresh", "failed", run="r3", ago=1)
    assert names(sweep(platform, airflow))[0] == [(dag, "task_refresh")], "this run has published nothing"


def test_run_that_published_does_not_hide_that_the_next_one_was_killed(platform: str, airflow: Airflow) -> None:
    from adventureworks.orchestration.notify import on_task_failure

    dag, context = "daily_sales_etl", failed_task(ConnectionError("The events cannot be sent."), task="refresh")
    on_task_failure(context)
    with psycopg.connect(platform) as connection:
        connection.execute(
            "insert into ops.publication (asset, version, rows, changed_rows, verdict, run_id)"
            " values ('daily_sales', 1, 1, 1, 'passed', %s)",
            (f"{dag}/{context['ti'].run_id}",),
        )
    airflow.ended(dag, "refresh", "failed", run="r2")
    assert names(sweep(platform, airflow)) == NOTHING
    assert [(one.asset, one.rule) for one in still_open(platform)] == [(dag, "task_refresh")]


def test_success_that_was_not_recorded_resolves_the_incident(platform: str, airflow: Airflow) -> None:
    from adventureworks.orchestration.notify import on_task_failure

    on_task_failure(failed_task(ValueError("x"), dag=INGESTION, task="load"))
    airflow.ended(INGESTION, "load", "success", index=0)
    airflow.ended(INGESTION, "load", "up_for_retry", index=1)
    assert names(sweep(platform, airflow)) == NOTHING, "one table is not loaded yet"
    airflow.run("update task_instance set state = 'success'")
    airflow.run(
        "insert into task_instance (dag_id, task_id, run_id, state) values (%s, 'load', 'r2', 'running')", INGESTION
    )
    assert names(sweep(platform, airflow)) == NOTHING, "the running instance may have reported it"
    airflow.run("update task_instance set state = 'queued' where state = 'running'")
    airflow.ended(INGESTION, "load", "up_for_retry", run="r3", ago=60 * 48)
    assert names(sweep(platform, airflow)) == NOTHING, "this run, which failed and was cleared, will run again"
    airflow.run("update task_instance set state = null where run_id = 'r3'")
    assert names(sweep(platform, airflow)) == NOTHING
    airflow.run("delete from task_instance where run_id = 'r3'")
    found = sweep(platform, airflow)
    assert names(found) == ([], [(INGESTION, "task_load")])
    assert found.resolved[0].run_id == f"{INGESTION}/r1"


def test_reported_failure_is_not_reported_again(platform: str, airflow: Airflow) -> None:
    from adventureworks.orchestration.notify import on_task_failure

    airflow.ended("daily_sales_etl", "refresh", "failed", run="asset__1")
    on_task_failure(failed_task(ValueError("x")))
    assert names(sweep(platform, airflow)) == NOTHING


@pytest.mark.parametrize("minutes", [-20, 0, 20])
def test_resolved_failure_covers_itself_but_no_later_one_whatever_airflows_clock_says(
    platform: str, airflow: Airflow, minutes: float
) -> None:
    """The clock of Airflow's database is this many minutes ahead."""
    from adventureworks.orchestration.notify import on_task_failure

    airflow.set_clock(minutes)
    dag, later = "daily_sales_etl", 2 - minutes
    airflow.ended(dag, "refresh", "failed", run="asset__1", ago=later)
    on_task_failure(failed_task(ValueError("x")))
    with psycopg.connect(platform) as connection:
        ledger.resolve_rules(connection, dag, {"task_refresh"}, run_id=f"{dag}/asset__2")
    assert names(sweep(platform, airflow)) == NOTHING
    airflow.run("update task_instance set run_id = 'asset__3'")
    assert names(sweep(platform, airflow))[0] == [(dag, "task_refresh")], "another run failed within seconds"
    with psycopg.connect(platform) as connection:
        ledger.resolve_rules(connection, dag, {"task_refresh"})
        connection.execute("update ops.incident set last_seen = last_seen - interval '1 hour'")
    assert names(sweep(platform, airflow))[0] == [(dag, "task_refresh")], "the run was cleared and failed again"


def test_failed_task_of_a_dag_is_no_incident_of_the_mart_with_its_name(platform: str, airflow: Airflow) -> None:
    dag = mart = "production_costs"
    airflow.run("insert into dag_run values (%s, 'r1', now(), now())", INGESTION)
    airflow.ended(dag, "refresh", "failed")
    assert names(sweep(platform, airflow))[0] == [(dag, "task_refresh")]
    with psycopg.connect(platform) as connection:
        assert mart not in blocked_since(connection)
        report(platform, replace(FINDING, asset=mart))
        assert mart in blocked_since(connection)
        assert [one.rule for one in ledger.resolve(connection, mart)] == [FINDING.rule], "its tasks still fail"
    behind = {"data_quality": Behind(verbatim("production_costs is newer"), minutes_ago(999))}
    assert names(sweep(platform, airflow, 1000, behind))[0] == [("data_quality", LATE)], "what it reads is not blocked"


def test_blocked_mart_covers_the_failure_of_its_run_but_of_no_other(platform: str, airflow: Airflow) -> None:
    dag = "daily_sales_etl"
    report(platform, replace(FINDING, asset="fact_sales", run_id=f"{dag}/r1"))
    airflow.ended(dag, "refresh", "failed")
    assert names(sweep(platform, airflow)) == NOTHING
    airflow.ended(dag, "refresh", "failed", run="r2", ago=1)
    assert names(sweep(platform, airflow))[0] == [(dag, "task_refresh")], "nothing was blocked in this run"


def test_killed_run_is_reported_and_a_running_one_shown_with_its_step(platform: str, airflow: Airflow) -> None:
    with psycopg.connect(platform) as connection:
        for number, dag in enumerate(("production_costs", "currency_exchange_rates", "customer_retention")):
            connection.execute(
                "insert into ops.build (run_id, dag, inputs, months, model, as_of, passed)"
                " values (%s, %s, '{}', '{}', '', current_date, %s)",
                (f"{dag}/r{min(number, 1)}", dag, number == 2),
            )
        running = Run("customer_retention", "r1", (Step("refresh", 0, 1, running=True),))
        assert str(_with_step(connection, running)) == "customer_retention: refresh (publish) …"
    for dag in ("production_costs", "currency_exchange_rates", "customer_retention", "daily_sales_etl"):
        airflow.ended(dag, "refresh", "failed")
    tasks = {one.asset: one.event.parameters["task"] for one in sweep(platform, airflow).opened if one.is_of_task}
    assert tasks == {
        "production_costs": "refresh",
        "currency_exchange_rates": "refresh (gate)",
        "customer_retention": "refresh (publish)",
        "daily_sales_etl": "refresh (build)",
    }


@pytest.mark.parametrize("is_recorded", [True, False])
def test_incident_of_a_former_task_ends_when_the_analysis_succeeds(
    platform: str, airflow: Airflow, is_recorded: bool
) -> None:
    from adventureworks.orchestration.notify import on_task_failure, on_task_success

    dag = "daily_sales_etl"
    airflow.ended(dag, "gate", "failed", run="asset__1", ago=2)
    on_task_failure(failed_task(ValueError("x"), dag=dag, task="gate"))
    airflow.ended(dag, "refresh", "success", run="r2", ago=1)
    if is_recorded:
        on_task_success(succeeded("refresh"))
    else:
        assert names(sweep(platform, airflow)) == ([], [(dag, "task_gate")])
    assert still_open(platform) == []
    assert names(sweep(platform, airflow)) == NOTHING


def test_late_mart_is_reported_once_and_recovers_when_computed(platform: str, airflow: Airflow) -> None:
    recent = {"exchange_rates": Behind(verbatim("Sales_CurrencyRate is newer"), minutes_ago(29))}
    assert names(sweep(platform, airflow, 100, recent))[0] == [(INGESTION, "runs_in_time")]
    airflow.run("insert into dag_run values (%s, 'r1', now(), now())", INGESTION)
    behind = {"exchange_rates": Behind(verbatim("Sales_CurrencyRate is newer"), minutes_ago(31))}
    assert names(sweep(platform, airflow, 0, behind))[0] == [], "the timeout begins with the watch"
    late = sweep(platform, airflow, 100, behind)
    assert names(late)[0] == [("exchange_rates", LATE)]
    assert (late.opened[0].owner, late.opened[0].status) == ("sales", "open")
    assert "Sales_CurrencyRate is newer" in words(late.opened[0]).summary
    assert names(sweep(platform, airflow, 100, behind)) == NOTHING
    assert names(sweep(platform, airflow, 100)) == ([], [("exchange_rates", LATE)])
    assert names(sweep(platform, airflow, 100)) == NOTHING


def test_mart_with_a_changed_model_is_late_after_the_watchs_timeout(platform: str, airflow: Airflow) -> None:
    airflow.run("insert into dag_run values (%s, 'r1', now(), now())", INGESTION)
    behind = {"exchange_rates": Behind(verbatim("its model, contract or checks changed"), None)}

    def is_missed() -> bool:
        with psycopg.connect(platform) as connection:
            known = freshness(promises(settings()), connection, behind, datetime.now(UTC))
        return known["exchange_rates"].missed

    assert names(sweep(platform, airflow, 29, behind)) == NOTHING
    assert not is_missed(), "it is not known since when it has been waiting"
    assert names(sweep(platform, airflow, 31, behind))[0] == [("exchange_rates", LATE)]
    assert is_missed(), "status and dashboard agree with the incident"


def test_a_mart_is_late_after_what_the_catalogue_promises_or_the_setting_says(
    platform: str, airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow.run("insert into dag_run values (%s, 'r1', now(), now())", INGESTION)
    behind = {"territory_sales": Behind(verbatim("fact_sales is newer"), minutes_ago(119))}
    assert names(sweep(platform, airflow, 200, behind)) == NOTHING, "its calendar is weekly: two hours"
    monkeypatch.setenv("ADVENTUREWORKS_LATE_AFTER_MINUTES", "118")
    settings.cache_clear()
    assert names(sweep(platform, airflow, 200, behind))[0] == [("territory_sales", LATE)]


def test_a_refused_change_that_nothing_reports_misses_its_promise_and_an_idle_table_does_not(
    platform: str, airflow: Airflow
) -> None:
    airflow.run("insert into dag_run values (%s, 'r1', now(), now())", INGESTION)
    with psycopg.connect(platform) as connection:
        for table, blocked, minutes in (
            ("Sales_Store", True, 61),
            ("Sales_Currency", True, 59),
            ("Sales_Customer", False, 9999),
        ):
            connection.execute(
                "insert into ops.watermark (asset, fingerprint, blocked, source, read_at)"
                " values (%s, 'f', %s, 's', %s)",
                (table, blocked, minutes_ago(minutes)),
            )
        known = freshness(promises(settings()), connection, {}, datetime.now(UTC))
    assert {asset for asset, one in known.items() if one.missed} == {"Sales_Store"}
    assert known["Sales_Currency"].since is not None
    assert names(sweep(platform, airflow, 30)) == NOTHING, "the clock starts with the watch"
    found = sweep(platform, airflow, 200)
    assert names(found)[0] == [("Sales_Store", LATE)]
    assert "60 minutes were promised" in words(found.opened[0]).summary
    assert names(sweep(platform, airflow, 30)) == NOTHING, "it does not end because the watch starts again"
    report(platform, replace(FINDING, asset="Sales_Store"))
    assert names(sweep(platform, airflow, 200)) == ([], [("Sales_Store", LATE)]), (
        "the incident of the refusal covers it"
    )


def test_incident_of_a_late_mart_says_that_its_dag_is_paused(platform: str, airflow: Airflow) -> None:
    airflow.run("insert into dag_run values (%s, 'r1', now(), now())", INGESTION)
    airflow.run("insert into dag values ('currency_exchange_rates', true)")
    behind = {"exchange_rates": Behind(verbatim("Sales_CurrencyRate is newer"), minutes_ago(31))}
    [late] = sweep(platform, airflow, 100, behind).opened
    assert "The DAG is paused." in words(late).summary
    assert "airflow dags unpause currency_exchange_rates" in words(late).next_step


def test_missing_ingestion_is_reported_once_and_recovers_when_it_runs(platform: str, airflow: Airflow) -> None:
    airflow.run("insert into dag_run values (%s, 'r1', %s, %s)", INGESTION, minutes_ago(46), minutes_ago(47))
    assert names(sweep(platform, airflow, since=40)) == NOTHING
    found = sweep(platform, airflow, since=100)
    assert names(found) == ([(INGESTION, "runs_in_time")], [])
    assert "unpause" not in words(found.opened[0]).next_step
    assert names(sweep(platform, airflow, since=100)) == NOTHING
    airflow.run("insert into dag_run values (%s, 'r2', null, now())", INGESTION)
    assert names(sweep(platform, airflow, since=100)) == ([], [(INGESTION, "runs_in_time")])


@pytest.mark.parametrize(("kind", "name"), list(SERVICES.items()))
def test_stopped_service_is_reported_once_and_recovers_when_it_runs(
    platform: str, airflow: Airflow, kind: str, name: str
) -> None:
    airflow.run("update job set latest_heartbeat = %s where job_type = %s", minutes_ago(2), kind)
    assert names(sweep(platform, airflow, since=1)) == NOTHING
    assert names(sweep(platform, airflow, since=100)) == ([("airflow", f"{name}_is_alive")], [])
    assert names(sweep(platform, airflow, since=100)) == NOTHING
    assert names(sweep(platform, airflow, since=1)) == NOTHING, "it does not end because the watch starts again"
    airflow.all_alive()
    assert names(sweep(platform, airflow, since=10)) == ([], [("airflow", f"{name}_is_alive")])


def round_of_watch(metadata_url: str, watch: Sweep) -> None:
    from adventureworks.orchestration.watch import _run_round

    _run_round(settings(), metadata_url, watch)


def test_messages_are_sent_while_airflows_database_is_down_and_its_owner_is_notified(
    platform: str, airflow: Airflow, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_mail(monkeypatch, inbox.port)
    watch = Sweep(minutes_ago(1), promises(settings()), timedelta(minutes=15))
    report(platform, FINDING)
    with pytest.raises(ServiceUnavailable, match="Airflow's database"):
        round_of_watch(UNREACHABLE, watch)
    assert [str(mail["To"]) for mail in inbox.mails] == ["sales@example.org"], "a short outage is not an incident"
    watch.since = minutes_ago(2)
    for _ in range(2):
        with pytest.raises(ServiceUnavailable):
            round_of_watch(UNREACHABLE, watch)
    assert [str(mail["To"]) for mail in inbox.mails[1:]] == ["platform@localhost"]
    assert "airflow failed: metadata_is_alive" in inbox.subjects()[1]
    round_of_watch(airflow.url, watch)
    assert "airflow recovered: metadata_is_alive" in inbox.subjects()[2]
    with pytest.raises(ServiceUnavailable):
        round_of_watch(UNREACHABLE, watch)
    assert len(inbox.mails) == 3, "it responded a moment ago"


def test_failing_sweep_is_reported_and_does_not_delay_messages(
    platform: str, airflow: Airflow, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_mail(monkeypatch, inbox.port)
    watch = Sweep(minutes_ago(1), promises(settings()), timedelta(minutes=15))
    report(platform, FINDING)
    airflow.run("alter table job rename to jobs")
    with pytest.raises(psycopg.errors.UndefinedTable):
        round_of_watch(airflow.url, watch)
    assert sorted(str(mail["To"]) for mail in inbox.mails) == ["platform@localhost", "sales@example.org"]
    assert {incident.rule for incident in still_open(platform)} == {FINDING.rule, "sweep_is_complete"}
    airflow.run("alter table jobs rename to job")
    round_of_watch(airflow.url, watch)
    assert "messages recovered: sweep_is_complete" in inbox.subjects()[-1]


def broken(error: Exception) -> Any:
    def fails(*_: object, **__: object) -> None:
        raise error

    return fails


def test_messages_that_cannot_be_created_are_an_incident_of_the_platform(
    platform: str, airflow: Airflow, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adventureworks.messaging import incident_messages
    from adventureworks.reports import mailing

    use_mail(monkeypatch, inbox.port)
    watch = Sweep(minutes_ago(1), promises(settings()), timedelta(minutes=15))
    incident_message = incident_messages.incident_message

    def fails_for_sales(batch: Any, *rest: Any, **named: Any) -> Any:
        if batch[0].owner == "sales":
            raise TypeError("can't compare these times")
        return incident_message(batch, *rest, **named)

    report(platform, FINDING, replace(FINDING, asset="Person_Person", owner="people"))
    with monkeypatch.context() as faults:
        faults.setattr(incident_messages, "incident_message", fails_for_sales)
        faults.setattr(mailing, "compose", broken(PlatformError("The disk is full.", "Make room.")))
        round_of_watch(airflow.url, watch)
        assert sorted(str(mail["To"]) for mail in inbox.mails) == ["people@localhost", *["platform@localhost"] * 2]
        reported = {incident.rule: incident for incident in still_open(platform) if incident.asset == "messages"}
        assert "can't compare these times" in words(reported["incident_messages_are_created"]).summary
        assert words(reported["reader_messages_are_created"]).next_step == "Make room."
        round_of_watch(airflow.url, watch)
        assert len(inbox.mails) == 3, "repeats are counted, not sent"
    round_of_watch(airflow.url, watch)
    assert {str(mail["To"]) for mail in inbox.mails[3:]} == {"sales@example.org", "platform@localhost"}
    assert {incident.asset for incident in still_open(platform)} == {FINDING.asset, "Person_Person"}


def test_invalid_routes_are_reported_to_the_platforms_owner_and_pending_messages_are_sent(
    platform: str, inbox: Inbox, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adventureworks.orchestration.notify import send_pending

    use_mail(monkeypatch, 1)
    report(platform, FINDING)
    send_pending()
    file = tmp_path / "routes.yaml"
    file.write_text("incidents: {quiet_hours: {begin: '20:00', end: 7}}")
    monkeypatch.setenv("ADVENTUREWORKS_ROUTES", str(file))
    settings.cache_clear()
    use_mail(monkeypatch, inbox.port)
    report(platform, replace(FINDING, asset="Sales_Store"))
    with psycopg.connect(platform) as connection:
        connection.execute("update ops.outbox set not_before = now()")
    for _ in range(2):
        send_pending()
    assert [str(mail["To"]) for mail in inbox.mails] == ["sales@example.org", "platform@localhost"]
    summaries = {incident.rule: words(incident).summary for incident in still_open(platform)}
    assert "incidents.quiet_hours.end" in summaries["routes_are_valid"]
    file.write_text("")
    send_pending()
    assert [subject.partition("] ")[2] for subject in inbox.subjects()[2:]] == [
        "Sales_Store blocked: columns are there",
        "messages recovered: routes_are_valid",
    ]
