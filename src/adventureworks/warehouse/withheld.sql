-- Orders withheld from all marts, because one of their rows is in quarantine and they are incomplete without it.
-- If the broken row has a last good version and the lines add up to the SubTotal, the order is complete and is shown.
-- Only open and discarded rows count, which belong to the published version of their table.
create or replace view staging.withheld_order as
with broken as (
    select
        row_key::jsonb ->> 'SalesOrderID' as order_id,
        row_key::jsonb ->> 'SalesOrderDetailID' as line_id
    from ops.quarantined_row
    where asset in ('Sales_SalesOrderHeader', 'Sales_SalesOrderDetail') and status in ('open', 'discarded')
),
suspect as (
    select h."SalesOrderID", h."SubTotal", b.line_id
    from broken as b
    join raw."Sales_SalesOrderHeader" as h on cast(h."SalesOrderID" as varchar) = b.order_id
),
totals as (
    select d."SalesOrderID", sum(d."LineTotal") as line_total
    from raw."Sales_SalesOrderDetail" as d
    join (select distinct "SalesOrderID" from suspect) as o on o."SalesOrderID" = d."SalesOrderID"
    group by d."SalesOrderID"
)
select distinct s."SalesOrderID" as sales_order_id
from suspect as s
left join raw."Sales_SalesOrderDetail" as d
    on d."SalesOrderID" = s."SalesOrderID" and cast(d."SalesOrderDetailID" as varchar) = s.line_id
left join totals as t on t."SalesOrderID" = s."SalesOrderID"
where
    (s.line_id is not null and d."SalesOrderDetailID" is null)
    or abs(s."SubTotal" - coalesce(t.line_total, 0)) > 0.01;
