-- Grain: one channel and pair of products that at least 20 orders of the channel's last twelve whole booking months
-- contain. The product with the smaller number comes first.
with windows as (
    select
        channel,
        max(month) as last_month
    from staging.channel_month
    where not is_partial
    group by channel
),
baskets as (
    select distinct
        f.channel,
        f.sales_order_id,
        f.product_id
    from marts.fact_sales as f
    inner join windows as w
        on f.channel = w.channel
        and f.booking_month <= w.last_month
        and f.booking_month > cast(dateadd(month, -12, w.last_month) as date)
),
orders as (
    select distinct
        channel,
        sales_order_id
    from baskets
),
totals as (
    select
        channel,
        count(*) as orders
    from orders
    group by channel
),
products as (
    select
        channel,
        product_id,
        count(*) as orders
    from baskets
    group by channel, product_id
),
pairs as (
    select
        one.channel,
        one.product_id,
        other.product_id as other_product_id,
        count(*) as orders_together
    from baskets as one
    inner join baskets as other
        on one.sales_order_id = other.sales_order_id
        and one.product_id < other.product_id
    group by one.channel, one.product_id, other.product_id
    having count(*) >= 20
),
measured as (
    select
        p.channel,
        p.product_id,
        p.other_product_id,
        p.orders_together,
        t.orders,
        cast(cast(p.orders_together as decimal(38, 12)) / nullif(t.orders, 0) as decimal(38, 12)) as support,
        cast(cast(p.orders_together as decimal(38, 12)) / nullif(one.orders, 0) as decimal(38, 12)) as confidence,
        cast(cast(p.orders_together as decimal(38, 12)) / nullif(other.orders, 0) as decimal(38, 12)) as other_confidence,
        cast(
            cast(p.orders_together * t.orders as decimal(38, 12)) / nullif(cast(one.orders * other.orders as bigint), 0)
            as decimal(38, 12)
        ) as lift,
        cast(cast(1 as decimal(38, 12)) / nullif(one.orders, 0) as decimal(38, 12)) as inverse_of_orders,
        cast(cast(1 as decimal(38, 12)) / nullif(other.orders, 0) as decimal(38, 12)) as inverse_of_other
    from pairs as p
    inner join totals as t
        on p.channel = t.channel
    inner join products as one
        on p.channel = one.channel
        and p.product_id = one.product_id
    inner join products as other
        on p.channel = other.channel
        and p.other_product_id = other.product_id
),
-- The variance of the logarithm of the lift, by the delta method over the four counts of orders with and without each
-- of the two products. It is 0 if both are in all orders, apart from rounding.
varied as (
    select
        m.channel,
        m.product_id,
        m.other_product_id,
        m.orders_together,
        m.support,
        m.confidence,
        m.other_confidence,
        m.lift,
        cast(cast(1 as decimal(38, 12)) / nullif(m.orders_together, 0) as decimal(38, 12))
        - m.inverse_of_orders
        - m.inverse_of_other
        + cast(cast(m.lift + m.lift - 1 as decimal(38, 12)) / nullif(m.orders, 0) as decimal(38, 12)) as variance
    from measured as m
)
select
    v.product_id,
    v.other_product_id,
    v.channel,
    a.Name as product,
    b.Name as other_product,
    v.orders_together,
    v.support,
    v.confidence,
    v.other_confidence,
    v.lift,
    cast(
        v.lift * exp(cast(-1.96 * sqrt(case when v.variance > 0 then v.variance else 0 end) as double))
        as decimal(38, 12)
    ) as lift_lower_95,
    w.last_month
from varied as v
inner join windows as w
    on v.channel = w.channel
inner join raw.Production_Product as a
    on v.product_id = a.ProductID
inner join raw.Production_Product as b
    on v.other_product_id = b.ProductID
