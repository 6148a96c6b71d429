"""What the dashboard shows, read from the published marts. Money is USD, exact; only what is shown is rounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from adventureworks.catalog import MARTS, entry
from adventureworks.charts.dashboard import Forecast, sparkline
from adventureworks.reports.month import earlier
from adventureworks.texts import Language
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.state import AssetState, asset_states

MONTHS = 13

Direction = Literal["better", "worse", ""]


@dataclass(frozen=True)
class Kpi:
    """One figure, ready to be shown, with what it is compared with and its last months."""

    name: str
    value: str
    before: str = ""
    year_before: str = ""
    trend: Direction = ""
    """Whether the change on the year before is good news."""
    spark: str = ""
    """Points of the line of its last months."""


@dataclass(frozen=True)
class Group:
    """KPIs that belong together."""

    name: str
    mart: str
    kpis: tuple[Kpi, ...]


@dataclass(frozen=True)
class Overview:
    """The first page."""

    month: date | None
    """The last whole month."""
    as_of: date | None
    groups: tuple[Group, ...]
    history: tuple[tuple[date, Decimal, Decimal, bool], ...]
    """Month, revenue, profit, whether it is partial."""
    territories: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True)
class Asset:
    """A table or mart, with what people ask of it."""

    state: AssetState
    owner: str
    group: str
    dag: str


@dataclass(frozen=True)
class Series:
    """The forecast of one channel and territory."""

    channel: str
    territory_id: int
    territory: str
    model: str
    past: tuple[tuple[date, Decimal], ...]
    ahead: tuple[Forecast, ...]
    accuracy: tuple[tuple[Any, ...], ...]
    """Of each model: name, wape, mase, share within the 80 % interval, origins, whether it is chosen."""


def versions(connection: Connection) -> int:
    """A number that grows with every publication: what was read before is still true while it stays."""
    row = connection.execute("select count(*) from ops.publication").fetchone()
    return int(row[0]) if row else 0


_MONTHLY = """
    select s.month, s.is_partial, p.revenue, p.profit, p.estimated, t.orders, t.customers, f.units
    from staging.sales_month as s
    left join (
        select month, sum(revenue) as revenue, sum(profit) as profit, sum(fallback_cost_revenue) as estimated
        from marts.monthly_profit group by month
    ) as p using (month)
    left join (
        select cast(date_trunc('month', order_date) as date) as month, sum(quantity) as units
        from marts.fact_sales group by 1
    ) as f using (month)
    left join (
        select cast(date_trunc('month', order_date) as date) as month, count(distinct sales_order_id) as orders,
            count(distinct customer_id) as customers
        from marts.fact_sales group by 1
    ) as t using (month)
    order by s.month
"""


def overview(connection: Connection, language: Language) -> Overview:
    """The KPIs of the last whole month against the one before and the same one a year before."""
    rows = connection.execute(_MONTHLY).fetchall()
    whole = [row for row in rows if not row[1]]
    as_of = connection.execute("select max(as_of) from ops.publication").fetchone()
    recent = rows[-MONTHS:]
    return Overview(
        month=whole[-1][0] if whole else None,
        as_of=as_of[0] if as_of else None,
        groups=tuple(_groups(connection, whole, language)),
        history=tuple((row[0], row[2] or Decimal(0), row[3] or Decimal(0), row[1]) for row in recent),
        territories=tuple(_territories(connection, whole[-1][0])) if whole else (),
    )


def assets(connection: Connection) -> list[Asset]:
    """Every table and mart: what is blocked first, then what is stale, then by name."""
    found = [
        Asset(
            state,
            entry(state.asset).owner,
            entry(state.asset).group,
            MARTS[state.asset].dag if state.asset in MARTS else "ingest_source",
        )
        for state in asset_states(connection)
    ]
    order = {"blocked": 0, "never published": 1}
    return sorted(found, key=lambda one: (order.get(one.state.verdict, 2), one.state.fresh, one.state.asset))


def scores(connection: Connection) -> tuple[Decimal | None, datetime | None, list[tuple[str, Decimal | None]]]:
    """The overall score of the newest quality run, its time, and the share of rows that pass by dimension."""
    newest = "run_number = (select max(run_number) from marts.data_quality)"
    overall = connection.execute(f"select min(overall_score) from marts.data_quality where {newest}").fetchone()
    at = connection.execute("select max(published_at) from ops.publication where asset = 'data_quality'").fetchone()
    rows = connection.execute(
        "select dimension, 1 - sum(failed)::numeric / nullif(sum(checked), 0) from marts.data_quality"
        f" where {newest} group by dimension order by 2 nulls last, 1"
    ).fetchall()
    return overall[0] if overall else None, at[0] if at else None, [(row[0], row[1]) for row in rows]


def series_names(connection: Connection) -> list[tuple[str, int, str]]:
    """Channel, territory and its name of every series that is forecast, the largest first."""
    rows = connection.execute(
        'select f.channel, f.territory_id, coalesce(max(t."Name"), f.territory_id::varchar) from marts.sales_forecast'
        ' as f left join raw."Sales_SalesTerritory" as t on t."TerritoryID" = f.territory_id'
        " where f.trained_until = (select max(trained_until) from marts.sales_forecast)"
        " group by f.channel, f.territory_id order by sum(f.forecast) desc, 1, 2"
    ).fetchall()
    return [(row[0], row[1], row[2]) for row in rows]


def series(connection: Connection, channel: str, territory_id: int, name: str) -> Series:
    """One series: its past, what is expected, and how good such forecasts were."""
    one = {"channel": channel, "territory": territory_id}
    where = "channel = %(channel)s and territory_id = %(territory)s"
    past = connection.execute(
        f"select month, revenue from marts.territory_sales where {where} and not is_partial order by month", one
    ).fetchall()
    ahead = connection.execute(
        "select month, forecast, lower_80, upper_80, lower_95, upper_95, model from marts.sales_forecast"
        f" where {where} and trained_until = (select max(trained_until) from marts.sales_forecast) order by month",
        one,
    ).fetchall()
    accuracy = connection.execute(
        f"select model, wape, mase, coverage_80, origins, is_chosen from marts.forecast_accuracy where {where}"
        " order by is_chosen desc, wape, model",
        one,
    ).fetchall()
    return Series(
        channel,
        territory_id,
        name,
        model=ahead[0][6] if ahead else "",
        past=tuple((row[0], row[1]) for row in past),
        ahead=tuple((row[0], row[1], row[2], row[3], row[4], row[5]) for row in ahead),
        accuracy=tuple(accuracy),
    )


def _groups(connection: Connection, whole: Sequence[tuple[Any, ...]], language: Language) -> Iterator[Group]:
    text = language.text
    if whole:
        by_month = {row[0]: row for row in whole}
        revenue = _monthly(text("Revenue"), by_month, lambda row: row[2], language.short_money, language)
        orders = _monthly(text("Orders"), by_month, lambda row: row[5], language.number, language)
        value = _monthly(
            text("Order value"), by_month, lambda row: _ratio(row[2], row[5]), language.short_money, language
        )
        yield Group(text("Sales"), "territory_sales", (revenue, orders, value))
        profit = _monthly(text("Gross profit"), by_month, lambda row: row[3], language.short_money, language)
        margin = _monthly(
            text("Margin"), by_month, lambda row: _ratio(row[3], row[2]), language.percent, language, share=True
        )
        yield Group(text("Finance"), "monthly_profit", (profit, margin))
        buyers = _monthly(text("Customers who ordered"), by_month, lambda row: row[6], language.number, language)
        yield Group(text("Customers"), "customer_value", (buyers, *_customers(connection, language)))
        units = _monthly(text("Units sold"), by_month, lambda row: row[7], language.number, language)
        yield Group(text("Products"), "product_performance", (units, *_products(connection, whole[-1][0], language)))
    stock = tuple(_stock(connection, language))
    if stock:
        yield Group(text("Stock"), "inventory_status", stock)


def _monthly(
    name: str,
    by_month: dict[date, tuple[Any, ...]],
    figure: Any,
    shown: Any,
    language: Language,
    share: bool = False,
) -> Kpi:
    """A KPI of the last whole month; a share is compared by its difference in points."""
    months = sorted(by_month)
    newest = months[-1]
    values = [_figure(by_month.get(earlier(newest, back)), figure) for back in range(MONTHS - 1, -1, -1)]
    now, before, year_before = values[-1], values[-2], values[0]
    compare = _difference if share else _growth
    yearly = compare(now, year_before)

    def said(change: Decimal | None) -> str:
        if share and change is not None:
            return language.text("{count} points", count=language.number(100 * change, 1, signed=True))
        return language.change(change)

    return Kpi(
        name=name,
        value=shown(now),
        before=said(compare(now, before)),
        year_before=said(yearly),
        trend="" if not yearly else "better" if yearly > 0 else "worse",
        spark=sparkline(values),
    )


def _figure(row: tuple[Any, ...] | None, figure: Any) -> Decimal | None:
    value = figure(row) if row else None
    return None if value is None else Decimal(value)


def _ratio(one: Decimal | None, other: Decimal | int | None) -> Decimal | None:
    return Decimal(one) / Decimal(other) if one is not None and other else None


def _growth(now: Decimal | None, then: Decimal | None) -> Decimal | None:
    return now / then - 1 if now is not None and then else None


def _difference(now: Decimal | None, then: Decimal | None) -> Decimal | None:
    return now - then if now is not None and then is not None else None


def _customers(connection: Connection, language: Language) -> Iterator[Kpi]:
    text = language.text
    row = connection.execute("select sum(clv_52w) from marts.customer_value").fetchone()
    yield Kpi(text("Expected margin, 52 weeks"), language.short_money(row[0] if row else None))
    churn = connection.execute(
        "select count(*) filter (where status = 'churned' and counts_in_churn_rate),"
        " count(*) filter (where counts_in_churn_rate) from marts.customer_churn"
    ).fetchone()
    yield Kpi(text("Lost customers"), language.percent(_ratio(Decimal(churn[0]), churn[1]) if churn else None))


def _products(connection: Connection, month: date, language: Language) -> Iterator[Kpi]:
    text = language.text
    row = connection.execute(
        "select count(*), count(*) filter (where abc_class = 'A') from marts.product_performance where month = %s",
        (month,),
    ).fetchone()
    yield Kpi(text("Products sold"), language.number(row[0] if row else None))
    yield Kpi(text("Of them in class A"), language.number(row[1] if row else None))


def _stock(connection: Connection, language: Language) -> Iterator[Kpi]:
    text = language.text
    counts: dict[str, int] = dict(
        connection.execute("select state, count(*) from marts.inventory_status group by state").fetchall()
    )
    names = {"out": text("Out of stock"), "reorder": text("To reorder"), "low": text("Below safety stock")}
    if counts:
        for state, name in names.items():
            count = counts.get(state, 0)
            yield Kpi(name, language.number(count), trend="worse" if count and state != "low" else "")


def _territories(connection: Connection, month: date) -> Iterator[tuple[str, Decimal]]:
    rows = connection.execute(
        "select territory, sum(revenue) from marts.territory_sales where month = %s"
        " group by territory order by 2 desc, 1",
        (month,),
    ).fetchall()
    yield from ((row[0], row[1]) for row in rows)
