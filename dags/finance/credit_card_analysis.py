"""
### Credit cards

**Answers**: with which cards do customers pay, how much, and how often had the card expired?
**Reads** `fact_sales`, `Sales_SalesOrderHeader` and `Sales_CreditCard`.
**Starts** when one of them changes; daily at 05:00 UTC at the latest.
**Publishes** `card_usage`: one row per month and type of card. Only changed months are computed; a changed card may
affect any month, so then all months are computed.
**Note**: card numbers are never loaded, only their last four digits. Orders without a card are listed as `No card`.
The source has no data about fraud, so the mart has none either.
**If it fails**: the last good version stays. `adventureworks status card_usage` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("credit_card_analysis"), doc_md=__doc__, **settings_for("credit_card_analysis"))
def credit_card_analysis() -> None:
    """Build, gate, publish."""
    analysis("credit_card_analysis")


credit_card_analysis()
