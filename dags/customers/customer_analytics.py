"""
### Customer value

**Answers**: who are our best customers, who is about to leave, and what may we expect of each in the next year?
**Starts** when the sales change; weekly, on Monday at 06:00 UTC, at the latest.
**Publishes** `customer_value`: scores, segment and expectations of every customer with an order.
**Mind**: a statistical model is published only where it foresaw the last year better than the plain mean of customers
who looked alike; `method` and `method_reason` say what was done, the holdout columns how the two compared. Resellers
are valued by the margin of their last twelve months.
**If it fails**: the last good version stays. `adventureworks status customer_value` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("customer_analytics"), doc_md=__doc__, **settings_for("customer_analytics"))
def customer_analytics() -> None:
    """Build, gate, publish."""
    analysis("customer_analytics")


customer_analytics()
