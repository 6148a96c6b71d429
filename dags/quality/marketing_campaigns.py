"""
### Marketing campaigns

**Answers**: what did each special offer sell, what did its discount cost, and did it sell more than would have
been sold without it?
**Reads** `fact_sales`, `Sales_SpecialOffer`, `Production_Product`, `Production_ProductSubcategory` and
`Production_ProductCategory`.
**Starts** when one of them changes; weekly, on Monday at 06:00 UTC, at the latest.
**Publishes** `campaign_performance`: one row per offer and category, with intervals for the units and profit gained.
**Note**: the gain is an estimate from the same products in the 8 weeks before (resellers: three booking months),
adjusted by at least three products of the same subcategory that were on sale throughout and not on offer. If there is
nothing to compare, it is empty, which does not mean that there was no effect.
**If it fails**: the last good version stays. `adventureworks status campaign_performance` shows the broken rule.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("marketing_campaigns"), doc_md=__doc__, **settings_for("marketing_campaigns"))
def marketing_campaigns() -> None:
    """Build, gate, publish."""
    analysis("marketing_campaigns")


marketing_campaigns()
