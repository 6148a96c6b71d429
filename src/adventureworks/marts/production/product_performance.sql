-- Grain: one month and product with at least one sale.
-- The class depends on the cumulative revenue share of the month's better products: A below 80 %, B below 95 %.
with cells as (
    select
        cast(date_trunc('month', order_date) as date) as month,
        product_id,
        cast(sum(cast(quantity as bigint)) as bigint) as units,
        cast(sum(cast(gross_amount as decimal(38, 4))) as decimal(38, 4)) as gross_amount,
        cast(sum(cast(discount_amount as decimal(38, 8))) as decimal(38, 8)) as discount_amount,
        cast(sum(cast(revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
        cast(sum(cast(cogs as decimal(38, 4))) as decimal(38, 4)) as cogs,
        cast(sum(cast(revenue - cogs as decimal(38, 6))) as decimal(38, 6)) as profit
    from marts.fact_sales
    group by cast(date_trunc('month', order_date) as date), product_id
),
ranked as (
    select
        month,
        product_id,
        row_number() over (partition by month order by revenue desc, product_id) as place,
        sum(cast(revenue as decimal(38, 6))) over (partition by month) as of_month,
        sum(cast(revenue as decimal(38, 6))) over (
            partition by month order by revenue desc, product_id rows between unbounded preceding and current row
        ) as up_to_here
    from cells
)
select
    c.month,
    c.product_id,
    p.Name as product,
    coalesce(g.Name, 'Unassigned') as category,
    coalesce(s.Name, 'Unassigned') as subcategory,
    c.units,
    c.revenue,
    c.cogs,
    c.profit,
    cast(cast(c.profit as decimal(38, 6)) / nullif(c.revenue, 0) as decimal(38, 10)) as margin,
    cast(cast(c.revenue as decimal(38, 6)) / nullif(c.units, 0) as decimal(38, 10)) as average_price,
    l.ListPrice as list_price,
    cast(cast(c.discount_amount as decimal(38, 8)) / nullif(c.gross_amount, 0) as decimal(38, 10)) as discount_rate,
    case
        when r.up_to_here - c.revenue < cast(r.of_month * 0.80 as decimal(38, 8)) then 'A'
        when r.up_to_here - c.revenue < cast(r.of_month * 0.95 as decimal(38, 8)) then 'B'
        else 'C'
    end as abc_class,
    cast(r.place as bigint) as rank,
    m.is_partial
from cells as c
inner join ranked as r
    on c.month = r.month
    and c.product_id = r.product_id
inner join staging.sales_month as m
    on c.month = m.month
inner join raw.Production_Product as p
    on c.product_id = p.ProductID
left join raw.Production_ProductSubcategory as s
    on p.ProductSubcategoryID = s.ProductSubcategoryID
left join raw.Production_ProductCategory as g
    on s.ProductCategoryID = g.ProductCategoryID
left join raw.Production_ProductListPriceHistory as l
    on c.product_id = l.ProductID
    and cast(dateadd(day, -1, dateadd(month, 1, c.month)) as date) >= cast(l.StartDate as date)
    and (
        l.EndDate is null
        or cast(dateadd(day, -1, dateadd(month, 1, c.month)) as date) <= cast(l.EndDate as date)
    )
