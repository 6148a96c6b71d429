-- Validates: the products that run out by their stock, each with all active vendors: terms, order in the vendor's unit, price, rejects and the day to order by
-- Fault of products_are_those_that_run_out: delete from candidate where not preferred
-- Fault of terms_are_those_of_the_vendor: update candidate set preferred = not preferred
-- Fault of orders_cover_the_need_within_the_limits: update candidate set order_by = as_of
-- Fault of rejects_are_those_of_the_last_year: update candidate set rejected_share = 0
-- What a product needs comes from the mart inventory_status, which has a second computation of its own.
with ranked as (
    select
        pv.*, trim(pv.UnitMeasureCode) as unit, v.Name as vendor, coalesce(pv.LastReceiptCost, pv.StandardPrice) as price,
        rank() over (partition by pv.ProductID order by price, v.CreditRating, pv.BusinessEntityID) = 1 as is_best
    from Purchasing_ProductVendor as pv
    join Purchasing_Vendor as v using (BusinessEntityID)
    where v.ActiveFlag
),

refused as (
    select ProductID, VendorID, sum(RejectedQty) as rejected, sum(ReceivedQty) as received
    from Purchasing_PurchaseOrderDetail join Purchasing_PurchaseOrderHeader using (PurchaseOrderID)
    where OrderDate::date <= $as_of and OrderDate::date > $as_of - interval 1 year
    group by all
),

ordered as (
    select
        *,
        ceil(needed / if(unit = 'DZ', 12, 1))::bigint as units,
        case when needed > 0 then greatest(least(units, MaxOrderQty), MinOrderQty) else needed end as quantity
    from ranked
    join mart_inventory_status as s on s.product_id = ProductID
    where not is_made and (
        state in ('out', 'reorder', 'low')
        or state = 'ok' and days_of_supply <= 14 + (
            select best.AverageLeadTime from ranked as best where best.is_best and best.ProductID = s.product_id
        )
    )
)

select
    o.ProductID as product_id,
    o.BusinessEntityID as vendor_id,
    $as_of as as_of,
    p.Name as product,
    vendor,
    is_best as preferred,
    state,
    on_hand,
    days_of_supply,
    AverageLeadTime as lead_time_days,
    $as_of + (floor(days_of_supply)::integer - AverageLeadTime) as order_by,
    on_order,
    needed as needed_pieces,
    unit as order_unit,
    MinOrderQty as minimum_order,
    MaxOrderQty as maximum_order,
    quantity as order_quantity,
    case unit when 'EA' then quantity when 'DZ' then 12 * quantity end as order_pieces,
    case when quantity > units then 'minimum' when quantity < units then 'maximum' when units >= 0 then 'none' end as limited_by,
    price as last_price,
    quantity * price as amount,
    rejected::double / nullif(received, 0) as rejected_share
from ordered as o
join Production_Product as p on p.ProductID = o.ProductID
left join refused as r on r.ProductID = o.ProductID and r.VendorID = o.BusinessEntityID
