"""What the dashboard's page of each analysis shows of its marts: rows, columns, order, period and two charts.

Titles and explanations are in `texts.analyses`; `dashboard.analysis` reads and shows the figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from adventureworks.catalog import MARTS


@dataclass(frozen=True)
class Figure:
    """A figure that a chart shows for each value of a dimension."""

    column: str
    """The column that defines its meaning and unit; of a count, what one row is (`texts.analyses.counted_name`)."""
    how: Literal["sum", "mean", "count"] = "sum"
    of: tuple[str, str] | None = None
    """Two columns: the figure is the sum of the first divided by that of the second. None: computed as `how` says."""


@dataclass(frozen=True)
class Chart:
    """A chart of one figure by one dimension. A date is shown by month, a number in its own order, a text by size."""

    figure: Figure
    by: str
    only: tuple[str, str] | None = None
    """A column and an SQL condition on it: only these rows count."""
    caption: str = ""
    """The key of the chart's caption in `texts.analyses`; empty: the names of figure and dimension."""


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
    newest: tuple[str, ...] = ()
    """Only the rows with the greatest value of the last column are shown, for each value of the columns before it."""


@dataclass(frozen=True)
class Named:
    """The table of the source with the names for an id."""

    table: str
    key: str
    name: str
    label: str
    """The column whose label is the heading of the names."""


NAMED: Mapping[str, Named] = {
    "territory_id": Named("Sales_SalesTerritory", "TerritoryID", "Name", "territory"),
    "product_id": Named("Production_Product", "ProductID", "Name", "product"),
    "special_offer_id": Named("Sales_SpecialOffer", "SpecialOfferID", "Description", "special_offer_id"),
}
"""By column of a mart, where the names are that pages show in place of its ids."""

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
            Chart(Figure("pace", of=("sales_to_date", "quota")), "sales_person_id"),
            Chart(Figure("sales_to_date"), "sales_person_id"),
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
            "withheld_because",
        ),
        ("month", "channel", "-forecast"),
        (Chart(Figure("forecast"), "month"), Chart(Figure("forecast"), "territory_id")),
        newest=("channel", "trained_until"),
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
        ),
        ("channel", "territory_id", "wape"),
        (Chart(Figure("wape", "mean"), "model"), Chart(Figure("wape", "mean"), "territory_id")),
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
    ),
    "customer_retention": View(
        ("channel", "cohort_month", "months_since", "cohort_size", "retained", "retention", "revenue_retention"),
        ("-cohort_month", "channel", "months_since"),
        (
            Chart(
                Figure("retention", of=("retained", "cohort_size")),
                "cohort_month",
                ("months_since", "between 1 and 12"),
                "retention_of_first_year",
            ),
            Chart(Figure("retention", of=("retained", "cohort_size")), "months_since", ("months_since", "> 0")),
        ),
        time="cohort_month",
    ),
    "customer_cohort_value": View(
        ("channel", "cohort_month", "months_since", "customers", "margin", "margin_per_customer"),
        ("-cohort_month", "channel", "months_since"),
        (
            Chart(
                Figure("margin_per_customer", of=("margin", "customers")),
                "cohort_month",
                ("months_since", "= 11"),
                "margin_of_first_year",
            ),
            Chart(Figure("margin_per_customer", of=("margin", "customers")), "months_since"),
        ),
        time="cohort_month",
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
        ("channel", "-missed_cycles", "-days_silent"),
        (Chart(Figure("customers", "count"), "status"), Chart(Figure("customers", "count"), "silence_band")),
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
            Chart(Figure("revenue"), "band", ("attribute", "= 'Occupation'"), "revenue_by_occupation"),
            Chart(Figure("revenue"), "band", ("attribute", "= 'YearlyIncome'"), "revenue_by_income"),
        ),
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
            Chart(Figure("amount"), "vendor", ("preferred", "= true"), "orders_by_vendor"),
            Chart(Figure("amount"), "product", ("preferred", "= true"), "orders_by_product"),
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
            "rank",
            "is_partial",
        ),
        ("-month", "rank"),
        (Chart(Figure("revenue"), "month"), Chart(Figure("revenue"), "product")),
        time="month",
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
        (Chart(Figure("pairs", "count"), "channel"), Chart(Figure("pairs", "count"), "product")),
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
            Chart(Figure("late_share", of=("late", "operations")), "month"),
            Chart(Figure("late_share", of=("late", "operations")), "location"),
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
        (Chart(Figure("material_cost"), "product"), Chart(Figure("standard_cost"), "product")),
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
    ),
    "card_usage": View(
        ("month", "card_type", "orders", "revenue", "average_order_value", "order_share", "expired_at_order"),
        ("-month", "-revenue"),
        (Chart(Figure("revenue"), "month"), Chart(Figure("revenue"), "card_type")),
        time="month",
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
            "roi",
            "method",
        ),
        ("-first_day", "-revenue"),
        (
            Chart(Figure("discount_cost"), "special_offer_id"),
            Chart(Figure("incremental_profit"), "special_offer_id"),
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
        (Chart(Figure("pass_rate", "mean"), "dimension"), Chart(Figure("failed"), "table_name")),
        newest=("run_number",),
    ),
}
"""By mart. Another mart is shown with all its columns and without charts; see `view_of`."""

NOT_SHOWN = frozenset({"fact_sales"})
"""Marts without a page: `daily_sales` has the sums of these lines."""


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
    # DAG files import this module, and contracts are slow to load.
    from adventureworks.columns import columns_of

    return View(columns=tuple(column.name for column in columns_of(MARTS[mart])), order=())


def columns_read(mart: str) -> tuple[str, ...]:
    """Return the columns of a mart that its page shows, sorts by or filters by."""
    view = view_of(mart)
    used = [*view.columns, *(name.removeprefix("-") for name in view.order), view.time, *view.newest]
    for chart in view.charts:
        counted = chart.figure.how == "count"
        used += [chart.by, *(chart.figure.of or (() if counted else (chart.figure.column,)))]
        used += chart.only[:1] if chart.only else ()
    return tuple(dict.fromkeys(name for name in used if name))


def address(mart: str) -> str:
    """Return the address of the page with this mart, relative to the dashboard's."""
    return f"analysis/{MARTS[mart].dag}?mart={mart}"


def asset_address(name: str) -> str:
    """Return the address of the page about a table or mart, relative to the dashboard's."""
    return f"asset/{name}"
