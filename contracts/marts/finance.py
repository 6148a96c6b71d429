"""Contracts of the finance marts. Money is USD."""

import polars as pl

from contracts.columns import (
    BOOKING_MONTH,
    CHANNEL,
    CHANNELS,
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


_EMPTY = "; empty unless both months are complete"
"""When there is no comparison with the year before."""


class ProfitBridge(MartTable):
    """One booking month, territory, channel and category with sales in the month, or in the same month a year before.

    The effects explain the change of the gross profit from the year before, and add up to it exactly. Products of the
    cell that were sold in both months have four effects. Volume: more or fewer units, at last year's profit per unit of
    the cell. Mix: other shares of the products in these units, at last year's profit per unit of each. Price: other net
    prices, and cost: other costs per unit, both at this year's units. Products that were sold in only one of the months
    count with their whole profit, as new_products or gone_products.

    Over several cells the effects can be added. A shift between categories or territories is then part of the volume
    effects, because mix_effect is about the products within a cell.
    """

    month: Date = described(BOOKING_MONTH)
    territory_id: Int = described(TERRITORY, ge=0)
    channel: Text = described(CHANNEL, isin=CHANNELS)
    category: Text = described("Category of the product; Unassigned: no category")
    profit: LineAmount = described(PROFIT)
    profit_year_before: LineAmount = described("Gross profit of the same month a year before" + _EMPTY, nullable=True)
    volume_effect: LineAmount = described(
        "Change of units sold × last year's profit per unit, of the products sold in both months" + _EMPTY,
        nullable=True,
    )
    mix_effect: LineAmount = described(
        "Effect of changed shares in units sold, of the products sold in both months" + _EMPTY, nullable=True
    )
    price_effect: LineAmount = described(
        "Change of the net price per unit × this year's units, per product" + _EMPTY, nullable=True
    )
    cost_effect: LineAmount = described(
        "Change of the cost per unit × this year's units, per product, negative if costs rose" + _EMPTY, nullable=True
    )
    new_products: LineAmount = described(
        "Gross profit of the products that were not sold in the month a year before" + _EMPTY, nullable=True
    )
    gone_products: LineAmount = described(
        "Last year's gross profit of the products that were not sold this year, with the opposite sign" + _EMPTY,
        nullable=True,
    )

    @rule
    def effects_add_up_to_the_change(cls):
        """The sum of the effects = profit - profit_year_before."""
        effects = (
            pl.col("volume_effect")
            + pl.col("mix_effect")
            + pl.col("price_effect")
            + pl.col("cost_effect")
            + pl.col("new_products")
            + pl.col("gone_products")
        )
        return effects.eq_missing(pl.col("profit") - pl.col("profit_year_before"))

    class Config:
        """The key."""

        name = "profit_bridge"
        metadata = {"version": "1.1"}
        unique = ["month", "territory_id", "channel", "category"]


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
