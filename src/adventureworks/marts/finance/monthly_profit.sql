-- Grain: one month, territory, category and product with at least one sale.
-- Costs come from fact_sales; fallback_cost_revenue is the revenue whose cost had to be taken from the product.
with sold as (
    select
        cast(date_trunc('month', order_date) as date) as month,
        territory_id,
        product_id,
        cast(sum(cast(revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
        cast(sum(cast(discount_amount as decimal(38, 8))) as decimal(38, 8)) as discount_amount,
        cast(sum(cast(cogs as decimal(38, 4))) as decimal(38, 4)) as cogs,
        cast(
            sum(cast(case when cost_source = 'fallback' then revenue else 0 end as decimal(38, 6))) as decimal(38, 6)
        ) as fallback_cost_revenue
    from marts.fact_sales
    group by cast(date_trunc('month', order_date) as date), territory_id, product_id
)
select
    s.month,
    s.territory_id,
    coalesce(c.Name, 'Unassigned') as category,
    s.product_id,
    s.revenue,
    s.discount_amount,
    s.cogs,
    cast(s.revenue - s.cogs as decimal(38, 6)) as profit,
    cast(cast(s.revenue - s.cogs as decimal(38, 6)) / nullif(s.revenue, 0) as decimal(38, 10)) as margin,
    s.fallback_cost_revenue,
    m.is_partial
from sold as s
inner join staging.sales_month as m
    on s.month = m.month
inner join raw.Production_Product as p
    on s.product_id = p.ProductID
left join raw.Production_ProductSubcategory as g
    on p.ProductSubcategoryID = g.ProductSubcategoryID
left join raw.Production_ProductCategory as c
    on g.ProductCategoryID = c.ProductCategoryID
