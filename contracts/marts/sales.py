"""Contracts of the sales marts. Money is USD."""

from itertools import pairwise

import polars as pl

from contracts.columns import (
    BOOKING_MONTH,
    CHANNEL,
    CHANNELS,
    COGS,
    IS_PARTIAL,
    MARGIN,
    PROFIT,
    REASONS,
    REVENUE,
    TERRITORY,
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

FORECAST_MODELS = ["naive", "mean_3", "seasonal_naive", "ses", "theta", "mean_3_season"]

LOWER_80 = "Lower bound of the interval that should contain the revenue in four of five cases; empty if unknown"
UPPER_80 = "Upper bound of the interval that should contain the revenue in four of five cases; empty if unknown"
LOWER_95 = "Lower bound of the interval that should contain the revenue in nineteen of twenty cases; empty if unknown"
UPPER_95 = "Upper bound of the interval that should contain the revenue in nineteen of twenty cases; empty if unknown"
ERROR_MODEL = "Error of past forecasts in months after each choice of a model; empty if it cannot be tested"
ERROR_BASELINE = "The same error of the naive models; empty if it cannot be tested, or if the forecast is theirs"
ERROR_CONSTANT = "The same error of the mean of all earlier months; empty if it cannot be tested"
PREDICTED = "Sum of these forecasts divided by the actual revenue; empty if it cannot be tested"
WITHHELD = (
    "Why there is no forecast: there is too little revenue or too few months to test it; or in the past, it was no"
    " better than the naive models or than a constant, or its total was less than half or more than twice the actual"
    " revenue, in this series or over all territories of the channel; empty if there is one"
)
COVERAGE_80 = (
    "Share of past forecasts whose 80 % interval, as known at the time, contained the revenue; empty without intervals"
)
COVERAGE_95 = (
    "Share of past forecasts whose 95 % interval, as known at the time, contained the revenue; empty without intervals"
)


class FactSales(MartTable):
    """One line of a sales order that was neither rejected nor cancelled."""

    sales_order_id: Int = described("Order")
    sales_order_detail_id: Int = described("Line of the order")
    order_date: Date = described("Day of the order")
    booking_month: Date = described(BOOKING_MONTH)
    channel: Text = described(CHANNEL, isin=CHANNELS)
    territory_id: Int = described("Territory of the order; 0: no territory", ge=0)
    sales_person_id: Int = described("Sales person of the order; empty for online orders", nullable=True)
    customer_id: Int = described("Customer of the order")
    product_id: Int = described("Product sold")
    special_offer_id: Int = described("Offer under which the product was sold; 1: no discount")
    quantity: SmallInt = described("Units sold", unit="pieces", gt=0)
    unit_price: Money = described("Price of one unit before discount", ge=0)
    gross_amount: Total = described("Unit price × quantity", ge=0)
    discount_amount: Discount = described("Gross amount × discount rate of the line", ge=0)
    revenue: LineAmount = described(REVENUE, ge=0)
    cogs: Total = described(COGS, ge=0)
    cost_source: Text = described(
        "history: the cost valid on that day; fallback: the product's current cost, if none was valid",
        isin=["history", "fallback"],
    )

    class Config:
        """The key."""

        name = "fact_sales"
        metadata = {"version": "1.1"}
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
    territory_id: Int = described(TERRITORY, ge=0)
    channel: Text = described(CHANNEL, isin=CHANNELS)
    orders: BigInt = described("Number of orders", gt=0)
    units: BigInt = described("Units sold", unit="pieces", gt=0)
    gross_amount: Total = described("Unit price × quantity", ge=0)
    discount_amount: Discount = described("Discounts on the order lines", ge=0)
    revenue: LineAmount = described(REVENUE, ge=0)
    tax: Total = described("Tax on the orders", ge=0)
    freight: Total = described("Freight of the orders", ge=0)
    total_due: Total = described("Amount due from customers: order subtotals, tax and freight", ge=0)
    average_order_value: Ratio = described("Revenue divided by orders", unit="USD", ge=0)

    class Config:
        """The key."""

        name = "daily_sales"
        metadata = {"version": "1.0"}
        unique = ["order_date", "territory_id", "channel"]


class CustomerDays(MartTable):
    """One day, customer, territory and channel with at least one order."""

    order_date: Date = described("Day of the orders")
    customer_id: Int = described("Customer of the orders")
    territory_id: Int = described(TERRITORY, ge=0)
    channel: Text = described(CHANNEL, isin=CHANNELS)
    booking_month: Date = described(BOOKING_MONTH)
    orders: BigInt = described("Number of orders", gt=0)
    last_order_id: Int = described("Order with the highest number")
    revenue: LineAmount = described(REVENUE, ge=0)
    cogs: Total = described(COGS, ge=0)
    has_bike: Bit = described("Whether a bike was ordered")

    class Config:
        """The key."""

        name = "customer_days"
        metadata = {"version": "1.0"}
        unique = ["order_date", "customer_id", "territory_id", "channel"]


class TerritorySales(MartTable):
    """One booking month, territory and channel with at least one order.

    A cell also exists if its calendar month has orders that count towards another month; then orders, customers,
    revenue and profit are 0. Territories are those of the orders, not the current ones of the customers or sales
    people.

    revenue_share and margin are ratios of sums; margin is NULL where the revenue of a cell is 0.
    """

    month: Date = described(BOOKING_MONTH)
    territory_id: Int = described(TERRITORY, ge=0)
    channel: Text = described(CHANNEL, isin=CHANNELS)
    territory: Text = described("Name of the territory; Unassigned: no territory")
    country_code: Text = described("Country of the territory, ISO 3166", nullable=True)
    region_group: Text = described("World region of the territory", nullable=True)
    fiscal_year: Int = described(
        "Fiscal year; it starts on 1 July and is named after the year in which it ends", unit="year"
    )
    orders: BigInt = described("Number of orders", ge=0)
    customers: BigInt = described("Number of distinct customers of these orders", ge=0)
    revenue: LineAmount = described(REVENUE, ge=0)
    calendar_revenue: LineAmount = described(
        "Revenue of the orders dated in the calendar month; over all months it has the same sum as revenue", ge=0
    )
    profit: LineAmount = described(PROFIT)
    margin: Ratio = described(MARGIN, unit="ratio", le=1, nullable=True)
    revenue_share: Ratio = described(
        "Share in the month's revenue of all territories and channels; empty if there is none",
        unit="share",
        ge=0,
        le=1,
        nullable=True,
    )
    revenue_growth: Ratio = described(
        "Change in revenue from the same month of the previous year; empty if it had none, or if one of the"
        " two months is partial",
        unit="ratio",
        ge=-1,
        nullable=True,
    )
    is_partial: Bit = described(IS_PARTIAL)

    @rule
    def there_are_no_more_customers_than_orders(cls):
        """customers <= orders."""
        return pl.col("customers") <= pl.col("orders")

    class Config:
        """The key."""

        name = "territory_sales"
        metadata = {"version": "2.0"}
        unique = ["month", "territory_id", "channel"]


class SalesPersonPerformance(MartTable):
    """One quota of a sales person, valid from its date to the person's next quota, or for three months.

    Quotas come from the quota history, since the quota of the person's own record is NULL for three managers. Sales are
    the subtotals of the orders assigned to the person, not those of the person's current territory; for managers, their
    own orders only. A period that ends after the business date counts the sales up to that date.
    """

    sales_person_id: Int = described("Sales person")
    quota_date: Date = described("First day on which the quota is valid")
    period_end: Date = described("First day after the end of the quota period")
    quota: Money = described("Sales expected in the period", ge=0)
    sales: Total = described("Subtotals of the person's orders in the period, excluding tax and freight", ge=0)
    attainment: Ratio = described("Sales divided by quota; empty for a quota of 0", unit="ratio", ge=0, nullable=True)
    gap: Total = described("Sales minus quota; negative if the quota was missed")
    commission: Discount = described("Sales × the person's commission rate; the source has no deductions", ge=0)
    orders: BigInt = described("Number of orders", ge=0)
    rank: BigInt = described(
        "Rank among the quotas of the same date, by attainment, then sales; 1 is best", unit="ordinal", gt=0
    )

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
        metadata = {"version": "1.0"}
        unique = ["sales_person_id", "quota_date"]


class QuotaPace(MartTable):
    """One quota of a sales person that is running, or the newest one whose booking months are complete.

    Resellers order in one wave a month, so the period is counted in booking months: from that of the quota date to the
    one before that of the period's end. Only complete booking months count. An order of the last days before the quota
    date that counts towards the first booking month is included, so sales_to_date can differ from the sales of
    sales_person_performance, which go by order date.

    usual_pace is the mean of the person's earlier periods after the same number of booking months, each divided by its
    own quota. expected_sales is that share of this quota: what the person would have sold by now at the usual pace. It
    is a comparison with the past, not a prediction of the sales at the end of the period.
    """

    sales_person_id: Int = described("Sales person")
    quota_date: Date = described("First day on which the quota is valid")
    period_end: Date = described("First day after the end of the quota period")
    is_finished: Bit = described("Whether all booking months of the period are complete")
    waves: Int = described("Number of booking months of the period, each with one wave of orders", ge=0)
    elapsed_waves: Int = described("Number of these booking months that are complete", ge=0)
    quota: Money = described("Sales expected in the period", ge=0)
    sales_to_date: Total = described(
        "Subtotals of the person's orders in the complete booking months of the period, excluding tax and freight", ge=0
    )
    pace: Ratio = described("Sales to date divided by quota; empty for a quota of 0", unit="ratio", nullable=True, ge=0)
    earlier_periods: BigInt = described("Number of earlier quotas of the person that the pace is compared with", ge=0)
    usual_pace: Ratio = described(
        "Mean pace of the person's earlier quotas after the same number of booking months; empty without any",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    expected_sales: LineAmount = described(
        "Usual pace × quota: the sales by now at the usual pace; empty without an earlier quota", nullable=True, ge=0
    )

    @rule
    def waves_elapse_up_to_the_end(cls):
        """elapsed_waves <= waves, and equal if and only if is_finished."""
        elapsed, waves = pl.col("elapsed_waves"), pl.col("waves")
        return (elapsed <= waves) & ((elapsed == waves) == pl.col("is_finished"))

    @rule
    def a_usual_pace_has_earlier_periods(cls):
        """usual_pace and expected_sales are NULL if and only if earlier_periods = 0."""
        none = pl.col("earlier_periods") == 0
        return (pl.col("usual_pace").is_null() == none) & (pl.col("expected_sales").is_null() == none)

    class Config:
        """The key."""

        name = "quota_pace"
        metadata = {"version": "1.1"}
        unique = ["sales_person_id", "quota_date"]


class ExchangeRates(MartTable):
    """One currency and day: the price of one USD in the currency.

    Multiply USD by a rate to get the local amount. USD itself is not in the mart; the German mark and the French franc
    end with the introduction of the euro. Gaps of up to three days are filled with the last rate before them
    (is_gap_filled); after a longer gap the first return is NULL. Rates are indicative daily averages, not offers.

    is_outlier marks probable errors of the source: returns more than 6 robust standard deviations (1.4826 × median
    absolute deviation, which is taken as at least 0.0005) from the currency's median, if the return of the next day
    reverses at least half of the move. A rate that stays at its new level is not an outlier, nor is the last day before
    a gap, and the newest day can only become one when the next day is known.
    """

    currency_code: Text = described("Currency, ISO 4217")
    rate_date: Date = described("Day")
    average_rate: Money = described(
        "Average rate of the day: multiply USD by it to get local currency", unit="local currency per USD", gt=0
    )
    end_of_day_rate: Money = described("Rate at the end of the day", unit="local currency per USD", gt=0)
    daily_return: Statistic = described(
        "Natural logarithm of the end-of-day rate divided by that of the previous calendar day; empty if that"
        " day has no rate",
        unit="ratio",
        nullable=True,
    )
    volatility_30d: Statistic = described(
        "Sample standard deviation of the last 30 daily returns × √365, annualized; empty with fewer than 30 returns",
        unit="ratio",
        ge=0,
        nullable=True,
    )
    is_gap_filled: Bit = described(
        "Whether the source has no rate for this day, so that the last one before it is used"
    )
    is_outlier: Bit = described(
        "Whether the daily return is far outside the currency's usual range, and the next day reversed at least half"
        " of it"
    )

    class Config:
        """The key."""

        name = "exchange_rates"
        metadata = {"version": "1.1"}
        unique = ["currency_code", "rate_date"]


class CurrencySales(MartTable):
    """One month and currency in which orders were placed.

    The source keeps subtotals in USD, whatever the currency of the order. Local revenue uses the rate of each order;
    sums over several currencies are meaningless.
    """

    month: Date = described("First day of the month of the orders")
    currency_code: Text = described("Currency of the orders, ISO 4217; USD for orders without a rate")
    orders: BigInt = described("Number of orders", gt=0)
    revenue_usd: Total = described("Subtotals of the orders", ge=0)
    revenue_local: Discount = described("Subtotals × the average rate of each order", unit="local currency", ge=0)

    class Config:
        """The key."""

        name = "currency_sales"
        metadata = {"version": "1.0"}
        unique = ["month", "currency_code"]


class SalesForecast(MartTable):
    """One forecast booking month, channel, territory and horizon, from the channel's last complete one (trained_until).

    The totals of a channel are beside each of its territories: their forecast is the sum, but their intervals follow
    from the errors of the total, since bounds cannot be added up. Forecasts of earlier origins stay as published, so
    one month may have forecasts at three horizons: read those with the trained_until of forecast_accuracy. While its
    origin is the newest, a forecast is updated when past data is corrected.

    All territories of a channel use one model, chosen by its error at rolling origins, from naive, mean_3,
    seasonal_naive, ses, theta and mean_3_season. A territory, or the total, has a forecast only if such choices would
    have served it well in the past: in months after each choice, the error of its forecasts (error_model) must be below
    those of the naive models (error_baseline) and of the mean of all earlier months (error_constant), and their sum
    must be between half and twice the actual revenue. The same must be true over all territories of the channel (in
    forecast_accuracy). Otherwise the forecast is NULL and withheld_because says why. Each error is the sum of absolute
    errors divided by the revenue.

    80 % intervals are quantiles of the relative errors of the series at the same horizon, from 8 errors on. 95 %
    intervals are conformal: they use the errors of all territories of the channel, and are NULL with fewer than 39.
    """

    month: Date = described("First day of the booking month that is forecast")
    channel: Text = described(CHANNEL, isin=CHANNELS)
    territory_id: Int = described(TERRITORY, ge=0)
    horizon: Int = described("Months after trained_until, from 1 to 3", unit="months", ge=1, le=3)
    forecast: LineAmount = described("Expected revenue; empty if withheld", nullable=True, ge=0)
    lower_80: LineAmount = described(LOWER_80, nullable=True, ge=0)
    upper_80: LineAmount = described(UPPER_80, nullable=True, ge=0)
    lower_95: LineAmount = described(LOWER_95, nullable=True, ge=0)
    upper_95: LineAmount = described(UPPER_95, nullable=True, ge=0)
    channel_forecast: LineAmount = described(
        "Expected revenue of all territories of the channel; empty if withheld", nullable=True, ge=0
    )
    channel_lower_80: LineAmount = described(f"Channel total: {LOWER_80}", nullable=True, ge=0)
    channel_upper_80: LineAmount = described(f"Channel total: {UPPER_80}", nullable=True, ge=0)
    channel_lower_95: LineAmount = described(f"Channel total: {LOWER_95}", nullable=True, ge=0)
    channel_upper_95: LineAmount = described(f"Channel total: {UPPER_95}", nullable=True, ge=0)
    model: Text = described("Model of the forecast", isin=FORECAST_MODELS)
    error_model: Statistic = described(ERROR_MODEL, unit="ratio", nullable=True, ge=0)
    error_baseline: Statistic = described(ERROR_BASELINE, unit="ratio", nullable=True, ge=0)
    error_constant: Statistic = described(ERROR_CONSTANT, unit="ratio", nullable=True, ge=0)
    predicted_over_actual: Statistic = described(PREDICTED, unit="ratio", nullable=True, ge=0)
    withheld_because: Text = described(WITHHELD, nullable=True, isin=REASONS)
    channel_error_model: Statistic = described(f"Channel total: {ERROR_MODEL}", unit="ratio", nullable=True, ge=0)
    channel_error_baseline: Statistic = described(f"Channel total: {ERROR_BASELINE}", unit="ratio", nullable=True, ge=0)
    channel_error_constant: Statistic = described(f"Channel total: {ERROR_CONSTANT}", unit="ratio", nullable=True, ge=0)
    channel_predicted_over_actual: Statistic = described(
        f"Channel total: {PREDICTED}", unit="ratio", nullable=True, ge=0
    )
    channel_withheld_because: Text = described(f"Channel total: {WITHHELD}", nullable=True, isin=REASONS)
    trained_until: Date = described("First day of the last complete booking month of the channel")

    @rule
    def bands_hold_the_forecast(cls):
        """lower_95 <= lower_80 <= forecast <= upper_80 <= upper_95, of the territory and of the channel."""
        return pl.all_horizontal(
            low <= high
            for prefix in ("", "channel_")
            for kept in (
                ("lower_95", "lower_80", "forecast", "upper_80", "upper_95"),
                ("lower_95", "forecast", "upper_95"),
            )
            for low, high in pairwise(pl.col(f"{prefix}{name}") for name in kept)
        )

    @rule
    def a_missing_forecast_has_a_reason(cls):
        """A forecast, of the territory or of the channel, is NULL if and only if its withheld_because is not."""
        return pl.all_horizontal(
            pl.col(f"{prefix}forecast").is_null() == pl.col(f"{prefix}withheld_because").is_not_null()
            for prefix in ("", "channel_")
        )

    @rule
    def reasons_follow_from_the_tests(cls):
        """If there was no test, error_model is not below both others, or the total is off, the first is the reason.

        Otherwise the reason, if there is one, is that of all territories of the channel, which is not in the row.
        """
        return pl.all_horizontal(
            pl.col(f"{prefix}withheld_because").fill_null("")
            == (
                pl.when(pl.col(f"{prefix}error_model").is_null())
                .then(pl.lit("nothing_to_compare"))
                .when(pl.col(f"{prefix}error_model") >= pl.col(f"{prefix}error_baseline"))
                .then(pl.lit("no_better_than_baseline"))
                .when(pl.col(f"{prefix}error_model") >= pl.col(f"{prefix}error_constant"))
                .then(pl.lit("no_better_than_constant"))
                .when(~pl.col(f"{prefix}predicted_over_actual").is_between(0.5, 2))
                .then(pl.lit("total_is_off"))
            )
            for prefix in ("", "channel_")
        )

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
        metadata = {"version": "3.0"}
        unique = ["month", "channel", "territory_id", "horizon"]


class ForecastAccuracy(MartTable):
    """One channel, territory and model, with its accuracy at rolling origins in the past.

    At each month from the thirteenth of a series on, the model is given the data before it and forecasts the next
    three months. wape and mase are over all these forecasts of the territory, channel_wape over those of all
    territories. coverage_80 and coverage_95 are the shares of forecasts whose actual was in the interval that was known
    at that time.

    The model of a channel is chosen by channel_wape. An error by which a model was chosen is too small, so nested_wape
    repeats the choice at each origin, from months that were over by then, and counts the errors of these choices from
    the ninth origin on. baseline_wape and constant_wape are the errors on the same origins of a choice between the two
    naive models, and of the mean of all earlier months. If nested choices are not better than the baseline, the choice
    is between the naive models only. A channel has forecasts if nested_wape is below constant_wape and
    nested_total_ratio between 0.5 and 2. The same errors of each territory are in sales_forecast, and decide whether it
    has one.

    published_wape is the same error for the published forecasts of complete months since then.
    """

    channel: Text = described(CHANNEL, isin=CHANNELS)
    territory_id: Int = described(TERRITORY, ge=0)
    model: Text = described("Candidate model", isin=FORECAST_MODELS)
    wape: Statistic = described(
        "Deviation of past forecasts as a share of revenue: sum of absolute errors ÷ sum of actuals; empty if"
        " none could be scored",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    mase: Statistic = described(
        "Mean absolute error divided by the mean absolute change from month to month before each origin; empty if there"
        " was no change",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    coverage_80: Statistic = described(COVERAGE_80, unit="share", nullable=True, ge=0, le=1)
    coverage_95: Statistic = described(COVERAGE_95, unit="share", nullable=True, ge=0, le=1)
    origins: BigInt = described("Number of past months from which the model forecast the next three", ge=0)
    channel_wape: Statistic = described(
        "wape over all territories of the channel, by which the model is chosen; empty if none could be scored",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    channel_coverage_80: Statistic = described(f"Channel total: {COVERAGE_80}", unit="share", nullable=True, ge=0, le=1)
    channel_coverage_95: Statistic = described(f"Channel total: {COVERAGE_95}", unit="share", nullable=True, ge=0, le=1)
    is_chosen: Bit = described("Whether the channel's forecasts use this model")
    nested_wape: Statistic = described(
        "Error of the choice itself over the channel, from months after each choice; empty with too few months",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    baseline_wape: Statistic = described(
        "Error of the naive models on the same months; empty with too few months", unit="ratio", nullable=True, ge=0
    )
    constant_wape: Statistic = described(
        "Error of the mean of all earlier months on the same months; empty with too few months",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    nested_total_ratio: Statistic = described(
        "Sum of the forecasts of the choice divided by the actual revenue; empty with too few months",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    nested_origins: BigInt = described("Number of past months at which the choice itself was tested", ge=0)
    published_wape: Statistic = described(
        "wape of this model's published forecasts; empty if none could be scored yet", unit="ratio", nullable=True, ge=0
    )
    published_months: BigInt = described("Number of published forecasts of this model that could be scored", ge=0)
    trained_until: Date = described("First day of the last complete booking month of the channel")

    class Config:
        """The key."""

        name = "forecast_accuracy"
        metadata = {"version": "2.1"}
        unique = ["channel", "territory_id", "model"]
