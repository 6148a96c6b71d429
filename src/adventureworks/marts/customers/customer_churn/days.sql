-- Grain: one customer and day with orders. All orders of a customer count in the channel of the last one.
with placed as (
    select
        customer_id,
        channel,
        row_number() over (partition by customer_id order by order_date desc, sales_order_id desc) as place
    from marts.fact_sales
)
select
    f.customer_id,
    p.channel,
    f.order_date,
    max(f.booking_month) as booking_month
from marts.fact_sales as f
inner join placed as p
    on f.customer_id = p.customer_id
    and p.place = 1
group by f.customer_id, p.channel, f.order_date
