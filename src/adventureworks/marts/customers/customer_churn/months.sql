-- Grain: one channel with a complete booking month: the last one, and the days of the next month that belong to it.
select
    m.channel,
    max(m.month) as last_month,
    max(d.days) as delay_days
from staging.channel_month as m
inner join staging.booking_delay as d
    on m.channel = d.channel
where not m.is_partial
group by m.channel
