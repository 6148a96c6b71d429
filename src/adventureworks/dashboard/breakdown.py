"""KPIs of the overview by channel, territory and product, with the year before.

All of them are computed from `fact_sales`, by the month that the overview counts by, so that the parts of a sum add up
to the KPI exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal, get_args

from adventureworks.catalog.pages import address
from adventureworks.dashboard.analysis import InvalidParameter, Months, NotPublished, names_of
from adventureworks.months import key_of, shifted
from adventureworks.texts import Language, phrase
from adventureworks.texts.terms import channel_name
from adventureworks.warehouse.session import Data

Level = Literal["channel", "territory_id", "product_id"]
LEVELS: tuple[Level, ...] = get_args(Level)

_BOOKING_MONTH = "booking_month"
_CALENDAR_MONTH = "cast(date_trunc('month', order_date) as date)"
_ORDERS = "count(distinct sales_order_id)"


@dataclass(frozen=True)
class Kpi:
    """How a KPI is computed from the lines of orders."""

    mart: str
    """The mart of the column that defines it; the KPI has the column's name."""
    month: str
    """The SQL expression of the month that a line counts towards."""
    amount: str
    """The SQL expression of the sum."""
    per: str = ""
    """The SQL expression of the sum by which the amount is divided; empty: the KPI is a sum itself."""
    levels: tuple[Level, ...] = LEVELS
    """What it can be broken down by: over these, the sums add up."""

    @property
    def by_booking_month(self) -> bool:
        """Whether it counts by booking month, not by calendar month."""
        return self.month == _BOOKING_MONTH


# An order has one channel and one territory, but several products.
KPIS: Mapping[str, Kpi] = {
    "revenue": Kpi("territory_sales", _BOOKING_MONTH, "sum(revenue)"),
    "orders": Kpi("territory_sales", _BOOKING_MONTH, _ORDERS, levels=LEVELS[:2]),
    "average_order_value": Kpi("daily_sales", _BOOKING_MONTH, "sum(revenue)", _ORDERS, levels=LEVELS[:2]),
    "profit": Kpi("monthly_profit", _CALENDAR_MONTH, "sum(revenue - cogs)"),
    "margin": Kpi("monthly_profit", _CALENDAR_MONTH, "sum(revenue - cogs)", "sum(revenue)"),
    "units": Kpi("product_performance", _CALENDAR_MONTH, "sum(quantity)"),
}
"""By the name of the column. Other KPIs of the overview are not sums over lines of orders."""


@dataclass(frozen=True)
class Part:
    """The KPI for one channel, territory or product, or for all of them."""

    key: str
    """Its value in the address; empty for the total."""
    name: str
    now: Decimal | None
    year_before: Decimal | None
    share: Decimal | None
    """The part of the total; None if the KPI is a ratio, or if an amount is negative."""

    @property
    def change(self) -> Decimal | None:
        """The difference from the year before."""
        return None if self.now is None or self.year_before is None else self.now - self.year_before


@dataclass(frozen=True)
class Breakdown:
    """A KPI in a month, for what was chosen, by the next level."""

    month: date
    months: Months
    """The months to choose from."""
    is_compared: bool
    """Whether the year before can be shown: neither month is partial."""
    chosen: Mapping[Level, str]
    """The names of what was chosen by level."""
    level: Level
    is_last: bool
    """Whether the parts cannot be broken down further."""
    parts: tuple[Part, ...]
    """The largest first; none if nothing was sold."""
    total: Part


_Sums = tuple[Decimal, Decimal]
"""The amount of a KPI and, if it is a ratio, its divisor."""
_NOTHING: _Sums = (Decimal(0), Decimal(0))


def page_of(mart: str, column: str, month: date | None) -> str:
    """Return the address of the page that a KPI opens: its breakdown in a month or, if it has none, its analysis."""
    if month and column in KPIS and KPIS[column].mart == mart:
        return f"figure/{column}?month={key_of(month)}"
    return address(mart)


def broken_down(
    data: Data, name: str, months: Months, month: str, chosen: Mapping[Level, str], language: Language
) -> Breakdown:
    """Return a KPI of `KPIS` by the first level for which nothing was chosen.

    `months`: those of `months_of`. `month`: its key; empty for the last complete one. `chosen`: keys of parts by level.
    Raises `InvalidParameter` if there is no such month, part or further level, `NotPublished` if there are no orders.
    """
    kpi = KPIS[name]
    period = months.period("month", month)
    if period is None:
        raise NotPublished("fact_sales")
    names = {level: _names(data, level, language) for level in chosen}
    if unknown := [key for level, key in chosen.items() if key not in names[level]]:
        raise InvalidParameter(phrase("{name} is not one of the choices.", name=unknown[0]))
    remaining = [level for level in kpi.levels if level not in chosen]
    if not remaining:
        raise InvalidParameter(phrase("This figure cannot be broken down further."))
    level = remaining[0]
    now, year_before = period.month, shifted(period.month, -12)
    values: dict[str, Any] = {str(one): key for one, key in chosen.items()}
    rows = data.execute(
        f"select cast({level} as varchar), {kpi.month}, {kpi.amount}, {kpi.per or 'null'} from marts.fact_sales"
        f" where {kpi.month} in (%(now)s, %(year_before)s)"
        f"{''.join(f' and cast({one} as varchar) = %({one})s' for one in chosen)} group by 1, 2",
        {"now": now, "year_before": year_before, **values},
    ).fetchall()
    is_compared = {now, year_before} <= set(months.known) - months.partial
    parts, total = parts_of(rows, now, _names(data, level, language), is_ratio=bool(kpi.per), is_compared=is_compared)
    return Breakdown(
        month=now,
        months=months,
        is_compared=is_compared,
        chosen={level: names[level][key] for level, key in chosen.items()},
        level=level,
        is_last=len(remaining) == 1,
        parts=parts,
        total=total,
    )


def parts_of(
    rows: Iterable[tuple[str, date, Any, Any]],
    now: date,
    names: Mapping[str, str],
    *,
    is_ratio: bool,
    is_compared: bool,
) -> tuple[tuple[Part, ...], Part]:
    """Return the parts of a KPI, the largest first, and the total.

    `rows` have the key of a part, a month (`now` or the year before), the amount, and the divisor if it is a ratio.
    """
    current: dict[str, _Sums] = {}
    earlier: dict[str, _Sums] = {}
    for key, month, amount, per in rows:
        if month == now:
            current[key] = (Decimal(amount), Decimal(per or 0))
        elif is_compared:
            earlier[key] = (Decimal(amount), Decimal(per or 0))
    all_now, all_before = _added(current.values()), _added(earlier.values())
    # Losses make shares of a profit meaningless.
    has_shares = not is_ratio and all_now[0] > 0 and all(amount >= 0 for amount, _ in current.values())

    def figure(sums: _Sums) -> Decimal | None:
        amount, per = sums
        if is_ratio:
            return amount / per if per else None
        return amount

    def part(key: str, sums: _Sums, before: _Sums) -> Part:
        share = sums[0] / all_now[0] if has_shares else None
        return Part(key, names.get(key, key), figure(sums), figure(before) if is_compared else None, share)

    parts = [part(key, current.get(key, _NOTHING), earlier.get(key, _NOTHING)) for key in {*current, *earlier}]
    # A part without a figure comes last.
    parts.sort(key=lambda one: (one.now is None, -(one.now or 0), one.name))
    return tuple(parts), part("", all_now, all_before)


def _added(sums: Iterable[_Sums]) -> _Sums:
    amount, per = _NOTHING
    for one, other in sums:
        amount, per = amount + one, per + other
    return amount, per


def months_of(data: Data) -> Months:
    """Return the months with orders."""
    rows = data.execute("select month, is_partial from staging.sales_month order by month").fetchall()
    return Months(tuple(month for month, _ in rows), frozenset(month for month, is_partial in rows if is_partial))


def _names(data: Data, level: Level, language: Language) -> dict[str, str]:
    """Return the names of a level by key."""
    if level == "channel":
        return {code: channel_name(code, language) for code in ("online", "reseller")}
    return {str(key): name for key, name in names_of(data, (level,), language)[level].items()}
