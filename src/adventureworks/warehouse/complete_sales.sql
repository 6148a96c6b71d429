-- The order lines up to the last complete booking month of their channel.
create or replace view staging.complete_sales as
with whole as (
    select channel, max(month) as last_month
    from staging.channel_month
    where not is_partial
    group by channel
)
select
    f.channel,
    w.last_month,
    f.booking_month,
    f.sales_order_id,
    f.customer_id,
    f.product_id,
    f.revenue,
    f.cogs
from marts.fact_sales as f
join whole as w on w.channel = f.channel and f.booking_month <= w.last_month;
