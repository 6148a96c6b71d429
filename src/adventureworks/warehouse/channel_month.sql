-- One row per booking month and channel, from the channel's first order on: the fiscal year (starts on 1 July, named
-- after the year in which it ends), whether the month is partial, and the days of its first and last order. A month is
-- whole once a later order day, of any channel, can no longer belong to it. After a channel's last order, a month stays
-- partial until two later ones are over: orders may still come, or the channel has ended. The first online month is also
-- partial if its first order is after the 1st; resellers order in one wave, so their first month is whole. This rule is
-- defined only here.
create or replace view staging.channel_month as
with days as (
    -- daily_sales is published together with fact_sales, and has the same days in far fewer rows.
    select channel, order_date
    from marts.daily_sales
    group by channel, order_date
),
booked as (
    select
        o.channel,
        o.order_date,
        cast(date_trunc('month', o.order_date - d.days) as date) as booking_month
    from days as o
    join staging.booking_delay as d on d.channel = o.channel
),
sold as (
    select channel, booking_month, min(order_date) as first_day, max(order_date) as last_day
    from booked
    group by channel, booking_month
),
months as (
    select booking_month as month from sold
    union
    select cast(date_trunc('month', last_day) as date) as month from sold
),
channels as (
    select channel, min(booking_month) as first_month, max(booking_month) as last_month from sold group by channel
),
newest as (select max(last_day) as day from sold)
select
    m.month,
    c.channel,
    cast(extract(year from m.month + interval '6 months') as integer) as fiscal_year,
    m.month > c.last_month and n.day < cast(m.month + interval '3 months' as date)
    or n.day < cast(m.month + interval '1 month' as date) + d.days
    or d.days = 0 and m.month = c.first_month and s.first_day > m.month as is_partial,
    s.first_day,
    s.last_day
from channels as c
cross join newest as n
join months as m on m.month >= c.first_month
join staging.booking_delay as d on d.channel = c.channel
left join sold as s on s.channel = c.channel and s.booking_month = m.month;
