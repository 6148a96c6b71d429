-- Validates: cohorts, customers who ordered again by number of months since, and NULL for months that are not over
with seen as (
    select channel, customer_id, month, min(month) over (partition by channel, customer_id) as cohort, sum(revenue) as revenue
    from sold group by channel, customer_id, month
),
cell as (
    select channel, cohort, date_diff('month', cohort, month) as since, count(*) as retained, sum(revenue)::double as revenue
    from seen group by all
),
cohort as (select channel, cohort, retained as size, revenue from cell where since = 0),
bound as (
    select max(month) filter (month not in (from partial_month)) as whole,
        date_diff('month', min(month), max(month)) as longest
    from sold
)
select
    c.channel, c.cohort as cohort_month, k.since as months_since, c.size as cohort_size,
    if(c.cohort + to_months(k.since::integer) > whole, null, coalesce(x.retained, 0)) as retained,
    if(c.cohort + to_months(k.since::integer) > whole, null, coalesce(x.retained, 0) / c.size) as retention,
    if(c.cohort + to_months(k.since::integer) > whole, null, coalesce(x.revenue, 0) / nullif(c.revenue, 0)) as revenue_retention
from cohort as c cross join bound
join range(0, 1000) as k (since) on k.since <= longest
left join cell as x on x.channel = c.channel and x.cohort = c.cohort and x.since = k.since
