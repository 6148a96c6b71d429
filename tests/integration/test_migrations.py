"""The `ops` schema on its way from any earlier version of the platform to this one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib import resources

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.errors import PlatformError, Step
from adventureworks.gate import results
from adventureworks.gate.checks import CheckOutcome
from adventureworks.incidents import Finding, events, open_incidents, report, resolve
from adventureworks.messaging import RenderedMessage, notice_wording, notices, store
from adventureworks.messaging.notices import Digest, Listing
from adventureworks.messaging.wording import ENGLISH, words
from adventureworks.recovery import reconcile
from adventureworks.settings import Settings
from adventureworks.texts import verbatim
from adventureworks.warehouse import decisions, intervention, layout, migrations, open_records, open_warehouse
from adventureworks.warehouse.postgres import WarehouseConnection

RENDERED = RenderedMessage(subject="Subject", html="<p>1</p>", text="Text")
FIRST_TABLES = resources.files(migrations) / "versions" / "0001_first_tables.sql"


@pytest.fixture
def known(empty_warehouse_url: str) -> Settings:
    """Return settings that name an empty warehouse."""
    return Settings(warehouse_url=SecretStr(empty_warehouse_url))


def test_records_from_before_the_migrations_survive_the_upgrade(known: Settings, empty_warehouse_url: str) -> None:
    with psycopg.connect(empty_warehouse_url) as connection:
        connection.execute("create schema ops")
        connection.execute(FIRST_TABLES.read_bytes())
        connection.execute("insert into ops.letter values ('c', 'Subject', '<p>1</p>', 'Text', '', '[]')")
        connection.execute("insert into ops.enclosure values ('c', 0, 'a.pdf', 'application/pdf', false, 'x')")
        connection.execute(
            "insert into ops.outbox (message_id, told, thread, channel, recipient, letter_id)"
            " values ('m', 'report/2014-05/email/a@x.org', '', 'email', 'a@x.org', 'c')"
        )
        connection.execute(
            "insert into ops.watermark (asset, fingerprint, blocked, source)"
            " values ('Person_Person', 'unreadable: rule: a cause 0a1b', false, 's')"
        )
        connection.execute(
            "insert into ops.publication (asset, version, rows, changed_rows, set_aside, verdict, run_id)"
            " values ('fact_sales', 1, 9, 9, 2, 'passed with warnings: 2 orders withheld', 'r')"
        )
    for _ in range(2):
        with open_warehouse(known).connect("test") as session:
            layout.prepare(session)
    with open_records(known).connect("test") as connection:
        message = store.take_due(connection, ["email"], datetime.now(UTC))
        assert message is not None
        assert (message.recipient, message.content.subject) == ("a@x.org", "Subject")
        assert [(one.name, one.content) for one in message.content.attachments] == [("a.pdf", b"x")]
        assert store.was_added(connection, "report/2014-05/email/a@x.org")
        assert connection.execute("select fingerprint, columns_digest from ops.watermark").fetchall() == [
            ("unreadable: rule: a cause", "0a1b")
        ]
        assert connection.execute("select verdict, set_aside from ops.publication").fetchall() == [
            ("passed with warnings", 2)
        ]


def test_sentences_written_by_the_version_before_are_shown_as_they_are(known: Settings) -> None:
    detail = {"failed": 3, "total": 9, "examples": ["ID 1"], "next_step": "Start it.", "cause": "x", "since": None}
    incident = (
        "insert into ops.incident (incident_id, fingerprint, asset, rule, owner, severity, status, summary, detail,"
        " run_id) values (%s, %s, %s, %s, 'people', 'error', 'open', %s, %s, 'r')"
    )
    columns, row = notice_wording.COLUMNS["recovered"], ["Nut (5)", "ok", "out", "30000"]
    stock = {"listings": [{"heading": "recovered", "columns": columns, "rows": [row]}], "next_step": "x"}
    older = {"listings": [{"heading": "Low", "columns": ["Product"], "rows": [["Bolt"]]}], "next_step": "x"}
    with open_warehouse(known).connect("test") as session:
        records = session.records
        layout.prepare(session)
        layout.set_revision(records, "0003")
        person = ("1", "Person_Person:r", "Person_Person", "r", "Person_Person is blocked: {x}.", json.dumps(detail))
        records.execute(incident, person)
        task = ("2", "ingest_source:task_tell", "ingest_source", "task_tell", "It failed.", json.dumps(detail))
        records.execute(incident, task)
        for run_id, subject, payload in (("a", "Stock: 1 low", stock), ("b", "Stock: 2 low", older)):
            records.execute(
                "insert into ops.notice (notice_id, kind, asset, owner, subject, payload, run_id)"
                " values (%s, 'stock', 'inventory_status', 'production', %s, %s, %s)",
                (run_id, subject, json.dumps(payload), run_id),
            )
        store.add(records, RENDERED, channel="email", recipient="a@x.org", dedup_key="once")
        records.execute(
            "update ops.outbox set given_up_at = now(),"
            " last_error = 'It waited when the back-up was made, and may have been sent since.'"
        )
    with open_warehouse(known).connect("test") as session:
        records = session.records
        unmigrated = {one.asset: words(one) for one in open_incidents(records)}
        layout.prepare(session)
        found = {one.asset: one for one in open_incidents(records)}
        assert (found["Person_Person"].failed, found["Person_Person"].examples) == (3, ("ID 1",))
        assert (words(found["Person_Person"]).summary, words(found["Person_Person"]).next_step) == (
            "Person_Person is blocked: {x}.",
            "Start it.",
        )
        assert words(found["Person_Person"]) == unmigrated["Person_Person"], "shown before the migration, too"
        assert "ingest_source" not in found, "no run can end the incident of a task that has another name now"
        subjects = [
            notice_wording.words(notice.digest, ENGLISH).subject
            for run in "ab"
            for notice in notices.of_run(records, run)
        ]
        assert subjects == ["Stock: 1 back to normal", "Stock: 2 low"]
        assert reconcile(records, send_waiting=True).released == 1


def test_records_of_a_newer_version_are_left_alone(known: Settings) -> None:
    with open_warehouse(known).connect("test") as session:
        layout.prepare(session)
        session.records.execute("update ops.migration set version_num = '9999'")
        session.records.execute("delete from ops.layout")
    with (
        pytest.raises(PlatformError, match=r"records have revision 9999") as refused,
        open_warehouse(known).connect("test") as session,
    ):
        layout.prepare(session)
    assert "adventureworks migrate" in refused.value.next_step.command


def test_records_are_current_only_at_the_newest_revision(known: Settings) -> None:
    with open_warehouse(known).connect("test") as session:
        layout.prepare(session)
        assert migrations.is_current(session.records)
        layout.set_revision(session.records, "0009")
        assert not migrations.is_current(session.records)


def test_restored_records_of_the_previous_release_are_reconciled_with_data_elsewhere(known: Settings) -> None:
    with open_warehouse(known).connect("test") as session:
        records = session.records
        layout.prepare(session)
        layout.set_revision(records, "0010")
        for day, run in ((2, "newest"), (1, "older")):
            records.execute(
                "insert into ops.change (run_id, asset, fingerprint, status, source, whole, detected_at)"
                " values (%s, 'Sales_Store', 'f', 'published', 's', false, %s)",
                (run, datetime(2026, 1, day, tzinfo=UTC)),
            )
        reconcile(records, data_elsewhere=True)
        assert records.execute("select run_id from ops.change where publishing").fetchall() == [("newest",)]


def _records(connection: WarehouseConnection) -> dict[str, list[list[object]]]:
    """Return the columns and the rows of every table with records, with JSON objects parsed."""
    tables = connection.columns_in("ops")
    del tables["quarantined_row"]
    return {
        f"{table} {sorted(columns)}": [
            [json.loads(value) if isinstance(value, str) and value.startswith("{") else value for value in row]
            for row in connection.execute(f"select {', '.join(sorted(columns))} from ops.{table}".encode()).fetchall()
        ]
        for table, columns in sorted(tables.items())
    }


def test_discarded_rows_are_open_or_blocked_for_the_version_before(known: Settings) -> None:
    with open_warehouse(known).connect("test") as session:
        layout.prepare(session)
        for status in ("open", "discarded", "blocked_discarded"):
            session.data.execute(
                "insert into ops.quarantined_row (asset, row_key, rule, message, row_data, run_id, status)"
                " values ('Person_Person', '{}', 'r', 'm', '{}', 'r', %s)",
                (status,),
            )
        assert layout.set_revision(session.records, "0005") == "0005"
        rows = session.data.execute("select status from ops.quarantined_row order by status").fetchall()
        assert rows == [("blocked",), ("open",), ("open",)]


def test_going_back_and_forth_loses_no_record(known: Settings) -> None:
    with open_warehouse(known).connect("test") as session:
        records = session.records
        layout.prepare(session)
        store.add(records, RENDERED, channel="email", recipient="a@x.org", dedup_key="once")
        late = events.late(datetime.now(UTC), verbatim("fact_sales is newer"), "daily_sales_etl", paused=True)
        refused = events.refused("2 rows break it.", has_version=True)
        for event in (late, refused):
            report(records, [Finding(asset="daily_sales", rule=event.code, event=event, failed=2)])
        listing = Listing(notice_wording.RECOVERED, notice_wording.COLUMNS[notice_wording.RECOVERED], ())
        stock = Digest(notice_wording.STOCK, (listing,), "x")
        notices.write(records, stock, asset="inventory_status", owner="production", run_id="r")
        older = {"subject": "1 low", "next_step": "x", "listings": [{"heading": "Low", "columns": [], "rows": []}]}
        records.execute(
            "insert into ops.notice (notice_id, kind, asset, owner, payload, run_id)"
            " values ('n', 'recorded', 'inventory_status', 'production', %s, 'older')",
            (json.dumps(older),),
        )
        records.execute(
            "insert into ops.watermark (asset, fingerprint, columns_digest, blocked, source)"
            " values ('Person_Person', 'a b', 'c', false, 's')"
        )
        before = _records(records)
        blocked = events.blocked("x", has_version=True, next_step=Step("Check:", "adventureworks doctor"))
        report(records, [Finding(asset="Sales_Store", rule="blocked", event=blocked)])
        assert layout.set_revision(records, "0001") == "0001"
        # What the previous release does when it starts.
        records.execute(FIRST_TABLES.read_bytes())
        assert records.execute("select told, letter_id is null from ops.outbox").fetchall() == [("once", False)]
        assert records.execute("select fingerprint from ops.watermark").fetchall() == [("a b c",)]
        summaries = "select summary, detail::json ->> 'next_step' from ops.incident where rule = 'refused'"
        assert records.execute(summaries).fetchall() == [
            ("daily_sales: refused: 2 rows break it.", "adventureworks status daily_sales")
        ]
        advice = "delete from ops.incident where rule = 'blocked' returning detail::json ->> 'next_step'"
        assert records.execute(advice).fetchall() == [("Check: adventureworks doctor",)]
        layout.prepare(session)
        assert _records(records) == before
        # A new version that changes a contract finds the records as they should be.
        records.execute("delete from ops.layout")
        layout.prepare(session)
        assert records.execute("select version_num from ops.migration").fetchall() == [("0016",)]
    with pytest.raises(PlatformError, match="no revision 7"), open_records(known).connect("test") as records:
        migrations.migrate(records, "7")


def test_records_are_numbered_in_the_order_in_which_they_were_written(known: Settings) -> None:
    order = "select run_id from ops.{} order by number"
    newest = "select max(number) from ops.check_result"
    with open_warehouse(known).connect("test") as session:
        records = session.records
        layout.prepare(session)
        for _ in range(2):
            layout.set_revision(records, "0010")
            records.execute("delete from ops.check_result")
            records.execute("delete from ops.change")
            for day, run in ((3, "c"), (1, "b"), (1, "a"), (2, "d")):
                at = datetime(2026, 1, day, tzinfo=UTC)
                records.execute(
                    "insert into ops.check_result (run_id, asset, rule, kind, outcome, message, checked_at)"
                    " values (%s, 'Sales_Store', 'r', 'check', 'pass', 'm', %s)",
                    (run, at),
                )
                records.execute(
                    "insert into ops.change (run_id, asset, fingerprint, status, source, whole, detected_at)"
                    " values (%s, 'Sales_Store', 'f', 'published', 's', false, %s)",
                    (run, at),
                )
            layout.prepare(session)
            assert records.execute(newest).fetchone() == (0,)
            results.record(records, "new", [CheckOutcome("Sales_Store", "r", "pass", None, "m", (), "validity")])
            assert records.execute(newest).fetchone() == (1,)
            assert [run for (run,) in records.execute(order.format("check_result").encode())] == [*"abdc", "new"]
            assert [run for (run,) in records.execute(order.format("change").encode())] == [*"abdc"]


def test_an_ingestion_in_progress_ends_the_decisions_that_were_taken_back_before_it_began(known: Settings) -> None:
    asset = "Sales_Store"
    with open_warehouse(known).connect("test") as session:
        records = session.records
        layout.prepare(session)
        layout.set_revision(records, "0010")
        for key, day in (("before", 1), ("during", 4)):
            records.execute(
                "insert into ops.row_decision (asset, row_key, kind, decided_by, decided_at, reason)"
                " values (%s, %s, 'reopened', 'ann', %s, 'a mistake')",
                (asset, key, datetime(2026, 1, day, tzinfo=UTC)),
            )
        for run, day in (("last", 2), ("in progress", 3)):
            records.execute(
                "insert into ops.change (run_id, asset, fingerprint, status, source, whole, detected_at)"
                " values (%s, %s, 'f', 'staged', 's', false, %s)",
                (run, asset, datetime(2026, 1, day, tzinfo=UTC)),
            )
        layout.prepare(session)
        decisions.end_judged_again(records, asset, "in progress")
        assert decisions.keys(records, asset, decisions.REOPENED) == {"during"}


def test_an_open_incident_and_an_approval_go_on_under_the_new_name_of_a_rule(known: Settings) -> None:
    old, new, asset = "rows_come_once", "rows_are_unique", "Production_Product"
    event = events.unusual_change("3 rows repeat others")
    with open_warehouse(known).connect("test") as session:
        records = session.records
        layout.prepare(session)
        layout.set_revision(records, "0010")
        [opened] = report(records, [Finding(asset=asset, rule=old, event=event, severity="warning")])
        records.execute(
            "insert into ops.check_result (run_id, asset, rule, kind, outcome, message)"
            " values ('r', %s, %s, 'profile', 'warn', 'm')",
            (asset, old),
        )
        records.execute(
            "insert into ops.watermark (asset, fingerprint, blocked, source)"
            " values (%s, 'unreadable: file_is_at_rest: x.csv', true, 's')",
            (asset,),
        )
        rules = {"rules": [old, f"fact_sales: {old}", f"{old}_too"]}
        intervention.record(records, "approval", asset, "ann", "a reason", rules, in_force=True)
        layout.prepare(session)
        assert report(records, [Finding(asset=asset, rule=new, event=event, severity="warning")]) == [], "it is known"
        assert resolve(records, asset, keep={new}) == []
        [resolved] = resolve(records, asset)
        assert (resolved.incident_id, resolved.rule, resolved.seen_count) == (opened.incident_id, new, 2)
        assert records.execute("select rule from ops.check_result").fetchall() == [(new,)]
        assert records.execute("select fingerprint from ops.watermark").fetchall() == [
            ("unreadable: file_is_stable: x.csv",)
        ]
        [approval] = intervention.approvals(records)
        assert approval.detail == {"rules": [new, f"fact_sales: {new}", f"{old}_too"]}
        layout.set_revision(records, "0010")
        assert records.execute("select rule, fingerprint from ops.incident").fetchall() == [(old, f"{asset}:{old}")]
