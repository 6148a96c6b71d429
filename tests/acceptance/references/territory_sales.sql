-- Validates: sums per booking month and per calendar month, shares of the month, growth between complete months only
-- Fault of sums_are_those_of_the_lines: update candidate set customers = orders
-- Fault of calendar_revenue_is_that_of_the_lines: update candidate set calendar_revenue = revenue
-- Fault of names_and_ratios_follow_from_the_sums: update candidate set revenue_growth = null where territory_id = 1
with booked as (
    select booking_month as month, territory_id, channel, count(distinct sales_order_id) as orders,
        count(distinct customer_id) as customers, sum(revenue) as revenue, sum(revenue) - sum(cogs) as profit
    from sold group by all
),
cell as (
    select k.month, k.territory_id, k.channel, coalesce(orders, 0) as orders, coalesce(customers, 0) as customers,
        coalesce(revenue, 0) as revenue, coalesce(profit, 0) as profit,
        coalesce((
            select sum(s.revenue) from sold as s
            where s.month = k.month and s.territory_id = k.territory_id and s.channel = k.channel
        ), 0) as calendar_revenue,
        exists(from partial_channel_month as p where p.month = k.month and p.channel = k.channel) as is_partial
    from (
        select booking_month as month, territory_id, channel from sold
        union
        select month, territory_id, channel from sold
    ) as k
    left join booked using (month, territory_id, channel)
)
select
    c.month, c.territory_id, c.channel, t.Name as territory, t.CountryRegionCode as country_code,
    t."Group" as region_group, year(c.month) + if(month(c.month) > 6, 1, 0) as fiscal_year, c.orders, c.customers,
    c.revenue, c.calendar_revenue, c.profit, c.profit::double / nullif(c.revenue::double, 0) as margin,
    c.revenue::double / sum(c.revenue::double) over (partition by c.month) as revenue_share,
    if(c.is_partial or y.is_partial, null, c.revenue::double / nullif(y.revenue::double, 0) - 1) as revenue_growth,
    c.is_partial
from cell as c
left join cell as y
    on y.month = c.month - interval 1 year and y.territory_id = c.territory_id and y.channel = c.channel
left join Sales_SalesTerritory as t on t.TerritoryID = c.territory_id
