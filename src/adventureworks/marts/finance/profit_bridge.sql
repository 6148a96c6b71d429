-- Grain: one booking month, territory, channel and category with sales in the month or, where the two are compared, in the
-- same month a year before. They are compared if both are complete.
-- Every effect is a difference of amounts that are rounded before they are subtracted, so the effects add up exactly.
-- Quotients are first rounded to ten places, which both engines compute alike.
with channel_months as (
    select
        month,
        channel,
        is_partial
    from staging.channel_month
),
months as (
    select
        m.month,
        m.channel,
        not m.is_partial and not coalesce(b.is_partial, true) as is_compared
    from channel_months as m
    left join channel_months as b
        on b.month = cast(dateadd(month, -12, m.month) as date)
        and m.channel = b.channel
),
sold as (
    select
        booking_month as month,
        territory_id,
        channel,
        product_id,
        cast(sum(cast(quantity as bigint)) as bigint) as units,
        cast(sum(cast(revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
        cast(sum(cast(cogs as decimal(38, 6))) as decimal(38, 6)) as cogs
    from marts.fact_sales
    group by booking_month, territory_id, channel, product_id
),
year_before as (
    select
        cast(dateadd(month, 12, month) as date) as month,
        territory_id,
        channel,
        product_id,
        units,
        revenue,
        cogs
    from sold
),
products as (
    select
        coalesce(s.month, y.month) as month,
        coalesce(s.territory_id, y.territory_id) as territory_id,
        coalesce(s.channel, y.channel) as channel,
        coalesce(s.product_id, y.product_id) as product_id,
        coalesce(s.units, 0) as units,
        coalesce(s.revenue, 0) as revenue,
        coalesce(s.cogs, 0) as cogs,
        coalesce(y.units, 0) as units_before,
        coalesce(y.revenue, 0) as revenue_before,
        coalesce(y.cogs, 0) as cogs_before
    from sold as s
    full join year_before as y
        on s.month = y.month
        and s.territory_id = y.territory_id
        and s.channel = y.channel
        and s.product_id = y.product_id
),
-- This year's units at last year's revenue and cost per piece: 0 for gone products, NULL for new ones.
valued as (
    select
        p.month,
        p.territory_id,
        p.channel,
        coalesce(g.Name, 'Unassigned') as category,
        m.is_compared,
        p.units > 0 and p.units_before > 0 as is_kept,
        p.units,
        p.units_before,
        p.revenue,
        p.cogs,
        p.revenue - p.cogs as profit,
        p.revenue_before - p.cogs_before as profit_before,
        cast(
            cast(cast(p.units * p.revenue_before as decimal(38, 10)) / nullif(p.units_before, 0) as decimal(38, 10))
            as decimal(38, 6)
        ) as revenue_at_old_price,
        cast(
            cast(cast(p.units * p.cogs_before as decimal(38, 10)) / nullif(p.units_before, 0) as decimal(38, 10))
            as decimal(38, 6)
        ) as cogs_at_old_cost
    from products as p
    inner join months as m
        on p.month = m.month
        and p.channel = m.channel
        and (m.is_compared or p.units > 0)
    inner join raw.Production_Product as a
        on p.product_id = a.ProductID
    left join raw.Production_ProductSubcategory as c
        on a.ProductSubcategoryID = c.ProductSubcategoryID
    left join raw.Production_ProductCategory as g
        on c.ProductCategoryID = g.ProductCategoryID
),
cells as (
    select
        month,
        territory_id,
        channel,
        category,
        is_compared,
        sum(cast(profit as decimal(38, 6))) as profit,
        sum(cast(profit_before as decimal(38, 6))) as profit_before,
        sum(cast(case when is_kept then units else 0 end as bigint)) as kept_units,
        sum(cast(case when is_kept then units_before else 0 end as bigint)) as kept_units_before,
        sum(cast(case when is_kept then profit_before else 0 end as decimal(38, 6))) as kept_profit_before,
        sum(
            cast(case when is_kept then revenue_at_old_price - cogs_at_old_cost else 0 end as decimal(38, 6))
        ) as kept_profit_at_old_values,
        sum(cast(case when is_kept then revenue - revenue_at_old_price else 0 end as decimal(38, 6))) as price_effect,
        sum(cast(case when is_kept then cogs_at_old_cost - cogs else 0 end as decimal(38, 6))) as cost_effect,
        sum(cast(case when units_before = 0 then profit else 0 end as decimal(38, 6))) as new_products,
        sum(cast(case when units = 0 then -profit_before else 0 end as decimal(38, 6))) as gone_products
    from valued
    group by month, territory_id, channel, category, is_compared
),
-- This year's units at last year's profit per unit of the cell.
averaged as (
    select
        month,
        territory_id,
        channel,
        category,
        is_compared,
        profit,
        profit_before,
        kept_profit_before,
        kept_profit_at_old_values,
        coalesce(
            cast(
                cast(
                    cast(kept_units * kept_profit_before as decimal(38, 10)) / nullif(kept_units_before, 0)
                    as decimal(38, 10)
                ) as decimal(38, 6)
            ),
            0
        ) as kept_profit_at_old_average,
        price_effect,
        cost_effect,
        new_products,
        gone_products
    from cells
)
select
    month,
    territory_id,
    channel,
    category,
    cast(profit as decimal(38, 6)) as profit,
    cast(case when is_compared then profit_before end as decimal(38, 6)) as profit_year_before,
    cast(
        case when is_compared then kept_profit_at_old_average - kept_profit_before end as decimal(38, 6)
    ) as volume_effect,
    cast(
        case when is_compared then kept_profit_at_old_values - kept_profit_at_old_average end as decimal(38, 6)
    ) as mix_effect,
    cast(case when is_compared then price_effect end as decimal(38, 6)) as price_effect,
    cast(case when is_compared then cost_effect end as decimal(38, 6)) as cost_effect,
    cast(case when is_compared then new_products end as decimal(38, 6)) as new_products,
    cast(case when is_compared then gone_products end as decimal(38, 6)) as gone_products
from averaged
