-- Grain: one currency and day, with the price of one USD in that currency. Gaps of up to three days between two real
-- rates are filled with the last rate before them.
with days as (
    select
        r.ToCurrencyCode as currency_code,
        cast(r.CurrencyRateDate as date) as rate_date,
        r.AverageRate as average_rate,
        r.EndOfDayRate as end_of_day_rate,
        lead(cast(r.CurrencyRateDate as date)) over (
            partition by r.ToCurrencyCode order by r.CurrencyRateDate
        ) as next_date
    from raw.Sales_CurrencyRate as r
    where
        r.FromCurrencyCode = 'USD'
        and r.ToCurrencyCode <> 'USD'
        and cast(r.CurrencyRateDate as date) <= :as_of
),
offsets as (
    select 0 as days_after
    union all
    select 1 as days_after
    union all
    select 2 as days_after
    union all
    select 3 as days_after
),
filled as (
    select
        d.currency_code,
        cast(dateadd(day, o.days_after, d.rate_date) as date) as rate_date,
        d.average_rate,
        d.end_of_day_rate,
        o.days_after > 0 as is_gap_filled
    from days as d
    inner join offsets as o
        on o.days_after = 0
        or (d.next_date - d.rate_date <= 4 and o.days_after < d.next_date - d.rate_date)
),
followed as (
    select
        f.currency_code,
        f.rate_date,
        f.average_rate,
        f.end_of_day_rate,
        f.is_gap_filled,
        cast(
            ln(cast(cast(f.end_of_day_rate as double) / nullif(y.end_of_day_rate, 0) as double)) as decimal(38, 12)
        ) as daily_return
    from filled as f
    left join filled as y
        on f.currency_code = y.currency_code
        and y.rate_date = cast(dateadd(day, -1, f.rate_date) as date)
),
medians as (
    select
        currency_code,
        cast(percentile_cont(0.5) within group (order by cast(daily_return as double)) as decimal(38, 12)) as median_return
    from followed
    where daily_return is not null
    group by currency_code
),
deviations as (
    select
        f.currency_code,
        m.median_return,
        cast(
            percentile_cont(0.5) within group (order by cast(abs(f.daily_return - m.median_return) as double))
            as decimal(38, 12)
        ) as absolute_deviation
    from followed as f
    inner join medians as m
        on f.currency_code = m.currency_code
    where f.daily_return is not null
    group by f.currency_code, m.median_return
),
-- A currency whose rate hardly moves would otherwise have an outlier whenever its last digit changes.
spreads as (
    select
        currency_code,
        median_return,
        case when absolute_deviation > 0.0005 then absolute_deviation else 0.0005 end as absolute_deviation
    from deviations
),
measured as (
    select
        f.currency_code,
        f.rate_date,
        f.average_rate,
        f.end_of_day_rate,
        f.daily_return,
        f.is_gap_filled,
        -- NULL if the next row is not the next day, because that row has no return.
        lead(f.daily_return) over (partition by f.currency_code order by f.rate_date) as next_return,
        stddev_samp(f.daily_return) over (
            partition by f.currency_code order by f.rate_date rows between 29 preceding and current row
        ) as deviation_30d,
        count(f.daily_return) over (
            partition by f.currency_code order by f.rate_date rows between 29 preceding and current row
        ) as returns_30d
    from followed as f
)
select
    m.currency_code,
    m.rate_date,
    m.average_rate,
    m.end_of_day_rate,
    m.daily_return,
    case when m.returns_30d = 30 then cast(m.deviation_30d * sqrt(365) as decimal(38, 12)) end as volatility_30d,
    m.is_gap_filled,
    coalesce(
        abs(m.daily_return - s.median_return) > cast(6 * 1.4826 * s.absolute_deviation as decimal(38, 12))
        and case
            when m.daily_return > 0 then m.daily_return + m.next_return <= -m.next_return
            when m.daily_return < 0 then m.daily_return + m.next_return >= -m.next_return
        end,
        false
    ) as is_outlier
from measured as m
left join spreads as s
    on m.currency_code = s.currency_code
