-- Grain: one moment of lines of sales orders, or of the movements of stock that they caused, and whether the other side
-- is there. The two tables are written and can be lost independently. A changed line causes a second movement, so that
-- only the existence of the other side is compared, by order and product.
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
    'line_has_its_movement' as rule,
    c.happened,
    cast(sum(cast(c.lines as bigint)) as bigint) as checked,
    cast(sum(cast(case when c.movements is null then c.lines else 0 end as bigint)) as bigint) as failed,
    min(case when c.movements is null then c.first_line end) as first_key,
    max(case when c.movements is null then c.last_line end) as last_key
from compared as c
where c.happened is not null
group by c.happened
union all
select
    'movement_has_its_line' as rule,
    c.moved as happened,
    cast(sum(cast(c.movements as bigint)) as bigint) as checked,
    cast(sum(cast(case when c.lines is null then c.movements else 0 end as bigint)) as bigint) as failed,
    min(case when c.lines is null then c.order_id end) as first_key,
    max(case when c.lines is null then c.order_id end) as last_key
from compared as c
where c.moved is not null
group by c.moved
