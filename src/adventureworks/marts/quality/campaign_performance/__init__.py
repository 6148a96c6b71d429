"""What each special offer sold, cost and earned, by product category."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl

from adventureworks.marts.models import Read
from adventureworks.marts.quality.campaign_performance.uplift import NORMAL_95, Baseline, Sold, baseline

BEFORE = timedelta(weeks=8)
NO_CAMPAIGN = ("No Discount", "Volume Discount")
"""Types of offers without a period of their own, and so without a period before it."""

SUMS = ("lines", "units", "revenue", "discount_cost", "profit")
_NOTHING = dict.fromkeys(
    (
        "baseline_units",
        "incremental_units",
        "incremental_units_lower_95",
        "incremental_units_upper_95",
        "incremental_profit",
        "roi",
    )
)


def compute(read: Read, as_of: date) -> pl.DataFrame:
    """Return one row per offer and category of the products sold under it; an offer that sold nothing has one row."""
    offers, sales = read("offers"), read("sales")
    ordinary = offers.filter(pl.col("offer_type").is_in(NO_CAMPAIGN))["special_offer_id"]
    promoted = sales.filter(~pl.col("special_offer_id").is_in(ordinary.implode()))
    rows: list[dict[str, Any]] = []
    for offer in offers.sort("special_offer_id").iter_rows(named=True):
        lines = sales.filter(special_offer_id=offer["special_offer_id"])
        if lines.is_empty():
            rows.append(_row(offer, "Unassigned", dict.fromkeys(SUMS) | {"lines": 0}, "no_sales"))
        for category in sorted(lines["category"].unique()):
            of_category = lines.filter(category=category)
            sums = of_category.select(pl.col(SUMS).sum()).row(0, named=True)
            if offer["offer_type"] in NO_CAMPAIGN:
                rows.append(_row(offer, category, sums, "none"))
            else:
                rows.append(_campaign(offer, category, sums, of_category, sales, promoted, as_of))
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(as_of=pl.lit(as_of))


def _row(offer: dict[str, Any], category: str, sums: dict[str, Any], method: str, **found: Any) -> dict[str, Any]:
    return {
        "special_offer_id": offer["special_offer_id"],
        "category": category,
        **sums,
        **_NOTHING,
        **found,
        "method": method,
        "first_day": offer["first_day"],
        "last_day": offer["last_day"],
    }


def _campaign(
    offer: dict[str, Any],
    category: str,
    sums: dict[str, Any],
    lines: pl.DataFrame,
    sales: pl.DataFrame,
    promoted: pl.DataFrame,
    as_of: date,
) -> dict[str, Any]:
    """Return the offer's sales in a category, compared with what the same products would have sold without it."""
    first, last = offer["first_day"], min(offer["last_day"], as_of)
    during = pl.col("order_date").is_between(first, last)
    before = pl.col("order_date").is_between(first - BEFORE, first - timedelta(days=1))
    busy = promoted.filter(before | during).select("product_id", "channel").unique()
    # The total is known only if every part is.
    parts: list[tuple[Baseline, int, float]] = []
    for channel, subcategory in sorted(lines.select("channel", "subcategory_id").unique().rows()):
        here = pl.col("channel").eq(channel) & pl.col("subcategory_id").eq(subcategory)
        around = sales.filter(here & (before | during))
        treated = around.join(lines.filter(here).select("product_id").unique(), on="product_id", how="semi")
        others = around.join(busy, on=["product_id", "channel"], how="anti")
        found = baseline(_sold(treated, before, during), _sold(others, before, during))
        if found is None:
            return _row(offer, category, sums, "no_comparison")
        past = treated.filter(before).select(pl.col("profit", "units").sum()).row(0)
        actual = treated.filter(during).select(pl.col("units", "profit").sum()).row(0)
        parts.append((found, actual[0], float(actual[1]) - found.units * float(past[0]) / past[1]))
    expected = sum(found.units for found, _, _ in parts)
    more = sum(units for _, units, _ in parts) - expected
    profit = sum(gained for _, _, gained in parts)
    variances = [found.variance for found, _, _ in parts]
    spread = None if None in variances else NORMAL_95 * math.sqrt(sum(v for v in variances if v is not None))
    cost = float(sums["discount_cost"])
    return _row(
        offer,
        category,
        sums,
        "difference_in_differences",
        baseline_units=expected,
        incremental_units=more,
        incremental_units_lower_95=None if spread is None else more - spread,
        incremental_units_upper_95=None if spread is None else more + spread,
        incremental_profit=profit,
        roi=profit / cost if cost else None,
    )


def _sold(sales: pl.DataFrame, before: pl.Expr, during: pl.Expr) -> Sequence[Sold]:
    """Return the units of each product in the two periods."""
    products = sales.group_by("product_id").agg(
        pl.col("units").filter(before).sum().alias("before"), pl.col("units").filter(during).sum().alias("during")
    )
    return [Sold(row["before"], row["during"]) for row in products.sort("product_id").iter_rows(named=True)]
