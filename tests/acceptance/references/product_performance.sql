-- Validates: sums per month, price on its last day, and rank by revenue; classes by the revenue and the units of the last twelve whole booking months
-- Fault of list_prices_are_those_of_the_month_s_end: update candidate set list_price = list_price + 1
-- Fault of sums_are_those_of_the_lines: update candidate set units = units + 1
-- Fault of names_are_those_of_the_product: update candidate set subcategory = category
-- Fault of ranks_follow_from_the_revenue: update candidate set rank = rank + 1
-- Fault of classes_are_those_of_twelve_months: update candidate set xyz_class = 'Y' where xyz_class = 'X'
-- Costs and prices are looked up in the history by a correlated subquery, ranks and cumulative shares by a self-join.
with line as (
    select
        h.OrderDate::date as day,
        d.ProductID as product_id,
        d.OrderQty as units,
        d.LineTotal as revenue,
        d.OrderQty * d.UnitPrice as gross,
        d.OrderQty * d.UnitPrice * d.UnitPriceDiscount as discount,
        d.OrderQty * coalesce(
            (
                select max(c.StandardCost) from Production_ProductCostHistory as c
                where c.ProductID = d.ProductID
                    and h.OrderDate between c.StartDate and coalesce(c.EndDate, timestamp '9999-12-31')
            ),
            p.StandardCost
        ) as cogs
    from Sales_SalesOrderDetail as d
    join Sales_SalesOrderHeader as h using (SalesOrderID)
    join Production_Product as p using (ProductID)
    where h.Status not in (4, 6) and h.OrderDate::date <= $as_of
),

cell as (
    select
        date_trunc('month', day)::date as month,
        product_id,
        sum(units)::bigint as units,
        sum(revenue)::decimal(28, 6) as revenue,
        sum(gross) as gross,
        sum(discount) as discount,
        sum(cogs) as cogs
    from line
    group by all
),

place as (
    select
        one.month,
        one.product_id,
        1 + count(better.product_id) as rank
    from cell as one
    left join cell as better
        on better.month = one.month
        and (better.revenue > one.revenue or better.revenue = one.revenue and better.product_id < one.product_id)
    group by all
),

closing as (
    select
        shown.month,
        coalesce(max(known.booking_month), shown.month) as closing
    from (select distinct month from cell) as shown
    left join (from sold where booking_month not in (from partial_month)) as known
        on known.booking_month between shown.month - interval 3 month and shown.month
    group by shown.month
),

-- What each product sold in each of the twelve months up to a closing one.
sold_until as (
    select
        e.closing,
        s.product_id,
        s.booking_month,
        sum(s.quantity)::bigint as units,
        sum(s.revenue) as revenue
    from (select distinct closing from closing) as e
    join sold as s on datediff('month', s.booking_month, e.closing) between 0 and 11
    group by all
),

year as (
    select
        closing,
        product_id,
        sum(revenue) as revenue,
        sum(sum(revenue)) over (partition by closing) as of_all,
        list(units) || list_resize([]::bigint[], 12 - count(*), 0) as units
    from sold_until
    group by closing, product_id
),

better as (
    select
        one.closing,
        one.product_id,
        coalesce(sum(other.revenue), 0) / one.of_all as share,
        (select count(distinct booking_month) from sold_until where closing = one.closing) = 12 as is_known,
        list_stddev_samp(one.units) / list_avg(one.units) as variation
    from year as one
    left join year as other
        on other.closing = one.closing
        and (other.revenue > one.revenue or other.revenue = one.revenue and other.product_id < one.product_id)
    group by one.closing, one.product_id, one.of_all, one.units
)

select
    cell.month,
    cell.product_id,
    p.Name as product,
    coalesce(c.Name, 'Unassigned') as category,
    coalesce(s.Name, 'Unassigned') as subcategory,
    cell.units,
    cell.revenue,
    cell.cogs,
    cell.revenue - cell.cogs as profit,
    (cell.revenue - cell.cogs) / nullif(cell.revenue, 0) as margin,
    cell.revenue / cell.units as average_price,
    (
        select max(l.ListPrice) from Production_ProductListPriceHistory as l
        where l.ProductID = cell.product_id
            and last_day(cell.month) between l.StartDate::date and coalesce(l.EndDate::date, date '9999-12-31')
    ) as list_price,
    cell.discount / nullif(cell.gross, 0) as discount_rate,
    case when better.share < 0.8 then 'A' when better.share < 0.95 then 'B' else 'C' end as abc_class,
    case
        when not better.is_known then null
        when better.variation <= 0.5 then 'X'
        when better.variation <= 1 then 'Y'
        when better.variation is not null then 'Z'
    end as xyz_class,
    place.rank,
    cell.month in (from partial_month) as is_partial
from cell
join place using (month, product_id)
join closing using (month)
left join better using (closing, product_id)
join Production_Product as p on p.ProductID = cell.product_id
left join Production_ProductSubcategory as s using (ProductSubcategoryID)
left join Production_ProductCategory as c using (ProductCategoryID)
