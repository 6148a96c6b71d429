-- Grain: one product, with its current stock and its use over the 90 days that end at as_of.
-- Use is the quantity sold plus the components of work orders, for the full order quantity, as scrap consumes them too.
with stock as (
    select
        ProductID as product_id,
        cast(sum(cast(Quantity as bigint)) as bigint) as on_hand
    from raw.Production_ProductInventory
    group by ProductID
),
uses as (
    select
        product_id,
        cast(quantity as decimal(38, 4)) as quantity
    from marts.fact_sales
    where
        order_date > cast(dateadd(day, -90, :as_of) as date)
        and order_date <= :as_of
    union all
    select
        b.ComponentID,
        cast(w.OrderQty * b.PerAssemblyQty as decimal(38, 4))
    from raw.Production_WorkOrder as w
    inner join raw.Production_BillOfMaterials as b
        on w.ProductID = b.ProductAssemblyID
        and cast(b.StartDate as date) <= cast(w.StartDate as date)
        and (b.EndDate is null or cast(b.EndDate as date) >= cast(w.StartDate as date))
    where
        cast(w.StartDate as date) > cast(dateadd(day, -90, :as_of) as date)
        and cast(w.StartDate as date) <= :as_of
),
used as (
    select
        product_id,
        cast(sum(cast(quantity as decimal(38, 4))) as decimal(38, 4)) as used_90d,
        cast(cast(sum(cast(quantity as decimal(38, 4))) as decimal(38, 4)) / 90 as decimal(38, 10)) as velocity_90d
    from uses
    group by product_id
),
ordered as (
    select
        d.ProductID as product_id,
        cast(
            sum(cast(case when d.OrderQty > d.ReceivedQty then d.OrderQty - d.ReceivedQty else 0 end as decimal(38, 4)))
            as decimal(38, 4)
        ) as on_order
    from raw.Purchasing_PurchaseOrderHeader as h
    inner join raw.Purchasing_PurchaseOrderDetail as d
        on h.PurchaseOrderID = d.PurchaseOrderID
    where
        h.Status in (1, 2)
        and cast(h.OrderDate as date) <= :as_of
    group by d.ProductID
),
vendors as (
    select
        o.ProductID as product_id,
        o.BusinessEntityID as vendor_id,
        o.AverageLeadTime as lead_time_days,
        o.MinOrderQty as least_order,
        o.MaxOrderQty as largest_order,
        row_number() over (
            partition by o.ProductID
            order by
                case when v.PreferredVendorStatus then 0 else 1 end,
                o.StandardPrice,
                o.AverageLeadTime,
                o.BusinessEntityID
        ) as place
    from raw.Purchasing_ProductVendor as o
    inner join raw.Purchasing_Vendor as v
        on o.BusinessEntityID = v.BusinessEntityID
    where v.ActiveFlag
),
levels as (
    select
        p.ProductID as product_id,
        p.Name as product,
        p.MakeFlag as is_made,
        s.on_hand,
        p.SafetyStockLevel as safety_stock_level,
        p.ReorderPoint as reorder_point,
        u.used_90d,
        coalesce(u.velocity_90d, 0) as velocity_90d,
        coalesce(o.on_order, 0) as on_order,
        v.vendor_id,
        case when p.MakeFlag then p.DaysToManufacture else v.lead_time_days end as lead_time_days,
        case when p.MakeFlag then null else v.least_order end as least_order,
        case when p.MakeFlag then null else v.largest_order end as largest_order,
        case
            when cast(p.DiscontinuedDate as date) < :as_of or cast(p.SellEndDate as date) < :as_of then 'discontinued'
            when s.product_id is null then 'unknown'
            when s.on_hand <= 0 then 'out'
            when s.on_hand <= p.ReorderPoint then 'reorder'
            when s.on_hand < p.SafetyStockLevel then 'low'
            else 'ok'
        end as state
    from raw.Production_Product as p
    left join stock as s
        on p.ProductID = s.product_id
    left join used as u
        on p.ProductID = u.product_id
    left join ordered as o
        on p.ProductID = o.product_id
    left join vendors as v
        on p.ProductID = v.product_id
        and v.place = 1
        and not p.MakeFlag
),
needs as (
    select
        product_id,
        case
            when state = 'discontinued' then 0
            else
                cast(
                    ceil(
                        cast(
                            safety_stock_level + velocity_90d * (lead_time_days + 7) - on_hand - on_order
                            as decimal(38, 10)
                        )
                    ) as bigint
                )
        end as needed
    from levels
)
select
    l.product_id,
    cast(:as_of as date) as as_of,
    l.product,
    l.is_made,
    l.on_hand,
    l.safety_stock_level,
    l.reorder_point,
    l.velocity_90d,
    cast(cast(l.on_hand * 90 as decimal(38, 4)) / nullif(l.used_90d, 0) as decimal(38, 10)) as days_of_supply,
    l.on_order,
    l.lead_time_days,
    l.vendor_id,
    case when n.needed < 0 then 0 else n.needed end as needed,
    cast(
        case
            when n.needed <= 0 then 0
            when n.needed < l.least_order then l.least_order
            when n.needed > l.largest_order then l.largest_order
            else n.needed
        end as bigint
    ) as suggested_order,
    l.state
from levels as l
inner join needs as n
    on l.product_id = n.product_id
