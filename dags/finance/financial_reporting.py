"""
### Monthly profit

**Answers**: what did each product earn in each month and territory, after discounts and the cost of the goods?
**Starts** once for each month in which something changed: the sales, products or their categories. The month is the
run's partition key. Started by hand without one, it catches up with every month that has something new.
**Publishes** `monthly_profit`, and for the month a workbook and a PDF in every language, in the folder of reports. The
months of one change are computed together by the first run; the others find them published and deliver.
**Mind**: profit is gross profit, since the source holds no operating expenses. Where no cost was valid on the day of an
order, the product's present cost stands in, and `fallback_cost_revenue` says for how much revenue.
**If it fails**: the last good version stays. `adventureworks status monthly_profit` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("financial_reporting"), doc_md=__doc__, **settings_for("financial_reporting"))
def financial_reporting() -> None:
    """Plan, build, gate, publish, deliver."""
    analysis("financial_reporting")


financial_reporting()
