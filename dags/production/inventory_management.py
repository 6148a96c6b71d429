"""
### Stock and reorders

**Answers**: how much of each product is in stock, for how many days, what is on order, and what should be ordered?
**Starts** when stock, orders, work orders, bills of materials or vendors change; daily at 05:00 UTC at the latest.
**Publishes** `inventory_status`, one row per product. Products that are out of stock, at their reorder point or below
their safety stock when they were not (or were in a better state) before are told to production in one message, together
with those that recovered. A product that stays as it is is not told again.
**Mind**: the stock is as the source holds it now, without a date. A product without an inventory row is `unknown`, not
out of stock. The source gives every product a reorder point below its safety stock. Vendors sell in cartons and cases
whose content the source does not know: compare `needed` with `suggested_order` there.
**If it fails**: the last good version stays. `adventureworks status inventory_status` shows the broken rule. A message
that could not be sent is sent with a later run.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("inventory_management"), doc_md=__doc__, **settings_for("inventory_management"))
def inventory_management() -> None:
    """Build, gate, publish."""
    analysis("inventory_management")


inventory_management()
