-- Grain: one month and currency in which orders were placed. Subtotals are in USD whatever the order's currency; each
-- order's own rate converts them to its currency. An order without a rate is in USD.
with orders as (
    select distinct
        sales_order_id,
        cast(date_trunc('month', order_date) as date) as month
    from marts.fact_sales
)
select
    o.month,
    coalesce(r.ToCurrencyCode, 'USD') as currency_code,
    count(*) as orders,
    cast(sum(cast(h.SubTotal as decimal(38, 4))) as decimal(38, 4)) as revenue_usd,
    cast(sum(cast(h.SubTotal * coalesce(r.AverageRate, 1) as decimal(38, 8))) as decimal(38, 8)) as revenue_local
from orders as o
inner join raw.Sales_SalesOrderHeader as h
    on o.sales_order_id = h.SalesOrderID
left join raw.Sales_CurrencyRate as r
    on h.CurrencyRateID = r.CurrencyRateID
group by o.month, coalesce(r.ToCurrencyCode, 'USD')
