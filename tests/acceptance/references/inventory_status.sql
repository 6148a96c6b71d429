-- Validates: stock as a balance of movements: usage in complete months, incoming stock, days of supply, orders in the vendor's unit and states
-- Fault of stock_is_that_of_all_locations: update candidate set on_hand = on_hand + 1
-- Fault of use_is_that_of_sales_and_work_orders: update candidate set velocity_90d = velocity_90d + 1
-- Fault of on_order_is_what_open_orders_miss: update candidate set on_order = on_order + 1
-- Fault of products_are_those_of_the_source: delete from candidate where product_id = 1
-- Fault of supply_follows_from_stock_and_use: update candidate set days_of_supply = null where state = 'low'
-- Fault of an_order_fills_up_to_the_level_within_the_limits: update candidate set limited_by = 'maximum' where limited_by = 'minimum'
-- Fault of a_state_follows_from_stock_and_dates: update candidate set state = 'low' where state = 'ok'
-- Every product as a balance of signed movements: stock, incoming stock, usage.
with whole as (
    select distinct booking_month as complete from sold
    where booking_month not in (from partial_month) order by complete desc limit 3
),

span as (select sum(day(last_day(complete))) as days from whole),

used as (
    select product_id, quantity::decimal(18, 2) as pieces from sold semi join whole on booking_month = complete
    union all
    select b.ComponentID, (w.OrderQty * b.PerAssemblyQty)::decimal(18, 2)
    from Production_WorkOrder as w
    semi join whole on date_trunc('month', w.StartDate) = complete
    join Production_BillOfMaterials as b
        on b.ProductAssemblyID = w.ProductID
        and w.StartDate::date between b.StartDate::date and coalesce(b.EndDate::date, date '9999-12-31')
),

use as (select product_id, sum(pieces) as pieces from used group by product_id),

unit as (select * from (values ('EA', 1), ('DZ', 12)) as known (code, content)),

coming as (
    select d.ProductID as product_id, sum((d.OrderQty - d.ReceivedQty) * coalesce(unit.content, 1)) as pieces
    from Purchasing_PurchaseOrderDetail as d
    join Purchasing_PurchaseOrderHeader as h using (PurchaseOrderID)
    left join Purchasing_ProductVendor as pv on pv.ProductID = d.ProductID and pv.BusinessEntityID = h.VendorID
    left join unit on unit.code = trim(pv.UnitMeasureCode)
    where h.Status in (1, 2) and h.OrderDate::date <= $as_of
    group by d.ProductID
),

vendor as (
    select
        pv.ProductID as product_id,
        arg_min(
            {
                'id': pv.BusinessEntityID, 'days': pv.AverageLeadTime, 'least': pv.MinOrderQty, 'most': pv.MaxOrderQty,
                'unit': trim(pv.UnitMeasureCode), 'content': unit.content
            },
            (coalesce(pv.LastReceiptCost, pv.StandardPrice), v.CreditRating, pv.BusinessEntityID)
        ) as best
    from Purchasing_ProductVendor as pv
    join Purchasing_Vendor as v using (BusinessEntityID)
    left join unit on unit.code = trim(pv.UnitMeasureCode)
    where v.ActiveFlag
    group by pv.ProductID
),

known as (
    select
        p.ProductID as product_id,
        p.Name as product,
        p.MakeFlag as is_made,
        (select sum(i.Quantity) from Production_ProductInventory as i where i.ProductID = p.ProductID) as on_hand,
        p.SafetyStockLevel as safety_stock_level,
        p.ReorderPoint as reorder_point,
        use.pieces as used_pieces,
        coalesce(coming.pieces, 0) as on_order,
        if(p.MakeFlag, p.DaysToManufacture, vendor.best.days) as lead_time_days,
        if(p.MakeFlag, null, vendor.best) as buy_from,
        coalesce(least(p.DiscontinuedDate, p.SellEndDate)::date < $as_of, false) as is_over
    from Production_Product as p
    left join use on use.product_id = p.ProductID
    left join coming on coming.product_id = p.ProductID
    left join vendor on vendor.product_id = p.ProductID
),

wanted as (
    select
        *,
        ceil(
            safety_stock_level - on_hand - on_order + coalesce(used_pieces, 0) * (lead_time_days + 7) / days
        ) as missing,
        case when is_over then 0 when missing < 0 then 0 else missing end as needed,
        ceil(needed / if(is_made, 1, coalesce(buy_from.content, 1))) as units
    from known cross join span
)

select
    product_id,
    $as_of as as_of,
    product,
    is_made,
    on_hand,
    safety_stock_level,
    reorder_point,
    coalesce(used_pieces, 0) / days as velocity_90d,
    on_hand * days / nullif(used_pieces, 0) as days_of_supply,
    on_order,
    lead_time_days,
    buy_from.id as vendor_id,
    needed,
    case
        when needed = 0 then 0
        when units < buy_from.least then buy_from.least
        when units > buy_from.most then buy_from.most
        else units
    end as suggested_order,
    if(is_made, 'EA', buy_from.unit) as order_unit,
    suggested_order * if(is_made, 1, buy_from.content) as suggested_pieces,
    case
        when suggested_order > units then 'minimum'
        when suggested_order < units then 'maximum'
        when units is not null then 'none'
    end as limited_by,
    case
        when is_over then 'discontinued'
        when on_hand is null then 'unknown'
        when on_hand <= 0 then 'out'
        when on_hand <= reorder_point then 'reorder'
        when on_hand < safety_stock_level then 'low'
        else 'ok'
    end as state
from wanted
