"""Contracts of the customers marts. Money is USD."""

import polars as pl

from contracts.columns import (
    CHANNEL,
    CHANNELS,
    REASONS,
    TERRITORY,
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

    Scores are relative to the channel. r_score and m_score are 5 - floor(5 × better / customers), where better is the
    number of the channel's customers who are strictly better (ordered later; more revenue, or for resellers more
    margin in the last twelve booking months), so ties get the better score. f_score is the number of order days, at
    most 5. Segments, the first that applies: champions r >= 4 and f >= 4; loyal r >= 3 and f >= 3; at_risk r <= 2 and
    f >= 3; new r = 5 and f = 1; promising r >= 3; hibernating. A customer of both channels belongs to that of the last
    order.

    Online, method says which expectations had the smaller error in the same test of a year earlier (rfm_cell if there
    is none), so that the year that judges them does not choose them. rfm_cell: the mean of the last 26 weeks over the
    customers who were in the same cell before them, for two such periods: twice the orders; the margin plus the same
    margin half a year later; 1 - (1 - share)² for the probability. A cell is the number of days since the last
    order (0-91, 92-182, 183-365, 366-702, 703+), whether the last order had a bike, whether there were orders on more
    than one day, and the revenue so far (below 50 USD, up to 1,000, above). If the cell was empty: the first two of
    these, else all customers. bg_nbd: the BG/NBD and Gamma-Gamma models, unless their parameters degenerate.

    The test makes the same expectations as of 52 weeks ago, and compares their margin with what came since. They are
    published only if their root mean square error is below those of the assumption that all order the same as in the 52
    weeks before (holdout_rmse_baseline) and of one margin for all (holdout_rmse_constant), and the predicted total is
    between half and twice the actual one. Otherwise withheld_because says why not, and the expectations are NULL. These
    figures are equal in all rows of the channel. All margins are discounted by 10 % a year.

    trailing_margin (resellers): the order days and the margin of the channel's last twelve complete booking months, not
    discounted. They are facts, not expectations, so they are not tested.
    """

    customer_id: Int = described("Customer")
    channel: Text = described("Channel of the last order: online or reseller", isin=CHANNELS)
    recency_days: BigInt = described("Days from the last order to the business date", unit="days", ge=0)
    frequency: BigInt = described("Number of days with an order, of all time", gt=0)
    monetary: LineAmount = described("Revenue of all orders up to the business date", ge=0)
    r_score: BigInt = described(
        "Recency compared with the channel's other customers, from 1 to 5 (most recent)", unit="score", ge=1, le=5
    )
    f_score: BigInt = described("Frequency, from 1 to 5 (five days with an order, or more)", unit="score", ge=1, le=5)
    m_score: BigInt = described(
        "Revenue (of resellers: margin of the last twelve booking months) compared with the channel's other customers,"
        " from 1 to 5 (most)",
        unit="score",
        ge=1,
        le=5,
    )
    segment: Text = described(
        "By recency and frequency. champions: recent and frequent orders; loyal: fairly recent and fairly"
        " frequent ones; at_risk: frequent, but not recent; new: a recent first order; promising: recent, but"
        " not frequent; hibernating: neither",
        isin=SEGMENTS,
    )
    last_order_has_bike: Bit = described("Whether the orders of the customer's last order day included a bike")
    probability_alive: Statistic = described(
        "Probability of still being a customer (model), or of an order within 52 weeks (similar customers); empty if"
        " withheld, and for resellers",
        unit="share",
        nullable=True,
        ge=0,
        le=1,
    )
    expected_orders_52w: Statistic = described(
        "Expected number of days with an order in the next 52 weeks; for resellers the number in the last twelve"
        " booking months; empty if withheld",
        unit="count",
        nullable=True,
        ge=0,
    )
    clv_52w: LineAmount = described(
        "Margin expected in the next 52 weeks, discounted by 10 % a year; for resellers the margin of the last twelve"
        " booking months, which is not a prediction; empty if withheld",
        nullable=True,
    )
    method: Text = described(
        "How the expectations were made: bg_nbd (by a model), rfm_cell (from the average of similar"
        " customers) or trailing_margin (from the last twelve booking months)",
        isin=["bg_nbd", "rfm_cell", "trailing_margin"],
    )
    withheld_because: Text = described(
        "Why there are no expectations: there is too little data to test them; or in the last 52 weeks, they were no"
        " better than a repetition of the year before or than one margin for all, or their total was less than half or"
        " more than twice the actual one; or no booking month of the resellers is complete yet; empty if there are"
        " some",
        nullable=True,
        isin=[*REASONS, "no_complete_month"],
    )
    holdout_customers: BigInt = described(
        "Number of customers for whom the expectations were tested; 0 if not tested", ge=0
    )
    holdout_rmse_model: Statistic = described(
        "Root mean square error of the margin that the model expected for the last 52 weeks; empty if not tested, or if"
        " the model degenerates",
        unit="USD",
        nullable=True,
        ge=0,
    )
    holdout_rmse_cell: Statistic = described(
        "The same error for the average of similar customers; empty if not tested", unit="USD", nullable=True, ge=0
    )
    holdout_rmse_baseline: Statistic = described(
        "The same error if everyone orders the same as in the 52 weeks before; empty if not tested",
        unit="USD",
        nullable=True,
        ge=0,
    )
    holdout_rmse_constant: Statistic = described(
        "The same error of one margin for all customers of the channel; empty if not tested",
        unit="USD",
        nullable=True,
        ge=0,
    )
    predicted_over_actual: Statistic = described(
        "Margin that the method expected for the last 52 weeks divided by the actual one; empty if unknown",
        unit="ratio",
        nullable=True,
    )
    as_of: Date = described("Business date of the figures")

    @rule
    def only_a_tested_model_is_chosen(cls):
        """Method <> bg_nbd, or holdout_rmse_model IS NOT NULL."""
        return (pl.col("method") != "bg_nbd") | pl.col("holdout_rmse_model").is_not_null()

    @rule
    def only_tested_expectations_are_published(cls):
        """Online expectations have an error below both others, and a total between half and twice the actual one."""
        error = pl.when(pl.col("method") == "bg_nbd").then("holdout_rmse_model").otherwise("holdout_rmse_cell")
        passed = (
            (error < pl.col("holdout_rmse_baseline"))
            & (error < pl.col("holdout_rmse_constant"))
            & pl.col("predicted_over_actual").is_between(0.5, 2)
        )
        return (pl.col("channel") == "reseller") | pl.col("clv_52w").is_null() | passed.fill_null(False)

    @rule
    def missing_expectations_have_a_reason(cls):
        """Orders and margin are NULL if and only if withheld_because is not; online, so is the probability."""
        missing = pl.col("withheld_because").is_not_null()
        return (
            (pl.col("expected_orders_52w").is_null() == missing)
            & (pl.col("clv_52w").is_null() == missing)
            & (pl.col("probability_alive").is_null() == (missing | (pl.col("channel") == "reseller")))
        )

    @rule
    def resellers_are_valued_apart(cls):
        """Method = trailing_margin exactly for resellers."""
        return (pl.col("method") == "trailing_margin") == (pl.col("channel") == "reseller")

    class Config:
        """The key."""

        name = "customer_value"
        metadata = {"version": "2.1"}
        unique = ["customer_id"]


class CustomerRetention(MartTable):
    """One channel, cohort and month since: how many of a month's new customers bought again.

    Months are booking months. The cohort is the month of the first order in the channel. A cohort has a cell for each
    number of months up to the channel's last complete month; later ones are absent, because their months are not over.
    A month without any order of the cohort is 0. The first cohort includes all customers whose earlier orders are not
    in the data. Resellers order quarterly: compare every third month.
    """

    channel: Text = described(CHANNEL, isin=CHANNELS)
    cohort_month: Date = described("First day of the booking month of the first order in the channel")
    months_since: Int = described("Months after the month of the cohort, which is 0", unit="months", ge=0)
    cohort_size: BigInt = described("Number of customers of the cohort", gt=0)
    retained: BigInt = described("Number of customers of the cohort who ordered in that booking month", ge=0)
    retention: Ratio = described("Share of the cohort that ordered in that booking month", unit="share", ge=0, le=1)
    revenue_retention: Ratio = described(
        "Revenue of the cohort in that month divided by its revenue in month 0; empty if month 0 has no revenue",
        unit="ratio",
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
        metadata = {"version": "2.0"}
        unique = ["channel", "cohort_month", "months_since"]


class CustomerCohortValue(MartTable):
    """One channel, cohort and month since: the gross profit that a month's new customers have brought so far.

    Months are booking months. The cohort is the month of the first order in the channel. It has a cell for each month
    up to the channel's last complete one; a month without any order repeats the margin. Later months have
    no cells. The first cohort includes all customers whose earlier orders are not in the data.

    To compare cohorts, use the same months_since: a younger cohort had less time. Over several cohorts, divide the sum
    of margin by that of customers.
    """

    channel: Text = described(CHANNEL, isin=CHANNELS)
    cohort_month: Date = described("First day of the booking month of the first order in the channel")
    months_since: Int = described("Months after the month of the cohort, which is 0", unit="months", ge=0)
    customers: BigInt = described("Number of customers of the cohort", gt=0)
    margin: LineAmount = described("Gross profit on all orders of the cohort from its first month to this one")
    margin_per_customer: Ratio = described(
        "Cumulative gross profit divided by the customers of the cohort, also those who never ordered again", unit="USD"
    )

    class Config:
        """The key."""

        name = "customer_cohort_value"
        metadata = {"version": "1.0"}
        unique = ["channel", "cohort_month", "months_since"]


class CustomerChurn(MartTable):
    """One customer with at least one order: the time since the last order, and how probable another one is.

    threshold_days is the 90th percentile (linear interpolation) of all gaps between consecutive order days of the
    channel's customers. A customer of both channels belongs to that of the last order.

    silence_band is the number of days since the last order (online: 0-91, 92-182, 183-365, 366-702, 703+), or the
    number of cycles that a reseller has missed (0, 1, 2, 3+). A cycle is the median gap between the reseller's booking
    months with orders, or that of the channel if there is only one such month. missed_cycles is the number of months
    from the last order to the channel's last complete booking month, divided by cycle_months and rounded down.

    reorder_probability_52w is the share of the customers in the same band who ordered within 52 weeks, from the origin
    one year before the channel's last complete booking month (observed_customers is their number). It is published
    only if the same computation a year earlier predicted that year: its mean squared error (error_model) must be below
    those of the assumption that everyone does the same as in the year before (error_baseline) and of one share for all
    (error_constant), and the predicted total must be between half and twice the actual one. Otherwise
    withheld_because says why not. These figures are equal in all rows of the channel.

    status is the first that applies: lapsed (two missed cycles or more), likely (probability of at least 0.5), unlikely
    (below 0.2), open. Online customers are never lapsed.
    """

    customer_id: Int = described("Customer")
    channel: Text = described("Channel of the last order: online or reseller", isin=CHANNELS)
    last_order_date: Date = described("Day of the last order")
    days_silent: Int = described("Days from the last order to the business date", unit="days", ge=0)
    threshold_days: Ratio = described(
        "Nine of ten gaps between orders in the channel are no longer than this (90th percentile); empty without gaps",
        unit="days",
        nullable=True,
        ge=0,
    )
    cycle_months: Ratio = described(
        "Usual number of months between the reseller's orders: the median; empty online, or if unknown",
        unit="months",
        nullable=True,
        gt=0,
    )
    missed_cycles: Int = described(
        "Number of such cycles from the last order to the last complete booking month; empty online, or if unknown",
        nullable=True,
        ge=0,
    )
    silence_band: Text = described(
        "Customers who have not ordered for a similar time: days online, missed cycles of resellers; empty if unknown",
        nullable=True,
        isin=["0-91", "92-182", "183-365", "366-702", "703+", "0", "1", "2", "3+"],
    )
    reorder_probability_52w: Statistic = described(
        "Share of customers in the same band a year before who ordered within 52 weeks; empty if withheld",
        unit="share",
        nullable=True,
        ge=0,
        le=1,
    )
    reorder_lower_95: Statistic = described(
        "Lower bound of the 95 % interval (Wilson) of that share; empty if withheld",
        unit="share",
        nullable=True,
        ge=0,
        le=1,
    )
    reorder_upper_95: Statistic = described(
        "Upper bound of the 95 % interval (Wilson) of that share; empty if withheld",
        unit="share",
        nullable=True,
        ge=0,
        le=1,
    )
    observed_customers: BigInt = described("Number of customers who were in the same band a year before", ge=0)
    status: Text = described(
        "lapsed: a reseller who has missed two cycles or more; likely: probability of at least 0.5; unlikely: below"
        " 0.2; open: between them; otherwise empty",
        isin=["lapsed", "likely", "open", "unlikely"],
        nullable=True,
    )
    withheld_because: Text = described(
        "Why there is no probability: there is too little data to test it or to observe it; or in the year before, it"
        " was no better than a repetition of the past or than one share for all, or its total was less than half or"
        " more than twice the actual one; empty if there is one",
        nullable=True,
        isin=REASONS,
    )
    tested_customers: BigInt = described("Number of customers of the channel for whom it was tested", ge=0)
    error_model: Statistic = described(
        "Mean squared error of such probabilities in a year that was not used to compute them; empty if not tested",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    error_baseline: Statistic = described(
        "The same error if everyone does what they did in the year before; empty if not tested",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    error_constant: Statistic = described(
        "The same error of one share for all customers of the channel; empty if not tested",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    predicted_over_actual: Statistic = described(
        "Predicted number of customers who ordered in that year, divided by the actual number; empty if unknown",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    as_of: Date = described("Business date of the figures")

    @rule
    def status_follows_from_silence_and_probability(cls):
        """Status = lapsed if missed_cycles >= 2, else likely, open or unlikely, according to the probability."""
        probability = pl.col("reorder_probability_52w")
        expected = (
            pl.when(pl.col("missed_cycles") >= 2)
            .then(pl.lit("lapsed"))
            .when(probability >= 0.5)
            .then(pl.lit("likely"))
            .when(probability < 0.2)
            .then(pl.lit("unlikely"))
            .when(probability.is_not_null())
            .then(pl.lit("open"))
        )
        return pl.col("status").eq_missing(expected)

    @rule
    def a_missing_probability_has_a_reason(cls):
        """The probability and its bounds are NULL if and only if withheld_because is not."""
        return pl.all_horizontal(
            pl.col(name).is_null() == pl.col("withheld_because").is_not_null()
            for name in ("reorder_probability_52w", "reorder_lower_95", "reorder_upper_95")
        )

    @rule
    def bounds_hold_the_probability(cls):
        """reorder_lower_95 <= reorder_probability_52w <= reorder_upper_95."""
        probability = pl.col("reorder_probability_52w")
        return (pl.col("reorder_lower_95") <= probability) & (probability <= pl.col("reorder_upper_95"))

    @rule
    def bounds_are_those_of_wilson(cls):
        """(bound - probability)² = 1.96² × bound × (1 - bound) / observed_customers, for both bounds."""
        probability, lower, upper = (
            pl.col(name).cast(pl.Float64)
            for name in ("reorder_probability_52w", "reorder_lower_95", "reorder_upper_95")
        )
        return pl.all_horizontal(
            ((bound - probability) ** 2 - 3.841458820694124 * bound * (1 - bound) / pl.col("observed_customers")).abs()
            < 1e-9
            for bound in (lower, upper)
        )

    @rule
    def withheld_because_follows_from_the_test(cls):
        """A reason is given if the error is not below both others, the total is off, or no customers were observed."""
        model, ratio = pl.col("error_model"), pl.col("predicted_over_actual")
        expected = (
            pl.when(ratio.is_null())
            .then(pl.lit("nothing_to_compare"))
            .when(model >= pl.col("error_baseline"))
            .then(pl.lit("no_better_than_baseline"))
            .when(model >= pl.col("error_constant"))
            .then(pl.lit("no_better_than_constant"))
            .when(~ratio.is_between(0.5, 2))
            .then(pl.lit("total_is_off"))
            .when(pl.col("observed_customers") == 0)
            .then(pl.lit("nothing_to_compare"))
        )
        return pl.col("withheld_because").eq_missing(expected)

    @rule
    def only_resellers_have_cycles(cls):
        """An online customer has no cycle_months and no missed_cycles."""
        unknown = pl.col("cycle_months").is_null() & pl.col("missed_cycles").is_null()
        return (pl.col("channel") == "reseller") | unknown

    class Config:
        """The key."""

        name = "customer_churn"
        metadata = {"version": "2.1"}
        unique = ["customer_id"]


class CustomerDemographics(MartTable):
    """One answer to a customer survey question and territory of the orders, with at least five customers.

    attribute is the element of the survey's XML. Persons (customers without a store): YearlyIncome, Education,
    Occupation, MaritalStatus, Gender, CommuteDistance, HomeOwnerFlag, TotalChildren, NumberChildrenAtHome and
    NumberCarsOwned; stores: BusinessType, Specialty, Brands, Internet and BankName. Dates and amounts are not bands, so
    they are not listed; income is a band, never a number. The answers of an attribute do not cover all customers:
    customers who did not answer are not counted.

    A cell of fewer than five customers has no row. If the hidden cells of an attribute in a territory have fewer than
    five customers together, the next smallest cell is hidden, too, because these customers could be found by
    subtraction. A customer who ordered in two territories counts in both.

    Counts are rounded to the nearest multiple of 5. Shares and averages are computed from the exact counts, so they
    allow the exact counts to be computed: give them only to readers who may know these. The dashboard and its files
    show coarser ones.
    """

    attribute: Text = described("Survey question, by the name of its element")
    band: Text = described("Answer, as in the survey")
    territory_id: Int = described(TERRITORY, ge=0)
    customers: BigInt = described(
        "Number of customers with an order in the territory who gave the answer, to the nearest multiple of 5; groups"
        " of fewer than five are not published",
        ge=5,
    )
    orders: BigInt = described("Number of their orders in the territory, to the nearest multiple of 5", ge=5)
    revenue: LineAmount = described("Revenue of these orders", ge=0)
    average_order_value: Ratio = described("Revenue divided by the number of orders", unit="USD", ge=0)
    bike_buyer_share: Ratio = described(
        "Share of these customers who have ever bought a bike", unit="share", ge=0, le=1
    )
    as_of: Date = described("Business date of the figures")

    @rule
    def counts_are_multiples_of_five(cls):
        """Customers and orders are multiples of 5."""
        return (pl.col("customers") % 5 == 0) & (pl.col("orders") % 5 == 0)

    class Config:
        """The key."""

        name = "customer_demographics"
        metadata = {"version": "1.2"}
        unique = ["attribute", "band", "territory_id"]
