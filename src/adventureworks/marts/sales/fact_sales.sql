-- Grain: one line of a sales order that is neither rejected (4) nor cancelled (6), dated on or before as_of.
-- An order that is incomplete, because one of its rows is in quarantine, is withheld with all its lines.
-- territory_id 0: the order has no territory. Amounts keep all decimal places: revenue 6, discount 8.
with orders as (
    select
        h.SalesOrderID,
        cast(h.OrderDate as date) as order_date,
        case when h.OnlineOrderFlag then 'online' else 'reseller' end as channel,
        coalesce(h.TerritoryID, 0) as territory_id,
        h.SalesPersonID,
        h.CustomerID
    from raw.Sales_SalesOrderHeader as h
    left join staging.withheld_order as w
        on h.SalesOrderID = w.sales_order_id
    where
        h.Status not in (4, 6)
        and cast(h.OrderDate as date) <= :as_of
        and w.sales_order_id is null
)
select
    d.SalesOrderID as sales_order_id,
    d.SalesOrderDetailID as sales_order_detail_id,
    o.order_date,
    cast(date_trunc('month', cast(dateadd(day, -b.days, o.order_date) as date)) as date) as booking_month,
    o.channel,
    o.territory_id,
    o.SalesPersonID as sales_person_id,
    o.CustomerID as customer_id,
    d.ProductID as product_id,
    d.SpecialOfferID as special_offer_id,
    d.OrderQty as quantity,
    d.UnitPrice as unit_price,
    cast(d.UnitPrice * d.OrderQty as decimal(38, 4)) as gross_amount,
    cast(d.UnitPrice * d.OrderQty * d.UnitPriceDiscount as decimal(38, 8)) as discount_amount,
    d.LineTotal as revenue,
    cast(d.OrderQty * coalesce(c.StandardCost, p.StandardCost) as decimal(38, 4)) as cogs,
    case when c.ProductID is null then 'fallback' else 'history' end as cost_source
from raw.Sales_SalesOrderDetail as d
inner join orders as o
    on d.SalesOrderID = o.SalesOrderID
inner join staging.booking_delay as b
    on o.channel = b.channel
inner join raw.Production_Product as p
    on d.ProductID = p.ProductID
left join raw.Production_ProductCostHistory as c
    on d.ProductID = c.ProductID
    and o.order_date >= c.StartDate
    and (c.EndDate is null or o.order_date <= c.EndDate)
