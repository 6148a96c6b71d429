-- Grain: one assembly with a bill of materials that is valid at as_of.
-- Every path from the assembly down to a leaf (a component without a valid bill) is followed, and quantities multiply
-- along it. A path ends if a product occurs on it again; if that is the assembly itself, own_part_path shows the path.
with recursive bill as (
    select
        ProductAssemblyID as assembly_id,
        ComponentID as component_id,
        sum(cast(PerAssemblyQty as decimal(38, 8))) as quantity
    from raw.Production_BillOfMaterials
    where
        ProductAssemblyID is not null
        and cast(StartDate as date) <= :as_of
        and (EndDate is null or cast(EndDate as date) >= :as_of)
    group by ProductAssemblyID, ComponentID
),
assemblies as (
    select distinct assembly_id
    from bill
),
paths (product_id, component_id, quantity, level, path, is_closed) as (
    select
        assembly_id,
        component_id,
        cast(quantity as decimal(38, 8)),
        1,
        cast('/' || cast(assembly_id as varchar) || '/' || cast(component_id as varchar) || '/' as varchar),
        case when component_id = assembly_id then 1 else 0 end
    from bill
    union all
    select
        p.product_id,
        b.component_id,
        cast(p.quantity * b.quantity as decimal(38, 8)),
        p.level + 1,
        cast(p.path || cast(b.component_id as varchar) || '/' as varchar),
        case when position('/' || cast(b.component_id as varchar) || '/', p.path) > 0 then 1 else 0 end
    from paths as p
    inner join bill as b
        on p.component_id = b.assembly_id
    where p.is_closed = 0
),
costs as (
    select
        p.ProductID as product_id,
        coalesce(c.StandardCost, p.StandardCost) as standard_cost
    from raw.Production_Product as p
    left join raw.Production_ProductCostHistory as c
        on p.ProductID = c.ProductID
        and cast(c.StartDate as date) <= :as_of
        and (c.EndDate is null or cast(c.EndDate as date) >= :as_of)
),
materials as (
    select
        p.product_id,
        cast(sum(cast(p.quantity * c.standard_cost as decimal(38, 12))) as decimal(38, 4)) as material_cost,
        count(distinct p.component_id) as leaves,
        count(distinct case when c.standard_cost > 0 then p.component_id end) as leaves_with_cost
    from paths as p
    left join assemblies as a
        on p.component_id = a.assembly_id
    inner join costs as c
        on p.component_id = c.product_id
    where a.assembly_id is null
    group by p.product_id
),
shapes as (
    select
        product_id,
        max(level) as levels,
        min(case when component_id = product_id then path end) as own_part_path
    from paths
    group by product_id
),
routed as (
    select
        w.ProductID as product_id,
        cast(sum(cast(r.planned as decimal(38, 4))) as decimal(38, 4)) as planned,
        sum(cast(w.OrderQty as bigint)) as ordered,
        count(*) as work_orders
    from raw.Production_WorkOrder as w
    inner join (
        select
            WorkOrderID as work_order_id,
            sum(cast(PlannedCost as decimal(38, 4))) as planned
        from raw.Production_WorkOrderRouting
        group by WorkOrderID
    ) as r
        on w.WorkOrderID = r.work_order_id
    where cast(w.StartDate as date) <= :as_of
    group by w.ProductID
)
select
    s.product_id,
    cast(:as_of as date) as as_of,
    n.Name as product,
    coalesce(m.material_cost, 0) as material_cost,
    cast(cast(r.planned as decimal(38, 4)) / nullif(r.ordered, 0) as decimal(38, 10)) as routing_cost,
    cast(cast(r.planned as decimal(38, 4)) / nullif(r.work_orders, 0) as decimal(38, 10)) as routing_cost_per_order,
    c.standard_cost,
    coalesce(m.leaves, 0) as leaves,
    coalesce(m.leaves_with_cost, 0) as leaves_with_cost,
    cast(cast(coalesce(m.leaves_with_cost, 0) as decimal(38, 4)) / nullif(m.leaves, 0) as decimal(38, 10))
        as cost_coverage,
    s.levels,
    s.own_part_path
from shapes as s
inner join costs as c
    on s.product_id = c.product_id
inner join raw.Production_Product as n
    on s.product_id = n.ProductID
left join materials as m
    on s.product_id = m.product_id
left join routed as r
    on s.product_id = r.product_id
