-- Validates: errors of the simple models over all rolling origins, from the thirteenth booking month of each series
-- Among: model in ('naive', 'mean_3', 'seasonal_naive') and origins > 0
with kept as (
    select channel, territory_id, booking_month as month, revenue from sold
    where (booking_month, channel) not in (select month, channel from partial_channel_month)
),
begun as (select channel, territory_id, min(month) as first from kept group by all),
series as (
    select b.channel, b.territory_id, date_diff('month', first, m.month) + 1 as n,
        coalesce((
            select sum(s.revenue)::double from kept as s
            where s.channel = b.channel and s.territory_id = b.territory_id and s.month = m.month
        ), 0) as y
    from begun as b
    join (select distinct channel, month from kept) as m on m.channel = b.channel and m.month >= b.first
),
scored as (
    select o.channel, o.territory_id, o.n as origin, a.y as actual, o.y as naive,
        (select avg(p.y) from series as p
         where p.channel = o.channel and p.territory_id = o.territory_id and p.n between o.n - 2 and o.n) as mean_3,
        s.y as seasonal_naive
    from series as o
    join series as a on a.channel = o.channel and a.territory_id = o.territory_id and a.n - o.n between 1 and 3
    join series as s on s.channel = o.channel and s.territory_id = o.territory_id and s.n = a.n - 12
    where o.n >= 12
),
scale as (
    select channel, territory_id, avg(abs(y - before)) as step
    from (select *, lag(y) over (partition by channel, territory_id order by n) as before from series)
    group by all
),
long as (unpivot scored on naive, mean_3, seasonal_naive into name model value forecast)
select
    channel, territory_id, model, sum(abs(actual - forecast)) / nullif(sum(actual), 0) as wape,
    avg(abs(actual - forecast)) / nullif(any_value(step), 0) as mase, count(distinct origin) as origins
from long join scale using (channel, territory_id)
group by all
