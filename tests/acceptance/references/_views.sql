create view sold as
with line as (
select
    h.SalesOrderID as sales_order_id,
    d.SalesOrderDetailID as sales_order_detail_id,
    h.OrderDate::date as order_date,
    date_trunc('month', h.OrderDate)::date as month,
    if(h.OnlineOrderFlag, 'online', 'reseller') as channel,
    coalesce(h.TerritoryID, 0) as territory_id,
    h.SalesPersonID as sales_person_id,
    h.CustomerID as customer_id,
    d.ProductID as product_id,
    d.SpecialOfferID as special_offer_id,
    d.OrderQty as quantity,
    d.UnitPrice as unit_price,
    d.UnitPrice * d.OrderQty as gross_amount,
    d.UnitPrice * d.OrderQty * d.UnitPriceDiscount as discount_amount,
    d.LineTotal as revenue,
    (
        select max(c.StandardCost) from Production_ProductCostHistory as c
        where c.ProductID = d.ProductID
            and h.OrderDate::date between c.StartDate::date and coalesce(c.EndDate::date, date '9999-12-31')
    ) as history_cost,
    p.StandardCost as present_cost
from Sales_SalesOrderDetail as d
join Sales_SalesOrderHeader as h using (SalesOrderID)
join Production_Product as p using (ProductID)
where h.Status not in (4, 6) and h.OrderDate::date <= getvariable('as_of')
)
select
    *,
    quantity * coalesce(history_cost, present_cost) as cogs,
    if(history_cost is null, 'fallback', 'history') as cost_source
from line;

create view partial_month as
select month from (
    select month, min(order_date) over () as first_day, max(order_date) over () as last_day from sold
)
where month = date_trunc('month', first_day) and day(first_day) > 1
    or month = date_trunc('month', last_day) and last_day < last_day(last_day)
union
select date_trunc('month', max(s.order_date))::date
from sold as s
having exists (
    select channel from sold where month = (select date_trunc('month', max(order_date)) - interval 1 month from sold)
    except
    select channel from sold where month = (select date_trunc('month', max(order_date)) from sold)
);

create view product_place as
select p.ProductID as product_id, coalesce(c.Name, 'Unassigned') as category
from Production_Product as p
left join Production_ProductSubcategory as s using (ProductSubcategoryID)
left join Production_ProductCategory as c using (ProductCategoryID);
