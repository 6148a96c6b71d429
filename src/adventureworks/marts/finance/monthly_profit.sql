-- Grain: one month, territory, category and product with at least one sale.
-- Costs come from fact_sales; fallback_cost_revenue is the revenue whose cost had to be taken from the product.
select
    cast(date_trunc('month', f.order_date) as date) as month,
    f.territory_id,
    coalesce(c.Name, 'Unassigned') as category,
    f.product_id,
    cast(sum(cast(f.revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
    cast(sum(cast(f.discount_amount as decimal(38, 8))) as decimal(38, 8)) as discount_amount,
    cast(sum(cast(f.cogs as decimal(38, 4))) as decimal(38, 4)) as cogs,
    cast(sum(cast(f.revenue - f.cogs as decimal(38, 6))) as decimal(38, 6)) as profit,
    cast(
        cast(sum(cast(f.revenue - f.cogs as decimal(38, 6))) as decimal(38, 6))
        / nullif(sum(cast(f.revenue as decimal(38, 6))), 0) as decimal(38, 10)
    ) as margin,
    cast(
        sum(cast(case when f.cost_source = 'fallback' then f.revenue else 0 end as decimal(38, 6))) as decimal(38, 6)
    ) as fallback_cost_revenue,
    m.is_partial
from marts.fact_sales as f
inner join staging.sales_month as m
    on m.month = cast(date_trunc('month', f.order_date) as date)
inner join raw.Production_Product as p
    on f.product_id = p.ProductID
left join raw.Production_ProductSubcategory as s
    on p.ProductSubcategoryID = s.ProductSubcategoryID
left join raw.Production_ProductCategory as c
    on s.ProductCategoryID = c.ProductCategoryID
group by
    cast(date_trunc('month', f.order_date) as date),
    f.territory_id,
    coalesce(c.Name, 'Unassigned'),
    f.product_id,
    m.is_partial
