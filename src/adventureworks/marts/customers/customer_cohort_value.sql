-- Grain: one cell of customer_retention: a channel, a cohort and a number of months since. The margin is cumulative.
with bought as (
    select
        channel,
        customer_id,
        booking_month as month,
        sum(cast(revenue - cogs as decimal(38, 6))) as margin
    from marts.customer_days
    group by channel, customer_id, booking_month
),
began as (
    select
        channel,
        customer_id,
        min(month) as cohort_month
    from bought
    group by channel, customer_id
),
earned as (
    select
        b.channel,
        g.cohort_month,
        cast(
            (extract(year from b.month) - extract(year from g.cohort_month)) * 12
            + extract(month from b.month) - extract(month from g.cohort_month) as integer
        ) as months_since,
        sum(cast(b.margin as decimal(38, 6))) as margin
    from bought as b
    inner join began as g
        on b.channel = g.channel
        and b.customer_id = g.customer_id
    group by b.channel, g.cohort_month, b.month
),
cells as (
    select
        r.channel,
        r.cohort_month,
        r.months_since,
        r.cohort_size as customers,
        cast(
            sum(cast(coalesce(e.margin, 0) as decimal(38, 6))) over (
                partition by r.channel, r.cohort_month
                order by r.months_since rows between unbounded preceding and current row
            ) as decimal(38, 6)
        ) as margin
    from marts.customer_retention as r
    left join earned as e
        on r.channel = e.channel
        and r.cohort_month = e.cohort_month
        and r.months_since = e.months_since
)
select
    channel,
    cohort_month,
    months_since,
    customers,
    margin,
    cast(cast(margin as decimal(38, 6)) / nullif(customers, 0) as decimal(38, 10)) as margin_per_customer
from cells
