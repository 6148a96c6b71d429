-- The products of each order in the last twelve complete booking months of its channel, on which pairs of products depend.
create or replace view staging.recent_baskets as
with whole as (
    select channel, max(month) as last_month, cast(max(month) - interval '11 months' as date) as first_month
    from staging.channel_month
    where not is_partial
    group by channel
)
select
    f.channel,
    w.last_month,
    f.booking_month,
    f.sales_order_id,
    f.product_id
from marts.fact_sales as f
join whole as w on w.channel = f.channel and f.booking_month between w.first_month and w.last_month
-- No order is dated before its booking month.
where f.order_date >= (select min(first_month) from whole);
