"""Messages on real local servers: who is notified of what, how often, and behaviour while a server is down."""

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks import incidents
from adventureworks.errors import PlatformError, TableBlocked
from adventureworks.incidents import Finding, Incident, events
from adventureworks.messaging.wording import words
from adventureworks.settings import settings
from adventureworks.warehouse.postgres import connected
from tests.integration.channels import SECRET, Inbox, Webhook, use_mail, use_slack

FINDING = Finding(
    asset="Sales_SalesOrderDetail",
    rule="columns_are_there",
    severity="error",
    event=events.blocked("the column OrderQty is missing.", has_version=True),
    failed=None,
    total=None,
    examples=(),
    run_id="ingest_source/manual__1",
    owner="sales",
)
STATUS = "adventureworks status Sales_SalesOrderDetail"
SET_ASIDE = replace(
    FINDING,
    rule="quantity_is_positive",
    severity="warning",
    event=events.rows_set_aside("OrderQty > 0", 121314),
    failed=3,
    total=121317,
)


@pytest.fixture
def platform(
    warehouse_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Return the URL of a warehouse with the platform's own tables, set in the settings; no channel is configured."""
    # Airflow writes its configuration there on first import.
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    monkeypatch.setenv("ADVENTUREWORKS_WAREHOUSE_URL", warehouse_url)
    monkeypatch.setenv("ADVENTUREWORKS_UI_URL", "http://127.0.0.1:8080")
    monkeypatch.setenv("ADVENTUREWORKS_OWNER_EMAILS", '{"sales": "sales@example.org"}')
    for name in ("AIRFLOW_CONN_SLACK_DEFAULT", "AIRFLOW_CONN_SMTP_DEFAULT", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    settings.cache_clear()
    yield warehouse_url
    settings.cache_clear()


@pytest.fixture
def slack_and_mail(platform: str, inbox: Inbox, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    use_slack(monkeypatch, webhook.port)
    use_mail(monkeypatch, inbox.port)


def report(url: str, *findings: Finding) -> list[Incident]:
    with psycopg.connect(url) as connection:
        return incidents.report(connection, findings)


def resolve(url: str, asset: str = FINDING.asset) -> list[Incident]:
    with psycopg.connect(url) as connection:
        return incidents.resolve(connection, asset, run_id="ingest_source/manual__2")


def still_open(url: str) -> list[Incident]:
    with psycopg.connect(url) as connection:
        return incidents.open_incidents(connection)


def time_passes(url: str) -> None:
    """Make postponed messages due again."""
    with psycopg.connect(url) as connection:
        connection.execute("update ops.outbox set not_before = current_timestamp where sent_at is null")


def failed_task(error: BaseException, *, dag: str = "daily_sales_etl", task: str = "refresh") -> dict[str, Any]:
    url = f"http://127.0.0.1:8080/dags/{dag}/runs/asset__1/tasks/{task}"
    instance = SimpleNamespace(dag_id=dag, task_id=task, run_id="asset__1", map_index=-1, log_url=url)
    return {"ti": instance, "exception": error}


def succeeded(
    task: str, upstream: set[str] | None = None, map_index: int = -1, rule: str = "all_success"
) -> dict[str, Any]:
    instance = SimpleNamespace(dag_id="daily_sales_etl", task_id=task, run_id="asset__2", map_index=map_index)
    return {
        "ti": instance,
        "task": SimpleNamespace(task_id=task, upstream_task_ids=upstream or set(), trigger_rule=rule),
    }


@pytest.mark.usefixtures("slack_and_mail")
def test_blocked_table_causes_one_slack_message_and_one_mail(platform: str, inbox: Inbox, webhook: Webhook) -> None:
    from adventureworks.orchestration.notify import notify_owners, send_pending

    notify_owners(report(platform, FINDING))
    notify_owners(report(platform, FINDING))
    send_pending()

    (mail,) = inbox.mails
    assert mail["Subject"] == "[AdventureWorks] Sales_SalesOrderDetail blocked: columns are there"
    assert (mail["To"], mail["From"]) == ("sales@example.org", "data@example.org")
    assert mail.get_content_type() == "multipart/alternative"
    (incident,) = still_open(platform)
    link = f"http://127.0.0.1:8080/dashboard/incidents#incident-{incident.short_id}"
    for kind in ("plain", "html"):
        part = mail.get_body(preferencelist=(kind,))
        assert part is not None
        text = part.get_content()
        assert STATUS not in text, "business users have no shell"
        assert "Sales_SalesOrderDetail is blocked: the column OrderQty is missing. The last good version" in text
        assert link in text
    (post,) = webhook.posts
    assert webhook.paths == [f"/services/{SECRET}"]
    assert STATUS not in json.dumps(post["blocks"])
    assert f"<{link}|" in json.dumps(post["blocks"])
    assert "Sales_SalesOrderDetail blocked" in post["text"]
    assert SECRET not in json.dumps(post) + mail.as_string()
    assert incident.notified == {"slack/slack_default": "error", "email/sales@example.org": "error"}


@pytest.mark.usefixtures("slack_and_mail")
def test_message_names_its_environment(
    platform: str, inbox: Inbox, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adventureworks.orchestration.notify import send_pending

    with psycopg.connect(platform) as connection:
        connection.execute("alter schema ops rename to staging_ops")
    monkeypatch.setenv("ADVENTUREWORKS_ENVIRONMENT", "staging")
    settings.cache_clear()
    with connected(SecretStr(platform), "staging") as connection:
        incidents.report(connection, [FINDING])
    send_pending()

    title = "Sales_SalesOrderDetail blocked"
    (mail,) = inbox.mails
    assert mail["Subject"].strip() == f"[staging] [AdventureWorks] {title}: columns are there"
    plain, page = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert page is not None
    assert plain.get_content().startswith(f"[staging] {title}")
    assert f">[staging] {title}</h1>" in page.get_content()
    (post,) = webhook.posts
    assert post["text"] == f"[staging] {title}"
    assert post["blocks"][0]["text"]["text"] == f"[staging] {title}"


@pytest.mark.usefixtures("slack_and_mail")
def test_worsening_is_notified_again_and_recovery_once(platform: str, inbox: Inbox, webhook: Webhook) -> None:
    from adventureworks.orchestration.notify import notify_owners, send_pending

    notify_owners(report(platform, SET_ASIDE))
    notify_owners(report(platform, replace(FINDING, rule=SET_ASIDE.rule)))
    resolved = resolve(platform)
    notify_owners((), resolved)
    notify_owners((), resolved)
    send_pending()
    assert webhook.headers() == [
        "Sales_SalesOrderDetail rows set aside",
        "Worse: Sales_SalesOrderDetail blocked",
        "Sales_SalesOrderDetail recovered",
    ]
    assert [subject.split(": ")[0].partition("] ")[2] for subject in inbox.subjects()] == [
        "Sales_SalesOrderDetail rows set aside",
        "Worse",
        "Sales_SalesOrderDetail recovered",
    ]
    assert len({mail["Message-ID"] for mail in inbox.mails}) == 3
    assert len({mail["References"] for mail in inbox.mails}) == 1


def test_log_reports_incidents_if_no_channel_is_configured(platform: str, caplog: pytest.LogCaptureFixture) -> None:
    from adventureworks.orchestration.notify import notify_owners

    with caplog.at_level(logging.INFO):
        notify_owners(report(platform, FINDING))
    assert "Sales_SalesOrderDetail blocked: columns_are_there." in caplog.text
    assert STATUS in caplog.text
    assert "No connection to Slack or to a mail server is configured" in caplog.text
    assert still_open(platform)[0].notified == {}


def test_new_channel_gets_open_incidents_but_only_recoveries_it_was_notified_of(
    platform: str, inbox: Inbox, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adventureworks.orchestration.notify import notify_owners, send_pending

    use_slack(monkeypatch, webhook.port)
    notify_owners(report(platform, FINDING, replace(SET_ASIDE, asset="Sales_Store")))
    notify_owners((), resolve(platform))
    use_mail(monkeypatch, inbox.port)
    send_pending()
    send_pending()
    assert webhook.headers() == [
        "Sales_SalesOrderDetail blocked",
        "Sales_Store rows set aside",
        "Sales_SalesOrderDetail recovered",
    ]
    assert inbox.subjects() == ["[AdventureWorks] Sales_Store rows set aside: quantity is positive"]


@pytest.mark.usefixtures("slack_and_mail")
def test_incident_that_was_resolved_before_it_could_be_announced_is_announced_once(
    platform: str, inbox: Inbox, webhook: Webhook
) -> None:
    from adventureworks.orchestration.notify import notify_owners, send_pending

    report(platform, FINDING, replace(SET_ASIDE, asset="Sales_Store"))
    with psycopg.connect(platform) as connection:
        incidents.resolve(connection, "Sales_Store")
        connection.execute("update ops.incident set resolved_at = resolved_at - interval '2 hours'")
    notify_owners((), resolve(platform))
    send_pending()
    assert webhook.headers() == ["Sales_SalesOrderDetail recovered"], "the other one ended long ago"
    (mail,) = inbox.mails
    part = mail.get_body(preferencelist=("plain",))
    assert part is not None
    assert "the column OrderQty is missing" in part.get_content()


@pytest.mark.usefixtures("slack_and_mail")
@pytest.mark.parametrize("failure", [500, "connection refused"])
def test_message_that_slack_rejects_is_sent_once_later(
    platform: str,
    inbox: Inbox,
    webhook: Webhook,
    failure: object,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from adventureworks.orchestration.notify import notify_owners, send_pending

    if failure == 500:
        webhook.answer = 500
    else:
        use_slack(monkeypatch, 1)
    notify_owners(report(platform, FINDING))
    reason = (
        "the server answers 500"
        if failure == 500
        else "the connection is refused: nothing listens at this address and port"
    )
    assert (
        "The slack message '[AdventureWorks] Sales_SalesOrderDetail blocked: columns are there'"
        f" was not sent: {reason}." in caplog.text
    )
    assert SECRET not in caplog.text
    assert len(webhook.posts) == (1 if failure == 500 else 0)
    assert len(inbox.mails) == 1

    webhook.answer = 200
    use_slack(monkeypatch, webhook.port)
    webhook.posts.clear()
    send_pending()
    assert not webhook.posts, "a failing server is not contacted again immediately"
    time_passes(platform)
    send_pending()
    send_pending()
    assert webhook.headers() == ["Sales_SalesOrderDetail blocked"]
    assert len(inbox.mails) == 1


@pytest.mark.usefixtures("slack_and_mail")
def test_rejected_recipient_does_not_block_the_others(platform: str, inbox: Inbox) -> None:
    from adventureworks.orchestration.notify import notify_owners, send_pending

    inbox.refuses.add("sales@example.org")
    notify_owners(report(platform, FINDING, replace(FINDING, asset="Person_Person", owner="people")))
    assert [mail["To"] for mail in inbox.mails] == ["people@localhost"]
    inbox.refuses.clear()
    time_passes(platform)
    send_pending()
    assert [mail["To"] for mail in inbox.mails] == ["people@localhost", "sales@example.org"]


@pytest.mark.usefixtures("slack_and_mail")
def test_many_incidents_become_one_summary_per_recipient(platform: str, inbox: Inbox, webhook: Webhook) -> None:
    from adventureworks.orchestration.notify import notify_owners

    notify_owners(report(platform, *(replace(FINDING, asset=f"Sales_{number}") for number in range(6))))
    assert webhook.headers() == ["6 incidents"]
    assert [subject.split(":")[0] for subject in inbox.subjects()] == ["[AdventureWorks] 6 incidents"]
    expected = {"slack/slack_default": "error", "email/sales@example.org": "error"}
    assert all(incident.notified == expected for incident in still_open(platform))


def test_unreachable_warehouse_does_not_fail_the_task(
    platform: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from adventureworks.orchestration.notify import on_task_failure, on_task_success

    monkeypatch.setenv("ADVENTUREWORKS_WAREHOUSE_URL", "postgresql://u:hunter2@127.0.0.1:1/w")
    settings.cache_clear()
    on_task_failure(failed_task(ValueError("x")))
    on_task_success(succeeded("refresh"))
    assert "could not be recorded: The warehouse does not answer" in caplog.text
    assert "hunter2" not in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.usefixtures("slack_and_mail")
def test_message_about_a_failed_task_contains_its_cause_but_no_secrets(platform: str, inbox: Inbox) -> None:
    from adventureworks.orchestration.notify import on_task_failure

    password = str(urlsplit(platform).password)
    on_task_failure(failed_task(RuntimeError(f"no login with {password}\n  File secret.py, line 1")))
    (mail,) = inbox.mails
    assert mail["Subject"] == "[AdventureWorks] daily_sales_etl failed: task refresh"
    assert mail["To"] == "sales@example.org"
    text = mail.get_body(preferencelist=("plain",)).get_content()  # type: ignore[union-attr]
    assert "Task refresh (build) failed: RuntimeError: no login with …" in text
    assert "/dashboard/incidents#incident-" in text
    assert password not in text
    assert "secret.py" not in text


def test_incidents_contain_no_secrets_from_the_settings(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from adventureworks.orchestration.notify import on_task_failure

    monkeypatch.setenv("ADVENTUREWORKS_METADATA_URL", "postgresql+psycopg2://airflow:meta%40base@db/airflow")
    monkeypatch.setenv("ADVENTUREWORKS_SOURCE", "postgresql://reader:[shop]@db/source")
    monkeypatch.setenv("ADVENTUREWORKS_REPORTS_URL", "s3://key:buck3t@bucket/reports")
    settings.cache_clear()
    on_task_failure(failed_task(RuntimeError("meta%40base, meta@base, [shop] and buck3t were refused")))
    (incident,) = still_open(platform)
    assert words(incident).summary.endswith("RuntimeError: …, …, … and … were refused")


def test_platform_errors_next_step_is_used(platform: str) -> None:
    from adventureworks.orchestration.notify import on_task_failure

    error = RuntimeError("wrapped")
    error.__cause__ = PlatformError("The disk is full.", "Make room, then: adventureworks run")
    on_task_failure(failed_task(error, dag="ingest_source", task="load"))
    (incident,) = still_open(platform)
    assert (incident.asset, incident.rule, incident.owner) == ("ingest_source", "task_load", "platform")
    assert words(incident).summary == "Task load failed: The disk is full."
    assert words(incident).next_step == "Make room, then: adventureworks run"


def test_blocked_table_reported_by_the_gate_is_not_reported_again(platform: str) -> None:
    from adventureworks.orchestration.notify import on_task_failure

    blocked = TableBlocked("fact_sales", "lines_are_whole", "2 rows break the contract.")
    report(platform, replace(FINDING, asset="fact_sales", rule="lines_are_whole"))
    on_task_failure(failed_task(blocked, task="refresh"))
    assert [(i.asset, i.rule, i.seen_count) for i in still_open(platform)] == [("fact_sales", "lines_are_whole", 1)]
    on_task_failure(failed_task(TableBlocked("daily_sales", "new_rule", "1 row breaks it."), task="refresh"))
    assert [(i.asset, i.rule) for i in still_open(platform)][1:] == [("daily_sales", "new_rule")]


def test_task_recovers_when_it_succeeds_and_mapped_task_when_all_instances_did(platform: str) -> None:
    from adventureworks.orchestration.notify import on_task_failure, on_task_success

    for task in ("refresh", "load"):
        on_task_failure(failed_task(ValueError("x"), task=task))
    on_task_success(succeeded("load", map_index=3))
    on_task_success(succeeded("sweep", upstream={"load"}, rule="all_done"))
    assert [i.rule for i in still_open(platform)] == ["task_refresh", "task_load"]
    on_task_success(succeeded("refresh"))
    assert [i.rule for i in still_open(platform)] == ["task_load"]
    on_task_success(succeeded("check", upstream={"load"}))
    assert still_open(platform) == []


def test_failed_delivery_with_an_incident_per_month_opens_no_other_incident(platform: str) -> None:
    from adventureworks.orchestration.notify import on_task_failure, on_task_success
    from adventureworks.reports.delivery import NotDelivered

    on_task_failure(failed_task(NotDelivered("already reported"), task="deliver"))
    assert still_open(platform) == []
    on_task_failure(failed_task(ValueError("x"), task="deliver"))
    assert [i.rule for i in still_open(platform)] == ["task_deliver"]
    on_task_success(succeeded("deliver", rule="none_failed"))
    assert still_open(platform) == []
