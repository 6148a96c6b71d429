-- Validates: sums per month, price on its last day, rank and class by revenue
-- Fault of list_prices_are_those_of_the_month_s_end: update candidate set list_price = list_price + 1
-- Fault of sums_are_those_of_the_lines: update candidate set units = units + 1
-- Fault of names_are_those_of_the_product: update candidate set subcategory = category
-- Fault of ranks_and_classes_follow_from_the_revenue: update candidate set abc_class = 'C' where abc_class = 'B'
-- Costs and prices are looked up in the history by a correlated subquery, the cumulative share by a self-join.
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
        1 + count(better.product_id) as rank,
        coalesce(sum(better.revenue), 0) as revenue_before
    from cell as one
    left join cell as better
        on better.month = one.month
        and (better.revenue > one.revenue or better.revenue = one.revenue and better.product_id < one.product_id)
    group by all
),

whole as (select month, sum(revenue) as revenue from cell group by month)

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
    case
        when whole.revenue = 0 then 'C'
        when place.revenue_before * 100 < whole.revenue * 80 then 'A'
        when place.revenue_before * 100 < whole.revenue * 95 then 'B'
        else 'C'
    end as abc_class,
    place.rank,
    cell.month in (from partial_month) as is_partial
from cell
join place using (month, product_id)
join whole using (month)
join Production_Product as p on p.ProductID = cell.product_id
left join Production_ProductSubcategory as s using (ProductSubcategoryID)
left join Production_ProductCategory as c using (ProductCategoryID)
