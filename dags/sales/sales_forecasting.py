"""
### Sales forecast

**Answers**: how much will be sold in each of the next three booking months, by channel and territory, and how certain
is that?
**Reads** `territory_sales`.
**Starts** when it changes; weekly, on Monday at 06:00 UTC, at the latest.
**Publishes** `sales_forecast` (with 80 % and 95 % intervals) and `forecast_accuracy` (how well each model would have
forecast the past, and how well the published forecasts did).
**Note**: the total of a channel and its intervals are in columns of their own, because bounds cannot be added up. All
territories of a channel use one model. A territory, or the total, has no forecast (`withheld_because`) if, in months
after each choice of a model, forecasts of it or of all territories were no better than the naive models or than the
mean of all earlier months, or far off in total. Every published forecast is kept, so that it can be scored when the
month is over.
**If it fails**: the last good version stays. `adventureworks status sales_forecast` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("sales_forecasting"), doc_md=__doc__, **settings_for("sales_forecasting"))
def sales_forecasting() -> None:
    """Build, gate, publish."""
    analysis("sales_forecasting")


sales_forecasting()
