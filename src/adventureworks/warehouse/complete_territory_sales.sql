-- The sales of territories up to the last complete month of their channel, with the columns that forecasts depend on.
create or replace view staging.complete_territory_sales as
with whole as (
    select channel, max(month) as last_month
    from marts.territory_sales
    where not is_partial
    group by channel
)
select
    t.channel,
    t.territory_id,
    t.month,
    t.is_partial,
    t.revenue
from marts.territory_sales as t
join whole as w on w.channel = t.channel and t.month <= w.last_month;
