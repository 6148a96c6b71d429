"""`adventureworks backfill`: months of a mart and of its readers are computed again, safely and repeatably."""

from __future__ import annotations

import json
from collections.abc import Mapping

import psycopg
import pytest

from adventureworks.cli import backfill as command
from adventureworks.cli.approve import approve
from adventureworks.due import Months, NothingToDo
from adventureworks.errors import PlatformError
from adventureworks.marts import build as building
from adventureworks.marts import gate as gating
from adventureworks.settings import Settings
from adventureworks.warehouse import intervention
from tests.integration.pipeline import Pipeline

MONTH = "2014-03"
DATES = {"fact_sales": "order_date", "daily_sales": "order_date", "territory_sales": "month"}


def versions(pipeline: Pipeline) -> dict[str, int]:
    """Return the newest version of each asset, except the report on quality, which has one for each run."""
    return dict(
        pipeline.published(
            "select asset, max(version) from ops.publication where asset <> 'data_quality' group by asset"
        )
    )


def revenue(pipeline: Pipeline, *marts: str) -> dict[str, object]:
    """Return the revenue of the month by mart."""
    query = "select sum(revenue) from marts.{} where to_char({}, 'YYYY-MM') = %s"
    return {mart: pipeline.published(query.format(mart, DATES[mart]), (MONTH,))[0][0] for mart in marts}


def spoil(pipeline: Pipeline, *marts: str) -> None:
    """Change published rows of the month, as a faulty release might have."""
    with psycopg.connect(pipeline.url) as connection:
        for mart in marts:
            connection.execute(
                f"update marts.{mart} set revenue = revenue * 2 where to_char({DATES[mart]}, 'YYYY-MM') = %s".encode(),
                (MONTH,),
            )


def backfill(pipeline: Pipeline, mart: str, first: str = MONTH, last: str = MONTH, *, dry_run: bool = False) -> int:
    return command.backfill(pipeline.settings, mart, first, last, dry_run)


def test_months_of_a_mart_and_its_readers_are_repaired_and_a_repetition_publishes_nothing(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt = ("fact_sales", "territory_sales")
    correct, before = revenue(pipeline, *spoilt), versions(pipeline)
    spoil(pipeline, *spoilt)
    assert backfill(pipeline, "fact_sales", dry_run=True) == 0
    listed = capsys.readouterr().out
    assert "territory_sales" in listed
    assert MONTH in listed
    assert versions(pipeline) == before, "a dry run publishes nothing"

    assert backfill(pipeline, "fact_sales") == 0
    assert revenue(pipeline, *spoilt) == correct
    after = versions(pipeline)
    assert {asset for asset in after if after[asset] != before[asset]} == {*spoilt}
    assert f"fact_sales: version {after['fact_sales']}, changed months: {MONTH}" in capsys.readouterr().out
    assert pipeline.settle() == [], "everything is fresh"

    assert backfill(pipeline, "territory_sales") == 0
    assert versions(pipeline) == after
    assert pipeline.published("select kind, asset, detail from ops.intervention order by number") == [
        ("backfill", mart, json.dumps({"months": [MONTH]})) for mart in spoilt
    ]


def test_a_reader_that_cannot_be_computed_is_reported(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    with pipeline.session() as session:
        detail = {"versions": {"territory_sales": 1}}
        intervention.record(session.records, "rollback", "territory_sales", "ann", "wrong", detail, in_force=True)
    assert backfill(pipeline, "fact_sales") == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "sales_territory_analysis was not computed: rolled back to version 1 of territory_sales by ann" in printed


def test_a_refused_backfill_is_published_if_it_is_approved_and_repeated(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    before = versions(pipeline)["fact_sales"]
    spoil(pipeline, "fact_sales")
    with psycopg.connect(pipeline.url) as connection:
        connection.execute('update raw."Sales_SalesOrderHeader" set "SubTotal" = "SubTotal" + 5')
    assert backfill(pipeline, "fact_sales") == 1
    approve(pipeline.settings, "fact_sales", "the totals are corrected tomorrow", "ann")
    assert "If a backfill was refused, repeat it." in " ".join(capsys.readouterr().out.split())
    assert versions(pipeline)["fact_sales"] == before
    backfill(pipeline, "fact_sales")
    assert versions(pipeline)["fact_sales"] == before + 1


def test_months_that_cannot_be_computed_are_refused(pipeline: Pipeline) -> None:
    for mart, first, last, cause in (
        ("fact_sales", "1999-01", MONTH, "fact_sales has data from"),
        ("fact_sales", MONTH, "2050-01", "fact_sales has data from"),
        ("fact_sales", MONTH, "2014-02", "2014-03 is after 2014-02."),
        ("fact_sales", "2014-13", "2014-13", "2014-13 is not a month."),
        ("fact_sales", "", "", "fact_sales is computed by month."),
        ("customer_value", MONTH, MONTH, "customer_value is always computed whole."),
        ("data_quality", "", "", "data_quality reports on the current state"),
        ("nothing", "", "", "There is no mart nothing."),
    ):
        with pytest.raises(PlatformError) as refused:
            backfill(pipeline, mart, first, last)
        assert refused.value.cause.startswith(cause)
        assert refused.value.next_step
    assert pipeline.published("select count(*) from ops.intervention") == [(0,)]


def test_a_backfill_is_computed_again_if_another_run_stages_something_else_meanwhile(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    correct = revenue(pipeline, "daily_sales")
    spoil(pipeline, "daily_sales")
    validate, others = gating.gate, ["daily_sales_etl/other"]

    def gate(settings: Settings, dag: str, run_id: str, requested: Mapping[str, Months]) -> NothingToDo | None:
        if others and dag == "daily_sales_etl":
            building.build(settings, dag, others.pop(), {"daily_sales": ("2014-02",)})
        return validate(settings, dag, run_id, requested)

    monkeypatch.setattr(gating, "gate", gate)
    assert backfill(pipeline, "daily_sales") == 0
    assert others == []
    assert revenue(pipeline, "daily_sales") == correct


def test_two_backfills_do_not_run_at_once(pipeline: Pipeline) -> None:
    with psycopg.connect(pipeline.url, application_name="adventureworks production: backfill") as other:
        other.execute("select pg_advisory_lock(hashtextextended('adventureworks production', 0))")
        with pytest.raises(PlatformError, match="Another command is changing what is published: adventureworks pro"):
            backfill(pipeline, "fact_sales")
