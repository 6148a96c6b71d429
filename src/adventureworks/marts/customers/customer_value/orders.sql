-- Grain: one day, customer, territory and channel with orders.
select
    customer_id,
    channel,
    order_date,
    revenue,
    cast(revenue - cogs as decimal(38, 6)) as margin,
    has_bike
from marts.customer_days
