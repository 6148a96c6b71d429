"""
### Products and their ranking

**Answers**: what does each product sell and earn in a month, at what price, which ones earn most of the revenue, which
sell regularly, and which are bought together?
**Reads** `fact_sales`, `Production_Product`, `Production_ProductSubcategory`, `Production_ProductCategory` and
`Production_ProductListPriceHistory`.
**Starts** when one of them changes; weekly, on Monday at 06:00 UTC, at the latest.
**Publishes** `product_performance`, one row per month and product sold, and `product_affinity`, one row per channel and
pair of products that at least 20 orders of the last twelve months contain. Of the first, only changed months and those
after them whose classes they affect are computed; a changed product or list price may affect any month, so then all
months are computed.
**Delivers** the pairs to marketing, by mail on Mondays.
**Note**: a month that is only partly covered by orders (`is_partial`) ranks the sales so far. Resellers pay less than
the list price, so revenue per unit is below it even without a discount.
**If it fails**: the last good version stays. `adventureworks status product_performance` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("product_performance"), doc_md=__doc__, **settings_for("product_performance"))
def product_performance() -> None:
    """Build, gate, publish."""
    analysis("product_performance")


product_performance()
