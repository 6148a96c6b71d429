"""Contracts of the quality marts. Money is USD."""

import polars as pl

from contracts.columns import BigInt, Date, Discount, Int, LineAmount, MartTable, Statistic, Text, described, rule


class CampaignPerformance(MartTable):
    """One special offer and category of the products that were sold under it.

    Baseline: what the offer's products would have sold in its channel and period without it, by difference in
    differences on the logarithmic scale: their units in the 8 weeks before, times the factor by which the other
    products of their subcategory, under no offer of their own in either period, grew from those weeks to the offer's.
    Incremental units are all units of the offer's products in channel and period, under this offer or not, less the
    baseline; incremental profit compares with the baseline units at the profit per unit of the weeks before. The
    interval comes from a jackknife over products and is NULL where a group has just one.

    method says what was done: none for offer 1 (no discount) and the volume tiers, which have no before; no_sales for
    an offer without lines (one row, category Unassigned); no_comparison where the products did not sell before, or no
    other product of the subcategory did in both periods. Then the baseline and everything after it is NULL: there is
    nothing to compare, which is not the same as no effect. Resellers book on a few days, so the intervals are wide.
    """

    special_offer_id: Int = described("Special offer")
    category: Text = described("Category of the products; Unassigned: they have none, or nothing was sold")
    lines: BigInt = described("Order lines under the offer", ge=0)
    units: BigInt = described("Units on these lines; NULL: no lines", nullable=True, ge=0)
    revenue: LineAmount = described("Revenue of these lines, USD; NULL: no lines", nullable=True, ge=0)
    discount_cost: Discount = described("Discount on these lines, USD; NULL: no lines", nullable=True, ge=0)
    profit: LineAmount = described("Revenue less cost of goods of these lines, USD; NULL: no lines", nullable=True)
    baseline_units: Statistic = described(
        "Units that the products would have sold in channel and period without the offer", nullable=True, ge=0
    )
    incremental_units: Statistic = described("Units that the products sold above the baseline", nullable=True)
    incremental_units_lower_95: Statistic = described("Lower end of their 95 % interval", nullable=True)
    incremental_units_upper_95: Statistic = described("Upper end of their 95 % interval", nullable=True)
    incremental_profit: Statistic = described("Profit above that of the baseline units, USD", nullable=True)
    roi: Statistic = described("Incremental profit per USD of discount; NULL: unknown, or no discount", nullable=True)
    method: Text = described(
        "How the baseline was made: difference_in_differences, none, no_sales or no_comparison",
        isin=["difference_in_differences", "none", "no_sales", "no_comparison"],
    )
    first_day: Date = described("First day of the offer")
    last_day: Date = described("Last day of the offer")
    as_of: Date = described("Business date of the figures")

    @rule
    def nothing_is_compared_without_a_baseline(cls):
        """baseline_units is given exactly where method = difference_in_differences, and incremental_units with it."""
        compared = pl.col("method") == "difference_in_differences"
        given = [pl.col(name).is_not_null() for name in ("baseline_units", "incremental_units", "incremental_profit")]
        return pl.all_horizontal(value == compared for value in given)

    @rule
    def interval_holds_the_estimate(cls):
        """incremental_units_lower_95 <= incremental_units <= incremental_units_upper_95."""
        return pl.col("incremental_units").is_between(
            pl.col("incremental_units_lower_95"), pl.col("incremental_units_upper_95")
        )

    class Config:
        """The key."""

        name = "campaign_performance"
        unique = ["special_offer_id", "category"]


DIMENSIONS = ["completeness", "uniqueness", "validity", "consistency", "referential", "freshness", "volume"]


class DataQuality(MartTable):
    """One rule of a table or mart, as one run found it.

    All runs are kept; the newest has the greatest run_number. Rules: the checks and references of the gate as they came
    out last; rows_keep_the_contract (rows set aside in quarantine); newest_reading_is_published (broken where the table
    is blocked, and has kept its last good version or has none); defects of the source that the gate does not stop,
    because the source itself allows them; missing values; persons who are probably there twice (the same e-mail,
    telephone or address, and names that differ in spelling at most: a name alone is no duplicate, and
    name_is_the_customers_alone counts groups of namesakes only to note them); months with an extraordinary number of
    rows (monthly_volume_is_usual: against the two months before and after and the same month of other years, on the
    logarithmic scale, beyond 6 robust standard deviations; first and last month left out).

    A check that does not count rows (volume, freshness) counts as one. Scores are means of pass rates by weight: error
    5, warning 2, info 0, which is only noted. On the real data all cards had expired when they were used, and no
    product's reorder point reaches its safety stock: that is how the source is.
    """

    # Before the columns: one of them is called `rule`, too.
    @rule
    def no_more_fail_than_were_checked(cls):
        """Failed <= checked."""
        return pl.col("failed") <= pl.col("checked")

    run_id: Text = described("Run that found it")
    table_name: Text = described("Source table or mart")
    rule: Text = described("Rule, in words")
    dimension: Text = described("Side of quality that the rule is about", isin=DIMENSIONS)
    checked: BigInt = described("Rows, groups or months that were held against the rule", ge=0)
    failed: BigInt = described("How many of them break it", ge=0)
    pass_rate: Statistic = described(
        "Share that keeps the rule, 0 to 1; NULL: nothing to check", nullable=True, ge=0, le=1
    )
    severity: Text = described(
        "error: nothing that breaks it is published; warning: somebody should mend it; info: noted",
        isin=["error", "warning", "info"],
    )
    sample_keys: Text = described("At most three keys that break the rule; empty: none does")
    previous_pass_rate: Statistic = described(
        "The same in the run before; NULL: the rule is new", nullable=True, ge=0, le=1
    )
    change: Statistic = described("pass_rate less previous_pass_rate; below 0: worse", nullable=True, ge=-1, le=1)
    dimension_score: Statistic = described(
        "Weighted pass rate of the table's rules of this dimension; NULL: only noted", nullable=True, ge=0, le=1
    )
    table_score: Statistic = described("Weighted pass rate of all rules of the table", nullable=True, ge=0, le=1)
    overall_score: Statistic = described("Weighted pass rate of all rules of the run", nullable=True, ge=0, le=1)
    run_number: BigInt = described("Runs counted from 1; the greatest is the newest", gt=0)
    as_of: Date = described("Business date of the run")

    class Config:
        """The key."""

        name = "data_quality"
        unique = ["run_id", "table_name", "rule"]
