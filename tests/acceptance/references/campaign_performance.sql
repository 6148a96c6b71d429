-- Validates: sales, cost and profit of each offer, and its uplift over at least three products on sale throughout, with its test on earlier periods; intervals have placebo tests
-- Fault of sums_are_those_of_the_lines: delete from candidate where method = 'no_sales'
-- Fault of effects_are_those_of_the_periods: update candidate set baseline_units = baseline_units * 1.1
-- Fault of intervals_and_returns_follow_from_the_effect: update candidate set incremental_units_lower_95 = null
-- Fault of baselines_were_tested_on_earlier_periods: update candidate set error_constant = error_constant * 1.001
with offer as (
    select SpecialOfferID as id, StartDate::date as first, EndDate::date as last,
        Type not in ('No Discount', 'Volume Discount') as is_campaign
    from Sales_SpecialOffer where StartDate::date <= $as_of
),
line as (
    select s.*, category, coalesce(p.ProductSubcategoryID, 0) as part, coalesce(p.ProductModelID, -p.ProductID) as model,
        is_campaign, p.SellStartDate::date as begins,
        coalesce(least(p.SellEndDate::date, p.DiscontinuedDate::date), date '9999-12-31') as ends
    from sold as s join product_place using (product_id) join Production_Product as p on p.ProductID = s.product_id
    join offer on id = special_offer_id
),
total as (
    select id as special_offer_id, coalesce(category, 'Unassigned') as category, count(s.sales_order_id) as lines,
        sum(quantity)::bigint as units, sum(revenue) as revenue, sum(discount_amount) as discount_cost,
        sum(revenue) - sum(cogs) as profit, any_value(offer.is_campaign) as is_campaign
    from offer left join line as s on s.special_offer_id = id group by id, category
),
cell as (select distinct special_offer_id as id, category, part, channel from line where is_campaign),
around as (
    select c.id, c.category, c.part, c.channel, l.product_id, l.model, order_date < first as past, sum(quantity) as units,
        sum(revenue - cogs) as profit, bool_or(l.is_campaign) as busy, bool_or(special_offer_id = c.id) as treated,
        bool_and(ends >= least(last, $as_of) and begins <= if(
            c.channel = 'online', first - 56, (date_trunc('month', first - 3) - interval 3 month)::date + 3
        )) as on_sale
    from cell as c join offer as o on o.id = c.id join line as l on (l.part, l.channel) = (c.part, c.channel)
    where order_date between first and least(last, $as_of)
        or c.channel = 'online' and order_date between first - 56 and first - 1
        or c.channel = 'reseller' and booking_month >= date_trunc('month', first - 3) - interval 3 month
        and booking_month < date_trunc('month', first - 3)
    group by all
),
product as (
    select id, category, part, channel, product_id, model, bool_or(treated) as treated,
        coalesce(sum(units) filter (past), 0) as before, coalesce(sum(units) filter (not past), 0) as during,
        coalesce(sum(profit) filter (past), 0) as profit_before, coalesce(sum(profit) filter (not past), 0) as profit_during,
        not bool_or(busy) and bool_and(on_sale) and before > 0 and during > 0 as control
    from around group by id, category, part, channel, product_id, model
),
growth as (
    select id, category, part, channel, sum(during) / sum(before) as factor, count(*) as controls,
        count(distinct model) as models
    from product where control group by id, category, part, channel having count(*) >= 3
),
part as (
    select id, category, part, channel, any_value(controls) as controls, any_value(models) as models,
        nullif(sum(before) filter (treated), 0) * any_value(factor) as baseline, sum(during) filter (treated) as units,
        (sum(profit_during) filter (treated))::double as profit,
        (sum(profit_before) filter (treated))::double / nullif(sum(before) filter (treated), 0) as unit_profit
    from product left join growth using (id, category, part, channel)
    group by id, category, part, channel
),
effect as (
    select id, category, min(controls) as control_products, sum(baseline) as baseline_units,
        sum(units) - sum(baseline) as incremental_units, sum(profit - baseline * unit_profit) as incremental_profit,
        min(models) > 1 as has_error
    from part group by id, category having count(*) = count(baseline)
),
-- The campaign's period moved back by 1, 2, … months, with the period before each.
earlier as (
    select
        c.*, o.first - to_months(back::int) as start, (least(o.last, $as_of) - to_months(back::int))::date as stop,
        if(channel = 'online', start::date - 56, (date_trunc('month', start - interval 3 day) - interval 3 month)::date + 3) as since,
        if(channel = 'online', start::date - 1, date_trunc('month', start - interval 3 day)::date + 2) as until
    from cell as c join effect as e using (id, category) join offer as o using (id), range(1, 60) as r(back)
    where stop < o.first and since >= (select min(order_date) from line as l where (l.part, l.channel) = (c.part, c.channel))
),
sold_around as (
    select
        e.id, e.category, e.part, e.channel, e.start, l.product_id,
        exists (from line as x where (x.special_offer_id, x.category, x.part, x.channel, x.product_id) = (e.id, e.category, e.part, e.channel, l.product_id)) as treated,
        coalesce(sum(quantity) filter (order_date between since and until), 0) as before,
        coalesce(sum(quantity) filter (order_date between start and stop), 0) as during,
        coalesce(sum(quantity) filter (order_date <= until), 0) as so_far,
        coalesce(bool_or(is_campaign) filter (order_date between since and until or order_date between start and stop), false) as busy,
        min(order_date) as first_sale, any_value(begins) <= any_value(since) and any_value(ends) >= any_value(stop) as on_sale,
        any_value(stop - start::date + 1) as days, any_value(until - since + 1) as days_before, any_value(until) as until
    from earlier as e join line as l on (l.part, l.channel) = (e.part, e.channel) and order_date <= stop
    group by all
),
foretold as (
    select
        id, category, part, channel, start, sum(during) filter (treated) as actual,
        sum(before) filter (treated) / sum(before) filter (not treated and not busy and on_sale and before > 0 and during > 0)
            * sum(during) filter (not treated and not busy and on_sale and before > 0 and during > 0) as model,
        sum(before) filter (treated) * any_value(days / days_before) as repetition,
        sum(so_far) filter (treated) * any_value(days) / (any_value(until) - min(first_sale) filter (treated) + 1) as mean
    from sold_around
    group by id, category, part, channel, start
    having count(*) filter (not treated and not busy and on_sale and before > 0 and during > 0) >= 3
        and sum(before) filter (treated) > 0 and not bool_or(treated and busy)
),
test as (
    select
        id, category, count(distinct start) as tested_periods,
        if(count(distinct (part, channel)) = any_value(parts), nullif(sum(actual), 0), null) as sold,
        sum(abs(model - actual)) / sold as error_model, sum(abs(repetition - actual)) / sold as error_baseline,
        sum(abs(mean - actual)) / sold as error_constant, sum(model) / sold as predicted_over_actual
    from foretold join (select id, category, count(*) as parts from cell group by all) using (id, category)
    group by id, category
),
judged as (
    select
        e.*, coalesce(tested_periods, 0) as tested_periods, error_model, error_baseline, error_constant, predicted_over_actual,
        case
            when error_model is null then 'nothing_to_compare' when error_model >= error_baseline then 'no_better_than_baseline'
            when error_model >= error_constant then 'no_better_than_constant'
            when predicted_over_actual not between 0.5 and 2 then 'total_is_off'
        end as withheld_because
    from effect as e left join test using (id, category)
),
shown as (select * from judged where withheld_because is null)
select
    special_offer_id, t.category, lines, t.units, revenue, discount_cost, t.profit, e.control_products, e.baseline_units,
    e.incremental_units, e.incremental_profit,
    if(e.has_error, e.incremental_profit / nullif(discount_cost, 0), null) as roi,
    j.tested_periods, j.error_model, j.error_baseline, j.error_constant, j.predicted_over_actual, j.withheld_because,
    case
        when lines = 0 then 'no_sales' when not is_campaign then 'none' when j.id is null then 'no_comparison'
        else 'difference_in_differences'
    end as method
from total as t
left join judged as j on j.id = special_offer_id and j.category = t.category
left join shown as e on e.id = special_offer_id and e.category = t.category
