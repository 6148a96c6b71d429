"""The 71 source tables."""

from datetime import timedelta

from adventureworks.catalog.entries import MonthOf, PersonOf, SourceTable

FRESH_WITHIN = timedelta(hours=1)
"""How soon a change is published after it was detected at the source, unless a table promises something else."""

ORDER_MONTH = MonthOf("OrderDate")
ORDER_LINE_MONTH = MonthOf("OrderDate", parent="Sales_SalesOrderHeader", parent_key="SalesOrderID")
PURCHASE_LINE_MONTH = MonthOf("OrderDate", parent="Purchasing_PurchaseOrderHeader", parent_key="PurchaseOrderID")
ROUTING_MONTH = MonthOf("StartDate", parent="Production_WorkOrder", parent_key="WorkOrderID")

BY_ID = PersonOf("BusinessEntityID")
BY_ADDRESS = PersonOf("AddressID", through="Person_BusinessEntityAddress")
BY_CARD = PersonOf("CreditCardID", through="Sales_PersonCreditCard")
# A store is a customer with a person as its contact. Its orders are not that person's.
BY_CUSTOMER = PersonOf("CustomerID", through="Sales_Customer", unless="StoreID")

TABLES = (
    SourceTable("dbo", "AWBuildVersion", "platform"),
    SourceTable("dbo", "DatabaseLog", "platform", modified="PostTime"),
    SourceTable("dbo", "ErrorLog", "platform", modified="ErrorTime"),
    SourceTable("HumanResources", "Department", "people"),
    SourceTable(
        "HumanResources",
        "Employee",
        "people",
        personal=("NationalIDNumber", "LoginID", "BirthDate", "MaritalStatus", "Gender"),
        person=BY_ID,
    ),
    SourceTable("HumanResources", "EmployeeDepartmentHistory", "people"),
    SourceTable("HumanResources", "EmployeePayHistory", "people", personal=("Rate",), person=BY_ID),
    SourceTable("HumanResources", "JobCandidate", "people", personal=("Resume",), person=BY_ID),
    SourceTable("HumanResources", "Shift", "people"),
    SourceTable(
        "Person", "Address", "people", personal=("AddressLine1", "AddressLine2", "SpatialLocation"), person=BY_ADDRESS
    ),
    SourceTable("Person", "AddressType", "people"),
    SourceTable("Person", "BusinessEntity", "people"),
    SourceTable("Person", "BusinessEntityAddress", "people", person=BY_ID),
    SourceTable("Person", "BusinessEntityContact", "people"),
    SourceTable("Person", "ContactType", "people"),
    SourceTable("Person", "CountryRegion", "people"),
    SourceTable("Person", "EmailAddress", "people", personal=("EmailAddress",), person=BY_ID),
    SourceTable(
        "Person",
        "Password",
        "people",
        protected={"PasswordHash": "withheld", "PasswordSalt": "withheld"},
        person=BY_ID,
    ),
    SourceTable(
        "Person",
        "Person",
        "people",
        personal=(
            "Title",
            "FirstName",
            "MiddleName",
            "LastName",
            "Suffix",
            "AdditionalContactInfo",
            "Demographics",
            "SurveyTotalPurchaseYTD",
            "SurveyDateFirstPurchase",
            "SurveyBirthDate",
            "SurveyMaritalStatus",
            "SurveyYearlyIncome",
            "SurveyGender",
            "SurveyTotalChildren",
            "SurveyNumberChildrenAtHome",
            "SurveyEducation",
            "SurveyOccupation",
            "SurveyHomeOwnerFlag",
            "SurveyNumberCarsOwned",
            "SurveyCommuteDistance",
        ),
        person=BY_ID,
    ),
    SourceTable("Person", "PersonPhone", "people", personal=("PhoneNumber",), person=BY_ID),
    SourceTable("Person", "PhoneNumberType", "people"),
    SourceTable("Person", "StateProvince", "people"),
    SourceTable("Production", "BillOfMaterials", "production"),
    SourceTable("Production", "Culture", "production"),
    SourceTable("Production", "Document", "production"),
    SourceTable("Production", "Illustration", "production"),
    SourceTable("Production", "Location", "production"),
    SourceTable("Production", "Product", "production"),
    SourceTable("Production", "ProductCategory", "production"),
    SourceTable("Production", "ProductCostHistory", "production"),
    SourceTable("Production", "ProductDescription", "production"),
    SourceTable("Production", "ProductDocument", "production"),
    SourceTable("Production", "ProductInventory", "production"),
    SourceTable("Production", "ProductListPriceHistory", "production"),
    SourceTable("Production", "ProductModel", "production"),
    SourceTable("Production", "ProductModelIllustration", "production"),
    SourceTable("Production", "ProductModelProductDescriptionCulture", "production"),
    SourceTable("Production", "ProductPhoto", "production"),
    SourceTable("Production", "ProductProductPhoto", "production"),
    SourceTable("Production", "ProductReview", "production", personal=("ReviewerName", "EmailAddress", "Comments")),
    SourceTable("Production", "ProductSubcategory", "production"),
    SourceTable("Production", "ScrapReason", "production"),
    SourceTable(
        "Production",
        "TransactionHistory",
        "production",
        month=MonthOf("TransactionDate"),
        archive="Production_TransactionHistoryArchive",
    ),
    SourceTable("Production", "TransactionHistoryArchive", "production", month=MonthOf("TransactionDate")),
    SourceTable("Production", "UnitMeasure", "production"),
    SourceTable("Production", "WorkOrder", "production", unit="work order", month=MonthOf("StartDate")),
    SourceTable("Production", "WorkOrderRouting", "production", unit="work order", month=ROUTING_MONTH),
    SourceTable("Purchasing", "ProductVendor", "purchasing"),
    SourceTable("Purchasing", "PurchaseOrderDetail", "purchasing", unit="purchase", month=PURCHASE_LINE_MONTH),
    SourceTable("Purchasing", "PurchaseOrderHeader", "purchasing", unit="purchase", month=ORDER_MONTH),
    SourceTable("Purchasing", "ShipMethod", "purchasing"),
    SourceTable("Purchasing", "Vendor", "purchasing"),
    SourceTable("Sales", "CountryRegionCurrency", "sales"),
    SourceTable("Sales", "CreditCard", "sales", protected={"CardNumber": "last_four"}, person=BY_CARD),
    SourceTable("Sales", "Currency", "sales"),
    SourceTable("Sales", "CurrencyRate", "sales", month=MonthOf("CurrencyRateDate")),
    SourceTable("Sales", "Customer", "sales", person=PersonOf("PersonID")),
    SourceTable("Sales", "PersonCreditCard", "sales", person=BY_ID),
    SourceTable("Sales", "SalesOrderDetail", "sales", unit="sales order", month=ORDER_LINE_MONTH),
    SourceTable(
        "Sales",
        "SalesOrderHeader",
        "sales",
        unit="sales order",
        month=ORDER_MONTH,
        personal=("CreditCardApprovalCode", "Comment"),
        person=BY_CUSTOMER,
    ),
    SourceTable("Sales", "SalesOrderHeaderSalesReason", "sales", unit="sales order", month=ORDER_LINE_MONTH),
    SourceTable("Sales", "SalesPerson", "sales"),
    SourceTable("Sales", "SalesPersonQuotaHistory", "sales"),
    SourceTable("Sales", "SalesReason", "sales"),
    SourceTable("Sales", "SalesTaxRate", "sales"),
    SourceTable("Sales", "SalesTerritory", "sales"),
    SourceTable("Sales", "SalesTerritoryHistory", "sales"),
    SourceTable("Sales", "ShoppingCartItem", "sales"),
    SourceTable("Sales", "SpecialOffer", "sales"),
    SourceTable("Sales", "SpecialOfferProduct", "sales"),
    SourceTable("Sales", "Store", "sales"),
)
