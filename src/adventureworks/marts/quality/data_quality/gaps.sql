-- Grain: one table whose rows are numbered one after the other, with the first and the last number that no row has.
with numbers as (
    select 'Sales_SalesOrderHeader' as table_name, SalesOrderID as number
    from raw.Sales_SalesOrderHeader
    union all
    select 'Sales_SalesOrderDetail', SalesOrderDetailID
    from raw.Sales_SalesOrderDetail
    union all
    select 'Purchasing_PurchaseOrderHeader', PurchaseOrderID
    from raw.Purchasing_PurchaseOrderHeader
    union all
    select 'Production_WorkOrder', WorkOrderID
    from raw.Production_WorkOrder
),
followed as (
    select
        n.table_name,
        n.number,
        lag(n.number) over (partition by n.table_name order by n.number) as number_before
    from numbers as n
)
select
    f.table_name,
    cast(min(case when f.number - f.number_before > 1 then f.number_before + 1 end) as varchar) as first_key,
    cast(max(case when f.number - f.number_before > 1 then f.number - 1 end) as varchar) as last_key
from followed as f
group by f.table_name
