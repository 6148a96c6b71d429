-- Grain: one customer, channel and day with orders.
select
    f.customer_id,
    f.channel,
    f.order_date,
    cast(sum(cast(f.revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
    cast(sum(cast(f.revenue as decimal(38, 6))) - sum(cast(f.cogs as decimal(38, 4))) as decimal(38, 6)) as margin,
    max(case when c.Name = 'Bikes' then 1 else 0 end) = 1 as has_bike
from marts.fact_sales as f
inner join raw.Production_Product as p
    on f.product_id = p.ProductID
left join raw.Production_ProductSubcategory as s
    on p.ProductSubcategoryID = s.ProductSubcategoryID
left join raw.Production_ProductCategory as c
    on s.ProductCategoryID = c.ProductCategoryID
group by f.customer_id, f.channel, f.order_date
