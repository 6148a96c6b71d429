-- Grain: one rule that the source's sales do not always meet. Rejected and cancelled orders do not count.
with lines as (
    select
        d.SalesOrderDetailID as line_id,
        d.OrderQty as quantity,
        d.UnitPriceDiscount as discount,
        o.DiscountPct as offered,
        o.MinQty as least_quantity,
        case when cast(h.OrderDate as date) > cast(p.SellEndDate as date) then 1 else 0 end as after_sale
    from raw.Sales_SalesOrderDetail as d
    inner join raw.Sales_SalesOrderHeader as h
        on d.SalesOrderID = h.SalesOrderID
    inner join raw.Production_Product as p
        on d.ProductID = p.ProductID
    inner join raw.Sales_SpecialOffer as o
        on d.SpecialOfferID = o.SpecialOfferID
    where h.Status not in (4, 6)
        and cast(h.OrderDate as date) <= :as_of
),
judged as (
    select
        line_id,
        after_sale,
        case when quantity < least_quantity and discount = 0 then 1 else 0 end as below_tier,
        case when quantity >= least_quantity and discount <> offered then 1 else 0 end as other_discount
    from lines
),
orders as (
    select
        h.SalesOrderID as order_id,
        case when h.CreditCardID is null then 0 else 1 end as has_card,
        case
            when extract(year from h.OrderDate) * 12 + extract(month from h.OrderDate) > c.ExpYear * 12 + c.ExpMonth
                then 1
            else 0
        end as expired,
        case when h.TerritoryID <> u.TerritoryID then 1 when h.TerritoryID = u.TerritoryID then 0 end as other_territory
    from raw.Sales_SalesOrderHeader as h
    inner join raw.Sales_Customer as u
        on h.CustomerID = u.CustomerID
    left join raw.Sales_CreditCard as c
        on h.CreditCardID = c.CreditCardID
    where h.Status not in (4, 6)
        and cast(h.OrderDate as date) <= :as_of
)
select
    'Sales_SalesOrderDetail' as table_name,
    'sold_before_the_end_of_sale' as rule,
    'consistency' as dimension,
    'warning' as severity,
    count(*) as checked,
    cast(sum(cast(after_sale as bigint)) as bigint) as failed,
    'SalesOrderDetailID' as key_name,
    cast(min(case when after_sale = 1 then line_id end) as varchar) as first_key,
    cast(max(case when after_sale = 1 then line_id end) as varchar) as last_key
from judged
union all
select
    'Sales_SalesOrderDetail' as table_name,
    'volume_offer_has_its_quantity' as rule,
    'validity' as dimension,
    'warning' as severity,
    count(*) as checked,
    cast(sum(cast(below_tier as bigint)) as bigint) as failed,
    'SalesOrderDetailID' as key_name,
    cast(min(case when below_tier = 1 then line_id end) as varchar) as first_key,
    cast(max(case when below_tier = 1 then line_id end) as varchar) as last_key
from judged
union all
select
    'Sales_SalesOrderDetail' as table_name,
    'discount_is_that_of_the_offer' as rule,
    'consistency' as dimension,
    'warning' as severity,
    count(*) as checked,
    cast(sum(cast(other_discount as bigint)) as bigint) as failed,
    'SalesOrderDetailID' as key_name,
    cast(min(case when other_discount = 1 then line_id end) as varchar) as first_key,
    cast(max(case when other_discount = 1 then line_id end) as varchar) as last_key
from judged
union all
select
    'Sales_SalesOrderHeader' as table_name,
    'card_was_valid_when_used' as rule,
    'validity' as dimension,
    'warning' as severity,
    cast(sum(cast(has_card as bigint)) as bigint) as checked,
    cast(sum(cast(expired as bigint)) as bigint) as failed,
    'SalesOrderID' as key_name,
    cast(min(case when expired = 1 then order_id end) as varchar) as first_key,
    cast(max(case when expired = 1 then order_id end) as varchar) as last_key
from orders
union all
select
    'Sales_SalesOrderHeader' as table_name,
    'territory_is_that_of_the_customer' as rule,
    'consistency' as dimension,
    'info' as severity,
    count(other_territory) as checked,
    cast(sum(cast(other_territory as bigint)) as bigint) as failed,
    'SalesOrderID' as key_name,
    cast(min(case when other_territory = 1 then order_id end) as varchar) as first_key,
    cast(max(case when other_territory = 1 then order_id end) as varchar) as last_key
from orders
