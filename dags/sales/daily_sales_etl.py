"""
### Daily sales

**Answers**: what was sold each day, where and through which channel, for how much, and at what cost?
**Reads** `Sales_SalesOrderHeader`, `Sales_SalesOrderDetail`, `Production_Product`, `Production_ProductCostHistory`,
`Production_ProductSubcategory` and `Production_ProductCategory`.
**Starts** when one of them changes; daily at 05:00 UTC at the latest.
**Publishes** `fact_sales` (one row per order line), `daily_sales` (one row per day, territory and channel) and
`customer_days` (one row per day, customer, territory and channel, for the analyses of customers). Only changed months
are computed; a changed product, cost or category may affect any month, so then all months are computed.
**Note**: rejected and cancelled orders are left out; so are withheld orders (with a row in quarantine), and the verdict
says how many. If no cost was valid on the day of the order, the product's current cost is used (`cost_source` =
`fallback`).
**If it fails**: the last good version stays. `adventureworks status daily_sales` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("daily_sales_etl"), doc_md=__doc__, **settings_for("daily_sales_etl"))
def daily_sales_etl() -> None:
    """Build, gate, publish."""
    analysis("daily_sales_etl")


daily_sales_etl()
