"""Contracts of the finance marts. Money is USD."""

import polars as pl

from contracts.columns import (
    COGS,
    IS_PARTIAL,
    MARGIN,
    PROFIT,
    REVENUE,
    TERRITORY,
    BigInt,
    Bit,
    Date,
    Discount,
    Int,
    LineAmount,
    MartTable,
    Ratio,
    Text,
    Total,
    described,
    rule,
)


class MonthlyProfit(MartTable):
    """One month, territory, category and product with at least one sale.

    Profit is gross profit: the source holds no operating expenses, and none are invented. Where no cost was valid on
    the day of an order, the product's current cost is used; fallback_cost_revenue says for how much revenue.
    """

    month: Date = described("First day of the month")
    territory_id: Int = described(TERRITORY, ge=0)
    category: Text = described("Category of the product; Unassigned: no category")
    product_id: Int = described("Product sold")
    revenue: LineAmount = described(REVENUE, ge=0)
    discount_amount: Discount = described("Discounts on the order lines", ge=0)
    cogs: Total = described(COGS, ge=0)
    profit: LineAmount = described(PROFIT)
    margin: Ratio = described(MARGIN, unit="ratio", le=1, nullable=True)
    fallback_cost_revenue: LineAmount = described(
        "Revenue for which the product's current cost was used, because no cost was valid on the day of the order", ge=0
    )
    is_partial: Bit = described(IS_PARTIAL)

    @rule
    def profit_is_revenue_less_cost(cls):
        """Profit = revenue - cogs."""
        wide = pl.Decimal(38, 6)
        return pl.col("profit") == pl.col("revenue") - pl.col("cogs").cast(wide)

    @rule
    def fallback_is_a_part(cls):
        """fallback_cost_revenue <= revenue."""
        return pl.col("fallback_cost_revenue") <= pl.col("revenue")

    class Config:
        """The key."""

        name = "monthly_profit"
        metadata = {"version": "1.0"}
        unique = ["month", "territory_id", "category", "product_id"]


class CardUsage(MartTable):
    """One month and type of credit card with which orders were paid.

    Orders without a card, mostly from resellers, have the type `No card`. Some cards had expired on the day of the
    order; the source does not say whether they were charged. There are no figures on fraud: the source has no data.
    """

    month: Date = described("First day of the month of the orders")
    card_type: Text = described("Type of the card; No card: orders without a card")
    orders: BigInt = described("Number of orders", gt=0)
    revenue: LineAmount = described(REVENUE, ge=0)
    average_order_value: Ratio = described("Revenue divided by orders", unit="USD", ge=0)
    order_share: Ratio = described("Share in the month's orders", unit="share", gt=0, le=1)
    expired_at_order: BigInt = described(
        "Number of orders placed after the last month in which their card was valid", ge=0
    )

    @rule
    def what_expired_is_a_part(cls):
        """expired_at_order <= orders; 0 without a card."""
        limit = pl.when(pl.col("card_type") == "No card").then(0).otherwise(pl.col("orders"))
        return pl.col("expired_at_order") <= limit

    class Config:
        """The key."""

        name = "card_usage"
        metadata = {"version": "1.0"}
        unique = ["month", "card_type"]
