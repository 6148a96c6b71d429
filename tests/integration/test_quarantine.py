"""Rows in quarantine from list to discard: replayed, corrected, discarded, and what the source delivers meanwhile."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from adventureworks import rollback
from adventureworks.catalog import SOURCE_TABLES
from adventureworks.cli import quarantine as commands
from adventureworks.errors import PlatformError
from adventureworks.gate import detect, judge, load, publish, quarantine
from adventureworks.gate.row_text import row_key
from adventureworks.settings import Settings
from adventureworks.warehouse import layout, open_warehouse, postgres
from adventureworks.warehouse import quarantine as stored
from adventureworks.warehouse.staging import StagedTable
from tests.integration.pipeline import Ingested, Pipeline
from tests.integration.snowflake_double import snowflake_double

TABLE = "Production_TransactionHistory"
SOURCE = '"Production"."TransactionHistory"'
KEY = "TransactionID"
RULE = "TransactionType_is_one_of"
_open = os.open


@pytest.fixture
def row(pipeline: Pipeline) -> int:
    """The key of a row that the source delivers with an unknown type, in a table in which it is the only one."""
    [(key,)] = pipeline.at_source(f'select max("{KEY}") from {SOURCE}')
    spoil(pipeline, key)
    assert pipeline.ingest().opened == {TABLE: RULE}
    return int(key)


def spoil(pipeline: Pipeline, key: int, cost: str = "7.5") -> None:
    """Give a row of the source an unknown type, and another cost."""
    pipeline.change(f'update {SOURCE} set "TransactionType" = \'X\', "ActualCost" = %s where "{KEY}" = %s', (cost, key))


def exported(pipeline: Pipeline, to: Path, **edits: str) -> Path:
    """Export the rows in quarantine as CSV, with these columns edited in every row."""
    commands.export(pipeline.settings, TABLE, to, None)
    with to.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with to.open("w", encoding="utf-8-sig", newline="") as file:
        lines = csv.DictWriter(file, rows[0])
        lines.writeheader()
        lines.writerows({**row, **edits} for row in rows)
    return to


def replay(pipeline: Pipeline, file: Path | None = None, rule: str = "", dry_run: bool = False) -> None:
    """Run the command."""
    commands.run_replay(pipeline.settings, TABLE, file, rule, "ann", dry_run)


def published(pipeline: Pipeline, key: int) -> tuple[Any, ...]:
    """Return type and cost of the published row, as text."""
    found = pipeline.published(
        f'select "TransactionType", "ActualCost"::float from raw."{TABLE}" where "{KEY}" = %s', (key,)
    )
    return found[0] if found else ()


def held(pipeline: Pipeline) -> list[tuple[str, str]]:
    """Return rule and status of the rows that are set aside."""
    return pipeline.published(
        "select rule, status from ops.quarantined_row where status in ('open', 'blocked', 'discarded')"
    )


def read_whole(pipeline: Pipeline) -> Ingested:
    """Ingest the table as if its columns had changed, so that every row is read."""
    with pipeline.session() as session:
        session.records.execute("update ops.watermark set columns_digest = '' where asset = %s", (TABLE,))
    return pipeline.ingest()


def listed(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return what `quarantine list --json` prints."""
    capsys.readouterr()
    commands.count(pipeline.settings, TABLE, "", as_json=True)
    return dict(json.loads(capsys.readouterr().out))


def test_rows_that_a_replay_finds_good_are_published(
    pipeline: Pipeline, row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay(pipeline, dry_run=True)
    assert detect.difference(pipeline.settings) is None
    replay(pipeline)
    assert detect.difference(pipeline.settings) is not None, "the watcher starts the ingestion"
    again = pipeline.ingest()
    assert (again.loaded, held(pipeline)) == ([TABLE], [(RULE, "open")])
    assert detect.difference(pipeline.settings) is None

    with monkeypatch.context() as patch:
        relax(patch)
        replay(pipeline)
        relaxed = pipeline.ingest()
    assert (relaxed.resolved, published(pipeline, row)) == ({TABLE: RULE}, ("X", 7.5))
    with pytest.raises(PlatformError, match="there are no rows in quarantine"):
        replay(pipeline)


def relax(patch: pytest.MonkeyPatch) -> None:
    """Let the contract accept every type of transaction."""
    from adventureworks.gate import contract

    rules = contract._broken_rules
    patch.setattr(contract, "_broken_rules", lambda *given: [one for one in rules(*given) if one.rule != RULE])


def test_a_correction_of_a_table_that_is_rolled_back_waits_for_the_release(
    pipeline: Pipeline, row: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = published(pipeline, row)
    rollback.roll_back(pipeline.settings, TABLE, 1, "ann", "wrong")
    replay(pipeline, exported(pipeline, tmp_path / "rows.csv", TransactionType="S", ActualCost="8.25"))
    told = " ".join(capsys.readouterr().out.split())
    assert "is rolled back. The ingestion after the release reads these rows again" in told
    waiting = pipeline.ingest()
    assert (waiting.loaded, waiting.opened, waiting.resolved) == ([], {}, {})
    assert (published(pipeline, row), held(pipeline)) == (before, [(RULE, "open")])

    rollback.release(pipeline.settings, TABLE, "ann", "")
    assert pipeline.ingest().resolved == {TABLE: RULE}
    assert (published(pipeline, row), held(pipeline)) == (("S", 8.25), [])


def test_a_correction_stands_until_the_source_changes_the_row(
    pipeline: Pipeline, row: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay(pipeline, exported(pipeline, tmp_path / "rows.csv", TransactionType="S", ActualCost="8.25"))
    corrected = pipeline.ingest()
    assert corrected.resolved == {TABLE: RULE}
    assert (published(pipeline, row), held(pipeline)) == (("S", 8.25), [])
    [decision] = listed(pipeline, capsys)["decisions"]
    assert (decision["kind"], decision["decided_by"], decision["rows"]) == ("corrected", "ann", 1)

    # The source delivers the bad row once more.
    unchanged = read_whole(pipeline)
    assert TABLE in unchanged.loaded
    assert (unchanged.published, published(pipeline, row)) == ({}, ("S", 8.25))

    pipeline.change(f'update {SOURCE} set "TransactionType" = \'W\' where "{KEY}" = %s', (row,))
    assert list(pipeline.ingest().published) == [TABLE]
    assert published(pipeline, row) == ("W", 7.5)
    assert listed(pipeline, capsys)["decisions"] == []


def test_a_corrected_row_that_the_source_deletes_is_gone(
    pipeline: Pipeline, row: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay(pipeline, exported(pipeline, tmp_path / "rows.csv", TransactionType="S"))
    pipeline.ingest()
    pipeline.change(f'delete from {SOURCE} where "{KEY}" = %s', (row,))
    # The change of the row was the newest one, so the table looks older without it.
    pipeline.ingest(accept=[TABLE])
    assert published(pipeline, row) == ()
    assert listed(pipeline, capsys)["decisions"] == []


def test_a_correction_that_breaks_a_rule_stays_in_quarantine_until_it_is_corrected(
    pipeline: Pipeline, row: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = published(pipeline, row)
    replay(pipeline, exported(pipeline, tmp_path / "bad.csv", TransactionType="S", ProductID="99999"))
    assert pipeline.ingest().opened == {TABLE: "product_exists"}
    assert (published(pipeline, row), held(pipeline)) == (good, [("product_exists", "open")])
    replay(pipeline, exported(pipeline, tmp_path / "worse.csv", ProductID="many"))
    assert f"{KEY}={row}: ProductID is a whole number" in capsys.readouterr().out
    assert pipeline.ingest().opened == {TABLE: "ProductID_is_readable"}

    [(product,)] = pipeline.at_source(f'select "ProductID" from {SOURCE} where "{KEY}" = %s', (row,))
    replay(pipeline, exported(pipeline, tmp_path / "good.csv", ProductID=str(product)))
    pipeline.ingest()
    assert (published(pipeline, row), held(pipeline)) == (("S", 7.5), [])
    read_whole(pipeline)
    assert published(pipeline, row) == ("S", 7.5)


def test_a_source_row_that_changed_before_the_correction_is_published_wins(
    pipeline: Pipeline, row: int, tmp_path: Path
) -> None:
    file = exported(pipeline, tmp_path / "rows.csv", TransactionType="S", ActualCost="8.25")
    replay(pipeline, file)
    spoil(pipeline, row, cost="9.5")
    pipeline.ingest()
    assert held(pipeline) == [(RULE, "open")]
    with pytest.raises(PlatformError, match="One row of the file is no longer in quarantine as exported"):
        replay(pipeline, file)


@pytest.mark.parametrize(
    ("edits", "cause"),
    [
        ({"Colour": "red"}, "the unknown column Colour"),
        ({KEY: "1"}, "One row of the file is not in quarantine"),
        ({"quarantine_row": ""}, "no longer in quarantine as exported"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    pipeline: Pipeline, row: int, tmp_path: Path, edits: dict[str, str], cause: str
) -> None:
    commands.export(pipeline.settings, TABLE, tmp_path / "rows.json", None)
    [exported_row] = json.loads((tmp_path / "rows.json").read_text())
    (tmp_path / "rows.json").write_text(json.dumps([{**exported_row, **edits}]))
    with pytest.raises(PlatformError, match=cause):
        replay(pipeline, tmp_path / "rows.json")
    assert detect.difference(pipeline.settings) is None


def test_a_discarded_row_stays_away_until_the_source_changes_it(
    pipeline: Pipeline, row: int, capsys: pytest.CaptureFixture[str]
) -> None:
    good = published(pipeline, row)
    commands.discard(pipeline.settings, TABLE, str(row), "", False, "ann", "test booking")
    discarded = pipeline.ingest()
    assert discarded.resolved == {TABLE: RULE}
    assert (discarded.published[TABLE].verdict, discarded.published[TABLE].set_aside) == ("passed", 0)
    [decision] = listed(pipeline, capsys)["decisions"]
    assert (decision["kind"], decision["decided_by"], decision["reason"]) == ("discarded", "ann", "test booking")

    again = read_whole(pipeline)
    assert (again.published, again.opened, held(pipeline)) == ({}, {}, [(RULE, "discarded")])
    assert published(pipeline, row) == good, "the last good version stays"

    spoil(pipeline, row, cost="9.5")
    changed = pipeline.ingest()
    assert (changed.opened, changed.published[TABLE].set_aside) == ({TABLE: RULE}, 1)
    assert (held(pipeline), listed(pipeline, capsys)["decisions"]) == ([(RULE, "open")], [])


def change_another_row(pipeline: Pipeline, row: int) -> None:
    """Change another row, so that the table does not look older without this one."""
    other = f'(select min("{KEY}") from {SOURCE} where "{KEY}" <> %s)'
    assert pipeline.change(f'update {SOURCE} set "ActualCost" = "ActualCost" + 1 where "{KEY}" = {other}', (row,)) == 1


def test_a_discard_that_is_taken_back_is_judged_again(
    pipeline: Pipeline, row: int, capsys: pytest.CaptureFixture[str]
) -> None:
    good = published(pipeline, row)
    assert good
    commands.discard(pipeline.settings, TABLE, str(row), "", False, "ann", "test booking")
    pipeline.ingest()
    commands.undo(pipeline.settings, TABLE, str(row), False, "bob", "no test")
    assert held(pipeline) == [(RULE, "open")]
    [decision] = listed(pipeline, capsys)["decisions"]
    assert (decision["kind"], decision["decided_by"], decision["reason"]) == ("reopened", "bob", "no test")

    again = pipeline.ingest()
    assert (again.opened, again.published[TABLE].set_aside) == ({TABLE: RULE}, 1)
    assert published(pipeline, row) == good, "the last good version stays"
    assert (held(pipeline), listed(pipeline, capsys)["decisions"]) == ([(RULE, "open")], [])
    with pytest.raises(PlatformError, match="there is no correction or discard of the row with the key"):
        commands.undo(pipeline.settings, TABLE, str(row), False, "bob", "no test")


@pytest.mark.parametrize(
    ("edits", "rule"),
    [({"TransactionType": "S"}, RULE), ({"ActualCost": "8.25"}, "product_exists")],
)
def test_the_values_of_a_correction_that_is_taken_back_are_not_published(
    pipeline: Pipeline, row: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], edits: dict[str, str], rule: str
) -> None:
    if rule == "product_exists":
        # Good as far as the contract goes: a later check sets the row aside.
        bad = f'update {SOURCE} set "TransactionType" = \'S\', "ProductID" = 99999 where "{KEY}" = %s'
        pipeline.change(bad, (row,))
        [(product,)] = pipeline.at_source(f'select min("ProductID") from {SOURCE}')
        edits = {**edits, "ProductID": str(product)}
        pipeline.ingest()
    replay(pipeline, exported(pipeline, tmp_path / "rows.csv", **edits))
    pipeline.ingest()
    assert published(pipeline, row)[0] == "S"

    change_another_row(pipeline, row)
    commands.undo(pipeline.settings, TABLE, "", True, "bob", "wrong row")
    assert detect.difference(pipeline.settings) is not None, "the watcher starts the ingestion"
    again = pipeline.ingest()
    assert (again.opened, published(pipeline, row), held(pipeline)) == ({TABLE: rule}, (), [(rule, "open")])
    assert listed(pipeline, capsys)["decisions"] == []
    assert detect.difference(pipeline.settings) is None


def test_a_correction_that_is_taken_back_while_it_is_published_is_taken_back_by_the_next_run(
    pipeline: Pipeline, row: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even if another one was made and taken back meanwhile."""
    replay(pipeline, exported(pipeline, tmp_path / "rows.csv", TransactionType="S"))
    run_id = "ingest_source/in_progress"
    for group in detect.detect(pipeline.settings, run_id):
        load.load(pipeline.settings, run_id, group)
    judge.judge(pipeline.settings, run_id)
    commands.undo(pipeline.settings, TABLE, str(row), False, "bob", "wrong row")
    replay(pipeline, exported(pipeline, tmp_path / "again.csv", TransactionType="P"))
    commands.undo(pipeline.settings, TABLE, str(row), False, "bob", "wrong row")
    assert [one["rows"] for one in listed(pipeline, capsys)["decisions"]] == [1]
    publish.publish(pipeline.settings, run_id)
    assert published(pipeline, row)[0] == "S"
    change_another_row(pipeline, row)
    pipeline.ingest()
    assert (published(pipeline, row), held(pipeline)) == ((), [(RULE, "open")])


def test_a_correction_that_was_never_published_leaves_the_good_version_when_it_is_taken_back(
    pipeline: Pipeline, row: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = published(pipeline, row)
    replay(pipeline, exported(pipeline, tmp_path / "rows.csv", TransactionType="Y"))
    pipeline.ingest()
    commands.undo(pipeline.settings, TABLE, str(row), False, "bob", "wrong row")
    pipeline.ingest()
    assert (published(pipeline, row), held(pipeline)) == (good, [(RULE, "open")])
    assert listed(pipeline, capsys)["decisions"] == []


def test_discarded_rows_do_not_block_their_table(pipeline: Pipeline, row: int) -> None:
    pipeline.settings.set_aside_floor, pipeline.settings.set_aside_limit = 0, 0
    [(other,)] = pipeline.at_source(f'select min("{KEY}") from {SOURCE}')
    spoil(pipeline, other)
    assert pipeline.ingest().opened == {TABLE: "few_rows_are_set_aside"}
    commands.discard(pipeline.settings, TABLE, "", RULE, False, "ann", "test bookings")
    assert pipeline.ingest().resolved.keys() == {TABLE}
    assert {status for _, status in held(pipeline)} == {"discarded"}


def test_discarding_rows_of_a_blocked_table_withholds_no_published_order(pipeline: Pipeline) -> None:
    lines = "Sales_SalesOrderDetail"
    pipeline.settings.set_aside_floor, pipeline.settings.set_aside_limit = 0, 0
    [(order, line)] = pipeline.at_source(
        'insert into "Sales"."SalesOrderDetail" ("SalesOrderID", "SalesOrderDetailID", "OrderQty", "ProductID",'
        ' "SpecialOfferID", "UnitPrice", "UnitPriceDiscount", "rowguid", "ModifiedDate")'
        ' select "SalesOrderID", "SalesOrderDetailID" + 1, -1, "ProductID", "SpecialOfferID", "UnitPrice",'
        ' "UnitPriceDiscount", \'aaaaaaaa-0000-0000-0000-000000000001\', "ModifiedDate"'
        ' from "Sales"."SalesOrderDetail" order by "SalesOrderDetailID" desc limit 1'
        ' returning "SalesOrderID", "SalesOrderDetailID"'
    )
    withheld = "select sales_order_id from staging.withheld_order"
    status = "select row_key::jsonb ->> 'SalesOrderDetailID', status from ops.quarantined_row"
    assert pipeline.ingest().opened == {lines: "few_rows_are_set_aside"}
    commands.discard(pipeline.settings, lines, "", "", True, "ann", "test line")
    assert (pipeline.published(status), pipeline.published(withheld)) == ([(str(line), "blocked_discarded")], [])

    pipeline.ingest()
    assert (pipeline.published(status), pipeline.published(withheld)) == ([(str(line), "discarded")], [(order,)])


def test_rows_of_a_blocked_reading_replace_open_rows_in_every_count(
    pipeline: Pipeline, row: int, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.settings.set_aside_floor, pipeline.settings.set_aside_limit = 0, 0
    spoil(pipeline, row, cost="9.5")
    assert pipeline.ingest().opened == {TABLE: "few_rows_are_set_aside"}
    assert sorted(held(pipeline)) == [(RULE, "blocked"), (RULE, "open")]
    [found] = listed(pipeline, capsys)["rows"]
    assert found["rows"] == 1
    with pipeline.session() as session:
        assert [one.values["ActualCost"] for one in quarantine.rows(session.data, TABLE)] == ["9.5000"]


def test_a_row_that_an_ingestion_publishes_at_the_same_time_is_not_discarded(
    pipeline: Pipeline, row: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = quarantine.rows

    def repaired_after_it_was_read(*arguments: Any) -> list[quarantine.QuarantinedRow]:
        found = rows(*arguments)
        with pipeline.session() as session:
            session.data.execute("update ops.quarantined_row set status = 'repaired'")
        return found

    monkeypatch.setattr(quarantine, "rows", repaired_after_it_was_read)
    with pytest.raises(PlatformError, match="an ingestion is publishing this table"):
        commands.discard(pipeline.settings, TABLE, str(row), "", False, "ann", "test booking")
    assert listed(pipeline, capsys)["decisions"] == []


def test_an_export_that_cannot_be_written_leaves_no_file(
    pipeline: Pipeline, row: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PlatformError, match="cannot be written: No such file or directory"):
        commands.export(pipeline.settings, TABLE, tmp_path / "missing" / "rows.csv", None)
    with pytest.raises(PlatformError, match="is not named as a JSON file"):
        commands.export(pipeline.settings, TABLE, tmp_path / "rows.csv", "json")

    monkeypatch.setattr(commands.os, "open", _on_a_full_disk)
    with pytest.raises(PlatformError, match="cannot be written: No space left on device"):
        commands.export(pipeline.settings, TABLE, tmp_path / "rows.csv", None)
    assert list(tmp_path.iterdir()) == []


def _on_a_full_disk(path: Path, *_: int) -> int:
    """Create a file, and return a descriptor to which nothing can be written."""
    os.close(_open(path, os.O_CREAT))
    return _open("/dev/full", os.O_WRONLY)


def test_a_dry_run_of_a_replay_migrates_nothing(pipeline: Pipeline, row: int, tmp_path: Path) -> None:
    file = exported(pipeline, tmp_path / "rows.csv", TransactionType="S")
    with pipeline.session() as session:
        layout.set_revision(session.records, "0005")
    replay(pipeline, file, dry_run=True)
    assert pipeline.published("select version_num from ops.migration") == [("0005",)]


def test_a_replay_survives_a_crash_between_stage_and_publish(
    pipeline: Pipeline, row: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay(pipeline, exported(pipeline, tmp_path / "rows.csv", TransactionType="S"))
    [[table]] = detect.detect(pipeline.settings, "ingest_source/crashed")
    load.load(pipeline.settings, "ingest_source/crashed", [table])
    judge.judge(pipeline.settings, "ingest_source/crashed")
    with monkeypatch.context() as patch:
        patch.setattr(publish.decisions, "finish_replays", _fail)
        with pytest.raises(ConnectionError):
            publish.publish(pipeline.settings, "ingest_source/crashed")
    assert held(pipeline) == [(RULE, "open")]
    assert detect.difference(pipeline.settings) is not None

    pipeline.ingest()
    assert (published(pipeline, row), held(pipeline)) == (("S", 7.5), [])
    assert detect.difference(pipeline.settings) is None


def _fail(records: postgres.Connection, run_id: str) -> None:
    raise ConnectionError("The process dies.")


def test_list_and_show_name_the_row(pipeline: Pipeline, row: int, capsys: pytest.CaptureFixture[str]) -> None:
    [found] = listed(pipeline, capsys)["rows"]
    assert (found["rule"], found["rows"], found["examples"]) == (RULE, 1, [f"{KEY}={row}"])
    for key in (str(row), f"{KEY}={row}", "1"):
        commands.show(pipeline.settings, TABLE, key, limit=20)
        shown = capsys.readouterr().out
        assert f"{KEY}={row}  {RULE}: " in shown
        assert "TransactionType X" in shown
    with pytest.raises(PlatformError, match="no row with the key 0 is in quarantine"):
        commands.show(pipeline.settings, TABLE, "0", limit=20)


def test_tables_with_secrets_are_replayed_but_not_exported(pipeline: Pipeline, tmp_path: Path) -> None:
    asset = "Sales_CreditCard"
    [(card,)] = pipeline.at_source('select max("CreditCardID") from "Sales"."CreditCard"')
    pipeline.change('update "Sales"."CreditCard" set "ExpMonth" = 13 where "CreditCardID" = %s', (card,))
    assert list(pipeline.ingest().opened) == [asset]
    with pytest.raises(PlatformError, match="does not hold the values of Sales_CreditCard"):
        commands.export(pipeline.settings, asset, tmp_path / "cards.csv", None)
    commands.run_replay(pipeline.settings, asset, None, "", "ann", False)
    assert pipeline.ingest().loaded == [asset]


def test_discarded_rows_and_published_keys_are_recognized_in_snowflake(
    warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(warehouse="snowflake", warehouse_url=SecretStr(warehouse_url))

    def set_aside(kind: str) -> int:
        session.data.execute(
            "insert into ops.quarantined_row (asset, row_key, rule, message, row_data, run_id, status)"
            " values (%s, %s, %s, 'a message', %s, 'r', 'staged')",
            (TABLE, row_key({KEY: "5"}), RULE, json.dumps({KEY: "5", "TransactionType": kind})),
        )
        expected = stored.expected(session.data, TABLE)
        stored.publish(session.data, TABLE)
        return expected

    with snowflake_double(monkeypatch), open_warehouse(settings).connect() as session:
        layout.prepare(session)
        assert set_aside("X") == 1
        assert quarantine.discard(session, TABLE, key="5", rule="", by="ann", reason="test booking") == 1
        assert set_aside("X") == 0
        assert stored.row_keys(session.data, TABLE, "discarded") == {row_key({KEY: "5"})}
        assert set_aside("Y") == 1
        assert [row.values["TransactionType"] for row in quarantine.rows(session.data, TABLE, RULE)] == ["Y"]
        assert stored.row_keys(session.data, TABLE, "discarded") == set()

        session.data.execute(f'insert into raw."{TABLE}" ("{KEY}") values (5)')
        keys = [row_key({KEY: key}) for key in ("5", "6")]
        assert StagedTable(SOURCE_TABLES[TABLE]).published_keys(session.data, keys) == {keys[0]}

        staged = StagedTable(SOURCE_TABLES[TABLE])
        staged.start(session.data)
        session.data.execute(
            f'insert into staging."{TABLE}__rows" ("{KEY}", "TransactionDate", "ModifiedDate", "__same")'
            " values (6, timestamp '2013-05-01 10:00:00.5', timestamp '2013-05-01 10:00:00', false)"
        )
        assert staged.set_aside(session.data, f'r."{KEY}" = 6', "some_rule", "a message", "r") == 1
        [(values,)] = session.data.execute("select row_data from ops.quarantined_row where rule = 'some_rule'")
        dates = {name: value for name, value in json.loads(values).items() if name.endswith("Date")}
        assert dates == {"TransactionDate": "2013-05-01 10:00:00.5", "ModifiedDate": "2013-05-01 10:00:00"}
