"""Contracts of the customers marts. Money is USD."""

import polars as pl

from contracts.columns import (
    CHANNELS,
    BigInt,
    Bit,
    Date,
    Int,
    LineAmount,
    MartTable,
    Ratio,
    Statistic,
    Text,
    described,
    rule,
)

SEGMENTS = ["champions", "loyal", "at_risk", "new", "promising", "hibernating"]


class CustomerValue(MartTable):
    """One customer with at least one order up to the business date.

    Scores are within the channel. r_score and m_score: 5 less the whole fifths of the channel's customers who are
    strictly better (bought later; brought more revenue), so ties get the better score: 5 - floor(5 × strictly better /
    customers). f_score: order days, 5 for five or more. Segments, the first that applies: champions r >= 4 and f >= 4;
    loyal r >= 3 and f >= 3; at_risk r <= 2 and f >= 3; new r = 5 and f = 1; promising r >= 3; hibernating. A customer
    who bought in both channels is in that of the last order.

    method says where the expectations come from. bg_nbd: the BG/NBD and Gamma-Gamma models, published only where on the
    last 52 weeks they foresaw orders better than the mean of the RFM cell, by error and by rank. rfm_cell: the mean of
    what customers did in the last 52 weeks who were in the same cell before them (where nobody was: same recency and
    frequency; else everybody). The figures of that comparison are the holdout columns, the same for every row of the
    channel; its outcome in words is method_reason. trailing_margin, resellers: the order days and the margin of the
    last twelve months, not discounted.
    """

    customer_id: Int = described("Customer")
    channel: Text = described("online, or reseller: of the last order", isin=CHANNELS)
    recency_days: BigInt = described("Days from the last order to the business date", ge=0)
    frequency: BigInt = described("Distinct days with orders, all time", gt=0)
    monetary: LineAmount = described("Revenue of all orders to the business date, USD", ge=0)
    r_score: BigInt = described("Recency, 1 to 5 (bought most lately)", ge=1, le=5)
    f_score: BigInt = described("Frequency, 1 to 5 (five order days or more)", ge=1, le=5)
    m_score: BigInt = described("Monetary value, 1 to 5 (most revenue)", ge=1, le=5)
    segment: Text = described("Segment by recency and frequency", isin=SEGMENTS)
    probability_alive: Statistic = described(
        "Probability of being a customer still: by the model, or the share of the cell that ordered in 52 weeks; NULL:"
        " unknown",
        nullable=True,
        ge=0,
        le=1,
    )
    expected_orders_52w: Statistic = described(
        "Order days to be expected in the next 52 weeks; NULL: unknown", nullable=True, ge=0
    )
    clv_52w: LineAmount = described(
        "Margin to be expected in the next 52 weeks, discounted by 10 % a year, USD; NULL: unknown", nullable=True
    )
    method: Text = described("Where the expectations come from", isin=["bg_nbd", "rfm_cell", "trailing_margin"])
    method_reason: Text = described("Why this method")
    holdout_customers: BigInt = described("Customers on whom model and cell mean were compared", nullable=True, ge=0)
    holdout_rmse_model: Statistic = described(
        "Root mean square error of the model's orders in the holdout year; NULL: not compared", nullable=True, ge=0
    )
    holdout_rmse_cell: Statistic = described("The same of the cell mean", nullable=True, ge=0)
    holdout_rank_model: Statistic = described(
        "Rank correlation (Spearman) of the model's orders with those that came", nullable=True, ge=-1, le=1
    )
    holdout_rank_cell: Statistic = described("The same of the cell mean", nullable=True, ge=-1, le=1)
    as_of: Date = described("Business date of the figures")

    @rule
    def only_a_better_model_is_published(cls):
        """Method <> bg_nbd, or holdout_rmse_model < holdout_rmse_cell and holdout_rank_model > holdout_rank_cell."""
        better = (pl.col("holdout_rmse_model") < pl.col("holdout_rmse_cell")) & (
            pl.col("holdout_rank_model") > pl.col("holdout_rank_cell").fill_null(-1)
        )
        return (pl.col("method") != "bg_nbd") | better.fill_null(False)

    @rule
    def resellers_are_valued_apart(cls):
        """Method = trailing_margin exactly for resellers."""
        return (pl.col("method") == "trailing_margin") == (pl.col("channel") == "reseller")

    class Config:
        """The key."""

        name = "customer_value"
        unique = ["customer_id"]


class CustomerRetention(MartTable):
    """One channel, cohort and number of months since: how many of a month's new customers bought again.

    The cohort is the month of the first order in the channel. Every cohort has a cell for each number of months that
    the data spans; in those after the last whole month retained, retention and revenue_retention are NULL, not 0: they
    are not over. A month without a single order of the cohort is 0. The first cohort holds everybody whose earlier
    orders are not in the data. Resellers order in quarters: look at every third month.
    """

    channel: Text = described("online, or reseller", isin=CHANNELS)
    cohort_month: Date = described("First day of the month of the first order in the channel")
    months_since: Int = described("Months after the cohort's own, which is 0", ge=0)
    cohort_size: BigInt = described("Customers of the cohort", gt=0)
    retained: BigInt = described(
        "Customers of the cohort who ordered in that month; NULL: not over", nullable=True, ge=0
    )
    retention: Ratio = described("retained per cohort_size; NULL: not over", nullable=True, ge=0, le=1)
    revenue_retention: Ratio = described(
        "Revenue of the cohort in that month per revenue in its own; NULL: not over, or nothing was earned in its own",
        nullable=True,
        ge=0,
    )

    @rule
    def everybody_is_there_at_the_start(cls):
        """months_since > 0, or retained = cohort_size."""
        return (pl.col("months_since") > 0) | (pl.col("retained") == pl.col("cohort_size"))

    class Config:
        """The key."""

        name = "customer_retention"
        unique = ["channel", "cohort_month", "months_since"]


class CustomerChurn(MartTable):
    """One customer with at least one order: how long silent, against what is usual in the channel.

    threshold_days and risk_days are the 90th and 75th percentile (linear interpolation) of all gaps between consecutive
    order days of the channel's customers. status, the first that applies: churned (silent longer than threshold_days),
    reactivated (the last gap was longer than that), at_risk (silent longer than risk_days), active; NULL where nobody
    of the channel has ordered twice. The churn rate is churned customers per customers with counts_in_churn_rate: who
    was first seen less than threshold_days ago cannot have churned. A customer of both channels is in that of the last
    order.
    """

    customer_id: Int = described("Customer")
    channel: Text = described("online, or reseller: of the last order", isin=CHANNELS)
    last_order_date: Date = described("Day of the last order")
    days_silent: Int = described("Days from the last order to the business date", ge=0)
    threshold_days: Ratio = described("90th percentile of the channel's gaps, days; NULL: no gaps", nullable=True, ge=0)
    status: Text = described(
        "churned, reactivated, at_risk or active; NULL: unknown",
        isin=["churned", "reactivated", "at_risk", "active"],
        nullable=True,
    )
    counts_in_churn_rate: Bit = described("Whether the customer has been known for at least threshold_days")
    risk_days: Ratio = described("75th percentile of the channel's gaps, days; NULL: no gaps", nullable=True, ge=0)
    last_gap_days: Int = described("Days between the last two order days; NULL: there is one only", nullable=True, gt=0)
    as_of: Date = described("Business date of the figures")

    @rule
    def status_is_what_the_days_say(cls):
        """Status = churned, else reactivated, else at_risk, else active, as days_silent and last_gap_days tell."""
        exact = pl.Decimal(38, 10)
        silent, gap = pl.col("days_silent").cast(exact), pl.col("last_gap_days").cast(exact)
        told = (
            pl.when(silent > pl.col("threshold_days"))
            .then(pl.lit("churned"))
            .when(gap > pl.col("threshold_days"))
            .then(pl.lit("reactivated"))
            .when(silent > pl.col("risk_days"))
            .then(pl.lit("at_risk"))
            .when(pl.col("threshold_days").is_not_null())
            .then(pl.lit("active"))
        )
        return pl.col("status").eq_missing(told)

    class Config:
        """The key."""

        name = "customer_churn"
        unique = ["customer_id"]


class CustomerDemographics(MartTable):
    """One answer to a question of a customer survey, and territory of the orders, with at least five customers.

    attribute is the element of the survey's XML. Persons (customers without a store): YearlyIncome, Education,
    Occupation, MaritalStatus, Gender, CommuteDistance, HomeOwnerFlag, TotalChildren, NumberChildrenAtHome and
    NumberCarsOwned; stores: BusinessType, Specialty, Brands, Internet and BankName. Dates and amounts are no bands, so
    they are not listed; income is a band, never a number. Answers of one attribute are not those of all customers: who
    did not answer is in none.

    A cell of fewer than five customers has no row; where that would leave out just one cell of an attribute in a
    territory, the next smallest has none either. A customer who ordered in two territories counts in both.
    """

    attribute: Text = described("Question: name of the survey's element")
    band: Text = described("Answer, as the survey has it")
    territory_id: Int = described("Territory of the orders; 0: they have none", ge=0)
    customers: BigInt = described("Customers with an order in the territory who gave the answer", ge=5)
    orders: BigInt = described("Their orders in the territory", gt=0)
    revenue: LineAmount = described("Their revenue in the territory, USD", ge=0)
    average_order_value: Ratio = described("Revenue of an order on average, USD", ge=0)
    bike_buyer_share: Ratio = described("Share of these customers who ever bought a bike, 0 to 1", ge=0, le=1)
    as_of: Date = described("Business date of the figures")

    class Config:
        """The key."""

        name = "customer_demographics"
        unique = ["attribute", "band", "territory_id"]
