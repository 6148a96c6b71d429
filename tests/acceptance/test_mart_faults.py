"""Faults of every mart: its gate finds nearly all random faults, and each rule finds a fault designed for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from typing import Any

import polars as pl
import psycopg
import pytest
import yaml

from adventureworks.catalog import MARTS, Mart
from adventureworks.columns import columns_of, key_of
from adventureworks.gate.check_files import declared_checks, within_months
from adventureworks.gate.contract import validate
from adventureworks.warehouse.postgres import rows_of
from adventureworks.warehouse.sql import names
from tests.acceptance.faults import Fault, Faults
from tests.acceptance.report import ASKED, Report
from tests.integration.candidates import AS_OF, MART, Warehouse, broken
from tests.integration.pipeline import Pipeline

MIN_SCORE = 0.95
MANY, FEW = 20, 4
"""Random faults per mart, with and without writing docs/validation.md."""

RULE_FAULTS: dict[str, dict[str, str]] = {
    "bill_of_materials_cost": {
        "no_assembly_is_part_of_itself": "update candidate set own_part_path = '749 > 749' where product_id = 749",
        "material_of_an_assembly_is_that_of_its_components": "update candidate set material_cost = material_cost + 1",
        "assemblies_are_those_with_a_valid_bill": "delete from candidate where product_id = 749",
        "levels_and_leaves_are_those_below_the_assembly": "update candidate set leaves = leaves + 1",
        "operations_cost_what_the_routing_says": "update candidate set routing_cost = routing_cost + 1",
    },
    "campaign_performance": {
        "sums_are_those_of_the_lines": "delete from candidate where method = 'no_sales'",
        "effects_are_those_of_the_periods": "update candidate set baseline_units = baseline_units * 1.1",
        "intervals_and_returns_follow_from_the_effect": "update candidate set incremental_units_lower_95 = null",
    },
    "card_usage": {
        "sums_are_those_of_the_orders": "update candidate set expired_at_order = 0 where card_type = 'Vista'",
    },
    "currency_sales": {
        "sums_are_those_of_the_orders": "update candidate set revenue_local = revenue_usd where currency_code = 'EUR'",
    },
    "customer_churn": {
        "customers_are_those_of_the_orders": "update candidate set days_silent = days_silent + 1",
        "threshold_divides_the_gaps": "update candidate set threshold_days = null where channel = 'reseller'",
        "bands_follow_from_the_silence": "update candidate set silence_band = '703+' where silence_band = '0-91'",
        "cycles_are_the_medians_of_the_gaps": "update candidate set cycle_months = cycle_months * 1.001",
        "online_customers_of_a_band_did_what_is_stated": "update candidate"
        " set observed_customers = observed_customers + 1 where channel = 'online'",
        "a_channel_has_one_test_and_a_band_one_share": "update candidate set tested_customers = tested_customers + 1"
        " where customer_id = 11000",
    },
    "customer_cohort_value": {
        "margins_are_those_of_the_orders": "update candidate set margin = margin + 1 where months_since > 0",
        "cohorts_reach_the_last_complete_month": "delete from candidate where months_since = 11",
    },
    "customer_demographics": {
        "cells_are_those_of_the_surveys": "delete from candidate where attribute = 'Gender' and band = 'M'",
    },
    "customer_retention": {
        "cells_are_those_of_the_orders": "delete from candidate where months_since = 0",
    },
    "customer_value": {
        "customers_are_those_of_the_orders": "update candidate set frequency = frequency + 1",
        "scores_and_segment_follow_from_the_customer": "update candidate set f_score = 1 where segment = 'loyal'",
        "resellers_are_valued_by_the_trailing_year": "update candidate set clv_52w = clv_52w * 2"
        " where channel = 'reseller'",
        "expectations_and_their_test_are_those_of_the_cells": "update candidate"
        " set holdout_rmse_constant = holdout_rmse_constant * 1.1 where channel = 'online'",
        "a_channel_has_one_method_and_one_test": "update candidate set withheld_because = 'total_is_off'"
        " where customer_id = 11000",
    },
    "daily_sales": {
        "tax_and_freight_are_those_of_the_orders": "update candidate set tax = freight, freight = tax",
        "sums_are_those_of_the_lines": "update candidate set average_order_value = 0 where territory_id = 4",
    },
    "data_quality": {
        "orders_are_all_checked": "update candidate set checked = checked - 1"
        " where rule = 'discount_is_that_of_the_offer'",
        "every_run_has_one_overall_score": "update candidate set overall_score = 0"
        " where rule = 'discount_is_that_of_the_offer'",
        "scores_follow_from_the_rules": "update candidate set table_score = table_score / 2",
        "known_defects_are_looked_for": "update candidate set severity = 'info'"
        " where rule = 'card_was_valid_when_used'",
        "rules_of_the_gate_are_there": "delete from candidate where dimension = 'volume'",
    },
    "exchange_rates": {
        "real_rates_are_those_of_the_source": "update candidate set average_rate = average_rate * 2",
        "gaps_are_filled_with_the_last_rate": "insert into candidate select currency_code, rate_date + 1, average_rate,"
        " end_of_day_rate, daily_return, volatility_30d, true, is_outlier from before"
        " where rate_date = (select max(rate_date) from before)",
        "returns_follow_from_the_rates": "update candidate set volatility_30d = volatility_30d * 1.1",
        "outliers_lie_far_from_the_median": "update candidate set is_outlier = false",
    },
    "fact_sales": {
        "revenue_of_an_order_is_its_subtotal": "update candidate set revenue = revenue + 1"
        " where sales_order_id = 43659",
        "lines_are_those_of_the_orders": "update candidate set channel = 'online' where territory_id = 1",
        "cost_is_that_of_the_day": "update candidate set cost_source = 'history'",
        "resellers_order_in_one_wave_a_month": "delete from candidate where channel = 'reseller'"
        " and booking_month = '2012-06-01'",
    },
    "forecast_accuracy": {
        "the_choice_follows_the_rule": "update candidate set is_chosen = false where territory_id = 1",
        "errors_are_those_of_the_series": "update candidate set wape = wape * 1.1 where model = 'naive'",
        "intervals_covered_what_is_stated": "update candidate set coverage_95 = 0.9 where model = 'naive'",
        "errors_of_a_channel_are_those_of_its_territories": "update candidate set channel_wape = channel_wape * 1.1"
        " where model = 'theta'",
        "published_forecasts_are_scored": "update candidate set published_months = published_months + 1",
    },
    "inventory_status": {
        "stock_is_that_of_all_locations": "update candidate set on_hand = on_hand + 1",
        "use_is_that_of_sales_and_work_orders": "update candidate set velocity_90d = velocity_90d + 1",
        "on_order_is_what_open_orders_miss": "update candidate set on_order = on_order + 1",
        "products_are_those_of_the_source": "delete from candidate where product_id = 1",
        "supply_follows_from_stock_and_use": "update candidate set days_of_supply = null where state = 'low'",
        "an_order_fills_up_to_the_level_within_the_limits": "update candidate set limited_by = 'maximum'"
        " where limited_by = 'minimum'",
        "a_state_follows_from_stock_and_dates": "update candidate set state = 'low' where state = 'ok'",
    },
    "late_work_orders": {
        "operations_are_those_of_the_routing": "update candidate set mean_days_late = mean_days_late + 1",
    },
    "monthly_profit": {
        "sums_are_those_of_the_lines": "update candidate set fallback_cost_revenue = 0",
        "category_and_margin_are_those_of_the_product_and_the_sums": "update candidate set category = 'Bikes'",
    },
    "product_affinity": {
        "pairs_are_those_of_the_orders": "update candidate set lift = lift * 1.1",
    },
    "product_performance": {
        "list_prices_are_those_of_the_month_s_end": "update candidate set list_price = list_price + 1",
        "sums_are_those_of_the_lines": "update candidate set units = units + 1",
        "names_are_those_of_the_product": "update candidate set subcategory = category",
        "ranks_and_classes_follow_from_the_revenue": "update candidate set abc_class = 'C' where abc_class = 'B'",
    },
    "production_costs": {
        "counts_are_those_of_the_work_orders": "update candidate set late_orders = late_orders + 1",
        "routing_costs_are_those_of_the_operations": "update candidate set variance = variance + 1",
        "scrap_costs_what_the_products_cost": "update candidate set scrap_cost = scrap_cost + 1",
    },
    "profit_bridge": {
        "effects_are_those_of_the_lines": "update candidate set volume_effect = volume_effect + mix_effect,"
        " mix_effect = 0",
    },
    "purchase_proposal": {
        "products_are_those_that_run_out": "delete from candidate where not preferred",
        "terms_are_those_of_the_vendor": "update candidate set preferred = not preferred",
        "orders_cover_the_need_within_the_limits": "update candidate set order_by = as_of",
        "rejects_are_those_of_the_last_year": "update candidate set rejected_share = 0",
    },
    "quota_pace": {
        "paces_are_those_of_the_waves": "update candidate set sales_to_date = sales_to_date + 1",
    },
    "sales_forecast": {
        "every_series_is_forecast": "delete from candidate where horizon = 3",
        "plain_models_come_out_again": "update candidate set lower_95 = lower_95 * 0.9",
        "forecasts_of_a_series_agree": "update candidate set lower_80 = null where horizon = 1",
    },
    "sales_person_performance": {
        "every_quota_is_there": "update candidate set quota = quota + 1",
        "sales_are_those_of_the_period": "update candidate set orders = orders + 1",
        "a_period_ends_where_the_next_begins": "update candidate set period_end = period_end + 1",
        "ratios_and_ranks_follow_from_the_sales": "update candidate set rank = 1",
    },
    "territory_sales": {
        "sums_are_those_of_the_lines": "update candidate set customers = orders",
        "calendar_revenue_is_that_of_the_lines": "update candidate set calendar_revenue = revenue",
        "names_and_ratios_follow_from_the_sums": "update candidate set revenue_growth = null where territory_id = 1",
    },
}
"""By mart and rule of its check file: a fault that the rule must find."""


class Trial:
    """A candidate that is damaged in a transaction, which is always rolled back."""

    def __init__(self, connection: psycopg.Connection, mart: Mart) -> None:
        (items,) = yaml.safe_load((MART / f"{mart.name}.yml").read_text(encoding="utf-8")).values()
        bodies = [body for item in items for body in item.values() if "fail query" in body]
        self.rules: dict[str, str] = {
            body["name"]: body["fail query"].replace("${as_of}", AS_OF.isoformat()) for body in bodies
        }
        self._connection, self._mart = connection, mart
        self._needs_rows = any("row_count > 0" in item for item in items)

    @cached_property
    def by_month(self) -> dict[str, tuple[str, str]]:
        """The rules that can be checked by month, each with its queries for the even and for the odd months."""
        months = [f"{year}-{month:02}" for year in range(2010, 2016) for month in range(1, 13)]
        return {
            rule: (
                within_months(self.rules[rule], self._mart, months[0::2]),
                within_months(self.rules[rule], self._mart, months[1::2]),
            )
            for rule in (check.rule for check in declared_checks(MART, self._mart.name) if check.by_month)
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
        assert trial.rules.keys() == RULE_FAULTS[mart.name].keys()
        assert [rule for rule, fault in RULE_FAULTS[mart.name].items() if not trial.breaks(rule, fault)] == []
        assert trial.broken_by("delete from candidate"), "an empty mart must be found"


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
