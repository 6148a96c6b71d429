create view sold as
with line as (
select
    h.SalesOrderID as sales_order_id,
    d.SalesOrderDetailID as sales_order_detail_id,
    h.OrderDate::date as order_date,
    date_trunc('month', h.OrderDate)::date as month,
    date_trunc('month', if(h.OnlineOrderFlag, h.OrderDate, h.OrderDate - interval 3 day))::date as booking_month,
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

create view partial_channel_month as
with span as (
    select channel, min(booking_month) as first, max(booking_month) as last, min(order_date) as first_day from sold group by channel
),
place as (
    select channel, first, last, first_day, unnest(generate_series(first, last_day(newest), interval 1 month))::date as month, newest
    from span cross join (select max(order_date) as newest from sold)
)
select month, channel
from place
where month > last and newest < month + interval 3 month
    or newest <= last_day(month) + if(channel = 'reseller', 3, 0)
    or channel = 'online' and month = first and day(first_day) > 1;

create view partial_month as select distinct month from partial_channel_month;

create view product_place as
select p.ProductID as product_id, coalesce(c.Name, 'Unassigned') as category
from Production_Product as p
left join Production_ProductSubcategory as s using (ProductSubcategoryID)
left join Production_ProductCategory as c using (ProductCategoryID);
