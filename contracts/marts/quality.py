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
