"""Contracts of the quality marts. Money is USD."""

import polars as pl

from contracts.columns import (
    REASONS,
    BigInt,
    Bit,
    Date,
    Discount,
    Int,
    LineAmount,
    MartTable,
    Statistic,
    Text,
    described,
    rule,
)


class CampaignPerformance(MartTable):
    """One special offer and category of the products that were sold under it.

    The baseline is what the offer's products would have sold in its channel and period without the offer: their units
    in a period before, times the growth, between the two periods, of the control products. The period before is 8
    weeks online, and for resellers the three booking months before that of the offer's first day. Controls are the
    other products of the subcategory that were on sale from the first day of the period before to the last of the
    offer, sold in both periods, and had no offer of their own in either. Each channel and subcategory is compared by
    itself, and needs three controls. Incremental units are all units of the offer's products in the channel and period,
    under this offer or not, less the baseline; incremental profit compares with the baseline units at the profit per
    unit of the period before.

    Products of one model rise and fall together, so the interval comes from how much growth differs between the models
    of the controls, with the t-quantile for their effective number. If they are all of one model, the interval is
    unknown. The return on the discount (roi) is given only with its interval.

    method says how the baseline was made: none for offer 1 (no discount) and the volume tiers, which have no period
    before them; no_sales for an offer without lines (one row, category Unassigned); no_comparison if the products did
    not sell before, or there were fewer than three controls. In these cases the baseline and everything after it is
    NULL: there is nothing to compare, which is not the same as no effect.

    A baseline is a prediction, and is tested like one, in each channel and subcategory: on the same products in earlier
    periods of the same length in which they were in no offer, every month back to the first sales. Its error
    (error_model) must be below that of predicting as many units a day as in the period before (error_baseline) and as
    many as since the products' first sale (error_constant), and its total must be between half and twice the actual
    one. Otherwise the baseline and what follows from it are NULL, and withheld_because says why. Each error is the sum
    of absolute errors divided by the units sold.
    """

    special_offer_id: Int = described("Special offer")
    category: Text = described("Category of the products; Unassigned: no category, or nothing sold")
    lines: BigInt = described("Number of order lines under the offer", ge=0)
    units: BigInt = described("Units on these lines; empty without lines", unit="pieces", nullable=True, ge=0)
    revenue: LineAmount = described("Revenue of these lines; empty without lines", nullable=True, ge=0)
    discount_cost: Discount = described("Discount on these lines; empty without lines", nullable=True, ge=0)
    profit: LineAmount = described(
        "Revenue minus cost of goods sold of these lines; empty without lines", nullable=True
    )
    control_products: BigInt = described(
        "Number of other products that the offer's were compared with, in the channel and subcategory with the fewest;"
        " empty if there is nothing to compare",
        nullable=True,
        ge=3,
    )
    baseline_units: Statistic = described(
        "Units that the products would have sold in the channel and period without the offer, estimated from"
        " the period before and from similar products; empty if there is nothing to compare",
        unit="pieces",
        nullable=True,
        ge=0,
    )
    incremental_units: Statistic = described(
        "Units sold above the baseline; empty without a baseline", unit="pieces", nullable=True
    )
    incremental_units_lower_95: Statistic = described(
        "Lower bound of the 95 % interval of the incremental units; empty if unknown", unit="pieces", nullable=True
    )
    incremental_units_upper_95: Statistic = described(
        "Upper bound of the 95 % interval of the incremental units; empty if unknown", unit="pieces", nullable=True
    )
    incremental_profit: Statistic = described(
        "Profit above that of the baseline units; empty without a baseline", unit="USD", nullable=True
    )
    incremental_profit_lower_95: Statistic = described(
        "Lower bound of the 95 % interval of the incremental profit; empty if unknown", unit="USD", nullable=True
    )
    incremental_profit_upper_95: Statistic = described(
        "Upper bound of the 95 % interval of the incremental profit; empty if unknown", unit="USD", nullable=True
    )
    roi: Statistic = described(
        "Incremental profit divided by discount cost; empty without an interval, or without a discount",
        unit="ratio",
        nullable=True,
    )
    roi_lower_95: Statistic = described(
        "Lower bound of the 95 % interval of the return; empty if unknown", unit="ratio", nullable=True
    )
    roi_upper_95: Statistic = described(
        "Upper bound of the 95 % interval of the return; empty if unknown", unit="ratio", nullable=True
    )
    tested_periods: BigInt = described(
        "Number of earlier periods in which the baseline was tested; empty if there is nothing to compare",
        nullable=True,
        ge=0,
    )
    error_model: Statistic = described(
        "Error of the baseline in earlier periods without an offer; empty if it could not be tested",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    error_baseline: Statistic = described(
        "The same error if the prediction is as many units a day as in the period before; empty if it could not be"
        " tested",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    error_constant: Statistic = described(
        "The same error if the prediction is as many units a day as since the first sale; empty if it could not be"
        " tested",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    predicted_over_actual: Statistic = described(
        "Units that the baseline predicted for earlier periods without an offer, divided by the units sold; empty if it"
        " could not be tested",
        unit="ratio",
        nullable=True,
        ge=0,
    )
    withheld_because: Text = described(
        "Reason why the effect is withheld although there are products to compare with: the baseline could not be"
        " tested on earlier periods in each channel and subcategory; or it was tested, and was no better than the"
        " period before or than the mean so far, or its total was less than half or more than twice the actual one",
        nullable=True,
        isin=REASONS,
    )
    method: Text = described(
        "How the baseline was made: difference_in_differences, none, no_sales or no_comparison",
        isin=["difference_in_differences", "none", "no_sales", "no_comparison"],
    )
    first_day: Date = described("First day of the offer")
    last_day: Date = described("Last day of the offer")
    as_of: Date = described("Business date of the figures")

    @rule
    def nothing_is_compared_without_a_baseline(cls):
        """Controls, baseline and effect are given where method = difference_in_differences, unless withheld."""
        compared = (pl.col("method") == "difference_in_differences") & pl.col("withheld_because").is_null()
        names = ("control_products", "baseline_units", "incremental_units", "incremental_profit")
        return pl.all_horizontal(pl.col(name).is_not_null() == compared for name in names)

    @rule
    def withheld_because_follows_from_the_test(cls):
        """A reason is given where there is no test, the error is not below both others, or the total is off."""
        model, ratio = pl.col("error_model"), pl.col("predicted_over_actual")
        expected = (
            pl.when(pl.col("tested_periods").is_null())
            .then(None)
            .when(ratio.is_null())
            .then(pl.lit("nothing_to_compare"))
            .when(model >= pl.col("error_baseline"))
            .then(pl.lit("no_better_than_baseline"))
            .when(model >= pl.col("error_constant"))
            .then(pl.lit("no_better_than_constant"))
            .when(~ratio.is_between(0.5, 2))
            .then(pl.lit("total_is_off"))
        )
        return pl.col("withheld_because").eq_missing(expected)

    @rule
    def the_baseline_was_tested(cls):
        """The number of tested periods is given exactly where method = difference_in_differences."""
        return pl.col("tested_periods").is_not_null() == (pl.col("method") == "difference_in_differences")

    @rule
    def intervals_hold_the_estimates(cls):
        """Lower bound <= figure <= upper bound, for incremental units, incremental profit and roi."""
        return pl.all_horizontal(
            pl.col(name).is_between(pl.col(f"{name}_lower_95"), pl.col(f"{name}_upper_95"))
            for name in ("incremental_units", "incremental_profit", "roi")
        )

    @rule
    def a_return_has_an_interval(cls):
        """Roi and its bounds are given together, and only with bounds of the incremental profit."""
        given = pl.col("roi").is_not_null()
        return pl.all_horizontal(
            pl.col("roi_lower_95").is_not_null() == given,
            pl.col("roi_upper_95").is_not_null() == given,
            ~given | pl.col("incremental_profit_lower_95").is_not_null(),
        )

    class Config:
        """The key."""

        name = "campaign_performance"
        metadata = {"version": "3.1"}
        unique = ["special_offer_id", "category"]


DIMENSIONS = ["completeness", "uniqueness", "validity", "consistency", "referential", "freshness", "volume"]


class DataQuality(MartTable):
    """One rule of a table or mart, with its result in one run.

    The newest 365 runs are kept; the newest has the greatest run_number. The rules are: the gate's checks and
    references, with their latest results; rows_keep_the_contract (rows set aside in quarantine);
    newest_reading_is_published (broken if the table is blocked and has kept its last good version, or has none);
    defects that the gate does not stop, because the source itself allows them; missing values; persons who are probably
    duplicated (the same e-mail address, telephone number or address, and names that differ in spelling at most; a
    shared name alone is not a duplicate, and name_is_the_customers_alone only records groups of namesakes); months with
    an unusual number of rows (monthly_volume_is_usual: more than 6 robust standard deviations, on the logarithmic
    scale, from the two months before and after and the same month of other years; the first and last months are left
    out); rows that are missing although others imply them.

    Missing rows: numbers_are_consecutive counts the numbers between the first and the last that no row has (a source
    that skips numbers breaks it, too); line_has_its_movement counts lines of orders without a movement of stock of that
    order and product; movement_has_its_line counts movements of a sale without such a line. Neither looks back beyond
    the first row of the other table. As many rows as were set aside are not counted, because they are in quarantine.
    months_have_their_orders counts the whole booking months in which a channel has less than 70 % of the orders
    expected, and falls short by more than 2.5 times the square root of their number. Expected is the lower one of two
    medians: of the two comparable months before, and of the two after. Comparable are the neighbours online, and every
    third month for resellers, whose waves repeat each quarter. The newest rows leave no such trace: if the source loses
    them, only their age shows it.

    A check that does not count rows (volume, freshness) counts as one. Rules of severity info are only recorded and
    affect no score. The overall score is the share of business rules that pass: nothing breaks them. Business rules are
    those of source tables about what the data says: completeness, validity, consistency, duplicate persons and unusual
    months. The other rules are technical (types, keys, empty values, freshness, size, reconciliations of marts). They
    would hide the rules that fail, because nearly all of them always pass: nothing that breaks them is published.

    A systematic rule fails for everything that it checked. In the real data all cards had expired when they were used,
    and every product's reorder point is below its safety stock. Then the source works in another way, or the rule is
    wrong. Runs before version 1.1 of this contract have no is_business_rule and no systematic, and their scores are
    weighted means of pass rates.
    """

    # Declared before the columns, because one of them is also named `rule`.
    @rule
    def no_more_fail_than_were_checked(cls):
        """Failed <= checked."""
        return pl.col("failed") <= pl.col("checked")

    run_id: Text = described("Run that checked the rule")
    table_name: Text = described("Source table or mart")
    rule: Text = described("Rule, in words")
    dimension: Text = described(
        "completeness: everything is there; uniqueness: nothing appears twice; validity: values are possible;"
        " consistency: values do not contradict each other; referential: everything referred to exists;"
        " freshness: the data is recent; volume: the amount of data is as usual",
        isin=DIMENSIONS,
    )
    checked: BigInt = described("Number of rows, groups or months that were checked", ge=0)
    failed: BigInt = described("Number of them that break the rule", ge=0)
    pass_rate: Statistic = described(
        "Share of them that passes; empty if there was nothing to check", unit="share", nullable=True, ge=0, le=1
    )
    severity: Text = described(
        "error: nothing that breaks it is published; warning: should be fixed; info: only recorded",
        isin=["error", "warning", "info"],
    )
    sample_keys: Text = described("Up to three keys that break the rule; a blank text if there are none")
    previous_pass_rate: Statistic = described(
        "pass_rate of the previous run; empty if the rule is new", unit="share", nullable=True, ge=0, le=1
    )
    change: Statistic = described(
        "pass_rate minus previous_pass_rate; below 0 is worse", unit="ratio", nullable=True, ge=-1, le=1
    )
    is_business_rule: Bit = described(
        "Whether the rule is about what the source's data says, beyond types, keys and empty values, and counts in the"
        " overall score; empty in old runs",
        nullable=True,
    )
    systematic: Bit = described(
        "Whether everything that was checked, and it was more than one, breaks the rule; empty in old runs",
        nullable=True,
    )
    dimension_score: Statistic = described(
        "Lowest pass rate of the table's rules of this dimension; empty if they are only recorded",
        unit="share",
        nullable=True,
        ge=0,
        le=1,
    )
    table_score: Statistic = described("Lowest pass rate of the table's rules", unit="share", nullable=True, ge=0, le=1)
    overall_score: Statistic = described(
        "Share of the business rules of the run that pass", unit="share", nullable=True, ge=0, le=1
    )
    run_number: BigInt = described("Number of the run, from 1; the greatest is the newest", unit="ordinal", gt=0)
    as_of: Date = described("Business date of the run")

    class Config:
        """The key."""

        name = "data_quality"
        metadata = {"version": "1.2"}
        unique = ["run_id", "table_name", "rule"]
