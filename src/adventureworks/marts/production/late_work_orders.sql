-- Grain: one month (of the start of the work orders), location and product with at least one operation.
with operations as (
    select
        cast(date_trunc('month', w.StartDate) as date) as month,
        r.LocationID as location_id,
        w.ProductID as product_id,
        l.Name as location,
        l.CostRate as cost_rate,
        r.PlannedCost as planned_cost,
        r.ActualResourceHrs as hours,
        case when r.ActualEndDate is null then 1 else 0 end as is_unfinished,
        case
            when cast(r.ActualEndDate as date) > cast(r.ScheduledEndDate as date)
                then cast(r.ActualEndDate as date) - cast(r.ScheduledEndDate as date)
        end as days_late
    from raw.Production_WorkOrderRouting as r
    inner join raw.Production_WorkOrder as w
        on r.WorkOrderID = w.WorkOrderID
    inner join raw.Production_Location as l
        on r.LocationID = l.LocationID
    where cast(w.StartDate as date) <= :as_of
),
cells as (
    select
        month,
        location_id,
        product_id,
        location,
        cost_rate,
        count(*) as operations,
        count(days_late) as late,
        cast(sum(cast(is_unfinished as bigint)) as bigint) as unfinished,
        sum(cast(days_late as bigint)) as days_late,
        sum(cast(planned_cost as decimal(38, 4))) as planned_cost,
        case when count(hours) = count(*) then cast(sum(cast(hours as decimal(38, 4))) as decimal(38, 4)) end
            as hours_actual
    from operations
    group by month, location_id, product_id, location, cost_rate
)
select
    month,
    location_id,
    product_id,
    location,
    operations,
    late,
    unfinished,
    cast(cast(late as decimal(38, 4)) / nullif(operations, 0) as decimal(38, 10)) as late_share,
    cast(cast(days_late as decimal(38, 4)) / nullif(late, 0) as decimal(38, 10)) as mean_days_late,
    -- The source plans an operation by its cost, which is the location's hourly rate times the hours.
    cast(cast(planned_cost as decimal(38, 4)) / nullif(cost_rate, 0) as decimal(38, 10)) as hours_planned,
    hours_actual
from cells
