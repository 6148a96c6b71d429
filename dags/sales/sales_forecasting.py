"""
### Sales forecast

**Answers**: how much will be sold in each of the next three months, by channel and territory, and how certain is that?
**Reads** `territory_sales`.
**Starts** when it changes; weekly, on Monday at 06:00 UTC, at the latest.
**Publishes** `sales_forecast` (with 80 % and 95 % intervals) and `forecast_accuracy` (how well each model would have
forecast the past, and how well the published forecasts did).
**Note**: for totals, add up the rows of one horizon; the bounds of the intervals cannot be added up. Each series uses
the model with the lowest past error; a model that does not beat "same as last month" or "same as a year ago" is never
used. Every published forecast is kept, so that it can be scored when the month is over.
**If it fails**: the last good version stays. `adventureworks status sales_forecast` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("sales_forecasting"), doc_md=__doc__, **settings_for("sales_forecasting"))
def sales_forecasting() -> None:
    """Build, gate, publish."""
    analysis("sales_forecasting")


sales_forecasting()
