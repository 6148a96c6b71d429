-- Validates: subtotals by currency, in USD and at each order's own rate
-- Fault of sums_are_those_of_the_orders: update candidate set revenue_local = revenue_usd where currency_code = 'EUR'
select
    date_trunc('month', h.OrderDate)::date as month, coalesce(r.ToCurrencyCode, 'USD') as currency_code,
    count(*) as orders, sum(h.SubTotal) as revenue_usd,
    sum((h.SubTotal * coalesce(r.AverageRate, 1))::decimal(38, 8)) as revenue_local
from Sales_SalesOrderHeader as h left join Sales_CurrencyRate as r using (CurrencyRateID)
where h.Status not in (4, 6) and h.OrderDate::date <= $as_of
    and h.SalesOrderID in (select SalesOrderID from Sales_SalesOrderDetail)
group by all
