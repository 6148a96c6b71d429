"""
### Monthly profit

**Answers**: what did each product earn in each month and territory, after discounts and the cost of the goods?
**Starts** when the sales, products or their categories change; monthly, on the 1st at 06:00 UTC, at the latest.
**Publishes** `monthly_profit`. Only the months that changed are computed; a change of products or categories may touch
any month, so then all are.
**Mind**: profit is gross profit, since the source holds no operating expenses. Where no cost was valid on the day of an
order, the product's present cost stands in, and `fallback_cost_revenue` says for how much revenue.
**If it fails**: the last good version stays. `adventureworks status monthly_profit` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("financial_reporting"), doc_md=__doc__, **settings_for("financial_reporting"))
def financial_reporting() -> None:
    """Plan, build, gate, publish."""
    analysis("financial_reporting")


financial_reporting()
