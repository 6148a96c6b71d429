"""What one row of each table of the source schema `Sales` must be."""

from pandera.polars import Field

from contracts.columns import (
    Bit,
    DateTime,
    Decimal38_6,
    Guid,
    Int,
    Money,
    SmallInt,
    SmallMoney,
    SourceTable,
    Text,
    TinyInt,
    Xml,
    guid,
    text,
)


class CountryRegionCurrency(SourceTable):
    """One row per CountryRegionCurrency."""

    CountryRegionCode: Text = text(3)
    CurrencyCode: Text = text(3)
    ModifiedDate: DateTime

    class Config:
        name = "Sales_CountryRegionCurrency"
        unique = ["CountryRegionCode", "CurrencyCode"]


class CreditCard(SourceTable):
    """One row per CreditCard."""

    CreditCardID: Int
    CardType: Text = text(50)
    CardNumber: Text = text(25)
    ExpMonth: TinyInt
    ExpYear: SmallInt
    ModifiedDate: DateTime

    class Config:
        name = "Sales_CreditCard"
        unique = ["CreditCardID"]


class Currency(SourceTable):
    """One row per Currency."""

    CurrencyCode: Text = text(3)
    Name: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Sales_Currency"
        unique = ["CurrencyCode"]


class CurrencyRate(SourceTable):
    """One row per CurrencyRate."""

    CurrencyRateID: Int
    CurrencyRateDate: DateTime
    FromCurrencyCode: Text = text(3)
    ToCurrencyCode: Text = text(3)
    AverageRate: Money
    EndOfDayRate: Money
    ModifiedDate: DateTime

    class Config:
        name = "Sales_CurrencyRate"
        unique = ["CurrencyRateID"]


class Customer(SourceTable):
    """One row per Customer."""

    CustomerID: Int
    PersonID: Int = Field(nullable=True)
    StoreID: Int = Field(nullable=True)
    TerritoryID: Int = Field(nullable=True)
    AccountNumber: Text = text(10)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_Customer"
        unique = ["CustomerID"]


class PersonCreditCard(SourceTable):
    """One row per PersonCreditCard."""

    BusinessEntityID: Int
    CreditCardID: Int
    ModifiedDate: DateTime

    class Config:
        name = "Sales_PersonCreditCard"
        unique = ["BusinessEntityID", "CreditCardID"]


class SalesOrderDetail(SourceTable):
    """One row per SalesOrderDetail."""

    SalesOrderID: Int
    SalesOrderDetailID: Int
    CarrierTrackingNumber: Text = text(25, nullable=True)
    OrderQty: SmallInt
    ProductID: Int
    SpecialOfferID: Int
    UnitPrice: Money
    UnitPriceDiscount: Money
    LineTotal: Decimal38_6
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesOrderDetail"
        unique = ["SalesOrderID", "SalesOrderDetailID"]


class SalesOrderHeader(SourceTable):
    """One row per SalesOrderHeader."""

    SalesOrderID: Int
    RevisionNumber: TinyInt
    OrderDate: DateTime
    DueDate: DateTime
    ShipDate: DateTime = Field(nullable=True)
    Status: TinyInt
    OnlineOrderFlag: Bit
    SalesOrderNumber: Text = text(25)
    PurchaseOrderNumber: Text = text(25, nullable=True)
    AccountNumber: Text = text(15, nullable=True)
    CustomerID: Int
    SalesPersonID: Int = Field(nullable=True)
    TerritoryID: Int = Field(nullable=True)
    BillToAddressID: Int
    ShipToAddressID: Int
    ShipMethodID: Int
    CreditCardID: Int = Field(nullable=True)
    CreditCardApprovalCode: Text = text(15, nullable=True)
    CurrencyRateID: Int = Field(nullable=True)
    SubTotal: Money
    TaxAmt: Money
    Freight: Money
    TotalDue: Money
    Comment: Text = text(128, nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesOrderHeader"
        unique = ["SalesOrderID"]


class SalesOrderHeaderSalesReason(SourceTable):
    """One row per SalesOrderHeaderSalesReason."""

    SalesOrderID: Int
    SalesReasonID: Int
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesOrderHeaderSalesReason"
        unique = ["SalesOrderID", "SalesReasonID"]


class SalesPerson(SourceTable):
    """One row per SalesPerson."""

    BusinessEntityID: Int
    TerritoryID: Int = Field(nullable=True)
    SalesQuota: Money = Field(nullable=True)
    Bonus: Money
    CommissionPct: SmallMoney
    SalesYTD: Money
    SalesLastYear: Money
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesPerson"
        unique = ["BusinessEntityID"]


class SalesPersonQuotaHistory(SourceTable):
    """One row per SalesPersonQuotaHistory."""

    BusinessEntityID: Int
    QuotaDate: DateTime
    SalesQuota: Money
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesPersonQuotaHistory"
        unique = ["BusinessEntityID", "QuotaDate"]


class SalesReason(SourceTable):
    """One row per SalesReason."""

    SalesReasonID: Int
    Name: Text = text(50)
    ReasonType: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesReason"
        unique = ["SalesReasonID"]


class SalesTaxRate(SourceTable):
    """One row per SalesTaxRate."""

    SalesTaxRateID: Int
    StateProvinceID: Int
    TaxType: TinyInt
    TaxRate: SmallMoney
    Name: Text = text(50)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesTaxRate"
        unique = ["SalesTaxRateID"]


class SalesTerritory(SourceTable):
    """One row per SalesTerritory."""

    TerritoryID: Int
    Name: Text = text(50)
    CountryRegionCode: Text = text(3)
    Group: Text = text(50)
    SalesYTD: Money
    SalesLastYear: Money
    CostYTD: Money
    CostLastYear: Money
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesTerritory"
        unique = ["TerritoryID"]


class SalesTerritoryHistory(SourceTable):
    """One row per SalesTerritoryHistory."""

    BusinessEntityID: Int
    TerritoryID: Int
    StartDate: DateTime
    EndDate: DateTime = Field(nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesTerritoryHistory"
        unique = ["BusinessEntityID", "StartDate", "TerritoryID"]


class ShoppingCartItem(SourceTable):
    """One row per ShoppingCartItem."""

    ShoppingCartItemID: Int
    ShoppingCartID: Text = text(50)
    Quantity: Int
    ProductID: Int
    DateCreated: DateTime
    ModifiedDate: DateTime

    class Config:
        name = "Sales_ShoppingCartItem"
        unique = ["ShoppingCartItemID"]


class SpecialOffer(SourceTable):
    """One row per SpecialOffer."""

    SpecialOfferID: Int
    Description: Text = text(255)
    DiscountPct: SmallMoney
    Type: Text = text(50)
    Category: Text = text(50)
    StartDate: DateTime
    EndDate: DateTime
    MinQty: Int
    MaxQty: Int = Field(nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SpecialOffer"
        unique = ["SpecialOfferID"]


class SpecialOfferProduct(SourceTable):
    """One row per SpecialOfferProduct."""

    SpecialOfferID: Int
    ProductID: Int
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SpecialOfferProduct"
        unique = ["SpecialOfferID", "ProductID"]


class Store(SourceTable):
    """One row per Store."""

    BusinessEntityID: Int
    Name: Text = text(50)
    SalesPersonID: Int = Field(nullable=True)
    Demographics: Xml = Field(nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_Store"
        unique = ["BusinessEntityID"]
