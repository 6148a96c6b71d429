-- Validates: errors of the models other than smoothing and Theta from the thirteenth booking month of each series on, and those of a constant
-- Among: model in ('naive', 'mean_3', 'seasonal_naive', 'mean_3_season') and origins > 0
-- Fault of the_choice_follows_the_rule: update candidate set is_chosen = false where territory_id = 1
-- Fault of errors_are_those_of_the_series: update candidate set wape = wape * 1.1 where model = 'naive'
-- Fault of intervals_covered_what_is_stated: update candidate set coverage_95 = 0.9 where model = 'naive'
-- Fault of errors_of_a_channel_are_those_of_its_territories: update candidate set channel_wape = channel_wape * 1.1 where model = 'theta'
-- Fault of published_forecasts_are_scored: update candidate set published_months = published_months + 1
with kept as (
    select channel, territory_id, booking_month as month, revenue from sold
    where (booking_month, channel) not in (select month, channel from partial_channel_month)
),
cell as (select channel, territory_id, min(month) as began from kept group by all),
past as (
    select c.channel, c.territory_id, m.month, began, coalesce(sum(k.revenue), 0)::double as y
    from cell as c
    join (select distinct channel, month from kept) as m on m.channel = c.channel and m.month >= c.began
    left join kept as k on k.month = m.month and k.channel = c.channel and k.territory_id = c.territory_id
    group by all
),
changed as (
    select *, abs(y - lag(y) over (partition by channel, territory_id order by month)) as step from past
),
total as (select channel, month, sum(y) as y from past group by all),
scored as (
    select p.channel, p.territory_id, p.month, a.y as actual, p.y as naive, s.y as seasonal_naive,
        date_diff('month', (select min(month) from total as t where t.channel = p.channel), p.month) + 1 as known,
        (select avg(q.y) from past as q where q.channel = p.channel and q.territory_id = p.territory_id
            and q.month between p.month - interval 2 month and p.month) as mean_3,
        (select avg(q.y) from past as q where q.channel = p.channel and q.territory_id = p.territory_id
            and q.month <= p.month) as always,
        (select avg(q.step) from changed as q where q.channel = p.channel and q.territory_id = p.territory_id
            and q.month <= p.month) as step,
        (select t.y from total as t where t.channel = p.channel and t.month = s.month)
        / (select if(count(*) = 3 and avg(t.y) > 0, avg(t.y), null) from total as t where t.channel = p.channel
            and t.month between p.month - interval 14 month and p.month - interval 12 month) as season
    from past as p
    join past as a on a.channel = p.channel and a.territory_id = p.territory_id
        and a.month in (p.month + to_months(1), p.month + to_months(2), p.month + to_months(3))
    join past as s on s.channel = p.channel and s.territory_id = p.territory_id and s.month = a.month - interval 1 year
    where date_diff('month', p.began, p.month) >= 11
),
constant as (
    select channel, sum(abs(actual - always)) / nullif(sum(actual), 0) as constant_wape, count(distinct month) as nested_origins
    from scored where known >= 20 group by all
),
long as (
    unpivot (select *, mean_3 * sqrt(coalesce(season, 1)) as mean_3_season from scored)
    on naive, mean_3, seasonal_naive, mean_3_season into name model value forecast
),
channel as (
    select channel, model, sum(abs(actual - forecast)) / nullif(sum(actual), 0) as channel_wape from long group by all
)
select
    channel, territory_id, model, sum(abs(actual - forecast)) / nullif(sum(actual), 0) as wape,
    avg(abs(actual - forecast) / step) as mase, count(distinct month) as origins, any_value(channel_wape) as channel_wape,
    any_value(constant_wape) as constant_wape, any_value(nested_origins) as nested_origins
from long join channel using (channel, model) left join constant using (channel)
group by all
