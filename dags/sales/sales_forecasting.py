"""
### Sales forecast

**Answers**: how much will be sold in each of the next three months, by channel and territory, and how sure is that?
**Starts** when the sales by territory change; weekly, on Monday at 06:00 UTC, at the latest.
**Publishes** `sales_forecast` (with intervals of 80 and 95 %) and `forecast_accuracy` (how each model would have done
in the past, and how the published forecasts did).
**Mind**: add up rows of one horizon for totals; the ends of the intervals do not add up. Per series the model is taken
that would have erred least; a model that does not beat "as last month" or "as a year ago" is never taken. Every
published forecast is kept, so that it can be scored when the month is over.
**If it fails**: the last good version stays. `adventureworks status sales_forecast` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("sales_forecasting"), doc_md=__doc__, **settings_for("sales_forecasting"))
def sales_forecasting() -> None:
    """Build, gate, publish."""
    analysis("sales_forecasting")


sales_forecasting()
