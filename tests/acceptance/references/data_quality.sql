-- Validates: the known defects of the data, each with the correct count
-- Among: rule in ('sold_before_the_end_of_sale', 'volume_offer_has_its_quantity', 'discount_is_that_of_the_offer', 'card_was_valid_when_used', 'has_an_inventory_row', 'name_is_the_customers_alone', 'work_order_has_a_routing')
with line as (
    from Sales_SalesOrderDetail join Sales_SalesOrderHeader using (SalesOrderID)
    join Production_Product using (ProductID) join Sales_SpecialOffer as o using (SpecialOfferID)
)
select 'Sales_SalesOrderDetail' as table_name, 'sold_before_the_end_of_sale' as rule,
    (select count(*) from line where OrderDate > SellEndDate) as failed
union all
select 'Sales_SalesOrderDetail', 'volume_offer_has_its_quantity',
    (select count(*) from line where SpecialOfferID = 2 and OrderQty = 1 and UnitPriceDiscount = 0)
union all
select 'Sales_SalesOrderDetail', 'discount_is_that_of_the_offer',
    (select count(*) from line where SpecialOfferID in (13, 14) and UnitPriceDiscount = 0)
union all
select 'Sales_SalesOrderHeader', 'card_was_valid_when_used',
    (
        select count(*) from Sales_SalesOrderHeader join Sales_CreditCard using (CreditCardID)
        where OrderDate::date > last_day(make_date(ExpYear, ExpMonth, 1))
    )
union all
select 'Production_Product', 'has_an_inventory_row',
    (select count(*) from Production_Product anti join Production_ProductInventory using (ProductID))
union all
select 'Person_Person', 'name_is_the_customers_alone',
    (
        select count(*) from (
            select 1 from Person_Person where PersonType = 'IN' group by FirstName, LastName having count(*) > 1
        )
    )
union all
select 'Production_WorkOrder', 'work_order_has_a_routing',
    (select count(*) from Production_WorkOrder anti join Production_WorkOrderRouting using (WorkOrderID))
