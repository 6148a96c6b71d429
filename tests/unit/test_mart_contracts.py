"""The gate's query over all rules of a mart's contract agrees with Pandera, which only sees what the query refuses.

A row consists of the least values that the columns allow, without those that may be missing, and of `VALID`. Each rule
is broken by another value in one of its columns, or by the change in `BROKEN`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from adventureworks.catalog import MARTS
from adventureworks.gate.contract import keeps_every_rule
from tests.unit.test_source_contracts import Row, broken_rules, frame, is_date, rules_of, schema_of

DAYS = ("2014-05-01", "2014-06-01")
VALID: dict[str, Row] = {
    "fact_sales": {"revenue": 0},
    "sales_person_performance": {"period_end": "2014-08-01", "gap": 0},
    "quota_pace": {"earlier_periods": 0},
    "sales_forecast": {
        "withheld_because": "nothing_to_compare",
        "channel_withheld_because": "nothing_to_compare",
        "month": "2014-06-01",
    },
    "customer_value": {"method": "rfm_cell", "withheld_because": "total_is_off"},
    "customer_churn": {"withheld_because": "nothing_to_compare"},
    "product_performance": {"profit": 0},
    "product_affinity": {"other_product_id": 2},
    "production_costs": {"ordered": 2},
    "late_work_orders": {"late": 0},
    "monthly_profit": {"profit": 0},
    "campaign_performance": {"method": "none"},
}
BROKEN: dict[str, list[Row]] = {
    "sales_forecast": [{"lower_95": 2, "lower_80": 1}],
    "customer_retention": [{"months_since": 0, "retained": 1, "cohort_size": 2}],
    "customer_churn": [{"reorder_lower_95": 1, "reorder_probability_52w": "0.5", "reorder_upper_95": 1}],
    "inventory_status": [{"suggested_order": 1, "needed": 0}],
    "campaign_performance": [
        {"roi": 1, "roi_lower_95": 2, "roi_upper_95": 3},
        {"withheld_because": "total_is_off"},
    ],
}
"""Changes that break rules between columns that may be missing."""


@pytest.mark.parametrize("name", MARTS)
def test_the_query_over_all_rules_accepts_valid_rows_and_no_row_that_breaks_a_rule(name: str) -> None:
    mart, valid = MARTS[name], row(name)
    changes = [*other_values(name), *BROKEN.get(name, [])]
    outcomes = broken_rules(name, [valid, *(valid | change for change in changes)])
    assert outcomes[0] == set(), "the valid row itself is rejected"
    breaking = {rule: change for change, rules in zip(changes, outcomes[1:], strict=True) for rule in rules}
    given = {f"{column} not null" for column, found in schema_of(name).columns.items() if not found.nullable}
    assert breaking.keys() == rules_of(name) | given
    assert keeps_every_rule(mart, frame(name, []))
    assert keeps_every_rule(mart, frame(name, [valid]))
    assert not keeps_every_rule(mart, frame(name, [valid] * 2)), "the key occurs twice"
    assert [rule for rule, change in breaking.items() if keeps_every_rule(mart, frame(name, [valid | change]))] == []


def row(name: str) -> Row:
    """Return a row that breaks no rule."""
    return {column: least(found) for column, found in schema_of(name).columns.items()} | VALID.get(name, {})


def least(column: Any) -> Any:
    """Return a value that the rules of a column accept; None where it may be missing."""
    if column.nullable:
        return None
    limits = {name: value for check in column.checks for name, value in check.statistics.items()}
    if "allowed_values" in limits:
        return sorted(limits["allowed_values"])[0]
    dtype = column.dtype.type
    if dtype == pl.String:
        return "A"
    if dtype == pl.Boolean:
        return True
    return DAYS[0] if is_date(column) else max(limits.get("min_value", 1), 1)


def other_values(name: str) -> Iterator[Row]:
    """Yield changes of one column of a row: none, and values of its type on both sides of the limits of its rules."""
    for column, found in schema_of(name).columns.items():
        dtype = found.dtype.type
        values: tuple[Any, ...] = (-2, 0, 3, 100)
        if dtype == pl.String:
            values = ("?", *(v for check in found.checks for v in check.statistics["allowed_values"]))
        elif dtype == pl.Boolean:
            values = (True, False)
        elif is_date(found):
            values = DAYS
        yield from ({column: value} for value in (None, *values))
