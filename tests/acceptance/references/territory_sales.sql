-- Validates: sums per month, shares of the month, growth between complete months only
with cell as (
    select month, territory_id, channel, count(distinct sales_order_id) as orders,
        count(distinct customer_id) as customers, sum(revenue) as revenue, sum(revenue) - sum(cogs) as profit
    from sold group by all
)
select
    c.month, c.territory_id, c.channel, t.Name as territory, t.CountryRegionCode as country_code,
    t."Group" as region_group, year(c.month) + if(month(c.month) > 6, 1, 0) as fiscal_year, c.orders, c.customers,
    c.revenue, c.profit, c.profit::double / c.revenue::double as margin,
    c.revenue::double / sum(c.revenue::double) over (partition by c.month) as revenue_share,
    if(
        c.month in (from partial_month) or y.month in (from partial_month), null,
        c.revenue::double / nullif(y.revenue::double, 0) - 1
    ) as revenue_growth,
    c.month in (from partial_month) as is_partial
from cell as c
left join cell as y
    on y.month = c.month - interval 1 year and y.territory_id = c.territory_id and y.channel = c.channel
left join Sales_SalesTerritory as t on t.TerritoryID = c.territory_id
