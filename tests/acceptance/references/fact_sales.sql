-- Validates: every line once, in its booking month, with the cost that was valid on its day, or the current cost marked as fallback
select
    sales_order_id, sales_order_detail_id, order_date, booking_month, channel, territory_id, sales_person_id, customer_id,
    product_id, special_offer_id, quantity, unit_price, gross_amount, discount_amount, revenue, cogs, cost_source
from sold
