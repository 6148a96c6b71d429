-- Grain: one product, with its current stock and its use in the last three complete booking months.
-- Use is the quantity sold plus the components of work orders, for the full order quantity, as scrap consumes them too.
with complete as (
    select
        month,
        cast(dateadd(month, 1, month) as date) - month as days,
        row_number() over (order by month desc) as place
    from staging.channel_month
    group by month
    having max(case when is_partial then 1 else 0 end) = 0
),
recent as (
    select
        month,
        days
    from complete
    where place <= 3
),
period as (
    select
        min(month) as first_day,
        cast(dateadd(day, -1, dateadd(month, 1, max(month))) as date) as last_day,
        cast(sum(cast(days as bigint)) as bigint) as days
    from recent
),
stock as (
    select
        ProductID as product_id,
        cast(sum(cast(Quantity as bigint)) as bigint) as on_hand
    from raw.Production_ProductInventory
    group by ProductID
),
-- A bill that is valid on all days of the period is multiplied once, and not for each work order.
bills as (
    select
        b.ProductAssemblyID as assembly_id,
        b.ComponentID as component_id,
        b.PerAssemblyQty as quantity,
        cast(b.StartDate as date) as first_day,
        cast(b.EndDate as date) as last_day,
        cast(b.StartDate as date) <= p.first_day and (b.EndDate is null or cast(b.EndDate as date) >= p.last_day)
            as is_constant
    from raw.Production_BillOfMaterials as b
    cross join period as p
),
made as (
    select
        w.ProductID as product_id,
        cast(w.StartDate as date) as day,
        w.OrderQty as quantity
    from raw.Production_WorkOrder as w
    inner join recent as r
        on w.StartDate >= r.month
        and w.StartDate < cast(dateadd(month, 1, r.month) as date)
),
totals as (
    select
        product_id,
        cast(sum(cast(quantity as bigint)) as bigint) as quantity
    from made
    group by product_id
),
uses as (
    select
        f.product_id,
        cast(f.quantity as decimal(38, 4)) as quantity
    from marts.fact_sales as f
    inner join recent as r
        on f.booking_month = r.month
    -- No order is dated before its booking month.
    where f.order_date >= (select first_day from period)
    union all
    select
        b.component_id,
        cast(t.quantity * b.quantity as decimal(38, 4))
    from bills as b
    inner join totals as t
        on b.assembly_id = t.product_id
    where b.is_constant
    union all
    select
        b.component_id,
        cast(m.quantity * b.quantity as decimal(38, 4))
    from bills as b
    inner join made as m
        on b.assembly_id = m.product_id
        and m.day >= b.first_day
        and (b.last_day is null or m.day <= b.last_day)
    where not b.is_constant
),
used as (
    select
        product_id,
        cast(sum(cast(quantity as decimal(38, 4))) as decimal(38, 4)) as quantity
    from uses
    group by product_id
),
ordered as (
    select
        d.ProductID as product_id,
        cast(
            sum(
                cast(
                    case when d.OrderQty > d.ReceivedQty then d.OrderQty - d.ReceivedQty else 0 end
                    * coalesce(v.pieces_per_unit, 1) as decimal(38, 4)
                )
            ) as decimal(38, 4)
        ) as on_order
    from raw.Purchasing_PurchaseOrderHeader as h
    inner join raw.Purchasing_PurchaseOrderDetail as d
        on h.PurchaseOrderID = d.PurchaseOrderID
    left join staging.vendor_offer as v
        on d.ProductID = v.product_id
        and h.VendorID = v.vendor_id
    where
        h.Status in (1, 2)
        and cast(h.OrderDate as date) <= :as_of
    group by d.ProductID
),
levels as (
    select
        p.ProductID as product_id,
        p.Name as product,
        p.MakeFlag as is_made,
        s.on_hand,
        p.SafetyStockLevel as safety_stock_level,
        p.ReorderPoint as reorder_point,
        u.quantity as used,
        r.days,
        cast(cast(coalesce(u.quantity, 0) as decimal(38, 4)) / nullif(r.days, 0) as decimal(38, 10)) as velocity_90d,
        coalesce(o.on_order, 0) as on_order,
        v.vendor_id,
        case when p.MakeFlag then p.DaysToManufacture else v.lead_time_days end as lead_time_days,
        case when p.MakeFlag then 'EA' else v.order_unit end as order_unit,
        case when p.MakeFlag then 1 else v.pieces_per_unit end as pieces_per_unit,
        v.minimum_order,
        v.maximum_order,
        case
            when cast(p.DiscontinuedDate as date) < :as_of or cast(p.SellEndDate as date) < :as_of then 'discontinued'
            when s.product_id is null then 'unknown'
            when s.on_hand <= 0 then 'out'
            when s.on_hand <= p.ReorderPoint then 'reorder'
            when s.on_hand < p.SafetyStockLevel then 'low'
            else 'ok'
        end as state
    from raw.Production_Product as p
    cross join period as r
    left join stock as s
        on p.ProductID = s.product_id
    left join used as u
        on p.ProductID = u.product_id
    left join ordered as o
        on p.ProductID = o.product_id
    left join staging.vendor_offer as v
        on p.ProductID = v.product_id
        and v.preferred
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
),
units as (
    select
        n.product_id,
        case when n.needed < 0 then 0 else n.needed end as needed,
        cast(
            ceil(cast(cast(n.needed as decimal(38, 10)) / nullif(coalesce(l.pieces_per_unit, 1), 0) as decimal(38, 10)))
            as bigint
        ) as units
    from needs as n
    inner join levels as l
        on n.product_id = l.product_id
),
orders as (
    select
        l.product_id,
        n.needed,
        cast(
            case
                when n.needed = 0 then 0
                when n.units < l.minimum_order then l.minimum_order
                when n.units > l.maximum_order then l.maximum_order
                else n.units
            end as bigint
        ) as suggested_order,
        case
            when n.units is null then null
            when n.needed = 0 then 'none'
            when n.units < l.minimum_order then 'minimum'
            when n.units > l.maximum_order then 'maximum'
            else 'none'
        end as limited_by
    from levels as l
    inner join units as n
        on l.product_id = n.product_id
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
    cast(cast(l.on_hand * l.days as decimal(38, 4)) / nullif(l.used, 0) as decimal(38, 10)) as days_of_supply,
    l.on_order,
    l.lead_time_days,
    l.vendor_id,
    o.needed,
    o.suggested_order,
    l.order_unit,
    cast(o.suggested_order * l.pieces_per_unit as bigint) as suggested_pieces,
    o.limited_by,
    l.state
from levels as l
inner join orders as o
    on l.product_id = o.product_id
