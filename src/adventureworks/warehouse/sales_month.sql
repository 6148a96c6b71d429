-- One row per calendar month with orders: its fiscal year and whether it is partial, as it is if any channel's month is.
-- Partial months are excluded from trends and training.
create or replace view staging.sales_month as
with booked as (select month, fiscal_year, is_partial, first_day, last_day from staging.channel_month),
-- The orders of a booking month are dated in it or in the month after it.
months as (
    select month from booked where first_day < cast(month + interval '1 month' as date)
    union
    select cast(date_trunc('month', last_day) as date) as month from booked where last_day is not null
)
select m.month, b.fiscal_year, max(case when b.is_partial then 1 else 0 end) = 1 as is_partial
from months as m
join booked as b on b.month = m.month
group by m.month, b.fiscal_year;
