"""
### Retention and churn

**Answers**: how many new customers buy again, after how many months, how much margin do they bring, and who has not
ordered for too long?
**Reads** `fact_sales`.
**Starts** when it changes; weekly, on Monday at 06:00 UTC, at the latest.
**Publishes** `customer_retention` and `customer_cohort_value` (each one row per channel, cohort and month since) and
`customer_churn` (one row per customer).
**Note**: months that are not over are empty or absent, not zero. `customer_cohort_value` is by booking month. "Too
long" is derived from the data: longer than nine of ten gaps between the orders of a customer in the same channel.
**If it fails**: the last good version stays. `adventureworks status customer_churn` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("customer_retention"), doc_md=__doc__, **settings_for("customer_retention"))
def customer_retention() -> None:
    """Build, gate, publish."""
    analysis("customer_retention")


customer_retention()
