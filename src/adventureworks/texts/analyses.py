"""Titles, explanations and captions of the dashboard's page of each analysis."""

from __future__ import annotations

from collections.abc import Mapping

from adventureworks.catalog import ANALYSES
from adventureworks.texts import Language, Phrases, phrase

_MARTS: Mapping[str, tuple[Phrases, Phrases]] = {
    "daily_sales": (
        phrase("Sales by day"),
        phrase(
            "What was sold on each day, by the date of the order. Resellers order on few days, so a day without their"
            " orders is normal."
        ),
    ),
    "territory_sales": (
        phrase("Sales by month and territory"),
        phrase(
            "What each territory and channel sold and earned, by booking month. Growth compares with the same month of"
            " the year before if both months are complete."
        ),
    ),
    "sales_person_performance": (
        phrase("Quotas"),
        phrase("How far each quota was reached, and the commission. The sales of the last quota may still be growing."),
    ),
    "quota_pace": (
        phrase("Pace of running quotas"),
        phrase(
            "How far each person is within the quota, compared with the same point of earlier quotas. It counts"
            " complete booking months only, and is not a forecast."
        ),
    ),
    "exchange_rates": (
        phrase("Exchange rates"),
        phrase(
            "The price of one US dollar in each currency. Volatility is how widely the daily changes of 30 days are"
            " spread, per year."
        ),
    ),
    "currency_sales": (
        phrase("Sales by currency"),
        phrase("The orders by currency, with their amounts in US dollars and in the currency itself."),
    ),
    "sales_forecast": (
        phrase("Forecast of the next months"),
        phrase(
            "The revenue expected in the next three booking months. In four of five cases it should be within the 80 %"
            " interval. Bounds of territories cannot be added up."
        ),
    ),
    "forecast_accuracy": (
        phrase("Accuracy of the forecast"),
        phrase("How well each model would have forecast past months from the data known at the time. 0 is perfect."),
    ),
    "customer_value": (
        phrase("Value and segments"),
        phrase(
            "What each customer bought, and the margin expected in the next 52 weeks. For resellers, it is the margin"
            " of the last twelve complete booking months."
        ),
    ),
    "customer_retention": (
        phrase("Customers who came back"),
        phrase("The share of a month's new customers who bought again in each of the following months."),
    ),
    "customer_cohort_value": (
        phrase("Margin of new customers"),
        phrase("The gross profit that a month's new customers have brought so far, in total and per customer."),
    ),
    "customer_churn": (
        phrase("Customers at risk"),
        phrase("How long ago each customer ordered, and how probable another order within 52 weeks is."),
    ),
    "customer_demographics": (
        phrase("Survey answers"),
        phrase(
            "What customers bought, by their answers to the survey. Groups of fewer than five customers are not shown."
            " Not everybody answered, so the totals differ from those of all orders. Customers and orders are rounded"
            " to multiples of 5. The order value is computed from the rounded number of orders, and shares are rounded,"
            " so that neither tells the exact number."
        ),
    ),
    "inventory_status": (
        phrase("Stock"),
        phrase("What is on hand, how long it lasts at the current rate of use, and what is needed."),
    ),
    "purchase_proposal": (
        phrase("Proposed orders"),
        phrase(
            "What to order from which vendor, and by when. Only the orders from preferred vendors count in the charts;"
            " the others are for comparison."
        ),
    ),
    "product_performance": (
        phrase("Sales by month and product"),
        phrase("What each product sold and earned, its prices and discounts, and its rank in the month."),
    ),
    "product_affinity": (
        phrase("Products bought together"),
        phrase(
            "Pairs of products that are often ordered together, in the last twelve months. A lift of 2 means twice as"
            " often as by chance; it does not say why."
        ),
    ),
    "production_costs": (
        phrase("Scrap and cost"),
        phrase(
            "What was made and scrapped, by the month in which the work order started. Where the coverage of the cost"
            " of scrap is below 100 %, some scrapped parts have no cost at the source, and the cost is too low."
        ),
    ),
    "late_work_orders": (
        phrase("Late operations"),
        phrase(
            "Which operations ended after their scheduled day. All operations of a work order have the same dates, so a"
            " location's figures show which late orders it worked on, not where the time was lost."
        ),
    ),
    "bill_of_materials_cost": (
        phrase("Cost of assemblies"),
        phrase(
            "What the parts and the work of an assembly cost. If some parts have no cost at the source, the cost of"
            " materials is too low and cannot be compared with the standard cost."
        ),
    ),
    "monthly_profit": (
        phrase("Profit by month"),
        phrase("Revenue, cost and gross profit by calendar month. The source has no operating expenses."),
    ),
    "profit_bridge": (
        phrase("What changed the profit"),
        phrase(
            "What changed the gross profit since the same month of the year before: volume, mix, prices, costs, and"
            " products sold in only one of the two months. By booking month."
        ),
    ),
    "card_usage": (
        phrase("Card types"),
        phrase("How many orders were paid with each type of card, and how many of the cards had expired."),
    ),
    "campaign_performance": (
        phrase("Effect of special offers"),
        phrase(
            "What each offer cost, and what it sold and earned beyond what similar products without an offer suggest."
            " If an interval includes 0, the offer may have had no effect."
        ),
    ),
    "data_quality": (
        phrase("Rules and their results"),
        phrase("How many rows break each rule in the newest run. The charts count the rules that fail."),
    ),
}
_CAPTIONS: Mapping[str, Phrases] = {
    "orders_by_product": phrase("Amount of the orders from preferred vendors, by product"),
    "orders_by_vendor": phrase("Amount of the orders from preferred vendors, by vendor"),
    "revenue_by_income": phrase("Revenue by yearly income"),
    "revenue_by_occupation": phrase("Revenue by occupation"),
}
_COUNTED: Mapping[str, Phrases] = {
    "customers": phrase("Customers"),
    "failing_rules": phrase("Failing rules"),
    "products": phrase("Products"),
}


def analysis_name(dag: str, language: Language) -> str:
    """Return the title of an analysis."""
    return language.text(ANALYSES[dag].title)


def view_name(mart: str, language: Language) -> str:
    """Return the title of what a page shows of a mart."""
    return _MARTS[mart][0].shown(language) if mart in _MARTS else language.text(mart.replace("_", " ").capitalize())


def view_meaning(mart: str, language: Language) -> str:
    """Return how to read what a page shows of a mart; empty for a mart without an explanation here."""
    return _MARTS[mart][1].shown(language) if mart in _MARTS else ""


def chart_caption(key: str, language: Language) -> str:
    """Return the caption with this key."""
    return _CAPTIONS[key].shown(language)


def counted_name(key: str, language: Language) -> str:
    """Return what a figure counts."""
    return _COUNTED[key].shown(language)
