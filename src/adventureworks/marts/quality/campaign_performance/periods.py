"""The periods that a campaign compares, and the products on sale in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from adventureworks.marts.quality.campaign_performance.uplift import Sold
from adventureworks.months import month_of, shifted

WEEKS_BEFORE = 8
"""Online, the campaign is compared with these weeks before it."""
MONTHS_BEFORE = 3
"""For resellers, who order in one wave a month, it is compared with these booking months."""


@dataclass(frozen=True)
class Periods:
    """The first and last days of the campaign and of the period before it."""

    before: tuple[date, date]
    during: tuple[date, date]

    @classmethod
    def of(cls, channel: str, delay_days: int, first: date, last: date) -> Periods:
        """Return the periods of a channel. `delay_days`: how many days of the next month a booking month includes."""
        if channel == "online":
            return cls((first - timedelta(weeks=WEEKS_BEFORE), first - timedelta(days=1)), (first, last))
        delay = timedelta(days=delay_days)
        month = month_of(first - delay)
        return cls((shifted(month, -MONTHS_BEFORE) + delay, month + delay - timedelta(days=1)), (first, last))


def compared(sales: pl.DataFrame, periods: Periods) -> pl.DataFrame:
    """Return what each product sold in the two periods, and whether it can be a control.

    A control was on sale from the first day to the last, sold in both periods, and was in no campaign in either.
    `sales`: of one channel, with `is_promoted`. The result has one row per product with sales in a period.
    """
    day = pl.col("order_date")
    before, during = day.is_between(*periods.before), day.is_between(*periods.during)
    is_on_sale = (pl.col("sell_start_day") <= periods.before[0]) & pl.all_horizontal(
        pl.col(end).is_null() | (pl.col(end) >= periods.during[1]) for end in ("sell_end_day", "discontinued_day")
    )
    return (
        sales.filter(before | during)
        .group_by("product_id", "model_id", "subcategory_id", is_on_sale=is_on_sale)
        .agg(
            *(
                pl.col(name).filter(period).sum().alias(f"{name}_{place}")
                for name in ("units", "profit")
                for place, period in (("before", before), ("during", during))
            ),
            pl.col("is_promoted").any(),
        )
        .with_columns(
            is_control=pl.col("is_on_sale")
            & ~pl.col("is_promoted")
            & (pl.col("units_before") > 0)
            & (pl.col("units_during") > 0)
        )
        .sort("product_id")
    )


def sold(products: pl.DataFrame) -> list[Sold]:
    """Return the units of each product."""
    return [Sold(*row) for row in products.select("model_id", "units_before", "units_during").iter_rows()]
