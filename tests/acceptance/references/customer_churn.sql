-- Validates: thresholds from the gaps between orders in a channel, and each customer's resulting state
with day as (select distinct customer_id, channel, order_date from sold),
gap as (
    select *, order_date - lag(order_date) over (partition by customer_id order by order_date) as days from day
),
bound as (
    select channel, quantile_cont(days, 0.9) as ninety, quantile_cont(days, 0.75) as risky
    from gap where days is not null group by channel
),
customer as (
    select customer_id, max(channel) as channel, max(order_date) as last_day, min(order_date) as first_day,
        arg_max(days, order_date) as last_gap
    from gap group by customer_id
)
select
    customer_id, channel, last_day as last_order_date, $as_of - last_day as days_silent, ninety as threshold_days,
    case
        when $as_of - last_day > ninety then 'churned'
        when last_gap > ninety then 'reactivated'
        when $as_of - last_day > risky then 'at_risk'
        else 'active'
    end as status,
    $as_of - first_day >= ninety as counts_in_churn_rate, risky as risk_days, last_gap as last_gap_days
from customer join bound using (channel)
