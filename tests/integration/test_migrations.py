"""The `ops` schema on its way from any earlier version of the platform to this one."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.errors import PlatformError
from adventureworks.messaging import RenderedMessage, store
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, migrations, open_records, open_warehouse
from adventureworks.warehouse.postgres import WarehouseConnection

FIRST_TABLES = resources.files(migrations) / "versions" / "0001_first_tables.sql"


@pytest.fixture
def known(warehouse_url: str) -> Settings:
    """Return settings that name an empty warehouse."""
    return Settings(warehouse_url=SecretStr(warehouse_url))


def test_records_from_before_the_migrations_survive_the_upgrade(known: Settings, warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
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
    assert "adventureworks migrate" in refused.value.next_step


def _records(connection: WarehouseConnection) -> dict[str, list[tuple[object, ...]]]:
    """Return the columns and the rows of every table of the `ops` schema."""
    tables = connection.columns_in("ops")
    return {
        f"{table} {sorted(columns)}": connection.execute(
            f"select {', '.join(sorted(columns))} from ops.{table}".encode()
        ).fetchall()
        for table, columns in sorted(tables.items())
    }


def test_going_back_and_forth_loses_no_record(known: Settings) -> None:
    with open_warehouse(known).connect("test") as session:
        records = session.records
        layout.prepare(session)
        rendered = RenderedMessage(subject="Subject", html="<p>1</p>", text="Text")
        store.add(records, rendered, channel="email", recipient="a@x.org", dedup_key="once")
        records.execute(
            "insert into ops.watermark (asset, fingerprint, columns_digest, blocked, source)"
            " values ('Person_Person', 'a b', 'c', false, 's')"
        )
        before = _records(records)
        assert layout.set_revision(records, "0001") == "0001"
        # What the version before does when it starts.
        records.execute(FIRST_TABLES.read_bytes())
        assert records.execute("select told, letter_id is null from ops.outbox").fetchall() == [("once", False)]
        assert records.execute("select fingerprint from ops.watermark").fetchall() == [("a b c",)]
        layout.prepare(session)
        assert _records(records) == before
        # A new version that changes a contract finds the records as they should be.
        records.execute("delete from ops.layout")
        layout.prepare(session)
        assert records.execute("select version_num from ops.migration").fetchall() == [("0003",)]
    with pytest.raises(PlatformError, match="no revision 7"), open_records(known).connect("test") as records:
        migrations.migrate(records, "7")
