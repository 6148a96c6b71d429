"""What each special offer sold, cost and earned, by product category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import polars as pl

from adventureworks.marts.models import Read
from adventureworks.marts.quality.campaign_performance.periods import Periods, compared, sold
from adventureworks.marts.quality.campaign_performance.trial import Predicted, evaluated, predictions
from adventureworks.marts.quality.campaign_performance.uplift import Baseline, baseline, half_width

NO_CAMPAIGN = ("No Discount", "Volume Discount")
"""Types of offers without a period of their own, and so without a period before it."""

SUMS = ("lines", "units", "revenue", "discount_cost", "profit")
_FOUND = ("incremental_units", "incremental_profit", "roi")
_NOTHING = dict.fromkeys(
    (
        "control_products",
        "baseline_units",
        *_FOUND,
        *(f"{name}_{end}_95" for name in _FOUND for end in ("lower", "upper")),
        "tested_periods",
        "error_model",
        "error_baseline",
        "error_constant",
        "predicted_over_actual",
        "withheld_because",
    )
)


@dataclass(frozen=True)
class Part:
    """One channel and subcategory of a campaign: what was expected, and what its products sold and earned."""

    expected: Baseline
    controls: int
    units: int
    profit: float
    unit_profit: float
    """The profit of a unit in the period before."""

    @classmethod
    def of(cls, treated: pl.DataFrame, controls: pl.DataFrame) -> Part | None:
        """Compare products with others, both as `compared` returns them; None if there is nothing to compare with."""
        found = baseline(sold(treated), sold(controls))
        if found is None:
            return None
        past, units, past_profit, profit = treated.select(
            pl.col("units_before", "units_during", "profit_before", "profit_during").sum()
        ).row(0)
        return cls(found, controls.height, units, float(profit), float(past_profit) / past)


def compute(read: Read, as_of: date) -> pl.DataFrame:
    """Return one row per offer and category of the products sold under it; an offer that sold nothing has one row."""
    offers, delays = read("offers"), dict(read("delays").iter_rows())
    ordinary = offers.filter(pl.col("offer_type").is_in(NO_CAMPAIGN))["special_offer_id"]
    sales = read("sales").with_columns(is_promoted=~pl.col("special_offer_id").is_in(ordinary.implode()))
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
                rows.append(_campaign(offer, category, sums, of_category, sales, delays, as_of))
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
    delays: Mapping[str, int],
    as_of: date,
) -> dict[str, Any]:
    """Return the offer's sales in a category, compared with what the same products would have sold without it.

    The effect is withheld if such a comparison did not predict the sales of earlier periods without an offer.
    """
    first, last = offer["first_day"], min(offer["last_day"], as_of)
    # The total is known only if every part is.
    parts: list[Part] = []
    tests: list[list[Predicted]] = []
    for channel, subcategory in sorted(lines.select("channel", "subcategory_id").unique().rows()):
        here = pl.col("channel").eq(channel) & pl.col("subcategory_id").eq(subcategory)
        around, treated_ids = sales.filter(here), lines.filter(here)["product_id"].unique().to_list()
        products = compared(around, Periods.of(channel, delays[channel], first, last))
        part = Part.of(products.filter(pl.col("product_id").is_in(treated_ids)), products.filter("is_control"))
        if part is None:
            return _row(offer, category, sums, "no_comparison")
        parts.append(part)
        tests.append(list(predictions(around, treated_ids, channel, delays[channel], first, last)))
    trial = evaluated(tests)
    found = {} if trial.withheld_because else effect(parts, float(sums["discount_cost"]))
    return _row(offer, category, sums, "difference_in_differences", **found, **asdict(trial))


def effect(parts: Sequence[Part], cost: float) -> dict[str, float | None]:
    """Return what the parts sold and earned beyond expectation, and what that is for each USD of discount.

    An interval, and the return that is given only with one, is None if the error of a part is unknown.
    """
    expected = sum(part.expected.units for part in parts)
    units = sum(part.units for part in parts) - expected
    profit = sum(part.profit - part.expected.units * part.unit_profit for part in parts)
    found: dict[str, float | None] = {
        "control_products": min(part.controls for part in parts),
        "baseline_units": expected,
        "incremental_units": units,
        "incremental_profit": profit,
    }
    errors = [
        (part, part.expected.units * part.expected.error, part.expected.freedom)
        for part in parts
        if part.expected.error is not None and part.expected.freedom is not None
    ]
    if len(errors) < len(parts):
        return found
    found |= _around("incremental_units", units, half_width((error, freedom) for _, error, freedom in errors))
    half = half_width((error * part.unit_profit, freedom) for part, error, freedom in errors)
    found |= _around("incremental_profit", profit, half)
    return found | {"roi": profit / cost} | _around("roi", profit / cost, half / cost) if cost else found


def _around(name: str, value: float, half: float) -> dict[str, float | None]:
    return {f"{name}_lower_95": value - half, f"{name}_upper_95": value + half}
