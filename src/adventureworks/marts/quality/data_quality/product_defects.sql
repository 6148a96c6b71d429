-- Grain: one rule that the source's products do not always meet. A rule does not check products of which a column that
-- it reads is NULL, as are columns that the source does not offer, nor stock if no product has any.
with products as (
    select
        p.ProductID as product_id,
        case when s.rows_of_stock = 0 then null when i.ProductID is null then 1 else 0 end as without_stock_row,
        case
            when p.ReorderPoint < p.SafetyStockLevel then 1
            when p.ReorderPoint >= p.SafetyStockLevel then 0
        end as reorders_late,
        case when p.FinishedGoodsFlag and p.StandardCost = 0 then 1 when p.FinishedGoodsFlag is not null then 0 end as without_cost,
        case when p.FinishedGoodsFlag and p.ListPrice > 0 and p.ListPrice < p.StandardCost then 1 when p.FinishedGoodsFlag is not null then 0 end as below_cost,
        case when p.FinishedGoodsFlag and p.ProductSubcategoryID is null then 1 when p.FinishedGoodsFlag is not null then 0 end as without_subcategory,
        case when p.FinishedGoodsFlag and p.Weight is null then 1 when p.FinishedGoodsFlag is not null then 0 end as without_weight
    from raw.Production_Product as p
    left join (select distinct ProductID from raw.Production_ProductInventory) as i
        on p.ProductID = i.ProductID
    cross join (select count(*) as rows_of_stock from raw.Production_ProductInventory) as s
),
routed as (
    select
        w.WorkOrderID as work_order_id,
        case when r.WorkOrderID is null then 1 else 0 end as without_routing
    from raw.Production_WorkOrder as w
    left join (select distinct WorkOrderID from raw.Production_WorkOrderRouting) as r
        on w.WorkOrderID = r.WorkOrderID
),
judged as (
    select 'has_an_inventory_row' as rule, 'completeness' as dimension, 'warning' as severity, product_id, without_stock_row as bad
    from products
    union all
    select 'reorder_point_reaches_the_safety_stock', 'consistency', 'info', product_id, reorders_late
    from products
    union all
    select 'finished_product_has_a_cost', 'completeness', 'warning', product_id, without_cost
    from products
    union all
    select 'list_price_covers_the_cost', 'validity', 'warning', product_id, below_cost
    from products
    union all
    select 'finished_product_has_a_subcategory', 'completeness', 'warning', product_id, without_subcategory
    from products
    union all
    select 'finished_product_has_a_weight', 'completeness', 'info', product_id, without_weight
    from products
)
select
    'Production_Product' as table_name,
    j.rule,
    j.dimension,
    j.severity,
    count(j.bad) as checked,
    cast(sum(cast(j.bad as bigint)) as bigint) as failed,
    'ProductID' as key_name,
    cast(min(case when j.bad = 1 then j.product_id end) as varchar) as first_key,
    cast(max(case when j.bad = 1 then j.product_id end) as varchar) as last_key
from judged as j
group by j.rule, j.dimension, j.severity
union all
select
    'Production_WorkOrder' as table_name,
    'work_order_has_a_routing' as rule,
    'completeness' as dimension,
    'info' as severity,
    count(*) as checked,
    cast(sum(cast(without_routing as bigint)) as bigint) as failed,
    'WorkOrderID' as key_name,
    cast(min(case when without_routing = 1 then work_order_id end) as varchar) as first_key,
    cast(max(case when without_routing = 1 then work_order_id end) as varchar) as last_key
from routed
