-- Validates: each quota against the subtotals of the person's own orders in its period, commission and rank
-- Fault of every_quota_is_there: update candidate set quota = quota + 1
-- Fault of sales_are_those_of_the_period: update candidate set orders = orders + 1
-- Fault of a_period_ends_where_the_next_begins: update candidate set period_end = period_end + 1
-- Fault of ratios_and_ranks_follow_from_the_sales: update candidate set rank = 1
with quota as (
    select q.BusinessEntityID as person, q.QuotaDate::date as quota_date, q.SalesQuota as quota,
        coalesce(
            (select min(n.QuotaDate::date) from Sales_SalesPersonQuotaHistory as n
             where n.BusinessEntityID = q.BusinessEntityID and n.QuotaDate > q.QuotaDate),
            (q.QuotaDate + interval 3 month)::date
        ) as period_end
    from Sales_SalesPersonQuotaHistory as q where q.QuotaDate::date <= $as_of
),
result as (
    select quota.*, coalesce(sum(h.SubTotal), 0) as sales, count(h.SalesOrderID) as orders
    from quota
    left join Sales_SalesOrderHeader as h
        on h.SalesPersonID = person and h.Status not in (4, 6) and h.OrderDate::date <= $as_of
        and h.OrderDate::date >= quota_date and h.OrderDate::date < period_end
    group by all
)
select
    person as sales_person_id, quota_date, period_end, quota, sales, sales::double / quota::double as attainment,
    sales - quota as gap, sales::double * p.CommissionPct::double as commission, orders,
    (
        select 1 + count(*) from result as o
        where o.quota_date = r.quota_date
            and (o.sales / o.quota > r.sales / r.quota or o.sales / o.quota = r.sales / r.quota and o.sales > r.sales)
    ) as rank
from result as r join Sales_SalesPerson as p on p.BusinessEntityID = person
