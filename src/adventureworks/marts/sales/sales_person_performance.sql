-- Grain: one quota of a sales person, valid from its date until the person's next one.
-- Sales are the subtotals of the person's orders in that period, up to as_of.
with quotas as (
    select
        q.BusinessEntityID as sales_person_id,
        cast(q.QuotaDate as date) as quota_date,
        coalesce(
            lead(cast(q.QuotaDate as date)) over (partition by q.BusinessEntityID order by q.QuotaDate),
            cast(dateadd(month, 3, cast(q.QuotaDate as date)) as date)
        ) as period_end,
        q.SalesQuota as quota
    from raw.Sales_SalesPersonQuotaHistory as q
    where cast(q.QuotaDate as date) <= :as_of
),
orders as (
    select distinct
        f.sales_order_id,
        f.sales_person_id,
        f.order_date
    from marts.fact_sales as f
    where f.sales_person_id is not null
),
sold as (
    select
        q.sales_person_id,
        q.quota_date,
        count(*) as orders,
        cast(sum(cast(h.SubTotal as decimal(38, 4))) as decimal(38, 4)) as sales
    from quotas as q
    inner join orders as o
        on q.sales_person_id = o.sales_person_id
        and o.order_date >= q.quota_date
        and o.order_date < q.period_end
    inner join raw.Sales_SalesOrderHeader as h
        on o.sales_order_id = h.SalesOrderID
    group by q.sales_person_id, q.quota_date
),
performance as (
    select
        q.sales_person_id,
        q.quota_date,
        q.period_end,
        q.quota,
        coalesce(s.sales, 0) as sales,
        cast(cast(coalesce(s.sales, 0) as decimal(38, 4)) / nullif(q.quota, 0) as decimal(38, 10)) as attainment,
        coalesce(s.orders, 0) as orders,
        p.CommissionPct as commission_share
    from quotas as q
    inner join raw.Sales_SalesPerson as p
        on q.sales_person_id = p.BusinessEntityID
    left join sold as s
        on q.sales_person_id = s.sales_person_id
        and q.quota_date = s.quota_date
)
select
    p.sales_person_id,
    p.quota_date,
    p.period_end,
    p.quota,
    p.sales,
    p.attainment,
    cast(p.sales - p.quota as decimal(38, 4)) as gap,
    cast(p.sales * p.commission_share as decimal(38, 8)) as commission,
    p.orders,
    rank() over (partition by p.quota_date order by p.attainment desc nulls last, p.sales desc) as rank
from performance as p
