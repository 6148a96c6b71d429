-- Grain: one month (of the start) and product with at least one work order started by as_of.
-- Routing is summed per work order first: joined to its operations, an order would count once for each of them.
with routing as (
    select
        WorkOrderID as work_order_id,
        sum(cast(PlannedCost as decimal(38, 4))) as planned,
        sum(cast(ActualCost as decimal(38, 4))) as actual,
        max(case when ActualCost is null then 1 else 0 end) as is_open
    from raw.Production_WorkOrderRouting
    group by WorkOrderID
),
orders as (
    select
        cast(date_trunc('month', w.StartDate) as date) as month,
        w.ProductID as product_id,
        w.OrderQty as ordered,
        w.StockedQty as stocked,
        w.ScrappedQty as scrapped,
        cast(w.ScrappedQty * coalesce(c.StandardCost, p.StandardCost) as decimal(38, 4)) as scrap_cost,
        case when coalesce(c.StandardCost, p.StandardCost) > 0 then w.ScrappedQty else 0 end as scrapped_with_cost,
        case when w.EndDate > w.DueDate then 1 else 0 end as is_late,
        case when r.work_order_id is null then 1 else 0 end as is_unrouted,
        r.planned,
        r.actual,
        r.is_open
    from raw.Production_WorkOrder as w
    inner join raw.Production_Product as p
        on w.ProductID = p.ProductID
    left join raw.Production_ProductCostHistory as c
        on w.ProductID = c.ProductID
        and cast(w.StartDate as date) >= cast(c.StartDate as date)
        and (c.EndDate is null or cast(w.StartDate as date) <= cast(c.EndDate as date))
    left join routing as r
        on w.WorkOrderID = r.work_order_id
    where cast(w.StartDate as date) <= :as_of
),
cells as (
    select
        month,
        product_id,
        count(*) as work_orders,
        cast(sum(cast(ordered as bigint)) as bigint) as ordered,
        cast(sum(cast(stocked as bigint)) as bigint) as stocked,
        cast(sum(cast(scrapped as bigint)) as bigint) as scrapped,
        cast(sum(cast(scrap_cost as decimal(38, 4))) as decimal(38, 4)) as scrap_cost,
        cast(sum(cast(scrapped_with_cost as bigint)) as bigint) as scrapped_with_cost,
        cast(sum(cast(planned as decimal(38, 4))) as decimal(38, 4)) as routing_cost_planned,
        case when max(is_open) = 0 then cast(sum(cast(actual as decimal(38, 4))) as decimal(38, 4)) end
            as routing_cost_actual,
        cast(sum(cast(is_late as bigint)) as bigint) as late_orders,
        cast(sum(cast(is_unrouted as bigint)) as bigint) as unrouted_orders
    from orders
    group by month, product_id
)
select
    month,
    product_id,
    work_orders,
    ordered,
    stocked,
    scrapped,
    cast(cast(scrapped as decimal(38, 4)) / nullif(ordered, 0) as decimal(38, 10)) as scrap_rate,
    scrap_cost,
    routing_cost_planned,
    routing_cost_actual,
    cast(routing_cost_actual - routing_cost_planned as decimal(38, 4)) as variance,
    late_orders,
    unrouted_orders,
    cast(cast(scrapped_with_cost as decimal(38, 4)) / nullif(scrapped, 0) as decimal(38, 10)) as scrap_cost_coverage
from cells
