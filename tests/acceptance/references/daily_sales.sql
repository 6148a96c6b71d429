-- Validates: sums per day, with tax and freight of each order once
-- Fault of tax_and_freight_are_those_of_the_orders: update candidate set tax = freight, freight = tax
-- Fault of sums_are_those_of_the_lines: update candidate set average_order_value = 0 where territory_id = 4
with headers as (
    select sales_order_id, any_value(order_date) as order_date, any_value(territory_id) as territory_id,
        any_value(channel) as channel, sum(quantity) as units, sum(gross_amount) as gross, sum(discount_amount) as discount,
        sum(revenue) as revenue
    from sold group by sales_order_id
)
select
    order_date, territory_id, channel, count(*) as orders, sum(units)::bigint as units, sum(gross) as gross_amount,
    sum(discount) as discount_amount, sum(headers.revenue) as revenue, sum(h.TaxAmt) as tax, sum(h.Freight) as freight,
    sum(h.TotalDue) as total_due, sum(headers.revenue)::double / count(*) as average_order_value
from headers join Sales_SalesOrderHeader as h on h.SalesOrderID = headers.sales_order_id
group by all
