"""Contracts of the sales marts. Money is USD."""

import polars as pl

from contracts.columns import (
    CHANNELS,
    BigInt,
    Bit,
    Date,
    Discount,
    Int,
    LineAmount,
    MartTable,
    Money,
    Ratio,
    SmallInt,
    Statistic,
    Text,
    Total,
    described,
    rule,
)


class FactSales(MartTable):
    """One line of a sales order that was neither rejected nor cancelled."""

    sales_order_id: Int = described("Order")
    sales_order_detail_id: Int = described("Line of the order")
    order_date: Date = described("Day of the order")
    channel: Text = described("online, or reseller", isin=CHANNELS)
    territory_id: Int = described("Territory of the order; 0: the order has none", ge=0)
    sales_person_id: Int = described("Sales person of the order; NULL online", nullable=True)
    customer_id: Int = described("Customer of the order")
    product_id: Int = described("Product sold")
    special_offer_id: Int = described("Offer under which it was sold; 1: no discount")
    quantity: SmallInt = described("Units sold", gt=0)
    unit_price: Money = described("Price of one unit before discount, USD", ge=0)
    gross_amount: Total = described("Unit price × quantity, USD", ge=0)
    discount_amount: Discount = described("Gross amount × discount share, USD", ge=0)
    revenue: LineAmount = described("Net of discount, without tax and freight, USD", ge=0)
    cogs: Total = described("Quantity × standard cost of the product on the day of the order, USD", ge=0)
    cost_source: Text = described(
        "history: the cost valid on that day; fallback: the product's present cost, for want of one",
        isin=["history", "fallback"],
    )

    class Config:
        """The key."""

        name = "fact_sales"
        unique = ["sales_order_id", "sales_order_detail_id"]

    @rule
    def revenue_is_gross_less_discount(cls):
        """Revenue = gross_amount − discount_amount, to the sixth place."""
        wide = pl.Decimal(38, 8)
        difference = pl.col("gross_amount").cast(wide) - pl.col("discount_amount") - pl.col("revenue").cast(wide)
        return difference.abs() <= pl.lit("0.000001").cast(wide)


class DailySales(MartTable):
    """One day, territory and channel with at least one order."""

    order_date: Date = described("Day of the orders")
    territory_id: Int = described("Territory of the orders; 0: they have none", ge=0)
    channel: Text = described("online, or reseller", isin=CHANNELS)
    orders: BigInt = described("Number of orders", gt=0)
    units: BigInt = described("Units sold", gt=0)
    gross_amount: Total = described("Unit price × quantity, USD", ge=0)
    discount_amount: Discount = described("Discount given, USD", ge=0)
    revenue: LineAmount = described("Net of discount, without tax and freight, USD", ge=0)
    tax: Total = described("Tax of the orders, USD", ge=0)
    freight: Total = described("Freight of the orders, USD", ge=0)
    total_due: Total = described("Due by the customers: order subtotals, tax and freight, USD", ge=0)
    average_order_value: Ratio = described("Revenue of an order on average, USD", ge=0)

    class Config:
        """The key."""

        name = "daily_sales"
        unique = ["order_date", "territory_id", "channel"]


class TerritorySales(MartTable):
    """One month, territory and channel with at least one order.

    Resellers book on about 40 days, near the end of a month: some calendar months of theirs are almost empty, and that
    is true. Territories are those of the orders, not today's of the customers or sales people.

    revenue_share and margin are ratios of sums; margin is NULL where a cell sold everything for nothing.
    """

    month: Date = described("First day of the month")
    territory_id: Int = described("Territory of the orders; 0: they have none", ge=0)
    channel: Text = described("online, or reseller", isin=CHANNELS)
    territory: Text = described("Name of the territory; Unassigned: the orders have none")
    country_code: Text = described("Country of the territory, ISO 3166", nullable=True)
    region_group: Text = described("Part of the world that the territory belongs to", nullable=True)
    fiscal_year: Int = described("Fiscal year, from 1 July, named by the year in which it ends")
    orders: BigInt = described("Number of orders", gt=0)
    customers: BigInt = described("Distinct customers of these orders", gt=0)
    revenue: LineAmount = described("Net of discount, without tax and freight, USD", ge=0)
    profit: LineAmount = described("Revenue less cost of goods sold, USD")
    margin: Ratio = described("Profit per USD of revenue", le=1, nullable=True)
    revenue_share: Ratio = described(
        "Share of the month's revenue over all territories and channels, 0 to 1", ge=0, le=1, nullable=True
    )
    revenue_growth: Ratio = described(
        "Change of the revenue against the same month a year before, as a share of that; NULL: no such row, or one of"
        " the two months is partial",
        ge=-1,
        nullable=True,
    )
    is_partial: Bit = described("Whether the month is only partly covered by orders; keep it out of trends")

    @rule
    def there_are_no_more_customers_than_orders(cls):
        """customers <= orders."""
        return pl.col("customers") <= pl.col("orders")

    class Config:
        """The key."""

        name = "territory_sales"
        unique = ["month", "territory_id", "channel"]


class SalesPersonPerformance(MartTable):
    """One quota of a sales person: from its date to the person's next one, else for three months.

    The quota is that of the quota history: the one on the person is NULL for three managers. Sales are the subtotals of
    the orders that name the person, not those of the person's present territory; a manager's own orders only. A period
    that lasts beyond the business date counts what was sold up to it.
    """

    sales_person_id: Int = described("Sales person")
    quota_date: Date = described("First day for which the quota holds")
    period_end: Date = described("First day for which it no longer holds")
    quota: Money = described("Sales expected in the period, USD", ge=0)
    sales: Total = described("Subtotals of the person's orders in the period, USD", ge=0)
    attainment: Ratio = described("Sales per USD of quota; NULL: a quota of 0", ge=0, nullable=True)
    gap: Total = described("Sales less quota, USD; negative: missed")
    commission: Discount = described("Sales × the person's commission share, USD", ge=0)
    orders: BigInt = described("Number of orders", ge=0)
    rank: BigInt = described("Place among the quotas of the same date, by attainment, then sales; 1 is best", gt=0)

    @rule
    def ends_after_it_starts(cls):
        """period_end > quota_date."""
        return pl.col("period_end") > pl.col("quota_date")

    @rule
    def gap_is_sales_less_quota(cls):
        """Gap = sales - quota."""
        wide = pl.Decimal(38, 4)
        return pl.col("gap") == pl.col("sales") - pl.col("quota").cast(wide)

    class Config:
        """The key."""

        name = "sales_person_performance"
        unique = ["sales_person_id", "quota_date"]


class ExchangeRates(MartTable):
    """One currency and day: what one USD costs in it.

    Multiply USD by a rate to get local money. USD itself is not in the mart; the German mark and the French franc end
    with the euro. At most three missing days between two real ones are filled with the last rate before them
    (is_gap_filled); after a longer gap the first return is NULL. Rates are indicative averages of a day, not offers.

    is_outlier marks returns that lie more than 6 robust standard deviations (1.4826 × median absolute deviation) from
    the currency's median; a currency whose returns do not vary has none.
    """

    currency_code: Text = described("Currency, ISO 4217")
    rate_date: Date = described("Day")
    average_rate: Money = described("Average of the day, units of the currency per USD", gt=0)
    end_of_day_rate: Money = described("At the end of the day, units of the currency per USD", gt=0)
    daily_return: Statistic = described(
        "Natural logarithm of the end-of-day rate over that of the calendar day before; NULL: there is none",
        nullable=True,
    )
    volatility_30d: Statistic = described(
        "Sample standard deviation of the last 30 daily returns × √365, per year; NULL: fewer than 30",
        ge=0,
        nullable=True,
    )
    is_gap_filled: Bit = described("Whether the source has no rate for this day")
    is_outlier: Bit = described("Whether the daily return is extraordinary for the currency")

    class Config:
        """The key."""

        name = "exchange_rates"
        unique = ["currency_code", "rate_date"]


class CurrencySales(MartTable):
    """One month and currency in which orders were placed.

    The source keeps subtotals in USD whatever the order's currency. Local revenue takes each order's own rate; adding
    it up over currencies means nothing.
    """

    month: Date = described("First day of the month of the orders")
    currency_code: Text = described("Currency of the orders, ISO 4217; USD where an order has no rate")
    orders: BigInt = described("Number of orders", gt=0)
    revenue_usd: Total = described("Subtotals of the orders, USD", ge=0)
    revenue_local: Discount = described("Subtotals × the orders' own average rates, units of the currency", ge=0)

    class Config:
        """The key."""

        name = "currency_sales"
        unique = ["month", "currency_code"]
