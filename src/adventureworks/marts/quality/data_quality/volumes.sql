-- Grain: one month of a table of events, with its number of rows.
with events as (
    select 'Sales_SalesOrderHeader' as table_name, OrderDate as happened from raw.Sales_SalesOrderHeader
    union all
    select 'Purchasing_PurchaseOrderHeader', OrderDate from raw.Purchasing_PurchaseOrderHeader
    union all
    select 'Production_WorkOrder', StartDate from raw.Production_WorkOrder
    union all
    select 'Production_TransactionHistory', TransactionDate from raw.Production_TransactionHistory
    union all
    select 'Production_TransactionHistoryArchive', TransactionDate from raw.Production_TransactionHistoryArchive
    union all
    select 'Sales_CurrencyRate', CurrencyRateDate from raw.Sales_CurrencyRate
)
select
    e.table_name,
    cast(date_trunc('month', e.happened) as date) as month,
    count(*) as events
from events as e
where cast(e.happened as date) <= :as_of
group by e.table_name, cast(date_trunc('month', e.happened) as date)
