-- Validates: answers parsed from the XML in a different way; small cells, and cells that would reveal them, left out
with asked as (
    select unnest([
        'YearlyIncome', 'Education', 'Occupation', 'MaritalStatus', 'Gender', 'CommuteDistance', 'HomeOwnerFlag',
        'TotalChildren', 'NumberChildrenAtHome', 'NumberCarsOwned'
    ]) as attribute, 'person' as kind
    union all
    select unnest(['BusinessType', 'Specialty', 'Brands', 'Internet', 'BankName']), 'store'
),
said as (
    select c.CustomerID as customer_id, a.attribute,
        trim(regexp_extract(
            if(a.kind = 'store', s.Demographics, p.Demographics), '<(?:\w+:)?' || a.attribute || '>([^<]*)<', 1
        )) as raw_answer
    from Sales_Customer as c
    join asked as a on (a.kind = 'store') = (c.StoreID is not null)
    left join Person_Person as p on p.BusinessEntityID = c.PersonID
    left join Sales_Store as s on s.BusinessEntityID = c.StoreID
),
bought as (
    select customer_id, territory_id, count(distinct sales_order_id) as orders, sum(revenue) as revenue
    from sold group by all
),
biker as (select distinct customer_id from sold join product_place using (product_id) where category = 'Bikes'),
cell as (
    select attribute, replace(replace(replace(raw_answer, '&lt;', '<'), '&gt;', '>'), '&amp;', '&') as band, territory_id,
        count(*) as customers, sum(orders)::bigint as orders, sum(revenue) as revenue, count(b.customer_id) as bikers
    from said join bought using (customer_id) left join biker as b using (customer_id)
    where raw_answer <> ''
    group by all
),
placed as (
    select *, count(*) filter (customers < 5) over (partition by attribute, territory_id) as small,
        row_number() over (partition by attribute, territory_id order by customers, band) as place
    from cell
)
select
    attribute, band, territory_id, customers, orders, revenue, revenue::double / orders as average_order_value,
    bikers / customers as bike_buyer_share
from placed
where customers >= 5 and (small <> 1 or place <> 2)
