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
    from marts.fact_sales
    where channel = 'reseller'
),
days as (
    select
        f.customer_id,
        f.order_date,
        max(case when f.booking_month between w.first_month and w.last_month then 1 else 0 end) as is_counted,
        sum(
            cast(
                case when f.booking_month between w.first_month and w.last_month then f.revenue - f.cogs else 0 end
                as decimal(38, 6)
            )
        ) as margin
    from marts.fact_sales as f
    inner join resellers as r
        on f.customer_id = r.customer_id
    cross join windows as w
    where w.last_month is not null
    group by f.customer_id, f.order_date
)
select
    customer_id,
    cast(sum(cast(is_counted as bigint)) as bigint) as order_days,
    cast(sum(cast(margin as decimal(38, 6))) as decimal(38, 6)) as margin
from days
group by customer_id
