"""`adventureworks approve`: what was refused passes the checks that it failed, once, with a reason that is recorded."""

from __future__ import annotations

import json

import psycopg
import pytest

from adventureworks.catalog import SOURCE_TABLES
from adventureworks.cli.approve import approve
from adventureworks.due import Plan
from adventureworks.errors import PlatformError
from adventureworks.gate import approval, detect, load
from adventureworks.marts import approval as of_marts
from adventureworks.marts.gate import MartRefused
from adventureworks.marts.plan import decide_now
from adventureworks.messaging.wording import words
from adventureworks.warehouse import intervention
from tests.integration.pipeline import Pipeline
from tests.integration.test_judge import HEADER, LINES, UNIT, delete_orders

DAG = "daily_sales_etl"
LOST = '"SalesOrderID" % 3 = 0'


def approvals(pipeline: Pipeline) -> list[tuple[object, ...]]:
    """Return asset, person, reason, rules and whether it is still in force, by approval."""
    found = pipeline.published(
        "select asset, who, reason, detail, ended_at is null from ops.intervention"
        " where kind = 'approval' order by number"
    )
    return [(*row[:3], tuple(json.loads(row[3])["rules"]), row[4]) for row in found]


def orders(pipeline: Pipeline) -> int:
    [(count,)] = pipeline.published(f'select count(*) from raw."{HEADER}"')
    return int(count)


def test_a_blocked_delivery_passes_once_with_its_publish_unit(pipeline: Pipeline) -> None:
    before = orders(pipeline)
    deleted = delete_orders(pipeline, LOST)
    refused = pipeline.ingest()
    incident = next(one for one in refused.conclusion.opened if one.asset == HEADER)
    assert f"adventureworks approve {HEADER} --reason" in words(incident).next_step
    assert detect.difference(pipeline.settings) is None

    approve(pipeline.settings, HEADER, "archived on purpose", "ann")
    assert detect.difference(pipeline.settings) is not None, "the watcher starts an ingestion"
    detect.detect(pipeline.settings, "ingest_source/dies")
    assert detect.difference(pipeline.settings) is not None, "and another one if that does not reach a verdict"
    passed = pipeline.ingest()
    assert {*UNIT} <= {*passed.published}
    assert passed.published[HEADER].verdict == "passed with warnings"
    assert passed.resolved == refused.opened
    assert orders(pipeline) == before - deleted
    assert approvals(pipeline) == [
        (asset, "ann", "archived on purpose", ("keeps_most_of_its_rows",), False) for asset in UNIT
    ]

    delete_orders(pipeline, '"SalesOrderID" % 3 = 1')
    assert pipeline.ingest().opened[HEADER] == "keeps_most_of_its_rows", "the next delivery is judged as usual"


def test_texts_that_were_decoded_wrongly_pass_as_they_are_if_a_person_approves_them(pipeline: Pipeline) -> None:
    damaged = pipeline.change(
        'update "Person"."Address" set "AddressLine1" = \'BergstraÃŸe \' || "AddressID", "ModifiedDate" = now()'
        ' where "AddressID" % 20 = 0'
    )
    unreadable = pipeline.change(
        'update "Person"."Address" set "City" = \'[NULL]\', "ModifiedDate" = now()'
        ' where "AddressID" = (select max("AddressID") from "Person"."Address" where "AddressID" % 20 <> 0)'
    )
    count = 'select count(*) from raw."Person_Address" where "AddressLine1" like \'Bergstra%%\''
    blocked = pipeline.ingest()
    assert blocked.opened == {"Person_Address": "few_rows_are_set_aside"}
    assert pipeline.published(count) == [(0,)]

    named = approval.approve(pipeline.settings, "Person_Address", "ann", "the source has it so")
    assert named == ("Person_Address: few_rows_are_set_aside", "Person_Address: AddressLine1_is_undamaged")
    assert pipeline.ingest().published["Person_Address"].verdict == "passed with warnings"
    assert pipeline.published(count) == [(damaged,)]
    held = "select count(*) from ops.quarantined_row where asset = 'Person_Address' and status = 'open'"
    assert pipeline.published(held) == [(unreadable,)], "other damage stays out"

    # The newest change of the table, so the rows of the hour before it are read again.
    one = '(select min("AddressID") from "Person"."Address" where "AddressID" % 20 <> 0)'
    corrected = f'"AddressID" = {one} or "City" = \'[NULL]\''
    pipeline.change(f'update "Person"."Address" set "City" = \'Oslo\', "ModifiedDate" = now() where {corrected}')
    assert pipeline.ingest().published["Person_Address"].verdict == "passed"
    assert pipeline.published(held) == [(0,)], "approved rows need no other approval while they stay the same"
    pipeline.change(
        'update "Person"."Address" set "City" = \'Ålesund\', "ModifiedDate" = now()'
        ' where "AddressID" = (select min("AddressID") from "Person"."Address" where "AddressID" % 20 = 0)'
    )
    assert pipeline.ingest().opened == {"Person_Address": "AddressLine1_is_undamaged"}
    assert pipeline.published(held) == [(1,)], "a row that changed is judged as usual"
    assert pipeline.published(count) == [(damaged,)]


def test_an_approval_ends_when_the_source_has_changed_since(pipeline: Pipeline) -> None:
    before = orders(pipeline)
    delete_orders(pipeline, LOST)
    pipeline.ingest()
    approve(pipeline.settings, HEADER, "archived on purpose", "ann")
    delete_orders(pipeline, '"SalesOrderID" % 3 = 1')
    assert not {*UNIT} & {*pipeline.ingest().published}
    assert orders(pipeline) == before
    assert not any(in_force for *_, in_force in approvals(pipeline))


def test_an_approval_does_not_cover_other_rules_or_a_table_of_the_unit_that_has_changed_since(
    pipeline: Pipeline,
) -> None:
    before = orders(pipeline)
    delete_orders(pipeline, LOST)
    pipeline.change('update "Sales"."SalesOrderHeader" set "AccountNumber" = null')
    pipeline.ingest()
    approve(pipeline.settings, HEADER, "archived on purpose", "ann")
    second = pipeline.ingest()
    assert second.opened[HEADER] == "columns_stay_filled"
    assert not {*UNIT} & {*second.published}

    approve(pipeline.settings, HEADER, "account numbers are no longer recorded", "ann")
    pipeline.change("""delete from "Sales"."SalesOrderDetail" where "SalesOrderDetailID" % 3 = 0""")
    assert not {*UNIT} & {*pipeline.ingest().published}
    assert orders(pipeline) == before
    assert {(asset, in_force) for asset, *_, in_force in approvals(pipeline)} == {
        *((asset, True) for asset in UNIT if asset != LINES),
        (LINES, False),
    }


def test_an_approval_waits_for_a_table_that_cannot_be_read(pipeline: Pipeline) -> None:
    detail = {"rules": ["few_rows_are_deleted"], "fingerprint": "as of today"}
    with pipeline.session() as session:
        intervention.record(session.records, "approval", HEADER, "ann", "on purpose", detail, in_force=True)
        assert approval.use(session.records, "ingest_source/blind", {LINES: "another"}) == frozenset()
        assert [one.asset for one in approval.waiting(session.records)] == [HEADER]


def test_a_delivery_with_a_check_that_could_not_be_evaluated_cannot_be_approved(pipeline: Pipeline) -> None:
    delete_orders(pipeline, LOST)
    pipeline.ingest()
    with pipeline.session() as session:
        assert approval.offer(session.records, HEADER)
        session.records.execute("update ops.check_result set outcome = 'error' where asset = %s", (LINES,))
        assert approval.offer(session.records, HEADER) == ""
    with pytest.raises(PlatformError, match=f"{LINES} fails keeps_most_of_its_rows, which cannot be approved"):
        approve(pipeline.settings, HEADER, "it is urgent", "ann")
    assert approvals(pipeline) == []


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ('alter table "Sales"."Currency" rename column "Name" to "Label"', "cannot be approved"),
        ('select 1 from "Sales"."Currency" limit 1', "Sales_Currency is not blocked."),
    ],
)
def test_what_cannot_be_read_and_what_is_not_blocked_cannot_be_approved(
    pipeline: Pipeline, statement: str, message: str
) -> None:
    pipeline.change(statement)
    pipeline.ingest()
    with pytest.raises(PlatformError, match=message):
        approve(pipeline.settings, "Sales_Currency", "it is urgent", "ann")
    assert approvals(pipeline) == []


def test_an_approval_needs_a_reason(pipeline: Pipeline) -> None:
    with pytest.raises(PlatformError, match="An approval needs a reason"):
        approve(pipeline.settings, HEADER, " ", "ann")


MAKE_DUE = "update ops.publication set model = 'another' where asset = 'fact_sales'"


def refused_mart(pipeline: Pipeline) -> MartRefused:
    """Let the gate refuse `fact_sales`, for a fault that the gate of the source cannot detect."""
    with psycopg.connect(pipeline.url) as connection:
        connection.execute(MAKE_DUE)
        connection.execute('update raw."Sales_SalesOrderHeader" set "SubTotal" = "SubTotal" + 5')
    with pytest.raises(MartRefused) as refused:
        pipeline.analyse()
    return refused.value


def test_a_mart_with_a_check_that_could_not_be_evaluated_or_a_repeated_key_cannot_be_approved(
    pipeline: Pipeline,
) -> None:
    refused_mart(pipeline)
    for change in ("outcome = 'error'", "outcome = 'fail', rule = 'key_is_unique'"):
        with pipeline.session() as session:
            run = session.records.execute("select run_id from ops.build where refused").fetchone()
            assert run is not None
            assert of_marts.can_be_approved(session.records, DAG, run[0]) == (change == "outcome = 'error'")
            session.records.execute(
                f"update ops.check_result set {change} where run_id = %s and outcome <> 'pass'".encode(), run
            )
        with pytest.raises(PlatformError, match="which cannot be approved"):
            approve(pipeline.settings, "fact_sales", "it is urgent", "ann")
    assert approvals(pipeline) == []


def test_what_was_refused_of_a_mart_passes_once(pipeline: Pipeline) -> None:
    refused = refused_mart(pipeline)
    assert "adventureworks approve fact_sales --reason" in words(refused.opened[0]).next_step
    with pipeline.session() as session:
        assert DAG not in decide_now(pipeline.settings, session).runnable
    with pytest.raises(PlatformError, match="territory_sales has no refused result"):
        approve(pipeline.settings, "territory_sales", "wrong mart", "ann")
    approve(pipeline.settings, "fact_sales", "the totals are corrected tomorrow", "ann")
    with pipeline.session() as session:
        assert DAG in decide_now(pipeline.settings, session).runnable
    assert isinstance(pipeline.analyse(), Plan)
    newest = "select verdict from ops.publication where asset = %s order by version desc limit 1"
    assert pipeline.published(newest, ("fact_sales",)) == [("passed with warnings",)]
    assert pipeline.published(newest, ("daily_sales",)) == [("passed",)], "it failed no check"
    assert approvals(pipeline) == [
        (
            "fact_sales",
            "ann",
            "the totals are corrected tomorrow",
            ("fact_sales: revenue_of_an_order_is_its_subtotal",),
            False,
        )
    ]
    assert pipeline.published("select count(*) from ops.incident where status <> 'resolved'") == [(0,)]

    with psycopg.connect(pipeline.url) as connection:
        connection.execute(MAKE_DUE)
    with pytest.raises(MartRefused):
        pipeline.analyse()


def test_an_approval_ends_if_the_table_changes_again_before_its_verdict(pipeline: Pipeline) -> None:
    delete_orders(pipeline, LOST)
    pipeline.ingest()
    approve(pipeline.settings, HEADER, "archived on purpose", "ann")
    run = "ingest_source/approved"
    for group in detect.detect(pipeline.settings, run):
        load.load(pipeline.settings, run, group)
    pipeline.change('update "Sales"."SalesOrderHeader" set "Comment" = \'again\'')
    with pipeline.session() as session:
        attempt = load.begin(session.records, run, SOURCE_TABLES)
    assert HEADER in detect.detect_later_changes(pipeline.settings, attempt, [HEADER])
    assert [in_force for asset, *_, in_force in approvals(pipeline) if asset == HEADER] == [False]
