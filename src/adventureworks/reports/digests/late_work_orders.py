"""Late operations of work orders in the last complete month without unfinished ones, by location and product."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from adventureworks.dictionary import definition, label
from adventureworks.messaging.bulletin import Bulletin, Figure, Listing
from adventureworks.months import shifted
from adventureworks.texts import Language
from adventureworks.warehouse.session import Session

MAX_PRODUCTS = 20

_MONTH = """
    select l.month from marts.late_work_orders as l
    join staging.sales_month as s on s.month = l.month where not s.is_partial
    group by l.month having sum(l.unfinished) = 0 order by l.month desc limit 1
"""
"""Delays of later months are not final."""
_TOTALS = """
    select sum(operations), sum(late), sum(late * mean_days_late) from marts.late_work_orders where month = %s
"""
_LOCATIONS = """
    select location, sum(operations), sum(late), sum(late * mean_days_late),
        case when count(hours_actual) = count(*) then sum(hours_actual) end
    from marts.late_work_orders where month = %s
    group by location_id, location order by sum(late) desc, location_id
"""
_PRODUCTS = """
    select p."Name", l.product_id, sum(l.operations), sum(l.late), sum(l.late * l.mean_days_late)
    from marts.late_work_orders as l join raw."Production_Product" as p on p."ProductID" = l.product_id
    where l.month = %s and l.late > 0
    group by p."Name", l.product_id order by 5 desc, l.product_id
"""


def bulletin(session: Session, language: Language) -> Bulletin | None:
    """Return the digest, or None if no complete month has only finished operations."""
    text, data = language.text, session.data
    newest = data.execute(_MONTH).fetchone()
    month = newest[0] if newest else None
    if month is None:
        return None
    now, before, year_before = (data.execute(_TOTALS, (shifted(month, -back),)).fetchone() for back in (0, 1, 12))
    share, days = label("late_share", language), label("mean_days_late", language)
    measured = (label("operations", language), label("late", language), share, days)
    return Bulletin(
        title=text("Late operations in {month}", month=language.month(month)),
        about=text("Operations of the work orders that started in the month, by location and product."),
        figures=(
            Figure(
                share,
                language.percent(_share(now)),
                text(
                    "{before} in the month before, {year_before} a year before",
                    before=language.percent(_share(before)),
                    year_before=language.percent(_share(year_before)),
                ),
            ),
            Figure(days, language.days(_days(now), 1)),
        ),
        listings=(
            Listing(
                text("By location"),
                (label("location", language), *measured, label("hours_actual", language)),
                tuple(
                    (location, *_measures(totals, language), language.number(hours))
                    for location, *totals, hours in data.execute(_LOCATIONS, (month,)).fetchall()
                ),
            ),
            Listing(
                text("Products with the longest delays in total"),
                (text("Product"), *measured),
                tuple(
                    (f"{product} ({product_id})", *_measures(totals, language))
                    for product, product_id, *totals in data.execute(_PRODUCTS, (month,)).fetchall()
                ),
                max_rows=MAX_PRODUCTS,
            ),
        ),
        notes=(
            definition("late_work_orders", "late", language).line,
            text(
                "All operations of a work order have the same dates in the source. The figures of a location show which"
                " late orders it worked on, not where the time was lost."
            ),
        ),
        page="dashboard/overview",
    )


def _measures(totals: Any, language: Language) -> tuple[str, ...]:
    operations, late, _ = totals
    return (
        language.number(operations),
        language.number(late),
        language.percent(_share(totals)),
        language.days(_days(totals), 1),
    )


def _share(totals: Any) -> Decimal | None:
    """Return the share of late operations; `totals` are operations, late ones and days late."""
    operations, late, _ = totals
    return Decimal(late) / operations if operations else None


def _days(totals: Any) -> Decimal | None:
    """Return the mean delay of the late operations."""
    _, late, days = totals
    return Decimal(days) / late if late else None
