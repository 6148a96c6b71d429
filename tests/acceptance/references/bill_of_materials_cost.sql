-- Validates: quantities multiplied down every path of the bill, and the number of leaves that have a cost
-- Fault of no_assembly_is_part_of_itself: update candidate set own_part_path = '749 > 749' where product_id = 749
-- Fault of material_of_an_assembly_is_that_of_its_components: update candidate set material_cost = material_cost + 1
-- Fault of assemblies_are_those_with_a_valid_bill: delete from candidate where product_id = 749
-- Fault of levels_and_leaves_are_those_below_the_assembly: update candidate set leaves = leaves + 1
-- Fault of operations_cost_what_the_routing_says: update candidate set routing_cost = routing_cost + 1
-- Downwards from every assembly, one row per path; the mart could also be computed upwards.
with recursive bill as (
    select ProductAssemblyID as assembly, ComponentID as part, PerAssemblyQty as pieces
    from Production_BillOfMaterials
    where ProductAssemblyID is not null
        and $as_of between StartDate::date and coalesce(EndDate::date, date '9999-12-31')
),

path as (
    select assembly, part, pieces::decimal(20, 8) as pieces, 1 as level, [assembly, part] as way
    from bill
    union all
    select path.assembly, bill.part, (path.pieces * bill.pieces)::decimal(20, 8), level + 1, list_append(way, bill.part)
    from path
    join bill on bill.assembly = path.part
    where not list_contains(path.way, bill.part)
),

cost as (
    select
        p.ProductID as product_id,
        p.Name as product,
        p.StandardCost as standard_cost,
        coalesce(
            (
                select max(c.StandardCost) from Production_ProductCostHistory as c
                where c.ProductID = p.ProductID
                    and $as_of between c.StartDate::date and coalesce(c.EndDate::date, date '9999-12-31')
            ),
            p.StandardCost
        ) as cost_of_the_day
    from Production_Product as p
),

material as (
    select
        path.assembly as product_id,
        sum(path.pieces * cost.cost_of_the_day) filter (path.part not in (select assembly from bill)) as material_cost,
        count(distinct path.part) filter (path.part not in (select assembly from bill)) as leaves,
        count(distinct path.part) filter (
            path.part not in (select assembly from bill) and cost.cost_of_the_day > 0
        ) as leaves_with_cost,
        max(path.level) as levels
    from path
    join cost on cost.product_id = path.part
    group by path.assembly
),

routing as (
    select w.ProductID as product_id, sum(r.planned) as planned, sum(w.OrderQty) as pieces, count(*) as work_orders
    from Production_WorkOrder as w
    join (
        select WorkOrderID, sum(PlannedCost) as planned from Production_WorkOrderRouting group by WorkOrderID
    ) as r using (WorkOrderID)
    where w.StartDate::date <= $as_of
    group by w.ProductID
)

select
    product_id,
    $as_of as as_of,
    cost.product,
    round(coalesce(material_cost, 0), 4) as material_cost,
    routing.planned / routing.pieces as routing_cost,
    routing.planned / routing.work_orders as routing_cost_per_order,
    cost.cost_of_the_day as standard_cost,
    leaves,
    leaves_with_cost,
    leaves_with_cost / nullif(leaves, 0) as cost_coverage,
    levels,
    null::varchar as own_part_path
from material
join cost using (product_id)
left join routing using (product_id)
