-- One row per product and vendor: the vendor's terms, in the unit in which the vendor sells, and whether the product is
-- bought from this vendor. That is the active vendor with the lowest last price; of equally cheap ones, the vendor with
-- the better credit rating. A unit holds a known number of pieces only if it is a single piece or a dozen: the source
-- does not say what a case, a container or a pack holds. These two rules are defined only here.
create or replace view staging.vendor_offer as
with offers as (
    select
        o."ProductID" as product_id,
        o."BusinessEntityID" as vendor_id,
        v."Name" as vendor,
        v."ActiveFlag" as is_active,
        v."CreditRating" as credit_rating,
        o."UnitMeasureCode" as order_unit,
        case o."UnitMeasureCode" when 'EA' then 1 when 'DZ' then 12 end as pieces_per_unit,
        o."MinOrderQty" as minimum_order,
        o."MaxOrderQty" as maximum_order,
        coalesce(o."LastReceiptCost", o."StandardPrice") as last_price,
        o."AverageLeadTime" as lead_time_days
    from raw."Purchasing_ProductVendor" as o
    join raw."Purchasing_Vendor" as v on v."BusinessEntityID" = o."BusinessEntityID"
)
select
    product_id,
    vendor_id,
    vendor,
    is_active,
    order_unit,
    pieces_per_unit,
    minimum_order,
    maximum_order,
    last_price,
    lead_time_days,
    is_active and row_number() over (
        partition by product_id, is_active order by last_price, credit_rating, vendor_id
    ) = 1 as preferred
from offers;
