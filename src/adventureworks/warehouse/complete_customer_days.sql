-- The days of customers up to the last complete booking month of their channel, for marts that depend on no other days.
create or replace view staging.complete_customer_days as
with whole as (
    select channel, max(month) as last_month
    from staging.channel_month
    where not is_partial
    group by channel
)
select
    c.order_date,
    c.customer_id,
    c.territory_id,
    c.channel,
    w.last_month,
    c.booking_month,
    c.revenue,
    c.cogs
from marts.customer_days as c
join whole as w on w.channel = c.channel and c.booking_month <= w.last_month;
