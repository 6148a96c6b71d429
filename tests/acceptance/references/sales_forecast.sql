-- Validates: three forecasts per series from the channel's last complete booking month; those of the simple models recomputed
-- Among: model in ('naive', 'mean_3', 'seasonal_naive')
with kept as (
    select channel, territory_id, booking_month as month, revenue from sold
    where (booking_month, channel) not in (select month, channel from partial_channel_month)
),
whole as (select channel, max(month) as last from kept group by all),
cell as (select distinct channel, territory_id from kept),
grid as (
    select channel, territory_id, k, (last - to_months(k::integer))::date as month
    from cell join whole using (channel) cross join range(0, 12) as r (k)
),
past as (
    select g.channel, g.territory_id, g.k, coalesce(sum(s.revenue), 0)::double as revenue
    from grid as g
    left join kept as s on s.month = g.month and s.channel = g.channel and s.territory_id = g.territory_id
    group by all
),
model as (
    select channel, territory_id, 'naive' as model, h, max(revenue) filter (k = 0) as forecast
    from past cross join (values (1), (2), (3)) as x (h) group by all
    union all
    select channel, territory_id, 'mean_3', h, avg(revenue) filter (k < 3)
    from past cross join (values (1), (2), (3)) as x (h) group by all
    union all
    select channel, territory_id, 'seasonal_naive', h, max(revenue) filter (k = 12 - h)
    from past cross join (values (1), (2), (3)) as x (h) group by all
)
select
    (last + to_months(h))::date as month, m.channel, m.territory_id, h as horizon, round(forecast, 6) as forecast,
    m.model, last as trained_until
from model as m
join whole using (channel)
join mart_forecast_accuracy as a on a.channel = m.channel and a.territory_id = m.territory_id and a.model = m.model
where a.is_chosen
