"""
### Customer value

**Answers**: who are our best customers, who is likely to leave, and what can we expect of each in the next year?
**Reads** `fact_sales`.
**Starts** when it changes; weekly, on Monday at 06:00 UTC, at the latest.
**Publishes** `customer_value`: scores, segment and expected value of every customer with an order.
**Note**: a statistical model is published only if it predicted the last year better than the mean of similar customers;
`method` and `method_reason` say which was used and why, and the holdout columns compare the two. Resellers are valued
by the margin of their last twelve months.
**If it fails**: the last good version stays. `adventureworks status customer_value` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("customer_analytics"), doc_md=__doc__, **settings_for("customer_analytics"))
def customer_analytics() -> None:
    """Build, gate, publish."""
    analysis("customer_analytics")


customer_analytics()
