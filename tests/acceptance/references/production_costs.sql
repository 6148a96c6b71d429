-- Validates: work orders, scrap, its cost and the share of it that has one; routing costs, NULL without a routing
-- Fault of counts_are_those_of_the_work_orders: update candidate set late_orders = late_orders + 1
-- Fault of routing_costs_are_those_of_the_operations: update candidate set variance = variance + 1
-- Fault of scrap_costs_what_the_products_cost: update candidate set scrap_cost = scrap_cost + 1
-- One row per work order first, with its routing and its cost; then the cells.
with routed as (
    from Production_WorkOrderRouting
    select
        WorkOrderID,
        sum(PlannedCost) as planned,
        if(bool_or(ActualCost is null), null, sum(ActualCost)) as actual
    group by WorkOrderID
),

made as (
    select
        w.*,
        r.WorkOrderID is not null as is_routed,
        r.planned,
        r.actual,
        coalesce(c.StandardCost, p.StandardCost) as unit_cost
    from Production_WorkOrder as w
    join Production_Product as p using (ProductID)
    left join routed as r using (WorkOrderID)
    left join Production_ProductCostHistory as c
        on c.ProductID = w.ProductID
        and w.StartDate::date between c.StartDate::date and coalesce(c.EndDate::date, date '9999-12-31')
    where w.StartDate::date <= $as_of
)

from made
select
    date_trunc('month', StartDate)::date as month,
    ProductID as product_id,
    count(distinct WorkOrderID) as work_orders,
    sum(OrderQty)::bigint as ordered,
    sum(StockedQty)::bigint as stocked,
    sum(ScrappedQty)::bigint as scrapped,
    sum(ScrappedQty) / nullif(sum(OrderQty), 0) as scrap_rate,
    sum(ScrappedQty * unit_cost) as scrap_cost,
    sum(planned) as routing_cost_planned,
    if(count(*) filter (is_routed) = count(actual), sum(actual), null) as routing_cost_actual,
    routing_cost_actual - routing_cost_planned as variance,
    count_if(coalesce(EndDate > DueDate, false)) as late_orders,
    count_if(not is_routed) as unrouted_orders,
    sum(if(unit_cost > 0, ScrappedQty, 0)) / nullif(sum(ScrappedQty), 0) as scrap_cost_coverage
group by all
