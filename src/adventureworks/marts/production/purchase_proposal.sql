-- Grain: one bought product that is running out, and one active vendor of it, with what to order there.
-- Products are listed by their state, or if the stock lasts no longer than the lead time of the preferred vendor and two
-- weeks.
with needs as (
    select
        product_id,
        as_of,
        product,
        state,
        on_hand,
        days_of_supply,
        on_order,
        needed
    from marts.inventory_status
    where
        not is_made
        and (state in ('out', 'reorder', 'low') or state = 'ok' and days_of_supply <= lead_time_days + 14)
),
received as (
    select
        d.ProductID as product_id,
        h.VendorID as vendor_id,
        sum(cast(d.ReceivedQty as decimal(38, 4))) as received,
        sum(cast(d.RejectedQty as decimal(38, 4))) as rejected
    from raw.Purchasing_PurchaseOrderHeader as h
    inner join raw.Purchasing_PurchaseOrderDetail as d
        on h.PurchaseOrderID = d.PurchaseOrderID
    where
        cast(h.OrderDate as date) > cast(dateadd(month, -12, cast(:as_of as date)) as date)
        and cast(h.OrderDate as date) <= :as_of
    group by d.ProductID, h.VendorID
),
offers as (
    select
        n.product_id,
        v.vendor_id,
        n.as_of,
        n.product,
        v.vendor,
        v.preferred,
        n.state,
        n.on_hand,
        n.days_of_supply,
        v.lead_time_days,
        n.on_order,
        n.needed,
        v.order_unit,
        v.pieces_per_unit,
        v.minimum_order,
        v.maximum_order,
        v.last_price,
        cast(
            ceil(cast(cast(n.needed as decimal(38, 10)) / nullif(coalesce(v.pieces_per_unit, 1), 0) as decimal(38, 10)))
            as bigint
        ) as units
    from needs as n
    inner join staging.vendor_offer as v
        on n.product_id = v.product_id
        and v.is_active
),
orders as (
    select
        product_id,
        vendor_id,
        cast(
            case
                when units = 0 then 0
                when units < minimum_order then minimum_order
                when units > maximum_order then maximum_order
                else units
            end as bigint
        ) as order_quantity,
        case
            when units is null then null
            when units = 0 then 'none'
            when units < minimum_order then 'minimum'
            when units > maximum_order then 'maximum'
            else 'none'
        end as limited_by
    from offers
)
select
    f.product_id,
    f.vendor_id,
    f.as_of,
    f.product,
    f.vendor,
    f.preferred,
    f.state,
    f.on_hand,
    f.days_of_supply,
    f.lead_time_days,
    cast(
        dateadd(day, cast(floor(f.days_of_supply) as integer) - f.lead_time_days, f.as_of) as date
    ) as order_by,
    f.on_order,
    f.needed as needed_pieces,
    f.order_unit,
    f.minimum_order,
    f.maximum_order,
    o.order_quantity,
    cast(o.order_quantity * f.pieces_per_unit as bigint) as order_pieces,
    o.limited_by,
    f.last_price,
    cast(o.order_quantity * f.last_price as decimal(38, 4)) as amount,
    cast(cast(r.rejected as decimal(38, 4)) / nullif(r.received, 0) as decimal(38, 10)) as rejected_share
from offers as f
inner join orders as o
    on f.product_id = o.product_id
    and f.vendor_id = o.vendor_id
left join received as r
    on f.product_id = r.product_id
    and f.vendor_id = r.vendor_id
