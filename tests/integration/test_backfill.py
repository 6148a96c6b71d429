"""`adventureworks backfill`: months of a mart and of its readers are computed again, safely and repeatably."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from adventureworks.cli import backfill as command
from adventureworks.due import NothingToDo
from adventureworks.errors import PlatformError
from adventureworks.marts import build as building
from adventureworks.marts import gate as gating
from adventureworks.settings import Settings
from tests.integration.pipeline import Pipeline

MONTH = "2014-03"
REVENUE = "select sum(revenue) from marts.{} where to_char({}, 'YYYY-MM') = '2014-03'"


def versions(pipeline: Pipeline) -> dict[str, int]:
    return dict(pipeline.published("select asset, max(version) from ops.publication group by asset"))


def spoil(pipeline: Pipeline) -> None:
    """Change published rows behind the platform's back, as a faulty release might have."""
    with psycopg.connect(pipeline.url) as connection:
        connection.execute(
            "update marts.fact_sales set revenue = revenue * 2 where to_char(order_date, 'YYYY-MM') = %s", (MONTH,)
        )
        connection.execute(
            "update marts.territory_sales set revenue = revenue * 2 where to_char(month, 'YYYY-MM') = %s", (MONTH,)
        )


def backfill(pipeline: Pipeline, mart: str, first: str = "", last: str = "", *, dry_run: bool = False) -> int:
    return command.backfill(pipeline.settings, mart, first, last, dry_run)


def test_months_of_a_mart_and_its_readers_are_repaired_and_a_repetition_publishes_nothing(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    correct = [
        pipeline.published(REVENUE.format(*mart))
        for mart in (("fact_sales", "order_date"), ("territory_sales", "month"))
    ]
    spoil(pipeline)
    before = versions(pipeline)

    assert backfill(pipeline, "fact_sales", MONTH, MONTH, dry_run=True) == 0
    shown = capsys.readouterr().out
    assert "territory_sales" in shown
    assert "2014-03" in shown
    assert versions(pipeline) == before, "a dry run publishes nothing"

    assert backfill(pipeline, "fact_sales", MONTH, MONTH) == 0
    assert correct == [
        pipeline.published(REVENUE.format(*mart))
        for mart in (("fact_sales", "order_date"), ("territory_sales", "month"))
    ]
    after = versions(pipeline)
    newer = {asset for asset in after if after[asset] != before[asset]}
    assert newer == {"fact_sales", "territory_sales", "data_quality"}
    assert pipeline.published(
        "select months from ops.publication where asset = 'fact_sales' order by version desc limit 1"
    ) == [(json.dumps([MONTH]),)]
    assert f"fact_sales: version {after['fact_sales']}, changed months: {MONTH}" in capsys.readouterr().out
    assert pipeline.settle() == [], "everything is fresh"

    assert backfill(pipeline, "fact_sales", MONTH, MONTH) == 0
    assert {a: n for a, n in versions(pipeline).items() if a != "data_quality"} == {
        a: n for a, n in after.items() if a != "data_quality"
    }
    assert (
        pipeline.published("select kind, asset, detail from ops.intervention")
        == [("backfill", "fact_sales", json.dumps({"months": [MONTH]}))] * 2
    )


@pytest.mark.parametrize(
    ("mart", "first", "last", "message"),
    [
        ("fact_sales", "1999-01", "2014-03", "fact_sales has data from"),
        ("fact_sales", "2014-03", "2050-01", "fact_sales has data from"),
        ("fact_sales", "2014-03", "2014-02", "2014-03 is after 2014-02."),
        ("fact_sales", "2014-13", "2014-13", "2014-13 is not a month."),
        ("fact_sales", "", "", "fact_sales is computed by month."),
        ("customer_value", "2014-03", "2014-03", "customer_value is always computed whole."),
        ("data_quality", "", "", "data_quality reports on the present state"),
        ("nothing", "", "", "There is no mart nothing."),
    ],
)
def test_months_that_cannot_be_computed_are_refused(
    pipeline: Pipeline, mart: str, first: str, last: str, message: str
) -> None:
    with pytest.raises(PlatformError) as refused:
        backfill(pipeline, mart, first, last)
    assert refused.value.cause.startswith(message)
    assert refused.value.next_step


def test_a_backfill_that_another_run_overtakes_is_computed_again(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(pipeline)
    validate, overtaken = gating.gate, 0

    def gate(settings: Settings, dag: str, run_id: str, requested: Any) -> NothingToDo | None:
        nonlocal overtaken
        if dag == "daily_sales_etl" and not overtaken:
            overtaken += 1
            # Another run stages something else before this one is validated.
            building.build(settings, dag, "daily_sales_etl/other", {"fact_sales": ("2014-02",)})
        return validate(settings, dag, run_id, requested)

    monkeypatch.setattr(gating, "gate", gate)
    assert backfill(pipeline, "fact_sales", MONTH, MONTH) == 0
    assert overtaken == 1
    [(in_fact,)] = pipeline.published(REVENUE.format("fact_sales", "order_date"))
    [(in_territories,)] = pipeline.published(REVENUE.format("territory_sales", "month"))
    assert in_fact == in_territories


def test_two_backfills_do_not_run_at_once(pipeline: Pipeline) -> None:
    with psycopg.connect(pipeline.url, application_name="adventureworks production: backfill") as other:
        other.execute("select pg_advisory_lock(hashtextextended('adventureworks production', 0))")
        with pytest.raises(PlatformError, match="Another command is changing what is published: adventureworks pro"):
            backfill(pipeline, "fact_sales", MONTH, MONTH)
