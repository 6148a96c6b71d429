-- Grain: the moments of the first movement that a sales order caused and of the first order, in one row.
with movements as (
    select TransactionDate as happened
    from raw.Production_TransactionHistory
    where TransactionType = 'S'
    union all
    select TransactionDate
    from raw.Production_TransactionHistoryArchive
    where TransactionType = 'S'
)
select
    m.first_movement,
    o.first_order
from (select min(s.happened) as first_movement from movements as s) as m
cross join (select min(h.OrderDate) as first_order from raw.Sales_SalesOrderHeader as h) as o
