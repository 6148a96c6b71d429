"""The figures of one month, from the published marts. Amounts are exact USD; ratios are ratios of sums."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from psycopg import sql

from adventureworks.errors import PlatformError, Step
from adventureworks.months import key_of, shifted
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.session import Data, Session

ZERO = Decimal(0)
TOLERANCE = Decimal("0.01")
"""Allowed difference of a month's totals: order headers have four decimal places, order lines six."""
HISTORY_MONTHS = 13
"""Months in the chart, including the report's own. No other part of a report goes back further."""
NO_TERRITORY = "No territory"

Row = tuple[Any, ...]


class NoSales(PlatformError):
    """The month has no sales, or none any more, while other months have."""


@dataclass(frozen=True)
class Amounts:
    """Sales in a period, in USD."""

    revenue: Decimal
    discount: Decimal
    cogs: Decimal
    estimated: Decimal
    """Revenue costed at the product's current cost, because no cost was in effect on the order date."""

    @property
    def profit(self) -> Decimal:
        """Gross profit: revenue minus cost of goods sold."""
        return self.revenue - self.cogs

    @property
    def margin(self) -> Decimal | None:
        """Gross profit per USD of revenue."""
        return self.profit / self.revenue if self.revenue else None


@dataclass(frozen=True)
class Line:
    """One region, category or product, or all of them together."""

    name: str
    group: str
    """The region group of a region, the category of a product; otherwise empty."""
    now: Amounts
    before: Amounts | None
    """The month before; None if it had no sales or if either month is partial."""
    year_before: Amounts | None
    """The same month a year before; None in the same cases."""
    to_date: Amounts
    """From the start of the fiscal year (1 July) to the end of the month."""

    @property
    def growth(self) -> Decimal | None:
        """Change of revenue from the month before, as a fraction."""
        return _growth(self.now, self.before)

    @property
    def yearly_growth(self) -> Decimal | None:
        """Change of revenue from the same month a year before, as a fraction."""
        return _growth(self.now, self.year_before)


@dataclass(frozen=True)
class Past:
    """A month of the history: an earlier one or the report's own."""

    month: date
    amounts: Amounts
    is_partial: bool


@dataclass(frozen=True)
class Sale:
    """One row of `monthly_profit`, with names."""

    territory: str
    category: str
    product_id: int
    product: str
    amounts: Amounts


@dataclass(frozen=True)
class Month:
    """The complete content of a month's reports."""

    month: date
    is_partial: bool
    fiscal_year: int
    as_of: date
    """The business date: later orders do not count."""
    version: int
    """Version of `monthly_profit`."""
    total: Line
    regions: tuple[Line, ...]
    categories: tuple[Line, ...]
    products: tuple[Line, ...]
    """All products by revenue, the largest first."""
    sales: tuple[Sale, ...]
    history: tuple[Past, ...]
    """Up to 13 months, oldest first, this one last."""
    control_total: Decimal | None
    """Total of the order headers; None if newer orders have arrived since the figures were computed."""
    sources: tuple[tuple[str, int], ...]
    """Tables and marts that the figures are computed from, with their versions."""

    @property
    def key(self) -> str:
        """`YYYY-MM`."""
        return f"{self.month:%Y-%m}"


def figures(session: Session, key: str) -> Month:
    """Return a month's figures ('YYYY-MM') from one snapshot: call it first in a transaction.

    Raises PlatformError if `key` is not a month or the figures do not match the order headers, NoSales if it has no
    sales.
    """
    session.records.execute("set transaction isolation level repeatable read")
    return read(session, key)


def read(session: Session, key: str) -> Month:
    """Return a month's figures within a transaction that has already begun; for uses other than filing a report."""
    first = first_day(key)
    known: dict[date, bool] = dict(session.data.execute("select month, is_partial from staging.sales_month").fetchall())
    version = _version(session.records)
    if first not in known or version is None:
        raise _no_month(key, sorted(known) if version else [])
    periods = _Periods(first, known)
    found = Month(
        month=first,
        is_partial=known[first],
        fiscal_year=periods.fiscal_year,
        as_of=version.as_of,
        version=version.number,
        total=next(periods.lines(session.data, (), ())),
        regions=tuple(periods.lines(session.data, ("t.name", "t.region_group"), ("revenue desc", "t.name"))),
        categories=tuple(periods.lines(session.data, ("p.category",), ("revenue desc", "p.category"))),
        products=tuple(
            periods.lines(session.data, ("n.name", "p.category", "p.product_id"), ("revenue desc", "p.product_id"))
        ),
        sales=tuple(_sales(session.data, first)),
        history=tuple(_history(session.data, first, known)),
        control_total=_control_total(session.data, first, version.as_of) if version.is_newest else None,
        sources=version.sources,
    )
    _reconcile(found)
    return found


def first_day(key: str) -> date:
    """Return the first day of a month written as YYYY-MM. Raises PlatformError if it is not a month."""
    try:
        if len(key) != len("2014-05"):
            raise ValueError(key)
        return datetime.strptime(key, "%Y-%m").date()  # noqa: DTZ007 - a month has no zone
    except ValueError:
        raise PlatformError(f"{key} is not a month.", "Write it as 2014-05.") from None


def shows_any(key: str, changed: Collection[str]) -> bool:
    """Return whether a month's report shows figures of any of the changed months: its own or the twelve before.

    This range includes the month before, the same month a year before, the fiscal year to date and the chart.
    """
    first = first_day(key)
    return any(key_of(shifted(first, -months)) in changed for months in range(HISTORY_MONTHS))


def _growth(now: Amounts, then: Amounts | None) -> Decimal | None:
    return now.revenue / then.revenue - 1 if then and then.revenue else None


@dataclass(frozen=True)
class _Version:
    number: int
    as_of: date
    sources: tuple[tuple[str, int], ...]
    is_newest: bool
    """Whether the figures were computed from the latest version of the orders."""


def _version(records: Connection) -> _Version | None:
    newest = "select version, as_of, inputs from ops.publication where asset = %s order by version desc limit 1"
    row = records.execute(newest, ("monthly_profit",)).fetchone()
    if row is None:
        return None
    number, as_of, inputs = row
    sources: dict[str, int] = json.loads(inputs)
    facts = records.execute(
        "select inputs from ops.publication where asset = 'fact_sales' and version = %s", (sources["fact_sales"],)
    ).fetchone()
    sources.update(json.loads(facts[0]) if facts else {})
    versions: dict[str, int] = dict(
        records.execute("select asset, max(version) from ops.publication group by asset").fetchall()
    )
    orders = ("Sales_SalesOrderHeader", "Sales_SalesOrderDetail")
    return _Version(
        number, as_of, tuple(sorted(sources.items())), all(versions.get(name) == sources.get(name) for name in orders)
    )


def _no_month(key: str, known: Sequence[date]) -> PlatformError:
    if not known:
        return PlatformError("There are no published figures to report yet.", Step("Start:", "adventureworks run"))
    return NoSales(f"There are no sales in {key}.", f"There are sales from {known[0]:%Y-%m} to {known[-1]:%Y-%m}.")


_MEASURES = ("revenue", "discount_amount", "cogs", "fallback_cost_revenue")
_FROM = """
    marts.monthly_profit as p
    left join (
        select "TerritoryID" as territory_id, "Name" as name, "Group" as region_group from raw."Sales_SalesTerritory"
    ) as t using (territory_id)
    left join (select "ProductID" as product_id, "Name" as name from raw."Production_Product") as n using (product_id)
"""


class _Periods:
    """The report's month and the periods that it is compared with."""

    def __init__(self, first: date, partial: Mapping[date, bool]) -> None:
        self.fiscal_year = first.year + (first.month >= 7)
        before, year_before = shifted(first, -1), shifted(first, -12)
        self._comparable = [not partial[first] and not partial.get(other, True) for other in (before, year_before)]
        self._bounds = {
            "now": (first, first),
            "before": (before, before),
            "year_before": (year_before, year_before),
            "to_date": (date(self.fiscal_year - 1, 7, 1), first),
        }

    def lines(self, data: Data, names: tuple[str, ...], order: tuple[str, ...]) -> Iterator[Line]:
        """Yield the sales per combination of `names`: name, group, and a key that distinguishes equal names."""
        sums = [
            sql.SQL("coalesce(sum(p.{}) filter (where p.month between {} and {}), 0)").format(
                sql.Identifier(measure), *(sql.Literal(bound) for bound in bounds)
            )
            for bounds in self._bounds.values()
            for measure in _MEASURES
        ]
        earliest = min(start for start, _ in self._bounds.values())
        query = sql.SQL("select {} from {} where p.month between {} and {} {} {}").format(
            sql.SQL(", ").join([*(sql.SQL(name) for name in names), *sums]),
            sql.SQL(_FROM),
            sql.Literal(earliest),
            sql.Literal(self._bounds["now"][0]),
            sql.SQL("group by " + ", ".join(names) if names else ""),
            sql.SQL(_order(order, len(names))),
        )
        for row in data.execute(query.as_string()).fetchall():
            keys, values = row[: len(names)], row[len(names) :]
            now, before, year_before, to_date = (
                Amounts(*values[place : place + len(_MEASURES)]) for place in range(0, len(values), len(_MEASURES))
            )
            if not any((*astuple(now), *astuple(to_date))) and names:
                continue
            yield Line(
                name=_name(keys),
                group=str(keys[1] or "") if len(names) > 1 else "",
                now=now,
                before=before if self._comparable[0] else None,
                year_before=year_before if self._comparable[1] else None,
                to_date=to_date,
            )


def _name(keys: Row) -> str:
    """Return the name of a line; a product without a name is identified by its id, the last of its keys."""
    if not keys:
        return ""
    return str(keys[0] or (keys[-1] if len(keys) > 2 else NO_TERRITORY))


def _order(order: tuple[str, ...], names: int) -> str:
    # The first sum is the month's revenue.
    places = [part.replace("revenue", str(names + 1), 1) if part.startswith("revenue") else part for part in order]
    return "order by " + ", ".join(places) if places else ""


def _sales(data: Data, first: date) -> Iterator[Sale]:
    query = f"""
        select coalesce(t.name, %s), p.category, p.product_id, n.name,
            p.revenue, p.discount_amount, p.cogs, p.fallback_cost_revenue
        from {_FROM} where p.month = %s order by 1, 2, 3
    """
    for territory, category, product_id, product, *amounts in data.execute(query, (NO_TERRITORY, first)).fetchall():
        yield Sale(territory, category, product_id, product or str(product_id), Amounts(*amounts))


def _history(data: Data, first: date, partial: Mapping[date, bool]) -> Iterator[Past]:
    rows = data.execute(
        "select month, sum(revenue), sum(discount_amount), sum(cogs), sum(fallback_cost_revenue)"
        " from marts.monthly_profit where month between %s and %s group by month order by month",
        (shifted(first, 1 - HISTORY_MONTHS), first),
    ).fetchall()
    for month, *amounts in rows:
        yield Past(month, Amounts(*amounts), partial.get(month, True))


def _control_total(data: Data, first: date, as_of: date) -> Decimal:
    """Return the total of the month's SubTotals, without withheld, rejected and cancelled orders.

    As in the marts, orders after the business date do not count.
    """
    row = data.execute(
        'select coalesce(sum("SubTotal"), 0) from raw."Sales_SalesOrderHeader" as h'
        """ where "Status" not in (4, 6) and "OrderDate" >= %(first)s and "OrderDate" < %(next)s"""
        ' and not exists (select 1 from staging.withheld_order as w where w.sales_order_id = h."SalesOrderID")',
        {"first": first, "next": min(shifted(first, 1), as_of + timedelta(days=1))},
    ).fetchone()
    return Decimal(row[0]) if row else ZERO


def _reconcile(found: Month) -> None:
    parts = {
        "regions": sum((line.now.revenue for line in found.regions), ZERO),
        "categories": sum((line.now.revenue for line in found.categories), ZERO),
        "products": sum((line.now.revenue for line in found.products), ZERO),
        "rows": sum((sale.amounts.revenue for sale in found.sales), ZERO),
    }
    total = found.total.now.revenue
    for name, revenue in parts.items():
        if revenue != total:
            raise _mismatch(found.key, f"the {name} add up to {revenue}", total, revenue - total)
    control = found.control_total
    if control is not None and abs(control - total) > TOLERANCE:
        raise _mismatch(found.key, f"the order headers add up to {control}", total, control - total)


def _mismatch(key: str, other: str, total: Decimal, difference: Decimal) -> PlatformError:
    return PlatformError(
        f"Rule totals_agree: the revenue of {key} in monthly_profit is {total}, but {other}, a difference of"
        f" {difference}.",
        Step("Nothing is delivered. Check:", "adventureworks status monthly_profit"),
    )
