-- Grain: one table whose rows are numbered one after the other, with the count of the numbers that no row has.
with numbers as (
    select
        'Sales_SalesOrderHeader' as table_name,
        'SalesOrderID' as key_name,
        count(*) as present,
        min(SalesOrderID) as first_number,
        max(SalesOrderID) as last_number
    from raw.Sales_SalesOrderHeader
    union all
    select 'Sales_SalesOrderDetail', 'SalesOrderDetailID', count(*), min(SalesOrderDetailID), max(SalesOrderDetailID)
    from raw.Sales_SalesOrderDetail
    union all
    select 'Purchasing_PurchaseOrderHeader', 'PurchaseOrderID', count(*), min(PurchaseOrderID), max(PurchaseOrderID)
    from raw.Purchasing_PurchaseOrderHeader
    union all
    select 'Production_WorkOrder', 'WorkOrderID', count(*), min(WorkOrderID), max(WorkOrderID)
    from raw.Production_WorkOrder
)
select
    n.table_name,
    'numbers_are_consecutive' as rule,
    'completeness' as dimension,
    'warning' as severity,
    cast(n.last_number - n.first_number + 1 as bigint) as checked,
    cast(n.last_number - n.first_number + 1 - n.present as bigint) as failed,
    n.key_name
from numbers as n
where n.present > 0
