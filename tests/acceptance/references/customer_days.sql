-- Validates: orders, revenue and cost of each customer by day, territory and channel, and whether a bike was among the products
-- Fault of days_are_those_of_the_orders: update candidate set has_bike = not has_bike where customer_id = 11000
select
    order_date, customer_id, territory_id, channel, any_value(booking_month) as booking_month,
    count(distinct sales_order_id) as orders, max(sales_order_id) as last_order_id, sum(revenue) as revenue, sum(cogs) as cogs,
    bool_or(category = 'Bikes') as has_bike
from sold join product_place using (product_id)
group by order_date, customer_id, territory_id, channel
