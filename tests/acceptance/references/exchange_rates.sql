-- Validates: daily returns, their volatility over thirty days, and outliers: far from the median, and reversed the next day
-- Fault of real_rates_are_those_of_the_source: update candidate set average_rate = average_rate * 2
-- Fault of gaps_are_filled_with_the_last_rate: insert into candidate select currency_code, rate_date + 1, average_rate, end_of_day_rate, daily_return, volatility_30d, true, is_outlier from before where rate_date = (select max(rate_date) from before)
-- Fault of returns_follow_from_the_rates: update candidate set volatility_30d = volatility_30d * 1.1
-- Fault of outliers_lie_far_from_the_median: update candidate set is_outlier = false
with rate as (
    select ToCurrencyCode as currency_code, CurrencyRateDate::date as rate_date, AverageRate as average_rate,
        EndOfDayRate as end_of_day_rate
    from Sales_CurrencyRate
    where FromCurrencyCode = 'USD' and ToCurrencyCode <> 'USD' and CurrencyRateDate::date <= $as_of
),
filled as (
    select currency_code, rate_date, average_rate, end_of_day_rate, false as is_gap_filled from rate
    union all
    select r.currency_code, (r.rate_date + k.day)::date, r.average_rate, r.end_of_day_rate, true
    from (select *, lead(rate_date) over (partition by currency_code order by rate_date) - rate_date as gap from rate) as r
    cross join (values (1::integer), (2), (3)) as k (day)
    where r.gap between 2 and 4 and k.day < r.gap
),
back as (
    select t.*, ln(t.end_of_day_rate::double / y.end_of_day_rate::double) as r
    from filled as t left join filled as y on y.currency_code = t.currency_code and y.rate_date = t.rate_date - 1
),
middle as (select currency_code, median(r) as m from back group by all),
spread as (select currency_code, any_value(m) as m, greatest(mad(r), 0.0005) as d from back join middle using (currency_code) group by all)
select
    currency_code, rate_date, average_rate, end_of_day_rate, r as daily_return,
    if(
        count(r) over last_30 = 30, stddev_samp(r) over last_30 * sqrt(365), null
    ) as volatility_30d,
    is_gap_filled,
    coalesce(abs(r - m) / (1.4826 * d) > 6 and -lead(r) over by_day / r >= 0.5, false) as is_outlier
from back join spread using (currency_code)
window last_30 as (partition by currency_code order by rate_date rows between 29 preceding and current row),
    by_day as (partition by currency_code order by rate_date)
