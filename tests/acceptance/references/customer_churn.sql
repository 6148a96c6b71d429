-- Validates: thresholds, silence in days and in own cycles, and its shares a year before, tested on the year before that
-- Fault of customers_are_those_of_the_orders: update candidate set days_silent = days_silent + 1
-- Fault of threshold_divides_the_gaps: update candidate set threshold_days = null where channel = 'reseller'
-- Fault of bands_follow_from_the_silence: update candidate set silence_band = '703+' where silence_band = '0-91'
-- Fault of cycles_are_the_medians_of_the_gaps: update candidate set cycle_months = cycle_months * 1.001
-- Fault of online_customers_of_a_band_did_what_is_stated: update candidate set observed_customers = observed_customers + 1 where channel = 'online'
-- Fault of a_channel_has_one_test_and_a_band_one_share: update candidate set tested_customers = tested_customers + 1 where customer_id = 11000
with day as (select distinct customer_id, channel, order_date, booking_month from sold),
bound as (
    select channel, quantile_cont(days, 0.9) as ninety
    from (
        select channel, order_date - lag(order_date) over (partition by customer_id order by order_date) as days from day
    ) group by channel
),
whole as (
    select channel, max(booking_month) as last from sold
    where (booking_month, channel) not in (select month, channel from partial_channel_month) group by channel
),
-- From the business date (0), and from the ends of the same booking month one and two years before.
origin as (
    select channel, ago, (last - to_years(ago::integer))::date as month,
        if(ago = 0, $as_of, last_day(last - to_years(ago::integer)) + if(channel = 'reseller', 3, 0)) as until
    from whole cross join range(0, 3) as r (ago)
),
known as (
    select o.channel, ago, o.month, until, d.customer_id, d.order_date, d.booking_month,
        nullif(date_diff('month', lag(d.booking_month) over (
            partition by o.channel, ago, d.customer_id order by d.order_date
        ), d.booking_month), 0) as gap
    from origin as o join day as d on d.channel = o.channel and d.order_date <= until
),
usual as (select channel, ago, median(gap) as cycle from known group by all),
silence as (
    select channel, ago, until, customer_id, max(order_date) as last_day, until - max(order_date) as silent,
        if(channel = 'reseller', coalesce(median(gap), any_value(u.cycle)), null) as cycle,
        greatest(0, date_diff('month', max(booking_month), any_value(k.month))) as months,
        max(order_date) > any_value(until) - 364 as came_before
    from known as k join usual as u using (channel, ago) group by channel, ago, until, customer_id
),
placed as (
    select *, floor(months / cycle)::integer as missed,
        exists(from day as d where d.customer_id = s.customer_id and d.order_date > until and d.order_date <= until + 364)
            as came_after,
        if(
            channel = 'online',
            case
                when silent > 702 then '703+' when silent > 365 then '366-702' when silent > 182 then '183-365'
                when silent > 91 then '92-182' else '0-91'
            end,
            if(months >= 3 * cycle, '3+', floor(months / cycle)::integer::varchar)
        ) as band
    from silence as s
),
share as (
    select channel, ago, band, avg(came_after::integer) as share, count(*) as n from placed
    where ago > 0 and band is not null group by all
),
mean as (select channel, avg(came_after::integer) as share from placed where ago = 2 and band is not null group by channel),
test as (
    select p.channel, count(*) as tested, avg((s.share - came_after::integer) ** 2) as model,
        avg((came_before::integer - came_after::integer) ** 2) as baseline,
        avg((m.share - came_after::integer) ** 2) as constant,
        sum(s.share) / nullif(sum(came_after::integer), 0) as ratio
    from placed as p
    join share as s on s.channel = p.channel and s.band = p.band and s.ago = 2
    join mean as m on m.channel = p.channel
    where p.ago = 1 group by p.channel
),
verdict as (
    select *, case
        when ratio is null then 'nothing_to_compare'
        when model >= baseline then 'no_better_than_baseline'
        when model >= constant then 'no_better_than_constant'
        when ratio < 0.5 or ratio > 2 then 'total_is_off'
    end as reason
    from test
),
joined as (
    select p.*, b.ninety, coalesce(s.n, 0) as n, v.* exclude (channel),
        coalesce(v.reason, if(v.tested is null or s.n is null, 'nothing_to_compare', null)) as withheld,
        if(v.reason is null and v.tested is not null, s.share, null) as share, 1.959963984540054 ** 2 as z2
    from placed as p
    join bound as b on b.channel = p.channel
    left join share as s on s.channel = p.channel and s.band = p.band and s.ago = 1
    left join verdict as v on v.channel = p.channel
    where p.ago = 0
)
select
    customer_id, channel, last_day as last_order_date, silent as days_silent, ninety as threshold_days,
    cycle as cycle_months, missed as missed_cycles, band as silence_band, n as observed_customers,
    share as reorder_probability_52w,
    (share + z2 / 2 / n - sqrt(z2 * (share * (1 - share) / n + z2 / 4 / n ** 2))) / (1 + z2 / n) as reorder_lower_95,
    (share + z2 / 2 / n + sqrt(z2 * (share * (1 - share) / n + z2 / 4 / n ** 2))) / (1 + z2 / n) as reorder_upper_95,
    case
        when missed >= 2 then 'lapsed' when share >= 0.5 then 'likely' when share < 0.2 then 'unlikely'
        when share is not null then 'open'
    end as status,
    withheld as withheld_because, coalesce(tested, 0) as tested_customers, model as error_model, baseline as error_baseline,
    constant as error_constant, ratio as predicted_over_actual
from joined
