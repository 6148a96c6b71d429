"""The dashboard's figures, read from the published marts. Money is in exact USD and is rounded only for display."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Literal

from adventureworks.catalog import entry, producer_of
from adventureworks.charts.dashboard import Forecast, sparkline
from adventureworks.dashboard.breakdown import page_of
from adventureworks.dictionary import Definition, definition
from adventureworks.incidents.freshness import Freshness, freshness, promises
from adventureworks.marts.plan import decide_now
from adventureworks.months import key_of, shifted
from adventureworks.reports.bridge import bridges, by_channel
from adventureworks.reports.purchase_list import URGENCY
from adventureworks.settings import Settings
from adventureworks.texts import Language
from adventureworks.texts.terms import reorder_withheld, stock_state, value_withheld
from adventureworks.warehouse.condition import Remark, worst
from adventureworks.warehouse.postgres import Connection
from adventureworks.warehouse.session import Data, Session
from adventureworks.warehouse.state import AssetState, asset_states

MONTHS = 13
PAIRS = 8
PROPOSALS = 8
CAMPAIGNS = 6
COHORTS = 12
"""Cohorts, the newest ones known for twelve months, whose margin per customer is shown."""

Direction = Literal["better", "worse", ""]


@dataclass(frozen=True)
class Kpi:
    """One figure, formatted for display, with its changes and its last months."""

    name: str
    value: str
    before: str = ""
    year_before: str = ""
    trend: Direction = ""
    """Whether the change from the year before is an improvement."""
    spark: str = ""
    """Points of its sparkline, SVG `points` of the last months."""
    definition: Definition | None = None
    """The column that the figure is computed from, if it is a single one."""
    note: str = ""
    """Why there is no value."""
    page: str = ""
    """The address of the page that it opens, below the dashboard's."""


@dataclass(frozen=True)
class Group:
    """A group of KPIs."""

    name: str
    marts: tuple[str, ...]
    """The marts that the figures are read from, the main one first."""
    kpis: tuple[Kpi, ...]


@dataclass(frozen=True)
class Overview:
    """The data of the overview page."""

    month: date | None
    """The last complete month."""
    is_computed: bool
    """Whether there are any sales yet; the first month may still be incomplete."""
    as_of: date | None
    groups: tuple[Group, ...]
    history: tuple[tuple[date, Decimal, Decimal, bool], ...]
    """Month, revenue, profit, whether it is partial."""
    territories: tuple[tuple[str, Decimal], ...]
    bridge: Mapping[str, tuple[Decimal, ...]]
    """By channel, what changed the gross profit of the month since the year before: `BRIDGE_COLUMNS`."""
    proposals: tuple[Proposal, ...]
    """The orders from preferred vendors that should be placed first."""
    pairs: tuple[Pair, ...]
    """The pairs of products that individuals buy together most often."""
    campaigns: tuple[Campaign, ...]
    """The newest special offers that sold something."""
    quotas: tuple[Quota, ...]
    """The newest quotas, the furthest behind the usual pace first."""


@dataclass(frozen=True)
class Proposal:
    """What to order from a vendor."""

    product: str
    vendor: str
    needed_pieces: int
    order_quantity: int
    order_unit: str
    limited_by: str
    amount: Decimal
    order_by: date | None
    order_pieces: int | None
    """None if the content of the unit is unknown."""


@dataclass(frozen=True)
class Pair:
    """Two products that are bought together more often than chance would explain."""

    product: str
    other: str
    orders: int
    lift: Decimal


@dataclass(frozen=True)
class Quota:
    """A sales person's progress towards a quota, compared with the same point in earlier quotas."""

    sales_person_id: int
    quota_date: date
    elapsed: int
    waves: int
    quota: Decimal
    sales: Decimal
    pace: Decimal | None
    usual: Decimal | None
    expected: Decimal | None


@dataclass(frozen=True)
class Campaign:
    """A special offer in a category of products; the effect is empty if there was nothing to compare with."""

    name: str
    category: str
    cost: Decimal
    units: Decimal | None
    """Units above the baseline."""
    units_interval: tuple[Decimal | None, Decimal | None]
    profit: Decimal | None
    roi: Decimal | None
    roi_interval: tuple[Decimal | None, Decimal | None]


@dataclass(frozen=True)
class Asset:
    """A table or mart with its state, owner and DAG."""

    state: AssetState
    freshness: Freshness
    owner: str
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
    total: tuple[Forecast, ...]
    """The forecast of all territories of the channel."""
    withheld: str
    """The rule by which there is no forecast; empty if there is one."""
    withheld_total: str
    """The same for the total."""
    choice: tuple[Decimal | None, ...]
    """Errors in the territory in months after each choice of a model: of the choices, the naive models, a constant."""
    total_coverage: tuple[Decimal | None, ...]
    """Shares of past totals of the channel within their 80 % and 95 % intervals."""
    accuracy: tuple[tuple[Any, ...], ...]
    """Per model: name, WAPE, WAPE relative to the naive model, shares in both intervals, origins, is chosen."""


def business_date(records: Connection) -> date | None:
    """Return the business date of the newest figures; None before the first ones."""
    row = records.execute("select max(as_of) from ops.publication").fetchone()
    return row[0] if row else None


def versions(records: Connection) -> int:
    """Return a number that grows with every publication; while it is unchanged, cached data is current."""
    row = records.execute(
        "select coalesce(sum(newest), 0) from (select max(version) as newest from ops.publication group by asset) as a"
    ).fetchone()
    return int(row[0]) if row else 0


_MONTHLY = """
    select s.month, s.is_partial, p.revenue, p.profit, t.revenue, t.orders, c.customers, u.units, u.products, u.class_a,
        w.operations, w.late, w.days_late
    from staging.sales_month as s
    left join (
        select month, sum(revenue) as revenue, sum(profit) as profit from marts.monthly_profit group by month
    ) as p on p.month = s.month
    left join (
        select month, sum(revenue) as revenue, sum(orders) as orders from marts.territory_sales group by month
    ) as t on t.month = s.month
    left join (
        select booking_month as month, count(distinct customer_id) as customers
        from marts.customer_days group by booking_month
    ) as c on c.month = s.month
    left join (
        select month, sum(units) as units, count(*) as products,
            sum(case when abc_class = 'A' then 1 else 0 end) as class_a
        from marts.product_performance group by month
    ) as u on u.month = s.month
    left join (
        select month, sum(operations) as operations, sum(late) as late, sum(late * mean_days_late) as days_late
        from marts.late_work_orders group by month having sum(unfinished) = 0
    ) as w on w.month = s.month
    order by s.month
"""


@dataclass(frozen=True)
class _Month:
    """One month. Ratios use figures of one mart only, because two marts may have different versions."""

    month: date
    is_partial: bool
    revenue: Decimal | None
    """From `monthly_profit`, like `profit`."""
    profit: Decimal | None
    sales: Decimal | None
    """From `territory_sales`, like `orders`: by booking month, as `customers` is."""
    orders: int | None
    customers: int | None
    units: int | None
    products: int | None
    class_a: int | None
    operations: Decimal | None
    """Operations of the work orders that started in the month; from `late_work_orders`, like the next two."""
    late: Decimal | None
    days_late: Decimal | None
    """Sum of the delays of the late operations."""


def overview(session: Session, language: Language) -> Overview:
    """Return the KPIs of the last complete month, compared with the month before and the year before."""
    months = [_Month(*row) for row in session.data.execute(_MONTHLY).fetchall()]
    whole = [month for month in months if not month.is_partial]
    newest = whole[-1].month if whole else None
    return Overview(
        month=newest,
        is_computed=bool(months),
        as_of=business_date(session.records),
        groups=tuple(_with_pages(group, newest) for group in _groups(session.data, whole, language)),
        history=tuple(
            (one.month, one.revenue, one.profit or Decimal(0), one.is_partial)
            for one in months[-MONTHS:]
            if one.revenue is not None
        ),
        territories=tuple(_territories(session.data, newest)) if newest else (),
        bridge=_bridge(session.data, newest) if newest else {},
        proposals=tuple(_proposals(session.data)),
        pairs=tuple(_pairs(session.data)),
        campaigns=tuple(_campaigns(session.data)),
        quotas=tuple(_quotas(session.data)),
    )


def assets(settings: Settings, session: Session) -> list[Asset]:
    """Return every table and mart: blocked ones first, then unpublished and stale ones, then by name."""
    decided = decide_now(settings, session)
    promised = freshness(promises(settings), session.records, decided.behind, datetime.now(UTC))
    found = [
        Asset(
            state,
            promised[state.asset],
            entry(state.asset).owner,
            producer_of(state.asset),
        )
        for state in asset_states(session.records, decided)
    ]
    order = {"blocked": 0, "never published": 1}
    return sorted(found, key=lambda one: (order.get(one.state.verdict, 2), one.state.fresh, one.state.asset))


def warning(marts: Collection[str], found: Sequence[Asset], language: Language) -> Remark | None:
    """Return the most serious remark on figures from these marts; None if all is well."""
    return worst((asset.state for asset in found if asset.state.asset in marts), language)


def series_names(data: Data) -> list[tuple[str, int, str]]:
    """Return channel, territory id and name of every series: largest forecast first, those without one last."""
    rows = data.execute(
        'select f.channel, f.territory_id, coalesce(max(t."Name"), f.territory_id::varchar) from marts.sales_forecast'
        ' as f left join raw."Sales_SalesTerritory" as t on t."TerritoryID" = f.territory_id'
        " join (select distinct channel, trained_until from marts.forecast_accuracy) as n"
        " on n.channel = f.channel and n.trained_until = f.trained_until"
        " group by f.channel, f.territory_id order by sum(f.forecast) desc nulls last, 1, 2"
    ).fetchall()
    return [(row[0], row[1], row[2]) for row in rows]


def series(data: Data, channel: str, territory_id: int, name: str) -> Series:
    """Return one series: its past, its forecast, and the accuracy of past forecasts."""
    parameters = {"channel": channel, "territory": territory_id}
    where = "channel = %(channel)s and territory_id = %(territory)s"
    past = data.execute(
        f"select month, revenue from marts.territory_sales where {where} and not is_partial order by month", parameters
    ).fetchall()
    ahead = data.execute(
        "select month, forecast, lower_80, upper_80, lower_95, upper_95, channel_forecast, channel_lower_80,"
        " channel_upper_80, channel_lower_95, channel_upper_95, error_model, coalesce(error_baseline, error_model),"
        " error_constant, model, withheld_because, channel_withheld_because, trained_until"
        f" from marts.sales_forecast where {where} and trained_until ="
        " (select max(trained_until) from marts.forecast_accuracy where channel = %(channel)s) order by month",
        parameters,
    ).fetchall()
    accuracy = data.execute(
        "select model, wape, coverage_80, coverage_95, origins, is_chosen, channel_coverage_80, channel_coverage_95"
        f" from marts.forecast_accuracy where {where} order by is_chosen desc, wape, model",
        parameters,
    ).fetchall()
    *_, model, withheld, withheld_total, until = ahead[0] if ahead else ("", None, None, None)
    if ahead and ahead[0][6] is None:
        # Rows of contract 2.0 have one reason for both.
        withheld_total = withheld_total or withheld
    naive = next((row[1] for row in accuracy if row[0] == "naive"), None)
    return Series(
        channel,
        territory_id,
        name,
        model=model,
        past=_without_gaps(dict(past), until),
        ahead=tuple(row[:6] for row in ahead if withheld is None),
        total=tuple((row[0], *row[6:11]) for row in ahead if row[6] is not None),
        withheld=withheld or "",
        withheld_total=withheld_total or "",
        choice=ahead[0][11:14] if ahead else (),
        total_coverage=accuracy[0][6:8] if accuracy else (None, None),
        accuracy=tuple((row[0], row[1], _ratio(row[1], naive), *row[2:6]) for row in accuracy),
    )


def sold_so_far(data: Data, series: Series, until: date) -> dict[date, tuple[Decimal, Decimal]]:
    """Return the revenue of the series and of its channel in each forecast month that has begun.

    `until`: the business date, the last day of the revenue.
    """
    begun = sorted({month for month, *_ in (*series.ahead, *series.total) if month <= until})
    rows = data.execute(
        "select month, sum(case when territory_id = %(territory)s then revenue else 0 end), sum(revenue)"
        " from marts.territory_sales where channel = %(channel)s group by month",
        {"channel": series.channel, "territory": series.territory_id},
    ).fetchall()
    known = {month: (territory, channel) for month, territory, channel in rows}
    return {month: known.get(month, (Decimal(0), Decimal(0))) for month in begun}


def _without_gaps(known: dict[date, Decimal], until: date | None) -> tuple[tuple[date, Decimal], ...]:
    """Return every month from the first one on, as the models see it: a month without orders has a revenue of 0."""
    if not known:
        return ()
    last = max(*known, until or min(known))
    back = 12 * (last.year - min(known).year) + last.month - min(known).month
    months = (shifted(last, -distance) for distance in range(back, -1, -1))
    return tuple((month, known.get(month, Decimal(0))) for month in months)


def _groups(data: Data, whole: Sequence[_Month], language: Language) -> Iterator[Group]:
    text, money, number = language.text, language.short_money, language.number

    def monthly(name: str, figure: Callable[[_Month], Any], shown: Any, more_is_better: bool | None = True) -> Kpi:
        return _monthly(name, whole, figure, shown, language, more_is_better=more_is_better)

    def column(
        mart: str,
        name: str,
        figure: Callable[[_Month], Any],
        shown: Any,
        share: bool = False,
        more_is_better: bool = True,
    ) -> Kpi:
        found = definition(mart, name, language)
        return replace(_monthly(found.label, whole, figure, shown, language, share, more_is_better), definition=found)

    if whole:
        yield Group(
            text("Sales by booking month"),
            ("territory_sales",),
            (
                column("territory_sales", "revenue", lambda one: one.sales, money),
                column("territory_sales", "orders", lambda one: one.orders, number),
                column("daily_sales", "average_order_value", lambda one: _ratio(one.sales, one.orders), money),
            ),
        )
        yield Group(
            text("Finance by calendar month"),
            ("monthly_profit",),
            (
                column("monthly_profit", "profit", lambda one: one.profit, money),
                column(
                    "monthly_profit",
                    "margin",
                    lambda one: _ratio(one.profit, one.revenue),
                    language.percent,
                    share=True,
                ),
            ),
        )
        buyers = monthly(text("Customers who ordered"), lambda one: one.customers, number)
        yield Group(
            text("Customers"),
            ("customer_value", "customer_churn", "customer_cohort_value", "customer_days"),
            (buyers, *_customers(data, language)),
        )
        yield Group(
            text("Products"),
            ("product_performance",),
            (
                column("product_performance", "units", lambda one: one.units, number),
                monthly(text("Products sold"), lambda one: one.products, number, more_is_better=None),
                monthly(text("Products in class A"), lambda one: one.class_a, number, more_is_better=None),
            ),
        )
        if any(one.operations for one in whole):
            yield Group(
                text("Production"),
                ("late_work_orders",),
                (
                    column(
                        "late_work_orders",
                        "late_share",
                        lambda one: _ratio(one.late, one.operations),
                        language.percent,
                        share=True,
                        more_is_better=False,
                    ),
                    column(
                        "late_work_orders",
                        "mean_days_late",
                        lambda one: _ratio(one.days_late, one.late),
                        partial(language.days, digits=1),
                        more_is_better=False,
                    ),
                ),
            )
    stock = tuple(_stock(data, language))
    if stock:
        yield Group(text("Stock"), ("inventory_status", "purchase_proposal"), stock)


def _with_pages(group: Group, month: date | None) -> Group:
    """Return a group with the address of the page that each of its KPIs opens."""

    def page(kpi: Kpi) -> str:
        column = kpi.definition
        return page_of(column.asset, column.name, month) if column else page_of(group.marts[0], "", month)

    return replace(group, kpis=tuple(replace(kpi, page=page(kpi)) for kpi in group.kpis))


def _monthly(
    name: str,
    whole: Sequence[_Month],
    figure: Callable[[_Month], Any],
    shown: Any,
    language: Language,
    share: bool = False,
    more_is_better: bool | None = True,
) -> Kpi:
    """Return a KPI of the last complete month; shares are compared by their difference in percentage points.

    `more_is_better`: None if neither more nor less is good news.
    """
    by_month = {one.month: one for one in whole}
    newest = max(by_month)
    values = [_figure(by_month.get(shifted(newest, -back)), figure) for back in range(MONTHS - 1, -1, -1)]
    now, before, year_before = values[-1], values[-2], values[0]
    compare = _difference if share else _growth
    yearly = compare(now, year_before)

    def formatted(change: Decimal | None) -> str:
        if share and change is not None:
            return language.points(change, signed=True)
        return language.change(change)

    return Kpi(
        name=name,
        value=shown(now),
        before=formatted(compare(now, before)),
        year_before=formatted(yearly),
        trend=trend(yearly, more_is_better),
        spark=sparkline(values),
    )


def trend(change: Decimal | None, more_is_better: bool | None) -> Direction:
    """Return whether a change is good news; empty if that is unknown, or if it is shown as 0.0."""
    if more_is_better is None or change is None or not round(change, 3):
        return ""
    return "better" if (change > 0) == more_is_better else "worse"


def _figure(month: _Month | None, figure: Callable[[_Month], Any]) -> Decimal | None:
    value = figure(month) if month else None
    return None if value is None else Decimal(value)


def _ratio(one: Decimal | None, other: Decimal | int | None) -> Decimal | None:
    return Decimal(one) / Decimal(other) if one is not None and other else None


def _growth(now: Decimal | None, then: Decimal | None) -> Decimal | None:
    # Growth in per cent is undefined if the base is zero or a loss.
    return now / then - 1 if now is not None and then is not None and then > 0 else None


def _difference(now: Decimal | None, then: Decimal | None) -> Decimal | None:
    return now - then if now is not None and then is not None else None


def _customers(data: Data, language: Language) -> Iterator[Kpi]:
    text = language.text
    margins = {
        "online": text("Expected margin from online customers, 52 weeks"),
        "reseller": text("Margin from resellers, last twelve booking months"),
    }
    values = data.execute(
        "select channel, sum(clv_52w), min(withheld_because) from marts.customer_value"
        " group by channel order by channel"
    ).fetchall()
    for channel, value, withheld in values:
        yield Kpi(
            margins[channel],
            language.short_money(value),
            note=text("not published, because {reason}", reason=value_withheld(withheld, language))
            if withheld and value is None
            else "",
            definition=definition("customer_value", "clv_52w", language),
        )
    per_customer = definition("customer_cohort_value", "margin_per_customer", language)
    names = {
        "online": text("Margin per new online customer, first twelve months"),
        "reseller": text("Margin per new reseller, first twelve months"),
    }
    for channel, name in names.items():
        cohorts = data.execute(
            "select sum(margin), sum(customers) from (select margin, customers from marts.customer_cohort_value"
            " where channel = %s and months_since = 11 order by cohort_month desc limit %s) as newest",
            (channel, COHORTS),
        ).fetchone()
        yield Kpi(name, language.short_money(_ratio(*cohorts) if cohorts else None), definition=per_customer)
    lapsed = data.execute("select count(*) from marts.customer_churn where status = 'lapsed'").fetchone()
    yield Kpi(
        text("Lapsed resellers"),
        language.number(lapsed[0] if lapsed else None),
        definition=definition("customer_churn", "status", language),
    )
    names = {
        "online": text("Online customers expected to order again"),
        "reseller": text("Resellers expected to order again"),
    }
    for channel, name in names.items():
        found = data.execute(
            "select avg(reorder_probability_52w), min(withheld_because) from marts.customer_churn where channel = %s",
            (channel,),
        ).fetchone()
        probability, withheld = found or (None, None)
        yield Kpi(
            name,
            language.percent(probability),
            note=text("not published, because {reason}", reason=reorder_withheld(withheld, language))
            if withheld and probability is None
            else "",
            definition=definition("customer_churn", "reorder_probability_52w", language),
        )


def _stock(data: Data, language: Language) -> Iterator[Kpi]:
    text = language.text
    counts: dict[str, int] = dict(
        data.execute("select state, count(*) from marts.inventory_status group by state").fetchall()
    )
    if counts:
        column = definition("inventory_status", "state", language)
        for state in ("out", "reorder", "low"):
            count = counts.get(state, 0)
            trend: Direction = "worse" if count and state != "low" else ""
            yield Kpi(stock_state(state, language), language.number(count), trend=trend, definition=column)
        amount, late = data.execute(
            "select sum(amount), count(case when order_by < as_of then 1 end) from marts.purchase_proposal"
            " where preferred and order_quantity > 0"
        ).fetchone() or (None, 0)
        order_by = definition("purchase_proposal", "order_by", language)
        yield Kpi(
            text("Value of the proposed orders"),
            language.short_money(amount),
            definition=definition("purchase_proposal", "amount", language),
        )
        yield Kpi(
            text("Orders that are late"), language.number(late), trend="worse" if late else "", definition=order_by
        )


def _territories(data: Data, month: date) -> Iterator[tuple[str, Decimal]]:
    rows = data.execute(
        "select territory, sum(revenue) from marts.territory_sales where month = %s"
        " group by territory order by 2 desc, 1",
        (month,),
    ).fetchall()
    yield from ((row[0], row[1]) for row in rows)


def _bridge(data: Data, month: date) -> Mapping[str, tuple[Decimal, ...]]:
    return by_channel(bridges(data, month).get(key_of(month), ()))


def _proposals(data: Data) -> Iterator[Proposal]:
    rows = data.execute(
        "select product, vendor, needed_pieces, order_quantity, order_unit, limited_by, amount, order_by, order_pieces"
        f" from marts.purchase_proposal where preferred and order_quantity > 0 order by {URGENCY} limit %s",
        (PROPOSALS,),
    ).fetchall()
    yield from (Proposal(*row) for row in rows)


def _pairs(data: Data) -> Iterator[Pair]:
    rows = data.execute(
        "select product, other_product, orders_together, lift from marts.product_affinity"
        " where channel = 'online' and lift_lower_95 > 1"
        " order by orders_together desc, lift desc, product_id, other_product_id limit %s",
        (PAIRS,),
    ).fetchall()
    yield from (Pair(*row) for row in rows)


def _campaigns(data: Data) -> Iterator[Campaign]:
    rows = data.execute(
        'select o."Description", c.category, c.discount_cost, c.incremental_units, c.incremental_units_lower_95,'
        " c.incremental_units_upper_95, c.incremental_profit, c.roi, c.roi_lower_95, c.roi_upper_95"
        ' from marts.campaign_performance as c join raw."Sales_SpecialOffer" as o on o."SpecialOfferID" ='
        " c.special_offer_id where c.method in ('difference_in_differences', 'no_comparison')"
        " order by c.first_day desc, c.special_offer_id, c.category limit %s",
        (CAMPAIGNS,),
    ).fetchall()
    for name, category, cost, units, lower, upper, profit, roi, roi_lower, roi_upper in rows:
        yield Campaign(name, category, cost, units, (lower, upper), profit, roi, (roi_lower, roi_upper))


def _quotas(data: Data) -> Iterator[Quota]:
    rows = data.execute(
        "select sales_person_id, quota_date, elapsed_waves, waves, quota, sales_to_date, pace, usual_pace,"
        " expected_sales from marts.quota_pace where quota_date = (select max(quota_date) from marts.quota_pace)"
        " order by sales_to_date - expected_sales nulls last, sales_person_id"
    ).fetchall()
    yield from (Quota(*row) for row in rows)
