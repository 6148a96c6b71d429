-- Validates: cohorts by booking month, and customers who ordered again by number of months since; no month that is not over
-- Fault of cells_are_those_of_the_orders: delete from candidate where months_since = 0
with whole as (
    select channel, max(booking_month) as last from sold
    where (booking_month, channel) not in (select month, channel from partial_channel_month) group by channel
),
seen as (
    select channel, customer_id, booking_month as month, sum(revenue) as revenue,
        min(booking_month) over (partition by channel, customer_id) as cohort
    from sold join whole using (channel) where booking_month <= last group by channel, customer_id, booking_month
),
cell as (
    select channel, cohort, date_diff('month', cohort, month) as since, count(*) as retained, sum(revenue)::double as revenue
    from seen group by all
),
cohort as (
    select c.channel, cohort, retained as size, revenue, date_diff('month', cohort, last) as longest
    from cell as c join whole using (channel) where since = 0
)
select
    c.channel, c.cohort as cohort_month, k.since as months_since, c.size as cohort_size,
    coalesce(x.retained, 0) as retained, coalesce(x.retained, 0) / c.size as retention,
    coalesce(x.revenue, 0) / nullif(c.revenue, 0) as revenue_retention
from cohort as c
join range(0, 1000) as k (since) on k.since <= longest
left join cell as x on x.channel = c.channel and x.cohort = c.cohort and x.since = k.since
