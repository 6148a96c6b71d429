-- Validates: sales, cost and profit of each offer, and its uplift over at least three products on sale throughout; intervals have placebo tests
-- Fault of sums_are_those_of_the_lines: delete from candidate where method = 'no_sales'
-- Fault of effects_are_those_of_the_periods: update candidate set baseline_units = baseline_units * 1.1
-- Fault of intervals_and_returns_follow_from_the_effect: update candidate set incremental_units_lower_95 = null
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
)
select
    special_offer_id, t.category, lines, t.units, revenue, discount_cost, t.profit, control_products, baseline_units,
    incremental_units, incremental_profit, if(has_error, incremental_profit / nullif(discount_cost, 0), null) as roi,
    case
        when lines = 0 then 'no_sales' when not is_campaign then 'none' when baseline_units is null then 'no_comparison'
        else 'difference_in_differences'
    end as method
from total as t left join effect as e on e.id = special_offer_id and e.category = t.category
