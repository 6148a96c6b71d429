"""Random events without any offer: the intervals of campaigns miss zero as often as they state, on the real data."""

from __future__ import annotations

import math
from datetime import timedelta
from random import Random

import duckdb
import polars as pl
import pytest

from adventureworks.marts.quality.campaign_performance import Part, effect
from adventureworks.marts.quality.campaign_performance.periods import Periods, compared
from tests.acceptance.report import Report

EVENTS, NOMINAL = 200, 0.05
TOLERANCE = 2 * math.sqrt(NOMINAL * (1 - NOMINAL) / EVENTS)
DELAY_DAYS = {"online": 0, "reseller": 3}
FIGURES = ("units", "profit")
_SALES = """
    select s.channel, s.product_id, s.order_date, coalesce(p.ProductModelID, -p.ProductID) as model_id,
        coalesce(p.ProductSubcategoryID, 0) as subcategory_id, p.SellStartDate::date as sell_start_day,
        p.SellEndDate::date as sell_end_day, p.DiscontinuedDate::date as discontinued_day,
        bool_or(o.Type not in ('No Discount', 'Volume Discount')) as is_promoted, sum(s.quantity)::bigint as units,
        sum(s.revenue - s.cogs) as profit
    from sold as s
    join Production_Product as p on p.ProductID = s.product_id
    join Sales_SpecialOffer as o on o.SpecialOfferID = s.special_offer_id
    group by all
"""


@pytest.fixture(scope="module")
def sales(files: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The real sales, per product, channel, day and whether they were promoted."""
    rows = pl.from_arrow(files.sql(_SALES).to_arrow_table())
    assert isinstance(rows, pl.DataFrame)
    return rows


def alarms(sales: pl.DataFrame, channel: str, chance: Random) -> dict[str, bool] | None:
    """Return whether a fictitious offer on one model seems to have had an effect, on units and on profit.

    None if it cannot be judged.

    Offers are on all colours and sizes of a model, so events are, too. They last from four to thirteen weeks.
    """
    start, end = sales.select(first=pl.col("order_date").min(), last=pl.col("order_date").max()).row(0)
    first = start + timedelta(days=chance.randrange((end - start).days))
    periods = Periods.of(channel, DELAY_DAYS[channel], first, first + timedelta(days=chance.randint(28, 91)))
    products = compared(sales, periods).filter("is_control")
    if periods.before[0] < start or periods.during[1] > end or products.is_empty():
        return None
    model = chance.choice(products["model_id"].unique().sort().to_list())
    treated = products.filter(pl.col("model_id") == model)
    others = products.filter(pl.col("model_id") != model, pl.col("subcategory_id") == treated["subcategory_id"].first())
    part = Part.of(treated, others)
    if part is None:
        return None
    found, excluded = effect([part], cost=0), {}
    for figure in FIGURES:
        lower, upper = (found.get(f"incremental_{figure}_{end}_95") for end in ("lower", "upper"))
        if lower is None or upper is None:
            return None
        excluded[figure] = not lower <= 0 <= upper
    return excluded


@pytest.mark.parametrize("channel", DELAY_DAYS)
def test_offers_that_never_were_have_an_effect_as_rarely_as_stated(
    sales: pl.DataFrame, report: Report, channel: str
) -> None:
    chance, of_channel = Random(channel), sales.filter(channel=channel)
    events: list[dict[str, bool]] = []
    while len(events) < EVENTS:
        event = alarms(of_channel, channel, chance)
        if event is not None:
            events.append(event)
    shares = {figure: sum(event[figure] for event in events) / EVENTS for figure in FIGURES}
    report.figures.extend(
        (
            f"false alarms among {EVENTS} offers that never were, {channel}, {figure}",
            f"5.0 % ± {100 * TOLERANCE:.1f}",
            f"{100 * share:.1f} %",
        )
        for figure, share in shares.items()
    )
    assert {figure: share for figure, share in shares.items() if abs(share - NOMINAL) > TOLERANCE} == {}
