"""
### Exchange rates and currencies

**Answers**: what does a dollar cost in each currency, how much does that vary, and how much was sold in each currency?
**Reads** `Sales_CurrencyRate`, `fact_sales` and `Sales_SalesOrderHeader`.
**Starts** when one of them changes; daily at 05:00 UTC at the latest.
**Publishes** `exchange_rates` (one row per currency and day) and `currency_sales` (one row per month and currency).
**Note**: rates convert from USD: multiply to get the local amount. Gaps of up to three days are filled and marked.
Subtotals are in USD whatever the currency of the order; an order without a rate is in USD.
**If it fails**: the last good version stays. `adventureworks status exchange_rates` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("currency_exchange_rates"), doc_md=__doc__, **settings_for("currency_exchange_rates"))
def currency_exchange_rates() -> None:
    """Build, gate, publish."""
    analysis("currency_exchange_rates")


currency_exchange_rates()
