"""
### Retention and reorders

**Answers**: how many new customers buy again, after how many months, with how much margin, and who is likely to
order again?
**Reads** `customer_days` and `fact_sales`.
**Starts** when one of them changes; weekly, on Monday at 06:00 UTC, at the latest.
**Publishes** `customer_retention` and `customer_cohort_value` (each one row per channel, cohort and month since) and
`customer_churn` (one row per customer).
**Note**: cohorts are by booking month, and months that are not over are absent. The probability of another order is the
share of customers as silent a year before who ordered again. It is published only if such shares were right in a year
that was not used to compute them (`withheld_because`). A reseller has lapsed after missing two order cycles.
**If it fails**: the last good version stays. `adventureworks status customer_churn` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("customer_retention"), doc_md=__doc__, **settings_for("customer_retention"))
def customer_retention() -> None:
    """Build, gate, publish."""
    analysis("customer_retention")


customer_retention()
