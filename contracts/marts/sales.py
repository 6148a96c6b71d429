"""Contracts of the sales marts. Money is USD."""

from itertools import pairwise

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

FORECAST_MODELS = ["naive", "mean_3", "seasonal_naive", "ses", "theta"]


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


class SalesForecast(MartTable):
    """One forecast month, channel, territory and horizon, made at the last whole month (trained_until).

    Totals are sums of these rows over channels and territories, at one horizon; there are no rows of totals, and the
    ends of the intervals do not add up. Forecasts of earlier origins stay as they were published, so one month may have
    forecasts of three horizons: read those with the newest trained_until. While its origin lasts, a forecast follows
    corrections of the past.

    The model is chosen per series by the error of rolling origins, and is one of naive, mean_3, seasonal_naive, ses and
    theta. Intervals are the quantiles of its relative errors (actual over forecast) at the same horizon, widened to
    hold the forecast; NULL where fewer than 8 forecasts could be scored, or the forecast is 0. Resellers book on few
    days: the intervals of their series are wide, and that is true.
    """

    month: Date = described("First day of the month that is forecast")
    channel: Text = described("online, or reseller", isin=CHANNELS)
    territory_id: Int = described("Territory of the orders; 0: they have none", ge=0)
    horizon: Int = described("Months after trained_until, 1 to 3", ge=1, le=3)
    forecast: LineAmount = described("Revenue expected, net of discount, without tax and freight, USD", ge=0)
    lower_80: LineAmount = described("Lower end of the 80 % interval, USD", nullable=True, ge=0)
    upper_80: LineAmount = described("Upper end of the 80 % interval, USD", nullable=True, ge=0)
    lower_95: LineAmount = described("Lower end of the 95 % interval, USD", nullable=True, ge=0)
    upper_95: LineAmount = described("Upper end of the 95 % interval, USD", nullable=True, ge=0)
    model: Text = described("Model of the forecast", isin=FORECAST_MODELS)
    trained_until: Date = described("First day of the last whole month that the model saw")

    @rule
    def bands_hold_the_forecast(cls):
        """lower_95 <= lower_80 <= forecast <= upper_80 <= upper_95."""
        ends = [pl.col(name) for name in ("lower_95", "lower_80", "forecast", "upper_80", "upper_95")]
        return pl.all_horizontal(low <= high for low, high in pairwise(ends))

    @rule
    def month_is_the_horizon_after_the_origin(cls):
        """Month = trained_until + horizon months."""
        month, origin = (
            pl.col(name).dt.year().cast(pl.Int32) * 12 + pl.col(name).dt.month() for name in ("month", "trained_until")
        )
        return (month - origin == pl.col("horizon")) & (pl.col("month").dt.day() == 1)

    class Config:
        """The key."""

        name = "sales_forecast"
        unique = ["month", "channel", "territory_id", "horizon"]


class ForecastAccuracy(MartTable):
    """One channel, territory and model: how it would have done, from rolling origins in the past.

    At each month from the thirteenth of a series on, the model sees what came before and forecasts the next three. wape
    and mase are over all these forecasts; the model with the least wape is chosen (of equals the simplest), so a model
    that does not beat the best naive one is not. A series with fewer than 8 such months tells too little: it keeps the
    naive model. coverage_80 asks of each forecast whether the actual lay in the interval that was known on that day.

    published_wape is about the forecasts that readers were given, in the whole months that came since.
    """

    channel: Text = described("online, or reseller", isin=CHANNELS)
    territory_id: Int = described("Territory of the orders; 0: they have none", ge=0)
    model: Text = described("Candidate", isin=FORECAST_MODELS)
    wape: Statistic = described(
        "Sum of absolute errors per sum of actuals; NULL: nothing could be scored", nullable=True, ge=0
    )
    mase: Statistic = described(
        "Mean absolute error per mean absolute change of the series from month to month; NULL: it never changed",
        nullable=True,
        ge=0,
    )
    coverage_80: Statistic = described(
        "Share of actuals inside the 80 % interval of their day; NULL: there was none", nullable=True, ge=0, le=1
    )
    origins: BigInt = described("Months of the past from which the model forecast", ge=0)
    is_chosen: Bit = described("Whether the published forecast is of this model")
    published_wape: Statistic = described(
        "The same as wape of the published forecasts of this model; NULL: none could be scored yet", nullable=True, ge=0
    )
    published_months: BigInt = described("Published forecasts of this model that could be scored", ge=0)
    trained_until: Date = described("First day of the last whole month")

    class Config:
        """The key."""

        name = "forecast_accuracy"
        unique = ["channel", "territory_id", "model"]
