-- Validates: scores and segments; the trailing margin of resellers by booking month; means of cells, tested on the last 52 weeks
-- Fault of customers_are_those_of_the_orders: update candidate set frequency = frequency + 1
-- Fault of scores_and_segment_follow_from_the_customer: update candidate set f_score = 1 where segment = 'loyal'
-- Fault of resellers_are_valued_by_the_trailing_year: update candidate set clv_52w = clv_52w * 2 where channel = 'reseller'
-- Fault of expectations_and_their_test_are_those_of_the_cells: update candidate set holdout_rmse_constant = holdout_rmse_constant * 1.1 where channel = 'online'
-- Fault of a_channel_has_one_method_and_one_test: update candidate set withheld_because = 'total_is_off' where customer_id = 11000
with day as (
    select customer_id, order_date, arg_max(channel, (order_date, channel)) as channel, sum(revenue) as revenue,
        sum(revenue - cogs) as margin, max(booking_month) as booking_month, bool_or(category = 'Bikes') as bike
    from sold join product_place using (product_id) group by customer_id, order_date
),
whole as (
    select max(booking_month) as last from sold
    where channel = 'reseller' and (booking_month, channel) not in (select month, channel from partial_channel_month)
),
customer as (
    select customer_id, arg_max(channel, order_date) as channel, ($as_of - max(order_date))::bigint as recency_days,
        count(*) as frequency, sum(revenue) as monetary, arg_max(bike, order_date) as last_order_has_bike,
        count(*) filter (booking_month between last - interval 11 month and last) as trailing_days,
        coalesce(sum(margin) filter (booking_month between last - interval 11 month and last), 0) as margin_year
    from day cross join whole group by customer_id
),
scored as (
    select *, count(*) over (partition by channel) as n,
        5 - (5 * (rank() over (partition by channel order by recency_days) - 1)) // n as r_score,
        least(frequency, 5) as f_score,
        5 - (5 * (rank() over (partition by channel order by if(channel = 'online', monetary, margin_year) desc) - 1)) // n
            as m_score
    from customer
),
-- What was known of online customers 0, 26, 52 and 78 weeks ago, and what they did in the weeks after and before.
seen as (
    select weeks, d.customer_id, since - max(order_date) filter (order_date <= since) as recency,
        count(*) filter (order_date <= since) > 1 as again, sum(revenue) filter (order_date <= since) as spent,
        arg_max(bike, order_date) filter (order_date <= since) as bike,
        count(*) filter (order_date > since and order_date <= since + 182) as orders,
        coalesce(sum(margin / 1.1 ** ((order_date - since) / 365)) filter (order_date > since and order_date <= since + 182), 0)
            as half_year,
        coalesce(sum(margin / 1.1 ** ((order_date - since) / 365)) filter (order_date > since and order_date <= since + 364), 0)
            as year,
        coalesce(sum(margin / 1.1 ** ((order_date - since + 364) / 365))
            filter (order_date <= since and order_date > since - 364), 0) as year_before
    from (select unnest([0, 26, 52, 78]) as weeks, $as_of - 7 * weeks as since)
    cross join day as d join customer as c on c.customer_id = d.customer_id and c.channel = 'online'
    group by weeks, since, d.customer_id having min(order_date) <= since
),
placed as (
    select *, (recency > 91)::int + (recency > 182)::int + (recency > 365)::int
        + (recency > 702)::int as band, (spent >= 50)::int + (spent > 1000)::int as worth
    from seen
),
learned as (
    select weeks - 26 as weeks, band, bike, again, worth, avg((orders > 0)::int) as share, avg(orders) as orders,
        avg(half_year) as margin, grouping(band) as all_levels, grouping(worth) as wide
    from placed where weeks in (26, 78) group by grouping sets ((weeks, band, bike, again, worth), (weeks, band, bike), (weeks))
),
expected as (
    select p.weeks, p.customer_id, p.year, p.year_before, 1 + 1.1 ** (-182 / 365) as two, everyone.margin * two as of_all,
        coalesce(fine.margin, wide.margin, everyone.margin) * two as margin,
        2 * coalesce(fine.orders, wide.orders, everyone.orders) as orders,
        1 - (1 - coalesce(fine.share, wide.share, everyone.share)) ** 2 as alive
    from placed as p
    join learned as everyone on everyone.weeks = p.weeks and everyone.all_levels = 1
    left join learned as wide on wide.weeks = p.weeks and wide.all_levels = 0 and wide.wide = 1
        and (wide.band, wide.bike) = (p.band, p.bike)
    left join learned as fine on fine.weeks = p.weeks and fine.wide = 0
        and (fine.band, fine.bike, fine.again, fine.worth) = (p.band, p.bike, p.again, p.worth)
    where p.weeks in (0, 52)
),
test as (
    select count(*) as n, sqrt(avg((margin - year) ** 2)) as cell, sqrt(avg((year_before - year) ** 2)) as baseline,
        sqrt(avg((of_all - year) ** 2)) as constant, sum(margin) / sum(year) as ratio,
        case
            when sum(year) <= 0 then 'nothing_to_compare' when cell >= baseline then 'no_better_than_baseline'
            when cell >= constant then 'no_better_than_constant' when ratio < 0.5 or ratio > 2 then 'total_is_off'
        end as reason
    from expected where weeks = 52
)
select
    s.customer_id, s.channel, recency_days, frequency, monetary, last_order_has_bike, r_score, f_score, m_score,
    case
        when r_score in (4, 5) and f_score in (4, 5) then 'champions'
        when f_score >= 3 then if(r_score >= 3, 'loyal', 'at_risk')
        when r_score = 5 and f_score = 1 then 'new'
        else if(r_score >= 3, 'promising', 'hibernating')
    end as segment,
    if(reason is null, e.alive, null) as probability_alive,
    if(s.channel = 'reseller', trailing_days::double, if(reason is null, e.orders, null)) as expected_orders_52w,
    if(s.channel = 'reseller', margin_year::double, if(reason is null, e.margin, null)) as clv_52w,
    if(s.channel = 'reseller', 'trailing_margin', 'rfm_cell') as method,
    if(s.channel = 'reseller', null, reason) as withheld_because,
    coalesce(t.n, 0) as holdout_customers, t.cell as holdout_rmse_cell, t.baseline as holdout_rmse_baseline,
    t.constant as holdout_rmse_constant, t.ratio as predicted_over_actual
from scored as s
left join test as t on s.channel = 'online'
left join expected as e on e.weeks = 0 and e.customer_id = s.customer_id
