"""
### Customer demographics

**Answers**: how do orders, revenue and interest in bikes differ between customers, by their survey answers?
**Reads** `customer_days`, `Sales_Customer`, `Sales_Store` and `Person_Person`.
**Starts** when one of them changes; weekly, on Monday at 06:00 UTC, at the latest.
**Publishes** `customer_demographics`: one row per question, answer and territory.
**Note**: groups of fewer than five customers are left out, and no names are included. Not all customers answered.
**If it fails**: the last good version stays. `adventureworks status customer_demographics` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("customer_demographics"), doc_md=__doc__, **settings_for("customer_demographics"))
def customer_demographics() -> None:
    """Build, gate, publish."""
    analysis("customer_demographics")


customer_demographics()
