-- Grain: one special offer that began by as_of.
select
    o.SpecialOfferID as special_offer_id,
    o.Type as offer_type,
    cast(o.StartDate as date) as first_day,
    cast(o.EndDate as date) as last_day
from raw.Sales_SpecialOffer as o
where cast(o.StartDate as date) <= :as_of
