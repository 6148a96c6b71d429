"""
### Stock and reorders

**Answers**: how much of each product is in stock, for how many days, what is on order, and what should be ordered
from which vendor, by when?
**Reads** `fact_sales`, `Production_Product`, `Production_ProductInventory`, `Production_WorkOrder`,
`Production_BillOfMaterials`, `Purchasing_PurchaseOrderHeader`, `Purchasing_PurchaseOrderDetail`,
`Purchasing_ProductVendor` and `Purchasing_Vendor`.
**Starts** when one of them changes; daily at 05:00 UTC at the latest.
**Publishes** `inventory_status`, one row per product, and `purchase_proposal`, one row per bought product that is
running out and active vendor. One message notifies production of the products whose state got worse since the last
version (out of stock, at the reorder point or below the safety stock) and of those that recovered. The daily stock mail
lists the most urgent orders, with a workbook of all proposals.
**Note**: the stock is the current stock of the source, without a date. A product without an inventory row is `unknown`,
not out of stock. In the source every product has a reorder point below its safety stock. Use is that of the last three
complete booking months. Vendors also sell in cases, containers and packs, and the source does not say what they
contain: check the content before ordering.
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
