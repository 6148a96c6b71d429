"""Faults of every mart: its gate finds nearly all random faults, and each rule finds a fault designed for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import cached_property
from itertools import islice, pairwise
from typing import Any

import polars as pl
import psycopg
import pytest
import yaml
from polars.testing import assert_frame_equal

from adventureworks.catalog import MARTS, Mart
from adventureworks.columns import columns_of, key_of
from adventureworks.gate.check_files import declared_checks, declared_rules, with_values, within_months, within_values
from adventureworks.gate.contract import validate
from adventureworks.marts import models
from adventureworks.warehouse.postgres import rows_of
from adventureworks.warehouse.sql import names
from tests.acceptance.faults import Fault, Faults
from tests.acceptance.reference import reference_of
from tests.acceptance.report import ASKED, Report
from tests.integration.candidates import AS_OF, MART, Warehouse, broken
from tests.integration.pipeline import Pipeline

GIVEN = {"as_of": AS_OF.isoformat(), "declared_rules": declared_rules(MART.parent)}
MIN_SCORE = 0.95
MANY, FEW = 20, 4
"""Random faults per mart, with and without writing docs/validation.md."""

WITH_TIMES = {
    "bill_of_materials_cost": [
        f"""update raw."{table}" set "StartDate" = date '{AS_OF}' + time '10:00' where "EndDate" is null"""
        for table in ("Production_BillOfMaterials", "Production_ProductCostHistory")
    ],
    "production_costs": [
        'update raw."Production_ProductCostHistory" as cost set "StartDate" = used.first from ('
        ' select c."ProductID" as product, c."StartDate" as since, min(w."StartDate") + interval \'10 hours\' as first'
        ' from raw."Production_ProductCostHistory" as c join raw."Production_WorkOrder" as w'
        ' on w."ProductID" = c."ProductID" and w."StartDate" >= c."StartDate"'
        ' and (c."EndDate" is null or w."StartDate" <= c."EndDate") where w."ScrappedQty" > 0 group by 1, 2'
        ') as used where cost."ProductID" = used.product and cost."StartDate" = used.since',
    ],
    "inventory_status": [
        'update raw."Production_BillOfMaterials" as bill set "EndDate" = used.last from ('
        ' select "ProductID" as product, max("StartDate") as last from raw."Production_WorkOrder" where "StartDate" <'
        " (select max(month) + interval '1 month' from (select month from staging.channel_month group by month"
        " having bool_and(not is_partial)) as complete) group by 1"
        ') as used where bill."ProductAssemblyID" = used.product and bill."EndDate" is null',
        """update raw."Production_WorkOrder" set "StartDate" = "StartDate" + interval '10 hours'""",
    ],
}
"""By mart: changes that add times of day to the first or last day on which rows of its inputs count."""


class Trial:
    """A candidate that is damaged in a transaction, which is always rolled back."""

    def __init__(self, connection: psycopg.Connection, mart: Mart) -> None:
        (items,) = yaml.safe_load((MART / f"{mart.name}.yml").read_text(encoding="utf-8")).values()
        bodies = [body for item in items for body in item.values() if "fail query" in body]
        self.rules: dict[str, str] = {body["name"]: with_values(body["fail query"], GIVEN) for body in bodies}
        self._connection, self._mart = connection, mart
        self._needs_rows = any("row_count > 0" in item for item in items)

    @cached_property
    def by_month(self) -> dict[str, tuple[str, str]]:
        """The rules that can be checked by month, each with its queries for the even and for the odd months."""
        months = [f"{year}-{month:02}" for year in range(2010, 2016) for month in range(1, 13)]
        return {
            check.rule: (
                within_months(self.rules[check.rule], self._mart, months[0::2], check.echoes),
                within_months(self.rules[check.rule], self._mart, months[1::2], check.echoes),
            )
            for check in declared_checks(MART, self._mart.name)
            if check.by_month
        }

    def broken_by(self, *statements: str) -> str | None:
        """Return the first rule that these statements break; empty if none; None if they change nothing."""
        try:
            with self._connection.transaction(force_rollback=True):
                self._run(statements)
                return self._broken() or ("" if self._differs() else None)
        except psycopg.errors.NumericValueOutOfRange:
            return "the column's type"

    def rows_by_month(self, *statements: str) -> Iterator[tuple[str, set[Any], set[Any]]]:
        """Yield, for each rule that can be checked by month, its findings after these statements.

        The findings are those of all months at once, and those of the even and the odd months combined. Yields nothing
        if keys are duplicated, because ties then make the findings random.
        """
        with self._connection.transaction(force_rollback=True):
            self._run(statements)
            if self._has_duplicate_key():
                return
            for rule, halves in self.by_month.items():
                whole, *parts = (self._connection.execute(query).fetchall() for query in (self.rules[rule], *halves))
                yield rule, set(whole), {row for part in parts for row in part}

    def rows_by_value(self, *statements: str) -> Iterator[tuple[str, set[Any], set[Any]]]:
        """Yield, for each rule that holds by value, what it finds after these statements: in all rows, and in some.

        These are the rows with a value that a row has which is not the published one.
        """
        published, own = f"marts.{self._mart.name}", names(column.name for column in columns_of(self._mart))
        with self._connection.transaction(force_rollback=True):
            self._run(statements)
            for check in declared_checks(MART, self._mart.name):
                if check.by:
                    staged, shown = f"select {own} from candidate", f"select {own} from {published}"
                    differing = f"({staged} except {shown}) union ({shown} except {staged})"
                    changed = self._connection.execute(f"select distinct {check.by} from ({differing}) as d").fetchall()
                    query = self.rules[check.rule]
                    narrowed = within_values(query, self._mart, check.by, {value for (value,) in changed})
                    whole, found = (set(self._connection.execute(one).fetchall()) for one in (query, narrowed))
                    yield check.rule, whole, found

    def breaks(self, rule: str, statement: str) -> bool:
        """Return whether a statement breaks the rule."""
        with self._connection.transaction(force_rollback=True):
            self._run([statement])
            return self._any(f"select 1 from ({self.rules[rule]}) as found")

    def _run(self, statements: tuple[str, ...] | list[str]) -> None:
        for statement in statements:
            self._connection.execute(statement)

    def _any(self, query: str) -> bool:
        return self._connection.execute(f"{query} limit 1").fetchone() is not None

    def _broken(self) -> str:
        for rule, query in self.rules.items():
            if self._any(f"select 1 from ({query}) as found"):
                return rule
        if not self._any("select 1 from candidate"):
            return "is_not_empty" if self._needs_rows else ""
        if self._has_duplicate_key():
            return "key_is_unique"
        columns = columns_of(self._mart)
        rows = rows_of(self._connection, f"select {names(c.name for c in columns)} from candidate", {})
        frame = rows.select(pl.col(c.name).cast(c.dtype) for c in columns)
        rejections = validate(self._mart, frame.to_arrow().combine_chunks().to_batches()[0]).rejections
        return rejections[0].rule if rejections else ""

    def _has_duplicate_key(self) -> bool:
        return self._any(f"select 1 from candidate group by {names(key_of(self._mart))} having count(*) > 1")

    def _differs(self) -> bool:
        return self._any("select * from candidate except all select * from before") or self._any(
            "select * from before except all select * from candidate"
        )


@contextmanager
def trial_of(url: str, mart: Mart) -> Iterator[Trial]:
    """Provide a copy of the published mart as the candidate of its checks."""
    with psycopg.connect(url) as connection:
        # A temporary table hides the candidate view of the same name from the SELECTs of the checks.
        connection.execute("set search_path to staging")
        connection.execute(f"create temp table {mart.name} as select * from marts.{mart.name}")
        connection.execute(f"analyze {mart.name}")
        connection.execute(f"create temp view candidate as select * from {mart.name}")
        connection.execute(f"create temp view before as select * from marts.{mart.name}")
        yield Trial(connection, mart)
        connection.rollback()


def found_faults(url: str, mart: Mart, rows: pl.DataFrame, seed: int, count: int) -> dict[Fault, str]:
    """Return `count` random faults of a mart with these rows, each with the rule that finds it; empty if none does.

    Statements that change nothing do not count as faults.
    """
    tried: dict[Fault, str] = {}
    with trial_of(url, mart) as trial:
        for fault in Faults(mart, rows, seed).sample():
            rule = trial.broken_by(*fault.statements)
            if rule is not None:
                tried[fault] = rule
            if len(tried) == count:
                return tried
    raise AssertionError("the generator is endless")


@pytest.mark.parametrize("mart", MARTS.values(), ids=lambda mart: mart.name)
def test_nearly_every_random_fault_is_found(
    platform: Pipeline, mart_rows: dict[str, pl.DataFrame], report: Report, mart: Mart
) -> None:
    is_requested = bool(os.environ.get(ASKED))
    count = MANY if is_requested else FEW
    found = found_faults(platform.url, mart, mart_rows[mart.name], seed=1, count=count)
    missed = [f"{fault.kind}: {fault.words}" for fault, rule in found.items() if not rule]
    report.faults[mart.name] = (len(found) - len(missed), len(found))
    # With only a few faults, one may be among the five percent that are allowed to pass.
    assert len(missed) <= max(1, (1 - MIN_SCORE) * len(found)), missed


@pytest.mark.parametrize("mart", MARTS.values(), ids=lambda mart: mart.name)
def test_each_rule_finds_the_fault_designed_for_it(platform: Pipeline, mart: Mart) -> None:
    with trial_of(platform.url, mart) as trial:
        faults = reference_of(mart).faults
        assert trial.rules.keys() == faults.keys()
        assert [rule for rule, fault in faults.items() if not trial.breaks(rule, fault)] == []
        assert trial.broken_by("delete from candidate"), "an empty mart must be found"


@pytest.mark.parametrize("mart", [mart for mart in MARTS.values() if mart.part], ids=lambda mart: mart.name)
def test_a_mart_and_its_rules_depend_on_nothing_but_the_part_of_their_input(platform: Pipeline, mart: Mart) -> None:
    assert mart.part
    entry, (month,) = MARTS[mart.part.input], {"booking_month", "month"} & {*mart.part.columns}
    numbers = [c.name for c in columns_of(entry) if c.dtype.is_numeric() and c.name not in key_of(entry)]
    outside = f"(channel, {month}) not in (select channel, {month} from staging.{mart.part.view})"
    changes = (
        f"update marts.{entry.name} set {', '.join(f'{name} = {name} + 1' for name in numbers)} where {outside}",
        f"update marts.{entry.name}"
        f" set {', '.join(f'{name} = {name} + 1' for name in numbers if name not in mart.part.columns)}",
    )
    with psycopg.connect(platform.url) as connection:
        before = computed(connection, mart)
        assert all(connection.execute(change).rowcount for change in changes)
        assert_frame_equal(computed(connection, mart), before, check_row_order=False)
        connection.rollback()
    with trial_of(platform.url, mart) as trial:
        assert trial.broken_by(*changes) is None


@pytest.mark.parametrize("mart", [mart for mart in MARTS.values() if mart.periods], ids=lambda mart: mart.name)
def test_a_mart_with_periods_changes_only_on_days_on_which_one_begins_or_has_ended(
    platform: Pipeline, mart: Mart
) -> None:
    with psycopg.connect(platform.url) as connection:
        turns = sorted(
            {
                day
                for period in mart.periods
                for column, later in ((period.first, 0), (period.last, 1))
                if column
                for (day,) in connection.execute(
                    f'select distinct cast("{column}" as date) + {later} from raw."{period.input}"'
                    f' where "{column}" is not null'
                )
            }
        )
        quiet = [(day, after) for day, after in pairwise(turns) if after - day > timedelta(days=1)]
        several = [*quiet[:: max(len(quiet) // FEW, 1)], (turns[-1], turns[-1] + timedelta(days=400))]
        for day, after in several:
            first, last = (computed(connection, mart, one) for one in (day, after - timedelta(days=1)))
            assert_frame_equal(without_date(first), without_date(last), check_row_order=False)
        at_once = [without_date(computed(connection, mart, day)) for day in (turns[0], turns[-1])]
    assert not at_once[0].equals(at_once[1]), "it depends on the business date"


@pytest.mark.parametrize("name", WITH_TIMES)
def test_a_mart_and_its_rules_go_by_days_if_bills_costs_and_work_orders_have_times(
    platform: Pipeline, name: str
) -> None:
    changes = WITH_TIMES[name]
    with psycopg.connect(platform.url) as connection:
        before = computed(connection, MARTS[name])
        assert all(connection.execute(change).rowcount for change in changes)
        assert_frame_equal(computed(connection, MARTS[name]), before, check_row_order=False)
        connection.rollback()
    with trial_of(platform.url, MARTS[name]) as trial:
        assert trial.broken_by(*changes) is None


def without_date(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows without the business date that they state."""
    return rows.drop("as_of", strict=False)


def test_rows_of_complete_months_are_neither_checked_nor_published_again_on_a_new_business_date(
    copied: Pipeline,
) -> None:
    rows = "select count(*), max(last_month), max(xmin::text::bigint) from marts.product_affinity"
    results = "select count(*) from ops.check_result where asset = 'product_affinity'"
    before, checked = copied.published(rows), copied.published(results)
    copied.settings.as_of = AS_OF + timedelta(days=1)
    assert copied.settle("daily_sales_etl", "product_performance") == ["daily_sales_etl", "product_performance"]
    assert before[0][0]
    assert copied.published(rows) == before, "also the transaction that wrote them"
    assert copied.published(results) == checked


def computed(connection: psycopg.Connection, mart: Mart, as_of: date = AS_OF) -> pl.DataFrame:
    """Return the rows that a mart's model computes for a business date."""

    def read(name: str) -> pl.DataFrame:
        return rows_of(connection, models.rendered(mart, name), {"as_of": as_of})

    return read(mart.name) if models.is_sql(mart) else models.compute(mart, read, as_of)


@pytest.mark.parametrize("mart", [mart for mart in MARTS.values() if mart.incremental], ids=lambda mart: mart.name)
def test_a_rule_checked_by_month_finds_the_same_as_over_all_months(
    platform: Pipeline, mart_rows: dict[str, pl.DataFrame], mart: Mart
) -> None:
    with trial_of(platform.url, mart) as trial:
        assert trial.by_month
        noticed = 0
        for fault in islice(Faults(mart, mart_rows[mart.name], seed=2).sample(), FEW):
            for rule, whole, parts in trial.rows_by_month(*fault.statements):
                assert parts == whole, f"{rule}: {fault.words}"
                noticed += bool(whole)
    assert noticed, "at least one rule must find something"


@pytest.mark.parametrize("mart", [MARTS["campaign_performance"]], ids=lambda mart: mart.name)
def test_a_rule_checked_by_value_finds_the_same_in_the_rows_that_differ(
    platform: Pipeline, mart_rows: dict[str, pl.DataFrame], mart: Mart
) -> None:
    with trial_of(platform.url, mart) as trial:
        noticed = 0
        for fault in islice(Faults(mart, mart_rows[mart.name], seed=3).sample(), FEW * FEW):
            for rule, whole, narrowed in trial.rows_by_value(*fault.statements):
                assert narrowed == whole, f"{rule}: {fault.words}"
                noticed += bool(whole)
    assert noticed, "at least one rule must find something"


@pytest.mark.parametrize("mart", MARTS)
def test_every_mart_passes_its_rules_and_the_common_rules_find_faults(platform: Pipeline, mart: str) -> None:
    warehouse = Warehouse(platform.url)
    assert broken(warehouse.check(mart, folder=MART)) == {}, "the published mart keeps every rule"
    one = f"select * from marts.{mart} order by {', '.join(key_of(MARTS[mart]))} limit 1"
    with warehouse.candidate(mart, f"select * from marts.{mart} union all ({one})"):
        found = broken(
            warehouse.check(
                mart,
                folder=MART,
                **{f"least_rows_{mart}": "100000000", f"stale_before_{mart}": "2099-01-01 00:00:00"},
            )
        )
    assert {"keeps_most_of_its_rows", "is_fresh", "key_is_unique"} <= found.keys()
