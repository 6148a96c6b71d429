"""An attempt of a task that was given up, and goes on beside its retry, changes nothing that the retry does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adventureworks.errors import Overtaken, ServiceUnavailable
from adventureworks.gate import detect, judge, load, publish
from adventureworks.marts import build as building
from adventureworks.marts import gate as gating
from adventureworks.marts import publish as publishing
from adventureworks.marts.gate import MartRefused
from tests.integration.pipeline import Pipeline
from tests.integration.test_pipeline import any_order, change_quantity

RUN = "ingest_source/given up"


def overtaken(patch: pytest.MonkeyPatch, place: Any, name: str, by: Callable[[], Any]) -> None:
    """Let something happen once, before a function that a running attempt calls."""
    original = getattr(place, name)

    def held_up(*arguments: Any, **options: Any) -> Any:
        patch.setattr(place, name, original)
        by()
        return original(*arguments, **options)

    patch.setattr(place, name, held_up)


def detected(pipeline: Pipeline) -> list[str]:
    [group] = detect.detect(pipeline.settings, RUN)
    return group


def test_attempts_to_detect_changes_record_them_one_after_the_other(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_quantity(pipeline, *any_order(pipeline)[:2], more=1)
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
    with ThreadPoolExecutor(1) as threads:
        retries = []

        def retry() -> None:
            retries.append(threads.submit(detected, pipeline))
            while not retries[0].done() and pipeline.published(waiting) == [(0,)]:
                pass

        # After the first attempt has found that no other one has recorded anything.
        overtaken(monkeypatch, detect.intervention, "held_tables", retry)
        assert detected(pipeline) == ["Sales_SalesOrderDetail", "Sales_SalesOrderHeader"]
        with pytest.raises(ServiceUnavailable, match="Another attempt"):
            retries[0].result()
    assert detected(pipeline) == ["Sales_SalesOrderDetail", "Sales_SalesOrderHeader"]


def test_a_load_that_was_given_up_adds_no_rows_to_those_of_its_retry(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    _order, line, _ = any_order(pipeline)
    pipeline.change('update "Sales"."SalesOrderDetail" set "OrderQty" = 0 where "SalesOrderDetailID" = %s', (line,))
    group = detected(pipeline)
    overtaken(monkeypatch, load, "admit_published", lambda: load.load(pipeline.settings, RUN, group))
    with pytest.raises(Overtaken):
        load.load(pipeline.settings, RUN, group)
    monkeypatch.setattr(judge, "load", None)
    judge.judge(pipeline.settings, RUN)
    [version] = publish.publish(pipeline.settings, RUN)
    assert (version.asset, version.set_aside, version.changed_rows) == ("Sales_SalesOrderDetail", 1, 0)


def test_a_load_that_was_given_up_blocks_no_table_that_its_retry_has_staged(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_quantity(pipeline, *any_order(pipeline)[:2], more=1)
    group = detected(pipeline)

    def failing() -> None:
        load.load(pipeline.settings, RUN, group)
        raise ValueError

    overtaken(monkeypatch, load, "validate", failing)
    with pytest.raises(Overtaken):
        load.load(pipeline.settings, RUN, group)
    judge.judge(pipeline.settings, RUN)
    assert len(publish.publish(pipeline.settings, RUN)) == 2


def test_rows_that_were_staged_again_during_their_check_are_checked_again(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.change(
        'update "Sales"."SalesOrderHeader" set "SubTotal" = "SubTotal" + 5, "TotalDue" = "TotalDue" + 5'
        ' where "SalesOrderID" = %s',
        (any_order(pipeline)[0],),
    )
    group = detected(pipeline)
    load.load(pipeline.settings, RUN, group)
    # Until the load is complete, its candidate shows the published rows, which are good.
    overtaken(monkeypatch, judge, "run_checks", lambda: load.load(pipeline.settings, RUN, group))
    with pytest.raises(Overtaken):
        judge.judge(pipeline.settings, RUN)
    judge.judge(pipeline.settings, RUN)
    assert publish.publish(pipeline.settings, RUN) == []
    assert pipeline.published("select distinct blocked_rule from ops.change where status = 'blocked'") == [
        ("subtotal_is_the_sum_of_the_lines",)
    ]


def test_a_verdict_that_was_given_up_replaces_no_later_one(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    change_quantity(pipeline, *any_order(pipeline)[:2], more=1)
    load.load(pipeline.settings, RUN, detected(pipeline))

    def finished() -> None:
        judge.judge(pipeline.settings, RUN)
        publish.publish(pipeline.settings, RUN)

    overtaken(monkeypatch, judge, "run_checks", finished)
    results = "select count(*), count(distinct (asset, rule, kind)) from ops.check_result where run_id = %s"
    with pytest.raises(Overtaken):
        judge.judge(pipeline.settings, RUN)
    [(recorded, different)] = pipeline.published(results, (RUN,))
    assert recorded == different > 0


def test_a_publication_that_was_given_up_hides_no_candidate_of_the_next_run(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, line, _ = any_order(pipeline)
    change_quantity(pipeline, order, line, more=1)
    load.load(pipeline.settings, RUN, detected(pipeline))
    judge.judge(pipeline.settings, RUN)
    shown: list[tuple[Any, ...]] = []
    quantity = f'select "OrderQty" from {{}}."Sales_SalesOrderDetail" where "SalesOrderDetailID" = {line}'

    def next_run() -> None:
        change_quantity(pipeline, order, line, more=1)
        for group in detect.detect(pipeline.settings, "ingest_source/next"):
            load.load(pipeline.settings, "ingest_source/next", group)
        judge.judge(pipeline.settings, "ingest_source/next")
        shown.extend(pipeline.published(quantity.format("staging")))

    overtaken(monkeypatch, publish.candidate, "require", next_run)
    publish.publish(pipeline.settings, RUN)
    assert pipeline.published(quantity.format("staging")) == shown != pipeline.published(quantity.format("raw"))


def test_a_batch_of_blocked_tables_is_concluded_although_its_publication_is_repeated(pipeline: Pipeline) -> None:
    pipeline.change('alter table "Sales"."Currency" rename column "Name" to "Title"')
    load.load(pipeline.settings, RUN, detected(pipeline))
    for _attempt in range(2):
        assert publish.publish(pipeline.settings, RUN) == []
    [incident] = publish.conclude(pipeline.settings, RUN).opened
    assert incident.asset == "Sales_Currency"


def test_marts_that_were_built_again_after_the_gate_pass_it_again(pipeline: Pipeline, tmp_path: Path) -> None:
    settings, dag, run = pipeline.settings, "daily_sales_etl", "daily_sales_etl/given up"
    order, line, _ = any_order(pipeline)
    change_quantity(pipeline, order, line, more=1)
    pipeline.ingest()
    building.build(settings, dag, run)
    gating.gate(settings, dag, run)
    change_quantity(pipeline, order, line, more=1)
    pipeline.ingest()
    building.build(settings, dag, run)
    folder = shutil.copytree(settings.checks_folder, tmp_path / "checks")
    with (folder / "marts" / "fact_sales.yml").open("a") as file:
        file.write("  - row_count < 0:\n      name: has_no_rows\n      attributes:\n        dimension: volume\n")
    with pytest.raises(MartRefused):
        publishing.publish(settings.model_copy(update={"checks_folder": folder}), dag, run)


def test_results_of_a_gate_are_recorded_once(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, dag, run = pipeline.settings, "daily_sales_etl", "daily_sales_etl/given up"
    change_quantity(pipeline, *any_order(pipeline)[:2], more=1)
    pipeline.ingest()
    building.build(settings, dag, run)
    overtaken(monkeypatch, gating, "run_checks", lambda: gating.gate(settings, dag, run))
    gating.gate(settings, dag, run)
    results = "select count(*), count(distinct (asset, rule, kind)) from ops.check_result where run_id = %s"
    [(recorded, different)] = pipeline.published(results, (run,))
    assert recorded == different > 0
