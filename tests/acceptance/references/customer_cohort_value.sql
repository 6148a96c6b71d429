-- Validates: customers by the booking month of their first order, and their margin up to each complete month since
-- Fault of margins_are_those_of_the_orders: update candidate set margin = margin + 1 where months_since > 0
-- Fault of cohorts_reach_the_last_complete_month: delete from candidate where months_since = 11
with buyer as (select channel, customer_id, min(booking_month) as cohort from sold group by all),
size as (select channel, cohort, count(*) as n from buyer group by all),
whole as (
    select channel, max(booking_month) as last from sold
    where (booking_month, channel) not in (select month, channel from partial_channel_month) group by channel
),
gain as (
    select channel, cohort, date_diff('month', cohort, booking_month) as since, sum(revenue - cogs) as margin
    from sold join buyer using (channel, customer_id) group by all
)
select
    channel, cohort as cohort_month, k.since as months_since, any_value(n) as customers, sum(g.margin) as margin,
    sum(g.margin)::double / any_value(n) as margin_per_customer
from size join whole using (channel)
join range(0, 1000) as k (since) on k.since <= date_diff('month', cohort, last)
join gain as g using (channel, cohort)
where g.since <= k.since
group by channel, cohort, k.since
