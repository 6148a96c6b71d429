-- Grain: one customer, channel and day with orders.
select
    f.customer_id,
    f.channel,
    f.order_date,
    count(distinct f.sales_order_id) as orders,
    cast(sum(cast(f.revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
    cast(sum(cast(f.revenue - f.cogs as decimal(38, 6))) as decimal(38, 6)) as margin
from marts.fact_sales as f
group by f.customer_id, f.channel, f.order_date
