-- Grain: one direction in which the lines of sales orders and the movements of stock that they caused are compared.
-- The two tables are written and can be lost independently. A changed line causes a second movement, so that only the
-- existence of the other side is compared, by order and product. Lines from before the first movement and movements from
-- before the first order are not checked: either table may have been emptied of old rows.
with movements as (
    select ReferenceOrderID as order_id, ProductID as product_id, TransactionDate as happened
    from raw.Production_TransactionHistory
    where TransactionType = 'S'
    union all
    select ReferenceOrderID, ProductID, TransactionDate
    from raw.Production_TransactionHistoryArchive
    where TransactionType = 'S'
),
moved as (
    select m.order_id, m.product_id, count(*) as movements, min(m.happened) as happened
    from movements as m
    group by m.order_id, m.product_id
),
sold as (
    select
        d.SalesOrderID as order_id,
        d.ProductID as product_id,
        count(*) as lines,
        min(d.SalesOrderDetailID) as first_line,
        max(d.SalesOrderDetailID) as last_line,
        min(h.OrderDate) as happened
    from raw.Sales_SalesOrderDetail as d
    inner join raw.Sales_SalesOrderHeader as h
        on d.SalesOrderID = h.SalesOrderID
    group by d.SalesOrderID, d.ProductID
),
compared as (
    select
        s.lines,
        s.first_line,
        s.last_line,
        s.happened,
        m.order_id,
        m.movements,
        m.happened as moved
    from sold as s
    full outer join moved as m
        on s.order_id = m.order_id
        and s.product_id = m.product_id
)
select
    'Sales_SalesOrderDetail' as table_name,
    'line_has_its_movement' as rule,
    'completeness' as dimension,
    'warning' as severity,
    cast(sum(cast(c.lines as bigint)) as bigint) as checked,
    cast(sum(cast(case when c.movements is null then c.lines else 0 end as bigint)) as bigint) as failed,
    'SalesOrderDetailID' as key_name,
    cast(min(case when c.movements is null then c.first_line end) as varchar) as first_key,
    cast(max(case when c.movements is null then c.last_line end) as varchar) as last_key
from compared as c
where c.happened >= (select min(m.happened) from movements as m)
union all
select
    'Sales_SalesOrderHeader' as table_name,
    'movement_has_its_line' as rule,
    'completeness' as dimension,
    'warning' as severity,
    cast(sum(cast(c.movements as bigint)) as bigint) as checked,
    cast(sum(cast(case when c.lines is null then c.movements else 0 end as bigint)) as bigint) as failed,
    'SalesOrderID' as key_name,
    cast(min(case when c.lines is null then c.order_id end) as varchar) as first_key,
    cast(max(case when c.lines is null then c.order_id end) as varchar) as last_key
from compared as c
where c.moved >= (select min(h.OrderDate) from raw.Sales_SalesOrderHeader as h)
