"""Compare the nested errors of forecasts by calendar month and by booking month, and of a choice per series or channel.

    .venv/bin/python bench/forecast_error.py /path/to/parquet

The folder holds `Sales_SalesOrderHeader.parquet` and `Sales_SalesOrderDetail.parquet`. Only series that go back to the
channel's first month count, because the other ones differ between the calendars. Prints a table for docs/validation.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

from adventureworks.marts.sales.forecasting import (
    MODELS,
    Backtest,
    Months,
    backtest,
    evaluations,
    nested_choice,
)

ORIGIN = 23
"""The first origin that counts: 23 months are known."""
BEFORE = tuple(model for model in MODELS if model != "mean_3_season")
ENDS = {
    "calendar month": {"online": "2014-05-01", "reseller": "2014-05-01"},
    "booking month": {"online": "2014-05-01", "reseller": "2014-04-01"},
}
"""The last complete month by each definition."""


def lines(folder: Path) -> pl.DataFrame:
    """Return channel, territory, order date and revenue of every order line."""
    header = pl.read_parquet(folder / "Sales_SalesOrderHeader.parquet").select(
        "SalesOrderID",
        pl.col("OrderDate").cast(pl.Date).alias("day"),
        pl.col("TerritoryID").alias("territory_id"),
        pl.when("OnlineOrderFlag").then(pl.lit("online")).otherwise(pl.lit("reseller")).alias("channel"),
    )
    detail = pl.read_parquet(folder / "Sales_SalesOrderDetail.parquet").select("SalesOrderID", revenue="LineTotal")
    return detail.join(header, on="SalesOrderID")


def monthly(sold: pl.DataFrame, calendar: str) -> pl.DataFrame:
    """Return the revenue of each complete month, channel and territory by one of the two calendars."""
    delay = pl.when(pl.col("channel") == "reseller").then(3 if calendar == "booking month" else 0).otherwise(0)
    month = (pl.col("day") - pl.duration(days=delay)).dt.truncate("1mo")
    first = month == pl.date(2011, 5, 1)
    last = pl.col("channel").replace_strict(ENDS[calendar]).str.to_date()
    whole = (month <= last) & ~(first & (pl.col("channel") == "online"))
    return sold.filter(whole).group_by("channel", "territory_id", month=month).agg(pl.col("revenue").sum())


def full(months: Months) -> Months:
    """Return only the series that begin with the channel."""
    places = [place for place, begin in enumerate(months.begins) if begin == 0]
    return Months(
        months.last,
        tuple(months.territories[place] for place in places),
        months.revenue[places],
        tuple(0 for _ in places),
    )


def error(parts: list[Backtest]) -> float:
    """Return the WAPE over several backtests."""
    found = [part.since(ORIGIN).out_of_sample for part in parts]
    return sum(one.error for one in found) / sum(one.actual for one in found)


def main(folder: Path) -> None:
    """Print the table."""
    sold = lines(folder)
    print("| channel | months | choice | series | nested WAPE |\n|---|---|---|---:|---:|")
    for calendar in ENDS:
        for channel, evaluation in sorted(evaluations(monthly(sold, calendar)).items()):
            months = full(evaluation.months)
            tests = {name: backtest(months, model(months)) for name, model in MODELS.items()}
            by_series = [
                nested_choice({name: test.of(place) for name, test in tests.items()}, BEFORE)
                for place in range(len(months.territories))
            ]
            choices = {
                "per series, without mean_3_season": by_series,
                "per channel": [nested_choice(tests, tuple(MODELS))],
                "always mean_3_season": [tests["mean_3_season"]],
            }
            for choice, parts in choices.items():
                print(f"| {channel} | {calendar} | {choice} | {len(months.territories)} | {error(parts):.3f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
