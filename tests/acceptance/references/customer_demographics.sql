-- Validates: answers parsed from the XML in a different way; small cells, and cells that would reveal them, left out; counts rounded to 5
-- Fault of cells_are_those_of_the_surveys: delete from candidate where attribute = 'Gender' and band = 'M'
with asked as (
    select unnest([
        'YearlyIncome', 'Education', 'Occupation', 'MaritalStatus', 'Gender', 'CommuteDistance', 'HomeOwnerFlag',
        'TotalChildren', 'NumberChildrenAtHome', 'NumberCarsOwned'
    ]) as attribute, 'person' as kind
    union all
    select unnest(['BusinessType', 'Specialty', 'Brands', 'Internet', 'BankName']), 'store'
),
survey as (
    select c.CustomerID as customer_id, if(c.StoreID is null, 'person', 'store') as kind,
        if(c.StoreID is null, p.Demographics, s.Demographics) as document
    from Sales_Customer as c
    left join Person_Person as p on p.BusinessEntityID = c.PersonID
    left join Sales_Store as s on s.BusinessEntityID = c.StoreID
),
-- One constant pattern for all attributes, because a pattern that depends on the row is compiled again for each.
parsed as (
    select customer_id, kind,
        regexp_extract_all(document, '<(?:\w+:)?(\w+)>([^<]*)', 1) as names,
        regexp_extract_all(document, '<(?:\w+:)?(\w+)>([^<]*)', 2) as answers
    from survey
),
said as (
    select p.customer_id, a.attribute, trim(p.answers[list_position(p.names, a.attribute)]) as raw_answer
    from parsed as p
    join asked as a using (kind)
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
    select *, coalesce(sum(customers) over smaller, 0) as withheld_before
    from cell
    window smaller as (
        partition by attribute, territory_id order by customers, band rows between unbounded preceding and 1 preceding
    )
)
select
    attribute, band, territory_id, (round(customers / 5) * 5)::bigint as customers, (round(orders / 5) * 5)::bigint as orders,
    revenue, revenue::double / orders as average_order_value, bikers / customers as bike_buyer_share
from placed
where customers >= 5 and (withheld_before = 0 or withheld_before >= 5)
