-- Grain: one quota of a sales person whose booking months are not all complete, and the newest one whose months are.
-- A period is counted in booking months, from that of the quota date to the one before that of the next quota date.
with whole as (
    select max(month) as last_month
    from staging.channel_month
    where channel = 'reseller'
        and not is_partial
),
booked as (
    select
        q.sales_person_id,
        q.quota_date,
        q.period_end,
        q.quota,
        cast(date_trunc('month', cast(dateadd(day, -b.days, q.quota_date) as date)) as date) as first_month,
        cast(date_trunc('month', cast(dateadd(day, -b.days, q.period_end) as date)) as date) as end_month,
        w.last_month
    from marts.sales_person_performance as q
    inner join staging.booking_delay as b
        on b.channel = 'reseller'
    cross join whole as w
),
counted as (
    select
        sales_person_id,
        quota_date,
        period_end,
        quota,
        first_month,
        end_month,
        cast(
            (extract(year from end_month) - extract(year from first_month)) * 12
            + extract(month from end_month) - extract(month from first_month) as integer
        ) as waves,
        cast(
            (extract(year from last_month) - extract(year from first_month)) * 12
            + extract(month from last_month) - extract(month from first_month) + 1 as integer
        ) as waves_since
    from booked
),
periods as (
    select
        sales_person_id,
        quota_date,
        period_end,
        quota,
        first_month,
        end_month,
        waves,
        case when waves_since < 0 or waves_since is null then 0 when waves_since < waves then waves_since else waves end
            as elapsed_waves
    from counted
),
placed as (
    select
        sales_person_id,
        quota_date,
        period_end,
        quota,
        first_month,
        waves,
        elapsed_waves,
        elapsed_waves = waves as is_finished,
        max(case when elapsed_waves = waves then quota_date end) over (partition by sales_person_id) as last_finished
    from periods
),
shown as (
    select
        sales_person_id,
        quota_date,
        period_end,
        quota,
        waves,
        elapsed_waves,
        is_finished
    from placed
    where not is_finished
        or quota_date = last_finished
),
orders as (
    select distinct
        f.sales_order_id,
        f.sales_person_id,
        f.booking_month
    from marts.fact_sales as f
    where f.sales_person_id is not null
),
sold as (
    select
        o.sales_person_id,
        o.booking_month,
        cast(sum(cast(h.SubTotal as decimal(38, 4))) as decimal(38, 4)) as sales
    from orders as o
    inner join raw.Sales_SalesOrderHeader as h
        on o.sales_order_id = h.SalesOrderID
    group by o.sales_person_id, o.booking_month
),
reached as (
    select
        s.sales_person_id,
        s.quota_date,
        p.quota_date as other_date,
        p.quota,
        cast(sum(cast(coalesce(m.sales, 0) as decimal(38, 4))) as decimal(38, 4)) as sales
    from shown as s
    inner join periods as p
        on s.sales_person_id = p.sales_person_id
        and s.quota_date >= p.quota_date
    left join sold as m
        on p.sales_person_id = m.sales_person_id
        and m.booking_month >= p.first_month
        and m.booking_month < p.end_month
        and m.booking_month < cast(dateadd(month, s.elapsed_waves, p.first_month) as date)
    group by s.sales_person_id, s.quota_date, p.quota_date, p.quota
),
paces as (
    select
        sales_person_id,
        quota_date,
        other_date,
        sales,
        cast(cast(sales as decimal(38, 4)) / nullif(quota, 0) as decimal(38, 10)) as pace
    from reached
),
usual as (
    select
        sales_person_id,
        quota_date,
        count(pace) as earlier_periods,
        cast(
            cast(sum(cast(pace as decimal(38, 10))) as decimal(38, 10)) / nullif(count(pace), 0) as decimal(38, 10)
        ) as usual_pace
    from paces
    where other_date < quota_date
    group by sales_person_id, quota_date
)
select
    s.sales_person_id,
    s.quota_date,
    s.period_end,
    s.is_finished,
    s.waves,
    s.elapsed_waves,
    s.quota,
    p.sales as sales_to_date,
    p.pace,
    coalesce(u.earlier_periods, 0) as earlier_periods,
    u.usual_pace,
    cast(u.usual_pace * s.quota as decimal(38, 6)) as expected_sales
from shown as s
inner join paces as p
    on s.sales_person_id = p.sales_person_id
    and s.quota_date = p.quota_date
    and s.quota_date = p.other_date
left join usual as u
    on s.sales_person_id = u.sales_person_id
    and s.quota_date = u.quota_date
