-- One row per calendar month with orders: its fiscal year and whether it is partial, as it is if any channel's month is.
-- Partial months are excluded from trends and training.
create or replace view staging.sales_month as
with months as (
    select distinct cast(date_trunc('month', d.order_date) as date) as month
    from (select distinct order_date from marts.fact_sales) as d
)
select m.month, c.fiscal_year, max(case when c.is_partial then 1 else 0 end) = 1 as is_partial
from months as m
join staging.channel_month as c on c.month = m.month
group by m.month, c.fiscal_year;
