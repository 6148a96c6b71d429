-- Grain: one month and type of credit card used to pay for orders; orders without a card are a type of their own.
with orders as (
    select
        sales_order_id,
        order_date,
        sum(cast(revenue as decimal(38, 6))) as revenue
    from marts.fact_sales
    group by sales_order_id, order_date
),
paid as (
    select
        cast(date_trunc('month', o.order_date) as date) as month,
        coalesce(c.CardType, 'No card') as card_type,
        o.revenue,
        case
            when extract(year from o.order_date) * 12 + extract(month from o.order_date) > c.ExpYear * 12 + c.ExpMonth
                then 1
            else 0
        end as is_expired
    from orders as o
    inner join raw.Sales_SalesOrderHeader as h
        on o.sales_order_id = h.SalesOrderID
    left join raw.Sales_CreditCard as c
        on h.CreditCardID = c.CreditCardID
),
months as (
    select
        month,
        count(*) as orders
    from paid
    group by month
)
select
    p.month,
    p.card_type,
    count(*) as orders,
    cast(sum(cast(p.revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
    cast(
        cast(sum(cast(p.revenue as decimal(38, 6))) as decimal(38, 6)) / count(*) as decimal(38, 10)
    ) as average_order_value,
    cast(cast(count(*) as decimal(38, 4)) / nullif(m.orders, 0) as decimal(38, 10)) as order_share,
    cast(sum(cast(p.is_expired as bigint)) as bigint) as expired_at_order
from paid as p
inner join months as m
    on p.month = m.month
group by p.month, p.card_type, m.orders
