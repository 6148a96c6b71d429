"""
### Quotas and sales people

**Answers**: which sales people reach their quota, by how much, what commission did they earn, and how far are they
within the running period, compared with the same point of their earlier ones?
**Reads** `fact_sales`, `Sales_SalesOrderHeader`, `Sales_SalesPerson` and `Sales_SalesPersonQuotaHistory`.
**Starts** when one of them changes; weekly, on Monday at 06:00 UTC, at the latest.
**Publishes** `sales_person_performance` (one row per quota, with sales, attainment, gap, commission and rank) and
`quota_pace` (running quotas and each person's last finished one, with the pace after each wave of orders).
**Delivers** the pace of the newest quotas to sales, by mail on Mondays.
**Note**: quotas come from the quota history, since three managers have none in their own record. Sales are those of the
orders assigned to the person. The last period may not be over: it counts the sales so far. `quota_pace` goes by booking
month, and counts complete ones only.
**If it fails**: the last good version stays. `adventureworks status sales_person_performance` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("sales_person_performance"), doc_md=__doc__, **settings_for("sales_person_performance"))
def sales_person_performance() -> None:
    """Build, gate, publish."""
    analysis("sales_person_performance")


sales_person_performance()
