-- Grain: one day, customer, territory and channel with orders.
select
    customer_id,
    channel,
    order_date,
    booking_month,
    last_order_id
from marts.customer_days
