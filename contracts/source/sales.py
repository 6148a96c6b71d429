"""Contracts of the tables of the source schema `Sales`."""

from typing import Any

import polars as pl
from pandera.polars import Field

from contracts.columns import (
    TOTAL_DUE,
    Bit,
    DateTime,
    Decimal38_6,
    Guid,
    Int,
    Money,
    Order,
    Period,
    SmallInt,
    SmallMoney,
    SourceTable,
    Text,
    TinyInt,
    Xml,
    at_most_a_day_after_modified,
    computed,
    country_code,
    currency_code,
    derived_from,
    digits,
    guid,
    rule,
    share,
    text,
    xml,
)

# Polars keeps the larger scale of two factors: eight places hold the product of two values with four places. Impossible
# values are clipped, so that a rule rejects the row instead of an overflow stopping the batch.
_EXACT = pl.Decimal(38, 8)
_PIECES = pl.col("OrderQty").cast(_EXACT)
_PAID = (1 - pl.col("UnitPriceDiscount").clip(0, 1)).cast(_EXACT)
_LINE_TOTAL = pl.col("UnitPrice").cast(_EXACT) * _PAID * _PIECES
_ACCOUNT_NUMBER = "AW" + pl.col("CustomerID").cast(pl.String).str.zfill(8)
_ORDER_NUMBER = "SO" + pl.col("SalesOrderID").cast(pl.String)


class CountryRegionCurrency(SourceTable):
    """One row per currency of a country."""

    CountryRegionCode: Text = country_code()
    CurrencyCode: Text = currency_code()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_CountryRegionCurrency"
        metadata = {"version": "1.0"}
        unique = ["CountryRegionCode", "CurrencyCode"]


class CreditCard(SourceTable):
    """One row per credit card of a customer."""

    CreditCardID: Int
    CardType: Text = text(50)
    CardNumber: Text = digits(12, 25, unique=True)
    ExpMonth: TinyInt = Field(ge=1, le=12)
    ExpYear: SmallInt = Field(ge=2000, le=2099)
    ModifiedDate: DateTime

    class Config:
        name = "Sales_CreditCard"
        metadata = {"version": "1.0"}
        unique = ["CreditCardID"]


class Currency(SourceTable):
    """One row per currency."""

    CurrencyCode: Text = currency_code()
    Name: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Sales_Currency"
        metadata = {"version": "1.0"}
        unique = ["CurrencyCode"]


class CurrencyRate(SourceTable):
    """One row per day and pair of currencies: what one unit of the first costs in the second."""

    CurrencyRateID: Int
    CurrencyRateDate: DateTime
    FromCurrencyCode: Text = currency_code()
    ToCurrencyCode: Text = currency_code()
    AverageRate: Money = Field(gt=0)
    EndOfDayRate: Money = Field(gt=0)
    ModifiedDate: DateTime

    @rule
    def a_currency_is_worth_itself(cls):
        """FromCurrencyCode <> ToCurrencyCode, or AverageRate = EndOfDayRate = 1."""
        is_one = (pl.col("AverageRate") == 1) & (pl.col("EndOfDayRate") == 1)
        return (pl.col("FromCurrencyCode") != pl.col("ToCurrencyCode")) | is_one

    class Config:
        name = "Sales_CurrencyRate"
        metadata = {"version": "1.0"}
        unique = ["CurrencyRateID"]


class Customer(SourceTable):
    """One row per customer: a person, a store, or a person who buys for a store."""

    CustomerID: Int
    PersonID: Int = Field(nullable=True)
    StoreID: Int = Field(nullable=True)
    TerritoryID: Int = Field(nullable=True)
    AccountNumber: Text = Field(metadata=computed(_ACCOUNT_NUMBER))
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    @rule
    def is_a_person_or_a_store(cls):
        """PersonID IS NOT NULL OR StoreID IS NOT NULL."""
        return pl.col("PersonID").is_not_null() | pl.col("StoreID").is_not_null()

    @rule
    def account_number_is_the_id(cls):
        """AccountNumber = 'AW' and CustomerID in eight digits."""
        return pl.col("AccountNumber") == _ACCOUNT_NUMBER

    class Config:
        name = "Sales_Customer"
        metadata = {"version": "1.0"}
        unique = ["CustomerID"]


class PersonCreditCard(SourceTable):
    """One row per credit card of a person."""

    BusinessEntityID: Int
    CreditCardID: Int
    ModifiedDate: DateTime

    class Config:
        name = "Sales_PersonCreditCard"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID", "CreditCardID"]


class SalesOrderDetail(SourceTable):
    """One row per product of a sales order."""

    SalesOrderID: Int
    SalesOrderDetailID: Int
    CarrierTrackingNumber: Text = text(25, nullable=True)
    OrderQty: SmallInt = Field(gt=0)
    ProductID: Int
    SpecialOfferID: Int
    UnitPrice: Money = Field(ge=0)
    UnitPriceDiscount: Money = share(description="Share of the unit price")
    LineTotal: Decimal38_6 = Field(
        description="Net of discount, without tax and freight",
        metadata=computed(_LINE_TOTAL.round(6, mode="half_away_from_zero")),
    )
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    @rule
    def line_total_adds_up(cls):
        """LineTotal = UnitPrice * (1 - UnitPriceDiscount) * OrderQty, within 0.000001 per piece for rounding."""
        given = pl.col("LineTotal").clip(-(10**20), 10**20).cast(_EXACT)
        return (given - _LINE_TOTAL).abs() <= _PIECES * pl.lit("0.000001").cast(_EXACT)

    class Config:
        name = "Sales_SalesOrderDetail"
        metadata = {"version": "1.0"}
        unique = ["SalesOrderID", "SalesOrderDetailID"]


class SalesOrderHeader(Order):
    """One row per order from a customer."""

    SalesOrderID: Int
    RevisionNumber: TinyInt
    OrderDate: DateTime
    DueDate: DateTime
    ShipDate: DateTime = Field(nullable=True)
    Status: TinyInt = Field(
        le=8, description="1 in process, 2 approved, 3 on back order, 4 rejected, 5 shipped, 6 cancelled"
    )
    OnlineOrderFlag: Bit = Field(description="True: ordered in the web shop; false: taken by a sales person")
    SalesOrderNumber: Text = Field(metadata=computed(_ORDER_NUMBER))
    PurchaseOrderNumber: Text = text(25, nullable=True, description="Order number of the customer")
    AccountNumber: Text = text(15, nullable=True)
    CustomerID: Int
    SalesPersonID: Int = Field(nullable=True)
    TerritoryID: Int = Field(nullable=True)
    BillToAddressID: Int
    ShipToAddressID: Int
    ShipMethodID: Int
    CreditCardID: Int = Field(nullable=True)
    CreditCardApprovalCode: Text = text(15, nullable=True)
    CurrencyRateID: Int = Field(nullable=True, description="Rate of the customer's currency; NULL: paid in USD")
    SubTotal: Money = Field(ge=0, description="USD, sum of the order's lines")
    TaxAmt: Money = Field(ge=0)
    Freight: Money = Field(ge=0)
    TotalDue: Money = Field(metadata=computed(TOTAL_DUE))
    Comment: Text = text(128, nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    @rule
    def is_due_not_before_it_is_ordered(cls):
        """DueDate >= OrderDate."""
        return pl.col("DueDate") >= pl.col("OrderDate")

    @rule
    def shipped_orders_have_a_ship_date(cls):
        """Status <> 5 OR ShipDate IS NOT NULL."""
        return (pl.col("Status") != 5) | pl.col("ShipDate").is_not_null()

    @rule
    def happens_by_tomorrow(cls):
        """OrderDate and ShipDate <= ModifiedDate + 1 day."""
        return at_most_a_day_after_modified("OrderDate", "ShipDate")

    @rule
    def number_is_the_id(cls):
        """SalesOrderNumber = 'SO' and SalesOrderID."""
        return pl.col("SalesOrderNumber") == _ORDER_NUMBER

    @rule
    def online_orders_have_no_sales_person(cls):
        """SalesPersonID IS NULL where OnlineOrderFlag."""
        return pl.col("SalesPersonID").is_null() | ~pl.col("OnlineOrderFlag")

    @rule
    def approval_code_has_a_card(cls):
        """CreditCardApprovalCode IS NULL OR CreditCardID IS NOT NULL."""
        return pl.col("CreditCardApprovalCode").is_null() | pl.col("CreditCardID").is_not_null()

    class Config:
        name = "Sales_SalesOrderHeader"
        metadata = {"version": "1.0"}
        unique = ["SalesOrderID"]


class SalesOrderHeaderSalesReason(SourceTable):
    """One row per reason that a customer gave for an order."""

    SalesOrderID: Int
    SalesReasonID: Int
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesOrderHeaderSalesReason"
        metadata = {"version": "1.0"}
        unique = ["SalesOrderID", "SalesReasonID"]


class SalesPerson(SourceTable):
    """One row per sales person; managers have no territory and no quota."""

    BusinessEntityID: Int
    TerritoryID: Int = Field(nullable=True)
    SalesQuota: Money = Field(nullable=True, gt=0, description="Sales expected in a quarter")
    Bonus: Money = Field(ge=0)
    CommissionPct: SmallMoney = share(description="Share of sales")
    SalesYTD: Money = Field(ge=0)
    SalesLastYear: Money = Field(ge=0)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesPerson"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID"]


class SalesPersonQuotaHistory(SourceTable):
    """One row per quota of a sales person, from its date to the next."""

    BusinessEntityID: Int
    QuotaDate: DateTime
    SalesQuota: Money = Field(gt=0)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesPersonQuotaHistory"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID", "QuotaDate"]


class SalesReason(SourceTable):
    """One row per reason for buying."""

    SalesReasonID: Int
    Name: Text = text(50)
    ReasonType: Text = text(50)
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesReason"
        metadata = {"version": "1.0"}
        unique = ["SalesReasonID"]


class SalesTaxRate(SourceTable):
    """One row per sales tax of a state or province."""

    SalesTaxRateID: Int
    StateProvinceID: Int
    TaxType: TinyInt = Field(ge=1, le=3, description="1 on retail, 2 on wholesale, 3 on all sales")
    TaxRate: SmallMoney = Field(ge=0, le=100, description="Per cent")
    Name: Text = text(50)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesTaxRate"
        metadata = {"version": "1.0"}
        unique = ["SalesTaxRateID"]


class SalesTerritory(SourceTable):
    """One row per sales territory."""

    TerritoryID: Int
    Name: Text = text(50)
    CountryRegionCode: Text = country_code()
    Group: Text = text(50, description="World region")
    SalesYTD: Money = Field(ge=0)
    SalesLastYear: Money = Field(ge=0)
    CostYTD: Money = Field(ge=0)
    CostLastYear: Money = Field(ge=0)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesTerritory"
        metadata = {"version": "1.0"}
        unique = ["TerritoryID"]


class SalesTerritoryHistory(Period):
    """One row per period in which a sales person worked in a territory."""

    BusinessEntityID: Int
    TerritoryID: Int
    StartDate: DateTime
    EndDate: DateTime = Field(nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SalesTerritoryHistory"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID", "StartDate", "TerritoryID"]


class ShoppingCartItem(SourceTable):
    """One row per product in a shopping cart of the web shop, not ordered yet."""

    ShoppingCartItemID: Int
    ShoppingCartID: Text = text(50)
    Quantity: Int = Field(ge=1)
    ProductID: Int
    DateCreated: DateTime
    ModifiedDate: DateTime

    @rule
    def is_filled_by_tomorrow(cls):
        """DateCreated <= ModifiedDate + 1 day."""
        return at_most_a_day_after_modified("DateCreated")

    class Config:
        name = "Sales_ShoppingCartItem"
        metadata = {"version": "1.0"}
        unique = ["ShoppingCartItemID"]


class SpecialOffer(Period):
    """One row per discount on offer; row 1 is "No Discount"."""

    SpecialOfferID: Int
    Description: Text = text(255)
    DiscountPct: SmallMoney = share(description="Share of the unit price")
    Type: Text = text(50)
    Category: Text = text(50, description="Audience: customers or resellers")
    StartDate: DateTime
    EndDate: DateTime
    MinQty: Int = Field(ge=0)
    MaxQty: Int = Field(nullable=True)
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    @rule
    def smallest_quantity_is_not_above_the_largest(cls):
        """MinQty <= MaxQty."""
        return pl.col("MinQty") <= pl.col("MaxQty")

    class Config:
        name = "Sales_SpecialOffer"
        metadata = {"version": "1.0"}
        unique = ["SpecialOfferID"]


class SpecialOfferProduct(SourceTable):
    """One row per product of a special offer."""

    SpecialOfferID: Int
    ProductID: Int
    rowguid: Guid = guid()
    ModifiedDate: DateTime

    class Config:
        name = "Sales_SpecialOfferProduct"
        metadata = {"version": "1.0"}
        unique = ["SpecialOfferID", "ProductID"]


def _answer(question: str) -> dict[str, Any]:
    return derived_from("Demographics", "StoreSurvey", question)


class Store(SourceTable):
    """One row per store that buys from AdventureWorks for resale.

    Survey columns hold the answers in Demographics; NULL: not asked, or not answered.
    """

    BusinessEntityID: Int
    Name: Text = text(50)
    SalesPersonID: Int = Field(nullable=True)
    Demographics: Xml = xml(nullable=True, description="Answers to the survey: sales, staff, brands …")
    rowguid: Guid = guid()
    ModifiedDate: DateTime
    SurveyAnnualSales: Money = Field(**_answer("AnnualSales"), ge=0, description="USD")
    SurveyAnnualRevenue: Money = Field(**_answer("AnnualRevenue"), description="USD")
    SurveyBankName: Text = Field(**_answer("BankName"))
    SurveyBusinessType: Text = Field(**_answer("BusinessType"))
    SurveyYearOpened: SmallInt = Field(**_answer("YearOpened"))
    SurveySpecialty: Text = Field(**_answer("Specialty"), description="Road, Mountain, Touring …")
    SurveySquareFeet: Int = Field(**_answer("SquareFeet"), ge=0)
    SurveyBrands: Text = Field(**_answer("Brands"), description="AW: this brand alone; else the number of brands")
    SurveyInternet: Text = Field(**_answer("Internet"), description="Internet connection: DSL, T1 …")
    SurveyNumberEmployees: Int = Field(**_answer("NumberEmployees"), ge=0)

    class Config:
        name = "Sales_Store"
        metadata = {"version": "1.0"}
        unique = ["BusinessEntityID"]
