"""What each special offer sold, cost and earned, by product category."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import polars as pl

from adventureworks.marts.changes import Changes
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
    sales = _promoted(read("sales"), offers)
    return _of_date([row for offer in _numbered(offers) for row in _rows(offer, sales, delays, as_of)], as_of)


def update(read: Read, changes: Changes, as_of: date) -> pl.DataFrame | None:
    """Return what `compute` returns: sums are the published ones and what was added, effects those of affected offers.

    None if that is not known, or other offers have begun.
    """
    offers, published, sold = read("offers"), changes.published(), _sold(changes, as_of)
    if sold is None or set(offers["special_offer_id"]) != set(published["special_offer_id"]):
        return None
    compute_again = _affected(offers, sold, changes.as_of, as_of)
    sales, delays = pl.DataFrame(), dict[str, int]()
    if compute_again:
        sales = _promoted(_neighbouring(read, changes, compute_again, as_of), offers)
        delays = dict(read("delays").iter_rows())
    before, now = map(_sums, sold)
    rows: list[dict[str, Any]] = []
    for offer in _numbered(offers):
        number = offer["special_offer_id"]
        known = published.filter(special_offer_id=number).drop("as_of")
        if number in compute_again:
            rows += _rows(offer, sales, delays, as_of)
        elif offer["offer_type"] in NO_CAMPAIGN:
            rows += _ordinary(offer, _totals(_sums(known).get(number, {}), before.get(number, {}), now.get(number, {})))
        else:
            rows += known.sort("category").to_dicts()
    return _of_date(rows, as_of)


def affected(read: Read, changes: Changes, as_of: date) -> set[int] | None:
    """Return the campaigns whose effect depends on lines that have changed; None if that is not known."""
    sold = _sold(changes, as_of)
    return None if sold is None else _affected(read("offers"), sold, changes.as_of, as_of)


def _numbered(offers: pl.DataFrame) -> list[dict[str, Any]]:
    return offers.sort("special_offer_id").to_dicts()


def _of_date(rows: list[dict[str, Any]], as_of: date) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(as_of=pl.lit(as_of))


def _sold(changes: Changes, as_of: date) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """Return what the changed orders sold, before and now; None if that is not known or offers have changed."""
    return None if "Sales_SpecialOffer" in changes.inputs else changes.of_orders("sales", as_of)


def _affected(offers: pl.DataFrame, sold: tuple[pl.DataFrame, pl.DataFrame], last_as_of: date, as_of: date) -> set[int]:
    """Return the campaigns with changed lines of their own or up to their last day, and those that have gone on."""
    lines = pl.concat(one.select("special_offer_id", "order_date") for one in sold)
    own, first_change = set(lines["special_offer_id"]), lines["order_date"].min() or date.max
    campaigns = offers.filter(~pl.col("offer_type").is_in(NO_CAMPAIGN))
    return {
        number
        for number, last in campaigns.select("special_offer_id", "last_day").iter_rows()
        if number in own or first_change <= last or (as_of != last_as_of and last > min(as_of, last_as_of))
    }


def _sums(lines: pl.DataFrame) -> dict[int, dict[str, dict[str, Any]]]:
    """Return the sums of what was sold, by offer and category."""
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for (offer, category), of_both in lines.group_by("special_offer_id", "category"):
        found.setdefault(offer, {})[category] = of_both.select(pl.col(SUMS).sum()).row(0, named=True)
    return found


def _totals(
    known: dict[str, dict[str, Any]], before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the known sums by category, less those before and plus those now; only of categories with lines."""
    nothing = dict.fromkeys(SUMS, 0)
    totals = {
        category: {
            name: known.get(category, nothing)[name]
            - before.get(category, nothing)[name]
            + now.get(category, nothing)[name]
            for name in SUMS
        }
        for category in known.keys() | now.keys()
    }
    return {category: sums for category, sums in totals.items() if sums["lines"]}


def _ordinary(offer: dict[str, Any], sums: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of an offer without an effect, from its sums by category."""
    if not sums:
        return [_row(offer, "Unassigned", dict.fromkeys(SUMS) | {"lines": 0}, "no_sales")]
    return [_row(offer, category, sums[category], "none") for category in sorted(sums)]


def _promoted(sales: pl.DataFrame, offers: pl.DataFrame) -> pl.DataFrame:
    """Return the sales with whether they were under a campaign."""
    ordinary = offers.filter(pl.col("offer_type").is_in(NO_CAMPAIGN))["special_offer_id"]
    return sales.with_columns(is_promoted=~pl.col("special_offer_id").is_in(ordinary.implode()))


def _neighbouring(read: Read, changes: Changes, offers: Collection[int], as_of: date) -> pl.DataFrame:
    """Return the sales of all products of the subcategories in which these offers sold anything."""
    own = changes.restricted("sales", "fact_sales", "special_offer_id", offers, as_of)
    products = read("products").filter(pl.col("subcategory_id").is_in(own["subcategory_id"].unique().implode()))
    return changes.restricted("sales", "fact_sales", "product_id", products["product_id"].to_list(), as_of)


def _rows(offer: dict[str, Any], sales: pl.DataFrame, delays: Mapping[str, int], as_of: date) -> list[dict[str, Any]]:
    """Return the rows of an offer, from the sales of all products of its subcategories."""
    lines = sales.filter(special_offer_id=offer["special_offer_id"])
    sums = _sums(lines).get(offer["special_offer_id"], {})
    if not sums or offer["offer_type"] in NO_CAMPAIGN:
        return _ordinary(offer, sums)
    return [
        _campaign(offer, category, sums[category], lines.filter(category=category), sales, delays, as_of)
        for category in sorted(sums)
    ]


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
