"""The figures of one month, from the published marts. Money is USD, exact; ratios are ratios of sums."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from psycopg import sql

from adventureworks.errors import PlatformError
from adventureworks.warehouse.postgres import Connection

NOTHING = Decimal(0)
TOLERANCE = Decimal("0.01")
"""Header totals carry four places, lines six: so far a month may differ."""
HISTORY_MONTHS = 13
"""What the chart shows, this month included. No other part of a report looks further back."""
NO_TERRITORY = "No territory"

Row = tuple[Any, ...]


class NothingSold(PlatformError):
    """The month has no sales (any more), while others have."""


@dataclass(frozen=True)
class Amounts:
    """What was sold in some period, USD."""

    revenue: Decimal
    discount: Decimal
    cogs: Decimal
    estimated: Decimal
    """Revenue whose cost is the product's present one, because none was valid on the day of the order."""

    @property
    def profit(self) -> Decimal:
        """Gross profit: revenue less the cost of what was sold."""
        return self.revenue - self.cogs

    @property
    def margin(self) -> Decimal | None:
        """Profit per USD of revenue."""
        return self.profit / self.revenue if self.revenue else None


@dataclass(frozen=True)
class Line:
    """One region, category or product, or all of them together."""

    name: str
    group: str
    """The group of regions of a region, the category of a product; else empty."""
    now: Amounts
    before: Amounts | None
    """The month before; None: nothing was sold, or one of the two months is partial."""
    year_before: Amounts | None
    """The same month a year before; None as above."""
    to_date: Amounts
    """From the start of the fiscal year (1 July) to the end of the month."""

    @property
    def growth(self) -> Decimal | None:
        """Of revenue, against the month before."""
        return _growth(self.now, self.before)

    @property
    def yearly_growth(self) -> Decimal | None:
        """Of revenue, against the same month a year before."""
        return _growth(self.now, self.year_before)


@dataclass(frozen=True)
class Past:
    """One of the months before, or the month itself."""

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
    """All that the reports of a month say."""

    month: date
    is_partial: bool
    fiscal_year: int
    as_of: date
    """The business date: nothing later counts."""
    version: int
    """Of `monthly_profit`."""
    total: Line
    regions: tuple[Line, ...]
    categories: tuple[Line, ...]
    products: tuple[Line, ...]
    """All of them by revenue, the largest first."""
    sales: tuple[Sale, ...]
    history: tuple[Past, ...]
    """Up to 13 months, oldest first, this one last."""
    control_total: Decimal | None
    """What the orders' headers say; None where newer orders came in since the figures were computed."""
    sources: tuple[tuple[str, int], ...]
    """Tables and marts that the figures are made of, with their versions."""

    @property
    def key(self) -> str:
        """`YYYY-MM`."""
        return f"{self.month:%Y-%m}"


def figures(connection: Connection, key: str) -> Month:
    """The figures of a month ('YYYY-MM'), of one moment: it must be the first that the transaction does.

    Raises PlatformError if it is no month or does not agree with the orders' headers, NothingSold if it has no sales.
    """
    connection.execute("set transaction isolation level repeatable read")
    return read(connection, key)


def read(connection: Connection, key: str) -> Month:
    """The figures of a month in a transaction that has begun, where nothing is filed of them."""
    first = first_day(key)
    known: dict[date, bool] = dict(connection.execute("select month, is_partial from staging.sales_month").fetchall())
    version = _version(connection)
    if first not in known or version is None:
        raise _no_month(key, sorted(known) if version else [])
    periods = _Periods(first, known)
    found = Month(
        month=first,
        is_partial=known[first],
        fiscal_year=periods.fiscal_year,
        as_of=version.as_of,
        version=version.number,
        total=next(periods.lines(connection, (), ())),
        regions=tuple(periods.lines(connection, ("t.name", "t.region_group"), ("revenue desc", "t.name"))),
        categories=tuple(periods.lines(connection, ("p.category",), ("revenue desc", "p.category"))),
        products=tuple(
            periods.lines(connection, ("n.name", "p.category", "p.product_id"), ("revenue desc", "p.product_id"))
        ),
        sales=tuple(_sales(connection, first)),
        history=tuple(_history(connection, first, known)),
        control_total=_control_total(connection, first, version.as_of) if version.is_newest else None,
        sources=version.sources,
    )
    _reconcile(found)
    return found


def first_day(key: str) -> date:
    """The first day of a month written as YYYY-MM. Raises PlatformError if it is none."""
    try:
        if len(key) != len("2014-05"):
            raise ValueError(key)
        return datetime.strptime(key, "%Y-%m").date()  # noqa: DTZ007 - a month has no zone
    except ValueError:
        raise PlatformError(f"{key} is not a month.", "Write it as 2014-05.") from None


def shows(key: str, changed: Collection[str]) -> bool:
    """Whether the report of a month shows a figure of one of these: of itself or of one of the twelve months before.

    The month before, the same month a year before, the fiscal year so far and the chart all lie within them.
    """
    first = first_day(key)
    return any(f"{earlier(first, months):%Y-%m}" in changed for months in range(HISTORY_MONTHS))


def _growth(now: Amounts, then: Amounts | None) -> Decimal | None:
    return now.revenue / then.revenue - 1 if then and then.revenue else None


@dataclass(frozen=True)
class _Version:
    number: int
    as_of: date
    sources: tuple[tuple[str, int], ...]
    is_newest: bool
    """Whether the orders are still those that the figures were computed from."""


def _version(connection: Connection) -> _Version | None:
    newest = "select version, as_of, inputs from ops.publication where asset = %s order by version desc limit 1"
    row = connection.execute(newest, ("monthly_profit",)).fetchone()
    if row is None:
        return None
    number, as_of, inputs = row
    sources: dict[str, int] = json.loads(inputs)
    facts = connection.execute(
        "select inputs from ops.publication where asset = 'fact_sales' and version = %s", (sources["fact_sales"],)
    ).fetchone()
    sources.update(json.loads(facts[0]) if facts else {})
    versions: dict[str, int] = dict(
        connection.execute("select asset, max(version) from ops.publication group by asset").fetchall()
    )
    orders = ("Sales_SalesOrderHeader", "Sales_SalesOrderDetail")
    return _Version(
        number, as_of, tuple(sorted(sources.items())), all(versions.get(name) == sources.get(name) for name in orders)
    )


def _no_month(key: str, known: Sequence[date]) -> PlatformError:
    if not known:
        return PlatformError("Nothing to report is published yet.", "Start: adventureworks run")
    return NothingSold(f"Nothing was sold in {key}.", f"There are months from {known[0]:%Y-%m} to {known[-1]:%Y-%m}.")


_MEASURES = ("revenue", "discount_amount", "cogs", "fallback_cost_revenue")
_FROM = """
    marts.monthly_profit as p
    left join (
        select "TerritoryID" as territory_id, "Name" as name, "Group" as region_group from raw."Sales_SalesTerritory"
    ) as t using (territory_id)
    left join (select "ProductID" as product_id, "Name" as name from raw."Production_Product") as n using (product_id)
"""


class _Periods:
    """The month at hand and the periods that it is compared with."""

    def __init__(self, first: date, partial: Mapping[date, bool]) -> None:
        self.fiscal_year = first.year + (first.month >= 7)
        before, year_before = earlier(first, 1), earlier(first, 12)
        self._comparable = [not partial[first] and not partial.get(other, True) for other in (before, year_before)]
        self._bounds = {
            "now": (first, first),
            "before": (before, before),
            "year_before": (year_before, year_before),
            "to_date": (date(self.fiscal_year - 1, 7, 1), first),
        }

    def lines(self, connection: Connection, names: tuple[str, ...], order: tuple[str, ...]) -> Iterator[Line]:
        """What was sold, for each combination of names: name, group, and what else keeps two of them apart."""
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
        for row in connection.execute(query).fetchall():
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
    """Of a line: a product that has none is called by its id, which is the last of its keys."""
    if not keys:
        return ""
    return str(keys[0] or (keys[-1] if len(keys) > 2 else NO_TERRITORY))


def _order(order: tuple[str, ...], names: int) -> str:
    # The first sum is the month's revenue.
    places = [part.replace("revenue", str(names + 1), 1) if part.startswith("revenue") else part for part in order]
    return "order by " + ", ".join(places) if places else ""


def _sales(connection: Connection, first: date) -> Iterator[Sale]:
    query = f"""
        select coalesce(t.name, %s), p.category, p.product_id, n.name,
            p.revenue, p.discount_amount, p.cogs, p.fallback_cost_revenue
        from {_FROM} where p.month = %s order by 1, 2, 3
    """
    for territory, category, product_id, product, *amounts in connection.execute(
        query.encode(), (NO_TERRITORY, first)
    ).fetchall():
        yield Sale(territory, category, product_id, product or str(product_id), Amounts(*amounts))


def _history(connection: Connection, first: date, partial: Mapping[date, bool]) -> Iterator[Past]:
    rows = connection.execute(
        "select month, sum(revenue), sum(discount_amount), sum(cogs), sum(fallback_cost_revenue)"
        " from marts.monthly_profit where month between %s and %s group by month order by month",
        (earlier(first, HISTORY_MONTHS - 1), first),
    ).fetchall()
    for month, *amounts in rows:
        yield Past(month, Amounts(*amounts), partial.get(month, True))


def _control_total(connection: Connection, first: date, as_of: date) -> Decimal:
    """The SubTotals of the month's orders: those that no mart may show, and what was not delivered, left out.

    As of the marts, nothing later than the business date counts.
    """
    row = connection.execute(
        'select coalesce(sum("SubTotal"), 0) from raw."Sales_SalesOrderHeader" as h'
        """ where "Status" not in (4, 6) and "OrderDate" >= %(first)s and "OrderDate" < %(next)s"""
        ' and not exists (select 1 from staging.withheld_order as w where w.sales_order_id = h."SalesOrderID")',
        {"first": first, "next": min(earlier(first, -1), as_of + timedelta(days=1))},
    ).fetchone()
    return Decimal(row[0]) if row else NOTHING


def _reconcile(found: Month) -> None:
    parts = {
        "regions": sum((line.now.revenue for line in found.regions), NOTHING),
        "categories": sum((line.now.revenue for line in found.categories), NOTHING),
        "products": sum((line.now.revenue for line in found.products), NOTHING),
        "rows": sum((sale.amounts.revenue for sale in found.sales), NOTHING),
    }
    total = found.total.now.revenue
    for name, revenue in parts.items():
        if revenue != total:
            raise _unequal(found.key, f"the {name} add up to {revenue}", total, revenue - total)
    control = found.control_total
    if control is not None and abs(control - total) > TOLERANCE:
        raise _unequal(found.key, f"the orders' headers say {control}", total, control - total)


def _unequal(key: str, said: str, total: Decimal, difference: Decimal) -> PlatformError:
    return PlatformError(
        f"Rule totals_agree: the revenue of {key} in monthly_profit is {total}, but {said}: {difference} too much.",
        "Nothing is delivered. Look: adventureworks status monthly_profit",
    )


def earlier(month: date, months: int) -> date:
    """The first day of the month so many months before."""
    place = month.year * 12 + month.month - 1 - months
    return date(place // 12, place % 12 + 1, 1)
