-- Validates: pairs of products in the orders of the last twelve complete booking months, their lift, and its lower bound from the four counts
-- Fault of pairs_are_those_of_the_orders: update candidate set lift = lift * 1.1
with whole as (
    select channel, max(booking_month) as last from sold
    where (booking_month, channel) not in (select month, channel from partial_channel_month) group by channel
),
basket as (
    select channel, sales_order_id, list_sort(list(distinct product_id)) as products
    from sold join whole using (channel)
    where booking_month between last - interval 11 month and last
    group by all
),
line as (select channel, sales_order_id, unnest(products) as product from basket),
single as (select channel, product, count(*) as n from line group by all),
total as (select channel, count(*) as n from basket group by all),
pair as (
    select channel, one.product as product_id, other.product as other_product_id, count(*) as n11
    from line as one join line as other using (channel, sales_order_id)
    where one.product < other.product
    group by all having n11 >= 20
),
cell as (
    select p.*, a.n - n11 as n10, b.n - n11 as n01, t.n - a.n - b.n + n11 as n00, a.n as n1, b.n as n2, t.n as n
    from pair as p
    join single as a on a.channel = p.channel and a.product = product_id
    join single as b on b.channel = p.channel and b.product = other_product_id
    join total as t on t.channel = p.channel
),
-- The gradient of ln(n11 * n / (n1 * n2)) by each count; the counts are Poisson.
varied as (
    select
        *, n11 / n1 / n2 * n as lift,
        n11 * (1 / n11 - 1 / n1 - 1 / n2 + 1 / n) ** 2 + n10 * (1 / n - 1 / n1) ** 2 + n01 * (1 / n - 1 / n2) ** 2
        + n00 * (1 / n) ** 2 as variance
    from cell
)
select
    product_id, other_product_id, channel, a.Name as product, b.Name as other_product, n11 as orders_together,
    n11 / n as support, n11 / n1 as confidence, n11 / n2 as other_confidence, lift,
    lift / exp(1.96 * sqrt(greatest(variance, 0))) as lift_lower_95, last as last_month
from varied
join whole using (channel)
join Production_Product as a on a.ProductID = product_id
join Production_Product as b on b.ProductID = other_product_id
