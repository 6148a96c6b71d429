"""What people read: the reports, digests and dashboard pages, with the columns that each shows or filters by.

A test compares this list with the queries of their modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from adventureworks.catalog import ANALYSES, INGESTION, MARTS, SOURCE_TABLES, marts_of
from adventureworks.catalog.pages import NAMED, columns_read, view_of, views_of


@dataclass(frozen=True)
class Reader:
    """A report, a digest or a page of the dashboard."""

    kind: Literal["report", "digest", "page"]
    name: str
    reads: Mapping[str, tuple[str, ...]]
    """The tables and marts that it reads, each with the columns."""


_SALES_MONTH = ("order_date", "booking_month", "channel")
"""The columns of `fact_sales` behind the view `staging.sales_month`."""
_BRIDGE = (
    "profit",
    "profit_year_before",
    "volume_effect",
    "mix_effect",
    "price_effect",
    "cost_effect",
    "new_products",
    "gone_products",
)
_PRODUCT = {"Production_Product": ("ProductID", "Name")}
_TERRITORY = {"Sales_SalesTerritory": ("TerritoryID", "Name")}
_SCORES = {
    "data_quality": (
        "run_number",
        "table_name",
        "rule",
        "dimension",
        "severity",
        "failed",
        "checked",
        "pass_rate",
        "change",
        "systematic",
        "overall_score",
        "is_business_rule",
    )
}


def _analysis_page(dag: str) -> Reader:
    """Return the page of an analysis as a reader of what its views declare."""
    marts = {mart: columns_read(mart) for mart in views_of(dag)}
    names = {
        found.table: (found.key, found.name)
        for column, found in NAMED.items()
        if any(column in columns for columns in marts.values())
    }
    months = {"fact_sales": _SALES_MONTH} if any(view_of(mart).follows_sales for mart in marts) else {}
    return Reader("page", dag, {**marts, **names, **months})


_PACE = (
    "sales_person_id",
    "quota_date",
    "elapsed_waves",
    "waves",
    "quota",
    "sales_to_date",
    "pace",
    "usual_pace",
    "expected_sales",
)
"""The columns of `quota_pace` that the overview and the mail on quotas show."""

READERS = (
    Reader(
        "report",
        "monthly_report",
        {
            "monthly_profit": (
                "month",
                "territory_id",
                "category",
                "product_id",
                "revenue",
                "discount_amount",
                "cogs",
                "fallback_cost_revenue",
                "is_partial",
            ),
            "fact_sales": ("order_date", "channel", "revenue", "discount_amount", "cogs", "cost_source"),
            "profit_bridge": ("month", "channel", "category", *_BRIDGE),
            "Sales_SalesTerritory": ("TerritoryID", "Name", "Group"),
            "Sales_SalesOrderHeader": ("SalesOrderID", "Status", "OrderDate", "SubTotal"),
            "Production_Product": ("ProductID", "Name", "ProductNumber"),
        },
    ),
    Reader(
        "digest",
        "daily_sales",
        {
            "daily_sales": ("order_date", "territory_id", "channel", "orders", "revenue"),
            "fact_sales": ("order_date", "product_id", "quantity", "revenue"),
            **_TERRITORY,
            **_PRODUCT,
        },
    ),
    Reader(
        "digest",
        "low_stock",
        {
            "inventory_status": (
                "as_of",
                "product",
                "product_id",
                "state",
                "on_hand",
                "reorder_point",
                "safety_stock_level",
                "days_of_supply",
                "needed",
                "lead_time_days",
            ),
            "purchase_proposal": (
                "product_id",
                "vendor_id",
                "as_of",
                "product",
                "vendor",
                "preferred",
                "state",
                "on_hand",
                "days_of_supply",
                "lead_time_days",
                "order_by",
                "on_order",
                "needed_pieces",
                "order_unit",
                "minimum_order",
                "maximum_order",
                "order_quantity",
                "order_pieces",
                "limited_by",
                "last_price",
                "amount",
                "rejected_share",
            ),
        },
    ),
    Reader(
        "digest",
        "quota_pace",
        {
            "quota_pace": _PACE,
            "Person_Person": ("BusinessEntityID", "FirstName", "LastName"),
        },
    ),
    Reader(
        "digest",
        "late_work_orders",
        {
            "late_work_orders": (
                "month",
                "location_id",
                "location",
                "product_id",
                "operations",
                "late",
                "unfinished",
                "mean_days_late",
                "hours_actual",
            ),
            "fact_sales": _SALES_MONTH,
            **_PRODUCT,
        },
    ),
    Reader(
        "digest",
        "product_affinity",
        {
            "product_affinity": (
                "product_id",
                "other_product_id",
                "channel",
                "product",
                "other_product",
                "orders_together",
                "confidence",
                "other_confidence",
                "lift",
                "lift_lower_95",
                "last_month",
            )
        },
    ),
    Reader(
        "digest",
        "data_quality",
        {"data_quality": (*_SCORES["data_quality"], "as_of")},
    ),
    Reader(
        "digest",
        "customer_value",
        {
            "customer_value": (
                "as_of",
                "customer_id",
                "channel",
                "segment",
                "monetary",
                "clv_52w",
                "withheld_because",
            ),
            "customer_churn": (
                "customer_id",
                "channel",
                "status",
                "reorder_probability_52w",
                "withheld_because",
                "last_order_date",
            ),
            "customer_cohort_value": ("channel", "cohort_month", "months_since", "customers", "margin"),
            "customer_days": ("customer_id", "cogs"),
            "Sales_Customer": ("CustomerID", "StoreID"),
            "Sales_Store": ("BusinessEntityID", "Name", "SalesPersonID"),
            "Person_Person": ("BusinessEntityID", "FirstName", "LastName"),
        },
    ),
    Reader(
        "page",
        "overview",
        {
            "monthly_profit": ("month", "revenue", "profit"),
            "territory_sales": ("month", "territory", "revenue", "orders"),
            "fact_sales": _SALES_MONTH,
            "customer_days": ("booking_month", "customer_id"),
            "product_performance": ("month", "units", "abc_class"),
            "customer_value": ("channel", "clv_52w", "withheld_because"),
            "customer_churn": ("channel", "status", "reorder_probability_52w", "withheld_because"),
            "customer_cohort_value": ("channel", "cohort_month", "months_since", "customers", "margin"),
            "profit_bridge": ("month", "channel", "category", *_BRIDGE),
            "campaign_performance": (
                "special_offer_id",
                "category",
                "discount_cost",
                "incremental_units",
                "incremental_units_lower_95",
                "incremental_units_upper_95",
                "incremental_profit",
                "roi",
                "roi_lower_95",
                "roi_upper_95",
                "method",
                "first_day",
            ),
            "Sales_SpecialOffer": ("SpecialOfferID", "Description"),
            "quota_pace": _PACE,
            "inventory_status": ("state",),
            "purchase_proposal": (
                "product_id",
                "as_of",
                "product",
                "vendor",
                "preferred",
                "state",
                "order_by",
                "needed_pieces",
                "order_unit",
                "order_quantity",
                "order_pieces",
                "limited_by",
                "amount",
            ),
            "late_work_orders": ("month", "operations", "late", "unfinished", "mean_days_late"),
            "product_affinity": (
                "product_id",
                "other_product_id",
                "channel",
                "product",
                "other_product",
                "orders_together",
                "lift",
                "lift_lower_95",
            ),
        },
    ),
    Reader(
        "page",
        "forecast",
        {
            "sales_forecast": (
                "month",
                "channel",
                "territory_id",
                "forecast",
                "lower_80",
                "upper_80",
                "lower_95",
                "upper_95",
                "channel_forecast",
                "channel_lower_80",
                "channel_upper_80",
                "channel_lower_95",
                "channel_upper_95",
                "model",
                "error_model",
                "error_baseline",
                "error_constant",
                "withheld_because",
                "channel_withheld_because",
                "trained_until",
            ),
            "forecast_accuracy": (
                "channel",
                "territory_id",
                "model",
                "wape",
                "coverage_80",
                "coverage_95",
                "origins",
                "is_chosen",
                "channel_coverage_80",
                "channel_coverage_95",
                "trained_until",
            ),
            "territory_sales": ("month", "channel", "territory_id", "revenue", "is_partial"),
            **_TERRITORY,
        },
    ),
    Reader("page", "quality", _SCORES),
    Reader(
        "page",
        "figure",
        {
            "fact_sales": (
                *_SALES_MONTH,
                "territory_id",
                "product_id",
                "sales_order_id",
                "quantity",
                "revenue",
                "cogs",
            ),
            **_TERRITORY,
            **_PRODUCT,
        },
    ),
    Reader(
        "page",
        "search",
        {
            "Production_Product": ("ProductID", "Name", "ProductNumber"),
            "Sales_Customer": ("CustomerID", "StoreID"),
            "Sales_Store": ("BusinessEntityID", "Name"),
            **_TERRITORY,
        },
    ),
    *map(_analysis_page, ANALYSES),
)


@dataclass(frozen=True)
class Dependants:
    """What depends on a table, a mart or a DAG."""

    marts: tuple[str, ...]
    """The marts computed from it, directly or indirectly, in the catalogue's order."""
    readers: tuple[Reader, ...]
    """The reports, digests and pages that read it or one of these marts."""


def dependants_of(name: str) -> Dependants:
    """Return what depends on a table, a mart or a DAG; nothing for anything else, such as a service.

    A mart that reports on the state of everything is not computed from a single table, so it is left out.
    """
    own = {mart.name for mart in marts_of(name)} if name in ANALYSES else {name}
    failed = set(SOURCE_TABLES) if name == INGESTION else own
    affected = set(failed)
    for mart in MARTS.values():
        if not mart.tolerant and affected & set(mart.inputs):
            affected.add(mart.name)
    marts = tuple(mart for mart in MARTS if mart in affected - {name})
    return Dependants(marts, tuple(reader for reader in READERS if affected & reader.reads.keys()))
