"""
### Costs of production

**Answers**: what do work orders produce, scrap and cost in a month, where are they late, and what does an assembly
cost by its bill of materials?
**Reads** `Production_WorkOrder`, `Production_WorkOrderRouting`, `Production_Product`, `Production_ProductCostHistory`,
`Production_Location` and `Production_BillOfMaterials`.
**Starts** when one of them changes; weekly, on Monday at 06:00 UTC, at the latest.
**Publishes** `production_costs` (one row per month and product made), `late_work_orders` (one row per month, location
and product made) and `bill_of_materials_cost` (one row per assembly). Of the first two, only changed months are
computed.
**Delivers** the late operations of the last complete month to production, by mail on Mondays.
**Note**: many work orders have no routing; their cost and their delays are unknown, not zero. Most parts have no
standard cost, so read the material cost of an assembly together with its `cost_coverage`, and the cost of scrap
together with its `scrap_cost_coverage`.
**If it fails**: the last good version stays. `adventureworks status bill_of_materials_cost` shows the broken rule.
If an assembly contains itself (`no_assembly_is_part_of_itself`), the rule shows the path of products: fix one of their
bills in the source.
"""

from airflow.sdk import dag

from adventureworks.orchestration import analysis, changes, settings_for


@dag(schedule=changes("production_costs"), doc_md=__doc__, **settings_for("production_costs"))
def production_costs() -> None:
    """Build, gate, publish."""
    analysis("production_costs")


production_costs()
