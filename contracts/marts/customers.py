"""Contracts of the customers marts. Money is USD."""

import polars as pl

from contracts.columns import CHANNELS, BigInt, Date, Int, LineAmount, MartTable, Statistic, Text, described, rule

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
