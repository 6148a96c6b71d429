-- Grain: one customer, channel and day with orders.
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
    f.customer_id,
    f.channel,
    f.order_date,
    cast(sum(cast(f.revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
    cast(sum(cast(f.revenue as decimal(38, 6))) - sum(cast(f.cogs as decimal(38, 4))) as decimal(38, 6)) as margin,
    count(b.product_id) > 0 as has_bike
from marts.fact_sales as f
left join bikes as b
    on f.product_id = b.product_id
group by f.customer_id, f.channel, f.order_date
