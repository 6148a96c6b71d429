"""
### Sales by territory

**Answers**: what does each territory sell and earn, by booking month and channel, what is its share, and how does it
grow?
**Reads** `fact_sales` and `Sales_SalesTerritory`.
**Starts** when one of them changes; weekly, on Monday at 06:00 UTC, at the latest.
**Publishes** `territory_sales`. Only changed months are computed, the months before them, towards which their first
days may count, and the same months a year later, whose growth is relative to them.
**Note**: resellers order in one wave at the end of a month or on the first day of the next. `revenue` counts a wave
towards one booking month; `calendar_revenue` is the revenue of the calendar month. A month that is not complete for the
channel (`is_partial`) has no growth.
**If it fails**: the last good version stays. `adventureworks status territory_sales` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("sales_territory_analysis"), doc_md=__doc__, **settings_for("sales_territory_analysis"))
def sales_territory_analysis() -> None:
    """Build, gate, publish."""
    analysis("sales_territory_analysis")


sales_territory_analysis()
