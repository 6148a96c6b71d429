"""Every rule that a mart's candidate is held to can be broken, and the fault that it is for breaks no other one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import psycopg
import pytest
import yaml

from adventureworks.catalog import MARTS
from adventureworks.columns import key_of
from tests.integration.candidates import MART, Warehouse, broken
from tests.integration.pipeline import Pipeline


class Fault(NamedTuple):
    """What is wrong with a candidate."""

    changed: Mapping[str, str] = MappingProxyType({})
    """Expressions that columns have instead of their values."""
    rows: str = ""
    """What follows FROM: which rows are left, or come besides."""
    breaks_too: frozenset[str] = frozenset()
    """Rules that no fault can leave alone that breaks this one."""


def only(condition: str, wrong: str, right: str) -> str:
    """An expression that is wrong in some rows."""
    return f"case when {condition} then {wrong} else {right} end"


NOT_LAST = (
    "period_end < (select max(o.period_end) from marts.sales_person_performance as o"
    " where o.sales_person_id = sales_person_performance.sales_person_id)"
)
A_FILLED_DAY_AT_THE_END = (
    "union all select currency_code, rate_date + 1, average_rate, end_of_day_rate, daily_return, volatility_30d, true,"
    " is_outlier from marts.exchange_rates"
    " where rate_date = (select max(rate_date) from marts.exchange_rates)"
)

FAULTS: dict[str, dict[str, Fault]] = {
    "bill_of_materials_cost": {
        "no_assembly_is_part_of_itself": Fault({"own_part_path": only("product_id = 749", "'749 > 749'", "null")}),
        "assemblies_are_those_with_a_valid_bill": Fault(rows="where product_id <> 749"),
        "material_of_an_assembly_is_that_of_its_components": Fault(
            {"material_cost": only("product_id = 749", "material_cost + 1", "material_cost")}
        ),
        "operations_cost_what_the_routing_says": Fault({"routing_cost": "routing_cost + 1"}),
    },
    "campaign_performance": {
        "sums_are_those_of_the_lines": Fault({"units": "units + 1"}),
        "every_offer_is_there": Fault(rows="where special_offer_id in (select special_offer_id from marts.fact_sales)"),
    },
    "card_usage": {
        "a_month_is_the_sum_of_its_lines": Fault({"revenue": "revenue + 1"}),
        "orders_without_a_card_are_so_at_the_source": Fault(
            {"card_type": only("card_type = 'No card'", "'Unknown'", "card_type")}
        ),
        "shares_of_a_month_make_a_whole": Fault({"order_share": "order_share / 2"}),
    },
    "currency_sales": {
        "a_month_is_the_sum_of_its_orders": Fault(
            {"revenue_usd": only("currency_code <> 'USD'", "revenue_usd + 1", "revenue_usd")}
        ),
        "usd_needs_no_rate": Fault({"revenue_local": "revenue_local + 1"}),
    },
    "customer_churn": {
        "every_customer_is_there": Fault({"days_silent": "days_silent + 1"}),
        "a_channel_has_one_threshold": Fault({"risk_days": only("customer_id = 11000", "risk_days - 1", "risk_days")}),
        "thresholds_divide_the_gaps": Fault({"risk_days": "risk_days - 20"}),
        "who_is_known_long_enough_counts": Fault({"counts_in_churn_rate": "not counts_in_churn_rate"}),
    },
    "customer_demographics": {
        "no_answer_has_more_customers_than_its_territory": Fault(
            {"customers": "customers * 20"}, breaks_too=frozenset({"cells_are_those_of_the_surveys"})
        ),
        "cells_are_those_of_the_surveys": Fault(
            rows="where not (attribute = 'Gender' and band = 'M' and territory_id = 1)"
        ),
    },
    "customer_retention": {
        "cohorts_hold_every_customer_once": Fault({"cohort_size": "cohort_size + 1"}),
        "a_month_has_the_customers_of_all_cohorts": Fault({"retained": "retained + 1"}),
        "revenue_of_a_cohort_is_that_of_its_customers": Fault({"revenue_retention": "revenue_retention + 0.1"}),
        "what_is_not_over_is_not_counted": Fault({"retained": "coalesce(retained, 0)"}),
    },
    "customer_value": {
        "every_customer_is_there_with_his_orders": Fault({"frequency": "frequency + 1"}),
        "better_customers_score_no_worse": Fault({"r_score": "(6 - r_score)::bigint"}),
    },
    "daily_sales": {
        "sums_are_those_of_the_lines": Fault(
            rows="where order_date <> '2011-05-31'", breaks_too=frozenset({"tax_and_freight_are_those_of_the_orders"})
        ),
        "tax_and_freight_are_those_of_the_orders": Fault({"freight": "freight + 1"}),
    },
    "data_quality": {
        "orders_are_all_checked": Fault({"checked": "checked - 1"}),
        "every_run_has_one_overall_score": Fault(
            {"overall_score": only("rule = 'discount_is_that_of_the_offer'", "0", "overall_score")}
        ),
    },
    "exchange_rates": {
        "real_rates_are_those_of_the_source": Fault({"average_rate": "average_rate * 2"}),
        "no_long_gap_is_filled": Fault(rows=A_FILLED_DAY_AT_THE_END),
    },
    "fact_sales": {
        "every_line_is_there": Fault(
            rows="where sales_order_id <> 43659 or sales_order_detail_id <> 1",
            breaks_too=frozenset({"revenue_of_an_order_is_its_subtotal"}),
        ),
        "no_other_line_is_there": Fault(
            {"sales_order_id": only("sales_order_detail_id = 1", "1", "sales_order_id")},
            breaks_too=frozenset({"every_line_is_there", "revenue_of_an_order_is_its_subtotal"}),
        ),
        "revenue_of_an_order_is_its_subtotal": Fault({"revenue": "revenue + 1"}),
    },
    "forecast_accuracy": {
        "one_model_is_chosen_and_none_did_better": Fault({"is_chosen": "is_chosen and territory_id <> 1"}),
        "the_chosen_model_is_the_published_one": Fault({"model": only("is_chosen", "'another'", "model")}),
    },
    "inventory_status": {
        "every_product_is_there": Fault(rows="where product_id <> 1"),
        "stock_is_that_of_all_locations": Fault({"on_hand": only("state = 'discontinued'", "on_hand + 1", "on_hand")}),
        "use_is_that_of_sales_and_work_orders": Fault({"velocity_90d": "velocity_90d + 1"}),
        "on_order_is_what_open_orders_miss": Fault({"on_order": "on_order + 1"}),
        "an_order_keeps_to_the_limits_of_its_vendor": Fault({"suggested_order": "suggested_order * 1000"}),
        "a_state_follows_from_stock_and_dates": Fault({"state": only("state = 'ok'", "'low'", "state")}),
    },
    "monthly_profit": {
        "a_month_is_the_sum_of_its_lines": Fault({"cogs": "cogs + 1"}),
        "a_product_has_one_category": Fault({"category": only("month = '2013-07-01'", "'Other'", "category")}),
    },
    "product_performance": {
        "sums_are_those_of_the_lines": Fault({"units": "units + 1"}),
        "ranks_count_up_with_falling_revenue": Fault({"rank": only("abc_class = 'C'", "rank + 1", "rank")}),
        "classes_follow_the_share_of_better_products": Fault(
            {"abc_class": only("abc_class = 'B'", "'C'", "abc_class")}
        ),
        "list_prices_are_those_of_the_month_s_end": Fault({"list_price": "list_price + 1"}),
    },
    "production_costs": {
        "counts_are_those_of_the_work_orders": Fault({"late_orders": "late_orders + 1"}),
        "routing_costs_are_those_of_the_operations": Fault({"variance": "variance + 1"}),
        "scrap_costs_what_the_products_cost": Fault({"scrap_cost": "scrap_cost + 1"}),
    },
    "sales_forecast": {"every_series_is_forecast": Fault(rows="where horizon < 3")},
    "sales_person_performance": {
        "every_quota_is_there": Fault({"quota": "quota + 1"}),
        "sales_are_those_of_the_person": Fault({"sales": "sales + 1"}),
        "periods_do_not_overlap": Fault({"period_end": only(NOT_LAST, "period_end + 1", "period_end")}),
    },
    "territory_sales": {
        "sums_are_those_of_the_lines": Fault({"orders": "orders + 1"}),
        "shares_of_a_month_make_a_whole": Fault({"revenue_share": "revenue_share / 2"}),
    },
}
CASES = [pytest.param(mart, rule, id=f"{mart}-{rule}") for mart, rules in FAULTS.items() for rule in rules]


@pytest.fixture(scope="module")
def warehouse(platform: Pipeline) -> Warehouse:
    return Warehouse(platform.url)


@pytest.fixture(scope="module")
def types(warehouse: Warehouse) -> dict[tuple[str, str], str]:
    """The type of each mart's columns."""
    with psycopg.connect(warehouse.url) as connection:
        rows = connection.execute(
            "select c.relname, a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute as a"
            " join pg_class as c on c.oid = a.attrelid where c.relnamespace = 'marts'::regnamespace and a.attnum > 0"
        )
        return {(table, column): kind for table, column, kind in rows}


@pytest.mark.parametrize(("mart", "rule"), CASES)
def test_a_fault_is_found_by_its_rule(
    warehouse: Warehouse, types: dict[tuple[str, str], str], mart: str, rule: str
) -> None:
    fault = FAULTS[mart][rule]
    # A view keeps the types of its columns.
    changed = {name: f"({expression})::{types[mart, name]}" for name, expression in fault.changed.items()}
    with warehouse.candidate(mart, f"select {warehouse.columns(mart, **changed)} from marts.{mart} {fault.rows}"):
        found = broken(warehouse.check(mart, folder=MART))
    assert rule in found
    assert found.keys() - {rule} <= fault.breaks_too
    assert found[rule].outcome == "fail"
    assert found[rule].failed
    assert found[rule].examples


@pytest.mark.parametrize("mart", MARTS)
def test_what_every_mart_is_held_to(warehouse: Warehouse, mart: str) -> None:
    assert broken(warehouse.check(mart, folder=MART)) == {}, "what is published keeps every rule"
    few = broken(warehouse.check(mart, folder=MART, **{f"least_rows_{mart}": "100000000"}))
    assert few.keys() == {"keeps_most_of_its_rows"}
    assert broken(warehouse.check(mart, folder=MART, **{f"stale_before_{mart}": "2099-01-01 00:00:00"})).keys() == {
        "is_fresh"
    }
    one = f"select * from marts.{mart} order by {', '.join(key_of(MARTS[mart]))} limit 1"
    with warehouse.candidate(mart, f"select * from marts.{mart} union all ({one})"):
        assert "key_is_unique" in broken(warehouse.check(mart, folder=MART))


def test_no_rule_is_without_a_fault() -> None:
    for mart in MARTS:
        document = yaml.safe_load((MART / f"{mart}.yml").read_text())
        rules = {
            body["name"]
            for checks in document.values()
            for check in checks
            for body in check.values()
            if "fail query" in body
        }
        assert rules == FAULTS.get(mart, {}).keys(), mart
