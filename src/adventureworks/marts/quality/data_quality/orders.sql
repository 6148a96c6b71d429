-- Grain: one whole booking month of a channel, with its number of orders.
with days as (
    select
        case when h.OnlineOrderFlag then 'online' else 'reseller' end as channel,
        cast(h.OrderDate as date) as order_date,
        count(*) as orders
    from raw.Sales_SalesOrderHeader as h
    group by case when h.OnlineOrderFlag then 'online' else 'reseller' end, cast(h.OrderDate as date)
),
booked as (
    select
        o.channel,
        cast(date_trunc('month', cast(dateadd(day, -d.days, o.order_date) as date)) as date) as month,
        o.orders
    from days as o
    inner join staging.booking_delay as d
        on o.channel = d.channel
)
select
    m.channel,
    m.month,
    cast(coalesce(sum(cast(b.orders as bigint)), 0) as bigint) as orders
from staging.channel_month as m
left join booked as b
    on m.channel = b.channel
    and m.month = b.month
where not m.is_partial
group by m.channel, m.month
