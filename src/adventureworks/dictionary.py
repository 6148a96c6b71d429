"""The data dictionary: what each column of a mart means, in every language.

The contracts hold the description (English) and the unit of a column, `texts/fr/columns.po` the French. Comments in the
warehouse, lineage events, the guide, reports, digests and the dashboard take the meaning of a column from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from adventureworks.catalog import MARTS, Mart, SourceTable
from adventureworks.columns import Column, columns_of
from adventureworks.texts import Language

_LABELS: Mapping[str, str] = {
    "abc_class": "Class by revenue",
    "as_of": "Business date",
    "average_order_value": "Order value",
    "baseline_wape": "Error of the naive models",
    "campaign_performance.error_baseline": "Error of the period before",
    "channel_coverage_80": "Total within 80 %",
    "channel_coverage_95": "Total within 95 %",
    "channel_error_baseline": "Channel, error of the naive models",
    "channel_error_constant": "Channel, error of a constant",
    "channel_error_model": "Channel, error of the model",
    "channel_forecast": "Forecast of the channel",
    "channel_lower_80": "Channel, 80 % interval, lower bound",
    "channel_lower_95": "Channel, 95 % interval, lower bound",
    "channel_predicted_over_actual": "Channel, predicted over actual",
    "channel_upper_80": "Channel, 80 % interval, upper bound",
    "channel_upper_95": "Channel, 95 % interval, upper bound",
    "channel_wape": "Error in the channel",
    "channel_withheld_because": "Channel, reason for withholding",
    "clv_52w": "Margin, 52 weeks",
    "cogs": "Cost of goods sold",
    "cohort_month": "Cohort",
    "constant_wape": "Error of a constant",
    "coverage_80": "Within 80 %",
    "coverage_95": "Within 95 %",
    "cycle_months": "Usual cycle",
    "customer_cohort_value.margin": "Cumulative margin",
    "days_silent": "Days since last order",
    "discount_amount": "Discount",
    "error_baseline": "Error of repeating the year before",
    "error_constant": "Error of a constant",
    "error_model": "Error of the model",
    "expected_orders_52w": "Expected orders, 52 weeks",
    "expected_sales": "Sales at the usual pace",
    "expired_at_order": "Expired cards",
    "f_score": "Frequency score",
    "fallback_cost_revenue": "Estimated",
    "gone_products": "Discontinued products",
    "holdout_customers": "Customers tested",
    "holdout_rmse_baseline": "Error of a repetition",
    "holdout_rmse_cell": "Error of the average",
    "holdout_rmse_constant": "Error of one margin for all",
    "holdout_rmse_model": "Error of the model",
    "has_bike": "With a bike",
    "hours_actual": "Hours worked",
    "hours_planned": "Planned hours",
    "incremental_profit_lower_95": "Incremental profit, lower bound",
    "incremental_profit_upper_95": "Incremental profit, upper bound",
    "incremental_units_lower_95": "Incremental units, lower bound",
    "incremental_units_upper_95": "Incremental units, upper bound",
    "is_made": "Made in house",
    "is_partial": "Partial month",
    "last_month": "Last of the twelve months",
    "last_order_has_bike": "Bike in the last order",
    "late": "Late operations",
    "late_share": "Share of late operations",
    "lead_time_days": "Lead time",
    "lift_lower_95": "Lift, lower bound",
    "lower_80": "80 % interval, lower bound",
    "lower_95": "95 % interval, lower bound",
    "m_score": "Monetary score",
    "mase": "Scaled error",
    "maximum_order": "Largest order",
    "mean_days_late": "Mean delay",
    "minimum_order": "Smallest order",
    "monetary": "Revenue so far",
    "nested_origins": "Choices tested",
    "nested_total_ratio": "Forecast over revenue",
    "nested_wape": "Error of the choice",
    "observed_customers": "Customers observed",
    "order_pieces": "Pieces in the order",
    "orders_together": "Orders with both",
    "origins": "Months tested",
    "other_confidence": "Confidence, other way",
    "own_part_path": "Path to itself",
    "predicted_over_actual": "Predicted over actual",
    "preferred": "Preferred vendor",
    "probability_alive": "Probability of being a customer",
    "profit": "Gross profit",
    "profit_year_before": "Gross profit, year before",
    "published_months": "Published forecasts scored",
    "published_wape": "Error of published forecasts",
    "r_score": "Recency score",
    "recency_days": "Recency",
    "region_group": "Group",
    "rejected_share": "Share of rejects",
    "reorder_lower_95": "Reorder, lower bound",
    "reorder_probability_52w": "Reorder probability, 52 weeks",
    "reorder_upper_95": "Reorder, upper bound",
    "revenue_local": "Revenue, local currency",
    "revenue_usd": "Revenue, USD",
    "roi": "Return",
    "roi_lower_95": "Return, lower bound",
    "roi_upper_95": "Return, upper bound",
    "routing_cost": "Routing cost per piece",
    "routing_cost_actual": "Actual cost",
    "routing_cost_planned": "Planned cost",
    "run_id": "Run",
    "safety_stock_level": "Safety stock",
    "sales_forecast.error_baseline": "Error of the naive models",
    "sales_order_detail_id": "Line number",
    "sales_order_id": "Order number",
    "silence_band": "Band of silence",
    "suggested_pieces": "Pieces in the order",
    "table_name": "Table",
    "tested_customers": "Customers tested",
    "tested_periods": "Periods tested",
    "threshold_days": "Long gap (90th percentile)",
    "unfinished": "Not ended yet",
    "units": "Units sold",
    "unrouted_orders": "Orders without a routing",
    "upper_80": "80 % interval, upper bound",
    "upper_95": "95 % interval, upper bound",
    "velocity_90d": "Velocity",
    "volatility_30d": "Volatility, 30 days",
    "wape": "Error",
    "withheld_because": "Reason for withholding",
    "xyz_class": "Class by regularity",
}
"""Labels of columns whose name is not plain English. Columns with the same name have the same label, unless one of them
means something else: then its key names the mart, too."""


@dataclass(frozen=True)
class Definition:
    """What a column of a table or mart means, in one language."""

    asset: str
    name: str
    label: str
    """A short name for headings."""
    text: str
    unit: str
    """Empty if the column is not a quantity."""
    meaning: str
    """The text with the unit, such as `Rate at the end of the day (local currency per USD)`."""

    @property
    def line(self) -> str:
        """The label with the meaning, for the notes of a page or message."""
        return f"{self.label} – {self.meaning}."


_WITHOUT_UNIT = ("", "count", "ratio", "score", "ordinal")
"""Units that the text of a column says in other words, such as what is counted."""


def definitions(entry: SourceTable | Mart, language: Language) -> dict[str, Definition]:
    """Return the definitions of the described columns by name: all of a mart's, and some of a source table's.

    Those of source tables are only in English.
    """
    return {
        column.name: _definition(entry.asset, column, language) for column in columns_of(entry) if column.description
    }


def definition(mart: str, column: str, language: Language) -> Definition:
    """Return the definition of a mart's column. Raises `KeyError` if there is no such column."""
    return definitions(MARTS[mart], language)[column]


def _definition(asset: str, column: Column, language: Language) -> Definition:
    text, unit = language.text(column.description), language.text(column.unit)
    # Further clauses say when the column is empty, for example. The unit belongs to the first.
    quantity, clause, rest = text.partition(language.text("; "))
    meaning = text if column.unit in _WITHOUT_UNIT else f"{quantity} ({unit}){clause}{rest}"
    return Definition(asset, column.name, label(column.name, language, asset), text, unit, meaning)


def label(column: str, language: Language, asset: str = "") -> str:
    """Return the short name of a mart's column; without `asset`, the one that the column has in most marts."""
    words = column.removeprefix("is_").replace("_", " ")
    if words.endswith(" id"):
        words = f"{words.removesuffix(' id')} number"
    return language.text(_LABELS.get(f"{asset}.{column}") or _LABELS.get(column, words.capitalize()))


def grain(entry: SourceTable | Mart, language: Language) -> str:
    """Return what one row of a table or mart is. That of a source table is only in English."""
    return language.text((entry.contract.__doc__ or "").strip().split("\n")[0])


def unit_text(unit: str | None, language: Language) -> str:
    """Return the word for a value of `order_unit`; an unknown unit unchanged, and an empty text for None."""
    text = language.text
    words = {
        "EA": text("piece"),
        "DZ": text("dozen"),
        "CS": text("case"),
        "CTN": text("container"),
        "CAN": text("canister"),
        "GAL": text("gallon"),
        "PAK": text("pack"),
    }
    return words.get(unit or "", unit or "")


def limit_text(limit: str | None, language: Language) -> str:
    """Return the words for a value of `limited_by`; empty if nothing limits the order, or it is unknown."""
    text = language.text
    return {"maximum": text("vendor's maximum"), "minimum": text("vendor's minimum")}.get(limit or "", "")


def content_note(units: Iterable[str], language: Language) -> str:
    """Return the note on orders in these units, whose content is unknown; empty without any."""
    names = ", ".join(sorted({unit_text(unit, language) for unit in units}))
    if not names:
        return ""
    return language.text(
        "The content of these units is not in the source: {units}. The order counts one piece per unit, and the need"
        " may or may not be covered where the vendor's maximum applies. Check the content before ordering.",
        units=names,
    )
