-- Grain: one product, channel, day and offer with sales.
with sold as (
    select
        f.product_id,
        f.channel,
        f.order_date,
        f.special_offer_id,
        count(*) as lines,
        cast(sum(cast(f.quantity as bigint)) as bigint) as units,
        cast(sum(cast(f.revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
        cast(sum(cast(f.discount_amount as decimal(38, 8))) as decimal(38, 8)) as discount_cost,
        cast(
            sum(cast(f.revenue as decimal(38, 6))) - sum(cast(f.cogs as decimal(38, 4))) as decimal(38, 6)
        ) as profit
    from marts.fact_sales as f
    group by f.product_id, f.channel, f.order_date, f.special_offer_id
)
select
    f.product_id,
    f.channel,
    f.order_date,
    f.special_offer_id,
    coalesce(p.ProductModelID, -p.ProductID) as model_id,
    coalesce(s.ProductSubcategoryID, 0) as subcategory_id,
    coalesce(c.Name, 'Unassigned') as category,
    cast(p.SellStartDate as date) as sell_start_day,
    cast(p.SellEndDate as date) as sell_end_day,
    cast(p.DiscontinuedDate as date) as discontinued_day,
    f.lines,
    f.units,
    f.revenue,
    f.discount_cost,
    f.profit
from sold as f
inner join raw.Production_Product as p
    on f.product_id = p.ProductID
left join raw.Production_ProductSubcategory as s
    on p.ProductSubcategoryID = s.ProductSubcategoryID
left join raw.Production_ProductCategory as c
    on s.ProductCategoryID = c.ProductCategoryID
