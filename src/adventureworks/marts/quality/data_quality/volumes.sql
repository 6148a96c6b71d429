-- Grain: one month of a table of events, with its number of rows.
-- Events are counted by moment first, because there are far fewer moments than events.
with moments as (
    select 'Sales_SalesOrderHeader' as table_name, OrderDate as happened, count(*) as events
    from raw.Sales_SalesOrderHeader
    group by OrderDate
    union all
    select 'Purchasing_PurchaseOrderHeader', OrderDate, count(*)
    from raw.Purchasing_PurchaseOrderHeader
    group by OrderDate
    union all
    select 'Production_WorkOrder', StartDate, count(*)
    from raw.Production_WorkOrder
    group by StartDate
    union all
    select 'Production_TransactionHistory', TransactionDate, count(*)
    from raw.Production_TransactionHistory
    group by TransactionDate
    union all
    select 'Production_TransactionHistoryArchive', TransactionDate, count(*)
    from raw.Production_TransactionHistoryArchive
    group by TransactionDate
    union all
    select 'Sales_CurrencyRate', CurrencyRateDate, count(*)
    from raw.Sales_CurrencyRate
    group by CurrencyRateDate
)
select
    m.table_name,
    cast(date_trunc('month', m.happened) as date) as month,
    cast(sum(cast(m.events as bigint)) as bigint) as events
from moments as m
where cast(m.happened as date) <= :as_of
group by m.table_name, cast(date_trunc('month', m.happened) as date)
