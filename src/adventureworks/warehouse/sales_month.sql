-- One row per month with orders: its fiscal year (starts on 1 July, named after the year in which it ends) and whether
-- it is partial. The first month is partial if its first order is after the 1st; the last month if the newest order is
-- before its last day, or if a channel with orders in the previous month has none in it. Partial months are excluded
-- from trends and training.
create or replace view staging.sales_month as
with sold as (
    select
        cast(date_trunc('month', order_date) as date) as month,
        min(order_date) as first_day,
        max(order_date) as last_day,
        max(case when channel = 'online' then 1 else 0 end) as online,
        max(case when channel = 'reseller' then 1 else 0 end) as reseller
    from marts.fact_sales
    group by 1
),
edges as (select min(month) as first_month, max(month) as last_month from sold)
select
    s.month,
    cast(extract(year from s.month + interval '6 months') as integer) as fiscal_year,
    s.month = e.first_month and s.first_day > s.month
    or s.month = e.last_month and (
        s.last_day < cast(s.month + interval '1 month' as date) - 1
        or coalesce(before.online, 0) > s.online
        or coalesce(before.reseller, 0) > s.reseller
    ) as is_partial
from sold as s
cross join edges as e
left join sold as before on before.month = cast(s.month - interval '1 month' as date);
