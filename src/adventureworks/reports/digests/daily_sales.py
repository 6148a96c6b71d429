"""Sales of the latest business day, compared with the usual level, and of the month to date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from adventureworks.charts.mails import daily_revenue
from adventureworks.dictionary import definition, label
from adventureworks.messaging.bulletin import Bulletin, Figure, Listing
from adventureworks.months import month_of, shifted
from adventureworks.texts import Language
from adventureworks.texts.terms import channel_name
from adventureworks.warehouse.session import Session

WEEKS = 4
CHART_DAYS = 56
MAX_PRODUCTS = 5

_DAYS = """
    select order_date, channel, sum(orders), sum(revenue) from marts.daily_sales
    where order_date between %(since)s and %(day)s group by order_date, channel
"""
_TO_DATE = """
    select d.channel, b.days > 0, coalesce(sum(d.revenue) filter (where d.order_date >= %(start)s), 0),
        coalesce(sum(d.revenue) filter (where d.order_date between %(before)s and %(same_day)s), 0)
    from marts.daily_sales as d join staging.booking_delay as b on b.channel = d.channel
    where d.order_date <= %(day)s group by d.channel, b.days order by d.channel
"""
"""By channel: whether it orders in waves, revenue of the month to date and of the same days of the month before."""
_TERRITORIES = """
    select coalesce(t."Name", '–'), sum(d.orders), sum(d.revenue) from marts.daily_sales as d
    left join raw."Sales_SalesTerritory" as t on t."TerritoryID" = d.territory_id
    where d.order_date = %(day)s group by t."Name" order by sum(d.revenue) desc, t."Name"
"""
_PRODUCTS = """
    select p."Name", sum(f.quantity), sum(f.revenue) from marts.fact_sales as f
    join raw."Production_Product" as p on p."ProductID" = f.product_id
    where f.order_date = %(day)s group by p."ProductID", p."Name" order by sum(f.revenue) desc, p."ProductID"
    limit %(most)s
"""


def bulletin(session: Session, language: Language) -> Bulletin | None:
    """Return the digest of the latest day with orders, or None if there are no orders."""
    row = session.data.execute("select max(order_date) from marts.daily_sales").fetchone()
    if row is None or row[0] is None:
        return None
    day: date = row[0]
    text = language.text
    values = {"day": day, "since": day - timedelta(days=CHART_DAYS - 1), "most": MAX_PRODUCTS, **_to_date(day)}
    days = session.data.execute(_DAYS, values).fetchall()
    to_date = session.data.execute(_TO_DATE, values).fetchall()
    withheld = session.data.execute("select count(*) from staging.withheld_order").fetchone()
    figures = [_figure(days, day, channel, language) for channel in ("online", "reseller")]
    figures.append(
        Figure(
            text("Month to date"),
            language.short_money(sum((revenue for _, _, revenue, _ in to_date), Decimal(0))),
            " ".join(_so_far(channel, waves, now, before, language) for channel, waves, now, before in to_date),
        )
    )
    total = sum((revenue for when, _, _, revenue in days if when == day), Decimal(0))
    notes = [definition("daily_sales", "revenue", language).line]
    if withheld and withheld[0]:
        notes.append(text("Orders withheld by the quality checks: {count}.", count=language.number(withheld[0])))
    return Bulletin(
        title=text("Sales on {day}", day=language.day(day)),
        about=text("Total revenue of {amount}.", amount=language.money(total)),
        figures=tuple(figures),
        listings=(
            Listing(
                text("Territories"),
                (label("territory", language), label("orders", language), label("revenue", language)),
                tuple(_rows(session.data.execute(_TERRITORIES, values).fetchall(), language)),
            ),
            Listing(
                text("Best-selling products"),
                (label("product", language), label("units", language), label("revenue", language)),
                tuple(_rows(session.data.execute(_PRODUCTS, values).fetchall(), language)),
            ),
        ),
        notes=tuple(notes),
        chart=daily_revenue([(when, channel, revenue) for when, channel, _, revenue in days], language),
        chart_text=text("Daily revenue of the last {count} days, by channel.", count=str(CHART_DAYS)),
        page="dashboard/overview",
    )


def _figure(days: Sequence[tuple[Any, ...]], day: date, channel: str, language: Language) -> Figure:
    """Return revenue, orders and order value of a channel, compared with the same weekday of previous weeks."""
    sold = {when: (orders, revenue) for when, of, orders, revenue in days if of == channel}
    orders, revenue = sold.get(day, (0, Decimal(0)))
    usual = sum((sold.get(day - timedelta(weeks=week), (0, Decimal(0)))[1] for week in range(1, WEEKS + 1)), Decimal(0))
    mean = usual / WEEKS
    text = language.text
    name = channel_name(channel, language)
    if not orders:
        return Figure(name, language.short_money(revenue), text("No orders"))
    note = text(
        "Orders: {orders}, average {value}; {change} from the {weeks}-week average",
        orders=language.number(orders),
        value=language.money(revenue / orders),
        change=language.change(revenue / mean - 1 if mean else None),
        weeks=str(WEEKS),
    )
    return Figure(name, language.short_money(revenue), note)


def _so_far(channel: str, is_in_waves: bool, revenue: Decimal, before: Decimal, language: Language) -> str:
    """Return a channel's month to date; only a channel that orders throughout the month has comparable days."""
    text, name = language.text, channel_name(channel, language)
    if not revenue:
        return text("{channel}: no orders yet.", channel=name)
    if is_in_waves or not before:
        return text("{channel}: {revenue}.", channel=name, revenue=language.short_money(revenue))
    return text(
        "{channel}: {revenue}, {change} from the same days of the month before.",
        channel=name,
        revenue=language.short_money(revenue),
        change=language.change(revenue / before - 1),
    )


def _to_date(day: date) -> dict[str, date]:
    start = month_of(day)
    before = shifted(start, -1)
    return {
        "start": start,
        "before": before,
        "same_day": min(before + timedelta(days=day.day - 1), start - timedelta(days=1)),
    }


def _rows(found: Sequence[tuple[Any, ...]], language: Language) -> list[tuple[str, ...]]:
    return [(name, language.number(count), language.money(revenue)) for name, count, revenue in found]
