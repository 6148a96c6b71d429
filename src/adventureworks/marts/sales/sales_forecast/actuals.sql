-- Grain: one complete booking month, channel and territory with orders.
select
    t.month,
    t.channel,
    t.territory_id,
    t.revenue
from marts.territory_sales as t
where not t.is_partial
