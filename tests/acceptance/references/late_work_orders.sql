-- Validates: operations that ended after their schedule, by location, with the delay and the hours implied by the planned cost
-- Fault of operations_are_those_of_the_routing: update candidate set mean_days_late = mean_days_late + 1
from Production_WorkOrderRouting as r
join Production_WorkOrder as w using (WorkOrderID)
join Production_Location as l using (LocationID)
select
    date_trunc('month', w.StartDate)::date as month,
    LocationID as location_id,
    r.ProductID as product_id,
    any_value(l.Name) as location,
    count(*) as operations,
    count_if(coalesce(ActualEndDate::date > ScheduledEndDate::date, false)) as late,
    count_if(ActualEndDate is null) as unfinished,
    late / operations as late_share,
    avg(date_diff('day', ScheduledEndDate, ActualEndDate)) filter (ActualEndDate::date > ScheduledEndDate::date) as mean_days_late,
    sum(PlannedCost::double / nullif(CostRate, 0)) as hours_planned,
    if(bool_or(ActualResourceHrs is null), null, sum(ActualResourceHrs)) as hours_actual
where w.StartDate::date <= $as_of
group by all
