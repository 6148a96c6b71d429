-- Grain: one day, customer, territory and channel with at least one order.
-- What the marts about customers are computed from: far fewer rows than fact_sales. An order is in one row.
with bikes as (
    select p.ProductID as product_id
    from raw.Production_Product as p
    inner join raw.Production_ProductSubcategory as s
        on p.ProductSubcategoryID = s.ProductSubcategoryID
    inner join raw.Production_ProductCategory as c
        on s.ProductCategoryID = c.ProductCategoryID
    where c.Name = 'Bikes'
)
select
    f.order_date,
    f.customer_id,
    f.territory_id,
    f.channel,
    f.booking_month,
    count(distinct f.sales_order_id) as orders,
    max(f.sales_order_id) as last_order_id,
    cast(sum(cast(f.revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
    cast(sum(cast(f.cogs as decimal(38, 4))) as decimal(38, 4)) as cogs,
    count(b.product_id) > 0 as has_bike
from marts.fact_sales as f
left join bikes as b
    on f.product_id = b.product_id
group by f.order_date, f.customer_id, f.territory_id, f.channel, f.booking_month
