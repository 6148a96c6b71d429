-- Validates: stock as a balance of movements: usage, incoming stock, days of supply, suggestions and states
-- Every product as a balance of signed movements: stock, incoming stock, usage.
with used as (
    select d.ProductID as product_id, d.OrderQty::decimal(18, 2) as pieces
    from Sales_SalesOrderDetail as d
    join Sales_SalesOrderHeader as h using (SalesOrderID)
    where h.Status not in (4, 6) and date_diff('day', h.OrderDate::date, $as_of) between 0 and 89
    union all
    select b.ComponentID, (w.OrderQty * b.PerAssemblyQty)::decimal(18, 2)
    from Production_WorkOrder as w
    join Production_BillOfMaterials as b
        on b.ProductAssemblyID = w.ProductID
        and w.StartDate::date between b.StartDate::date and coalesce(b.EndDate::date, date '9999-12-31')
    where date_diff('day', w.StartDate::date, $as_of) between 0 and 89
),

use as (select product_id, sum(pieces) as pieces from used group by product_id),

coming as (
    select d.ProductID as product_id, sum(d.OrderQty - d.ReceivedQty) as pieces
    from Purchasing_PurchaseOrderDetail as d
    semi join (
        select PurchaseOrderID from Purchasing_PurchaseOrderHeader
        where Status in (1, 2) and OrderDate::date <= $as_of
    ) as open_order using (PurchaseOrderID)
    group by d.ProductID
),

vendor as (
    select
        pv.ProductID as product_id,
        arg_min(
            {'id': pv.BusinessEntityID, 'days': pv.AverageLeadTime, 'least': pv.MinOrderQty, 'most': pv.MaxOrderQty},
            (not v.PreferredVendorStatus, pv.StandardPrice, pv.AverageLeadTime, pv.BusinessEntityID)
        ) as best
    from Purchasing_ProductVendor as pv
    join Purchasing_Vendor as v using (BusinessEntityID)
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
        use.pieces as used_in_90d,
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
            safety_stock_level - on_hand - on_order + coalesce(used_in_90d, 0) * (lead_time_days + 7) / 90
        ) as missing,
        case when is_over then 0 when missing < 0 then 0 else missing end as needed
    from known
)

select
    product_id,
    $as_of as as_of,
    product,
    is_made,
    on_hand,
    safety_stock_level,
    reorder_point,
    coalesce(used_in_90d, 0) / 90 as velocity_90d,
    on_hand * 90 / nullif(used_in_90d, 0) as days_of_supply,
    on_order,
    lead_time_days,
    buy_from.id as vendor_id,
    needed,
    case
        when needed = 0 then 0
        when buy_from is null then needed
        when needed < buy_from.least then buy_from.least
        when needed > buy_from.most then buy_from.most
        else needed
    end as suggested_order,
    case
        when is_over then 'discontinued'
        when on_hand is null then 'unknown'
        when on_hand <= 0 then 'out'
        when on_hand <= reorder_point then 'reorder'
        when on_hand < safety_stock_level then 'low'
        else 'ok'
    end as state
from wanted
