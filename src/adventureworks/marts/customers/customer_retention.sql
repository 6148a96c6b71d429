-- Grain: one channel, cohort (booking month of a customer's first order in the channel) and number of months since.
-- Cells after the channel's last complete booking month are absent: their months are not over.
with recursive bought as (
    select
        channel,
        customer_id,
        booking_month as month,
        max(last_month) as last_month,
        sum(cast(revenue as decimal(38, 6))) as revenue
    from staging.complete_customer_days
    group by channel, customer_id, booking_month
),
last_months as (
    select
        channel,
        max(last_month) as last_month
    from bought
    group by channel
),
began as (
    select
        channel,
        customer_id,
        min(month) as cohort_month
    from bought
    group by channel, customer_id
),
cohorts as (
    select
        channel,
        cohort_month,
        count(*) as cohort_size
    from began
    group by channel, cohort_month
),
active as (
    select
        b.channel,
        g.cohort_month,
        b.month,
        count(*) as retained,
        sum(cast(b.revenue as decimal(38, 6))) as revenue
    from bought as b
    inner join began as g
        on b.channel = g.channel
        and b.customer_id = g.customer_id
    group by b.channel, g.cohort_month, b.month
),
span as (
    select
        cast(
            (extract(year from max(month)) - extract(year from min(month))) * 12
            + extract(month from max(month)) - extract(month from min(month)) as integer
        ) as months
    from active
),
places as (
    select cast(0 as integer) as place
    union all
    select cast(p.place + 1 as integer) as place
    from places as p
    cross join span as s
    where p.place < s.months
),
cells as (
    select
        c.channel,
        c.cohort_month,
        c.cohort_size,
        p.place as months_since,
        cast(dateadd(month, p.place, c.cohort_month) as date) as month
    from cohorts as c
    cross join places as p
)
select
    c.channel,
    c.cohort_month,
    c.months_since,
    c.cohort_size,
    coalesce(a.retained, 0) as retained,
    cast(cast(coalesce(a.retained, 0) as decimal(38, 4)) / nullif(c.cohort_size, 0) as decimal(38, 10)) as retention,
    cast(
        cast(coalesce(a.revenue, 0) as decimal(38, 6)) / nullif(f.revenue, 0) as decimal(38, 10)
    ) as revenue_retention
from cells as c
inner join last_months as l
    on c.channel = l.channel
    and c.month <= l.last_month
inner join active as f
    on c.channel = f.channel
    and c.cohort_month = f.cohort_month
    and c.cohort_month = f.month
left join active as a
    on c.channel = a.channel
    and c.cohort_month = a.cohort_month
    and c.month = a.month
