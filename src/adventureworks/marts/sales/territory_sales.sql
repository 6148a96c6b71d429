-- Grain: one booking month, territory and channel with at least one order that counts towards it or is dated in it.
-- Growth compares with the same cell a year before, if both months are complete.
with channel_months as (
    select
        month,
        channel,
        fiscal_year,
        is_partial
    from staging.channel_month
),
-- Orders are far fewer than lines.
orders as (
    select
        sales_order_id,
        customer_id,
        order_date,
        booking_month,
        territory_id,
        channel,
        sum(cast(revenue as decimal(38, 6))) as revenue,
        sum(cast(cogs as decimal(38, 6))) as cogs
    from marts.fact_sales
    group by sales_order_id, customer_id, order_date, booking_month, territory_id, channel
),
booked as (
    select
        booking_month as month,
        territory_id,
        channel,
        count(distinct sales_order_id) as orders,
        count(distinct customer_id) as customers,
        cast(sum(cast(revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
        cast(sum(cast(revenue - cogs as decimal(38, 6))) as decimal(38, 6)) as profit
    from orders
    group by booking_month, territory_id, channel
),
dated as (
    select
        cast(date_trunc('month', order_date) as date) as month,
        territory_id,
        channel,
        cast(sum(cast(revenue as decimal(38, 6))) as decimal(38, 6)) as revenue
    from orders
    group by cast(date_trunc('month', order_date) as date), territory_id, channel
),
cells as (
    select
        coalesce(b.month, d.month) as month,
        coalesce(b.territory_id, d.territory_id) as territory_id,
        coalesce(b.channel, d.channel) as channel,
        coalesce(b.orders, 0) as orders,
        coalesce(b.customers, 0) as customers,
        coalesce(b.revenue, 0) as revenue,
        coalesce(d.revenue, 0) as calendar_revenue,
        coalesce(b.profit, 0) as profit
    from booked as b
    full join dated as d
        on b.month = d.month
        and b.territory_id = d.territory_id
        and b.channel = d.channel
),
months as (
    select
        month,
        sum(cast(revenue as decimal(38, 6))) as revenue
    from cells
    group by month
)
select
    c.month,
    c.territory_id,
    c.channel,
    coalesce(t.Name, 'Unassigned') as territory,
    t.CountryRegionCode as country_code,
    t."Group" as region_group,
    m.fiscal_year,
    c.orders,
    c.customers,
    c.revenue,
    c.calendar_revenue,
    c.profit,
    cast(cast(c.profit as decimal(38, 6)) / nullif(c.revenue, 0) as decimal(38, 10)) as margin,
    cast(cast(c.revenue as decimal(38, 6)) / nullif(a.revenue, 0) as decimal(38, 10)) as revenue_share,
    case
        when m.is_partial or b.is_partial then null
        else cast(cast(c.revenue - y.revenue as decimal(38, 6)) / nullif(y.revenue, 0) as decimal(38, 10))
    end as revenue_growth,
    m.is_partial
from cells as c
inner join channel_months as m
    on c.month = m.month
    and c.channel = m.channel
inner join months as a
    on c.month = a.month
left join cells as y
    on y.month = cast(dateadd(month, -12, c.month) as date)
    and c.territory_id = y.territory_id
    and c.channel = y.channel
left join channel_months as b
    on y.month = b.month
    and y.channel = b.channel
left join raw.Sales_SalesTerritory as t
    on c.territory_id = t.TerritoryID
