-- Validates: recency, frequency, monetary value, scores and segments; the trailing margin of resellers
with customer as (
    select customer_id, max(channel) as channel, $as_of - max(order_date) as recency_days,
        count(distinct order_date) as frequency, sum(revenue) as monetary,
        coalesce(sum(revenue - cogs) filter (order_date > $as_of - interval 12 month), 0) as trailing
    from sold group by customer_id
),
scored as (
    select *, count(*) over (partition by channel) as n,
        5 - (5 * (rank() over (partition by channel order by recency_days) - 1)) // n as r_score,
        least(frequency, 5) as f_score,
        5 - (5 * (rank() over (partition by channel order by monetary desc) - 1)) // n as m_score
    from customer
)
select
    customer_id, channel, recency_days, frequency, monetary, r_score, f_score, m_score,
    case
        when r_score in (4, 5) and f_score in (4, 5) then 'champions'
        when f_score >= 3 then if(r_score >= 3, 'loyal', 'at_risk')
        when r_score = 5 and f_score = 1 then 'new'
        else if(r_score >= 3, 'promising', 'hibernating')
    end as segment
from scored
