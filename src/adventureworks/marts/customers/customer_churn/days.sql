-- Grain: one customer and day with orders. All orders of a customer count in the channel of the last one.
with days as (
    select
        customer_id,
        channel,
        order_date,
        max(sales_order_id) as last_order_id,
        max(booking_month) as booking_month
    from marts.fact_sales
    group by customer_id, channel, order_date
),
placed as (
    select
        customer_id,
        channel,
        order_date,
        booking_month,
        row_number() over (partition by customer_id order by order_date desc, last_order_id desc) as place
    from days
),
last_channels as (
    select
        customer_id,
        order_date,
        booking_month,
        max(case when place = 1 then channel end) over (partition by customer_id) as channel
    from placed
)
select
    customer_id,
    channel,
    order_date,
    max(booking_month) as booking_month
from last_channels
group by customer_id, channel, order_date
