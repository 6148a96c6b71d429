-- Grain: one customer of resellers, if a booking month of the channel is complete: the order days and the margin of the
-- twelve booking months that end with the last complete one. All orders of the customer count, also online ones.
with windows as (
    select
        max(month) as last_month,
        cast(dateadd(month, -11, max(month)) as date) as first_month
    from staging.channel_month
    where channel = 'reseller'
        and not is_partial
),
resellers as (
    select distinct customer_id
    from marts.customer_days
    where channel = 'reseller'
),
days as (
    select
        c.customer_id,
        c.order_date,
        sum(cast(c.revenue - c.cogs as decimal(38, 6))) as margin
    from marts.customer_days as c
    inner join resellers as r
        on c.customer_id = r.customer_id
    inner join windows as w
        on c.booking_month between w.first_month and w.last_month
    group by c.customer_id, c.order_date
)
select
    r.customer_id,
    count(d.order_date) as order_days,
    cast(sum(cast(coalesce(d.margin, 0) as decimal(38, 6))) as decimal(38, 6)) as margin
from resellers as r
inner join windows as w
    on w.last_month is not null
left join days as d
    on r.customer_id = d.customer_id
group by r.customer_id
