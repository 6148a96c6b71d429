-- Validates: the known defects of the data, each with the correct counts, and which of them affect every row
-- Among: rule in ('sold_before_the_end_of_sale', 'volume_offer_has_its_quantity', 'discount_is_that_of_the_offer', 'card_was_valid_when_used', 'has_an_inventory_row', 'name_is_the_customers_alone', 'work_order_has_a_routing')
-- Fault of orders_are_all_checked: update candidate set checked = checked - 1 where rule = 'discount_is_that_of_the_offer'
-- Fault of every_run_has_one_overall_score: update candidate set overall_score = 0 where rule = 'discount_is_that_of_the_offer'
-- Fault of scores_follow_from_the_rules: update candidate set table_score = table_score / 2
-- Fault of known_defects_are_checked: update candidate set severity = 'info' where rule = 'card_was_valid_when_used'
-- Fault of rules_of_the_gate_are_there: delete from candidate where dimension = 'volume'
with line as (
    from Sales_SalesOrderDetail join Sales_SalesOrderHeader using (SalesOrderID)
    join Production_Product using (ProductID) join Sales_SpecialOffer as o using (SpecialOfferID)
),
counted as (
    select 'Sales_SalesOrderDetail' as table_name, 'sold_before_the_end_of_sale' as rule, count(*) as checked,
        count_if(OrderDate > SellEndDate) as failed
    from line
    union all
    select 'Sales_SalesOrderDetail', 'volume_offer_has_its_quantity', count(*),
        count_if(SpecialOfferID = 2 and OrderQty = 1 and UnitPriceDiscount = 0)
    from line
    union all
    select 'Sales_SalesOrderDetail', 'discount_is_that_of_the_offer', count(*),
        count_if(SpecialOfferID in (13, 14) and UnitPriceDiscount = 0)
    from line
    union all
    select 'Sales_SalesOrderHeader', 'card_was_valid_when_used', count(*),
        count_if(OrderDate::date > last_day(make_date(ExpYear, ExpMonth, 1)))
    from Sales_SalesOrderHeader join Sales_CreditCard using (CreditCardID)
    union all
    select 'Production_Product', 'has_an_inventory_row', count(*),
        count_if(ProductID not in (select ProductID from Production_ProductInventory))
    from Production_Product
    union all
    select 'Person_Person', 'name_is_the_customers_alone', count(*),
        (
            select count(*) from (
                select 1 from Person_Person where PersonType = 'IN' group by FirstName, LastName having count(*) > 1
            )
        )
    from Person_Person where PersonType = 'IN'
    union all
    select 'Production_WorkOrder', 'work_order_has_a_routing', count(*),
        count_if(WorkOrderID not in (select WorkOrderID from Production_WorkOrderRouting))
    from Production_WorkOrder
)
select *, failed = checked as systematic from counted
