"""
### Customer value

**Answers**: who are our best customers, and what can we expect of each in the next year?
**Reads** `fact_sales` and `customer_days`.
**Starts** when one of them changes; weekly, on Monday at 06:00 UTC, at the latest.
**Publishes** `customer_value`: scores, segment and expected value of every customer with an order.
**Note**: what online customers are expected to bring comes from similar customers, or from a statistical model if that
was better. It is published only if it passed a test on the last 52 weeks, which it had not seen; otherwise
`withheld_because` says why not. The margin of resellers is that of their last twelve booking months, not a prediction.
**If it fails**: the last good version stays. `adventureworks status customer_value` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("customer_analytics"), doc_md=__doc__, **settings_for("customer_analytics"))
def customer_analytics() -> None:
    """Build, gate, publish."""
    analysis("customer_analytics")


customer_analytics()
