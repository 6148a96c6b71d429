-- Grain: whether a movement that a sales order caused, and whether an order, is from before :as_of, in one row.
select
    exists (
        select 1
        from raw.Production_TransactionHistory as t
        where t.TransactionType = 'S' and t.TransactionDate < :as_of
    )
    or exists (
        select 1
        from raw.Production_TransactionHistoryArchive as a
        where a.TransactionType = 'S' and a.TransactionDate < :as_of
    ) as has_movement,
    exists (select 1 from raw.Sales_SalesOrderHeader as h where h.OrderDate < :as_of) as has_order
