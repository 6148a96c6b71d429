"""What the dashboard's page of each analysis shows of its marts: rows, columns, order, period and two charts.

Titles and explanations are in `texts.analyses`; `dashboard.analysis` reads and shows the figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from adventureworks.catalog import MARTS


@dataclass(frozen=True)
class Figure:
    """A figure that a chart shows for each value of a dimension."""

    column: str
    """The column that defines its meaning and unit; of a count, what one row is (`texts.analyses.counted_name`)."""
    how: Literal["sum", "mean", "count", "value"] = "sum"
    """`value`: all rows of a name have the same value, which is the figure."""
    of: tuple[str, str] | None = None
    """Two columns: the figure is the sum of the first divided by that of the second. None: computed as `how` says."""


@dataclass(frozen=True)
class RowFilter:
    """A condition on rows, in SQL that PostgreSQL and Snowflake interpret alike."""

    sql: str
    columns: tuple[str, ...]
    """The mart's columns in it."""


@dataclass(frozen=True)
class Chart:
    """A chart of one figure by one dimension. A date is shown by month, a number in its own order, a text by size."""

    figure: Figure
    by: str
    also_by: str = ""
    """A second column, whose name follows that of the first."""
    channel: Literal["", "online", "reseller"] = ""
    """Only the rows of this channel count. The caption names it."""
    only: RowFilter | None = None
    is_ordered: bool = False
    """Whether the names of the dimension begin with a number, by which they are ordered."""
    caption: str = ""
    """The key of the chart's caption in `texts.analyses`; empty: the names of figure and dimension."""

    @property
    def conditions(self) -> tuple[RowFilter, ...]:
        """Which rows count."""
        channel = RowFilter(f"channel = '{self.channel}'", ("channel",)) if self.channel else None
        return tuple(filter(None, (channel, self.only)))


@dataclass(frozen=True)
class View:
    """What a page shows of one mart."""

    columns: tuple[str, ...]
    """The columns of the table, from left to right."""
    order: tuple[str, ...]
    """The columns by which the rows are sorted, `-` in front for the greatest first. The key comes last."""
    charts: tuple[Chart, ...] = ()
    """Two, or none."""
    time: str = ""
    """The date column by which a period is chosen; empty: all rows are shown."""
    follows_sales: bool = False
    """Whether a month is partial while its sales are. A mart with `is_partial` says so itself."""
    settled_after: int = 0
    """The number of months after which a month's rows can be compared: the page opens with the newest such month."""
    only: RowFilter | None = None
    """Which rows are shown; None: all."""
    subject: str = ""
    """The id to one of which the page can be narrowed, such as a product; empty: none."""
    coarser: Mapping[str, str] = field(default_factory=dict)
    """By column: what page and files show instead of its exact values, in SQL over the columns of the page, if these
    would tell the number of people in a group."""


@dataclass(frozen=True)
class NameSource:
    """The table of the source with the names for an id."""

    table: str
    key: str
    name: str
    label: str
    """The column whose label is the heading of the names."""


NAMED: Mapping[str, NameSource] = {
    "territory_id": NameSource("Sales_SalesTerritory", "TerritoryID", "Name", "territory"),
    "product_id": NameSource("Production_Product", "ProductID", "Name", "product"),
    "special_offer_id": NameSource("Sales_SpecialOffer", "SpecialOfferID", "Description", "special_offer_id"),
}
"""By column of a mart, where the names are that pages show in place of its ids."""

_NEWEST_QUOTA = RowFilter("quota_date = (select max(quota_date) from marts.quota_pace)", ("quota_date",))
_CHOSEN_MODEL = RowFilter("is_chosen", ("is_chosen",))
_PREFERRED = RowFilter("preferred", ("preferred",))
_FINISHED = RowFilter("month not in (select month from marts.late_work_orders where unfinished > 0)", ("unfinished",))
_OFFERS = RowFilter("method <> 'none'", ("method",))
_FAILING = RowFilter("failed > 0 and severity <> 'info'", ("failed", "severity"))


def _first_year(mart: str, figure: Figure, channel: Literal["online", "reseller"]) -> Chart:
    """Return a chart of the first twelve months of a channel's cohorts, without those that are younger."""
    whole = f"select cohort_month from marts.{mart} where months_since = 12 and channel = '{channel}'"
    only = RowFilter(f"months_since between 1 and 12 and cohort_month in ({whole})", ("months_since", "cohort_month"))
    return Chart(figure, "months_since", channel=channel, only=only)


VIEWS: Mapping[str, View] = {
    "daily_sales": View(
        (
            "order_date",
            "territory_id",
            "channel",
            "orders",
            "units",
            "gross_amount",
            "discount_amount",
            "revenue",
            "tax",
            "freight",
            "total_due",
            "average_order_value",
        ),
        ("-order_date", "-revenue"),
        (Chart(Figure("revenue"), "order_date"), Chart(Figure("revenue"), "territory_id")),
        time="order_date",
        follows_sales=True,
    ),
    "territory_sales": View(
        (
            "month",
            "territory",
            "channel",
            "orders",
            "customers",
            "revenue",
            "profit",
            "margin",
            "revenue_share",
            "revenue_growth",
            "is_partial",
        ),
        ("-month", "-revenue"),
        (Chart(Figure("revenue"), "month"), Chart(Figure("revenue"), "territory")),
        time="month",
    ),
    "sales_person_performance": View(
        (
            "quota_date",
            "sales_person_id",
            "quota",
            "sales",
            "attainment",
            "gap",
            "commission",
            "orders",
            "rank",
        ),
        ("-quota_date", "rank"),
        (
            Chart(Figure("attainment", of=("sales", "quota")), "quota_date"),
            Chart(Figure("sales"), "sales_person_id"),
        ),
        time="quota_date",
    ),
    "quota_pace": View(
        (
            "sales_person_id",
            "quota_date",
            "elapsed_waves",
            "waves",
            "quota",
            "sales_to_date",
            "expected_sales",
            "pace",
            "usual_pace",
            "earlier_periods",
            "is_finished",
        ),
        ("-quota_date", "-sales_to_date"),
        (
            Chart(Figure("pace", of=("sales_to_date", "quota")), "sales_person_id", only=_NEWEST_QUOTA),
            Chart(Figure("sales_to_date"), "sales_person_id", only=_NEWEST_QUOTA),
        ),
    ),
    "exchange_rates": View(
        (
            "rate_date",
            "currency_code",
            "average_rate",
            "end_of_day_rate",
            "daily_return",
            "volatility_30d",
            "is_gap_filled",
            "is_outlier",
        ),
        ("-rate_date", "currency_code"),
        (
            Chart(Figure("volatility_30d", "mean"), "rate_date"),
            Chart(Figure("volatility_30d", "mean"), "currency_code"),
        ),
        time="rate_date",
    ),
    "currency_sales": View(
        ("month", "currency_code", "orders", "revenue_usd", "revenue_local"),
        ("-month", "-revenue_usd"),
        (Chart(Figure("revenue_usd"), "month"), Chart(Figure("revenue_usd"), "currency_code")),
        time="month",
        follows_sales=True,
    ),
    "sales_forecast": View(
        (
            "month",
            "channel",
            "territory_id",
            "forecast",
            "lower_80",
            "upper_80",
            "lower_95",
            "upper_95",
            "model",
            "trained_until",
            "error_model",
            "error_baseline",
            "error_constant",
            "withheld_because",
            "channel_withheld_because",
        ),
        ("month", "channel", "-forecast"),
        (
            Chart(Figure("channel_forecast", "value"), "month", channel="online"),
            Chart(Figure("channel_forecast", "value"), "month", channel="reseller"),
        ),
        only=RowFilter(
            "(channel, trained_until) in (select channel, trained_until from marts.forecast_accuracy)",
            ("channel", "trained_until"),
        ),
    ),
    "forecast_accuracy": View(
        (
            "channel",
            "territory_id",
            "model",
            "is_chosen",
            "wape",
            "mase",
            "coverage_80",
            "coverage_95",
            "origins",
            "channel_wape",
            "trained_until",
        ),
        ("channel", "territory_id", "wape"),
        (
            Chart(Figure("wape", "value"), "territory_id", channel="online", only=_CHOSEN_MODEL),
            Chart(Figure("wape", "value"), "territory_id", channel="reseller", only=_CHOSEN_MODEL),
        ),
    ),
    "customer_value": View(
        (
            "customer_id",
            "channel",
            "segment",
            "recency_days",
            "frequency",
            "monetary",
            "probability_alive",
            "expected_orders_52w",
            "clv_52w",
            "withheld_because",
        ),
        ("-monetary",),
        (Chart(Figure("customers", "count"), "segment"), Chart(Figure("monetary"), "segment")),
        subject="customer_id",
    ),
    "customer_retention": View(
        ("channel", "cohort_month", "months_since", "cohort_size", "retained", "retention", "revenue_retention"),
        ("-cohort_month", "channel", "months_since"),
        (
            _first_year("customer_retention", Figure("retention", of=("retained", "cohort_size")), "online"),
            _first_year("customer_retention", Figure("retention", of=("retained", "cohort_size")), "reseller"),
        ),
        time="cohort_month",
        follows_sales=True,
        settled_after=12,
    ),
    "customer_cohort_value": View(
        ("channel", "cohort_month", "months_since", "customers", "margin", "margin_per_customer"),
        ("-cohort_month", "channel", "months_since"),
        (
            _first_year("customer_cohort_value", Figure("margin_per_customer", of=("margin", "customers")), "online"),
            _first_year("customer_cohort_value", Figure("margin_per_customer", of=("margin", "customers")), "reseller"),
        ),
        time="cohort_month",
        follows_sales=True,
        settled_after=12,
    ),
    "customer_churn": View(
        (
            "customer_id",
            "channel",
            "status",
            "last_order_date",
            "days_silent",
            "cycle_months",
            "missed_cycles",
            "silence_band",
            "reorder_probability_52w",
            "reorder_lower_95",
            "reorder_upper_95",
            "withheld_because",
        ),
        ("-channel", "-missed_cycles", "-days_silent"),
        (
            Chart(Figure("customers", "count"), "status", channel="reseller"),
            Chart(Figure("customers", "count"), "silence_band", channel="online", is_ordered=True),
        ),
        subject="customer_id",
    ),
    "customer_demographics": View(
        (
            "attribute",
            "band",
            "territory_id",
            "customers",
            "orders",
            "revenue",
            "average_order_value",
            "bike_buyer_share",
        ),
        ("attribute", "band", "-revenue"),
        (
            Chart(
                Figure("revenue"),
                "band",
                only=RowFilter("attribute = 'Occupation'", ("attribute",)),
                caption="revenue_by_occupation",
            ),
            Chart(
                Figure("revenue"),
                "band",
                only=RowFilter("attribute = 'YearlyIncome'", ("attribute",)),
                is_ordered=True,
                caption="revenue_by_income",
            ),
        ),
        coarser={
            "average_order_value": "cast(revenue / nullif(orders, 0) as decimal(38, 2))",
            # So coarse that every number of customers that rounds to the one beside it can have this share.
            "bike_buyer_share": "cast(case when customers < 25 then round(bike_buyer_share * 5) / 5"
            " when customers < 105 then round(bike_buyer_share * 20) / 20 else round(bike_buyer_share, 2) end"
            " as decimal(38, 2))",
        },
    ),
    "inventory_status": View(
        (
            "product",
            "state",
            "is_made",
            "on_hand",
            "safety_stock_level",
            "reorder_point",
            "velocity_90d",
            "days_of_supply",
            "on_order",
            "lead_time_days",
            "needed",
            "suggested_order",
            "order_unit",
            "limited_by",
        ),
        ("days_of_supply", "product"),
        (Chart(Figure("products", "count"), "state"), Chart(Figure("needed"), "product")),
        subject="product_id",
    ),
    "purchase_proposal": View(
        (
            "product",
            "vendor",
            "preferred",
            "state",
            "order_by",
            "order_quantity",
            "order_unit",
            "order_pieces",
            "limited_by",
            "last_price",
            "amount",
            "needed_pieces",
            "on_hand",
            "days_of_supply",
            "lead_time_days",
            "rejected_share",
        ),
        ("-preferred", "order_by"),
        (
            Chart(Figure("amount"), "vendor", only=_PREFERRED, caption="orders_by_vendor"),
            Chart(Figure("amount"), "product", only=_PREFERRED, caption="orders_by_product"),
        ),
    ),
    "product_performance": View(
        (
            "month",
            "product",
            "category",
            "subcategory",
            "units",
            "revenue",
            "cogs",
            "profit",
            "margin",
            "average_price",
            "list_price",
            "discount_rate",
            "abc_class",
            "xyz_class",
            "rank",
            "is_partial",
        ),
        ("-month", "rank"),
        (Chart(Figure("revenue"), "month"), Chart(Figure("revenue"), "product")),
        time="month",
        subject="product_id",
    ),
    "product_affinity": View(
        (
            "channel",
            "product",
            "other_product",
            "orders_together",
            "support",
            "confidence",
            "other_confidence",
            "lift",
            "lift_lower_95",
        ),
        ("channel", "-orders_together"),
        (
            Chart(Figure("orders_together"), "product", also_by="other_product", channel="online"),
            Chart(Figure("orders_together"), "product", also_by="other_product", channel="reseller"),
        ),
    ),
    "production_costs": View(
        (
            "month",
            "product_id",
            "work_orders",
            "ordered",
            "stocked",
            "scrapped",
            "scrap_rate",
            "scrap_cost",
            "scrap_cost_coverage",
            "routing_cost_planned",
            "routing_cost_actual",
            "variance",
            "late_orders",
            "unrouted_orders",
        ),
        ("-month", "-scrap_cost"),
        (Chart(Figure("scrap_cost"), "month"), Chart(Figure("scrap_cost"), "product_id")),
        time="month",
    ),
    "late_work_orders": View(
        (
            "month",
            "location",
            "product_id",
            "operations",
            "late",
            "unfinished",
            "late_share",
            "mean_days_late",
            "hours_planned",
            "hours_actual",
        ),
        ("-month", "-late"),
        (
            Chart(Figure("late_share", of=("late", "operations")), "month", only=_FINISHED),
            Chart(Figure("late_share", of=("late", "operations")), "location", only=_FINISHED),
        ),
        time="month",
    ),
    "bill_of_materials_cost": View(
        (
            "product",
            "material_cost",
            "routing_cost",
            "routing_cost_per_order",
            "standard_cost",
            "levels",
            "leaves",
            "leaves_with_cost",
            "cost_coverage",
        ),
        ("-standard_cost",),
        (Chart(Figure("standard_cost"), "product"), Chart(Figure("routing_cost"), "product")),
    ),
    "monthly_profit": View(
        (
            "month",
            "territory_id",
            "category",
            "product_id",
            "revenue",
            "discount_amount",
            "cogs",
            "profit",
            "margin",
            "fallback_cost_revenue",
            "is_partial",
        ),
        ("-month", "-profit"),
        (Chart(Figure("profit"), "month"), Chart(Figure("profit"), "category")),
        time="month",
    ),
    "profit_bridge": View(
        (
            "month",
            "territory_id",
            "channel",
            "category",
            "profit",
            "profit_year_before",
            "volume_effect",
            "mix_effect",
            "price_effect",
            "cost_effect",
            "new_products",
            "gone_products",
        ),
        ("-month", "-profit"),
        (Chart(Figure("profit"), "month"), Chart(Figure("price_effect"), "category")),
        time="month",
        follows_sales=True,
    ),
    "card_usage": View(
        ("month", "card_type", "orders", "revenue", "average_order_value", "order_share", "expired_at_order"),
        ("-month", "-revenue"),
        (Chart(Figure("revenue"), "month"), Chart(Figure("revenue"), "card_type")),
        time="month",
        follows_sales=True,
    ),
    "campaign_performance": View(
        (
            "special_offer_id",
            "category",
            "first_day",
            "last_day",
            "lines",
            "units",
            "revenue",
            "discount_cost",
            "incremental_units",
            "incremental_units_lower_95",
            "incremental_units_upper_95",
            "incremental_profit",
            "incremental_profit_lower_95",
            "incremental_profit_upper_95",
            "roi",
            "roi_lower_95",
            "roi_upper_95",
            "method",
            "tested_periods",
            "error_model",
            "error_baseline",
            "error_constant",
            "predicted_over_actual",
            "withheld_because",
        ),
        ("-first_day", "-revenue"),
        (
            Chart(Figure("discount_cost"), "special_offer_id", only=_OFFERS),
            Chart(Figure("revenue"), "special_offer_id", only=_OFFERS),
        ),
    ),
    "data_quality": View(
        (
            "table_name",
            "rule",
            "dimension",
            "severity",
            "checked",
            "failed",
            "pass_rate",
            "previous_pass_rate",
            "change",
            "systematic",
        ),
        ("-failed", "table_name", "rule"),
        (
            Chart(Figure("failing_rules", "count"), "dimension", only=_FAILING),
            Chart(Figure("failing_rules", "count"), "table_name", only=_FAILING),
        ),
        only=RowFilter("run_number = (select max(run_number) from marts.data_quality)", ("run_number",)),
    ),
}
"""By mart. Another mart is shown with all its columns and without charts; see `view_of`."""

NOT_SHOWN = frozenset({"fact_sales", "customer_days"})
"""Marts without a page: `daily_sales` has the sums of their rows."""


def views_of(dag: str) -> tuple[str, ...]:
    """Return the marts that an analysis' page shows, the main one first."""
    return tuple(mart for mart in dict.fromkeys([*VIEWS, *MARTS]) if MARTS[mart].dag == dag and has_page(mart))


def has_page(name: str) -> bool:
    """Return whether a page shows this asset: a mart, except for `NOT_SHOWN`."""
    return name in MARTS and name not in NOT_SHOWN


def view_of(mart: str) -> View:
    """Return what the page shows of a mart: what `VIEWS` declares or, without an entry, all columns by key."""
    if mart in VIEWS:
        return VIEWS[mart]
    return View(columns=tuple(MARTS[mart].contract.to_schema().columns), order=())


def columns_read(mart: str) -> tuple[str, ...]:
    """Return the columns of a mart that its page shows or filters by."""
    view = view_of(mart)
    used = [*view.columns, *(name.removeprefix("-") for name in view.order), view.time, view.subject]
    used += view.only.columns if view.only else ()
    for chart in view.charts:
        counted = chart.figure.how == "count"
        used += [chart.by, chart.also_by, *(chart.figure.of or (() if counted else (chart.figure.column,)))]
        used += [name for only in chart.conditions for name in only.columns]
    return tuple(dict.fromkeys(name for name in used if name))


def address(mart: str, subject: int | None = None) -> str:
    """Return the address of the page with this mart, relative to the dashboard's; `subject`: narrowed to this id."""
    narrowed = "" if subject is None else f"&of={subject}"
    return f"analysis/{MARTS[mart].dag}?mart={mart}{narrowed}"


def asset_address(name: str) -> str:
    """Return the address of the page about a table or mart, relative to the dashboard's."""
    return f"asset/{name}"
