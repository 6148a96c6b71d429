-- Validates: every line once, in its booking month, with the cost that was valid on its day, or the current cost marked as fallback
-- Fault of revenue_of_an_order_is_its_subtotal: update candidate set revenue = revenue + 1 where sales_order_id = 43659
-- Fault of lines_are_those_of_the_orders: update candidate set channel = 'online' where territory_id = 1
-- Fault of cost_is_that_of_the_day: update candidate set cost_source = 'history'
-- Fault of resellers_order_in_one_wave_a_month: delete from candidate where channel = 'reseller' and booking_month = '2012-06-01'
select
    sales_order_id, sales_order_detail_id, order_date, booking_month, channel, territory_id, sales_person_id, customer_id,
    product_id, special_offer_id, quantity, unit_price, gross_amount, discount_amount, revenue, cogs, cost_source
from sold
