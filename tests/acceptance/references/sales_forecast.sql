-- Validates: three forecasts per series and channel, with their intervals, of the models other than smoothing and Theta; for each, the errors that decide whether it is published
-- Within: 1e-7
-- Among: model in ('naive', 'mean_3', 'seasonal_naive', 'mean_3_season')
-- Fault of every_series_is_forecast: delete from candidate where horizon = 3
-- Fault of simple_models_are_reproducible: update candidate set lower_95 = lower_95 * 0.9
-- Fault of forecasts_of_a_series_agree: update candidate set channel_forecast = channel_forecast + 1 where territory_id = 4
-- Fault of tests_follow_from_the_series: update candidate set error_model = error_model * 0.9 where territory_id = 4
-- Fault of errors_are_those_of_the_choices: update candidate set channel_error_model = channel_error_model * 1.001 where channel = 'reseller'
-- forecasts.py computes the errors (trial).
with kept as (
    select channel, territory_id, booking_month as month, revenue from sold
    where (booking_month, channel) not in (select month, channel from partial_channel_month)
),
whole as (select channel, max(month) as last, min(month) as first from kept group by all),
cell as (select channel, territory_id, min(month) as began from kept group by all),
past as (
    select c.channel, c.territory_id, m.month, began, coalesce(sum(k.revenue), 0)::double as y
    from cell as c
    join (select distinct channel, month from kept) as m on m.channel = c.channel and m.month >= c.began
    left join kept as k on k.month = m.month and k.channel = c.channel and k.territory_id = c.territory_id
    group by all
),
total as (select channel, month, sum(y) as y from past group by all),
origin as (
    select p.channel, p.territory_id, p.month, p.y, date_diff('month', began, p.month) + 1 as known, h,
        (select avg(q.y) from past as q where q.channel = p.channel and q.territory_id = p.territory_id
            and q.month between p.month - interval 2 month and p.month) as mean_3,
        (select avg(q.y) from past as q where q.channel = p.channel and q.territory_id = p.territory_id
            and q.month between p.month - interval 11 month and p.month) as year,
        (select q.y from past as q where q.channel = p.channel and q.territory_id = p.territory_id
            and q.month = p.month + to_months(h - 12)) as same,
        (select q.y from past as q where q.channel = p.channel and q.territory_id = p.territory_id
            and q.month = p.month + to_months(h)) as actual,
        (select t.y from total as t where t.channel = p.channel and t.month = p.month + to_months(h - 12))
        / (select if(count(*) = 3 and avg(t.y) > 0, avg(t.y), null) from total as t where t.channel = p.channel
            and t.month between p.month - interval 14 month and p.month - interval 12 month) as season
    from past as p cross join (values (1), (2), (3)) as x (h)
),
ahead as (
    unpivot (
        select channel, territory_id, month, h, known, year, actual, y as naive, mean_3, coalesce(same, y) as seasonal_naive,
            mean_3 * sqrt(coalesce(season, 1)) as mean_3_season
        from origin
    ) on naive, mean_3, seasonal_naive, mean_3_season into name model value forecast
),
-- Territory -1 is the total of the channel.
every as (
    select channel, territory_id, model, h, month, known, forecast, actual, if(forecast > 0, forecast, nullif(year, 0)) as scale
    from ahead
    union all
    select a.channel, -1, a.model, a.h, a.month, any_value(date_diff('month', w.first, a.month) + 1), sum(a.forecast),
        any_value(t.y), if(sum(a.forecast) > 0, sum(a.forecast), nullif(sum(a.year), 0))
    from ahead as a
    join whole as w on w.channel = a.channel
    left join total as t on t.channel = a.channel and t.month = a.month + to_months(a.h)
    group by all
),
error as (
    select channel, territory_id, model, h, (actual - forecast) / scale as e
    from every where known >= 12 and actual is not null and scale is not null
),
own as (
    select channel, territory_id, model, h, quantile_cont(e, 0.1) as low, quantile_cont(e, 0.9) as high
    from error group by all having count(*) >= 8
),
pooled as (
    select channel, territory_id = -1 as is_total, model, h, list_sort(list(e)) as es
    from error group by all having count(*) >= 39
),
band as (
    select v.channel, v.territory_id, v.model, v.h, v.month, v.forecast,
        greatest(0, v.forecast + least(o.low, 0) * scale) + 0 * o.low as lower_80,
        v.forecast + greatest(o.high, 0) * scale + 0 * o.high as upper_80,
        greatest(0, v.forecast + least(o.low, es[(len(es) + 1) // 40], 0) * scale) + 0 * es[1] as lower_95,
        v.forecast + greatest(o.high, es[-((len(es) + 1) // 40)], 0) * scale + 0 * es[1] as upper_95
    from every as v
    join whole as w on w.channel = v.channel and w.last = v.month
    left join own as o
        on o.channel = v.channel and o.territory_id = v.territory_id and o.model = v.model and o.h = v.h
    left join pooled as p
        on p.channel = v.channel and p.model = v.model and p.h = v.h and p.is_total = (v.territory_id = -1)
)
select
    (b.month + to_months(b.h))::date as month, b.channel, b.territory_id, b.h as horizon,
    if(own.withheld_because is null, b.forecast, null) as forecast,
    if(own.withheld_because is null, b.lower_80, null) as lower_80,
    if(own.withheld_because is null, b.upper_80, null) as upper_80,
    if(own.withheld_because is null, b.lower_95, null) as lower_95,
    if(own.withheld_because is null, b.upper_95, null) as upper_95,
    if(whole.withheld_because is null, t.forecast, null) as channel_forecast,
    if(whole.withheld_because is null, t.lower_80, null) as channel_lower_80,
    if(whole.withheld_because is null, t.upper_80, null) as channel_upper_80,
    if(whole.withheld_because is null, t.lower_95, null) as channel_lower_95,
    if(whole.withheld_because is null, t.upper_95, null) as channel_upper_95,
    b.model, own.error_model, own.error_baseline, own.error_constant, own.predicted_over_actual, own.withheld_because,
    whole.error_model as channel_error_model, whole.error_baseline as channel_error_baseline,
    whole.error_constant as channel_error_constant, whole.predicted_over_actual as channel_predicted_over_actual,
    whole.withheld_because as channel_withheld_because, b.month as trained_until
from band as b
join band as t on t.territory_id = -1 and t.channel = b.channel and t.model = b.model and t.h = b.h
join trial as own on own.channel = b.channel and own.territory_id = b.territory_id and own.chosen = b.model
join trial as whole on whole.channel = b.channel and whole.territory_id = -1
where b.territory_id <> -1
