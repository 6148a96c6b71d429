-- Grain: one month and product with at least one sale.
-- Sums and rank are those of the calendar month. The classes are those of the twelve booking months that end with the
-- month, or with the newest complete one of the three before it.
with cells as (
    select
        cast(date_trunc('month', order_date) as date) as month,
        product_id,
        cast(sum(cast(quantity as bigint)) as bigint) as units,
        cast(sum(cast(gross_amount as decimal(38, 4))) as decimal(38, 4)) as gross_amount,
        cast(sum(cast(discount_amount as decimal(38, 8))) as decimal(38, 8)) as discount_amount,
        cast(sum(cast(revenue as decimal(38, 6))) as decimal(38, 6)) as revenue,
        cast(sum(cast(cogs as decimal(38, 4))) as decimal(38, 4)) as cogs
    from marts.fact_sales
    -- The classes depend on earlier sales, which are read too if only some months are computed.
    where order_date >= (select min(month) from staging.sales_month)
    group by cast(date_trunc('month', order_date) as date), product_id
),
ranked as (
    select
        month,
        product_id,
        units,
        gross_amount,
        discount_amount,
        revenue,
        cogs,
        cast(revenue - cogs as decimal(38, 6)) as profit,
        row_number() over (partition by month order by revenue desc, product_id) as place
    from cells
),
whole as (
    select month
    from staging.channel_month
    group by month
    having max(case when is_partial then 1 else 0 end) = 0
),
months as (
    select
        m.month,
        m.is_partial,
        coalesce(max(w.month), m.month) as last_month
    from staging.sales_month as m
    left join whole as w
        on m.month >= w.month
        -- An older one would need months of which the catalogue's echoes know nothing.
        and w.month >= cast(dateadd(month, -3, m.month) as date)
    group by m.month, m.is_partial
),
booked as (
    select
        booking_month as month,
        product_id,
        cast(sum(cast(quantity as bigint)) as bigint) as units,
        sum(cast(revenue as decimal(38, 6))) as revenue
    from marts.fact_sales
    group by booking_month, product_id
),
trailing as (
    select
        e.last_month,
        b.product_id,
        sum(cast(b.revenue as decimal(38, 6))) as revenue,
        sum(cast(b.units as decimal(38, 0))) as units,
        sum(cast(b.units * b.units as decimal(38, 0))) as squares
    from (select distinct last_month from months) as e
    inner join booked as b
        on b.month > cast(dateadd(month, -12, e.last_month) as date)
        and b.month <= e.last_month
    group by e.last_month, b.product_id
),
-- The last months of twelve booking months that all had sales.
covered as (
    select e.last_month
    from (select distinct last_month from months) as e
    inner join (select distinct month from booked) as b
        on b.month > cast(dateadd(month, -12, e.last_month) as date)
        and b.month <= e.last_month
    group by e.last_month
    having count(*) = 12
),
running as (
    select
        last_month,
        product_id,
        units,
        squares,
        revenue,
        sum(cast(revenue as decimal(38, 6))) over (partition by last_month) as of_all,
        sum(cast(revenue as decimal(38, 6))) over (
            partition by last_month order by revenue desc, product_id rows between unbounded preceding and current row
        ) as up_to_here
    from trailing
),
-- The coefficient of variation is at most c if 144 times the sum of the squares is at most 12 + 11 c² times the square
-- of the sum: these are whole numbers, which both engines compare exactly.
classes as (
    select
        r.last_month,
        r.product_id,
        case
            when r.up_to_here - r.revenue < cast(r.of_all * 0.80 as decimal(38, 8)) then 'A'
            when r.up_to_here - r.revenue < cast(r.of_all * 0.95 as decimal(38, 8)) then 'B'
            else 'C'
        end as abc_class,
        case
            when k.last_month is null then null
            when 576 * r.squares <= cast(59 * r.units * r.units as decimal(38, 0)) then 'X'
            when 144 * r.squares <= cast(23 * r.units * r.units as decimal(38, 0)) then 'Y'
            else 'Z'
        end as xyz_class
    from running as r
    left join covered as k
        on r.last_month = k.last_month
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
    coalesce(t.abc_class, 'C') as abc_class,
    t.xyz_class,
    cast(c.place as bigint) as rank,
    e.is_partial
from ranked as c
inner join months as e
    on c.month = e.month
left join classes as t
    on e.last_month = t.last_month
    and c.product_id = t.product_id
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
