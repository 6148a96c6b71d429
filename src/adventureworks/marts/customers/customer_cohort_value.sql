-- Grain: one channel, cohort (booking month of a customer's first order in the channel) and number of months since, up to
-- the channel's last complete booking month. The margin is cumulative.
with windows as (
    select
        channel,
        max(month) as last_month
    from staging.channel_month
    where not is_partial
    group by channel
),
bought as (
    select
        channel,
        customer_id,
        booking_month as month,
        sum(cast(revenue - cogs as decimal(38, 6))) as margin
    from marts.fact_sales
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
cohorts as (
    select
        channel,
        cohort_month,
        count(*) as customers
    from began
    group by channel, cohort_month
),
earned as (
    select
        b.channel,
        g.cohort_month,
        b.month,
        sum(cast(b.margin as decimal(38, 6))) as margin
    from bought as b
    inner join began as g
        on b.channel = g.channel
        and b.customer_id = g.customer_id
    group by b.channel, g.cohort_month, b.month
),
cells as (
    select
        c.channel,
        c.cohort_month,
        cast(
            (extract(year from m.month) - extract(year from c.cohort_month)) * 12
            + extract(month from m.month) - extract(month from c.cohort_month) as integer
        ) as months_since,
        c.customers,
        cast(
            sum(cast(coalesce(e.margin, 0) as decimal(38, 6))) over (
                partition by c.channel, c.cohort_month
                order by m.month rows between unbounded preceding and current row
            ) as decimal(38, 6)
        ) as margin
    from cohorts as c
    inner join windows as w
        on c.channel = w.channel
    inner join staging.channel_month as m
        on c.channel = m.channel
        and c.cohort_month <= m.month
        and w.last_month >= m.month
    left join earned as e
        on c.channel = e.channel
        and c.cohort_month = e.cohort_month
        and m.month = e.month
)
select
    channel,
    cohort_month,
    months_since,
    customers,
    margin,
    cast(cast(margin as decimal(38, 6)) / nullif(customers, 0) as decimal(38, 10)) as margin_per_customer
from cells
