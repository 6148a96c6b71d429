-- Grain: one customer with an order. All orders of a customer count in the channel of the last one.
-- The thresholds are percentiles of the gaps between consecutive order days, over all customers of the channel.
with days as (
    select distinct
        customer_id,
        order_date
    from marts.fact_sales
),
placed as (
    select
        customer_id,
        channel,
        row_number() over (partition by customer_id order by order_date desc, sales_order_id desc) as place
    from marts.fact_sales
),
gaps as (
    select
        d.customer_id,
        p.channel,
        d.order_date,
        d.order_date - lag(d.order_date) over (partition by d.customer_id order by d.order_date) as gap_days,
        row_number() over (partition by d.customer_id order by d.order_date desc) as place
    from days as d
    inner join placed as p
        on d.customer_id = p.customer_id
        and p.place = 1
),
thresholds as (
    select
        channel,
        cast(percentile_cont(0.9) within group (order by cast(gap_days as double)) as decimal(38, 10)) as threshold_days,
        cast(percentile_cont(0.75) within group (order by cast(gap_days as double)) as decimal(38, 10)) as risk_days
    from gaps
    where gap_days is not null
    group by channel
),
customers as (
    select
        g.customer_id,
        g.channel,
        max(g.order_date) as last_order_date,
        min(g.order_date) as first_order_date,
        max(case when g.place = 1 then g.gap_days end) as last_gap_days
    from gaps as g
    group by g.customer_id, g.channel
)
select
    c.customer_id,
    c.channel,
    c.last_order_date,
    cast(:as_of as date) - c.last_order_date as days_silent,
    t.threshold_days,
    case
        when cast(:as_of as date) - c.last_order_date > t.threshold_days then 'churned'
        when c.last_gap_days > t.threshold_days then 'reactivated'
        when cast(:as_of as date) - c.last_order_date > t.risk_days then 'at_risk'
        when t.threshold_days is not null then 'active'
    end as status,
    coalesce(cast(:as_of as date) - c.first_order_date >= t.threshold_days, false) as counts_in_churn_rate,
    t.risk_days,
    c.last_gap_days,
    cast(:as_of as date) as as_of
from customers as c
left join thresholds as t
    on c.channel = t.channel
