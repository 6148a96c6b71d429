-- Grain: one day, territory and channel with at least one order.
-- Tax, freight and total due belong to the order: they are summed over orders, never over lines.
with sold as (
    select
        order_date,
        territory_id,
        channel,
        sales_order_id,
        sum(cast(quantity as bigint)) as units,
        sum(cast(gross_amount as decimal(38, 4))) as gross_amount,
        sum(cast(discount_amount as decimal(38, 8))) as discount_amount,
        sum(cast(revenue as decimal(38, 6))) as revenue
    from marts.fact_sales
    group by order_date, territory_id, channel, sales_order_id
)
select
    s.order_date,
    s.territory_id,
    s.channel,
    count(*) as orders,
    cast(sum(cast(s.units as bigint)) as bigint) as units,
    cast(sum(cast(s.gross_amount as decimal(38, 4))) as decimal(38, 4)) as gross_amount,
    cast(sum(cast(s.discount_amount as decimal(38, 8))) as decimal(38, 8)) as discount_amount,
    cast(sum(cast(s.revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
    cast(sum(cast(h.TaxAmt as decimal(38, 4))) as decimal(38, 4)) as tax,
    cast(sum(cast(h.Freight as decimal(38, 4))) as decimal(38, 4)) as freight,
    cast(sum(cast(h.TotalDue as decimal(38, 4))) as decimal(38, 4)) as total_due,
    cast(
        cast(sum(cast(s.revenue as decimal(38, 6))) as decimal(38, 6)) / count(*) as decimal(38, 10)
    ) as average_order_value
from sold as s
inner join raw.Sales_SalesOrderHeader as h
    on s.sales_order_id = h.SalesOrderID
group by s.order_date, s.territory_id, s.channel
