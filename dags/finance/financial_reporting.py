"""
### Monthly profit

**Answers**: what did each product earn in each month and territory, after discounts and the cost of the goods,
and what changed the profit compared with a year earlier?
**Reads** `fact_sales`, `Production_Product`, `Production_ProductSubcategory` and `Production_ProductCategory`.
**Starts** when one of them changes; daily at 05:00 UTC at the latest.
**Publishes** `monthly_profit` and `profit_bridge`, then stores a workbook and a PDF in every language in the reports
folder, for each month with new figures. If newer data arrives in the meantime, it is computed first.
**Note**: profit is gross profit, since the source has no operating expenses. If no cost was valid on the day of an
order, the product's current cost is used, and `fallback_cost_revenue` says for how much revenue.
`profit_bridge` compares complete booking months, `monthly_profit` is by calendar month.
**If it fails**: the last good version stays. `adventureworks status monthly_profit` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("financial_reporting"), doc_md=__doc__, **settings_for("financial_reporting"))
def financial_reporting() -> None:
    """Build, gate, publish, deliver."""
    analysis("financial_reporting")


financial_reporting()
