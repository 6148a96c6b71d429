"""The life cycle of incidents in a real PostgreSQL, and queries of the quarantine."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks.errors import PlatformError
from adventureworks.gate import quarantine
from adventureworks.incidents import Finding, events, open_incidents, report, resolve
from adventureworks.warehouse.postgres import PostgresWarehouse, Records

SET_ASIDE = Finding(
    asset="Sales_SalesOrderDetail",
    rule="quantity_is_positive",
    severity="warning",
    event=events.rows_set_aside("OrderQty > 0", 121314),
    failed=3,
    total=121317,
    examples=("SalesOrderDetailID=17", "SalesOrderDetailID=4711", "SalesOrderDetailID=90210", "SalesOrderDetailID=4"),
    run_id="ingest_source/1",
    owner="sales",
)
BLOCKED = replace(
    SET_ASIDE,
    rule="columns_are_there",
    severity="error",
    event=events.blocked("OrderQty is missing.", has_version=True),
    failed=None,
    total=None,
)


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(warehouse_url) as connection:
        yield connection


def test_cause_is_reported_once_then_counted_and_reported_again_when_worse(connection: psycopg.Connection[Any]) -> None:
    first = report(connection, [SET_ASIDE])
    assert [(i.asset, i.rule, i.failed, i.total, i.seen_count) for i in first] == [
        ("Sales_SalesOrderDetail", "quantity_is_positive", 3, 121317, 1)
    ]
    assert first[0].examples == ("SalesOrderDetailID 17", "SalesOrderDetailID 4711", "SalesOrderDetailID 90210")

    assert report(connection, [replace(SET_ASIDE, failed=5, run_id="ingest_source/2")]) == []
    (counted,) = open_incidents(connection, "Sales_SalesOrderDetail")
    assert (counted.incident_id, counted.seen_count, counted.failed) == (first[0].incident_id, 2, 5)
    assert counted.run_id == "ingest_source/2"

    (worse,) = report(connection, [replace(SET_ASIDE, severity="error")])
    assert (worse.incident_id, worse.severity, worse.seen_count) == (first[0].incident_id, "error", 3)
    assert report(connection, [SET_ASIDE]) == []
    assert len(report(connection, [replace(SET_ASIDE, severity="error")])) == 1


def test_incident_is_resolved_once_and_reopens_as_a_new_one(connection: psycopg.Connection[Any]) -> None:
    other = replace(SET_ASIDE, asset="Sales_Store")
    report(connection, [SET_ASIDE, BLOCKED, other])
    (resolved,) = resolve(connection, "Sales_SalesOrderDetail", keep={"quantity_is_positive"}, run_id="ingest_source/9")
    assert (resolved.rule, resolved.status, resolved.run_id) == ("columns_are_there", "resolved", "ingest_source/9")
    assert resolved.resolved_at is not None
    assert [i.rule for i in resolve(connection, "Sales_SalesOrderDetail")] == ["quantity_is_positive"]
    assert resolve(connection, "Sales_SalesOrderDetail") == []
    assert [i.asset for i in open_incidents(connection)] == ["Sales_Store"]

    (again,) = report(connection, [BLOCKED])
    assert again.incident_id != resolved.incident_id
    assert [i.severity for i in open_incidents(connection)] == ["error", "warning"]


def test_duplicate_cause_in_one_report_is_one_incident_with_the_worse_severity(
    connection: psycopg.Connection[Any],
) -> None:
    (incident,) = report(connection, [replace(SET_ASIDE, severity="error"), SET_ASIDE])
    assert (incident.severity, incident.seen_count) == ("error", 1)


def test_concurrent_reports_open_one_incident_per_cause(warehouse_url: str) -> None:
    findings = [replace(SET_ASIDE, rule=f"rule_{number}") for number in range(5)]

    def report_once(number: int) -> int:
        with psycopg.connect(warehouse_url) as connection:
            return len(report(connection, findings if number % 2 else findings[::-1]))

    with ThreadPoolExecutor(8) as pool:
        reported = sum(pool.map(report_once, range(8)))
    with psycopg.connect(warehouse_url) as connection:
        assert reported == 5
        assert [incident.seen_count for incident in open_incidents(connection)] == [8] * 5


def test_incident_contains_no_personal_data_and_no_secrets(connection: psycopg.Connection[Any]) -> None:
    finding = replace(
        SET_ASIDE,
        asset="Person_PersonPhone",
        event=events.refused(
            "ken@adventure-works.com at 697-555-0142 by postgresql://loader:hunter2@db/w", has_version=True
        ),
        examples=('{"BusinessEntityID": "1", "PhoneNumber": "697-555-0142"}',),
    )
    report(connection, [finding])
    stored = str(connection.execute("select i::text from ops.incident as i").fetchall())
    assert "PhoneNumber …42" in stored
    for hidden in ("697-555", "ken@", "hunter2"):
        assert hidden not in stored


def test_quarantine_lists_open_rows_by_table_and_rule(warehouse_url: str) -> None:
    with PostgresWarehouse(Records(SecretStr(warehouse_url))).connect() as session:
        for key, rule, status in (("1", "a", "open"), ("2", "b", "open"), ("3", "b", "open"), ("4", "b", "repaired")):
            session.data.execute(
                "insert into ops.quarantined_row (asset, row_key, rule, message, row_data, run_id, status)"
                " values ('Sales_Store', %s, %s, 'must be so', %s, 'r', %s)",
                (f'{{"BusinessEntityID": "{key}"}}', rule, f'{{"Name": null, "BusinessEntityID": "{key}"}}', status),
            )
        assert [(c.asset, c.rule, c.rows, c.message) for c in quarantine.summary(session.data)] == [
            ("Sales_Store", "b", 2, "must be so"),
            ("Sales_Store", "a", 1, "must be so"),
        ]
        shown = quarantine.rows(session.data, "Sales_Store", limit=2)
        assert [(row.key, row.rule) for row in shown] == [
            ({"BusinessEntityID": "1"}, "a"),
            ({"BusinessEntityID": "2"}, "b"),
        ]
        assert shown[0].values == {"Name": None, "BusinessEntityID": "1"}
        assert quarantine.rows(session.data, "Sales_Customer") == []
        with pytest.raises(PlatformError, match="There is no source table Nonsense"):
            quarantine.rows(session.data, "Nonsense")
