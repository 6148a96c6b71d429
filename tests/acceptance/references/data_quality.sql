-- Validates: the known defects of the data, missing rows, unusual months and duplicates, each with the correct counts, and which of them affect every row; the overall score from these and the declared business rules
-- Among: rule in ('sold_before_the_end_of_sale', 'volume_offer_has_its_quantity', 'discount_is_that_of_the_offer', 'card_was_valid_when_used', 'has_an_inventory_row', 'name_is_the_customers_alone', 'work_order_has_a_routing', 'finished_product_has_a_cost', 'list_price_covers_the_cost', 'finished_product_has_a_subcategory', 'is_a_person_or_a_store', 'monthly_volume_is_usual', 'months_have_their_orders', 'numbers_are_consecutive', 'line_has_its_movement', 'movement_has_its_line', 'person_is_there_once')
-- Fault of orders_are_all_checked: update candidate set checked = checked - 1 where rule = 'discount_is_that_of_the_offer'
-- Fault of every_run_has_one_overall_score: update candidate set overall_score = 0 where rule = 'discount_is_that_of_the_offer'
-- Fault of scores_follow_from_the_rules: update candidate set table_score = table_score / 2
-- Fault of known_defects_are_checked: update candidate set severity = 'info' where rule = 'card_was_valid_when_used'
-- Fault of rules_of_the_gate_are_there: delete from candidate where dimension = 'volume'
-- Fault of rules_belong_to_their_table: update candidate set rule = case when rule = 'address_exists' then 'component_exists' else 'address_exists' end where rule in ('address_exists', 'component_exists')
-- Fault of rules_count_the_rows_of_their_table: update candidate set checked = checked + 1 where rule = 'terms_are_those_of_the_vendor'
with line as (
    from Sales_SalesOrderDetail join Sales_SalesOrderHeader using (SalesOrderID)
    join Production_Product using (ProductID) join Sales_SpecialOffer as o using (SpecialOfferID)
),
happened as (
    select 'Sales_SalesOrderHeader' as table_name, OrderDate as day from Sales_SalesOrderHeader
    union all select 'Purchasing_PurchaseOrderHeader', OrderDate from Purchasing_PurchaseOrderHeader
    union all select 'Production_WorkOrder', StartDate from Production_WorkOrder
    union all select 'Production_TransactionHistory', TransactionDate from Production_TransactionHistory
    union all select 'Production_TransactionHistoryArchive', TransactionDate from Production_TransactionHistoryArchive
    union all select 'Sales_CurrencyRate', CurrencyRateDate from Sales_CurrencyRate
),
volume as (
    select table_name, date_trunc('month', day)::date as month, count(*) as n from happened
    where day::date <= $as_of group by all
),
inner_month as (
    select table_name, unnest(generate_series(min(month) + interval 1 month, max(month) - interval 1 month, interval 1 month))::date as month
    from volume group by table_name
),
size as (select table_name, month, ln(1 + coalesce(n, 0)) as y from inner_month left join volume using (table_name, month)),
compared as (
    select a.table_name, a.month, a.y, list(b.y) as others
    from size as a
    join size as b on b.table_name = a.table_name and b.month <> a.month
        and (abs(date_diff('month', a.month, b.month)) <= 2 or date_diff('month', a.month, b.month) % 12 = 0)
    group by all having count(*) >= 4
),
unusual as (
    select table_name from compared
    where abs(y - list_median(others))
        > 6 * greatest(0.1, 1.4826 * list_median(list_transform(others, lambda x: abs(x - list_median(others)))))
),
number as (
    select 'Sales_SalesOrderHeader' as table_name, SalesOrderID as n from Sales_SalesOrderHeader
    union all select 'Sales_SalesOrderDetail', SalesOrderDetailID from Sales_SalesOrderDetail
    union all select 'Purchasing_PurchaseOrderHeader', PurchaseOrderID from Purchasing_PurchaseOrderHeader
    union all select 'Production_WorkOrder', WorkOrderID from Production_WorkOrder
),
moved as (
    select ReferenceOrderID as SalesOrderID, ProductID from Production_TransactionHistory where TransactionType = 'S'
    union all select ReferenceOrderID, ProductID from Production_TransactionHistoryArchive where TransactionType = 'S'
),
booked as (
    select channel, booking_month as month, count(distinct sales_order_id) as n
    from sold where (channel, booking_month) not in (select (channel, month) from partial_channel_month) group by all
),
aside as (
    select a.channel, a.month, a.n, least(
        median(b.n) filter (b.month < a.month), median(b.n) filter (b.month > a.month)
    ) as expected
    from booked as a
    join booked as b on b.channel = a.channel
        and abs(date_diff('month', a.month, b.month)) in (if(a.channel = 'online', 1, 3), if(a.channel = 'online', 2, 6))
    group by all
),
contact as (
    select BusinessEntityID as person, lower(EmailAddress) as contact from Person_EmailAddress
    union all select BusinessEntityID, PhoneNumber from Person_PersonPhone
    union all select BusinessEntityID, lower(AddressLine1) || lower(PostalCode)
    from Person_BusinessEntityAddress join Person_Address using (AddressID)
),
person as (
    select person, FirstName || ' ' || LastName as name, contact, count(distinct person) over (partition by contact) as sharing
    from contact join Person_Person on person = BusinessEntityID
),
counted as (
    select 'Sales_SalesOrderDetail' as table_name, 'sold_before_the_end_of_sale' as rule, true as is_business_rule,
        count(*) as checked, count_if(OrderDate > SellEndDate) as failed
    from line
    union all
    select 'Sales_SalesOrderDetail', 'volume_offer_has_its_quantity', true, count(*),
        count_if(SpecialOfferID = 2 and OrderQty = 1 and UnitPriceDiscount = 0)
    from line
    union all
    select 'Sales_SalesOrderDetail', 'discount_is_that_of_the_offer', true, count(*),
        count_if(SpecialOfferID in (13, 14) and UnitPriceDiscount = 0)
    from line
    union all
    select 'Sales_SalesOrderHeader', 'card_was_valid_when_used', true, count(*),
        count_if(OrderDate::date > last_day(make_date(ExpYear, ExpMonth, 1)))
    from Sales_SalesOrderHeader join Sales_CreditCard using (CreditCardID)
    union all
    select 'Production_Product', 'has_an_inventory_row', true, count(*),
        count_if(ProductID not in (select ProductID from Production_ProductInventory))
    from Production_Product
    union all
    select 'Production_Product', unnest([
            'finished_product_has_a_cost', 'list_price_covers_the_cost', 'finished_product_has_a_subcategory'
        ]), true, count(*), unnest([
            count_if(FinishedGoodsFlag and StandardCost = 0),
            count_if(FinishedGoodsFlag and ListPrice > 0 and ListPrice < StandardCost),
            count_if(FinishedGoodsFlag and ProductSubcategoryID is null)
        ])
    from Production_Product
    union all
    select 'Sales_Customer', 'is_a_person_or_a_store', true, count(*), count_if(PersonID is null and StoreID is null)
    from Sales_Customer
    union all
    select table_name, 'monthly_volume_is_usual', true, count(*) - 2,
        (select count(*) from unusual as u where u.table_name = v.table_name)
    from volume as v group by table_name
    union all
    select table_name, 'numbers_are_consecutive', true, max(n) - min(n) + 1, max(n) - min(n) + 1 - count(*)
    from number group by table_name
    union all
    select 'Sales_SalesOrderDetail', 'line_has_its_movement', true, count(*),
        count_if((SalesOrderID, ProductID) not in (select (SalesOrderID, ProductID) from moved))
    from Sales_SalesOrderDetail
    union all
    select 'Sales_SalesOrderHeader', 'movement_has_its_line', true, count(*),
        count_if((SalesOrderID, ProductID) not in (select (SalesOrderID, ProductID) from Sales_SalesOrderDetail))
    from moved
    union all
    select 'Sales_SalesOrderHeader', 'months_have_their_orders', true, (select count(*) from booked),
        count_if(n < 0.7 * expected and n < expected - 2.5 * sqrt(expected))
    from aside
    union all
    select 'Person_Person', 'person_is_there_once', true, count(distinct person),
        (
            select count(distinct b.person) from person as a join person as b on b.contact = a.contact and b.person > a.person
            where a.sharing <= 20 and jaro_similarity(a.name, b.name) > 0.9
        )
    from person
    union all
    select 'Person_Person', 'name_is_the_customers_alone', false, count(*),
        (
            select count(*) from (
                select 1 from Person_Person where PersonType = 'IN' group by FirstName, LastName having count(*) > 1
            )
        )
    from Person_Person where PersonType = 'IN'
    union all
    select 'Production_WorkOrder', 'work_order_has_a_routing', false, count(*),
        count_if(WorkOrderID not in (select WorkOrderID from Production_WorkOrderRouting))
    from Production_WorkOrder
)
-- The tables are published, so that their declared rules pass.
select *, failed = checked as systematic, 1 - failed / checked as pass_rate,
    (
        select (count_if(failed = 0) + (select count(*) from business_rule)) / (count(*) + (select count(*) from business_rule))
        from counted where is_business_rule
    ) as overall_score
from counted
