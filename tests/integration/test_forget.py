"""A forgotten person is found nowhere, is not read again, and the figures stay."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from adventureworks import rollback as rolling_back
from adventureworks.catalog import SOURCE_TABLES
from adventureworks.cli import forget as command
from adventureworks.cli import quarantine
from adventureworks.cli.environment import reuse_published
from adventureworks.cli.forget import forget
from adventureworks.embedded.postgres import EmbeddedPostgres
from adventureworks.errors import PlatformError, ServiceUnavailable
from adventureworks.gate import detect, judge, load, publish
from adventureworks.gate import forget as forgetting
from adventureworks.gate.row_text import row_key
from adventureworks.postgres_sql import quoted
from adventureworks.reports import delivery
from adventureworks.settings import Settings
from adventureworks.warehouse import decisions, layout, open_warehouse
from adventureworks.warehouse.decisions import Correction
from tests.conftest import create_database, drop_database
from tests.integration.pipeline import Pipeline
from tests.integration.snowflake_double import snowflake_double

FIRST, LAST, PHONE, LINE = "Zebulon", "Quuxworth", "907-555-0142", "17 Nowhere Crescent"
MAIL, CODE, CARD = "zebulon@quuxworth.example", "77123V8", "98765432101234"
TRACES = (FIRST, LAST, PHONE, LINE, CODE, "a secret wish")
REVENUE = "select count(*), sum(revenue), min(order_date), max(order_date) from marts.fact_sales"


@pytest.fixture(scope="module")
def templates(templates: dict[str, str], postgres: EmbeddedPostgres) -> Iterator[dict[str, str]]:
    """The templates of the other suites, with a customer who has orders and whose every personal value is known."""
    names = {role: create_database(postgres, role, template) for role, template in templates.items()}
    urls = {role: postgres.url(name, role) for role, name in names.items()}
    pipeline = Pipeline(
        Settings(source_url=SecretStr(urls["source"]), warehouse_url=SecretStr(urls["warehouse"])), urls["source"]
    )
    [(customer,)] = pipeline.at_source(
        'select c."PersonID" from "Sales"."Customer" as c'
        ' join "Sales"."SalesOrderHeader" as o on o."CustomerID" = c."CustomerID"'
        ' join "Sales"."PersonCreditCard" as p on p."BusinessEntityID" = c."PersonID"'
        ' join "Person"."BusinessEntityAddress" as a on a."BusinessEntityID" = c."PersonID"'
        ' where c."StoreID" is null and o."CreditCardID" is not null order by 1 limit 1'
    )
    name(pipeline, customer)
    pipeline.ingest()
    pipeline.settle()
    yield names
    for database in names.values():
        drop_database(postgres, database)


@pytest.fixture
def person(pipeline: Pipeline) -> int:
    """The id of that customer."""
    [(found,)] = pipeline.at_source('select "BusinessEntityID" from "Person"."Person" where "FirstName" = %s', [FIRST])
    return int(found)


def name(pipeline: Pipeline, person: int) -> None:
    """Give a person's rows at the source the known values."""
    own = f'"BusinessEntityID" = {person}'
    orders = f'"CustomerID" in (select "CustomerID" from "Sales"."Customer" where "PersonID" = {person})'
    changes = {
        '"Person"."Person"': (f"\"FirstName\" = '{FIRST}', \"LastName\" = '{LAST}'", own),
        '"Person"."EmailAddress"': (f"\"EmailAddress\" = '{MAIL}'", own),
        '"Person"."PersonPhone"': (f"\"PhoneNumber\" = '{PHONE}'", own),
        '"Person"."Address"': (
            f"\"AddressLine1\" = '{LINE}'",
            f'"AddressID" in (select "AddressID" from "Person"."BusinessEntityAddress" where {own})',
        ),
        '"Sales"."CreditCard"': (
            f"\"CardNumber\" = '{CARD}'",
            f'"CreditCardID" in (select "CreditCardID" from "Sales"."PersonCreditCard" where {own})',
        ),
        '"Sales"."SalesOrderHeader"': (
            f"\"Comment\" = 'a secret wish', \"CreditCardApprovalCode\" = '{CODE}'",
            f'{orders} and "CreditCardID" is not null',
        ),
        '"Production"."ProductReview"': (
            f"\"ReviewerName\" = '{FIRST} {LAST}', \"EmailAddress\" = '{MAIL}'",
            '"ProductReviewID" = (select min("ProductReviewID") from "Production"."ProductReview")',
        ),
    }
    for relation, (values, condition) in changes.items():
        assert pipeline.change(
            f'update {relation} set {values}, "ModifiedDate" = "ModifiedDate" + interval \'1 second\' where {condition}'
        )


def change_person(pipeline: Pipeline, person: int, column: str, value: Any) -> None:
    """Change a column of the person's row at the source."""
    change = f'update "Person"."Person" set {quoted(column)} = %s, "ModifiedDate" = now() where "BusinessEntityID" = %s'
    assert pipeline.change(change, (value, person)) == 1


def found(pipeline: Pipeline, *texts: str) -> set[str]:
    """Return the tables, in every schema of the warehouse, of which a row holds one of these texts."""
    tables = pipeline.published(
        "select table_schema, table_name from information_schema.tables"
        " where table_schema not in ('pg_catalog', 'information_schema') and table_type = 'BASE TABLE'"
    )
    pattern = [f"%{text}%" for text in texts or TRACES]
    # One connection for all of them: hundreds of connections would take longer than the search.
    with psycopg.connect(pipeline.url) as connection:
        return {
            f"{schema}.{relation}"
            for schema, relation in tables
            if connection.execute(
                f"select 1 from {quoted(schema)}.{quoted(relation)} as t where t::text ilike any(%s) limit 1".encode(),
                (pattern,),
            ).fetchone()
        }


def run(pipeline: Pipeline, person: int, **options: Any) -> None:
    """Run the command."""
    forget(
        pipeline.settings, person, "ann", options.pop("reason", "request 17"), options.pop("dry_run", False), yes=True
    )


def test_a_forgotten_person_is_found_nowhere_and_is_not_read_again(
    pipeline: Pipeline, person: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.settings.reports_url = f"file://{tmp_path}"
    revenue = pipeline.published(REVENUE)
    # The rows as they are now belong to a version that can be restored.
    for relation in ("PersonPhone", "Address"):
        pipeline.change(f'update "Person"."{relation}" set "ModifiedDate" = now()')
    pipeline.ingest()
    quote(pipeline, person, tmp_path)
    places = found(pipeline)
    assert places >= {
        "raw.Person_Person", "raw.Person_PersonPhone", "raw.Person_Address", "raw.Production_ProductReview",
        "raw.Sales_SalesOrderHeader", "staging.Person_Address__rows", "ops.quarantined_row", "ops.row_decision",
        "staging.Person_Address__kept", "staging.Person_PersonPhone__kept",
        "ops.message_content", "ops.check_result",
    }  # fmt: skip

    run(pipeline, person, dry_run=True)
    assert found(pipeline) == places, "a dry run changes nothing"
    shown = capsys.readouterr().out
    assert "Nothing was changed." in shown
    assert {place for place in places if place not in shown} == set()
    assert "filed reports" in shown

    run(pipeline, person, reason=f"letter of {FIRST} {LAST}")
    assert found(pipeline) == set()
    [(who, why, where)] = pipeline.published("select forgotten_by, reason, places from ops.forgotten_person")
    assert (who, why.startswith("letter of forgotten-")) == ("ann", True)
    assert json.loads(where)["raw.Person_PersonPhone"] == 1
    assert pipeline.published("select content_id, name from ops.attachment order by 1, 2") == [
        ("1", "logo.png"),
        ("2", "other.pdf"),
    ], "a PDF is deleted with the file beside it"
    assert list(tmp_path.rglob("*.xlsx")) == [], "they are rendered anew"
    assert "2014-05" in delivery.stale_months(pipeline.settings, tmp_path)

    again = pipeline.ingest(everything=True)
    assert (again.opened, again.resolved) == ({}, {}), "the row in quarantine still breaks its rule"
    pipeline.settle()
    assert found(pipeline) == set()
    assert pipeline.published(REVENUE) == revenue
    [(read,)] = pipeline.published(
        "select forgotten from ops.change where asset = 'Person_PersonPhone' order by detected_at desc limit 1"
    )
    assert read == 1, "the fact is visible"

    # The source changes the person and somebody else's telephone number, so that all keys are compared, and adds an
    # address.
    pipeline.change(
        'update "Person"."PersonPhone" set "ModifiedDate" = now() where "BusinessEntityID" ='
        f' (select max("BusinessEntityID") from "Person"."PersonPhone" where "BusinessEntityID" <> {person})'
    )
    change_person(pipeline, person, "LastName", f"{LAST}-New")
    pipeline.change(
        'insert into "Person"."Address" select 999999, \'18 Nowhere Crescent\', null, "City", "StateProvinceID",'
        ' "PostalCode", null, \'aaaaaaaa-0000-0000-0000-000000000001\', now() from "Person"."Address" limit 1'
    )
    pipeline.change(
        'insert into "Person"."BusinessEntityAddress" select "BusinessEntityID", 999999, "AddressTypeID",'
        ' \'aaaaaaaa-0000-0000-0000-000000000002\', now() from "Person"."BusinessEntityAddress"'
        f' where "BusinessEntityID" = {person} limit 1'
    )
    changed = pipeline.ingest()
    assert changed.published.keys() >= {"Person_BusinessEntityAddress", "Person_PersonPhone"}
    assert found(pipeline, FIRST, LAST, PHONE, "Nowhere Crescent") == set()
    for asset in ("Person_Address", "Person_PersonPhone"):
        query = f'select count(*) from raw."{asset}"'
        [(rows,)] = pipeline.published(query)
        rolling_back.roll_back(pipeline.settings, asset, 2, "ann", "wrong")
        assert pipeline.published(query) == [(rows - (asset == "Person_Address"),)], "the new address is gone"
    assert found(pipeline, FIRST, LAST, PHONE, "Nowhere Crescent") == set()


def quote(pipeline: Pipeline, person: int, folder: Path) -> None:
    """Have the person in quarantine, in a correction, a message, a check result and a report."""
    change_person(pipeline, person, "EmailPromotion", 7)
    assert list(pipeline.ingest().opened) == ["Person_Person"]
    mail = SOURCE_TABLES["Person_EmailAddress"]
    [(number,)] = pipeline.at_source(
        f'select "EmailAddressID" from "Person"."EmailAddress" where "BusinessEntityID" = {person}'
    )
    key = {"BusinessEntityID": str(person), "EmailAddressID": str(number)}
    with pipeline.session() as session:
        correction = Correction({**key, "EmailAddress": MAIL}, "digest")
        decisions.correct(session.records, mail.asset, {row_key(key): correction}, "ann")
        session.records.execute(
            "insert into ops.message_content (content_id, subject, html, text, summary, blocks)"
            " values ('1', 'News', %s, %s, '', %s)",
            (f"<p>{FIRST} {LAST}</p>", MAIL, json.dumps([PHONE])),
        )
        session.records.execute(
            "insert into ops.attachment (content_id, position, name, media_type, is_image, content)"
            " values ('1', 0, 'r.csv', 'text/csv', false, %s), ('1', 1, 'r.pdf', 'application/pdf', false, 'packed'),"
            " ('1', 2, 'logo.png', 'image/png', true, 'x'), ('2', 0, 'other.pdf', 'application/pdf', false, 'packed')",
            (f"{FIRST} {LAST}".encode(),),
        )
        session.records.execute(
            "insert into ops.check_result (run_id, asset, rule, kind, outcome, message)"
            " values ('r', 'Person_Person', 'rule', 'check', 'warn', %s)",
            (f"Unusual: {FIRST} {LAST}, {LINE}",),
        )
    delivery.deliver(pipeline.settings, folder, "2014-05", "financial_reporting/test")
    [workbook, *_] = folder.rglob("*.xlsx")
    with zipfile.ZipFile(workbook, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", f"<si>{FIRST} {LAST}</si>")


def test_what_was_read_before_is_read_again_before_it_is_published(pipeline: Pipeline, person: int) -> None:
    """A run in progress has staged the person; then the person is forgotten."""
    change_person(pipeline, person, "EmailPromotion", 1)
    settings, run_id = pipeline.settings, "ingest_source/in_progress"
    for group in detect.detect(settings, run_id):
        load.load(settings, run_id, group)
    judge.judge(settings, run_id)
    run(pipeline, person)
    assert found(pipeline) == set()
    assert [one.asset for one in publish.publish(settings, run_id) if one.asset == "Person_Person"] == ["Person_Person"]
    assert found(pipeline) == set()
    assert pipeline.published(
        'select "FirstName", "EmailPromotion" from raw."Person_Person" where "BusinessEntityID" = %s', (person,)
    ) == [(f"forgotten-{person}", 1)]


def test_a_person_who_is_forgotten_while_the_table_is_read_is_not_staged(
    pipeline: Pipeline, person: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_person(pipeline, person, "EmailPromotion", 1)
    settings, run_id, validate = pipeline.settings, "ingest_source/in_progress", load.validate
    groups = detect.detect(settings, run_id)

    def forget_first(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(load, "validate", validate)
        run(pipeline, person)
        return validate(*arguments, **options)

    monkeypatch.setattr(load, "validate", forget_first)
    with pytest.raises(ServiceUnavailable, match="A person was forgotten while Person_Person was read"):
        load.load(settings, run_id, groups[0])
    load.load(settings, run_id, groups[0])
    assert found(pipeline) == set()


def test_an_address_of_somebody_else_too_stays(pipeline: Pipeline, person: int) -> None:
    [(other,)] = pipeline.at_source(
        f'select max("BusinessEntityID") from "Person"."Person" where "BusinessEntityID" <> {person}'
    )
    pipeline.change(
        f'insert into "Person"."BusinessEntityAddress" select {other}, "AddressID", "AddressTypeID",'
        ' \'aaaaaaaa-0000-0000-0000-000000000002\', now() from "Person"."BusinessEntityAddress"'
        f' where "BusinessEntityID" = {person} limit 1'
    )
    pipeline.ingest()
    run(pipeline, person)
    assert found(pipeline, FIRST, MAIL) == set()
    assert found(pipeline, LINE) == {"raw.Person_Address"} | {one for one in found(pipeline, LINE) if "staging" in one}
    defects = (
        "select checked, failed from marts.data_quality where rule = 'has_a_telephone'"
        " and run_number = (select max(run_number) from marts.data_quality)"
    )
    [(checked, failed)] = pipeline.published(defects)
    run(pipeline, other)
    assert found(pipeline, LINE) == set()
    pipeline.settle()
    assert pipeline.published(defects) == [(checked - 2, failed)], "their quality is not judged"


def test_somebody_elses_rows_with_the_same_values_stay(pipeline: Pipeline, person: int) -> None:
    """Somebody else has the telephone number, and a row of a table that leads to nobody has the e-mail address."""
    [(other,)] = pipeline.at_source(
        f'select max("BusinessEntityID") from "Person"."PersonPhone" where "BusinessEntityID" <> {person}'
    )
    phone, review = "Person_PersonPhone", "Production_ProductReview"
    key = row_key({"BusinessEntityID": str(other), "PhoneNumber": PHONE, "PhoneNumberTypeID": "1"})
    correction = Correction(json.loads(key), "digest")
    rows = [(phone, key, key), (review, row_key({"ProductReviewID": "999"}), json.dumps({"EmailAddress": MAIL}))]
    with pipeline.session() as session:
        session.data.executemany(
            "insert into ops.quarantined_row (asset, row_key, rule, message, row_data, run_id)"
            " values (%s, %s, 'rule', 'message', %s, 'r')",
            rows,
        )
        decisions.correct(session.records, phone, {key: correction}, "ann")
    run(pipeline, person)
    held = pipeline.published("select asset, row_key, row_data from ops.quarantined_row")
    assert rows[0] in held
    assert found(pipeline, MAIL) == set(), "a review leads to nobody, so it may be the person's"
    with pipeline.session() as session:
        assert decisions.corrections(session.records, phone) == {key: correction}


def test_a_correction_does_not_bring_a_forgotten_person_back(pipeline: Pipeline, person: int, tmp_path: Path) -> None:
    change_person(pipeline, person, "EmailPromotion", 7)
    pipeline.ingest()
    run(pipeline, person)
    file = tmp_path / "rows.json"
    quarantine.export(pipeline.settings, "Person_Person", file, None)
    [row] = json.loads(file.read_text())
    file.write_text(json.dumps([{**row, "EmailPromotion": "2", "LastName": LAST}]))
    quarantine.run_replay(pipeline.settings, "Person_Person", file, "", "ann", False)
    assert found(pipeline) == set(), "the correction is not recorded with the name"

    # Recorded by a process that had read the list before.
    with pipeline.session() as session:
        [(key, correction)] = decisions.corrections(session.records, "Person_Person").items()
        named = Correction({**correction.row, "FirstName": FIRST, "LastName": LAST}, correction.replaces)
        decisions.correct(session.records, "Person_Person", {key: named}, "ann")
    assert pipeline.ingest().resolved.keys() == {"Person_Person"}
    assert found(pipeline) == {"ops.row_decision"}
    assert pipeline.published(
        'select "LastName", "EmailPromotion" from raw."Person_Person" where "BusinessEntityID" = %s', (person,)
    ) == [(f"forgotten-{person}", 2)]


def test_corrections_that_were_taken_back_are_not_published_after_the_person_is_forgotten(
    pipeline: Pipeline, person: int, tmp_path: Path
) -> None:
    asset, file = "Production_ProductReview", tmp_path / "rows.json"
    # The other rows change, too, so that the table does not look older without this one.
    rate = 'update "Production"."ProductReview" set "ModifiedDate" = now(), "Rating" = case "EmailAddress"'
    pipeline.change(f'{rate} when %s then 9 else "Rating" end', (MAIL,))
    assert list(pipeline.ingest().opened) == [asset]
    quarantine.export(pipeline.settings, asset, file, None)
    [row] = json.loads(file.read_text())
    file.write_text(json.dumps([{**row, "Rating": "2"}]))
    quarantine.run_replay(pipeline.settings, asset, file, "", "ann", False)
    pipeline.ingest()
    with pipeline.session() as session:
        [(key, published)] = decisions.corrections(session.records, asset).items()
    quarantine.undo(pipeline.settings, asset, "", True, "ann", "wrong")
    with pipeline.session() as session:
        # From rows that a blocked run has set aside meanwhile.
        second = Correction({**published.row, "Rating": "1"}, published.replaces)
        decisions.correct(session.records, asset, {key: second}, "ann")
    quarantine.undo(pipeline.settings, asset, "", True, "ann", "wrong")
    run(pipeline, person)
    assert found(pipeline, FIRST, MAIL) == set()
    rated = 'select count(*) from raw."Production_ProductReview" where "Rating" = 2 and "ReviewerName" like %s'
    assert pipeline.published(rated, ("forgotten-%",)) == [(1,)]
    pipeline.ingest()
    assert pipeline.published(rated, ("forgotten-%",)) == [(0,)]


def test_the_orders_of_a_store_stay_when_its_contact_is_forgotten(pipeline: Pipeline, person: int) -> None:
    comment = "leave at the gate"
    [(contact,)] = pipeline.at_source(
        'select min(c."PersonID") from "Sales"."Customer" as c'
        ' join "Sales"."SalesOrderHeader" as o on o."CustomerID" = c."CustomerID" where c."StoreID" is not null'
    )
    pipeline.change(
        f'update "Sales"."SalesOrderHeader" set "Comment" = \'{comment}\', "ModifiedDate" = now()'
        f' where "CustomerID" in (select "CustomerID" from "Sales"."Customer" where "PersonID" = {contact})'
    )
    pipeline.ingest()
    written = 'select count(*) from raw."Sales_SalesOrderHeader" where "Comment" = %s'
    before = pipeline.published(written, (comment,))
    assert before[0][0] > 0
    run(pipeline, contact)
    pipeline.ingest(everything=True)
    assert pipeline.published(written, (comment,)) == before


def test_texts_are_replaced_although_the_command_dies_and_an_ingestion_follows(
    pipeline: Pipeline, person: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quote(pipeline, person, tmp_path)
    erase = forgetting.erase

    def die(*arguments: Any, changes: bool) -> Any:
        assert not changes, "dies"
        return erase(*arguments, changes=changes)

    with monkeypatch.context() as patch:
        patch.setattr(forgetting, "erase", die)
        with pytest.raises(AssertionError, match="dies"):
            run(pipeline, person)
    pipeline.ingest(everything=True)
    assert {place for place in found(pipeline, f"{FIRST} {LAST}", MAIL, PHONE) if place.startswith("ops.")} <= {
        "ops.quarantined_row", "ops.row_decision",
    }  # fmt: skip
    run(pipeline, person)
    assert found(pipeline) == set()


def test_a_staging_table_with_other_columns_does_not_stop_the_command(pipeline: Pipeline, person: int) -> None:
    """A run of another version left it behind."""
    for change in (
        'drop view staging."Person_Person" cascade',
        'alter table staging."Person_Person__rows" drop column "Suffix"',
    ):
        with pipeline.session() as session:
            session.data.execute(change)
    run(pipeline, person)
    assert found(pipeline) == set()


def test_an_environment_whose_records_are_elsewhere_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In Snowflake, the data of an environment may be there without its records."""
    data = SimpleNamespace(environments=lambda: {"pr_9"}, columns_in=lambda schema: {"Person_Person": {"FirstName"}})
    records = SimpleNamespace(environments=set, has_table=lambda schema, name: False)
    session = nullcontext(SimpleNamespace(data=data, records=records))
    monkeypatch.setattr(command, "open_warehouse", lambda settings: SimpleNamespace(connect=lambda name: session))
    assert list(command._environments(Settings())) == []
    assert "The environment pr_9 is not searched" in " ".join(capsys.readouterr().out.split())


def test_reports_in_a_store_are_reached_through_the_airflow_of_the_home(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="The reports are in an object store") as refused:
        forget(Settings(home=tmp_path, reports_url="s3://aws@bucket/r"), 7, "ann", "request 17", False, yes=True)
    assert refused.value.next_step.command.startswith("adventureworks shell adventureworks forget 7")


def test_forgetting_again_changes_nothing(pipeline: Pipeline, person: int, capsys: pytest.CaptureFixture[str]) -> None:
    run(pipeline, person)
    before = pipeline.published("select asset, version from ops.publication order by 1, 2")
    record = pipeline.published("select * from ops.forgotten_person")
    capsys.readouterr()
    run(pipeline, person)
    shown = capsys.readouterr().out
    assert f"Person {person} was forgotten on " in shown
    assert f"Nothing that identifies person {person} was found." in shown
    assert pipeline.published("select asset, version from ops.publication order by 1, 2") == before
    assert pipeline.published("select * from ops.forgotten_person") == record


def test_a_person_is_forgotten_in_every_environment(pipeline: Pipeline, person: int) -> None:
    def environment(name: str) -> Pipeline:
        settings = pipeline.settings.model_copy(update={"environment": name})
        here = Pipeline(settings, pipeline._source_url)
        assert len(here.ingest().published) == len(SOURCE_TABLES)
        return here

    environment("pr_1")
    assert "pr_1_raw.Person_Person" in found(pipeline)
    # This one reads the tables of production, and has messages of its own about them.
    reading = pipeline.settings.model_copy(update={"environment": "pr_0"})
    reuse_published(pipeline.settings, reading)
    with open_warehouse(reading).connect() as session:
        session.records.execute(
            "insert into ops.message_content (content_id, subject, html, text, summary, blocks)"
            " values ('1', 'News', '', %s, '', '[]')",
            (f"{FIRST} {LAST}, {MAIL}",),
        )
    assert "pr_0_ops.message_content" in found(pipeline)
    run(pipeline, person)
    assert found(pipeline) == set()
    # A new environment has no list of its own yet.
    environment("pr_2")
    assert found(pipeline) == set()


def test_an_unknown_person_or_a_missing_reason_is_refused(pipeline: Pipeline) -> None:
    with pytest.raises(PlatformError, match="There is no person with the id 987654321") as refused:
        run(pipeline, 987654321)
    assert "adventureworks sql" in refused.value.next_step.command
    with pytest.raises(PlatformError, match="A reason is needed"):
        run(pipeline, 1, reason=" ")
    with pytest.raises(PlatformError, match="Nothing was changed"):
        forget(pipeline.settings, 1, "ann", "request 17", dry_run=False, yes=False)
    assert pipeline.published("select * from ops.forgotten_row") == []


def test_a_person_is_forgotten_in_snowflake(warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(warehouse="snowflake", warehouse_url=SecretStr(warehouse_url))
    rows: dict[str, dict[str, Any]] = {
        "Person_Person": {"BusinessEntityID": 7, "FirstName": FIRST, "LastName": LAST},
        "Person_EmailAddress": {"BusinessEntityID": 7, "EmailAddressID": 1, "EmailAddress": MAIL},
        "Person_PersonPhone": {"BusinessEntityID": 7, "PhoneNumber": PHONE, "PhoneNumberTypeID": 1},
        "Person_BusinessEntityAddress": {"BusinessEntityID": 7, "AddressID": 3, "AddressTypeID": 1},
        "Person_Address": {"AddressID": 3, "AddressLine1": LINE},
        "Sales_Customer": {"CustomerID": 5, "PersonID": 7},
        "Sales_SalesOrderHeader": {"SalesOrderID": 9, "CustomerID": 5, "TotalDue": 12, "Comment": "a secret wish"},
        "Production_ProductReview": {"ProductReviewID": 2, "ReviewerName": "Zeb", "EmailAddress": MAIL.upper()},
        "HumanResources_Employee": {"BusinessEntityID": 7, "BirthDate": "1980-05-17", "LoginID": "aw\\zebulon0"},
    }
    with snowflake_double(monkeypatch):
        with open_warehouse(settings).connect() as session:
            layout.prepare(session)
            for asset, values in rows.items():
                columns, places = ", ".join(map(quoted, values)), ", ".join(["%s"] * len(values))
                session.data.execute(
                    f"insert into raw.{quoted(asset)} ({columns}) values ({places})", tuple(values.values())
                )
            session.data.execute(
                "insert into ops.quarantined_row (asset, row_key, rule, message, row_data, run_id)"
                " values ('Person_Person', %s, 'rule', 'message', %s, 'r')",
                (row_key({"BusinessEntityID": "7"}), json.dumps({"BusinessEntityID": "7", "LastName": LAST})),
            )
            session.data.execute(
                'insert into staging."Person_Person__kept" ("__version", "__existed", "BusinessEntityID", "LastName")'
                " values (2, true, 7, %s)",
                (LAST,),
            )
        with open_warehouse(settings).connect() as session:
            expected = forgetting.look(session, 7).places
        done = forgetting.forget(settings, 7, "ann", "request 17")
        assert done.places == expected
        assert sorted(place for place in done.places if place.startswith("raw.")) == sorted(
            f"raw.{asset}" for asset in rows if asset not in {"Person_BusinessEntityAddress", "Sales_Customer"}
        )
        with open_warehouse(settings).connect() as session:
            left = {
                asset: session.data.execute(
                    f"select {', '.join(map(quoted, values))} from raw.{quoted(asset)}"
                ).fetchall()
                for asset, values in rows.items()
            }
            [(held,)] = session.data.execute("select row_data from ops.quarantined_row").fetchall()
            [(earlier,)] = session.data.execute('select "LastName" from staging."Person_Person__kept"').fetchall()
            assert forgetting.look(session, 7).places == {}
    assert left["Person_Person"] == [(7, "forgotten-7", "forgotten-7")]
    assert left["Person_EmailAddress"] == [(7, 1, None)]
    assert left["Person_PersonPhone"] == []
    assert left["Sales_SalesOrderHeader"] == [(9, 5, 12, None)]
    assert left["Production_ProductReview"] == [(2, "forgotten-2", "forgotten-2@example.invalid")]
    assert str(left["HumanResources_Employee"][0][1]) == "1930-01-01"
    assert json.loads(held)["LastName"] == earlier == "forgotten-7"
