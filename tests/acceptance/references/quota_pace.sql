-- Validates: each running and last finished quota by booking month, and the person's earlier ones after as many waves
-- Fault of paces_are_those_of_the_waves: update candidate set sales_to_date = sales_to_date + 1
with whole as (
    select max(booking_month) as last from sold
    where channel = 'reseller' and (booking_month, channel) not in (select month, channel from partial_channel_month)
),
quota as (
    select BusinessEntityID as person, QuotaDate::date as quota_date, SalesQuota as quota,
        coalesce(
            lead(QuotaDate::date) over (partition by BusinessEntityID order by QuotaDate), (QuotaDate + interval 3 month)::date
        ) as period_end
    from Sales_SalesPersonQuotaHistory where QuotaDate::date <= $as_of
),
wave as (
    select person, quota_date, quota, period_end, m::date as month, row_number() over (partition by person, quota_date order by m) as n,
        m <= last as is_over
    from quota cross join whole
    cross join unnest(generate_series(
        date_trunc('month', quota_date - 3), date_trunc('month', period_end - 3) - interval 1 month, interval 1 month
    )) as u (m)
),
booked as (
    select s.sales_person_id as person, s.booking_month as month, sum(h.SubTotal) as sales
    from (select distinct sales_order_id, sales_person_id, booking_month from sold) as s
    join Sales_SalesOrderHeader as h on h.SalesOrderID = s.sales_order_id group by all
),
period as (
    select person, quota_date, quota, period_end, count(*) as waves, count(*) filter (is_over) as elapsed
    from wave group by all
),
listed as (
    select * from period as p
    where elapsed < waves or quota_date = (select max(quota_date) from period as o where o.person = p.person and o.elapsed = o.waves)
),
pace as (
    select l.person, l.quota_date, w.quota_date as other, coalesce(sum(b.sales) filter (n <= elapsed), 0) as sales,
        any_value(w.quota) as quota
    from listed as l join wave as w on w.person = l.person and w.quota_date <= l.quota_date
    left join booked as b on b.person = w.person and b.month = w.month
    group by l.person, l.quota_date, w.quota_date
)
select
    l.person as sales_person_id, l.quota_date, l.period_end, elapsed = waves as is_finished, waves, elapsed as elapsed_waves,
    l.quota, any_value(sales) filter (other = l.quota_date) as sales_to_date,
    (any_value(sales) filter (other = l.quota_date))::double / l.quota::double as pace,
    count(*) - 1 as earlier_periods, avg(sales::double / p.quota::double) filter (other < l.quota_date) as usual_pace,
    usual_pace * l.quota::double as expected_sales
from listed as l join pace as p on p.person = l.person and p.quota_date = l.quota_date
group by l.person, l.quota_date, l.period_end, waves, elapsed, l.quota
