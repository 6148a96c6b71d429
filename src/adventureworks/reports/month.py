"""The figures of one month, from the published marts. Amounts are exact USD; ratios are ratios of sums."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from psycopg import sql

from adventureworks.errors import PlatformError, Step
from adventureworks.months import FISCAL_YEAR_STARTS, fiscal_year, key_of, requested, shifted
from adventureworks.reports.bridge import Bridge, bridges
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.session import Data, Session

ZERO = Decimal(0)
TOLERANCE = Decimal("0.01")
"""Allowed difference of a month's totals: order headers have four decimal places, order lines six."""
HISTORY_MONTHS = 13
"""Months in the chart, including the report's own. No other part of a report goes back further."""
NO_TERRITORY = "No territory"
RANKED = 10
"""Number of the best and of the worst products in the summary."""

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
    """One channel, region, category or product, or all of them together."""

    name: str
    group: str
    """The region group of a region, the category of a product; otherwise empty."""
    now: Amounts
    before: Amounts | None
    """The month before; None unless the data has all days of both months. Until the month is over: the same days of the
    month before, or all of them once the figures go up to the last day; only for a channel whose orders are spread over
    the month."""
    year_before: Amounts | None
    """The same month a year before; None in the same cases."""
    to_date: Amounts
    """From the start of the fiscal year (1 July) to the end of the month."""
    number: str = ""
    """The product number of a product; otherwise empty."""

    @property
    def growth(self) -> Decimal | None:
        """Change of revenue from the month before, as a fraction."""
        return growth(self.now.revenue, self.before.revenue if self.before else None)

    @property
    def yearly_growth(self) -> Decimal | None:
        """Change of revenue from the same month a year before, as a fraction."""
        return growth(self.now.revenue, self.year_before.revenue if self.year_before else None)


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
    number: str = ""
    """The product number."""


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
    channels: tuple[Line, ...]
    """By revenue, the largest first; empty if newer orders have arrived since the other figures were computed."""
    bridge: tuple[Bridge, ...]
    """The channels of which this month and the same month a year before are complete."""
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
        return key_of(self.month)

    @property
    def is_over(self) -> bool:
        """Whether the business date is after the month: it is then compared with other months."""
        return is_over(self.month, self.as_of)

    @property
    def is_covered(self) -> bool:
        """Whether the figures go up to the month's last day. Until the month is over, more of its orders may come."""
        return self.as_of >= _last_day(self.month)

    @cached_property
    def sold(self) -> tuple[Line, ...]:
        """The products sold in the month, by revenue."""
        return tuple(line for line in self.products if any(astuple(line.now)))

    @property
    def best(self) -> tuple[Line, ...]:
        """The products with the highest gross profit, the highest first."""
        return self._by_profit()[:RANKED]

    @property
    def worst(self) -> tuple[Line, ...]:
        """The products with the lowest gross profit that are not among the best, the lowest first."""
        return self._by_profit()[RANKED:][::-1][:RANKED]

    def _by_profit(self) -> tuple[Line, ...]:
        return tuple(sorted(self.sold, key=lambda line: -line.now.profit))


def figures(session: Session, key: str) -> Month:
    """Return a month's figures ('YYYY-MM') from one snapshot: call it first in a transaction.

    Raises PlatformError if `key` is not a month or the figures do not match the order headers, NoSales if it has no
    sales.
    """
    session.records.execute("set transaction isolation level repeatable read")
    return read(session, key)


def read(session: Session, key: str) -> Month:
    """Return a month's figures within a transaction that has already begun; for uses other than filing a report."""
    first = requested(key)
    known: dict[date, bool] = dict(
        session.data.execute("select distinct month, is_partial from marts.monthly_profit").fetchall()
    )
    version = _version(session.records)
    if first not in known or version is None:
        raise _no_month(key, sorted(known) if version else [])
    periods = _Periods(first, known, version.as_of)
    total = next(periods.lines(session.data, _PROFIT, (), ()))
    found = Month(
        month=first,
        is_partial=known[first],
        fiscal_year=periods.fiscal_year,
        as_of=version.as_of,
        version=version.number,
        total=total,
        regions=tuple(periods.lines(session.data, _PROFIT, ("t.name", "t.region_group"), ("revenue desc", "t.name"))),
        categories=tuple(periods.lines(session.data, _PROFIT, ("p.category",), ("revenue desc", "p.category"))),
        products=tuple(
            periods.lines(
                session.data,
                _PROFIT,
                ("n.name", "p.category", "p.product_id", "n.number"),
                ("revenue desc", "p.product_id"),
            )
        ),
        channels=_agreeing(periods.channels(session.data), total),
        bridge=bridges(session.data, first).get(key, ()),
        sales=tuple(_sales(session.data, first)),
        history=tuple(_history(session.data, first, known)),
        control_total=_control_total(session.data, first, version.as_of) if version.is_newest else None,
        sources=version.sources,
    )
    _reconcile(found)
    return found


def shows_any(key: str, changed: Collection[str]) -> bool:
    """Return whether a month's report shows figures of any of the changed months: its own or the twelve before.

    This range includes the month before, the same month a year before, the fiscal year to date and the chart.
    """
    first = requested(key)
    return any(key_of(shifted(first, -months)) in changed for months in range(HISTORY_MONTHS))


def is_over(month: date, as_of: date) -> bool:
    """Return whether the business date is after the month."""
    return as_of >= shifted(month, 1)


def growth(now: Decimal | None, then: Decimal | None) -> Decimal | None:
    """Return the change as a fraction; None if an amount is unknown, or if there was nothing, or a loss, before."""
    return now / then - 1 if now is not None and then is not None and then > 0 else None


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
        number,
        as_of,
        tuple(sorted(sources.items())),
        all(versions.get(name) == sources.get(name) for name in orders),
    )


def _no_month(key: str, known: Sequence[date]) -> PlatformError:
    if not known:
        return PlatformError("There are no published figures to report yet.", Step("Start:", "adventureworks run"))
    return NoSales(f"There are no sales in {key}.", f"There are sales from {key_of(known[0])} to {key_of(known[-1])}.")


@dataclass(frozen=True)
class _Table:
    """Where sums come from: the rows, their date, and the expressions of the fields of `Amounts`."""

    rows: str
    day: str
    measures: tuple[str, ...]


_PROFIT = _Table(
    """
    marts.monthly_profit as p
    left join (
        select "TerritoryID" as territory_id, "Name" as name, "Group" as region_group from raw."Sales_SalesTerritory"
    ) as t using (territory_id)
    left join (
        select "ProductID" as product_id, "Name" as name, "ProductNumber" as number from raw."Production_Product"
    ) as n using (product_id)
    """,
    "p.month",
    ("p.revenue", "p.discount_amount", "p.cogs", "p.fallback_cost_revenue"),
)
_SALES = _Table(
    "marts.fact_sales as f",
    "f.order_date",
    ("f.revenue", "f.discount_amount", "f.cogs", "case when f.cost_source = 'fallback' then f.revenue else 0 end"),
)


class _Periods:
    """The report's month and the periods that it is compared with."""

    def __init__(self, first: date, partial: Mapping[date, bool], as_of: date) -> None:
        self.fiscal_year = fiscal_year(first)
        before, year_before = shifted(first, -1), shifted(first, -12)
        self._is_over = is_over(first, as_of)
        # The data may begin within its first month.
        whole = {month for month in partial if month > min(partial) or not partial[month]}
        self._comparable = [first in whole and other in whole for other in (before, year_before)]
        last = min(_last_day(first), as_of)
        self._is_covered = last == _last_day(first)
        self._bounds = {
            "now": (first, last),
            "before": (before, self._same_day(before, last)),
            "year_before": (year_before, self._same_day(year_before, last)),
            "to_date": (date(self.fiscal_year - 1, FISCAL_YEAR_STARTS, 1), last),
        }

    def _same_day(self, month: date, day: date) -> date:
        last = _last_day(month)
        return last if self._is_covered else month.replace(day=min(day.day, last.day))

    def channels(self, data: Data) -> Iterator[Line]:
        """Yield the sales per channel. A running month is compared only for channels that order throughout a month."""
        delays = dict(data.execute("select channel, days from staging.booking_delay").fetchall())
        for line in self.lines(data, _SALES, ("f.channel",), ("revenue desc", "f.channel"), same_days=True):
            waits = not self._is_over and delays[line.name]
            yield replace(line, before=None, year_before=None) if waits else line

    def lines(
        self, data: Data, table: _Table, names: tuple[str, ...], order: tuple[str, ...], *, same_days: bool = False
    ) -> Iterator[Line]:
        """Yield the sales per combination of `names`: name, group, a key that distinguishes equal names, and number.

        `same_days`: compare a running month, too.
        """
        sums = [
            sql.SQL("coalesce(sum({}) filter (where {} between {} and {}), 0)").format(
                sql.SQL(measure), sql.SQL(table.day), *(sql.Literal(bound) for bound in bounds)
            )
            for bounds in self._bounds.values()
            for measure in table.measures
        ]
        earliest = min(start for start, _ in self._bounds.values())
        query = sql.SQL("select {} from {} where {} between {} and {} {} {}").format(
            sql.SQL(", ").join([*(sql.SQL(name) for name in names), *sums]),
            sql.SQL(table.rows),
            sql.SQL(table.day),
            sql.Literal(earliest),
            sql.Literal(self._bounds["now"][1]),
            sql.SQL("group by " + ", ".join(names) if names else ""),
            sql.SQL(_order(order, len(names))),
        )
        is_compared = self._is_over or same_days
        for row in data.execute(query.as_string()).fetchall():
            keys, values = row[: len(names)], row[len(names) :]
            now, before, year_before, to_date = (
                Amounts(*values[place : place + len(table.measures)])
                for place in range(0, len(values), len(table.measures))
            )
            # A channel without sales in the month is of interest, a product is not.
            if table is _PROFIT and names and not any((*astuple(now), *astuple(to_date))):
                continue
            yield Line(
                name=_name(keys),
                group=str(keys[1] or "") if len(names) > 1 else "",
                now=now,
                before=before if is_compared and self._comparable[0] else None,
                year_before=year_before if is_compared and self._comparable[1] else None,
                to_date=to_date,
                number=str(keys[3] or "") if len(names) > 3 else "",
            )


def _last_day(month: date) -> date:
    return shifted(month, 1) - timedelta(days=1)


def _agreeing(channels: Iterable[Line], total: Line) -> tuple[Line, ...]:
    """Return the channels, or nothing if they do not add up to the totals: orders have changed since these."""
    found = tuple(channels)
    for period in ("now", "before", "year_before", "to_date"):
        of_total = getattr(total, period)
        parts = [getattr(line, period) for line in found]
        if of_total and astuple(of_total) != tuple(
            sum(amounts, ZERO) for amounts in zip(*(astuple(part) for part in parts), strict=True)
        ):
            return ()
    return found


def other_rows(data: Data, month: date | None = None) -> dict[str, list[Row]]:
    """Return by month ('YYYY-MM') what the report of a month, or any report, shows from outside `monthly_profit`.

    These are the sales per channel, and the names of the regions and products.
    """
    found: dict[str, list[Row]] = {}
    for table, columns, group in (
        (_SALES, ("f.channel", *(f"sum({measure})" for measure in _SALES.measures)), "2"),
        (_PROFIT, ("t.name", "t.region_group", "p.product_id", "n.name", "n.number"), "2, 3, 4, 5, 6"),
    ):
        within = f"where {table.day} between %(first)s and %(last)s" if month else ""
        rows = data.execute(
            f"select to_char({table.day}, 'YYYY-MM'), {', '.join(columns)} from {table.rows} {within}"
            f" group by 1, {group} order by 1, {group}",
            {"first": shifted(month, 1 - HISTORY_MONTHS), "last": _last_day(month)} if month else {},
        ).fetchall()
        for key, *values in rows:
            found.setdefault(key, []).append(tuple(values))
    return found


def _name(keys: Row) -> str:
    """Return the name of a line; a product without a name is identified by its id, the third of its keys."""
    if not keys:
        return ""
    return str(keys[0] or (keys[2] if len(keys) > 2 else NO_TERRITORY))


def _order(order: tuple[str, ...], names: int) -> str:
    # The first sum is the month's revenue.
    places = [part.replace("revenue", str(names + 1), 1) if part.startswith("revenue") else part for part in order]
    return "order by " + ", ".join(places) if places else ""


def _sales(data: Data, first: date) -> Iterator[Sale]:
    query = f"""
        select coalesce(t.name, %s), p.category, p.product_id, n.name, n.number, {", ".join(_PROFIT.measures)}
        from {_PROFIT.rows} where p.month = %s order by 1, 2, 3
    """
    for territory, category, product_id, product, number, *amounts in data.execute(
        query, (NO_TERRITORY, first)
    ).fetchall():
        yield Sale(territory, category, product_id, product or str(product_id), Amounts(*amounts), number or "")


def _history(data: Data, first: date, partial: Mapping[date, bool]) -> Iterator[Past]:
    rows = data.execute(
        "select month, sum(revenue), sum(discount_amount), sum(cogs), sum(fallback_cost_revenue)"
        " from marts.monthly_profit where month between %s and %s group by month order by month",
        (shifted(first, 1 - HISTORY_MONTHS), first),
    ).fetchall()
    for month, *amounts in rows:
        yield Past(month, Amounts(*amounts), partial.get(month, True))


_WITHHELD = 'exists (select 1 from staging.withheld_order as w where w.sales_order_id = h."SalesOrderID")'


def _control_total(data: Data, first: date, as_of: date) -> Decimal:
    """Return the total of the month's SubTotals, without withheld, rejected and cancelled orders.

    As in the marts, orders after the business date do not count.
    """
    row = data.execute(
        'select coalesce(sum("SubTotal"), 0) from raw."Sales_SalesOrderHeader" as h'
        """ where "Status" not in (4, 6) and "OrderDate" >= %(first)s and "OrderDate" < %(next)s"""
        f" and not {_WITHHELD}",
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
